"""One security identity, by a call of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import Context

from coveo_provider.errors import ConfigurationError, DataError
from coveo_provider.operators.support.base import CoveoOperator


class CoveoPushIdentityOperator(CoveoOperator):
    """
    Push one identity: update it with its members, give it aliases, or disable it. For small updates and tests.

    :param provider_id: the provider (templated)
    :param identity: ``{"name": …, "type": "USER" | "GROUP" | "VIRTUAL_GROUP", "additionalInfo": {…}}``
        (templated)
    :param members: its complete members, of the same shape; a ``GROUP`` needs them, as they replace what it has:
        ``[]`` for none (templated)
    :param mappings: its complete aliases: the same with ``provider``; ``[]`` for none (templated)
    :param well_knowns: groups it is granted (templated)
    :param disable: disable it instead
    :param coveo_conn_id: connection to the organization that owns the provider (templated)
    :return: ``identity`` (its name), and which ``calls`` were made
    """

    documentation = "https://docs.coveo.com/en/167/"
    template_fields: Sequence[str] = (
        "provider_id",
        "identity",
        "members",
        "mappings",
        "well_knowns",
        "coveo_conn_id",
    )

    def __init__(
        self,
        *,
        provider_id: str,
        identity: Mapping[str, Any],
        members: Sequence[Mapping[str, Any]] | None = None,
        mappings: Sequence[Mapping[str, Any]] | None = None,
        well_knowns: Sequence[Mapping[str, Any]] | None = None,
        disable: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.provider_id = provider_id
        self.identity = identity
        self.members = members
        self.mappings = mappings
        self.well_knowns = well_knowns
        self.disable = disable

    def act(self, context: Context) -> dict[str, Any]:
        """Check the arguments, then make the one call, or two, that says it."""
        from coveo_provider.documents.permissions.spelling import IdentityType
        from coveo_provider.identities.models import (
            UNLISTED,
            DisabledIdentityBody,
            IdentityBody,
            MappedIdentityBody,
            encode_identity,
        )

        granted = {"wellKnowns": [] if self.well_knowns is None else self.well_knowns}
        head = {"identity": self.identity}
        if self.disable:
            if self.members or self.mappings or self.well_knowns:
                raise ConfigurationError(
                    f"task {self.task_id}: an identity to disable takes nothing else along"
                )
            bodies = {"disable_identity": encode_identity(DisabledIdentityBody.from_json(head))}
        else:
            bodies = {}
            # An empty list is one that replaces, too: former members and aliases are taken back.
            if self.members is not None or self.mappings is None:
                members = {} if self.members is None else {"members": self.members}
                identity = IdentityBody.from_json({**head, **members, **granted})
                if self.members is None and identity.identity.type is IdentityType.GROUP:
                    raise DataError(f"identity {identity.identity.name!r}: {UNLISTED}")
                bodies["put_identity"] = encode_identity(identity)
            if self.mappings is not None:
                body = {**head, "mappings": self.mappings, **granted}
                bodies["put_alias"] = encode_identity(MappedIdentityBody.from_json(body))
        for call, encoded in bodies.items():
            getattr(self.client, call)(self.provider_id, encoded)
            self.log.info("Sent %s of %r to provider %s", call, self.identity.get("name"), self.provider_id)
        return {"identity": self.identity.get("name"), "calls": list(bodies)}

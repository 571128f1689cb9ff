"""Security identities and their providers: who the users and groups are that items' permissions name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from airflow.sdk import Context, XComArg

from coveo_provider.documents.contract import DEFAULT_CHUNK_BYTES
from coveo_provider.errors import ConfigurationError, SafetyStop, Throttled
from coveo_provider.operators.support.base import CoveoOperator
from coveo_provider.operators.support.datasets import list_parts, open_parts
from coveo_provider.operators.support.guarded import after_every_part_only, number
from coveo_provider.operators.support.sending import accepted_before, remember_accepted


class CoveoSecurityProviderOperator(CoveoOperator):
    """
    Make sure that a security provider exists, is linked to sources, and leads to other providers.

    What the provider has already is kept: no other source is unlinked, no setting is lost.

    :param provider_id: the provider (templated)
    :param source_ids: sources whose items name its identities (templated)
    :param cascades_to: providers that aliases of its identities lead to (templated)
    :param case_sensitive: whether names that differ in case are different; ``None`` leaves it as it is
    :param coveo_conn_id: connection to the organization that owns it; its key needs Security identity
        providers (View, Create) (templated)
    :return: ``provider_id``, and whether it was ``changed``
    """

    template_fields: Sequence[str] = ("provider_id", "source_ids", "cascades_to", "coveo_conn_id")

    def __init__(
        self,
        *,
        provider_id: str,
        source_ids: Sequence[str] = (),
        cascades_to: Sequence[str] = ("Email Security Provider",),
        case_sensitive: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.provider_id = provider_id
        self.source_ids = source_ids
        self.cascades_to = cascades_to
        self.case_sensitive = case_sensitive

    def act(self, context: Context) -> dict[str, Any]:
        """Look the provider up, and create it or add what is missing."""
        changed = self.client.ensure_security_provider(
            self.provider_id,
            source_ids=_names(self.source_ids, "source_ids"),
            cascades_to=_names(self.cascades_to, "cascades_to"),
            case_sensitive=self.case_sensitive,
        )
        self.log.info(
            "Security provider %s %s",
            self.provider_id,
            "was created or changed" if changed else "is as wanted",
        )
        return {"provider_id": self.provider_id, "changed": changed}


class CoveoSecurityExpansionOperator(CoveoOperator):
    """
    Push groups with their members, aliases, granted identities and identities to disable, of any number.

    Everything is encoded and checked before the first container is sent. A push replaces what is known of an
    identity, so a group must carry its complete member list: one that stands twice is refused by name, or
    merged when asked. With ``delete_older`` the identities that this expansion did not renew are disabled at
    the end, once all containers were accepted; an empty expansion never disables everybody.

    Push identities first, then the items whose permissions name them.

    :param provider_id: the provider (templated)
    :param members: URI of a dataset, or a list of its parts: Parquet with ``name``, ``type`` (``USER``,
        ``GROUP``, ``VIRTUAL_GROUP``), and ``members`` and ``wellKnowns`` as lists of the same (templated)
    :param mappings: the same for aliases: ``name``, ``type``, ``mappings`` as a list of ``name``, ``type`` and
        ``provider``, and ``wellKnowns`` (templated)
    :param deleted: the same for identities to disable: ``name``, ``type`` (templated)
    :param duplicates: what becomes of an identity that stands twice: ``refuse`` or ``merge``
    :param case_sensitive: whether the provider tells names apart that differ in case only
    :param delete_older: whether to disable what was not renewed
    :param queue_delay: minutes the service waits before it disables (templated)
    :param min_identities: with ``delete_older``, the fewest identities there may be (templated)
    :param max_shrink: with ``delete_older``, share of the identities held now that may go, between 0 and 1;
        ``None`` does not look. Needs Security identity providers (View) (templated)
    :param max_chunk_bytes: the most a container may take, in bytes, envelope included
    :param coveo_conn_id: connection to the organization that owns the provider; its key needs Security
        identity providers (Edit) (templated)
    :return: a report: ``parts``, ``members``, ``mappings``, ``deleted``, ``bytes``, ``chunks``, and
        ``ordering_id``, the mark before the first push
    """

    template_fields: Sequence[str] = (
        "provider_id",
        "members",
        "mappings",
        "deleted",
        "queue_delay",
        "min_identities",
        "max_shrink",
        "coveo_conn_id",
    )

    def __init__(
        self,
        *,
        provider_id: str,
        members: str | Sequence[str] | XComArg | None = None,
        mappings: str | Sequence[str] | XComArg | None = None,
        deleted: str | Sequence[str] | XComArg | None = None,
        duplicates: str = "refuse",
        case_sensitive: bool = False,
        delete_older: bool = False,
        queue_delay: int | str = 15,
        min_identities: int | str = 1,
        max_shrink: float | str | None = None,
        max_chunk_bytes: int = DEFAULT_CHUNK_BYTES,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.provider_id = provider_id
        self.members: Any = members
        self.mappings: Any = mappings
        self.deleted: Any = deleted
        self.duplicates = duplicates
        self.case_sensitive = case_sensitive
        self.delete_older = delete_older
        self.queue_delay = queue_delay
        self.min_identities = min_identities
        self.max_shrink = max_shrink
        self.max_chunk_bytes = max_chunk_bytes

    def act(self, context: Context) -> dict[str, Any]:
        """Encode and check everything, push container after container, then disable what is older."""
        from coveo_provider.documents.encoding.chunks import ChunkWriter
        from coveo_provider.identities.batches import spool_identities
        from coveo_provider.loading import deliver

        given = {"members": self.members, "mappings": self.mappings, "deleted": self.deleted}
        uris = {kind: list_parts(uri, kind) for kind, uri in given.items() if uri is not None}
        if not uris:
            raise ConfigurationError(
                f"task {self.task_id}: name members, mappings, deleted or several of them"
            )
        if self.duplicates not in {"refuse", "merge"}:
            raise ConfigurationError(f"duplicates must be refuse or merge, not {self.duplicates!r}")
        client = self.client
        report: dict[str, Any] = {"parts": [uri for parts in uris.values() for uri in parts]}
        report.update(dict.fromkeys(("members", "mappings", "deleted", "bytes", "chunks"), 0))
        with (
            open_parts(uris.get("members", [])) as members,
            open_parts(uris.get("mappings", [])) as mappings,
            open_parts(uris.get("deleted", [])) as deleted,
            ChunkWriter(self.max_chunk_bytes) as writer,
        ):
            chunks = spool_identities(
                writer,
                members=members,
                mappings=mappings,
                deleted=deleted,
                duplicates="merge" if self.duplicates == "merge" else "refuse",
                case_sensitive=self.case_sensitive,
                log=self.log.info,
            )
            kept = sum(
                count for chunk in chunks for kind, count in chunk.counts.items() if kind.value != "deleted"
            )
            before = accepted_before(self.progress, chunks)
            report.update(before)
            if self.delete_older and not before:
                # Looked at before the first push: afterwards the new ones count too.
                refuse_doubtful_identities(self, kept, "disabling older identities")
            if not before:
                report["ordering_id"] = client.identity_mark(self.provider_id)
            for done, chunk in enumerate(chunks[report["chunks"] :], start=report["chunks"]):
                try:
                    deliver(
                        client,
                        chunk,
                        container=client.create_file_container,
                        submit=partial(client.push_identities, self.provider_id),
                        log=self.log.info,
                    )
                except Throttled:
                    remember_accepted(self.progress, chunks[:done], report)
                    raise
                report["bytes"] += chunk.size
                report["chunks"] += 1
                for kind, count in chunk.counts.items():
                    report[kind.value] = report.get(kind.value, 0) + count
                counts = ", ".join(f"{count:,} {kind.value}" for kind, count in chunk.counts.items() if count)
                self.log.info(
                    "Pushed a batch of %s, %s bytes, to provider %s",
                    counts,
                    f"{chunk.size:,}",
                    self.provider_id,
                )
        if self.delete_older:
            delay = number(self.queue_delay, int, "queue_delay", default=15)
            client.disable_identities_older_than(self.provider_id, report["ordering_id"], queue_delay=delay)
            self.log.info(
                "Disabling identities of provider %s older than %s", self.provider_id, report["ordering_id"]
            )
        return report


class CoveoPushIdentityOperator(CoveoOperator):
    """
    Push one identity: update it with its members, give it aliases, or disable it. For small updates and tests.

    :param provider_id: the provider (templated)
    :param identity: ``{"name": …, "type": "USER" | "GROUP" | "VIRTUAL_GROUP", "additionalInfo": {…}}``
        (templated)
    :param members: its complete members, of the same shape (templated)
    :param mappings: its aliases: the same with ``provider`` (templated)
    :param well_knowns: groups it is granted (templated)
    :param disable: disable it instead
    :param coveo_conn_id: connection to the organization that owns the provider (templated)
    :return: ``identity`` (its name), and which ``calls`` were made
    """

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
        """Check what was given, then make the one call, or two, that says it."""
        from coveo_provider.identities.models import (
            DisabledIdentityBody,
            IdentityBody,
            MappedIdentityBody,
            encode_identity,
        )

        granted = {"wellKnowns": list(self.well_knowns or [])}
        head = {"identity": dict(self.identity)}
        if self.disable:
            if self.members or self.mappings or self.well_knowns:
                raise ConfigurationError(
                    f"task {self.task_id}: an identity to disable takes nothing else along"
                )
            bodies = {"disable_identity": encode_identity(DisabledIdentityBody.from_json(head))}
        else:
            bodies = {}
            if self.members or not self.mappings:
                body = {**head, "members": list(self.members or []), **granted}
                bodies["put_identity"] = encode_identity(IdentityBody.from_json(body))
            if self.mappings:
                body = {**head, "mappings": list(self.mappings), **granted}
                bodies["put_alias"] = encode_identity(MappedIdentityBody.from_json(body))
        for call, encoded in bodies.items():
            getattr(self.client, call)(self.provider_id, encoded)
            self.log.info("Sent %s of %r to provider %s", call, self.identity.get("name"), self.provider_id)
        return {"identity": self.identity.get("name"), "calls": list(bodies)}


class CoveoDeleteOlderIdentitiesOperator(CoveoOperator):
    """
    Disable the identities of a provider that an expansion did not renew.

    For expansions made of several tasks; one task can do it by itself with ``delete_older=True``. It looks
    before it leaps, as :class:`~coveo_provider.operators.source.CoveoDeleteOlderOperator` does.

    :param provider_id: the provider (templated)
    :param reports: the reports of all expansions: ``expansion.output`` (templated)
    :param ordering_id: the mark; the smallest of the reports when left out (templated)
    :param queue_delay: minutes the service waits before it disables (templated)
    :param min_identities: the fewest identities there may be (templated)
    :param max_shrink: share of the identities held now that may go; ``None`` does not look (templated)
    :param coveo_conn_id: connection to the organization that owns the provider (templated)
    :return: a report: ``identities`` that were pushed, and ``ordering_id``, the mark
    """

    template_fields: Sequence[str] = (
        "provider_id",
        "reports",
        "ordering_id",
        "queue_delay",
        "min_identities",
        "max_shrink",
        "coveo_conn_id",
    )

    def __init__(
        self,
        *,
        provider_id: str,
        reports: Any,
        ordering_id: int | str | XComArg | None = None,
        queue_delay: int | str = 15,
        min_identities: int | str = 1,
        max_shrink: float | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.provider_id = provider_id
        self.reports = reports
        self.ordering_id: Any = ordering_id
        self.queue_delay = queue_delay
        self.min_identities = min_identities
        self.max_shrink = max_shrink

    def act(self, context: Context) -> dict[str, Any]:
        """Check what was pushed, then disable what is older."""
        from coveo_provider.api.client import checked_ordering_id
        from coveo_provider.safety import each_report

        step = "disabling older identities"
        after_every_part_only(self, step)
        found = list(each_report(self.reports, owner=f"provider {self.provider_id}", step=step))
        try:
            identities = sum(report["members"] + report["mappings"] for report in found)
            marks = [report["ordering_id"] for report in found]
        except (KeyError, TypeError):
            raise SafetyStop(
                f"provider {self.provider_id}: {step} needs the reports of all expansions. Nothing was disabled"
            ) from None
        refuse_doubtful_identities(self, identities, step)
        mark = checked_ordering_id(self.ordering_id or min(marks, default=None))
        delay = number(self.queue_delay, int, "queue_delay", default=15)
        self.client.disable_identities_older_than(self.provider_id, mark, queue_delay=delay)
        self.log.info("Disabling identities of provider %s older than %s", self.provider_id, mark)
        return {"identities": identities, "ordering_id": mark}


def refuse_doubtful_identities(
    operator: CoveoSecurityExpansionOperator | CoveoDeleteOlderIdentitiesOperator, identities: int, step: str
) -> None:
    """
    Refuse to disable identities when the load that is to take their place looks too small.

    :raises SafetyStop: says both numbers
    """
    from coveo_provider.safety import IDENTITIES, refuse_doubtful

    refuse_doubtful(
        source_id=operator.provider_id,
        step=step,
        documents=identities,
        min_documents=number(operator.min_identities, int, "min_identities", default=1),
        max_shrink=number(operator.max_shrink, float, "max_shrink", default=None),
        held=lambda: operator.client.count_identities(operator.provider_id),
        words=IDENTITIES,
    )


def _names(value: Any, argument: str) -> list[str]:
    names = [value] if isinstance(value, str) else list(value)
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise ConfigurationError(f"{argument} must hold names, found {value!r}")
    return names

"""The Push API's calls on security identities, and the providers that hold them (push-api.md section 6)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from coveo_provider.api import arguments, routes
from coveo_provider.api.answers import Answer
from coveo_provider.api.caller import MARK_MARGIN_MS, Caller, nothing
from coveo_provider.errors import ConfigurationError, NotFound

EMAIL_PROVIDER = "Email Security Provider"
"""The provider that aliases usually lead to; every organization has it (push-api.md section 6)."""

_STATUS = frozenset({"statistics", "currentStatus", "lastRefreshOperation"})
"""What the platform tells along with a provider's model, and does not take back."""


class SecurityCalls(Caller):
    """Security identities and their providers."""

    def put_identity(self, provider_id: str, body: bytes, *, ordering_id: int | None = None) -> None:
        """
        Add or update one identity; what was known of it, its members among it, is replaced.

        :param body: an IdentityBody as JSON, see ``coveo_provider.documents.IdentityBody``
        """
        query = arguments.ordering(ordering_id)
        self._call(routes.PUT_IDENTITY, nothing, query, body=body, provider_id=provider_id)

    def put_alias(self, provider_id: str, body: bytes, *, ordering_id: int | None = None) -> None:
        """
        Add or update the aliases of one identity.

        :param body: a MappedIdentityBody as JSON, see ``coveo_provider.documents.MappedIdentityBody``
        """
        query = arguments.ordering(ordering_id)
        self._call(routes.PUT_ALIAS, nothing, query, body=body, provider_id=provider_id)

    def disable_identity(self, provider_id: str, body: bytes, *, ordering_id: int | None = None) -> None:
        """
        Disable one identity; the effect shows after the next refresh of the security cache.

        :param body: ``{"identity": {"name": …, "type": …}}`` as JSON
        """
        query = arguments.ordering(ordering_id)
        self._call(routes.DISABLE_IDENTITY, nothing, query, body=body, provider_id=provider_id)

    def push_identities(self, provider_id: str, file_id: str, *, ordering_id: int | None = None) -> None:
        """Submit a container of identities, aliases and identities to disable (a BatchIdentityBody)."""
        query = {"fileId": file_id, **arguments.ordering(ordering_id)}
        self._call(routes.PUSH_IDENTITIES, nothing, query, provider_id=provider_id)

    def disable_identities_older_than(
        self, provider_id: str, ordering_id: int, *, queue_delay: int = 15
    ) -> None:
        """
        Disable the identities of a provider whose last update is older than ``ordering_id``.

        :param ordering_id: ms since the epoch, from :meth:`identity_mark`
        :param queue_delay: minutes the API waits, so that what is queued is not applied after it
        :raises ConfigurationError: the mark is not 13 digits, or lies in the future
        """
        delay = arguments.minutes(queue_delay)
        arguments.checked_ordering_id(ordering_id)
        mark = self._mark_not_ahead(
            f"provider {provider_id}", ordering_id, self._provider_time_ms(provider_id)
        )
        query = {"orderingId": str(mark), "queueDelay": delay}
        self._call(routes.DISABLE_OLDER, nothing, query, provider_id=provider_id)

    def identity_mark(self, provider_id: str) -> int:
        """Return a mark, ms since the epoch: identities pushed from now on are newer than it."""
        return self._provider_time_ms(provider_id) - MARK_MARGIN_MS

    def get_security_provider(self, provider_id: str) -> dict[str, Any]:
        """
        Return the model of a provider, as the platform has it (platform-api.md section 4).

        :raises NotFound: there is no such provider
        """
        return self._call(routes.GET_PROVIDER, _model, provider_id=provider_id)

    def count_identities(self, provider_id: str) -> int | None:
        """Return how many identities a provider holds that are not disabled; ``None`` when it does not say."""
        statistics = self.get_security_provider(provider_id).get("statistics")
        states = statistics.get("numberOfEntitiesByState") if isinstance(statistics, Mapping) else None
        if not isinstance(states, Mapping):
            return None
        # Those in error are only named by others, and were never pushed themselves.
        counts = [count for state, count in states.items() if state not in {"DISABLED", "IN_ERROR"}]
        return sum(counts) if all(isinstance(count, int) for count in counts) else None

    def create_security_provider(self, model: Mapping[str, Any]) -> None:
        """Create a provider."""
        self._call(routes.CREATE_PROVIDER, nothing, body=_json(model))

    def update_security_provider(self, provider_id: str, model: Mapping[str, Any]) -> None:
        """Replace the model of a provider."""
        self._call(routes.UPDATE_PROVIDER, nothing, body=_json(model), provider_id=provider_id)

    def _provider_time_ms(self, provider_id: str) -> int:
        return self._time_ms(routes.GET_PROVIDER, provider_id=provider_id)


def ensure_security_provider(
    client: SecurityCalls,
    provider_id: str,
    *,
    source_ids: Iterable[str] = (),
    cascades_to: Iterable[str] = (EMAIL_PROVIDER,),
    case_sensitive: bool | None = None,
) -> bool:
    """
    Create a provider, or add to the one there is: no other source of its is unlinked, no setting is lost.

    :param source_ids: sources whose items name its identities
    :param cascades_to: providers that aliases of its identities lead to
    :param case_sensitive: whether names that differ in case are different; ``None`` leaves it as it is
    :return: whether anything was created or changed
    """
    try:
        known = client.get_security_provider(provider_id)
        model = {key: value for key, value in known.items() if key not in _STATUS}
        found = True
    except NotFound as error:
        if error.code == "ORGANIZATION_NOT_FOUND":
            raise
        model = {"id": provider_id, "displayName": provider_id, "type": "EXPANDED", "nodeRequired": False}
        found = False
    wanted = dict(model)
    linked = _entries(model.get("referencedBy"))
    links = [entry.get("id") for entry in linked if entry.get("type") == "SOURCE"]
    wanted["referencedBy"] = linked + [
        {"id": source_id, "type": "SOURCE"}
        for source_id in dict.fromkeys(source_ids)
        if source_id not in links
    ]
    cascades = model.get("cascadingSecurityProviders")
    cascades = dict(cascades) if isinstance(cascades, Mapping) else {}
    reached = [
        (entry.get("id") or entry.get("name") or key) if isinstance(entry, Mapping) else key
        for key, entry in cascades.items()
    ]
    for target in cascades_to:
        if target not in reached:
            kind = "EMAIL" if target == EMAIL_PROVIDER else "EXPANDED"
            cascades["".join(target.split())] = {"id": target, "name": target, "type": kind}
    wanted["cascadingSecurityProviders"] = cascades
    if case_sensitive is not None:
        wanted["caseSensitive"] = case_sensitive
    if not found:
        client.create_security_provider(wanted)
    elif wanted != model:
        client.update_security_provider(provider_id, wanted)
    return not found or wanted != model


def _entries(value: object) -> list[dict[str, Any]]:
    return [dict(entry) for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def _model(answer: Answer) -> dict[str, Any]:
    return answer.fields()


def _json(model: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(model).encode()
    except (RecursionError, TypeError, ValueError) as error:
        raise ConfigurationError(f"the provider's model is no JSON: {str(error)[:200]}") from None

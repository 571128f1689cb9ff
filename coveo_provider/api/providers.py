"""The platform's calls on security providers, which hold the identities (docs 85)."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from coveo_provider.api import routes
from coveo_provider.api.answers import Answer
from coveo_provider.api.caller import Caller
from coveo_provider.errors import ApiError, ConfigurationError, NotFound, SafetyStop, UnexpectedAnswer

EMAIL_PROVIDER = "Email Security Provider"
"""The provider that aliases usually lead to; every organization has it (docs 87)."""

_STATUS = frozenset({"statistics", "currentStatus", "lastRefreshOperation"})
"""What the platform says along with a provider's model, and does not take back."""

_TAKEN = frozenset({400, 409, 412})
"""What the API may answer to the creation of a provider that is there."""

_LOOKS = 10
_PAUSE = (0.5, 1.5)  # seconds: longer than another task takes between reading a model and writing it


class ProviderCalls(Caller):
    """Security providers, as the platform knows them."""

    def get_security_provider(self, provider_id: str) -> dict[str, Any]:
        """
        Return the model of a provider, as the platform has it.

        :raises NotFound: there is no such provider
        """
        return self._ask(routes.GET_PROVIDER.at(provider_id=provider_id), _model)

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
        self._call(routes.CREATE_PROVIDER, body=_json(model))

    def update_security_provider(self, provider_id: str, model: Mapping[str, Any]) -> None:
        """Replace the model of a provider."""
        self._call(routes.UPDATE_PROVIDER.at(provider_id=provider_id), body=_json(model))

    def ensure_security_provider(
        self,
        provider_id: str,
        *,
        source_ids: Iterable[str] = (),
        cascades_to: Iterable[str] = (EMAIL_PROVIDER,),
        case_sensitive: bool | None = None,
    ) -> bool:
        """
        Create a provider, or add to the one there is: no other source of its is unlinked, no setting is lost.

        A model is replaced as a whole, so of two tasks that link their sources at once the later one undoes the
        link of the other: each looks again after a moment, and writes its own anew.

        :param source_ids: sources whose items name its identities
        :param cascades_to: providers that aliases of its identities lead to
        :param case_sensitive: whether names that differ in case are different; ``None`` leaves it as it is
        :return: whether anything was created or changed
        :raises SafetyStop: others undid the link again and again
        """
        sources, cascades = list(source_ids), list(cascades_to)
        changed = self._write_provider(provider_id, sources, cascades, case_sensitive)
        for _ in range(_LOOKS if changed and sources else 0):
            self.policy.sleep(random.uniform(*_PAUSE))
            links = self.get_security_provider(provider_id).get("referencedBy")
            if len(_linked(links, sources)) == len(_linked(links, ())):
                return True
            self._write_provider(provider_id, sources, cascades, case_sensitive)
        if changed and sources:
            raise SafetyStop(
                f"security provider {provider_id} was linked to {', '.join(sources)} {_LOOKS} times, and each time "
                "the link was gone again: other tasks write it, too. Let them run one after the other"
            )
        return changed

    def _write_provider(
        self,
        provider_id: str,
        source_ids: Sequence[str],
        cascades_to: Sequence[str],
        case_sensitive: bool | None,
    ) -> bool:
        """Create a provider or add to it, and return whether there was anything to write."""
        answered = self._provider(provider_id)
        model: dict[str, Any]
        if answered is None:
            model = {"id": provider_id, "displayName": provider_id, "type": "EXPANDED", "nodeRequired": False}
        else:
            model = {key: value for key, value in answered.items() if key not in _STATUS}
        wanted: dict[str, Any] = {
            **model,
            "referencedBy": _linked(model.get("referencedBy"), source_ids),
            "cascadingSecurityProviders": _cascading(model.get("cascadingSecurityProviders"), cascades_to),
        }
        if case_sensitive is not None:
            wanted["caseSensitive"] = case_sensitive
        if answered is not None:
            if wanted != model:
                self.update_security_provider(provider_id, wanted)
            return wanted != model
        try:
            self.create_security_provider(wanted)
        except ApiError as error:
            # Another task made it meanwhile; or an attempt did whose answer was lost.
            if error.status not in _TAKEN or self._provider(provider_id) is None:
                raise
            self._write_provider(provider_id, source_ids, cascades_to, case_sensitive)
        return True

    def _provider(self, provider_id: str) -> dict[str, Any] | None:
        """Return the model of a provider, ``None`` when the API itself says that there is none."""
        try:
            return self.get_security_provider(provider_id)
        except NotFound as error:
            if error.code in {"", "ORGANIZATION_NOT_FOUND"}:
                raise
            return None


def _linked(links: object, source_ids: Iterable[str]) -> list[dict[str, Any]]:
    """Return what a provider is linked to, with ``source_ids`` added to it."""
    entries = (
        [dict(entry) for entry in links if isinstance(entry, Mapping)] if isinstance(links, list) else []
    )
    sources = [entry.get("id") for entry in entries if entry.get("type") == "SOURCE"]
    added = [one for one in dict.fromkeys(source_ids) if one not in sources]
    return entries + [{"id": source_id, "type": "SOURCE"} for source_id in added]


def _cascading(cascades: object, provider_ids: Iterable[str]) -> dict[str, Any]:
    """Return the providers that a provider leads to, with ``provider_ids`` added to them."""
    entries = dict(cascades) if isinstance(cascades, Mapping) else {}
    reached = [
        (entry.get("id") or entry.get("name") or key) if isinstance(entry, Mapping) else key
        for key, entry in entries.items()
    ]
    for provider_id in provider_ids:
        if provider_id not in reached:
            kind = "EMAIL" if provider_id == EMAIL_PROVIDER else "EXPANDED"
            entries["".join(provider_id.split())] = {"id": provider_id, "name": provider_id, "type": kind}
    return entries


def _model(answer: Answer) -> dict[str, Any]:
    """
    Return the model of a provider.

    :raises UnexpectedAnswer: it names none
    """
    model = answer.fields()
    if not any(isinstance(model.get(name), str) for name in ("id", "name")):
        raise UnexpectedAnswer(answer.route, "the id of a provider")
    return model


def _json(model: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(model).encode()
    except (RecursionError, TypeError, ValueError) as error:
        raise ConfigurationError(f"the provider's model is no JSON: {str(error)[:200]}") from None

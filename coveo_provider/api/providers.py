"""The platform's calls on security providers, which hold the identities (docs 85)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from coveo_provider.api import routes
from coveo_provider.api.answers import Answer
from coveo_provider.api.caller import Caller
from coveo_provider.errors import ConfigurationError, NotFound, UnexpectedAnswer

EMAIL_PROVIDER = "Email Security Provider"
"""The provider that aliases usually lead to; every organization has it (docs 87)."""

_STATUS = frozenset({"statistics", "currentStatus", "lastRefreshOperation"})
"""What the platform says along with a provider's model, and does not take back."""


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

        :param source_ids: sources whose items name its identities
        :param cascades_to: providers that aliases of its identities lead to
        :param case_sensitive: whether names that differ in case are different; ``None`` leaves it as it is
        :return: whether anything was created or changed
        """
        model: dict[str, Any]
        try:
            answered = self.get_security_provider(provider_id)
        except NotFound as error:
            if error.code in {
                "",
                "ORGANIZATION_NOT_FOUND",
            }:  # only the API's own word is reason to create one
                raise
            exists = False
            model = {"id": provider_id, "displayName": provider_id, "type": "EXPANDED", "nodeRequired": False}
        else:
            exists = True
            model = {key: value for key, value in answered.items() if key not in _STATUS}
        wanted: dict[str, Any] = {
            **model,
            "referencedBy": _linked(model.get("referencedBy"), source_ids),
            "cascadingSecurityProviders": _cascading(model.get("cascadingSecurityProviders"), cascades_to),
        }
        if case_sensitive is not None:
            wanted["caseSensitive"] = case_sensitive
        if not exists:
            self.create_security_provider(wanted)
        elif wanted != model:
            self.update_security_provider(provider_id, wanted)
        return not exists or wanted != model


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

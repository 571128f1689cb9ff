"""Security providers (docs 85): what they are, what they cascade to, who uses them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import orjson

from coveo_provider.sandbox.service.errors import ApiError
from coveo_provider.sandbox.service.security.access_rules import EMAIL_PROVIDER, TYPES, Key, fold
from coveo_provider.sandbox.service.security.identity_store import DISABLED, KNOWN

if TYPE_CHECKING:
    from coveo_provider.sandbox.service.clock import Clock
    from coveo_provider.sandbox.service.security.identity_store import IdentityRow, IdentityStore, Spot
    from coveo_provider.sandbox.service.sources import Source, Sources

KINDS = (
    *("ACTIVE_DIRECTORY2", "BOX", "CLAIMS", "CLAIMS_TO_EMAIL", "CONFLUENCE", "CONFLUENCE2", "CUSTOM"),
    *("DATABASE", "DROPBOX_FOR_BUSINESS", "EMAIL", "EXPANDED", "FILE", "GOOGLE_DRIVE_DOMAIN_WIDE"),
    *("GENERIC_REST", "GRAPHQL", "JIRA2", "JIVE", "KHOROS_COMMUNITY", "MICROSOFT_DYNAMICS", "OFFICE365"),
    *("SALESFORCE", "SERVICENOW", "SHAREPOINT", "SHAREPOINT_ONLINE", "SITECORE", "SLACK", "ZENDESK"),
)


@dataclass
class Provider:
    """
    One provider. ``n`` is its number in the database; the rest is kept there as JSON.

    :param type: ``EXPANDED`` takes pushed identities
    :param cascades: name in ``cascadingSecurityProviders`` → id of the provider
    :param floor: orderingIds below are rejected (docs 131)
    :param refreshed_ms: when it was last refreshed, 0 for never
    """

    n: int
    id: str
    display_name: str
    type: str = "EXPANDED"
    node_required: bool = False
    case_sensitive: bool = False
    cascades: dict[str, str] = field(default_factory=dict)
    floor: int | None = None
    refreshed_ms: int = 0

    def state_name(self, state: int) -> str:
        """
        Give the state of an identity as the security cache spells it.

        One that was only named, as a member or granted, is in error: the provider does not know it (docs 1336).
        """
        if state == DISABLED:
            return "DISABLED"
        return "UP_TO_DATE" if state == KNOWN or self.type == "EMAIL" else "IN_ERROR"


@dataclass(frozen=True)
class Settings:
    """
    What can be set of a provider.

    :param display_name: the id when left empty
    :param cascades: name in ``cascadingSecurityProviders`` → id of a provider that exists
    :param sources: ids of the sources it is linked to
    """

    kind: str = "EXPANDED"
    display_name: str = ""
    node_required: bool = False
    case_sensitive: bool = False
    cascades: Mapping[str, str] = field(default_factory=dict)
    sources: Sequence[str] = ()


class Providers:
    """All providers of the organization; the Email Security Provider is there from the start."""

    def __init__(self, store: IdentityStore, sources: Sources, clock: Clock) -> None:
        self._store, self._sources, self._clock = store, sources, clock
        self._lock = threading.Lock()
        self._by_id: dict[str, Provider] = {}
        self._by_number: dict[int, Provider] = {}
        for config in store.providers():
            self._know(Provider(**orjson.loads(config)))
        if EMAIL_PROVIDER not in self._by_id:
            self.add(EMAIL_PROVIDER, Settings("EMAIL"))

    def all(self) -> list[Provider]:
        """List them, oldest first."""
        return list(self._by_id.values())

    def get(self, provider_id: str) -> Provider | None:
        """Find one by its id."""
        return self._by_id.get(provider_id)

    def by_number(self, n: int) -> Provider | None:
        """Find one by its number in the database."""
        return self._by_number.get(n)

    def require(self, provider_id: str) -> Provider:
        """
        Find one for a Push call.

        No page gives the answer for an unknown provider. It is taken as 412, as for an unknown source; the
        only documented 404 of the Push API is the organization's (``docs/api-notes.md, "Errors and retries"``).

        :raises ApiError: 412 when it does not exist, or takes no pushed identities
        """
        provider = self.get(provider_id)
        if provider is None:
            raise ApiError(
                412, "SECURITY_PROVIDER_DOES_NOT_EXIST", f"The provider '{provider_id}' does not exist."
            )
        if provider.type != "EXPANDED":
            raise ApiError(
                412, "INVALID_SECURITY_PROVIDER_ID", f"The provider '{provider_id}' takes no identities."
            )
        return provider

    def add(self, provider_id: str, settings: Settings) -> Provider:
        """
        Make a provider.

        :raises ValueError: for an id that is taken, an unknown type, provider or source
        """
        if not provider_id.strip():
            raise ValueError("a security provider has an id")
        with self._lock:
            if provider_id in self._by_id:
                raise ValueError(f"the security provider {provider_id!r} exists")
            provider = Provider(max(self._by_number, default=0) + 1, provider_id, provider_id)
            self._set(provider, settings)
            self._know(provider)
        return provider

    def change(self, provider: Provider, settings: Settings) -> None:
        """
        Put new settings in place of the old: a source that they do not name is unlinked.

        :raises ValueError: as :meth:`add`; also when ``case_sensitive`` changes and there are identities
        """
        if settings.case_sensitive != provider.case_sensitive and self._store.states(provider.n):
            raise ValueError("caseSensitive cannot change while the provider has identities")
        with self._lock:
            self._set(provider, settings)

    def _set(self, provider: Provider, settings: Settings) -> None:
        if settings.kind not in KINDS:
            raise ValueError(
                f"a security provider's type is one of {', '.join(KINDS)}, not {settings.kind!r}"
            )
        for other in settings.cascades.values():
            if other not in self._by_id or other == provider.id:
                raise ValueError(f"there is no security provider {other!r} to cascade to")
        linked = set(settings.sources)
        if unknown := sorted(linked - {one.id for one in self._sources.listed()}):
            raise ValueError(f"there is no source {unknown[0]!r}")
        provider.type, provider.display_name = settings.kind, settings.display_name or provider.id
        provider.node_required, provider.case_sensitive = settings.node_required, settings.case_sensitive
        provider.cascades = dict(settings.cascades)
        self._store.save_provider(provider.n, provider.id, orjson.dumps(asdict(provider)))
        for source in self._sources.all():
            if (source.id in linked) == (provider.id in source.providers):
                continue
            if source.id in linked:
                source.providers.append(provider.id)
            else:
                source.providers.remove(provider.id)
            self._sources.save(source)

    def users(self, provider: Provider) -> tuple[list[Source], list[Provider]]:
        """Give the sources linked to a provider, and the providers that cascade to it."""
        return (
            [one for one in self._sources.all() if provider.id in one.providers],
            [one for one in self.all() if provider.id in one.cascades.values()],
        )

    def remove(self, provider: Provider) -> None:
        """Delete a provider with its identities."""
        with self._lock:
            self._by_id.pop(provider.id, None)
            self._by_number.pop(provider.n, None)
            self._store.forget_provider(provider.n)

    def save(self, provider: Provider) -> None:
        """Keep what changed."""
        with self._lock:
            if provider.id in self._by_id:
                self._store.save_provider(provider.n, provider.id, orjson.dumps(asdict(provider)))

    def raise_floor(self, provider: Provider, ordering: int) -> None:
        """Reject from now on what has a lower orderingId; a floor never comes down."""
        provider.floor = max(ordering, provider.floor or 0)
        self.save(provider)

    def refresh(self, provider: Provider) -> None:
        """Note a refresh of the security cache."""
        provider.refreshed_ms = self._clock.now_ms()
        self.save(provider)

    def count_by_state(self, provider: Provider) -> dict[str, int]:
        """Count a provider's identities as ``numberOfEntitiesByState``."""
        counts: dict[str, int] = {}
        for state, count in sorted(self._store.states(provider.n).items()):
            name = provider.state_name(state)
            counts[name] = counts.get(name, 0) + count
        return counts

    def reset(self) -> None:
        """Bring every provider back to the state it was made in."""
        for provider in self.all():
            provider.floor, provider.refreshed_ms = None, 0
            self.save(provider)

    # -- where an identity is --------------------------------------------------------------------------------

    def key(self, provider_id: str, kind: str, name: str) -> Key:
        """Give an identity's key; names of a provider that does not exist compare without case."""
        provider = self.get(provider_id)
        sensitive = provider is not None and provider.case_sensitive
        return Key(provider_id, kind, fold(name, case_sensitive=sensitive))

    def spot(self, key: Key) -> Spot | None:
        """Give where the database keeps an identity; None when its provider does not exist."""
        provider = self.get(key.provider)
        return None if provider is None else (provider.n, key.name, TYPES.index(key.type))

    def key_of(self, row: IdentityRow) -> Key:
        """Give the key of a stored identity."""
        return Key(self._by_number[row.provider].id, TYPES[row.type], row.folded)

    def _know(self, provider: Provider) -> None:
        self._by_id[provider.id] = provider
        self._by_number[provider.n] = provider

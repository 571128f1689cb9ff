"""Security providers (``platform-api.md`` section 4): what they are, what they cascade to, who uses them."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import orjson

from coveo_provider.sandbox.service.access import EMAIL_PROVIDER, TYPES, Key, fold
from coveo_provider.sandbox.service.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from coveo_provider.sandbox.service.clock import Clock
    from coveo_provider.sandbox.service.identity_store import IdentityRow, IdentityStore, Spot
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
    One provider. ``n`` is its number in the store; the rest is kept there as JSON.

    :param type: ``EXPANDED`` takes pushed identities
    :param cascades: name in ``cascadingSecurityProviders`` → id of the provider
    :param floor: orderingIds below are rejected (push-api.md 7)
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
            self.add(EMAIL_PROVIDER, kind="EMAIL")

    def all(self) -> list[Provider]:
        """List them, oldest first."""
        return list(self._by_id.values())

    def get(self, provider_id: str) -> Provider | None:
        """Find one by its id."""
        return self._by_id.get(provider_id)

    def by_number(self, n: int) -> Provider | None:
        """Find one by its number in the store."""
        return self._by_number.get(n)

    def require(self, provider_id: str) -> Provider:
        """
        Find one for a Push call.

        uncertain: no page gives the answer for an unknown provider. 412 as for an unknown source
        (limits-and-errors.md 3: ``SOURCE_DOES_NOT_EXIST``, ``INVALID_SOURCE_ID``); the only documented 404 of
        the Push API is the organization's.

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

    def add(
        self,
        provider_id: str,
        *,
        kind: str = "EXPANDED",
        display_name: str | None = None,
        node_required: bool = False,
        case_sensitive: bool = False,
        cascades: Mapping[str, str] | None = None,
        sources: Iterable[str] = (),
    ) -> Provider:
        """
        Make a provider.

        :param cascades: name → id of a provider that exists
        :param sources: ids of the sources it is linked to
        :raises ValueError: for an id that is taken, an unknown type, provider or source
        """
        if not provider_id.strip():
            raise ValueError("a security provider has an id")
        with self._lock:
            if provider_id in self._by_id:
                raise ValueError(f"the security provider {provider_id!r} exists")
            provider = Provider(max(self._by_number, default=0) + 1, provider_id, display_name or provider_id)
            self._set(provider, kind, node_required, case_sensitive, cascades or {}, sources)
            self._know(provider)
        return provider

    def change(
        self,
        provider: Provider,
        *,
        kind: str,
        display_name: str,
        node_required: bool,
        case_sensitive: bool,
        cascades: Mapping[str, str],
        sources: Iterable[str],
    ) -> None:
        """
        Put new settings in place of the old: a source that is not in ``sources`` is unlinked.

        :raises ValueError: as :meth:`add`; also when ``case_sensitive`` changes and there are identities
        """
        if case_sensitive != provider.case_sensitive and self._store.states(provider.n):
            raise ValueError("caseSensitive cannot change while the provider has identities")
        with self._lock:
            provider.display_name = display_name
            self._set(provider, kind, node_required, case_sensitive, cascades, sources)

    def _set(
        self,
        provider: Provider,
        kind: str,
        node_required: bool,
        case_sensitive: bool,
        cascades: Mapping[str, str],
        sources: Iterable[str],
    ) -> None:
        if kind not in KINDS:
            raise ValueError(f"a security provider's type is one of {', '.join(KINDS)}, not {kind!r}")
        for other in cascades.values():
            if other not in self._by_id or other == provider.id:
                raise ValueError(f"there is no security provider {other!r} to cascade to")
        linked = set(sources)
        if unknown := sorted(linked - {one.id for one in self._sources.listed()}):
            raise ValueError(f"there is no source {unknown[0]!r}")
        provider.type, provider.node_required = kind, node_required
        provider.case_sensitive, provider.cascades = case_sensitive, dict(cascades)
        self._store.save_provider(provider.n, provider.id, orjson.dumps(asdict(provider)))
        for source in self._sources.all():
            if source.id in linked and provider.id not in source.providers:
                source.providers.append(provider.id)
                self._sources.save(source)
            elif source.id not in linked and provider.id in source.providers:
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
        """Give where the store keeps an identity; None when its provider does not exist."""
        provider = self.get(key.provider)
        return None if provider is None else (provider.n, key.name, TYPES.index(key.type))

    def key_of(self, row: IdentityRow) -> Key:
        """Give the key of a stored identity."""
        return Key(self._by_number[row.provider].id, TYPES[row.type], row.folded)

    def _know(self, provider: Provider) -> None:
        self._by_id[provider.id] = provider
        self._by_number[provider.n] = provider

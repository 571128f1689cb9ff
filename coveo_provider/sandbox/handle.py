"""All that can be done with a sandbox beside its API: set up, move the time, break things, look inside."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

from coveo_provider.sandbox.contents import Contents
from coveo_provider.sandbox.http.faults import Dates, Faults
from coveo_provider.sandbox.service.security.access_rules import EMAIL_PROVIDER
from coveo_provider.sandbox.service.security.providers import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coveo_provider.sandbox.service.clock import Clock
    from coveo_provider.sandbox.service.records import Call
    from coveo_provider.sandbox.service.state import State


# A sandbox that runs for weeks forgets its oldest calls.
_MOST_CALLS = 100_000


class Handle(Contents):
    """
    What :class:`~coveo_provider.sandbox.sandbox.Sandbox` offers, without its server.

    :ivar faults: failures on order, see :class:`~coveo_provider.sandbox.http.faults.Faults`
    :ivar dates: how wrong the ``Date`` of answers is, see :class:`~coveo_provider.sandbox.http.faults.Dates`
    :ivar meter: what the quotas have counted, and the quotas themselves, see
        :class:`~coveo_provider.sandbox.service.quotas.Meter`
    :ivar log_delivery: how late, and how often, the Source Logs API gives an entry, see
        :class:`~coveo_provider.sandbox.service.indexing.source_log.LogDelivery`
    """

    def __init__(self, state: State) -> None:
        super().__init__(state)
        self.meter = state.meter
        self.log_delivery = state.log.delivery
        self.faults = Faults()
        self.dates = Dates()
        self._calls: deque[Call] = deque(maxlen=_MOST_CALLS)
        self._calls_lock = threading.Lock()

    # -- set-up ----------------------------------------------------------------------------------------------

    @property
    def organization_id(self) -> str:
        """The one organization."""
        return self.state.organization_id

    @property
    def api_key(self) -> str:
        """A key with every privilege."""
        return self.state.api_key

    @property
    def clock(self) -> Clock:
        """The sandbox's time."""
        return self.state.clock

    def add_source(
        self,
        source_id: str,
        *,
        kind: str = "PUSH",
        visibility: str = "SHARED",
        push_enabled: bool | None = None,
        stream_enabled: bool | None = None,
        catalog_configuration: bool = False,
        providers: Iterable[str] = (),
    ) -> None:
        """
        Make a source whose id and name are ``source_id``.

        :param kind: ``PUSH``, ``CATALOG``, or ``DATA_COLLECTION``, which is reached by its own calls only
        :param visibility: ``SHARED``, ``SECURED`` or ``PRIVATE``
        :param push_enabled: whether it takes pushed items and statuses; a PUSH source does when left out
        :param stream_enabled: whether it takes the Stream API's calls; the other kinds do when left out
        :param catalog_configuration: a catalog configuration uses it: no load empties it
        :param providers: ids of the security providers linked to it, the default of permissions first
        :raises ValueError: for an unknown kind, visibility or provider, or an id that is taken
        """
        linked = list(providers)
        for provider_id in linked:
            if self.state.providers.get(provider_id) is None:
                raise ValueError(f"there is no security provider {provider_id!r}")
        self.state.sources.add(
            source_id,
            kind=kind,
            visibility=visibility,
            push_enabled=push_enabled,
            stream_enabled=stream_enabled,
            catalog_configuration=catalog_configuration,
            source_id=source_id,
            providers=linked,
        )

    def add_security_provider(
        self,
        provider_id: str,
        *,
        sources: Iterable[str] = (),
        cascades_to: Iterable[str] = (EMAIL_PROVIDER,),
        case_sensitive: bool = False,
    ) -> None:
        """
        Make a provider that takes pushed identities.

        :param sources: ids of the sources it is linked to; the provider linked first to a source is the
            default of its items' permissions
        :param cascades_to: ids of the providers its aliases may lead to
        :raises ValueError: for an id that is taken, or an unknown source or provider
        """
        self.state.providers.add(
            provider_id,
            Settings(
                case_sensitive=case_sensitive,
                cascades={one: one for one in cascades_to},
                sources=tuple(sources),
            ),
        )

    def add_key(self, key: str, *, privileges: Iterable[str]) -> None:
        """
        Let a further key in, with these privileges only, such as ``SOURCE:VIEW``; a known one has these from now.

        To see a source takes ``SOURCE:VIEW``, to read its log ``ORGANIZATION:VIEW`` as well; to write
        ``ORGANIZATION:VIEW`` and ``SOURCE:EDIT``.

        :raises ValueError: for a privilege the sandbox does not know
        """
        self.state.keys.add(key, privileges)

    # -- time ------------------------------------------------------------------------------------------------

    def settle(self, timeout: float | None = 120) -> bool:
        """Apply every accepted operation, moving the clock over delays; False after ``timeout`` seconds."""
        return self.state.pipeline.settle(timeout)

    def drain(self, timeout: float | None = 120) -> bool:
        """Wait until what is due now is applied, the clock left alone; False after ``timeout`` seconds."""
        return self.state.pipeline.drain(timeout)

    def reset(self) -> None:
        """
        Forget everything but sources, security providers and keys.

        Items, identities, logs, streams, containers, calls, faults and what the quotas counted go; entries of the
        log are delivered at once again, and answers are dated rightly.
        """
        self.state.reset()
        self.faults.clear()
        self.dates.reset()
        self.clear_calls()

    # -- calls -----------------------------------------------------------------------------------------------

    @property
    def calls(self) -> list[Call]:
        """The last 100,000 calls answered or cut since :meth:`clear_calls`, controls left out."""
        with self._calls_lock:
            return list(self._calls)

    def clear_calls(self) -> None:
        """Forget the calls made so far."""
        with self._calls_lock:
            self._calls.clear()

    def _note(self, call: Call) -> None:
        with self._calls_lock:
            self._calls.append(call)

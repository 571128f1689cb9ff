"""The handle a test or the command line holds: start, look inside, change the time, break things, stop."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from coveo_provider.sandbox.calls import log_calls
from coveo_provider.sandbox.calls.provider_calls import state_name
from coveo_provider.sandbox.controls import Controls
from coveo_provider.sandbox.http.app import App
from coveo_provider.sandbox.http.faults import Faults
from coveo_provider.sandbox.http.server import Server
from coveo_provider.sandbox.service import identity_store, jsontext
from coveo_provider.sandbox.service.access import EMAIL_PROVIDER, TYPES
from coveo_provider.sandbox.service.clock import Clock
from coveo_provider.sandbox.service.state import State
from coveo_provider.sandbox.service.views import (
    Activity,
    Call,
    IdentityLogEntry,
    IdentityView,
    LogEntry,
    SourceView,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import TracebackType

    from coveo_provider.sandbox.service.limits import Limits
    from coveo_provider.sandbox.service.providers import Provider
    from coveo_provider.sandbox.service.quotas import Quotas
    from coveo_provider.sandbox.service.sources import Source


# A sandbox that runs for weeks forgets its oldest calls.
_MOST_CALLS = 100_000


class Sandbox:
    """
    A running sandbox; make one with :meth:`start` and use it as a context manager.

    :ivar url: base of every path, ``http://127.0.0.1:PORT``
    :ivar faults: failures on order, see :class:`~coveo_provider.sandbox.http.faults.Faults`
    :ivar meter: what the quotas have counted, and the quotas themselves, see
        :class:`~coveo_provider.sandbox.service.quotas.Meter`
    :ivar clock: the sandbox's time
    """

    def __init__(self, state: State, port: int) -> None:
        self.state = state
        self.meter = state.meter
        self.faults = Faults()
        self._calls: deque[Call] = deque(maxlen=_MOST_CALLS)
        self._calls_lock = threading.Lock()
        self._stopped = False
        self._server = Server(port, state, App(state, Controls(self)), self.faults, self._note)
        self.url = f"http://127.0.0.1:{self._server.port}"
        state.base_url = self.url

    @classmethod
    def start(
        cls,
        *,
        database: str | None = None,
        port: int = 0,
        clock: Clock | None = None,
        scale: float = 1.0,
        sources: Mapping[str, str] | None = None,
        organization_id: str = "sandbox",
        api_key: str = "sandbox-key",
        limits: Limits | None = None,
        quotas: Quotas | None = None,
    ) -> Sandbox:
        """
        Start a sandbox on 127.0.0.1.

        :param database: SQLite file that outlives the sandbox; None keeps everything for this run only
        :param port: 0 for any free port
        :param clock: the time to use; made from ``scale`` when left out
        :param scale: seconds passing in the sandbox per real second
        :param sources: source id → ``PUSH``, ``CATALOG`` or ``DATA_COLLECTION``; ids a database already knows
            stay as they are
        :param api_key: a key with every privilege
        :param limits: other figures than the service's, for tests
        :param quotas: how much of the API may be used, ``Quotas.production()`` for one; without bound when left
            out
        :raises OSError: when the port is taken
        :raises ValueError: for a source kind that does not exist
        """
        state = State(
            database=database,
            clock=clock or Clock(scale=scale),
            limits=limits,
            quotas=quotas,
            organization_id=organization_id,
            api_key=api_key,
        )
        try:
            if sources is None:
                sources = {"products": "CATALOG", "files": "PUSH"}
            for source_id, kind in sources.items():
                if state.sources.get(source_id) is None:
                    state.sources.add(source_id, kind=kind, source_id=source_id)
            return cls(state, port)
        except BaseException:
            state.close()
            raise

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shut_down()
        if kind is None:
            self._raise_errors()

    def stop(self) -> None:
        """
        Stop listening and indexing; what was accepted and is not applied yet is lost, delayed deletions are
        kept in a database that outlives the sandbox.

        :raises Exception: the first exception the sandbox itself had, if any
        """  # noqa: D205
        self._shut_down()
        self._raise_errors()

    def _shut_down(self) -> None:
        if not self._stopped:
            self._stopped = True
            self._server.stop()
            self.state.close()

    def _raise_errors(self) -> None:
        if self.state.errors:
            raise self.state.errors[0]

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
        catalog_configuration: bool = False,
        providers: Iterable[str] = (),
    ) -> None:
        """
        Make a source whose id and name are ``source_id``.

        :param kind: ``PUSH``, ``CATALOG``, or ``DATA_COLLECTION``, which is reached by its own calls only
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
            case_sensitive=case_sensitive,
            cascades={one: one for one in cascades_to},
            sources=sources,
        )

    def add_key(self, key: str, *, privileges: Iterable[str]) -> None:
        """Let a further key in, with these privileges only (``platform-api.md`` section 2)."""
        self.state.add_key(key, privileges)

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

        Items, identities, logs, streams, containers, calls, faults and what the quotas counted go.
        """
        self.state.reset()
        self.faults.clear()
        self.clear_calls()

    # -- what it holds ---------------------------------------------------------------------------------------

    def items(self, source_id: str) -> dict[str, dict[str, Any]]:
        """
        Everything the index holds of a source: documentId → item as indexed.

        Metadata keys are spelled as pushed, reserved keys as the API spells them. A decimal comes as a
        float when that loses no digit, else as a :class:`~decimal.Decimal`.
        """
        n, after = self._source(source_id).n, ""
        found: dict[str, dict[str, Any]] = {}
        while rows := self.state.store.page(n, after, 10_000):
            found.update((uri, jsontext.parse_exact(body)) for uri, _, body in rows)
            after = rows[-1][0]
        return found

    def item(self, source_id: str, document_id: str) -> dict[str, Any] | None:
        """One item as :meth:`items` gives it; None when the index does not hold it."""
        body = self.item_json(source_id, document_id)
        return None if body is None else jsontext.parse_exact(body)

    def item_json(self, source_id: str, document_id: str) -> bytes | None:
        """One item's JSON, every number as it was written."""
        return self.state.store.body(self._source(source_id).n, document_id)

    def file_content(self, source_id: str, document_id: str) -> bytes | None:
        """What came for an item through a container of its own, still compressed; None when nothing did."""
        path = self.state.bodies.find(self._source(source_id).n, document_id)
        return path.read_bytes() if path else None

    def count(self, source_id: str) -> int:
        """How many items the index holds of a source."""
        return self._source(source_id).item_count

    def ordering_id(self, source_id: str, document_id: str) -> int | None:
        """The orderingId of an item's last update; None when the index does not hold it."""
        found = self.state.store.orderings(self._source(source_id).n, [document_id])
        ordering, there = found.get(document_id, (0, False))
        return ordering if there else None

    def source(self, source_id: str) -> SourceView:
        """What a source looks like now."""
        source = self._source(source_id)
        return SourceView(
            id=source.id,
            name=source.name,
            kind=source.kind,
            visibility=source.visibility,
            status=source.status or "PUSH_READY",
            activities=tuple(self.state.sources.activities(source)),
            open_streams=self.state.streams.of(source),
            item_count=source.item_count,
            floor=source.floor,
        )

    def activities(self, source_id: str) -> list[Activity]:
        """Activities of a source, oldest first."""
        return self.state.sources.activities(self._source(source_id))

    def logs(self, source_id: str) -> list[LogEntry]:
        """Log entries of a source, oldest first."""
        return log_calls.entries(self.state, self._source(source_id).n)

    # -- who sees what ---------------------------------------------------------------------------------------

    def can_see(
        self, source_id: str, document_id: str, user: str | None, provider: str | None = None
    ) -> bool:
        """
        Say whether a user sees an item, by the index and the security cache as they are now.

        :param user: name of the user; None when unauthenticated
        :param provider: whose user it is; the Email Security Provider, through which people log in, when left
            out
        :raises KeyError: when there is no such source, or the index does not hold the item
        """
        visibility = self.state.visibility
        key = None if user is None else visibility.user(user, provider)
        return visibility.verdict(self._source(source_id), document_id, key).allowed

    def viewers(self, source_id: str, document_id: str) -> list[str]:
        """
        Names of the users who see an item, sorted, of those that were pushed or named by a push.

        ``anonymous`` is among them when an unauthenticated user sees it.

        :raises KeyError: as :meth:`can_see`
        """
        return self.state.visibility.viewers(self._source(source_id), document_id)

    def identities(self, provider_id: str) -> list[IdentityView]:
        """Everything a security provider knows, by name."""
        provider = self._provider(provider_id)
        rows, _ = self.state.identity_store.page([provider.n])
        return [self._identity(provider, row) for row in rows]

    def identity_logs(self, provider_id: str) -> list[IdentityLogEntry]:
        """Log entries of a security provider, oldest first."""
        rows = self.state.identity_store.read_log(self._provider(provider_id).n)
        return [
            IdentityLogEntry(
                row.time_ms, provider_id, row.id, row.operation, row.result, row.ordering, row.error
            )
            for row in rows
        ]

    def _identity(self, provider: Provider, row: identity_store.IdentityRow) -> IdentityView:
        def names(*kinds: int) -> tuple[str, ...]:
            return tuple(sorted(one.name for one in store.ends(spot, kinds)))

        store, spot = self.state.identity_store, (row.provider, row.folded, row.type)
        aliases = [
            (other.id, one.name)
            for one in store.ends(spot, (identity_store.ALIAS,))
            if (other := self.state.providers.by_number(one.provider))
        ]
        return IdentityView(
            name=row.name,
            type=TYPES[row.type],
            state=state_name(provider, row.state),
            members=names(identity_store.MEMBER),
            aliases=tuple(sorted(aliases)),
            granted=tuple(dict.fromkeys(names(identity_store.GRANTED, identity_store.ALIAS_GRANTED))),
            ordering_id=row.ordering,
            additional_info=jsontext.parse(row.info) if row.info else {},
        )

    def _provider(self, provider_id: str) -> Provider:
        provider = self.state.providers.get(provider_id)
        if provider is None:
            raise KeyError(f"the sandbox has no security provider {provider_id!r}")
        return provider

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

    def _source(self, source_id: str) -> Source:
        source = self.state.sources.get(source_id)
        if source is None:
            raise KeyError(f"the sandbox has no source {source_id!r}")
        return source

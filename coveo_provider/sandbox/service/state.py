"""Everything the sandbox knows, without HTTP: the parts, wired together."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from coveo_provider.sandbox.service.bodies import Bodies
from coveo_provider.sandbox.service.clock import Clock
from coveo_provider.sandbox.service.containers import Containers
from coveo_provider.sandbox.service.expansion import Expansion
from coveo_provider.sandbox.service.identity_store import IdentityStore
from coveo_provider.sandbox.service.indexing import Indexer
from coveo_provider.sandbox.service.limits import Limits
from coveo_provider.sandbox.service.pipeline import Pipeline
from coveo_provider.sandbox.service.providers import Providers
from coveo_provider.sandbox.service.quotas import Meter
from coveo_provider.sandbox.service.sources import Sources
from coveo_provider.sandbox.service.store import Store
from coveo_provider.sandbox.service.streams import Streams
from coveo_provider.sandbox.service.visibility import Visibility

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coveo_provider.sandbox.service.providers import Provider
    from coveo_provider.sandbox.service.quotas import Quotas
    from coveo_provider.sandbox.service.sources import Source

# platform-api.md section 2, with the owners left out.
PRIVILEGES = frozenset(
    (
        "ORGANIZATION:VIEW",
        *(f"SOURCE:{level}" for level in ("VIEW", "EDIT", "CREATE")),
        *(f"SECURITY_PROVIDER:{level}" for level in ("VIEW", "EDIT", "CREATE")),
        *(f"FIELD:{level}" for level in ("VIEW", "EDIT", "CREATE")),
        "ACTIVITIES:VIEW",
    )
)


class State:
    """
    One organization with its sources, items, identities, keys, containers, streams and queue.

    :param database: path of the SQLite file, None for a private temporary one
    :raises DatabaseError: when the file cannot be used
    """

    def __init__(
        self,
        *,
        database: str | None = None,
        clock: Clock | None = None,
        limits: Limits | None = None,
        quotas: Quotas | None = None,
        organization_id: str = "sandbox",
        api_key: str = "sandbox-key",
    ) -> None:
        self.clock = clock or Clock()
        self.limits = limits or Limits()
        self.organization_id = organization_id
        self.api_key = api_key
        self.keys: dict[str, frozenset[str]] = {api_key: PRIVILEGES}
        self.errors: list[BaseException] = []
        self.base_url = ""
        self._lock = threading.Lock()
        self._last_ordering = 0
        self.store = Store(database)
        self._folder = Path(tempfile.mkdtemp(prefix="coveo-sandbox-"))
        self.sources = Sources(self.store, self.clock, organization_id)
        self.meter = Meter(
            self.store, self.clock, quotas, lambda: sum(one.item_count for one in self.sources.all())
        )
        self.containers = Containers(self._folder, self.clock, self.limits, organization_id)
        self.bodies = Bodies(
            Path(f"{database}.bodies") if database else self._folder / "bodies", self.containers
        )
        self.streams = Streams()
        self.identity_store = IdentityStore(self.store)
        self.providers = Providers(self.identity_store, self.sources, self.clock)
        self.visibility = Visibility(self.store, self.identity_store, self.providers)
        self.pipeline = Pipeline(self.clock, self.errors.append)
        self.indexer = Indexer(
            self.store,
            self.sources,
            self.bodies,
            self.clock,
            self.limits,
            self.visibility,
            lambda: self.pipeline.stopped,
        )
        self.expansion = Expansion(
            self.store, self.identity_store, self.providers, self.clock, lambda: self.pipeline.stopped
        )
        for seq, due_ms, kind, source_n, ordering in self.store.pending():
            self._schedule(seq, due_ms, kind, source_n, ordering)

    def next_ordering(self) -> int:
        """Give the next orderingId of the server: its time in milliseconds, and never the same twice."""
        with self._lock:
            self._last_ordering = max(self._last_ordering + 1, self.clock.now_ms())
            return self._last_ordering

    def add_key(self, key: str, privileges: Iterable[str]) -> None:
        """
        Let a key in.

        :raises ValueError: for a privilege the sandbox does not know
        """
        wanted = frozenset(privileges)
        if unknown := wanted - PRIVILEGES:
            raise ValueError(f"unknown privileges: {', '.join(sorted(unknown))}")
        self.keys[key] = wanted

    def submit_delete_older(self, source: Source, ordering: int, delay_minutes: int) -> None:
        """Accept a delete-older: its floor holds from its turn in the queue on, its deletions come later."""
        self.pipeline.submit(lambda: self.indexer.raise_floor(source, ordering))
        self.delay("delete_older", source, ordering, delay_minutes)

    def submit_disable_older(self, provider: Provider, ordering: int, delay_minutes: int) -> None:
        """Accept a disable-older of identities, as :meth:`submit_delete_older` does for items."""
        self.pipeline.submit(lambda: self.expansion.raise_floor(provider, ordering))
        self._delay("disable_older", -provider.n, ordering, delay_minutes)

    def delay(self, kind: str, source: Source, ordering: int, delay_minutes: int) -> None:
        """Accept a deletion (``delete_older`` or ``remove_absent``) for later, also across a restart."""
        self._delay(kind, source.n, ordering, delay_minutes)

    def _delay(self, kind: str, number: int, ordering: int, delay_minutes: int) -> None:
        """Keep and schedule what is due later; ``number`` is a source's, or a provider's below zero."""
        due_ms = self.clock.now_ms() + delay_minutes * 60_000
        with self._lock:
            seq = max((row[0] for row in self.store.pending()), default=0) + 1
            self.store.save_pending(seq, due_ms, kind, number, ordering)
        self._schedule(seq, due_ms, kind, number, ordering)

    def _schedule(self, seq: int, due_ms: int, kind: str, number: int, ordering: int) -> None:
        def work() -> None:
            if kind == "disable_older":
                if provider := self.providers.by_number(-number):
                    self.expansion.disable_older(provider, ordering)
            elif source := self.sources.by_number(number):
                if kind == "remove_absent":
                    self.indexer.remove_absent(source, ordering)
                else:
                    self.indexer.delete_older(source, ordering)
            self.store.forget_pending(seq)

        self.pipeline.submit(work, due_ms=due_ms)

    def reset(self) -> None:
        """Forget everything but sources, security providers and keys."""
        self.pipeline.clear()
        self.store.clear()
        self.identity_store.clear()
        self.providers.reset()
        self.streams.reset()
        self.meter.reset()
        self.containers.reset()
        self.bodies.reset()
        self.sources.reset()

    def close(self) -> None:
        """Stop the queue and drop what was temporary."""
        self.pipeline.stop()
        self.store.close()
        shutil.rmtree(self._folder, ignore_errors=True)

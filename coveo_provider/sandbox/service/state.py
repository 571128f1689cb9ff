"""One organization: the parts of the service, wired together."""

from __future__ import annotations

import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from coveo_provider.sandbox.service.clock import Clock
from coveo_provider.sandbox.service.containers import Containers
from coveo_provider.sandbox.service.database import Database
from coveo_provider.sandbox.service.delayed_deletions import DelayedDeletions, Deletion
from coveo_provider.sandbox.service.fields import Fields
from coveo_provider.sandbox.service.indexing.indexer import Indexer
from coveo_provider.sandbox.service.indexing.item_files import ItemFiles
from coveo_provider.sandbox.service.indexing.item_store import ItemStore
from coveo_provider.sandbox.service.indexing.item_writer import ItemWriter
from coveo_provider.sandbox.service.indexing.source_log import SourceLog
from coveo_provider.sandbox.service.keys import Keys
from coveo_provider.sandbox.service.limits import Limits
from coveo_provider.sandbox.service.pipeline import Pipeline
from coveo_provider.sandbox.service.quotas import Meter
from coveo_provider.sandbox.service.security.identity_store import IdentityStore
from coveo_provider.sandbox.service.security.identity_updates import IdentityUpdates
from coveo_provider.sandbox.service.security.item_access import ItemAccess
from coveo_provider.sandbox.service.security.providers import Providers
from coveo_provider.sandbox.service.sources import Sources
from coveo_provider.sandbox.service.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coveo_provider.sandbox.service.indexing.indexer import Chunk
    from coveo_provider.sandbox.service.quotas import Quotas
    from coveo_provider.sandbox.service.security.providers import Provider
    from coveo_provider.sandbox.service.sources import Source

_OF_A_SOURCE = ("delete_older", "remove_absent")


class State:
    """
    One organization with its sources, items, identities, keys, containers, streams and queue.

    :param database: path of the SQLite file, None for a private temporary one
    :param hasten: whether who reads the log is spared the wait for what is due next
    :param strict_fields: whether metadata that no field takes is dropped, with a warning in the log
    :raises DatabaseError: when the file cannot be used
    :ivar folder: for what is kept in files until the sandbox stops
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
        hasten: bool = True,
        strict_fields: bool = False,
    ) -> None:
        self.clock = clock or Clock()
        self.limits = limits or Limits()
        self.organization_id = organization_id
        self.api_key = api_key
        self.keys = Keys(api_key)
        self.errors: list[BaseException] = []
        self.base_url = ""
        self._lock = threading.Lock()
        self._last_ordering = 0
        self.folder = Path(tempfile.mkdtemp(prefix="coveo-sandbox-"))
        self.database = Database(database)
        self.items = ItemStore(self.database)
        self.log = SourceLog(self.database, self.clock, organization_id)
        self.sources = Sources(self.database, self.clock, organization_id, self.items.count)
        self.meter = Meter(
            self.database, self.clock, quotas, lambda: sum(one.item_count for one in self.sources.all())
        )
        self.containers = Containers(self.folder, self.clock, self.limits, organization_id)
        self.item_files = ItemFiles(
            Path(f"{database}.bodies") if database else self.folder / "bodies", self.containers
        )
        self.streams = Streams()
        self.fields = Fields(self.database)
        self.identity_store = IdentityStore(self.database)
        self.providers = Providers(self.identity_store, self.sources, self.clock)
        self.item_access = ItemAccess(self.items, self.identity_store, self.providers)
        self.pipeline = Pipeline(self.clock, self.errors.append)
        self._hastens = hasten
        writer = ItemWriter(
            self.database,
            self.items,
            self.log,
            self.item_files,
            self.item_access,
            self.limits,
            lambda: self.pipeline.stopped,
            self.fields.by_name if strict_fields else None,
        )
        self.indexer = Indexer(self.items, self.log, self.sources, writer)
        self.identity_updates = IdentityUpdates(
            self.database, self.identity_store, self.providers, self.clock, lambda: self.pipeline.stopped
        )
        self._deletions = DelayedDeletions(
            self.database,
            self.pipeline,
            {
                "delete_older": self._delete_older,
                "remove_absent": self._delete_older,
                "disable_older": self._disable_older,
            },
        )

    def hasten(self) -> None:
        """Spare who reads the log the wait for what is due next, unless delays are to be the service's."""
        if self._hastens:
            self.pipeline.hasten()

    def next_ordering(self) -> int:
        """Give the next orderingId of the server: its time in milliseconds, and never the same twice."""
        with self._lock:
            self._last_ordering = max(self._last_ordering + 1, self.clock.now_ms())
            return self._last_ordering

    # -- what is accepted now and carried out later ----------------------------------------------------------

    def submit_delete_older(
        self, source: Source, mark: int, delay_minutes: int, *, ordering: int | None = None
    ) -> None:
        """
        Accept a delete-older: its floor holds from its turn in the queue on, its deletions come later.

        :param ordering: the operation's own orderingId, which its log entries have; ``mark`` when left out
        """
        ordering = mark if ordering is None else ordering
        self.pipeline.submit(lambda: self.indexer.raise_floor(source, mark, ordering))
        self._deletions.add(Deletion("delete_older", source.n, mark, ordering), self._due_ms(delay_minutes))

    def submit_disable_older(self, provider: Provider, mark: int, delay_minutes: int) -> None:
        """Accept a disable-older of identities, as :meth:`submit_delete_older` does for items."""
        self.pipeline.submit(lambda: self.identity_updates.raise_floor(provider, mark))
        self._deletions.add(Deletion("disable_older", provider.n, mark, mark), self._due_ms(delay_minutes))

    def submit_load(self, source: Source, chunks: Sequence[Chunk], ordering: int) -> None:
        """Accept a closed stream: what its chunks do not bring goes some minutes after the close."""
        due_ms = self._due_ms(self.limits.queue_delay_minutes)

        def work() -> None:
            # Half a load, where the sandbox was stopped within it, removes nothing.
            if self.indexer.load(source, chunks, ordering) and not self.pipeline.stopped:
                self._deletions.add(Deletion("remove_absent", source.n, ordering, ordering), due_ms)

        self.pipeline.submit(work)

    def _due_ms(self, delay_minutes: int) -> int:
        return self.clock.now_ms() + delay_minutes * 60_000

    def _delete_older(self, deletion: Deletion) -> None:
        if source := self.sources.by_number(deletion.number):
            self.indexer.delete_older(source, deletion.mark, deletion.ordering)

    def _disable_older(self, deletion: Deletion) -> None:
        if provider := self.providers.by_number(deletion.number):
            self.identity_updates.disable_older(provider, deletion.mark)

    # -- what goes -------------------------------------------------------------------------------------------

    def remove_source(self, source: Source) -> None:
        """Delete a source with everything of it but its log."""
        self.sources.remove(source)
        self.items.forget(source.n)
        self._deletions.forget(_OF_A_SOURCE, source.n)

    def remove_provider(self, provider: Provider) -> None:
        """Delete a security provider with its identities."""
        self.providers.remove(provider)
        self._deletions.forget(("disable_older",), provider.n)

    def reset(self) -> None:
        """Forget everything but sources, security providers and keys."""
        self.pipeline.clear()
        self._deletions.clear()
        self.items.clear()
        self.log.clear()
        self.identity_store.clear()
        self.providers.reset()
        self.sources.reset()
        self.streams.reset()
        self.meter.reset()
        self.containers.reset()
        self.item_files.reset()

    def close(self) -> None:
        """Stop the queue and drop what was temporary."""
        self.pipeline.stop()
        self.database.close()
        shutil.rmtree(self.folder, ignore_errors=True)

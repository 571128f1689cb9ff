"""Watch a source from the triggerer, so that a DAG runs when something happened to it."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from coveo_provider.errors import CoveoError
from coveo_provider.hooks.connection import ConnectionHook

if TYPE_CHECKING:
    from coveo_provider.api.client import CoveoClient
    from coveo_provider.api.types import LogEntry

_QUIET = frozenset({"IDLE", "PUSH_READY"})
_REFUSED = ("ERROR", "REJECTED")
_LATE_MS = 15 * 60_000  # an entry of the log may come that much after what it tells
_SHOWN = 20  # items named in an event

_log = logging.getLogger(__name__)


class _SourceTrigger(BaseEventTrigger):
    """
    Looks at a source again and again, and tells what it finds.

    What goes wrong with a look is logged, and the next one is taken. A trigger remembers nothing beyond the life of
    its triggerer: after a restart its first look is the one that later ones compare with.

    :param source_id: the source
    :param coveo_conn_id: the connection
    :param poll_seconds: seconds between two looks, each of which is one or two calls
    """

    def __init__(
        self, *, source_id: str, coveo_conn_id: str = "coveo_default", poll_seconds: float = 300.0
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.source_id = source_id
        self.coveo_conn_id = coveo_conn_id
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and its arguments."""
        names = ("source_id", "coveo_conn_id", "poll_seconds")
        return f"{__name__}.{type(self).__name__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look until the triggerer stops."""
        client: CoveoClient | None = None
        while True:
            try:
                if client is None:
                    client = await ConnectionHook(self.coveo_conn_id).aget_client()
                found = await asyncio.to_thread(self.look, client)
            except CoveoError as error:
                _log.warning("Source %s could not be looked at: %s", self.source_id, error)
            else:
                if found is not None:
                    yield TriggerEvent({"source_id": self.source_id, **found})  # type: ignore[no-untyped-call]
            await asyncio.sleep(self.poll_seconds)

    @abstractmethod
    def look(self, client: CoveoClient) -> dict[str, Any] | None:
        """Return what is to be told after a look, ``None`` for nothing."""


class CoveoSourceRebuiltTrigger(_SourceTrigger):
    """
    Tells when a source is idle again after a rebuild or another load.

    A load that begins and ends between two looks is noticed only where the platform tells when a source's last
    refresh ended. Its event is ``{"source_id": …, "event": "rebuilt", "items": …}``, with the number of items now.

    The API: docs 131.
    """

    _before: tuple[bool, str] | None = None

    def look(self, client: CoveoClient) -> dict[str, Any] | None:
        """Return an event when the source was busy at the last look, or was refreshed since, and is idle now."""
        source = client.get_source(self.source_id)
        before, now = self._before, (source.status in _QUIET, source.refreshed_at)
        self._before = now
        if before is None or not now[0] or before == now:
            return None
        return {"event": "rebuilt", "items": source.document_count}


class CoveoItemsRefusedTrigger(_SourceTrigger):
    """
    Tells when items of a source were refused since the last look, as its log says.

    Its event is ``{"source_id": …, "event": "refused", "refused": …, "items": […]}``, with the ids of up to 20
    items. The key has to be one that may read the log. An entry that comes up to 15 minutes late is told as well.

    The API: ``docs/api-notes.md``, "Source logs".
    """

    _begun_ms: int | None = None
    _looked_ms: int
    _told: dict[str, int]

    def look(self, client: CoveoClient) -> dict[str, Any] | None:
        """Return an event when the log has refusals that were not told yet."""
        now = client.server_time_ms(self.source_id)
        if self._begun_ms is None:
            self._begun_ms, self._looked_ms, self._told = now, now, {}
            return None
        since = max(self._begun_ms, self._looked_ms - _LATE_MS)
        entries = client.source_logs(self.source_id, since, now + 1_000, results=_REFUSED)
        fresh = {_key(one): one for one in entries if _key(one) not in self._told}
        self._looked_ms = now
        self._told = {key: time for key, time in self._told.items() if time >= now - _LATE_MS}
        self._told.update((key, one.time_ms) for key, one in fresh.items())
        if not fresh:
            return None
        items = sorted({one.document_id for one in fresh.values()})
        return {"event": "refused", "refused": len(items), "items": items[:_SHOWN]}


def _key(entry: LogEntry) -> str:
    return entry.guid or f"{entry.time_ms} {entry.operation} {entry.task} {entry.document_id}"

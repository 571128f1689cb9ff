"""Deletions that were accepted and come later, also across a restart: delete-older, and the end of a load."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from coveo_provider.sandbox.service.clock import Clock
    from coveo_provider.sandbox.service.database import Database
    from coveo_provider.sandbox.service.pipeline import Pipeline

_SCHEMA = """
CREATE TABLE IF NOT EXISTS pending (
    seq INTEGER PRIMARY KEY, due_ms INTEGER NOT NULL, kind TEXT NOT NULL, source INTEGER NOT NULL,
    ordering INTEGER NOT NULL);
"""


class DelayedDeletions:
    """
    Keeps what is due later in ``database`` and hands it to ``pipeline``; what an earlier run left goes on.

    :param work: kind of deletion → what carries it out, given a number (of a source or a provider) and an
        orderingId
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        pipeline: Pipeline,
        work: dict[str, Callable[[int, int], None]],
    ) -> None:
        self._database, self._clock, self._pipeline, self._work = database, clock, pipeline, work
        self._lock = threading.Lock()
        database.prepare(_SCHEMA)
        for row in database.rows("SELECT seq, due_ms, kind, source, ordering FROM pending ORDER BY seq"):
            self._schedule(*row)

    def add(self, kind: str, number: int, ordering: int, delay_minutes: int) -> None:
        """Accept a deletion that is carried out after ``delay_minutes``."""
        due_ms = self._clock.now_ms() + delay_minutes * 60_000
        with self._lock:
            seq = self._database.rows("SELECT coalesce(max(seq), 0) + 1 FROM pending")[0][0]
            self._database.write(
                "INSERT INTO pending VALUES (?, ?, ?, ?, ?)", [(seq, due_ms, kind, number, ordering)]
            )
        self._schedule(seq, due_ms, kind, number, ordering)

    def forget(self, kinds: tuple[str, ...], number: int) -> None:
        """Drop what waits for a source or a provider that is gone."""
        self._database.write(
            "DELETE FROM pending WHERE source = ? AND kind = ?", [(number, kind) for kind in kinds]
        )

    def clear(self) -> None:
        """Drop everything that waits."""
        self._database.write("DELETE FROM pending")

    def _schedule(self, seq: int, due_ms: int, kind: str, number: int, ordering: int) -> None:
        def work() -> None:
            self._work[kind](number, ordering)
            self._database.write("DELETE FROM pending WHERE seq = ?", [(seq,)])

        self._pipeline.submit(work, due_ms=due_ms)

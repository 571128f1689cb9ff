"""Deletions that were accepted and come later, also across a restart: delete-older, and the end of a load."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from coveo_provider.sandbox.service.database import Database
    from coveo_provider.sandbox.service.pipeline import Pipeline

_SCHEMA = """
CREATE TABLE IF NOT EXISTS deletions (
    seq INTEGER PRIMARY KEY, due_ms INTEGER NOT NULL, kind TEXT NOT NULL, number INTEGER NOT NULL,
    mark INTEGER NOT NULL, ordering INTEGER NOT NULL);
"""


class Deletion(NamedTuple):
    """
    One deletion.

    :param kind: which of the kinds that :class:`DelayedDeletions` was made with
    :param number: number of the source or the provider
    :param mark: what has a lower orderingId goes
    :param ordering: the operation's own orderingId, for the log
    """

    kind: str
    number: int
    mark: int
    ordering: int


class DelayedDeletions:
    """
    Keeps what is due later in ``database`` and hands it to ``pipeline``; what an earlier run left goes on.

    :param work: kind of deletion → what carries it out
    """

    def __init__(
        self,
        database: Database,
        pipeline: Pipeline,
        work: dict[str, Callable[[Deletion], None]],
    ) -> None:
        self._database, self._pipeline, self._work = database, pipeline, work
        self._lock = threading.Lock()
        database.prepare(_SCHEMA)
        for seq, due_ms, *deletion in database.rows("SELECT * FROM deletions ORDER BY seq"):
            self._schedule(seq, due_ms, Deletion(*deletion))

    def add(self, deletion: Deletion, due_ms: int) -> None:
        """Accept a deletion that is carried out at ``due_ms``."""
        with self._lock:
            seq = self._database.rows("SELECT coalesce(max(seq), 0) + 1 FROM deletions")[0][0]
            self._database.write(
                "INSERT INTO deletions VALUES (?, ?, ?, ?, ?, ?)", [(seq, due_ms, *deletion)]
            )
        self._schedule(seq, due_ms, deletion)

    def forget(self, kinds: tuple[str, ...], number: int) -> None:
        """Drop what waits for a source or a provider that is gone."""
        sql = "DELETE FROM deletions WHERE number = ? AND kind = ?"
        self._database.write(sql, [(number, kind) for kind in kinds])

    def clear(self) -> None:
        """Drop everything that waits."""
        self._database.write("DELETE FROM deletions")

    def _schedule(self, seq: int, due_ms: int, deletion: Deletion) -> None:
        def work() -> None:
            self._work[deletion.kind](deletion)
            self._database.write("DELETE FROM deletions WHERE seq = ?", [(seq,)])

        self._pipeline.submit(work, due_ms=due_ms)

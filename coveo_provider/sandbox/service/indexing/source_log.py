"""
The log of the indexing pipeline, as the Source Logs API gives it: what became of each item, stage by stage.

``docs/api-notes.md, "Source logs"`` has what is known of the entries.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from coveo_provider.sandbox.service.records import LogEntry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coveo_provider.sandbox.service.clock import Clock
    from coveo_provider.sandbox.service.database import Database
    from coveo_provider.sandbox.service.sources import Source

_SCHEMA = """
CREATE TABLE IF NOT EXISTS log (
    seq INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, source INTEGER NOT NULL, id TEXT NOT NULL,
    operation TEXT NOT NULL, task TEXT NOT NULL, result TEXT NOT NULL, ordering INTEGER, error TEXT);
"""
_COLUMNS = "time_ms, source, id, operation, task, result, ordering, error"
# Task, result, and what is wrong.
Stage = tuple[str, str, "str | None"]
CONSUMED: Stage = ("CONSUMING", "COMPLETED", None)
INDEXED: Stage = ("INDEXING", "COMPLETED", None)
FACETS = ("operation", "result", "task", "source")


class LogRow(NamedTuple):
    """An entry as kept; ``source`` is the source's number."""

    time_ms: int
    source: int
    id: str
    operation: str
    task: str
    result: str
    ordering: int | None = None
    error: str | None = None

    @property
    def meta(self) -> dict[str, str]:
        """``meta`` with the keys that working clients read."""
        meta = {"duration": "0.001"}
        if self.ordering is not None:
            meta["orderingid"] = str(self.ordering)
        if self.error:
            meta["error"] = self.error
        return meta


class LogQuery(NamedTuple):
    """
    Which entries to read.

    :param only: column → allowed values
    :param without: column → refused values
    :param id_match: an SQL condition on ``id`` with one placeholder, and its value
    """

    from_ms: int = 0
    to_ms: int = 2**62
    only: dict[str, list[str | int]] = {}  # noqa: RUF012 - a NamedTuple's default, never changed
    without: dict[str, list[str | int]] = {}  # noqa: RUF012
    id_match: tuple[str, str] | None = None

    def where(self) -> tuple[str, list[str | int]]:
        """Give the SQL condition and its values."""
        parts = ["time_ms BETWEEN ? AND ?"]
        values: list[str | int] = [self.from_ms, self.to_ms]
        for wanted, word in ((self.only, "IN"), (self.without, "NOT IN")):
            for column, named in wanted.items():
                parts.append(f"{column} {word} ({','.join('?' * len(named))})")
                values.extend(named)
        if self.id_match:
            parts.append(self.id_match[0])
            values.append(self.id_match[1])
        return " AND ".join(parts), values


@dataclass
class LogDelivery:
    """
    How the Source Logs API stays behind the log itself; both may be changed at any time.

    :param delay: seconds of the sandbox's clock after which an entry can be read; its ``datetime`` stays that of
        what it tells
    :param repeat: every entry is there twice with the same guid, and the facets count it twice
    """

    delay: float = 0.0
    repeat: bool = False


class SourceLog:
    """
    The table of entries in ``database``.

    :ivar delivery: how :meth:`deliver` and :meth:`facets` stay behind what was written
    """

    def __init__(self, database: Database, clock: Clock, organization_id: str) -> None:
        self._database, self._clock, self._organization_id = database, clock, organization_id
        self.delivery = LogDelivery()
        database.prepare(_SCHEMA)

    # -- writing ---------------------------------------------------------------------------------------------

    def row(
        self,
        source: Source,
        uri: str,
        operation: str,
        task: str,
        result: str,
        ordering: int,
        error: str | None = None,
    ) -> LogRow:
        """Make an entry of now; text that is not Unicode is written with question marks."""
        return self.rows(source, uri, operation, ordering, (task, result, error))[0]

    def rows(self, source: Source, uri: str, operation: str, ordering: int, *stages: Stage) -> list[LogRow]:
        """Make entries of now, for each of the stages that an operation passed."""
        now, uri = self._clock.now_ms(), _unicode(uri)
        return [
            LogRow(now, source.n, uri, operation, task, result, ordering, error and _unicode(error))
            for task, result, error in stages
        ]

    def append(self, rows: Iterable[LogRow]) -> None:
        """Write entries."""
        self._database.write(
            f"INSERT INTO log ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - own names
            rows,
        )

    def append_for_older(self, row: LogRow, ordering: int) -> int:
        """Write an entry like ``row`` for each item whose orderingId is lower, and say how many there are."""
        return self._database.write(
            f"INSERT INTO log ({_COLUMNS}) SELECT ?, source, id, ?, ?, ?, ?, NULL FROM items "  # noqa: S608
            "WHERE source = ? AND ordering < ? AND body IS NOT NULL",
            [(row.time_ms, row.operation, row.task, row.result, row.ordering, row.source, ordering)],
        )

    def clear(self) -> None:
        """Forget everything, and deliver at once from now on."""
        self._database.write("DELETE FROM log")
        self.delivery.delay, self.delivery.repeat = 0.0, False

    # -- reading ---------------------------------------------------------------------------------------------

    def read(
        self, query: LogQuery, *, offset: int = 0, limit: int = -1, newest_first: bool = False
    ) -> list[tuple[int, LogRow]]:
        """Give entries with their sequence numbers, however late they are delivered."""
        where, values = query.where()
        rows = self._database.rows(
            f"SELECT seq, {_COLUMNS} FROM log WHERE {where} "  # noqa: S608 - built from own names
            f"ORDER BY seq {'DESC' if newest_first else 'ASC'} LIMIT ? OFFSET ?",
            *values,
            limit,
            offset,
        )
        return [(row[0], LogRow(*row[1:])) for row in rows]

    def deliver(self, query: LogQuery, *, offset: int, limit: int) -> list[tuple[int, LogRow]]:
        """Give entries as the Source Logs API has them by now, newest first, with their sequence numbers."""
        query, copies = self._delivered(query), self._copies
        first, skipped = divmod(offset, copies)
        rows = self.read(query, offset=first, limit=limit // copies + 1, newest_first=True)
        return [row for row in rows for _ in range(copies)][skipped : skipped + limit]

    def facets(self, query: LogQuery) -> list[tuple[str, str, str, int, int]]:
        """Count entries per (operation, result, task, source), as the Source Logs API has them by now."""
        where, values = self._delivered(query).where()
        columns = ", ".join(FACETS)
        return self._database.rows(
            f"SELECT {columns}, {self._copies} * count(*) "  # noqa: S608 - own names and a number
            f"FROM log WHERE {where} GROUP BY {columns}",
            *values,
        )

    @property
    def _copies(self) -> int:
        return 2 if self.delivery.repeat else 1

    def _delivered(self, query: LogQuery) -> LogQuery:
        until = self._clock.now_ms() - round(self.delivery.delay * 1000)
        return query._replace(to_ms=min(query.to_ms, until))

    def over_time(self, source: int, *, newest: int, parts: int) -> list[tuple[int, str, int]]:
        """
        Count a source's newest entries by their time, in so many parts, and by their result.

        :return: (start of the part in milliseconds, result, how many), earliest first
        """
        return self._database.rows(
            "WITH newest AS (SELECT time_ms, result FROM log WHERE source = ? ORDER BY seq DESC LIMIT ?), "
            "bounds AS (SELECT min(time_ms) AS low, max(time_ms) - min(time_ms) + 1 AS span FROM newest) "
            "SELECT low + (time_ms - low) * ? / span * span / ? AS start, result, count(*) "
            "FROM newest, bounds GROUP BY start, result ORDER BY start, result",
            source,
            newest,
            parts,
            parts,
        )

    def entries(self, source: Source) -> list[LogEntry]:
        """Give all entries of a source, oldest first, as tests read them."""
        return [
            LogEntry(
                time_ms=row.time_ms,
                source_id=source.id,
                id=row.id,
                operation=row.operation,
                task=row.task,
                result=row.result,
                guid=self.guid(seq),
                meta=row.meta,
            )
            for seq, row in self.read(LogQuery(only={"source": [source.n]}))
        ]

    def guid(self, seq: int) -> str:
        """Give an entry's unique id, the same at every reading."""
        return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self._organization_id}/{seq}"))


def _unicode(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()

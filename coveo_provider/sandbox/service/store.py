"""
What the index holds and what its log says, in SQLite.

One connection and one lock: a private temporary database (which SQLite keeps in its page cache and spills
to disk when it grows) or a file that outlives the sandbox. No HTTP, no rules, no clock.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_SCHEMA = """
CREATE TABLE IF NOT EXISTS sources (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, config BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS activities (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, source INTEGER NOT NULL, operation TEXT NOT NULL,
    start_ms INTEGER NOT NULL, end_ms INTEGER);
CREATE TABLE IF NOT EXISTS items (
    source INTEGER NOT NULL, id TEXT NOT NULL, ordering INTEGER NOT NULL, body BLOB, PRIMARY KEY (source,
    id));
CREATE TABLE IF NOT EXISTS log (
    seq INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, source INTEGER NOT NULL, id TEXT NOT NULL,
    operation TEXT NOT NULL, task TEXT NOT NULL, result TEXT NOT NULL, ordering INTEGER, error TEXT);
CREATE TABLE IF NOT EXISTS pending (
    seq INTEGER PRIMARY KEY, due_ms INTEGER NOT NULL, kind TEXT NOT NULL, source INTEGER NOT NULL,
    ordering INTEGER NOT NULL);
"""
_LOG_COLUMNS = "time_ms, source, id, operation, task, result, ordering, error"
FACETS = ("operation", "result", "task", "source")


class LogRow(NamedTuple):
    """A log entry to write; ``source`` is the source's number in this store."""

    time_ms: int
    source: int
    id: str
    operation: str
    task: str
    result: str
    ordering: int | None = None
    error: str | None = None


class LogQuery(NamedTuple):
    """
    Which log entries to read.

    :param only: column → allowed values
    :param without: column → refused values
    :param id_match: an SQL condition on ``id`` with one placeholder, and its value
    """

    from_ms: int = 0
    to_ms: int = 2**62
    only: dict[str, list[str | int]] = {}  # noqa: RUF012 - a NamedTuple's default, never changed
    without: dict[str, list[str | int]] = {}  # noqa: RUF012
    id_match: tuple[str, str] | None = None


class DatabaseError(Exception):
    """The database file cannot be used."""


class Store:
    """
    Items, log, sources and activities.

    :param path: a file, made when missing; None for a private temporary database
    :raises DatabaseError: when the file is no database or cannot be opened
    """

    def __init__(self, path: str | None = None) -> None:
        self.lock = threading.RLock()
        try:
            # A path of "" is SQLite's temporary database: in memory until it outgrows the page cache.
            self._db = sqlite3.connect(path or "", isolation_level=None, check_same_thread=False)
            self._db.execute(f"PRAGMA journal_mode={'WAL' if path else 'OFF'}")
            self._db.execute("PRAGMA synchronous=OFF")
            self._db.execute("PRAGMA cache_size=-262144")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise DatabaseError(f"cannot use the database {path}: {error}") from None

    def close(self) -> None:
        """Close the database."""
        with self.lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the lock and write everything at once."""
        with self.lock:
            self._db.execute("BEGIN")
            try:
                yield
            finally:
                self._db.execute("COMMIT")

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Read with a statement of a sibling that keeps tables of its own here (``identity_store``)."""
        with self.lock:
            return self._db.execute(sql, values).fetchall()

    def write(self, sql: str, rows: Iterable[Sequence[object]]) -> int:
        """Carry a sibling's statement out for each of ``rows``, and say how many rows it changed."""
        with self.lock:
            return self._db.executemany(sql, rows).rowcount

    def prepare(self, schema: str) -> None:
        """Make a sibling's tables when they are missing."""
        with self.lock:
            self._db.executescript(schema)

    # -- sources ---------------------------------------------------------------------------------------------

    def save_source(self, n: int, source_id: str, config: bytes) -> None:
        """Keep a source's settings under its number."""
        with self.lock:
            self._db.execute(
                "INSERT INTO sources VALUES (?, ?, ?) ON CONFLICT (n) DO UPDATE SET config = excluded.config",
                (n, source_id, config),
            )

    def sources(self) -> list[tuple[int, bytes]]:
        """Number and settings of every source, in the order they were made."""
        with self.lock:
            return self._db.execute("SELECT n, config FROM sources ORDER BY n").fetchall()

    def forget_source(self, n: int) -> None:
        """Drop a source and everything of it but its log."""
        with self.transaction():
            self._db.execute("DELETE FROM sources WHERE n = ?", (n,))
            for table in ("items", "activities", "pending"):
                self._db.execute(f"DELETE FROM {table} WHERE source = ?", (n,))  # noqa: S608 - own names

    def clear(self) -> None:
        """Forget everything but the sources."""
        with self.transaction():
            for table in ("items", "log", "activities", "pending"):
                self._db.execute(f"DELETE FROM {table}")  # noqa: S608 - own names

    # -- activities ------------------------------------------------------------------------------------------

    def add_activity(self, activity_id: str, source: int, operation: str, start_ms: int) -> None:
        """Note the start of an activity."""
        with self.lock:
            self._db.execute(
                "INSERT INTO activities (id, source, operation, start_ms) VALUES (?, ?, ?, ?)",
                (activity_id, source, operation, start_ms),
            )

    def end_activities(self, source: int, end_ms: int) -> None:
        """Note the end of every activity of a source that has none."""
        with self.lock:
            self._db.execute(
                "UPDATE activities SET end_ms = ? WHERE source = ? AND end_ms IS NULL", (end_ms, source)
            )

    def activities(self) -> list[tuple[str, int, str, int, int | None]]:
        """All activities, oldest first: id, source, operation, start, end."""
        with self.lock:
            return self._db.execute(
                "SELECT id, source, operation, start_ms, end_ms FROM activities ORDER BY seq"
            ).fetchall()

    # -- operations that wait --------------------------------------------------------------------------------

    def save_pending(self, seq: int, due_ms: int, kind: str, source: int, ordering: int) -> None:
        """Keep a delayed deletion, so that a restart does not lose it."""
        with self.lock:
            self._db.execute(
                "INSERT INTO pending VALUES (?, ?, ?, ?, ?)", (seq, due_ms, kind, source, ordering)
            )

    def forget_pending(self, seq: int) -> None:
        """Drop a delayed deletion that was carried out."""
        with self.lock:
            self._db.execute("DELETE FROM pending WHERE seq = ?", (seq,))

    def pending(self) -> list[tuple[int, int, str, int, int]]:
        """Delayed deletions of an earlier run: seq, due, kind, source, ordering."""
        with self.lock:
            return self._db.execute("SELECT * FROM pending ORDER BY seq").fetchall()

    # -- items -----------------------------------------------------------------------------------------------

    def orderings(self, source: int, ids: Sequence[str]) -> dict[str, tuple[int, bool]]:
        """OrderingId of each of ``ids`` the store knows, and whether the item is there or only its grave."""
        found: dict[str, tuple[int, bool]] = {}
        with self.lock:
            for start in range(0, len(ids), 500):
                part = ids[start : start + 500]
                marks = ",".join("?" * len(part))
                found.update(
                    (row[0], (row[1], bool(row[2])))
                    for row in self._db.execute(
                        "SELECT id, ordering, body IS NOT NULL FROM items "  # noqa: S608 - only marks
                        f"WHERE source = ? AND id IN ({marks})",
                        (source, *part),
                    )
                )
        return found

    def put(self, source: int, rows: Iterable[tuple[str, int, bytes | None]]) -> None:
        """Write items (id, ordering, body); a body of None marks the item as deleted at that ordering."""
        with self.lock:
            self._db.executemany(
                "INSERT INTO items VALUES (?, ?, ?, ?) ON CONFLICT (source, id) "
                "DO UPDATE SET ordering = excluded.ordering, body = excluded.body",
                ((source, *row) for row in rows),
            )

    def body(self, source: int, document_id: str) -> bytes | None:
        """Give an item's JSON, None when the index does not hold it."""
        rows = self.rows(
            "SELECT body FROM items WHERE source = ? AND id = ? AND body IS NOT NULL", source, document_id
        )
        return rows[0][0] if rows else None

    def ids_under(self, source: int, prefix: str) -> list[tuple[str, int]]:
        """Items whose id starts with ``prefix``, and their orderings."""
        after = _after(prefix)
        with self.lock:
            return self._db.execute(
                "SELECT id, ordering FROM items "
                "WHERE source = ? AND id >= ? AND (? IS NULL OR id < ?) AND body IS NOT NULL",
                (source, prefix, after, after),
            ).fetchall()

    def older(self, source: int, ordering: int) -> int:
        """How many items of a source have a lower orderingId."""
        return int(
            self.rows(
                "SELECT count(*) FROM items WHERE source = ? AND ordering < ? AND body IS NOT NULL",
                source,
                ordering,
            )[0][0]
        )

    def delete_older(self, source: int, ordering: int, log: LogRow) -> int:
        """Delete the items with a lower orderingId, log each like ``log``, and say how many there were."""
        where = "FROM items WHERE source = ? AND ordering < ?"
        with self.transaction():
            gone = self._db.execute(
                f"INSERT INTO log ({_LOG_COLUMNS}) SELECT ?, source, id, ?, ?, ?, ?, NULL {where} "
                "AND body IS NOT NULL",
                (log.time_ms, log.operation, log.task, log.result, log.ordering, source, ordering),
            ).rowcount
            self._db.execute(f"DELETE {where}", (source, ordering))
        return gone

    def count(self, source: int) -> int:
        """Count the items of a source, by reading them all."""
        return int(
            self.rows("SELECT count(*) FROM items WHERE source = ? AND body IS NOT NULL", source)[0][0]
        )

    def page(self, source: int, after: str, limit: int) -> list[tuple[str, int, bytes]]:
        """Items in the order of their ids, from the first id greater than ``after``."""
        with self.lock:
            return self._db.execute(
                "SELECT id, ordering, body FROM items WHERE source = ? AND id > ? AND body IS NOT NULL "
                "ORDER BY id LIMIT ?",
                (source, after, limit),
            ).fetchall()

    # -- log -------------------------------------------------------------------------------------------------

    def log(self, rows: Iterable[LogRow]) -> None:
        """Append entries."""
        with self.lock:
            self._db.executemany(
                f"INSERT INTO log ({_LOG_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - own names
                rows,
            )

    def read_log(
        self, query: LogQuery, *, offset: int = 0, limit: int = -1, newest_first: bool = False
    ) -> list[tuple[int, LogRow]]:
        """Entries with their sequence numbers."""
        where, values = _log_where(query)
        rows = self.rows(
            f"SELECT seq, {_LOG_COLUMNS} FROM log WHERE {where} "  # noqa: S608 - built from own names
            f"ORDER BY seq {'DESC' if newest_first else 'ASC'} LIMIT ? OFFSET ?",
            *values,
            limit,
            offset,
        )
        return [(row[0], LogRow(*row[1:])) for row in rows]

    def log_facets(self, query: LogQuery) -> list[tuple[str, str, str, int, int]]:
        """Counts per (operation, result, task, source)."""
        where, values = _log_where(query)
        columns = ", ".join(FACETS)
        return self.rows(
            f"SELECT {columns}, count(*) FROM log WHERE {where} GROUP BY {columns}",  # noqa: S608 - own names
            *values,
        )


def _log_where(query: LogQuery) -> tuple[str, list[str | int]]:
    parts, values = ["time_ms BETWEEN ? AND ?"], [query.from_ms, query.to_ms]
    clauses: list[str | int] = list(values)
    for wanted, word in ((query.only, "IN"), (query.without, "NOT IN")):
        for column, allowed in wanted.items():
            parts.append(f"{column} {word} ({','.join('?' * len(allowed))})")
            clauses.extend(allowed)
    if query.id_match:
        parts.append(query.id_match[0])
        clauses.append(query.id_match[1])
    return " AND ".join(parts), clauses


def _after(prefix: str) -> str | None:
    """Give the first string greater than all that start with ``prefix``; None when there is no such bound."""
    for at in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[at]) + 1
        if code <= 0x10FFFF:
            return prefix[:at] + chr(0xE000 if 0xD800 <= code < 0xE000 else code)
    return None

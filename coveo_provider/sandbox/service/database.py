"""The sandbox's SQLite database: one connection under one lock, for the tables of the modules beside it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class DatabaseError(Exception):
    """The database file cannot be used."""


class Database:
    """
    A private temporary database, which SQLite spills to disk when it grows, or a file that is kept.

    :param path: a file, made when missing; None for a private temporary database
    :raises DatabaseError: when the file is no database or cannot be opened
    """

    def __init__(self, path: str | None = None) -> None:
        self._lock = threading.RLock()
        try:
            # A path of "" is SQLite's temporary database: in memory until it outgrows the page cache.
            self._connection = sqlite3.connect(path or "", isolation_level=None, check_same_thread=False)
            self._connection.execute(f"PRAGMA journal_mode={'WAL' if path else 'OFF'}")
            self._connection.execute("PRAGMA synchronous=OFF")
            self._connection.execute("PRAGMA cache_size=-262144")
        except sqlite3.Error as error:
            raise DatabaseError(f"cannot use the database {path}: {error}") from None

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the lock and write everything at once."""
        with self._lock:
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                self._connection.execute("COMMIT")

    def prepare(self, schema: str) -> None:
        """Make tables that are missing."""
        with self._lock:
            self._connection.executescript(schema)

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Read with one statement."""
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def write(self, sql: str, rows: Iterable[Sequence[object]] = ((),)) -> int:
        """Carry a statement out for each of ``rows``, and say how many rows of the table it changed."""
        with self._lock:
            return self._connection.executemany(sql, rows).rowcount

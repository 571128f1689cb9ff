"""
Columns of lists whose values a second query returns, each with the key of the row that it belongs to.

They wait in a file of SQLite and are looked up batch by batch, so memory is bounded however many there are.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from coveo_provider.documents.extracts.queries import column_of
from coveo_provider.documents.extracts.readers import Batch
from coveo_provider.errors import DatasetError

_KINDS: dict[type, tuple[str, pa.DataType]] = {
    str: ("text", pa.string()),
    int: ("whole number", pa.int64()),
    float: ("fraction", pa.float64()),
}
_KEYS = (str, int)


class ListColumns:
    """
    The columns of lists of one query.

    A context manager: leaving it deletes what waits.

    :param folder: a local one, for the file
    """

    def __init__(self, folder: Path) -> None:
        self._file = sqlite3.connect(folder / "lists.sqlite", isolation_level=None)
        for pragma in ("journal_mode=off", "synchronous=off"):  # it is deleted in the end, whatever happens
            self._file.execute(f"PRAGMA {pragma}")
        self._file.execute("CREATE TEMP TABLE wanted (at INTEGER PRIMARY KEY, key)")
        self._columns: dict[str, _ListColumn] = {}

    def __enter__(self) -> ListColumns:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, name: str, batches: Iterable[Batch]) -> None:
        """
        Take the rows of a second query: a key and a value each. Rows without a value are passed over.

        :param name: of the column that the values become
        :raises DatasetError: it has other than two columns, or keys or values that are neither texts nor numbers
        """
        column = self._columns[name] = _ListColumn(name, f"list{len(self._columns)}")
        self._file.execute(f"CREATE TABLE {column.table} (key, value)")
        for batch in batches:
            self._file.execute("BEGIN")
            self._file.executemany(f"INSERT INTO {column.table} VALUES (?, ?)", column.pairs(batch))  # noqa: S608
            self._file.execute("COMMIT")
        self._file.execute(f"CREATE INDEX {column.table}_key ON {column.table} (key)")

    def joined(self, batches: Iterable[Batch]) -> Iterator[Batch]:
        """
        Return batches of the main query with the columns of lists; an empty list where there are no values.

        :raises DatasetError: a key is missing, or is of another kind than that of its second query; or a second
            query has keys, and none is that of a row
        """
        for batch in batches:
            rows = batch.rows
            for column in self._columns.values():
                rows = _with(rows, column.name, self._lists(column, batch, rows))
            yield Batch(rows, batch.file, batch.first_row)
        for column in self._columns.values():
            if column.example is not None and not column.found:
                raise DatasetError(
                    f"lists[{column.name!r}]: no row has one of its keys, such as {str(column.example)[:40]!r}, so "
                    "all lists would be empty, and nobody be denied, for instance. Are they spelled otherwise, or "
                    "with blanks behind? Cast them in the query"
                )

    def _lists(self, column: _ListColumn, batch: Batch, rows: Any) -> pa.Array:
        names = list(rows.column_names if isinstance(rows, pa.Table) else rows.columns)
        if column.name in names:
            raise DatasetError(
                f"lists: {column.name!r} is a column of {batch.file}, too: give it another name"
            )
        lists: list[list[Any]] = [[] for _ in range(len(rows))]
        if column.key:
            keys = column.keys_of(batch)
            self._file.execute("DELETE FROM wanted")
            self._file.executemany("INSERT INTO wanted VALUES (?, ?)", enumerate(keys))
            found = self._file.execute(
                f"SELECT at, value FROM wanted JOIN {column.table} USING (key) "  # noqa: S608
                f"ORDER BY at, {column.table}.rowid"
            )
            for at, value in found:
                lists[at].append(value)
                column.found = True
        return pa.array(lists, pa.list_(column.type))


class _ListColumn:
    def __init__(self, name: str, table: str) -> None:
        self.name, self.table, self.key = name, table, ""
        self.example: Any = None
        self.found = False
        self.type: pa.DataType = pa.string()
        self._key_kind: type | None = None
        self._value_kind: type | None = None

    def pairs(self, batch: Batch) -> Iterator[tuple[Any, Any]]:
        names = list(batch.rows.column_names if isinstance(batch.rows, pa.Table) else batch.rows.columns)
        if len(names) != 2:
            raise DatasetError(
                f"{batch.file}: expected two columns, the key of a row and a value of its list, found "
                f"{', '.join(names)}"
            )
        self.key = names[0]
        keys, values = (column_of(batch.rows, name, batch.where, batch.file).to_pylist() for name in names)
        for row, (key, value) in enumerate(zip(keys, values, strict=True), batch.first_row):
            if value is None or key is None:
                continue
            self._key_kind = self._known(
                self._key_kind, key, _KEYS, f"{batch.file}, row {row:,}: key {names[0]!r}"
            )
            self._value_kind = self._known(
                self._value_kind, value, tuple(_KINDS), f"{batch.file}, row {row:,}: value {names[1]!r}"
            )
            self.example = key
            yield key, value
        if self._value_kind is not None:
            self.type = _KINDS[self._value_kind][1]

    def keys_of(self, batch: Batch) -> list[Any]:
        """Return the keys of the main query's rows."""
        values = column_of(batch.rows, self.key, batch.where, f"lists[{self.name!r}]: the key")
        keys: list[Any] = values.to_pylist()
        if self._key_kind is None:
            return [None] * len(keys)
        for row, key in enumerate(keys, batch.first_row):
            if key is not None and type(key) is not self._key_kind:
                ours, theirs = _kind(type(key)), _kind(self._key_kind)
                raise DatasetError(
                    f"lists[{self.name!r}]: the key {self.key!r} is a {theirs} there, and {ours} in {batch.file}, "
                    f"row {row:,} ({key!r}): no two of them are equal. Cast one of them in its query"
                )
        return keys

    @staticmethod
    def _known(known: type | None, value: Any, kinds: tuple[type, ...], what: str) -> type:
        kind = type(value)
        if kind is known:
            return kind
        if kind not in kinds or known is not None:
            expected = _kind(known) if known else " or a ".join(_kind(one) for one in kinds)
            raise DatasetError(f"{what} is of {kind.__name__}, expected a {expected}. Cast it in the query")
        return kind


def _kind(kind: type) -> str:
    return _KINDS[kind][0] if kind in _KINDS else kind.__name__


def _with(rows: Any, name: str, lists: pa.Array) -> Any:
    if isinstance(rows, pa.Table):
        return rows.append_column(name, lists)
    rows = rows.copy(deep=False)
    rows[name] = pd.Series(lists.to_pylist(), dtype=object)
    return rows

"""
The result of a query → batches of rows, in bounded memory.

Databases give values of Python: a column of one kind becomes one of Arrow, anything else stays what it is until
somebody asks for the column. What a column is does not depend on where batches begin.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from typing import Any, Protocol
from uuid import UUID

import pandas as pd
import pyarrow as pa
import pyarrow.types as pt

from coveo_provider.documents.dataset.frames import frame_of
from coveo_provider.documents.extracts.cutting import cut
from coveo_provider.documents.extracts.readers import Batch
from coveo_provider.documents.extracts.source_files import BATCH_BYTES, BATCH_ROWS
from coveo_provider.documents.values.faults import FAULTS
from coveo_provider.errors import DatasetError

_FIRST_FETCH = 32  # rows, before it is known how large they are
_MOST_FETCHED = 2_000  # rows at once: what comes after small rows may be large
_FETCH_BYTES = BATCH_BYTES // 4
_VALUE_BYTES = 16
_NAMELESS = ("", "?column?")  # what SQL Server and PostgreSQL call what has no name

_ADDRESSES = (IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network)


class Cursor(Protocol):
    """What is needed of a cursor of the DB-API (PEP 249) that has executed a query."""

    @property
    def description(self) -> Sequence[Sequence[Any]] | None:
        """The columns; some drivers know them only after the first fetch."""

    def fetchmany(self, size: int) -> Sequence[Any]:
        """Return the next rows, none at the end."""


def query_batches(
    cursor: Cursor, name: str, *, batch_rows: int = BATCH_ROWS, spelled: Collection[str] = ()
) -> Iterator[Batch]:
    """
    Return the rows of a query that was executed.

    :param name: of the query, for errors: the argument that holds it
    :param batch_rows: the most rows of one batch
    :param spelled: columns that become parts of texts, in which ``1.5`` and ``1.50`` are two
    :raises DatasetError: a column has no name, or that of another, or its decimals no common spelling
    """
    columns: _Columns | None = None
    waiting: list[list[Any]] = []  # column by column
    count, weight, heaviest, first_row, fetch = 0, 0, 1.0, 0, _FIRST_FETCH
    while True:
        rows = cursor.fetchmany(min(fetch, batch_rows - count))
        if columns is None:
            columns = _Columns(column_names(cursor.description, name), name, spelled)
        waiting = waiting or [[] for _ in columns.names]
        if rows:
            size = 0
            for column, values in zip(waiting, zip(*_plain_rows(rows), strict=True), strict=True):
                column.extend(values)
                size += _weight(values)
            heaviest = max(heaviest, size / len(rows))
            fetch = max(1, min(4 * fetch, _MOST_FETCHED, int(_FETCH_BYTES / heaviest)))
            count += len(rows)
            weight += size
        if count and (not rows or count >= batch_rows or weight >= BATCH_BYTES):
            yield Batch(columns.table(waiting, first_row), name, first_row)
            first_row += count
            waiting, count, weight = [], 0, 0
        if not rows:
            return


def arrow_batches(
    schema: pa.Schema, batches: Iterable[pa.RecordBatch], name: str, *, batch_rows: int = BATCH_ROWS
) -> Iterator[Batch]:
    """
    Return the rows of a query whose database gives Arrow.

    :param batches: of some few thousand rows each
    :raises DatasetError: a column has no name, or that of another
    """
    column_names([[field.name] for field in schema], name)
    first_row = 0
    tables = ((name, _in_utc(pa.Table.from_batches([batch]))) for batch in batches)
    for _, table in cut(tables, batch_rows):
        if len(table):
            yield Batch(table, name, first_row)
            first_row += len(table)


def column_names(description: Sequence[Sequence[Any]] | None, name: str) -> list[str]:
    """
    Return the names of a query's columns.

    :raises DatasetError: there are none, or one is missing or stands twice
    """
    if not description:
        raise DatasetError(f"{name}: is no query: it returns no rows. Expected a SELECT")
    names = [column[0] for column in description]
    for position, column in enumerate(names, 1):
        if not isinstance(column, str) or column in _NAMELESS:
            raise DatasetError(f"{name}: column {position} of the query has no name: give it one by AS")
        if names.count(column) > 1:
            raise DatasetError(
                f"{name}: two columns of the query are named {column!r}: give one of them another name by AS, or "
                "name the columns instead of *"
            )
    return names


def column_of(rows: pa.Table | pd.DataFrame, column: str, where: str, argument: str) -> pa.ChunkedArray:
    """
    Return one column of a batch as Arrow.

    :param argument: which names it, for errors
    :raises DatasetError: there is no such column, or its values have no common type
    """
    from coveo_provider.documents.dataset.frame_columns import column_of as as_arrow

    names = list(rows.column_names if isinstance(rows, pa.Table) else rows.columns)
    if column not in names:
        twin = next((name for name in names if name.lower() == column.lower()), None)
        hint = f". Spell it {twin!r}, as the database does" if twin else ""
        raise DatasetError(
            f"{argument} is {column!r}, and {where.partition(',')[0]} has no such column: it has "
            f"{', '.join(names)}{hint}"
        )
    if isinstance(rows, pa.Table):
        return rows.column(column)
    try:
        return as_arrow(rows[column], 0)
    except FAULTS as error:
        raise DatasetError(
            f"{where}: column {column!r} holds values that have no common type: {error}"
        ) from None


def without_column(rows: pa.Table | pd.DataFrame, column: str) -> pa.Table | pd.DataFrame:
    """Return rows without a column."""
    return rows.drop_columns([column]) if isinstance(rows, pa.Table) else rows.drop(columns=[column])


def chosen(rows: pa.Table | pd.DataFrame, mask: pa.Array) -> pa.Table | pd.DataFrame:
    """Return some of the rows, numbered from 0."""
    if isinstance(rows, pa.Table):
        return rows.filter(mask)
    return rows[mask.to_numpy(zero_copy_only=False)].reset_index(drop=True)


class _Columns:
    """The columns of a query, and of what type each is, as far as it was read."""

    def __init__(self, names: Sequence[str], query: str, spelled: Collection[str]) -> None:
        self.names = names
        self._query, self._spelled = query, spelled
        self._types: dict[str, pa.DataType] = {}
        self._scales: dict[str, int] = {}

    def table(self, columns: Sequence[list[Any]], first_row: int) -> pa.Table | pd.DataFrame:
        """Return columns as a table; as a DataFrame where one is of no simple kind."""
        typed: dict[str, pa.Array] = {}
        others: dict[str, list[Any]] = {}
        for name, column in zip(self.names, columns, strict=True):
            if not _SIMPLE.issuperset(map(type, column)):
                column = [
                    _plain(value, self._query, name, row) for row, value in enumerate(column, first_row)
                ]
            array = self._array(name, column, first_row)
            if array is None:
                others[name] = column
            else:
                typed[name] = array
        if not others:
            return pa.table(typed)
        frame = frame_of(pa.table(typed), first_row) if typed else pd.DataFrame(index=range(len(columns[0])))
        for name, column in others.items():
            frame[name] = pd.Series(column, dtype=object)
        ordered: pd.DataFrame = frame[list(self.names)]
        return ordered

    def _array(self, name: str, values: list[Any], first_row: int) -> pa.Array | None:
        """Return values of one kind; ``None`` when they have to stay what they are."""
        kinds = set(map(type, values)) - {type(None)}
        if not kinds:
            return pa.nulls(len(values), self._types.get(name, pa.null()))
        try:
            array = self._of_kinds(kinds, name, values, first_row)
        except FAULTS as error:
            if isinstance(error, DatasetError):
                raise
            return None  # whoever needs the column is told what is wrong with it
        if array is not None:
            self._types[name] = array.type
        return array

    def _of_kinds(self, kinds: set[type], name: str, values: list[Any], first_row: int) -> pa.Array | None:
        if Decimal in kinds or (kinds == {int} and not _fit(values)):
            return self._decimals(name, values, first_row) if kinds <= {int, Decimal} else None
        if kinds == {datetime}:
            return _moments(values)
        dtype = _ARROW.get(next(iter(kinds)))
        return pa.array(values, dtype) if len(kinds) == 1 and dtype is not None else None

    def _decimals(self, name: str, values: list[Any], first_row: int) -> pa.Array:
        present = [value for value in values if value is not None]
        if name in self._spelled:
            scales = {
                -int(value.as_tuple().exponent) if isinstance(value, Decimal) else 0 for value in present
            }
            scales.add(self._scales.setdefault(name, min(scales)))
            if len(scales) > 1:
                raise DatasetError(
                    f"{self._query}, from row {first_row:,} on: column {name!r} holds decimals with "
                    f"{' and '.join(map(str, sorted(scales)[:2]))} digits after the point, and becomes part of a "
                    "text, which depends on that. Cast it in the query, to a decimal with a scale or to text"
                )
        return pa.array([None if value is None else Decimal(value) for value in values])


_ARROW: dict[type, pa.DataType] = {
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bytes: pa.binary(),
    date: pa.date32(),
    time: pa.time64("us"),
    timedelta: pa.duration("us"),
}
_SIMPLE = frozenset({type(None), bool, int, float, str, bytes, date, datetime, time, timedelta})
_INT64 = range(-(2**63), 2**63)


def _fit(values: Sequence[int | None]) -> bool:
    """Return whether whole numbers fit into 64 bits."""
    present = [value for value in values if value is not None]
    return min(present) in _INT64 and max(present) in _INT64


def _moments(values: Sequence[datetime | None]) -> pa.Array | None:
    """Return moments: those with a time zone in UTC; ``None`` where only some have one."""
    zoned = {value.tzinfo is not None for value in values if value is not None}
    if zoned == {False}:
        return pa.array(values, pa.timestamp("us"))
    if zoned == {True}:
        utc = [None if value is None else value.astimezone(timezone.utc) for value in values]
        return pa.array(utc, pa.timestamp("us", "UTC"))
    return None


def _plain(value: Any, query: str, column: str, row: int) -> Any:
    """Return a value of a driver as one of Python that the others know."""
    if type(value) in _SIMPLE:
        return value
    if isinstance(value, Decimal):
        if value.is_nan():
            return None
        if value.is_infinite():
            raise DatasetError(
                f"{query}, row {row:,}: column {column!r} holds infinity, which is no JSON number"
            )
        return value
    if isinstance(value, (UUID, *_ADDRESSES)):
        return str(value)
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        return [_plain(member, query, column, row) for member in value]
    if isinstance(value, (set, frozenset)):  # of MySQL; Python has another order of them in each process
        return sorted(_plain(member, query, column, row) for member in value)
    if isinstance(value, Mapping):
        return {key: _plain(member, query, column, row) for key, member in value.items()}
    if callable(read := getattr(value, "read", None)):  # a large object of Oracle's driver
        return read()
    for kind in (int, float, str, bytes):  # a driver's own kinds of these
        if isinstance(value, kind):
            make: Any = kind
            return make(value)
    return value


def _plain_rows(rows: Sequence[Any]) -> Sequence[Any]:
    """Return rows by position; some connections are set to give them as dictionaries."""
    return [tuple(row.values()) for row in rows] if isinstance(rows[0], Mapping) else rows


def _weight(values: Sequence[Any]) -> int:
    """Return about how many bytes the values of a column take."""
    kinds = set(map(type, values)) - {type(None)}
    size = _VALUE_BYTES * len(values)
    if kinds <= {str, bytes, memoryview}:
        return size + sum(map(len, filter(None, values)))
    if kinds <= _SIMPLE | {Decimal}:
        return size
    return size + sum(len(str(value)) for value in values)


def _in_utc(table: pa.Table) -> pa.Table:
    """Return moments in UTC; the zone that a session has says nothing about them."""
    for position, each in enumerate(table.schema):
        if pt.is_timestamp(each.type) and each.type.tz not in (None, "UTC"):
            column = table.column(position).cast(pa.timestamp(each.type.unit, "UTC"))
            table = table.set_column(position, each.name, column)
    return table

"""
NDJSON and JSON files → tables, batch by batch.

All files are read twice: to learn which keys there are and what stands in them over all records, and then batch by
batch, each with all of these columns. Numbers are values, not spellings (``1.50`` is ``1.5``) and keep every digit.
Lists and objects stay what they are, as does a column whose values are of several kinds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Context, Decimal
from itertools import chain
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa

from coveo_provider.documents.dataset.frame_columns import with_decimals
from coveo_provider.documents.dataset.frames import frame_of
from coveo_provider.documents.dataset.partitions import refuse_other
from coveo_provider.documents.extracts.json_records import MAX_DIGITS, BadRecord, plain_records, records_of
from coveo_provider.documents.extracts.json_stream import LONGEST_RECORD, RecordArray, lines
from coveo_provider.documents.extracts.source_files import BATCH_BYTES, SourceFile
from coveo_provider.errors import DatasetError

_MAX_COLUMNS = 10_000
_INT64 = range(-(2**63), 2**63)
_UINT64 = range(2**64)
_NUMBERS = {int, float, Decimal}
_DECIMAL128 = 38  # digits
_ANY_DIGITS = Context(prec=1_000)
_EXACT = range(-(2**53), 2**53 + 1)  # whole numbers that a 64-bit float keeps


class JsonFiles:
    """
    The files of one extract, read as one table.

    :param files: all of them
    :param lines: whether there is one record a line (NDJSON), or an array of records (JSON)
    :param records: where that array stands, as ``data.products``; the file is the array when ``None``
    :param batch_rows: the most records of one batch
    """

    def __init__(
        self, files: Sequence[SourceFile], *, lines: bool, batch_rows: int, records: str | None = None
    ) -> None:
        self._files = files
        self._lines = lines
        self._path = records or ""
        self._batch_rows = batch_rows
        self._plain: dict[str, bool] = {}  # files that were read once, and whether plainly

    def batches(self) -> Iterator[tuple[SourceFile, pa.Table | pd.DataFrame]]:
        """
        Return the records of all files, in batches of bounded size; a DataFrame where there are lists or objects.

        :raises DatasetError: names the file, and the line or record that is not one that arrives as it stands
        """
        columns = self._survey()
        types = {name: column.type for name, column in columns.items()}
        exact = {name for name, column in columns.items() if column.is_exact}
        for file in self._files:
            batch: list[dict[str, Any]] = []
            size = 0
            for records, sizes in self._blocks(file):
                for record, weight in zip(records, sizes, strict=True):
                    if batch and (len(batch) == self._batch_rows or size + weight > BATCH_BYTES):
                        yield file, _batch(batch, types, exact)
                        batch, size = [], 0
                    batch.append(record)
                    size += weight
            if batch:
                yield file, _batch(batch, types, exact)

    def _survey(self) -> dict[str, _Column]:
        """Return what stands under each key over all records."""
        columns: dict[str, _Column] = {}
        for file in self._files:
            for records, _ in self._blocks(file):
                for name, values in _by_key(records).items():
                    if name not in columns:
                        if len(columns) == _MAX_COLUMNS:
                            raise DatasetError(
                                f"{file.name}: has more than {_MAX_COLUMNS:,} different keys; are values keys?"
                            )
                        columns[name] = _Column()
                    columns[name].look(values)
        measured = {name: one for name, one in columns.items() if one.is_exact and not one.is_nested}
        if measured:
            self._measure(measured)
        return columns

    def _measure(self, columns: dict[str, _Column]) -> None:
        """Find out how many digits the columns have that no float and no 64 bits keep."""
        for file in self._files:
            for records, _ in self._blocks(file):
                for name, column in columns.items():
                    column.measure([record.get(name) for record in records])

    def _blocks(self, file: SourceFile) -> Iterator[tuple[list[dict[str, Any]], list[int]]]:
        """Return some records at a time, and how large each is in bytes."""
        noun = "line" if self._lines else "record"
        plain, known = True, self._plain.get(file.name, False)
        with file.text() as stream:
            pieces = (
                lines(stream, file.name)
                if self._lines
                else RecordArray(stream, file.name, self._path).pieces()
            )
            for numbers, texts in pieces:
                sizes = list(map(len, texts))
                if max(sizes) > LONGEST_RECORD:
                    raise DatasetError(f"{file.name}: {noun} has more than {LONGEST_RECORD:,} bytes")
                try:
                    records, certain = (plain_records(texts), True) if known else records_of(texts)
                except BadRecord as bad:
                    place = f"{noun} {numbers[bad.position]:,}"
                    raise DatasetError(f"{file.name}: {place} {bad.problem}") from None
                except ValueError:
                    raise DatasetError(f"{file.name}: changed while it was read") from None
                for record in records if file.partitions else ():
                    _add_partitions(record, file)
                plain = plain and certain
                yield records, sizes
        self._plain[file.name] = plain


def _add_partitions(record: dict[str, Any], file: SourceFile) -> None:
    """Add what stands in the file's path; a record may say the same itself."""
    for key, value in file.partitions.items():
        if key not in record:
            record[key] = value
            continue
        own = record[key]
        refuse_other(
            key,
            value,
            own if own is None or isinstance(own, str) else orjson.dumps(own, default=str).decode(),
            file.name,
        )


def _by_key(records: Sequence[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the values of each key."""
    names = dict.fromkeys(chain.from_iterable(records))
    if sum(map(len, records)) == len(names) * len(records):  # each record has all of them
        return {name: [record[name] for record in records] for name in names}
    values: dict[str, list[Any]] = {name: [] for name in names}
    for record in records:
        for name, value in record.items():
            values[name].append(value)
    return values


class _Column:
    """What stands under one key in all records."""

    def __init__(self) -> None:
        self._kinds: set[type] = set()
        self._numbers: set[type] = set()  # the kinds of numbers among them, and in their lists and objects
        self._least = self._most = 0
        self._whole = self._scale = 0  # digits before and after the point

    def look(self, values: Sequence[Any]) -> None:
        """Take further values into account."""
        self._kinds |= set(map(type, values))
        self._look_at_numbers(values)

    def _look_at_numbers(self, values: Sequence[Any]) -> None:
        kinds = set(map(type, values))
        self._numbers |= kinds & _NUMBERS
        if list in kinds:
            self._look_at_numbers(list(chain.from_iterable(one for one in values if type(one) is list)))
        if dict in kinds:
            objects = (one.values() for one in values if type(one) is dict)
            self._look_at_numbers(list(chain.from_iterable(objects)))
        if int in kinds:
            numbers = values if kinds == {int} else [value for value in values if type(value) is int]
            self._least = min(self._least, *numbers)
            self._most = max(self._most, *numbers)

    @property
    def is_exact(self) -> bool:
        """Whether there are numbers that need decimals to keep their digits beside each other."""
        if self._numbers <= {int}:
            return not (self._within(_INT64) or (self._within(_UINT64) and not self.is_nested))
        return Decimal in self._numbers or (int in self._numbers and not self._within(_EXACT))

    @property
    def is_nested(self) -> bool:
        """Whether there are other values than numbers."""
        return not self._kinds <= {type(None), *_NUMBERS}

    def measure(self, values: Sequence[Any]) -> None:
        """Count the digits that the values have before and after the point."""
        for value in values:
            if value is not None:
                number: Decimal = with_decimals(value).normalize(_ANY_DIGITS)
                self._whole = max(self._whole, number.adjusted() + 1)
                self._scale = max(self._scale, -int(number.as_tuple().exponent))

    @property
    def type(self) -> pa.DataType | None:
        """The type of all values; ``None`` when they have to stay what they are."""
        kinds = self._kinds - {type(None)}
        if self.is_exact and not self.is_nested:
            digits = max(self._whole + self._scale, 1)
            if digits > MAX_DIGITS:
                return None
            return (pa.decimal128 if digits <= _DECIMAL128 else pa.decimal256)(digits, self._scale)
        if not kinds:
            return pa.string()
        if kinds == {int}:
            return pa.int64() if self._within(_INT64) else pa.uint64()
        if kinds <= {int, float}:
            return pa.float64()
        return {frozenset({bool}): pa.bool_(), frozenset({str}): pa.string()}.get(frozenset(kinds))

    def _within(self, numbers: range) -> bool:
        return self._least in numbers and self._most in numbers


def _batch(
    records: list[dict[str, Any]], columns: dict[str, pa.DataType | None], exact: set[str]
) -> pa.Table | pd.DataFrame:
    typed: dict[str, pa.Array] = {}
    others: dict[str, list[Any]] = {}
    for name, dtype in columns.items():
        values = [record.get(name) for record in records]
        if name in exact:
            values = list(map(with_decimals, values))
        if dtype is None:
            others[name] = values
        else:
            typed[name] = pa.array(values, dtype)
    if typed and not others:
        return pa.table(typed)
    frame = frame_of(pa.table(typed)) if typed else pd.DataFrame(index=range(len(records)))
    for name, values in others.items():
        frame[name] = pd.Series(values, dtype=object)
    ordered: pd.DataFrame = frame[list(columns)]
    return ordered

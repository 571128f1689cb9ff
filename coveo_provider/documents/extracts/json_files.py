"""
NDJSON and JSON files → DataFrames, batch by batch.

All files are read twice: to learn which keys there are and what stands in them over all records, and then batch by
batch, each with all of these columns. Whole numbers stay whole where some are missing. Lists and objects stay what
they are, as does a column whose values are of several kinds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import IO, Any

import ijson
import orjson
import pandas as pd
import pyarrow as pa

from coveo_provider.documents.contract import MAX_CHUNK_BYTES
from coveo_provider.documents.dataset.frames import frame_of
from coveo_provider.documents.extracts.json_stream import READ_BYTES, BoundedJson
from coveo_provider.documents.extracts.source_files import BATCH_BYTES, SourceFile
from coveo_provider.errors import DatasetError

_MAX_COLUMNS = 10_000
_BOM = b"\xef\xbb\xbf"
_LONG_NUMBER = re.compile(rb"[0-9]{19}")  # orjson makes floats of whole numbers beyond 64 bits
_INT64 = range(-(2**63), 2**63)
_UINT64 = range(2**64)
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
        self._prefix = f"{records}.item" if records else "item"
        self._batch_rows = batch_rows

    def frames(self) -> Iterator[tuple[SourceFile, pd.DataFrame]]:
        """
        Return the records of all files, in frames of bounded size.

        :raises DatasetError: names the file, and the line or record that is no JSON object
        """
        columns = self._survey()
        for file in self._files:
            batch: list[dict[str, Any]] = []
            size = 0
            for _, record, weight in self._records(file):
                if batch and (len(batch) == self._batch_rows or size + weight > BATCH_BYTES):
                    yield file, _frame(batch, columns)
                    batch, size = [], 0
                batch.append(record)
                size += weight
            if batch:
                yield file, _frame(batch, columns)

    def _survey(self) -> dict[str, _Column]:
        """Return which keys there are, and what stands under each, over all records."""
        columns: dict[str, _Column] = {}
        for file in self._files:
            for place, record, _ in self._records(file):
                for key, value in record.items():
                    if key not in columns:
                        if len(columns) == _MAX_COLUMNS:
                            raise DatasetError(
                                f"{file.name}: {place} makes for more than {_MAX_COLUMNS:,} different keys; are "
                                "values used as keys?"
                            )
                        columns[key] = _Column()
                    columns[key].look(value)
        return columns

    def _records(self, file: SourceFile) -> Iterator[tuple[str, dict[str, Any], int]]:
        """Return where each record stands, itself, and about how large it is in bytes."""
        with file.text() as stream:
            for place, record, weight in (
                _in_lines(stream, file) if self._lines else _in_array(stream, file, self._prefix)
            ):
                if not isinstance(record, dict):
                    raise DatasetError(
                        f"{file.name}: {place} holds {_kind(record)}, expected an object with a record's keys"
                    )
                yield place, record, weight


def _in_lines(stream: IO[bytes], file: SourceFile) -> Iterator[tuple[str, Any, int]]:
    number = 0
    while line := stream.readline(MAX_CHUNK_BYTES + 1):
        number += 1
        place = f"line {number:,}"
        if len(line) > MAX_CHUNK_BYTES:
            raise DatasetError(
                f"{file.name}: {place} is longer than {MAX_CHUNK_BYTES:,} bytes; is it one JSON array? That is "
                'file_format="json"'
            )
        text = line.removeprefix(_BOM) if number == 1 else line
        if not text.strip():
            continue
        try:
            record = json.loads(text) if _LONG_NUMBER.search(text) else orjson.loads(text)
        except (ValueError, RecursionError) as error:
            reason = error.msg if isinstance(error, json.JSONDecodeError) else error
            raise DatasetError(f"{file.name}: {place} is not JSON: {reason}") from None
        yield place, record, len(line)


def _in_array(stream: IO[bytes], file: SourceFile, prefix: str) -> Iterator[tuple[str, Any, int]]:
    start = len(_BOM) if stream.read(len(_BOM)) == _BOM else 0
    stream.seek(start)
    number = -1
    try:
        for number, record in enumerate(_items(stream, start, prefix, file.name)):
            yield f"record {number:,}", record, _weight(record)
        if number < 0:
            stream.seek(start)
            _refuse_no_array(stream, file, prefix.rpartition(".")[0])
    except DatasetError:
        raise
    except (ijson.JSONError, RecursionError, ValueError) as error:  # of a number of 5,000 digits a ValueError
        reason = " ".join(str(error).split())[:200]
        lines = '. One object a line is file_format="ndjson"' if "trailing garbage" in reason else ""
        raise DatasetError(
            f"{file.name}: is not JSON from record {number + 1:,} on: {reason}{lines}"
        ) from None


def _items(stream: IO[bytes], start: int, prefix: str, name: str) -> Iterator[Any]:
    """Return the records; in a second attempt, when a whole number beyond 64 bits turns up, with every digit."""
    done = 0
    bounded = BoundedJson(stream, name)
    try:
        for record in ijson.items(bounded, prefix, use_float=True, buf_size=READ_BYTES):
            bounded.record_ended()
            yield record
            done += 1
        return
    except ijson.JSONError as error:
        if "integer overflow" not in str(error):
            raise
    stream.seek(start)
    bounded = BoundedJson(stream, name)
    for position, record in enumerate(ijson.items(bounded, prefix, buf_size=READ_BYTES)):
        bounded.record_ended()
        if position >= done:
            yield _with_floats(record)


def _with_floats(value: Any) -> Any:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {key: _with_floats(member) for key, member in value.items()}
    return [_with_floats(member) for member in value] if isinstance(value, list) else value


def _refuse_no_array(stream: IO[bytes], file: SourceFile, path: str) -> None:
    """Refuse a file whose array is not where it is said to be; one that is there and empty is fine."""
    if any(
        prefix == path and event == "start_array"
        for prefix, event, _ in ijson.parse(BoundedJson(stream, file.name), buf_size=READ_BYTES)
    ):
        return
    stands = f"no array stands at {path!r}" if path else "it is no array"
    raise DatasetError(
        f"{file.name}: {stands}; expected an array of objects. json_records tells where it is, as data.products"
    )


def _weight(value: Any) -> int:
    """Return about how many bytes a value takes as JSON."""
    if isinstance(value, str):
        return len(value) + 3
    if isinstance(value, dict):
        return sum(len(key) + 4 + _weight(member) for key, member in value.items())
    return sum(map(_weight, value)) if isinstance(value, list) else 8


class _Column:
    """What stands under one key in all records."""

    def __init__(self) -> None:
        self._kinds: set[type] = set()
        self._least = self._most = 0

    def look(self, value: Any) -> None:
        """Take a further value into account."""
        kind = type(value)
        self._kinds.add(kind)
        if kind is int:
            self._least = min(self._least, value)
            self._most = max(self._most, value)

    @property
    def type(self) -> pa.DataType | None:
        """The type of all values; ``None`` when they have to stay what they are."""
        kinds = self._kinds - {type(None)}
        if not kinds:
            return pa.string()
        if kinds == {int}:
            if self._within(_INT64):
                return pa.int64()
            return pa.uint64() if self._within(_UINT64) else None
        if kinds == {float} or (kinds == {int, float} and self._within(_EXACT)):
            return pa.float64()
        return {frozenset({bool}): pa.bool_(), frozenset({str}): pa.string()}.get(frozenset(kinds))

    def _within(self, numbers: range) -> bool:
        return self._least in numbers and self._most in numbers


def _frame(records: list[dict[str, Any]], columns: dict[str, _Column]) -> pd.DataFrame:
    typed: dict[str, pa.Array] = {}
    others: dict[str, list[Any]] = {}
    for name, column in columns.items():
        values = [record.get(name) for record in records]
        if column.type is None:
            others[name] = values
        else:
            typed[name] = pa.array(values, column.type)
    frame = frame_of(pa.table(typed)) if typed else pd.DataFrame(index=range(len(records)))
    for name, values in others.items():
        frame[name] = pd.Series(values, dtype=object)
    ordered: pd.DataFrame = frame[list(columns)]
    return ordered


def _kind(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")

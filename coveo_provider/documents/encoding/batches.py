"""
A batch of rows → the JSON of its documents, as one run of bytes.

polars writes the JSON of whole columns at once; what it cannot say as the API needs it (decimals with their
digits, JSON in a string, dictionary fields) is made apart and spliced in. What is measured here is what is
sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import NoReturn

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from coveo_provider.documents.contents.columns import sent_columns, with_placeholders
from coveo_provider.documents.contract import (
    BODY_KEYS,
    COMPRESSION_TYPE,
    DOCUMENT_ID,
    PERMISSIONS,
    URI_PATTERN,
    shown,
)
from coveo_provider.documents.encoding.canonical import (
    canonical_decimals,
    canonical_lists,
    canonical_numbers,
    canonical_texts,
)
from coveo_provider.documents.encoding.checks import ID_IS_NO_URI, ID_MISSING, TEXT_RULES, placed
from coveo_provider.documents.encoding.columns import plan_deletions, plan_documents
from coveo_provider.documents.permissions.arrays import permission_texts
from coveo_provider.documents.permissions.spelling import warn_of_public
from coveo_provider.documents.records import Column, ContentFile, Encoded, Kind, Measured
from coveo_provider.documents.values.faults import FAULTS, data_errors, first_fault, problem_of
from coveo_provider.documents.values.json_values import dump, json_text
from coveo_provider.documents.values.moments import ISO, NO_DATE, out_of_range, utc
from coveo_provider.documents.values.plain_arrays import plain, spelled_out
from coveo_provider.documents.values.python_values import python_values, without_zones
from coveo_provider.errors import DatasetError, DocumentError, DocumentTooLarge

_APART = frozenset({Kind.JSON_TEXT, Kind.PERMISSIONS, Kind.VALUES})  # not written by polars as they are
_CANONICAL = {
    Kind.FLOAT: canonical_numbers,
    Kind.FLOATS: canonical_lists,
    Kind.DECIMAL: canonical_decimals,
}
"""Of the columns that polars writes, those that have more than one spelling of a value."""
_NO_NUMBER = "infinity, which is no JSON number"


class Encoder:
    """
    Encodes the batches of one part.

    :param schema: the part's schema, checked here
    :param where: the part's name, for errors
    :param item_limit: the most one document may take, in bytes
    :param deletions: whether the rows are deletions rather than documents
    :raises DatasetError: a column is missing, doubled, or of a type the API does not take
    """

    def __init__(self, schema: pa.Schema, *, where: str, item_limit: int, deletions: bool = False) -> None:
        plan = plan_deletions if deletions else plan_documents
        present = [column for column in plan(schema, where) if column.kind is not Kind.ABSENT]
        names_files = any(column.kind is Kind.CONTENT for column in present)
        self.columns = sent_columns(present) if names_files else present
        self._with_files = present if names_files else None
        self.where = where
        self.item_limit = item_limit
        self._warned = False

    def encode(self, batch: pa.RecordBatch, first_row: int = 0) -> Encoded:
        """
        Return the JSON of a batch; batches may be encoded side by side.

        :param first_row: the number of its first row in the part, for errors
        :raises DataError: names the first document at fault, or the column
        """
        if not len(batch):
            return Encoded(memoryview(b""), np.empty(0, np.int64), np.empty(0, np.uint64))
        with self._blamed(batch, first_row):
            values = self._values(batch, first_row)
            lines = _lines(values)
            sizes = _sizes(lines)
            self._refuse_large(values.ids, sizes)
            return Encoded(_bytes(lines), np.cumsum(sizes), values.ids.hash().to_numpy(), files=values.files)

    def measure(self, batch: pa.RecordBatch, first_row: int = 0) -> Measured:
        """
        Check a batch as :meth:`encode` does, and return its sizes and canonical form instead of its JSON.

        :param first_row: the number of its first row in the part, for errors
        :raises DataError: names the first document at fault, or the column
        """
        with self._blamed(batch, first_row):
            values = self._values(batch, first_row)
            lines, longer = _canonical_lines(values)
            ends = np.cumsum(_sizes(lines))
            sizes = np.diff(ends, prepend=0) + longer
            self._refuse_large(values.ids, sizes)
            data = np.frombuffer(_bytes(lines), np.uint8).copy()
            data[np.append(0, ends[:-1])] = ord("{")  # in place of the comma before the first key
            return Measured(
                np.cumsum(sizes), values.ids.hash().to_numpy(), memoryview(data), ends, files=values.files
            )

    @contextmanager
    def _blamed(self, batch: pa.RecordBatch, first_row: int) -> Iterator[None]:
        """Add to errors which rows, or which row, of which file they speak of."""
        ids = next(column.name for column in self.columns if column.key == DOCUMENT_ID)
        with (
            placed(batch.column(ids), first_row, self.where),
            data_errors(f"rows {first_row:,} to {first_row + len(batch) - 1:,} of {self.where}"),
        ):
            yield

    def _values(self, batch: pa.RecordBatch, first_row: int) -> _Values:
        """Return the values of a batch, checked, as they are put together to JSON."""
        files: Mapping[int, ContentFile] = {}
        if self._with_files is not None:
            batch, files = with_placeholders(batch, self._with_files, where=self.where, first_row=first_row)
        ready = {column.key: self._ready(batch, column, first_row) for column in self.columns}
        series = {key: one for key, one in ready.items() if isinstance(one, pl.Series)}
        native = [column for column in self.columns if column.key in series]
        frame = pl.DataFrame(series)
        self._check(frame, native, first_row)
        ids = frame[DOCUMENT_ID]
        texts = {
            column.key: self._texts(ready[column.key], column, ids)
            for column in self.columns
            if column.key not in series
        }
        return _Values(ids, native, _shaped(frame, native), texts, files)

    def _refuse_large(self, ids: pl.Series, sizes: npt.NDArray[np.int64]) -> None:
        over = np.flatnonzero(sizes - 1 > self.item_limit)
        if len(over):
            first = int(over[0])
            raise DocumentTooLarge(shown(ids[first]), int(sizes[first]) - 1, self.item_limit)

    def _ready(self, batch: pa.RecordBatch, column: Column, first_row: int) -> pl.Series | pa.Array:
        """Return a column, checked, in the hands of polars; in Arrow's where polars does not write it."""
        array, convert = batch.column(column.name), partial(_ready, column=column)
        try:
            return convert(array)
        except pa.ArrowException as error:
            row, reason = first_fault(array, convert, error)
            raise DatasetError(
                f"{self.where}: column {column.name!r} {problem_of(reason)} (in row {first_row + row:,})"
            ) from None

    def _check(self, frame: pl.DataFrame, native: Sequence[Column], first_row: int) -> None:
        """Refuse the batch with the name of the first document that breaks the contract."""
        ids = frame[DOCUMENT_ID]
        bad = ~ids.str.contains(URI_PATTERN).fill_null(False)
        if bad.any():
            missing = ids.is_null() | (ids.str.strip_chars() == "").fill_null(True)
            if missing.any():
                row = first_row + int(missing.arg_true()[0])
                raise DocumentError(f"in row {row:,} of {self.where}", ID_MISSING)
            self._refuse(frame, bad, ID_IS_NO_URI)
        keys = {column.key for column in native}
        bodies = [key for key in BODY_KEYS if key in keys]
        if len(bodies) > 1:
            several = frame.select(pl.sum_horizontal(pl.col(bodies).is_not_null())).to_series() > 1
            self._refuse(
                frame,
                several,
                f"has more than one of {', '.join(bodies)}: expected one body property at most",
            )
        for key, pattern, problem in TEXT_RULES:
            if key in keys:
                self._refuse(frame, ~frame[key].str.contains(pattern).fill_null(True), problem)
        self._refuse_numbers(frame, native)

    def _refuse_numbers(self, frame: pl.DataFrame, native: Sequence[Column]) -> None:
        """Refuse numbers and dates that JSON or ISO 8601 cannot hold."""
        for column in native:
            series = frame[column.key]
            if column.kind is Kind.FLOAT:
                bad = series.is_infinite().fill_null(False)
                self._refuse(frame, bad, f"{column.key} holds {_NO_NUMBER}")
            elif column.kind is Kind.FLOATS:
                bad = series.list.eval(pl.element().is_infinite()).list.any().fill_null(False)
                self._refuse(frame, bad, f"{column.key} holds {_NO_NUMBER}")
            elif column.kind is Kind.MOMENT:
                self._refuse(frame, out_of_range(series), f"{column.key} holds {NO_DATE}")

    def _texts(self, array: pa.Array, column: Column, ids: pl.Series) -> pl.Series:
        """Return the JSON text of each value of a column that polars cannot write."""
        if column.key != PERMISSIONS:
            return _texts(array, column, ids)

        def refuse(row: int, problem: str) -> NoReturn:
            raise DocumentError(shown(ids[row]), f"{PERMISSIONS}: {problem}")

        written = permission_texts(array, refuse)
        if len(written.public) and not self._warned:  # once a part, as there may be as many as rows
            self._warned = True
            warn_of_public(shown(ids[int(written.public[0])]))
        return written.texts

    def _refuse(self, frame: pl.DataFrame, bad: pl.Series, problem: str) -> None:
        if bad.any():
            raise DocumentError(shown(frame[DOCUMENT_ID][int(bad.arg_true()[0])]), problem)


def _is_hollow(array: pa.Array) -> bool:
    """
    Return whether all of its lists are empty.

    The array of their elements may then lack its offsets, as Arrow allows; polars would read memory there
    that is not its own.
    """
    return pt.is_list(array.type) and not len(array.values)


def _ready(array: pa.Array, column: Column) -> pl.Series | pa.Array:
    apart = column.kind in _APART
    if not apart and column.key != COMPRESSION_TYPE and (texts := _texts_of(array)) is not None:
        return texts
    array.validate(full=True)  # a Parquet file may claim to hold UTF-8 and not do so
    array = spelled_out(array)
    if apart or _is_hollow(array):
        return array
    return pl.Series("", _for_polars(array, column))


def _texts_of(array: pa.Array) -> pl.Series | None:
    """
    Return texts, or lists of texts, known to be UTF-8; ``None`` for what is none, or might not be.

    polars looks at all bytes at once, many times faster than Arrow at text by text.
    """
    dtype = array.type
    text: pl.DataType
    if pt.is_string(dtype) or pt.is_large_string(dtype):
        stored, text = pa.large_binary() if pt.is_large_string(dtype) else pa.binary(), pl.String()
    elif pt.is_list(dtype) and pt.is_string(dtype.value_type) and not _is_hollow(array):
        stored, text = pa.list_(pa.binary()), pl.List(pl.String)
    else:
        return None
    try:
        texts: pl.Series = pl.Series("", array.cast(stored)).cast(text)
    except pl.exceptions.PolarsError:
        return None
    return texts


def _for_polars(array: pa.Array, column: Column) -> pa.Array:
    """Return an array in a type that polars takes over as it is."""
    dtype = array.type
    if column.kind is Kind.MOMENT:
        array = utc(array)
    elif pt.is_fixed_size_list(dtype) or pt.is_large_list(dtype):  # polars 1 misreads the latter
        array = array.cast(pa.list_(dtype.value_type))
    elif pt.is_float16(dtype):
        array = array.cast(pa.float32())
    elif pt.is_decimal(dtype) and dtype.bit_width < 128:
        array = array.cast(pa.decimal128(dtype.precision, dtype.scale))
    if column.key == COMPRESSION_TYPE:
        return pc.utf8_upper(array.cast(pa.large_string()))
    return array


@dataclass(frozen=True)
class _Values:
    """
    The values of a batch.

    :param shaped: the columns that polars writes, in the form their JSON has, by their number
    :param texts: what else belongs to the documents, by key, as JSON
    """

    ids: pl.Series
    native: Sequence[Column]
    shaped: pl.DataFrame
    texts: Mapping[str, pl.Series]
    files: Mapping[int, ContentFile]

    def series(self) -> Iterator[tuple[Column, pl.Series]]:
        """Return the columns that polars writes, without those that are absent everywhere."""
        for number, column in enumerate(self.native):
            series = self.shaped[str(number)]
            if not len(series) or series.null_count() < len(series):
                yield column, series


def _shaped(frame: pl.DataFrame, native: Sequence[Column]) -> pl.DataFrame:
    # Columns go by number: a name such as "*" or "^a$" means several columns to polars.
    return pl.DataFrame([frame[column.key].alias(str(i)) for i, column in enumerate(native)]).select(
        _shape(pl.col(str(i)), column.kind) for i, column in enumerate(native)
    )


def _lines(values: _Values) -> pl.Series:
    """Return one string a row: the document's JSON and a comma."""
    members, always = [], []
    for column, series in values.series():
        if column.kind is not Kind.DECIMAL and not series.null_count():
            always.append(pl.col(series.name).alias(column.key))
        else:  # may be absent: a member of its own, joined where present
            members.append(_key(column.key) + _text(series, column.kind))
    for key, texts in values.texts.items():
        members.append(_key(key) + pl.lit(texts))
    pieces = [pl.struct(always).struct.json_encode().str.strip_suffix("}"), *members, pl.lit("},")]
    return values.shaped.select(pl.concat_str(pieces, ignore_nulls=True)).to_series()


def _canonical_lines(values: _Values) -> tuple[pl.Series, npt.NDArray[np.int64]]:
    """
    Return one string a row, the canonical form of the document but for a comma in place of the first bracket.

    Beside it, how many bytes longer the document's JSON is, a comma behind it included.
    """
    longer = np.ones(len(values.ids), np.int64)
    plain: dict[str, str] = {}  # of columns that have one spelling and no gap, their number by key
    members: dict[str, pl.Expr] = {}
    others: list[tuple[str, pl.Series, pl.Series]] = []
    for column, series in values.series():
        if spell := _CANONICAL.get(column.kind):
            written = values.shaped.select(_text(series, column.kind)).to_series()
            others.append((column.key, written, spell(written)))
        elif series.null_count():
            members[column.key] = _text(series, column.kind)
        else:
            plain[column.key] = series.name
    others += [(key, texts, canonical_texts(texts)) for key, texts in values.texts.items()]
    for key, written, canonical in others:
        lengths = written.str.len_bytes().cast(pl.Int64) - canonical.str.len_bytes().cast(pl.Int64)
        longer += lengths.fill_null(0).to_numpy()
        members[key] = pl.lit(canonical)
    pieces = []
    for together, keys in groupby(sorted({**plain, **members}), plain.__contains__):
        if together:
            run = pl.struct(pl.col(plain[key]).alias(key) for key in keys).struct.json_encode()
            pieces += [pl.lit(","), run.str.strip_prefix("{").str.strip_suffix("}")]
        else:
            pieces += [_key(key) + members[key] for key in keys]
    lines = values.shaped.select(pl.concat_str([*pieces, pl.lit("}")], ignore_nulls=True)).to_series()
    return lines, longer


def _sizes(lines: pl.Series) -> npt.NDArray[np.int64]:
    return lines.str.len_bytes().to_numpy().astype(np.int64)


def _bytes(lines: pl.Series) -> memoryview:
    array = lines.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.large_string())
    return memoryview(array.buffers()[2] or b"")


def _shape(value: pl.Expr, kind: Kind) -> pl.Expr:
    """Return the expression that gives a column the form its JSON has."""
    if kind is Kind.FLOAT:
        return value.fill_nan(None)
    if kind is Kind.FLOATS:
        return value.list.eval(pl.element().fill_nan(None)).list.drop_nulls()
    if kind is Kind.LIST:
        return value.list.drop_nulls()
    if kind is Kind.MOMENT:
        return value.dt.strftime(ISO)
    if kind is Kind.DECIMAL:
        return value.cast(pl.String)
    if kind is Kind.BINARY:
        return value.bin.encode("base64")
    return value


def _text(series: pl.Series, kind: Kind) -> pl.Expr:
    """Return each value of a column as JSON, null where it is absent."""
    if kind is Kind.DECIMAL:  # a text of digits
        return pl.col(series.name)
    text = pl.struct(pl.col(series.name)).struct.json_encode()
    text = text.str.strip_prefix(f'{{"{series.name}":').str.strip_suffix("}")
    return pl.when(pl.col(series.name).is_not_null()).then(text)


def _key(key: str) -> pl.Expr:
    return pl.lit(f",{_quoted(key)}:")


def _quoted(key: str) -> str:
    return dump(key).decode()


def _texts(array: pa.Array, column: Column, ids: pl.Series) -> pl.Series:
    plain_array = without_zones(plain(array))  # Python may not know them, and UTC is what is sent
    try:
        values = python_values(plain_array)
    except FAULTS as error:
        row, reason = first_fault(plain_array, python_values, error)
        raise DocumentError(shown(ids[row]), f"{column.key} {problem_of(reason)}") from None
    texts: list[str | None] = []
    for row, value in enumerate(values):
        try:
            texts.append(json_text(value))
        except (ValueError, TypeError) as error:  # orjson's for an integer beyond 64 bits is a TypeError
            raise DocumentError(shown(ids[row]), f"{column.key}: {error}") from None
    return pl.Series(texts, dtype=pl.String)

"""
What the pages of a Parquet file unpack to, told before any of them is.

A few kB may unpack to gigabytes: a page that is compressed well, a long text that stands once and is meant in each
row, a list of a billion equal numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from coveo_provider.documents.contract import MIB
from coveo_provider.documents.dataset.thrift_structs import ThriftReader
from coveo_provider.errors import DatasetError

_PAGE_BYTES = 256 * MIB  # one page of one column
_GROUP_PAGES_BYTES = 512 * MIB  # the largest pages of all columns of a row group, which are held together
_ROW_BYTES = 256 * MIB  # a row on average
_READ_BYTES = 32 * MIB  # rows read at once, at worst
_CAREFUL_ROWS = 512  # read at once where some may be far above the average
_VALUE_BYTES = 8  # a number in memory
_HEADER_BYTES = 4_096  # read at once; a header with longer statistics is read again

# Of the Parquet format: physical type, kind of page
_BYTE_ARRAY = 6
_DICTIONARY_PAGE = 2
_TEXTS = frozenset({"NONE", "STRING", "JSON", "ENUM"})  # logical types that pyarrow reads as dictionaries


@dataclass(frozen=True)
class _Chunk:
    """
    One column in one row group.

    :param texts: whether its values have any length
    :param values: how many there are, each of a list counted
    :param unpacked: bytes of all pages; at least what the values take in memory
    :param largest: the largest page, in bytes unpacked
    :param dictionary: the page of values that stand once, in bytes unpacked; 0 without one
    """

    path: str
    texts: bool
    values: int
    unpacked: int
    largest: int
    dictionary: int


@dataclass(frozen=True)
class _Group:
    rows: int
    chunks: Sequence[_Chunk]

    @property
    def unpacked(self) -> int:
        return sum(chunk.unpacked for chunk in self.chunks)

    def values_a_row(self, chunk: _Chunk) -> float:
        return max(1.0, chunk.values / self.rows)


class Pages:
    """
    The pages of a file, as its footer and their headers tell of them.

    :param file: open for reading in binary, seekable
    :param name: its URI, for errors
    :raises DatasetError: a page or a row is larger than memory should have to hold
    """

    def __init__(self, file: IO[bytes], name: str) -> None:
        self._file, self._name = file, name
        self._dictionaries: pq.ParquetFile | None = None
        self._texts: list[str] = []
        self._groups = _groups(file)
        for number, group in enumerate(self._groups):
            self._refuse_large(number, group)

    @property
    def columns(self) -> int:
        """How many columns are read side by side, those in lists and structs counted."""
        return max([1, *(len(group.chunks) for group in self._groups)])

    def rows_per_read(self, number: int, most: int, wanted: int) -> int:
        """
        Return how many rows of a row group to read at once.

        :param most: the most rows
        :param wanted: bytes of rows of the average size
        """
        if number >= len(self._groups):  # damaged, which the reader finds out
            return _CAREFUL_ROWS
        group = self._groups[number]
        if group.rows <= 0:
            return most
        if group.unpacked > _READ_BYTES:
            most = min(most, _CAREFUL_ROWS)
        count = max(1, min(most, int(wanted / max(group.unpacked / group.rows, 1))))
        repeated = [
            one
            for one in group.chunks
            if one.texts and one.dictionary * count * group.values_a_row(one) > _READ_BYTES
        ]
        if repeated:
            width = sum(self._longest(number, one) * group.values_a_row(one) for one in repeated)
            count = max(1, min(count, int(_READ_BYTES / max(width, 1))))
        return count

    def _refuse_large(self, number: int, group: _Group) -> None:
        for chunk in group.chunks:
            if chunk.largest > _PAGE_BYTES:
                problem = f"has a page that unpacks to {chunk.largest:,} bytes"
                raise self._refusal(chunk, number, problem, _PAGE_BYTES)
            if group.rows > 0 and (size := chunk.unpacked // group.rows) > _ROW_BYTES:
                raise self._refusal(chunk, number, f"unpacks to {size:,} bytes a row", _ROW_BYTES)
        total = sum(chunk.largest for chunk in group.chunks)
        if total > _GROUP_PAGES_BYTES:
            widest = max(group.chunks, key=lambda chunk: chunk.largest)
            problem = f"and the others have pages that together unpack to {total:,} bytes"
            raise self._refusal(widest, number, problem, _GROUP_PAGES_BYTES)

    def _refusal(self, chunk: _Chunk, number: int, problem: str, limit: int) -> DatasetError:
        return DatasetError(
            f"{self._name}: column {chunk.path!r} {problem} in row group {number}, where at most {limit:,} are "
            "expected, as memory has to hold them. Is it data of documents at all? If so, write the file with "
            "smaller pages (pyarrow: write_batch_size=16, data_page_size=1_000_000)"
        )

    def _longest(self, number: int, chunk: _Chunk) -> int:
        """Return the bytes of the longest value that stands once and may be meant in any row."""
        if self._dictionaries is None:
            schema = pq.ParquetFile(self._file).schema
            leaves = [schema.column(position) for position in range(len(schema))]
            self._texts = [leaf.path for leaf in leaves if leaf.logical_type.type in _TEXTS]
            self._dictionaries = pq.ParquetFile(
                self._file, read_dictionary=self._texts, pre_buffer=False, page_checksum_verification=True
            )
        if chunk.path not in self._texts:
            return chunk.dictionary
        batches = self._dictionaries.iter_batches(
            1, row_groups=[number], columns=[chunk.path], use_threads=False
        )
        first = next(batches, None)  # its dictionary is that of all rows
        found = [] if first is None else list(_dictionaries(first.columns))
        return max((pc.max(pc.binary_length(one)).as_py() or 0 for one in found), default=chunk.dictionary)


def _dictionaries(arrays: Sequence[pa.Array]) -> Iterator[pa.Array]:
    for array in arrays:
        if pt.is_dictionary(array.type):
            yield array.dictionary
        elif pt.is_map(array.type):
            yield from _dictionaries([array.keys, array.items])
        elif pt.is_struct(array.type):
            yield from _dictionaries([array.field(n) for n in range(array.type.num_fields)])
        elif pt.is_nested(array.type):
            yield from _dictionaries([array.values])


def _groups(file: IO[bytes]) -> list[_Group]:
    """Return what the footer says of each row group, and the page headers; nothing where it is damaged."""
    try:
        end = file.seek(0, 2)
        file.seek(max(end - 8, 0))
        length = int.from_bytes(file.read(4), "little")
        file.seek(max(end - 8 - length, 0))
        footer = ThriftReader(file.read(length)).struct()
        return [
            _Group(group[3], [_chunk(file, column[3]) for column in group[1]]) for group in footer.get(4, [])
        ]
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError):
        return []


def _chunk(file: IO[bytes], meta: dict[int, Any]) -> _Chunk:
    """Return a column by its metadata: type 1, path 3, values 5, bytes unpacked 6, packed 7, pages at 9 and 11."""
    start = min(meta[9], meta.get(11) or meta[9])
    largest = dictionary = 0
    for kind, size in _pages(file, start, start + meta[7]):
        largest = max(largest, size)
        dictionary = size if kind == _DICTIONARY_PAGE else dictionary
    return _Chunk(
        path=b".".join(meta[3]).decode("utf-8", "replace"),
        texts=meta[1] == _BYTE_ARRAY,
        values=meta[5],
        unpacked=max(meta[6], _VALUE_BYTES * meta[5]),
        largest=largest,
        dictionary=dictionary,
    )


def _pages(file: IO[bytes], start: int, end: int) -> Iterator[tuple[int, int]]:
    """Return the kind of each page and the bytes it unpacks to."""
    while start < end:
        length, header = page_header(file, start)
        yield header[1], header[2]
        if header[3] < 0:
            raise ValueError("a page of negative size")
        start += length + header[3]


def page_header(file: IO[bytes], start: int) -> tuple[int, dict[int, Any]]:
    """Return the length of the header of a page, and its fields: kind 1, bytes unpacked 2, bytes packed 3."""
    size = _HEADER_BYTES
    while True:
        file.seek(start)
        data = file.read(size)
        reader = ThriftReader(data)
        try:
            fields = reader.struct()
        except IndexError:
            if len(data) < size or size > 64 * MIB:
                raise
            size *= 16
            continue
        return reader.at, fields

"""
DataFrame → Parquet part, and Parquet part → record batches, in bounded memory.

The one module that reads and writes Parquet.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from coveo_provider.documents.contract import DOCUMENT_ID, MIB, column_named
from coveo_provider.documents.dataset.common_types import portable, with_members
from coveo_provider.documents.dataset.files import make_folder_of, stamp_of_open
from coveo_provider.documents.dataset.foreign_parquet import (
    nameless_index,
    open_parquet,
    why_damaged,
    why_not_parquet,
)
from coveo_provider.documents.dataset.parquet_pages import Pages
from coveo_provider.documents.dataset.partition_columns import with_partitions
from coveo_provider.documents.dataset.partitions import Partitions
from coveo_provider.documents.encoding.columns import plan_documents
from coveo_provider.documents.uris import encoded_place, local_path, shown_uri
from coveo_provider.errors import DatasetError, FileChanged

if TYPE_CHECKING:
    import pandas as pd

_log = logging.getLogger(__name__)

_BATCH_BYTES = 2 * MIB  # of Arrow data; JSON and copies of it come on top
_BATCH_ROWS = 8_192
_READ_ROWS = 4_096
_COLUMN_BUFFER = 256 * 1024  # bytes read ahead per column, instead of whole column chunks
_COLUMN_BUFFERS = 8 * MIB  # of all columns


class Part:
    """
    One Parquet file, read in batches whose size is bounded in bytes whatever the rows and row groups are.

    :param file: open for reading in binary, seekable; local, as columns are read in turns
    :param name: the part's URI, for errors
    :param partitions: columns whose values stand in the file's path
    :param dataset: URI of the folder whose manifest tells of the part; empty without one
    :param content_roots: the folders below which the files must lie that its rows name as their content
    :param content_links: whether links below these may be followed to such a file
    :raises DatasetError: it is no Parquet file
    """

    def __init__(
        self,
        file: IO[bytes],
        name: str,
        partitions: Partitions | None = None,
        *,
        dataset: str = "",
        content_roots: tuple[str, ...] = (),
        content_links: bool = True,
    ) -> None:
        self.name = name
        self.content_roots, self.content_links = content_roots, content_links
        self.dataset = dataset
        self._file, self._stamp = file, stamp_of_open(file)
        self.partitions = partitions or {}
        try:
            with _memory_given_back():
                self._pages = Pages(file, name)
                ahead = min(_COLUMN_BUFFER, _COLUMN_BUFFERS // self._pages.columns)
                self._parquet = open_parquet(file, name, pre_buffer=False, buffer_size=max(ahead, 4_096))
            self._parquet.schema_arrow.names  # noqa: B018  that they are UTF-8 is known only when asked for
            self.left_out = nameless_index(self._parquet.schema_arrow)
            self.schema: pa.Schema = self._shaped(
                pa.Table.from_batches([], self._parquet.schema_arrow)
            ).schema
        except DatasetError:
            raise
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DatasetError(f"{name}: {why_not_parquet(file, error)}") from None

    @property
    def rows(self) -> int:
        """Rows in the part, from its footer."""
        return int(self._parquet.metadata.num_rows)

    def column(self, key: str) -> list[Any]:
        """Return the value of a key in every row, in whatever case it is written; ``None`` where it is not."""
        name = column_named(key, self.schema.names)
        if name is None:
            return [None] * self.rows
        return [value for batch in self.batches([name]) for value in batch.column(0).to_pylist()]

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """
        Return the rows, batch by batch.

        :param columns: only these; all of them when ``None``
        :raises FileChanged: the file was written to since it was opened
        :raises DatasetError: the file is damaged
        """
        try:
            with _memory_given_back():
                yield from self._read(columns)
            self._refuse_changed()
        except DatasetError:
            raise
        except (pa.ArrowException, OSError, ValueError) as error:
            self._refuse_changed()
            raise DatasetError(f"{self.name}: {why_damaged(error)}") from None

    def _refuse_changed(self) -> None:
        if stamp_of_open(self._file) != self._stamp:
            raise FileChanged(self.name)

    def _read(self, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
        small: list[pa.RecordBatch] = []
        size = 0
        for batch in self._portable(columns):
            weight = _weight(batch)
            full = size + weight > _BATCH_BYTES or sum(map(len, small)) + len(batch) > _BATCH_ROWS
            if small and full:
                yield from _joined(small)
                small, size = [], 0
            if weight > _BATCH_BYTES:
                yield from _split(batch)
            else:
                small.append(batch)
                size += weight
        if small:
            yield from _joined(small)

    def _portable(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Return rows as they stand in the file, in the types of the schema, in batches of bounded size."""
        stored = columns and [name for name in columns if name in self._parquet.schema_arrow.names]
        groups = range(self._parquet.metadata.num_row_groups)
        for rows, together in groupby(
            groups, partial(self._pages.rows_per_read, most=_READ_ROWS, wanted=_BATCH_BYTES)
        ):
            for batch in self._parquet.iter_batches(
                batch_size=rows, row_groups=list(together), columns=stored or None, use_threads=False
            ):
                table = self._shaped(pa.Table.from_batches([batch]))
                yield from (table.select(columns) if columns else table).to_batches()

    def _shaped(self, table: pa.Table) -> pa.Table:
        """Return rows of the file in the columns and types of the schema."""
        if self.left_out:
            table = table.select([n for n, one in enumerate(table.column_names) if one not in self.left_out])
        return with_partitions(portable(table), self.partitions, self.name)


def stored_schema(file: Any) -> pa.Schema:
    """Return the columns of a Parquet file as they are stored; only its footer is read."""
    return pq.read_schema(file)


def say_what_is_left_out(parts: Sequence[Part]) -> bool:
    """Log, once, that parts have columns which are no data; return whether they have."""
    part = next((part for part in parts if part.left_out), None)
    if part is not None:
        _log.info(
            "%s: left out %s: the index of a DataFrame, which has no name, as the file's own metadata say. To keep "
            "its values, give it a name, or make a column of it with reset_index(), before to_parquet()",
            part.name,
            " and ".join(part.left_out),
        )
    return part is not None


@contextmanager
def _memory_given_back() -> Iterator[None]:
    """Use the system's allocator, also where Arrow was imported before. A reader keeps that of its opening."""
    pool = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(pool)


def _weight(data: pa.RecordBatch | pa.Array) -> int:
    """Return the bytes of data, with what a dictionary holds once counted as often as it stands there."""
    if isinstance(data, pa.RecordBatch):
        return sum(_weight(column) for column in data.columns)
    if pt.is_dictionary(data.type):
        kind = data.type.value_type
        texts = pt.is_string(kind) or pt.is_large_string(kind)
        lengths = pc.binary_length(data.dictionary).take(data.indices) if texts else None
        return 8 * len(data) + (pc.sum(lengths).as_py() or 0 if texts else 0)
    if pt.is_struct(data.type):
        return sum(_weight(field) for field in data.flatten())
    if pt.is_list(data.type) or pt.is_large_list(data.type):
        return 4 * len(data) + _weight(data.flatten())
    return int(data.nbytes)


def _joined(batches: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    if len(batches) == 1:
        return batches
    try:
        joined: list[pa.RecordBatch] = pa.Table.from_batches(batches).combine_chunks().to_batches()
    except pa.ArrowException:  # two dictionaries that together outgrow their index
        return batches
    return joined


def _split(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Return a batch in pieces that are small enough, or of one row."""
    if len(batch) == 1 or _weight(batch) <= _BATCH_BYTES:
        yield batch
        return
    half = len(batch) // 2
    yield from _split(batch.slice(0, half))
    yield from _split(batch.slice(half))


def write_documents(frame: pd.DataFrame | pa.Table, file: str | Any, *, index: int | None = None) -> str:
    """
    Write a frame of documents (of pandas, polars or Arrow) as one part of a dataset, and return where.

    The frame is checked against the contract of the documents dataset first, so that what is wrong with its
    columns is said by the task that made it.

    :param frame: one row per document, columns as DocumentBody and metadata
    :param file: where to: a path or URI string, or anything with ``open("wb")`` such as Airflow's
        ``ObjectStoragePath``; a folder when ``index`` is given; a missing local folder is made
    :param index: the part's number in the folder ``file``
    :raises DatasetError: there are no rows, or a column is missing, doubled or of a type the API refuses
    """
    where, target = _target(file, "" if index is None else f"part-{index:05d}.parquet")
    table = _rows_of(frame, where)
    plan_documents(table.schema, where)
    make_folder_of(target)
    with target.open("wb") as sink:
        _write(table, where, sink)
    return where


def write_rows(frame: Any, where: str, sink: IO[bytes]) -> None:
    """
    Write a frame of any rows as Parquet.

    :param frame: a DataFrame of pandas or polars, or an Arrow table
    :param where: what errors call it
    :raises DatasetError: there are no rows, or a column's values have no common type
    """
    _write(_rows_of(frame, where), where, sink)


def _rows_of(frame: Any, where: str) -> pa.Table:
    _say_that_an_index_is_no_data(frame, where)
    table = portable(to_table(frame, where))
    if not len(table):
        raise DatasetError(f"{where}: has no rows; leave an empty part out")
    return pa.table([with_members(column) for column in table.columns], names=table.column_names)


def _write(table: pa.Table, where: str, sink: IO[bytes]) -> None:
    try:
        pq.write_table(table, sink, write_batch_size=_rows_per_page(table))
    except pa.ArrowException as error:
        raise DatasetError(f"{where}: cannot be written: {error}") from None


def _target(file: str | Any, name: str) -> tuple[str, Any]:
    """Return the URI and the path of a file to write, or of the one of that name in a folder."""
    if isinstance(file, str):
        where = f"{file.rstrip('/')}/{name}" if name else file
        path = local_path(where)
        if path is None:
            raise DatasetError(f"{shown_uri(where)}: pass an ObjectStoragePath to write to another storage")
        if place := encoded_place(where, lambda uri: os.path.lexists(local_path(uri) or "")):
            _log.warning(
                "%s is written as it is spelled, as names are read literally and %%XX is not decoded; did you mean "
                "to write to %s, which exists?",
                where,
                place,
            )
        return where if ":" in where else path, Path(path)
    target = file / name if name else file
    if name and hasattr(file, "path") and target.path != f"{file.path.rstrip('/')}/{name}":
        raise DatasetError(
            f"{file}: the storage's library takes a file in it for {target}; rename the folder"
        )
    return str(target.absolute() if isinstance(target, Path) else target), target


def to_table(
    frame: pd.DataFrame | pa.Table,
    where: str,
    first_row: int = 0,
    *,
    like: Mapping[str, pa.DataType] | None = None,
) -> pa.Table:
    """
    Return a DataFrame as an Arrow table, without its index.

    :param first_row: the number of its first row, for errors
    :param like: what columns of these names were before they came to pandas
    :raises DatasetError: names the column whose values have no common type
    """
    if isinstance(frame, pa.Table):
        return frame
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        return _arrow_table(frame, where)
    from coveo_provider.documents.dataset.frame_columns import column_of

    names = list(frame.columns)
    for name in names:
        if not isinstance(name, str):
            raise DatasetError(f"{where}: column {name!r} is not named by a text; rename it or drop it")
        if names.count(name) > 1:
            raise DatasetError(f"{where}: column {name!r} stands twice")
    columns = []
    for position, name in enumerate(names):
        try:
            columns.append(column_of(frame.iloc[:, position], first_row, (like or {}).get(name)))
        except ValueError as error:
            raise DatasetError(
                f"{where}: column {name!r} holds values that have no common type: {error}"
            ) from None
    return pa.table(columns, names=names)


def _say_that_an_index_is_no_data(frame: Any, where: str) -> None:
    """
    Say which index of a DataFrame is left out, if it has a name and thus may be meant.

    :raises DatasetError: it is the documents' id
    """
    index = getattr(frame, "index", None)
    left_out = [
        name for name in getattr(index, "names", ()) if name is not None and name not in frame.columns
    ]
    if DOCUMENT_ID in left_out:
        raise DatasetError(
            f"{where}: {DOCUMENT_ID} is the index of the DataFrame, and an index is not sent: make a column "
            "of it by frame.reset_index()"
        )
    if left_out:
        _log.warning(
            "%s: the index %s is not sent; frame.reset_index() makes a column of it",
            where,
            ", ".join(map(repr, left_out)),
        )


def _arrow_table(frame: Any, where: str) -> pa.Table:
    try:
        return pa.table(frame)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DatasetError(
            f"{where}: is {type(frame).__name__}, which is no table: {error}. Expected a DataFrame of pandas or "
            "polars, or an Arrow table"
        ) from None


def _rows_per_page(table: pa.Table) -> int:
    """Return how many rows fill a page of about 1 MiB: a reader holds whole pages, whatever batch it asks for."""
    rows: int = MIB * table.num_rows // max(table.nbytes, 1)
    return max(1, min(1_024, rows))

"""
Batches of rows → the parts of a dataset, each of about one chunk, with a hash of every row beside them.

Rows are encoded once, which checks them against the contract, tells their size and gives their hashes. The rows of
a part wait on disk until it is full, so memory is bounded by a batch.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from coveo_provider.documents.contents.files import blamed_on
from coveo_provider.documents.contents.threads import side_by_side
from coveo_provider.documents.contract import (
    CONTENT_URI,
    DEFAULT_CHUNK_BYTES,
    DOCUMENT_ID,
    MIB,
    Section,
    column_named,
)
from coveo_provider.documents.dataset.common_types import CommonTypes, normalized
from coveo_provider.documents.dataset.content_hash import HASH_BYTES, content_hashes
from coveo_provider.documents.dataset.files import copied, make_folder_of, opened_local
from coveo_provider.documents.dataset.ids import IdLedger, refuse_contradictions, refuse_duplicates
from coveo_provider.documents.dataset.manifest import HASHES, PartEntry
from coveo_provider.documents.dataset.tables import Part
from coveo_provider.documents.encoding.encoders import BatchEncoder, encoder_for
from coveo_provider.documents.records import ContentFile, Measured
from coveo_provider.documents.uris import without_query
from coveo_provider.documents.values.faults import data_errors
from coveo_provider.errors import DatasetError
from coveo_provider.scratch import ScratchFolder

_PIECE_ROWS = 4_096
_PIECE_BYTES = 4 * MIB  # of Arrow data, encoded at once; JSON and copies of it come on top
_GROUP_BYTES = 8 * MIB  # of Arrow data in one row group
_ENVELOPE = 64  # more than the names and brackets around the rows of a chunk
_STAMPERS = 8
_STAMPS_AHEAD = 64
_HASH_FILE = "hashes.parquet"

HASH_SCHEMA = pa.schema([(DOCUMENT_ID, pa.string()), ("content", pa.binary(HASH_BYTES))])


class PartWriter:
    """
    Writes the parts of a dataset, and a file of hashes for each, into a folder.

    A context manager: leaving it deletes what waits on disk.

    :param folder: where to: a path, or Airflow's ``ObjectStoragePath``
    :param section: the array of a container the rows are meant for
    :param part_bytes: the most a part may take when encoded, so that it fits into one chunk of this size
    :param item_limit: the most one item may take, in bytes
    :param stamp: returns, for the URI of a file that is a document's content, what tells this state of the file
        from any other; called in threads. Without it, such files count by their URI
    """

    def __init__(
        self,
        folder: Any,
        *,
        section: Section = Section.ADD_OR_UPDATE,
        part_bytes: int = DEFAULT_CHUNK_BYTES,
        item_limit: int,
        stamp: Callable[[str], str] | None = None,
    ) -> None:
        self._folder = folder
        self._section = section
        self._part_bytes = part_bytes - _ENVELOPE
        self._item_limit = item_limit
        self._stamp = stamp or (lambda uri: uri)
        self._types = CommonTypes()
        self._encoder: tuple[pa.Schema, str, BatchEncoder] | None = None
        self._items, self._fields = IdLedger(), IdLedger()
        self._digest = hashlib.sha256()
        self._entries: list[PartEntry] = []
        self._stack = ExitStack()

    def __enter__(self) -> PartWriter:
        temporary = self._stack.enter_context(ScratchFolder("parts"))
        self._scratch = Path(temporary)
        self._spool = self._stack.enter_context(_Spool(self._scratch))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def sha256(self) -> str:
        """SHA-256 over the hashes of all rows so far, in order, in hex."""
        return self._digest.hexdigest()

    def add(self, table: pa.Table, where: str, *, hashes: bytes | None = None) -> tuple[int, int]:
        """
        Append rows, and return how many these are and their size as JSON.

        :param where: which rows these are, for errors
        :param hashes: those of the rows, when they are known
        :raises DataError: names what is wrong with them
        """
        with data_errors(where):
            return self._add(table, where, hashes)

    def _add(self, table: pa.Table, where: str, hashes: bytes | None) -> tuple[int, int]:
        table = normalized(table)
        self._types.add(table, where)
        row = size = 0
        measure = partial(self._measured, where=where)
        for piece, measured in side_by_side(
            measure, _pieces(table), threads=1, ahead=1, name="coveo-measure"
        ):
            if hashes is None:
                own = content_hashes(measured, self._stamps(measured))
            else:
                own = hashes[row * HASH_BYTES : (row + len(piece)) * HASH_BYTES]
            self._digest.update(own)
            self._items.add(measured.id_hashes, many=self._section is Section.PARTIAL_UPDATE)
            if measured.field_hashes is not None:
                self._fields.add(measured.field_hashes)
            self._place(piece, measured.ends, own)
            row += len(piece)
            size += int(measured.ends[-1])
        return row, size

    def take(self, folder: Any, entry: PartEntry, open_file: Callable[..., Any]) -> bool:
        """
        Take a part of another dataset as it is, with its hashes; what waits becomes a part before it.

        :param folder: of the other dataset, whose files of hashes are known to be sound
        :param open_file: opens a path, checked against an entry of the manifest when one is given
        :return: whether it was taken. One that names files as contents is not: their state has to be looked at
        :raises DatasetError: it is not the file that was written, or its columns have no common type with others
        """
        where = str(folder / entry.name)
        with open_file(folder / entry.name, entry) as file:
            schema = Part(file, where).schema
            if column_named(CONTENT_URI, schema.names) is not None:
                return False
            self._types.add(schema.empty_table(), where)
            if self._spool.rows:
                self._write()
            name = f"part-{len(self._entries):05d}.parquet"
            make_folder_of(self._folder / name)
            file.seek(0)
            with (self._folder / name).open("wb") as sink:
                shutil.copyfileobj(file, sink, MIB)
        with open_file(folder / HASHES / entry.name) as file:
            for batch in Part(file, str(folder / HASHES / entry.name)).batches([DOCUMENT_ID, "content"]):
                self._digest.update(b"".join(batch.column("content").to_pylist()))
                self._items.add(pl.Series(batch.column(DOCUMENT_ID), dtype=pl.String).hash().to_numpy())
        copied(folder / HASHES / entry.name, self._folder / HASHES / name)
        self._entries.append(replace(entry, name=name))
        return True

    def finish(self) -> tuple[PartEntry, ...]:
        """
        Write what waits, and return all parts; none when there were no rows.

        :raises DatasetError: a ``documentId`` stands twice
        """
        if self._spool.rows:
            self._write()
        self._refuse_duplicates()
        return tuple(self._entries)

    def _measured(self, numbered: tuple[int, pa.RecordBatch], where: str) -> tuple[pa.RecordBatch, Measured]:
        row, piece = numbered
        if self._encoder is None or self._encoder[0] != piece.schema or self._encoder[1] != where:
            encoder = encoder_for(self._section, piece.schema, where=where, item_limit=self._item_limit)
            self._encoder = piece.schema, where, encoder
        return piece, self._encoder[2].measure(piece, row)

    def _stamps(self, measured: Measured) -> list[bytes | None] | None:
        if not measured.files:
            return None
        rows = sorted(measured.files)
        stamps = side_by_side(
            self._stamped,
            [measured.files[row] for row in rows],
            threads=_STAMPERS,
            ahead=_STAMPS_AHEAD,
            name="coveo-stamp",
        )
        by_row = dict(zip(rows, stamps, strict=True))
        return [by_row.get(row) for row in range(len(measured.ends))]

    def _stamped(self, file: ContentFile) -> bytes:
        with blamed_on(file, "contentUri"):
            return f"{without_query(file.uri)}\n{self._stamp(file.uri)}".encode()

    def _place(self, piece: pa.RecordBatch, ends: np.ndarray[Any, np.dtype[np.int64]], hashes: bytes) -> None:
        """Let rows wait in the part being filled, or in further ones where it is full."""
        done, written = 0, 0
        while done < len(ends):
            space = self._part_bytes - self._spool.encoded_bytes
            fits = max(done, int(np.searchsorted(ends, written + space, side="right")))
            if fits == done and not self._spool.rows:  # larger than a part may be: a part of its own
                fits = done + 1
            if fits == done:
                self._write()
                continue
            size = int(ends[fits - 1]) - written
            rows = piece.slice(done, fits - done)
            self._spool.add(rows, hashes[done * HASH_BYTES : fits * HASH_BYTES], size)
            written, done = int(ends[fits - 1]), fits

    def _write(self) -> None:
        """Write the part that waits, and the file of its hashes."""
        name = f"part-{len(self._entries):05d}.parquet"
        schema = self._types.schema
        where = str(self._folder / name)
        encoder_for(
            self._section, schema, where=where, item_limit=self._item_limit
        )  # checks all names together
        path = self._scratch / name
        try:
            with pq.ParquetWriter(path, schema, write_batch_size=self._spool.rows_per_page) as writer:
                for table in self._spool.tables(self._types, where):
                    writer.write_table(table)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:  # a full disk is not the data's fault
                raise
            raise DatasetError(f"{where}: cannot be written: {error}") from None
        stored = copied(path, self._folder / name)
        path.unlink()
        copied(self._spool.hashes(), self._folder / HASHES / name)
        self._entries.append(
            PartEntry(
                name=name,
                rows=self._spool.rows,
                bytes=stored.size,
                sha256=stored.sha256,
                encoded_bytes=self._spool.encoded_bytes,
            )
        )
        self._spool.clear()

    def _refuse_duplicates(self) -> None:
        if not len(self._items.repeated()) and not len(self._fields.repeated()):
            return
        partial = self._section is Section.PARTIAL_UPDATE
        with ExitStack() as stack:
            parts = []
            for entry in self._entries:
                path = (self._folder if partial else self._folder / HASHES) / entry.name
                parts.append(Part(stack.enter_context(opened_local(path)), str(self._folder / entry.name)))
            if partial:
                refuse_contradictions(self._fields, parts)
            else:
                refuse_duplicates(self._items, parts)


class _Spool:
    """The rows and hashes of the part being filled, on disk; each batch with the types it came with."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._rows: IO[bytes] = (folder / "rows.arrow").open("w+b")
        self.clear()

    def __enter__(self) -> _Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows.close()
        if self._hashes is not None:
            self._hashes.close()

    def clear(self) -> None:
        """Empty it for the next part."""
        self._rows.seek(0)
        self._rows.truncate()
        self._hashes: pq.ParquetWriter | None = None
        self.rows = 0
        self.encoded_bytes = 0
        self.rows_per_page = 1_024
        self._places: list[int] = []

    def add(self, batch: pa.RecordBatch, hashes: bytes, encoded_bytes: int) -> None:
        """Append rows of ``encoded_bytes`` as JSON."""
        self._places.append(self._rows.tell())
        with pa.ipc.new_stream(self._rows, batch.schema) as stream:
            stream.write_batch(batch)
        if self._hashes is None:
            self._hashes = pq.ParquetWriter(self._folder / _HASH_FILE, HASH_SCHEMA)
        self._hashes.write_batch(hash_batch(batch, hashes))
        self.rows += len(batch)
        self.encoded_bytes += encoded_bytes
        # A reader holds whole pages, whatever batch it asks for: about 1 MiB, or one row.
        page = MIB * len(batch) // max(batch.nbytes, 1)
        self.rows_per_page = max(1, min(self.rows_per_page, page))

    def tables(self, types: CommonTypes, where: str) -> Iterator[pa.Table]:
        """Return the rows again, in common types and in tables of some size."""
        group: list[pa.Table] = []
        size = 0
        for place in self._places:
            self._rows.seek(place)
            with pa.ipc.open_stream(self._rows) as stream:
                table = types.fitted(stream.read_all(), where)
            if group and size + table.nbytes > _GROUP_BYTES:
                yield pa.concat_tables(group)
                group, size = [], 0
            group.append(table)
            size += table.nbytes
        if group:
            yield pa.concat_tables(group)

    def hashes(self) -> Path:
        """Return the file of hashes, complete."""
        assert self._hashes is not None  # noqa: S101  there are rows
        self._hashes.close()
        self._hashes = None
        return self._folder / _HASH_FILE


def hash_batch(batch: pa.RecordBatch, hashes: bytes) -> pa.RecordBatch:
    """Return the ids of rows beside their hashes."""
    name = next(name for name in batch.schema.names if name.lower() == DOCUMENT_ID.lower())
    content = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(HASH_BYTES), len(batch), [None, pa.py_buffer(hashes)]
    )
    return pa.record_batch([batch.column(name).cast(pa.string()), content], schema=HASH_SCHEMA)


def _pieces(table: pa.Table) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Return the rows in batches small enough to be encoded at once, or of one row; with their number."""
    row = 0
    for start in range(0, table.num_rows, _PIECE_ROWS):
        for batch in table.slice(start, _PIECE_ROWS).combine_chunks().to_batches():
            for piece in _halved(batch):
                yield row, piece
                row += len(piece)


def _halved(batch: pa.RecordBatch) -> Sequence[pa.RecordBatch]:
    if len(batch) <= 1 or batch.nbytes <= _PIECE_BYTES:
        return [batch]
    half = len(batch) // 2
    return [*_halved(batch.slice(0, half)), *_halved(batch.slice(half))]

"""Rows of any number, taken apart by a hash of their id into shares that fit into memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from coveo_provider.documents.contract import DOCUMENT_ID
from coveo_provider.documents.dataset.tables import Part
from coveo_provider.documents.extracts.source_files import SourceFile
from coveo_provider.errors import DatasetError

ROWS_AT_ONCE = 125_000
_TAKEN_APART = 131_072  # rows taken apart at once
_FILE_BITS = 8  # 256 files: what is appended to one has some 500 rows


def share_bits(rows: int, rows_at_once: int) -> int:
    """Return by how many bits of a hash so many rows are taken apart, to have so many at once."""
    return max(0, -(-rows // rows_at_once) - 1).bit_length()


class Shares:
    """
    Rows that are added in any order and read share by share; they stay in memory when there is one share only.

    A file of many shares is taken apart again when it is read. So what is appended to a file at once has hundreds
    of rows however many shares there are, and a row costs the same.

    :param scratch: a folder for what does not fit into memory
    :param name: of its files there
    :param schema: of the rows, as polars names types
    :param bits: how many bits of a hash tell the share
    :param skip: how many bits of the hash all rows have in common
    :param files: the most files that rows are taken apart into at once, as a number of bits
    """

    def __init__(
        self,
        scratch: Path,
        name: str,
        schema: dict[str, Any],
        bits: int,
        *,
        skip: int = 0,
        files: int = _FILE_BITS,
    ) -> None:
        self.schema = schema
        self._scratch, self._name, self._skip, self._files = scratch, name, skip, files
        self._bits = min(bits, files)
        self._bits_inside = bits - self._bits
        self._paths = [scratch / f"{name}-{share}.arrow" for share in range(1 << self._bits)]
        self._waiting: list[pl.DataFrame] = []
        self._count = 0
        self._open: tuple[int, Shares] | None = None  # the file that was taken apart again, and its shares

    def add(self, frame: pl.DataFrame) -> None:
        """Take further rows, before any are read."""
        self._waiting.append(frame)
        self._count += len(frame)
        if self._bits and self._count >= _TAKEN_APART:
            self._spill()

    def read(self, share: int) -> pl.DataFrame:
        """Return the rows of a share; reading shares in order is cheapest."""
        self._spill()
        number, inside = divmod(share, 1 << self._bits_inside)
        if self._bits_inside:
            return self._inside(number).read(inside)
        frames = list(_frames(self._paths[number])) if self._bits else self._waiting
        return pl.concat([pl.DataFrame(schema=self.schema), *frames])

    def _inside(self, number: int) -> Shares:
        """Return the shares of a file; those of the file before are removed."""
        if self._open is not None and self._open[0] == number:
            return self._open[1]
        if self._open is not None:
            self._open[1].remove()
        skip = self._skip + self._bits
        name = f"{self._name}-{number}"
        inside = Shares(self._scratch, name, self.schema, self._bits_inside, skip=skip, files=self._files)
        for frame in _frames(self._paths[number]):
            inside.add(frame)
        self._open = (number, inside)
        return inside

    def remove(self) -> None:
        """Remove what is on the disk."""
        if self._open is not None:
            self._open[1].remove()
            self._open = None
        for path in self._paths:
            path.unlink(missing_ok=True)

    def _spill(self) -> None:
        if not self._waiting or not self._bits:
            return
        frame = pl.concat(self._waiting)
        self._waiting, self._count = [], 0
        hashes = frame[DOCUMENT_ID].hash().to_numpy() << np.uint64(self._skip)
        share = hashes >> np.uint64(64 - self._bits)
        for (number,), rows in (
            frame.with_columns(share=pl.Series(share)).partition_by("share", as_dict=True).items()
        ):
            table = rows.drop("share").to_arrow(compat_level=pl.CompatLevel.oldest())
            with self._paths[number].open("ab") as file, pa.ipc.new_stream(file, table.schema) as stream:
                stream.write_table(table)


def _frames(path: Path) -> Iterator[pl.DataFrame]:
    """Return what was appended to a file, one stream after the other; nothing where there is no file."""
    if not path.exists():
        return
    with path.open("rb") as file:
        size = path.stat().st_size
        while file.tell() < size:
            with pa.ipc.open_stream(file) as stream:
                frame = pl.from_arrow(stream.read_all())
            assert isinstance(frame, pl.DataFrame)  # noqa: S101  a table becomes a frame
            yield frame


def rows_of(files: Sequence[SourceFile], schema: dict[str, Any]) -> Iterator[tuple[int, pl.DataFrame]]:
    """
    Return the rows of Parquet files that have an id in them, with the number of their file.

    :param schema: the columns wanted; one that a file does not have is null
    :raises DatasetError: a file is missing or damaged, or has no ids in it
    """
    for number, file in enumerate(files):
        try:
            with file.open() as stream:
                part = Part(stream, file.name)
                if DOCUMENT_ID not in part.schema.names:
                    raise DatasetError(f"{file.name}: is damaged: there are no ids in it")
                names = [name for name in schema if name in part.schema.names]
                for batch in part.batches(names):
                    yield number, _frame(batch, schema)
        except FileNotFoundError:
            raise DatasetError(f"{file.name}: is missing") from None


def _frame(batch: pa.RecordBatch, schema: dict[str, Any]) -> pl.DataFrame:
    columns = {}
    for name, dtype in schema.items():
        if name not in batch.schema.names:
            columns[name] = pl.repeat(None, len(batch), dtype=dtype, eager=True)
        elif dtype == pl.Binary:
            columns[name] = pl.Series(batch.column(name).cast(pa.large_binary()), dtype=dtype)
        else:
            columns[name] = pl.Series(batch.column(name), dtype=dtype)
    return pl.DataFrame(columns)

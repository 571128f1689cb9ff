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


def share_bits(rows: int, rows_at_once: int) -> int:
    """Return by how many bits of a hash so many rows are taken apart, to have so many at once."""
    return max(0, -(-rows // rows_at_once) - 1).bit_length()


class Shares:
    """
    Rows that are added in any order and read share by share; they stay in memory when there is one share only.

    :param scratch: a folder for what does not fit into memory
    :param name: of its files there
    :param schema: of the rows, as polars names types
    :param bits: how many bits of a hash tell the share
    """

    def __init__(self, scratch: Path, name: str, schema: dict[str, Any], bits: int) -> None:
        self.schema = schema
        self._paths = [scratch / f"{name}-{share}.arrow" for share in range(1 << bits)]
        self._bits = bits
        self._waiting: list[pl.DataFrame] = []
        self._count = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Take further rows."""
        self._waiting.append(frame)
        self._count += len(frame)
        if self._bits and self._count >= _TAKEN_APART:
            self._spill()

    def read(self, share: int) -> pl.DataFrame:
        """Return the rows of a share."""
        if self._bits:
            self._spill()
            path = self._paths[share]
            frames = list(_frames(path)) if path.exists() else []
        else:
            frames = self._waiting
        return pl.concat([pl.DataFrame(schema=self.schema), *frames])

    def _spill(self) -> None:
        if not self._waiting:
            return
        frame = pl.concat(self._waiting)
        self._waiting, self._count = [], 0
        share = frame[DOCUMENT_ID].hash().to_numpy() >> np.uint64(64 - self._bits)
        for (number,), rows in (
            frame.with_columns(share=pl.Series(share)).partition_by("share", as_dict=True).items()
        ):
            table = rows.drop("share").to_arrow(compat_level=pl.CompatLevel.oldest())
            with self._paths[number].open("ab") as file, pa.ipc.new_stream(file, table.schema) as stream:
                stream.write_table(table)


def _frames(path: Path) -> Iterator[pl.DataFrame]:
    """Return what was appended to a file, one stream after the other."""
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

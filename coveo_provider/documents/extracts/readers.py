"""An extract in Parquet, CSV, NDJSON or JSON → batches of rows, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from coveo_provider.documents.dataset.tables import Part
from coveo_provider.documents.extracts.csv_files import CsvFiles
from coveo_provider.documents.extracts.json_files import JsonFiles
from coveo_provider.documents.extracts.source_files import (
    BATCH_BYTES,
    FileFormat,
    ReadOptions,
    SourceFile,
    rows_named,
)

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Batch:
    """
    Some rows of one file.

    :param rows: a DataFrame where the format has no types of its own
    :param file: the file's URI
    :param first_row: the number of the first of them in the file, from 0
    """

    rows: pa.Table | pd.DataFrame
    file: str
    first_row: int

    @property
    def where(self) -> str:
        """Which rows these are, for errors."""
        return f"{self.file}, {rows_named(self.first_row, len(self.rows))}"


def read_batches(files: Sequence[SourceFile], options: ReadOptions) -> Iterator[Batch]:
    """
    Return the rows of all files, in order; a batch never holds rows of two.

    :raises DatasetError: names the file and the row, line or column at fault
    :raises ConfigurationError: an option is wrong, or for another format
    """
    options.check()
    found = options.format_of(files)
    pieces: Iterable[tuple[SourceFile, pa.Table | pd.DataFrame]]
    if found is FileFormat.CSV:
        tables = CsvFiles(
            files, separator=options.separator, encoding=options.encoding, dtypes=options.dtypes
        ).tables()
        pieces = _cut(tables, options.batch_rows)
    elif found is FileFormat.PARQUET:
        pieces = _cut(_parquet(files), options.batch_rows)
    else:
        pieces = JsonFiles(
            files, file_format=found, records=options.records, batch_rows=options.batch_rows
        ).frames()
    name, row = "", 0
    for file, rows in pieces:
        row = row if file.name == name else 0
        name = file.name
        yield Batch(rows, name, row)
        row += len(rows)


def _parquet(files: Sequence[SourceFile]) -> Iterator[tuple[SourceFile, pa.Table]]:
    for file in files:
        with file.open() as stream:
            for batch in Part(stream, file.name).batches():
                yield file, pa.Table.from_batches([batch])


def _cut(tables: Iterable[tuple[SourceFile, pa.Table]], rows: int) -> Iterator[tuple[SourceFile, pa.Table]]:
    """Return tables of the given number of rows, or of fewer at the end of a file and where they get too large."""
    held: list[pa.Table] = []
    owner: SourceFile | None = None
    for file, table in tables:
        if owner is not None and held and (file is not owner or _size(held) + table.nbytes > BATCH_BYTES):
            yield owner, pa.concat_tables(held)
            held = []
        owner = file
        held.append(table)
        if sum(map(len, held)) >= rows:
            whole = pa.concat_tables(held)
            full = len(whole) // rows * rows
            for start in range(0, full, rows):
                yield file, whole.slice(start, rows)
            held = [whole.slice(full)] if full < len(whole) else []
    if owner is not None and held:
        yield owner, pa.concat_tables(held)


def _size(tables: Iterable[pa.Table]) -> int:
    return sum(table.nbytes for table in tables)

"""An extract in any of the known formats → batches of rows, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coveo_provider.documents.extracts.formats import FORMATS, Format, format_of
from coveo_provider.documents.extracts.source_files import BATCH_ROWS, SourceFile, rows_named
from coveo_provider.documents.values.faults import data_errors
from coveo_provider.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


@dataclass(frozen=True)
class ReadOptions:
    """
    How to read an extract.

    :param file_format: of all files: its name, or the format with its options; by their names' suffix when ``None``
    :param batch_rows: the most rows of one batch
    :param formats: options of formats, of which only those of the files' own may differ from the defaults
    """

    file_format: str | Format | None = None
    batch_rows: int = BATCH_ROWS
    formats: Sequence[Format] = ()

    def check(self) -> None:
        """
        Check the options by themselves.

        :raises ConfigurationError: one is wrong
        """
        if isinstance(self.batch_rows, bool) or not isinstance(self.batch_rows, int) or self.batch_rows < 1:
            raise ConfigurationError(f"batch_rows must be a whole number, 1 or more, not {self.batch_rows!r}")
        if not (
            self.file_format is None or isinstance(self.file_format, Format) or self.file_format in FORMATS
        ):
            raise ConfigurationError(
                f"unknown file_format {self.file_format!r}: expected one of {', '.join(FORMATS)}"
            )
        for one in self._formats():
            one.check()

    def format_of(self, files: Sequence[SourceFile]) -> Format:
        """
        Return the format of all files, with its options.

        :raises DatasetError: a suffix says nothing, or the files are of several formats
        :raises ConfigurationError: an option is for another format
        """
        if isinstance(self.file_format, Format):
            kind = type(self.file_format)
        else:
            kind = format_of(files) if self.file_format is None else FORMATS[self.file_format]
        chosen = None
        for one in self._formats():
            if isinstance(one, kind):
                chosen = one
            elif options := one.options():
                raise ConfigurationError(f"{options[0]} is for {one.name} files, and these are {kind.name}")
        return chosen or kind()

    def _formats(self) -> list[Format]:
        return [*self.formats, *([self.file_format] if isinstance(self.file_format, Format) else [])]


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
    pieces = options.format_of(files).read(files, options.batch_rows)
    name, row = files[0].name, 0
    while True:
        with data_errors(f"{name}, from row {row:,} on"):
            piece = next(pieces, None)
        if piece is None:
            return
        file, rows = piece
        row = row if file.name == name else 0
        name = file.name
        yield Batch(rows, name, row)
        row += len(rows)

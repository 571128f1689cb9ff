"""Files that hold an extract: their format, and how they are opened. Imports nothing heavy."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import IO, Any, cast

from coveo_provider.errors import ConfigurationError, DatasetError

BATCH_ROWS = 10_000
BATCH_BYTES = 64 * 1024 * 1024
"""A batch ends at its number of rows or at this much data, whichever comes first, but has one row at least."""


class FileFormat(str, Enum):
    """What an extract may be written in."""

    PARQUET = "parquet"
    CSV = "csv"
    NDJSON = "ndjson"
    JSON = "json"


_SUFFIXES = {
    ".parquet": FileFormat.PARQUET,
    ".csv": FileFormat.CSV,
    ".tsv": FileFormat.CSV,
    ".ndjson": FileFormat.NDJSON,
    ".jsonl": FileFormat.NDJSON,
    ".json": FileFormat.JSON,
}
_GZ = ".gz"


@dataclass(frozen=True)
class SourceFile:
    """
    One file of an extract.

    :param name: its URI, for errors, and for its format when none is given
    :param open: opens it for reading in binary, seekable; called more than once
    """

    name: str
    open: Callable[[], AbstractContextManager[IO[bytes]]]

    @contextmanager
    def text(self) -> Iterator[IO[bytes]]:
        """
        Open a text file, unpacked when its name ends with ``.gz``.

        :raises DatasetError: what is read from it is no gzip, or was cut off
        """
        with self.open() as file:
            if not self.name.lower().endswith(_GZ):
                yield file
                return
            try:
                with gzip.GzipFile(fileobj=file) as unpacked:
                    yield cast("IO[bytes]", unpacked)
            except EOFError:
                raise DatasetError(f"{self.name}: is cut off: the end of the gzip file is missing") from None
            except (gzip.BadGzipFile, zlib.error) as error:
                raise DatasetError(f"{self.name}: is not a gzip file that can be read: {error}") from None


@dataclass(frozen=True)
class ReadOptions:
    """
    How to read an extract.

    :param file_format: of all files; by their names' suffix when ``None``
    :param batch_rows: the most rows of one batch
    :param dtypes: of columns of CSV, as pandas names them, instead of finding out
    :param separator: between the values of CSV; a comma, or a tab in ``.tsv``, when ``None``
    :param encoding: of CSV; UTF-8 when ``None``
    :param records: where the array of records stands in a JSON file, as ``data.products``; the file is the array
        when ``None``
    """

    file_format: str | None = None
    batch_rows: int = BATCH_ROWS
    dtypes: Mapping[str, Any] | None = None
    separator: str | None = None
    encoding: str | None = None
    records: str | None = None

    def check(self) -> None:
        """
        Check the options by themselves.

        :raises ConfigurationError: one is wrong
        """
        if isinstance(self.batch_rows, bool) or not isinstance(self.batch_rows, int) or self.batch_rows < 1:
            raise ConfigurationError(f"batch_rows must be a whole number, 1 or more, not {self.batch_rows!r}")
        if self.file_format is not None and self.file_format not in set(FileFormat):
            known = ", ".join(one.value for one in FileFormat)
            raise ConfigurationError(f"unknown file_format {self.file_format!r}: expected one of {known}")
        if self.separator is not None and (
            not isinstance(self.separator, str)
            or len(self.separator.encode()) != 1
            or self.separator in '"\r\n'
        ):
            raise ConfigurationError(
                f"csv_separator must be one character such as ';', not {self.separator!r}; quotes and line ends "
                "cannot separate"
            )
        if self.encoding is not None:
            try:
                "".encode(self.encoding)
            except (LookupError, TypeError):
                raise ConfigurationError(f"csv_encoding {self.encoding!r} is unknown to Python") from None

    def format_of(self, files: Sequence[SourceFile]) -> FileFormat:
        """
        Return the format of all files.

        :raises DatasetError: a suffix says nothing, or the files are of several formats
        :raises ConfigurationError: an option is for another format
        """
        if self.file_format is not None:
            found = FileFormat(self.file_format)
        else:
            formats = {_by_suffix(file.name): file.name for file in files}
            if len(formats) > 1:
                named = " and ".join(f"{one.value} ({name})" for one, name in list(formats.items())[:2])
                raise DatasetError(
                    f"the source holds files of several formats: {named}. Name the files of one format"
                )
            found = next(iter(formats))
        needs = {
            "dtypes": (self.dtypes, FileFormat.CSV),
            "csv_separator": (self.separator, FileFormat.CSV),
            "csv_encoding": (self.encoding, FileFormat.CSV),
            "json_records": (self.records, FileFormat.JSON),
        }
        for name, (value, owner) in needs.items():
            if value is not None and found is not owner:
                raise ConfigurationError(f"{name} is for {owner.value} files, and these are {found.value}")
        return found


def rows_named(first: int, count: int) -> str:
    """Return how errors name rows, counted from 0: ``row 7``, ``rows 0 to 9,999``."""
    return f"row {first:,}" if count == 1 else f"rows {first:,} to {first + count - 1:,}"


def _by_suffix(name: str) -> FileFormat:
    bare = name.lower().removesuffix(_GZ)
    for suffix, found in _SUFFIXES.items():
        if bare.endswith(suffix) and (found is not FileFormat.PARQUET or bare == name.lower()):
            return found
    raise DatasetError(
        f"{name}: the name does not say what it holds: expected {', '.join(_SUFFIXES)}, text also with {_GZ}. Give "
        "file_format"
    )

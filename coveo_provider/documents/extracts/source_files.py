"""The files of an extract, and how they are opened. Imports nothing heavy."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import IO, cast

from coveo_provider.documents.contract import MIB
from coveo_provider.errors import DatasetError

BATCH_ROWS = 10_000
BATCH_BYTES = 64 * MIB
"""A batch ends at its number of rows or at this much data, whichever comes first, but has one row at least."""

GZ = ".gz"
EXCEL = "Read workbooks by pandas.read_excel in a @task that writes Parquet, or save them as CSV"


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
            if not self.name.lower().endswith(GZ):
                yield file
                return
            try:
                with gzip.GzipFile(fileobj=file) as unpacked:
                    yield cast("IO[bytes]", unpacked)
            except EOFError:
                raise DatasetError(f"{self.name}: is cut off: the end of the gzip file is missing") from None
            except (gzip.BadGzipFile, zlib.error) as error:
                raise DatasetError(f"{self.name}: is not a gzip file that can be read: {error}") from None


def rows_named(first: int, count: int) -> str:
    """Return how errors name rows, counted from 0: ``row 7``, ``rows 0 to 9,999``."""
    return f"row {first:,}" if count == 1 else f"rows {first:,} to {first + count - 1:,}"

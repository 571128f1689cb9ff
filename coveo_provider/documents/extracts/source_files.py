"""The files of an extract, and how they are opened. Imports nothing heavy."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import IO, cast

from coveo_provider.documents.contract import MIB
from coveo_provider.documents.dataset.files import stamp_of_open
from coveo_provider.documents.dataset.partitions import Partitions
from coveo_provider.errors import DatasetError, FileChanged

BATCH_ROWS = 10_000
BATCH_BYTES = 64 * MIB
"""A batch ends at its number of rows or at this much data, whichever comes first, but has one row at least."""

GZ = ".gz"
EXCEL = "Read workbooks by pandas.read_excel in a @task that writes Parquet, or save them as CSV"


class SourceFile:
    """
    One file of an extract, which may be read several times and has to stay the same.

    :param name: its URI, for errors, and for its format when none is given
    :param opener: opens it for reading in binary, seekable; called more than once
    :param partitions: columns whose values stand in its path
    """

    def __init__(
        self,
        name: str,
        opener: Callable[[], AbstractContextManager[IO[bytes]]],
        partitions: Partitions | None = None,
    ) -> None:
        self.name = name
        self.partitions = partitions or {}
        self._opener = opener
        self._stamp: object = None

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """
        Open it for reading in binary, seekable.

        :raises FileChanged: it was written to meanwhile, or is another one than it was the last time
        """
        with ExitStack() as stack:
            try:
                file = stack.enter_context(self._opener())
            except (DatasetError, FileNotFoundError) as error:
                missing = isinstance(error, FileNotFoundError) or isinstance(
                    error.__context__, FileNotFoundError
                )
                if missing and self._stamp is not None:  # it was there the last time
                    raise FileChanged(self.name) from None
                raise
            self._stamp = self._stamp or stamp_of_open(file)
            self._refuse_changed(file)
            try:
                yield file
            except Exception:
                self._refuse_changed(file)  # which explains whatever went wrong
                raise
            self._refuse_changed(file)

    def _refuse_changed(self, file: IO[bytes]) -> None:
        if file.closed:  # by what read it, while it names the line of a fault
            return
        if stamp_of_open(file) != self._stamp:
            raise FileChanged(self.name)

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

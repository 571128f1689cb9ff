"""DataFrames that a task gets in memory, as Airflow hands them over between tasks (XCom)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any


def is_frame(value: Any) -> bool:
    """Return whether a value is a table in memory: of pandas, polars or Arrow."""
    return hasattr(value, "__arrow_c_stream__") or hasattr(value, "__dataframe__")


@contextmanager
def frame_file(frame: Any, where: str) -> Iterator[IO[bytes]]:
    """
    Return a frame as a file of Parquet on this machine's disk, for as long as the context lasts.

    So it is read, checked and encoded as any part of a dataset is.

    :param where: what errors call it
    :raises DatasetError: a column has values of no common type, or no name
    """
    from coveo_provider.documents.dataset.tables import write_rows

    with tempfile.TemporaryFile(prefix="coveo-frame-") as file:
        write_rows(frame, where, file)
        file.seek(0)
        yield file

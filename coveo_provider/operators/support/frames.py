"""DataFrames that a task gets in memory, as Airflow hands them over between tasks (XCom)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any


def is_frame(value: Any) -> bool:
    """Return whether a value is a table in memory: of pandas, polars or Arrow."""
    return hasattr(value, "__arrow_c_stream__") or hasattr(value, "__dataframe__")


def members(value: Any, *, columns: bool = False) -> Iterator[Any]:
    """
    Return what stands in lists, however deep, and in any other collection; a value that is none, by itself.

    :param columns: whether a column of a DataFrame is a collection, rather than a table that it cannot be
    """
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        # By index: Airflow's lazy sequence of mapped outputs logs an error when iterated to its end.
        for position in range(len(value)):
            yield from members(value[position], columns=columns)
    elif (
        isinstance(value, Iterable)
        and not isinstance(value, (str, bytes, Mapping))
        and (not is_frame(value) or (columns and len(getattr(value, "shape", ())) == 1))
    ):
        for member in value:
            yield from members(member, columns=columns)
    else:
        yield value


def frames_in(value: Any) -> list[Any]:
    """Return the DataFrames that a value is or lists; none when it holds anything else."""
    found = list(members(value))
    return found if all(map(is_frame, found)) else []


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

"""What libraries raise on bad data → errors that name file, column and row, and are never retried in vain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import polars as pl
import pyarrow as pa

from coveo_provider.errors import CoveoError, DatasetError

FAULTS = (
    pa.ArrowException,
    pl.exceptions.PolarsError,
    ValueError,
    TypeError,
    ArithmeticError,
    RecursionError,
)
"""What the data libraries and Python raise on values they cannot hold; a full disk or memory is none of it."""

_Made = TypeVar("_Made")


class Unreadable(ValueError):
    """A value that cannot be taken over; says what it does wrong: ``holds a date …``."""


@contextmanager
def data_errors(where: str) -> Iterator[None]:
    """
    Turn what a library raises on bad data into an error that says where it stands.

    :param where: file and rows
    :raises DatasetError: the data is at fault; what is raised on purpose goes on as it is
    """
    try:
        yield
    except (CoveoError, MemoryError):
        raise
    except FAULTS as error:
        raise DatasetError(f"{where}: cannot be read: {reason_of(error)}") from error


@contextmanager
def noted(note: str) -> Iterator[None]:
    """
    Add a note to any exception but our own, which name the place themselves, and pass it on as it is.

    :param note: what failed, or where; a task that fails says it first
    """
    try:
        yield
    except CoveoError:
        raise
    except Exception as error:
        notes: list[str] = getattr(error, "__notes__", [])
        error.__notes__ = [*notes, note]  # type: ignore[attr-defined]  # add_note came with Python 3.11
        raise


def reason_of(error: BaseException) -> str:
    """Return what an error says, in one line, with its kind where it says too little."""
    text = " ".join(str(error).split())[:300]
    return text if " " in text else f"{type(error).__name__} {text}".rstrip()


def problem_of(error: BaseException) -> str:
    """Return what is wrong with a value, to follow the name of its column."""
    return str(error) if isinstance(error, Unreadable) else f"cannot be read: {reason_of(error)}"


def converted(array: pa.Array, name: str, first_row: int, convert: Callable[[pa.Array], _Made]) -> _Made:
    """
    Return what a column becomes.

    :param name: the column's, for the error
    :param first_row: the number of its first row
    :raises DatasetError: names the column, and the first row that cannot be converted
    """
    try:
        return convert(array)
    except (CoveoError, MemoryError):
        raise
    except FAULTS as error:
        row, reason = first_fault(array, convert, error)
        raise DatasetError(f"row {first_row + row:,}: column {name!r} {problem_of(reason)}") from None


def first_fault(
    column: Any, convert: Callable[[Any], object], error: BaseException
) -> tuple[int, BaseException]:
    """
    Return the first row of an array or list that cannot be converted, and why, by halving.

    :param error: what converting all of it raised
    """
    good, bad = 0, len(column)  # so many rows from the start can be converted, so many cannot
    while bad - good > 1:
        middle = (good + bad) // 2
        try:
            convert(column[good:middle])
        except FAULTS as found:
            bad, error = middle, found
        else:
            good = middle
    return good, error

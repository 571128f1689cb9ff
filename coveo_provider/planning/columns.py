"""Columns of which every document's value is kept: as a number, in a file, whatever the number of documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from coveo_provider.documents.dataset.tables import Part
from coveo_provider.planning.parts import StoredPart

NONE = -1
"""The document has no value."""
ABSENT = -2
"""There is no such document."""
UNKNOWN = -3
"""The document's dataset is not there any more."""

Spell = Callable[[pa.Array, str], pl.Series]
"""Makes texts, or nulls, of the values of a column; the other argument is the part's name, for errors."""


class Distinct:
    """
    The distinct values of a column on both sides, each with a number from 0.

    :param spell: makes texts of values
    :param most: how many are told apart
    :param beyond: returns the number, below :data:`UNKNOWN`, that goes for one beyond them
    """

    def __init__(self, spell: Spell, most: int, beyond: Callable[[str], int]) -> None:
        self.spell = spell
        self.texts: list[str] = []
        self._most, self._beyond = most, beyond
        self._numbers: dict[str, int] = {}

    def numbers(self, array: pa.Array, where: str) -> npt.NDArray[np.int32]:
        """Return the number of each value."""
        values = self.spell(array, where)
        distinct = {text: self._number(text) for text in values.unique(maintain_order=True).to_list()}
        mapped = values.replace_strict(list(distinct), list(distinct.values()), return_dtype=pl.Int32)
        numbers: npt.NDArray[np.int32] = mapped.to_numpy()
        return numbers

    def _number(self, text: str | None) -> int:
        if text is None:
            return NONE
        number = self._numbers.get(text)
        if number is None:
            if len(self.texts) >= self._most:
                return self._beyond(text)
            number = self._numbers[text] = len(self.texts)
            self.texts.append(text)
        return number


class Column:
    """
    A column of a side: the number of each document's value.

    :param name: the column's, which is found in whatever case
    :param rows: of each part
    :param path: of a file of four bytes a document
    """

    def __init__(self, name: str, rows: Sequence[int], path: Path, distinct: Distinct) -> None:
        self.name, self.distinct = name, distinct
        self.stated = False
        self._first = np.cumsum([0, *rows])
        self._numbers = np.memmap(path, np.int32, "w+", shape=(max(1, sum(rows)),))
        self._numbers[:] = NONE

    def put(self, part: int, row: int, array: pa.Array, where: str) -> None:
        """Keep the values of some rows."""
        numbers = self.distinct.numbers(array, where)
        start = int(self._first[part]) + row
        self._numbers[start : start + len(numbers)] = numbers
        self.stated = self.stated or bool((numbers != NONE).any())

    def at(self, parts: pl.Series, rows: pl.Series) -> npt.NDArray[np.int32]:
        """Return the numbers of some documents; :data:`ABSENT` where the part is null."""
        known = parts.is_not_null().to_numpy()
        places = self._first[parts.fill_null(0).to_numpy()] + rows.fill_null(0).to_numpy()
        return np.where(known, self._numbers[np.where(known, places, 0)], ABSENT).astype(np.int32)


def read_columns(parts: Sequence[StoredPart], columns: Sequence[Column]) -> list[str]:
    """
    Read columns, each part once, and return the names of all columns that the parts have.

    :param columns: what to fill
    :raises DatasetError: a part is not there, or not the file that was written
    """
    names: dict[str, None] = {}
    for number, part in enumerate(parts):
        with part.open() as file:
            opened = Part(file, part.name)
            present = opened.schema.names
            names.update(dict.fromkeys(present))
            found = [
                (name, column)
                for column in columns
                for name in present
                if name.lower() == column.name.lower()
            ]
            wanted = list(dict.fromkeys(name for name, _ in found))
            row = 0
            for batch in opened.batches(wanted) if wanted else ():
                for name, column in found:
                    column.put(number, row, batch.column(name), part.name)
                row += len(batch)
    return list(names)

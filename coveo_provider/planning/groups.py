"""The documents of a plan by the value of a column: of which kind are those that are new, changed or gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
from msgspec.json import encode

from coveo_provider.documents.changes.comparison import Fate
from coveo_provider.planning.parts import StoredPart, values_of
from coveo_provider.planning.samples import SHOWN_CHARACTERS

_NAMES: dict[int, str] = {
    Fate.UNCHANGED: "unchanged",
    Fate.NEW: "new",
    Fate.CHANGED: "changed",
    Fate.AGAIN: "changed",
}
_KEPT = 10_000  # values told apart; what is met after them counts among the others
_SHOWN = 20


class Groups:
    """
    Counts of documents by the value of a column.

    :param column: its name, in whatever case; a value that is no text goes by its JSON
    """

    def __init__(self, column: str) -> None:
        self.column = column
        self._counts: dict[str, Counter[str]] = {}
        self._others: Counter[str] = Counter()
        self._gone_known = False

    def add_current(self, parts: Sequence[StoredPart], fates: Sequence[npt.NDArray[np.int8]]) -> None:
        """Count the documents of now by what becomes of them, as :class:`Fate` numbers it."""
        for part, fate in zip(parts, fates, strict=True):
            for row, texts in _texts(part, self.column):
                self._count(texts, fate[row : row + len(texts)], _NAMES)

    def add_gone(self, parts: Sequence[StoredPart], lost: Sequence[npt.NDArray[np.bool_]]) -> None:
        """
        Count the documents that are gone, by their former values.

        :raises DatasetError: a former part is not there any more
        """
        self._gone_known = True
        for part, mask in zip(parts, lost, strict=True):
            if mask.any():
                for row, texts in _texts(part, self.column):
                    self._count(texts, mask[row : row + len(texts)].astype(np.int8), {1: "gone"})

    def as_json(self) -> dict[str, Any] | None:
        """Return the counts, the most first; ``None`` where no document has the column."""
        if not self._counts.keys() - {""}:
            return None
        order = sorted(self._counts, key=lambda value: (-sum(self._counts[value].values()), value))
        values = [{"value": value, **self._as_json(self._counts[value])} for value in order[:_SHOWN]]
        others = sum((self._counts[value] for value in order[_SHOWN:]), start=Counter(self._others))
        found = {"column": self.column, "values": values, "more": len(order) - len(values)}
        return found if not others else {**found, "others": self._as_json(others)}

    def _as_json(self, counts: Counter[str]) -> dict[str, int | None]:
        gone = counts["gone"] if self._gone_known else None
        return {**{name: counts[name] for name in ("new", "changed", "unchanged")}, "gone": gone}

    def _count(self, texts: pl.Series, kinds: npt.NDArray[np.int8], names: Mapping[int, str]) -> None:
        counted = pl.DataFrame({"value": texts, "kind": kinds}).group_by("value", "kind").len()
        for value, kind, count in counted.sort("value", "kind").iter_rows():
            if kind not in names:
                continue
            if value in self._counts or len(self._counts) < _KEPT:
                self._counts.setdefault(value, Counter())[names[kind]] += count
            else:
                self._others[names[kind]] += count


def _texts(part: StoredPart, column: str) -> Iterator[tuple[int, pl.Series]]:
    """Return the values as texts, cut where they are long; one that is absent is an empty text."""
    for row, array in values_of(part, column):
        try:
            texts = pl.Series(array.cast(pa.large_string()), dtype=pl.String)
        except pa.ArrowException:  # a list, a struct
            values = (None if one is None else encode(one).decode() for one in array.to_pylist())
            texts = pl.Series(list(values), dtype=pl.String)
        yield row, texts.fill_null("").str.slice(0, SHOWN_CHARACTERS)

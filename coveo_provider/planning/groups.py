"""The documents of a plan by the value of a column: of which kind are those that are new, changed or gone."""

from __future__ import annotations

from collections import Counter
from typing import Any

import polars as pl
import pyarrow as pa
from msgspec.json import encode

from coveo_provider.documents.changes.comparison import Compared, Fate
from coveo_provider.planning.columns import NONE, UNKNOWN, Column, Distinct
from coveo_provider.planning.samples import SHOWN_CHARACTERS

_KINDS: dict[int, str] = {
    Fate.UNCHANGED: "unchanged",
    Fate.NEW: "new",
    Fate.CHANGED: "changed",
    Fate.AGAIN: "changed",
}
_DISTINCT = 10_000  # values told apart; what is met after them counts among the others
_OTHER = UNKNOWN - 1
_SHOWN = 20


def group_values() -> Distinct:
    """Return what keeps the values of the column: a value that is no text goes by its JSON."""
    return Distinct(_texts, _DISTINCT, lambda _: _OTHER)


class Groups:
    """
    Counts of documents by the value of a column.

    :param name: the column's
    :param current: its values now
    :param former: those of the last load; ``None`` when they are not known
    """

    def __init__(self, name: str, current: Column, former: Column | None) -> None:
        self._name, self._current, self._former = name, current, former
        self._counts: dict[int, Counter[str]] = {}

    def add(self, compared: Compared) -> None:
        """Take a share of the documents."""
        current = compared.current
        values = pl.Series(self._current.at(current["part"], current["row"]))
        self._count(pl.DataFrame({"value": values, "fate": current["fate"]}), _KINDS)
        if self._former is not None:
            lost = compared.lost
            values = pl.Series(self._former.at(lost["former_part"], lost["former_row"]))
            self._count(pl.DataFrame({"value": values}).with_columns(fate=pl.lit(0)), {0: "gone"})

    def as_json(self) -> dict[str, Any] | None:
        """Return the counts, the most first; ``None`` where no document has the column."""
        if not self._counts.keys() - {NONE}:
            return None
        others = self._counts.get(_OTHER, Counter())
        known: dict[str, Counter[str]] = {}
        for number, counts in self._counts.items():
            if number != _OTHER:  # no value and an empty text are the same
                known[self._text(number)] = known.get(self._text(number), Counter()) + counts
        order = sorted(known, key=lambda text: (-sum(known[text].values()), text))
        told = [{"value": text, **self._as_json(known[text])} for text in order[:_SHOWN]]
        others = sum((known[text] for text in order[_SHOWN:]), start=Counter(others))
        found = {"column": self._name, "values": told, "more": len(order) - len(told)}
        return {**found, "others": self._as_json(others)} if others else found

    def _text(self, number: int) -> str:
        return "" if number == NONE else self._current.distinct.texts[number]

    def _as_json(self, counts: Counter[str]) -> dict[str, int | None]:
        gone = None if self._former is None else counts["gone"]
        return {**{name: counts[name] for name in ("new", "changed", "unchanged")}, "gone": gone}

    def _count(self, frame: pl.DataFrame, kinds: dict[int, str]) -> None:
        for value, fate, count in frame.group_by("value", "fate").len().iter_rows():
            self._counts.setdefault(value, Counter())[kinds[fate]] += count


def _texts(array: pa.Array, _: str) -> pl.Series:
    """Return values as texts, cut where they are long."""
    try:
        texts = pl.Series(array.cast(pa.large_string()), dtype=pl.String)
    except pa.ArrowException:  # a list, a struct
        values = (None if one is None else encode(one, enc_hook=str).decode() for one in array.to_pylist())
        texts = pl.Series(list(values), dtype=pl.String)
    return texts.str.slice(0, SHOWN_CHARACTERS)

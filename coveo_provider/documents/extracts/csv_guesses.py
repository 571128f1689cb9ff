"""
What the texts of a column of CSV allow it to be.

One rule: a column is of numbers, or of true and false, only if every value would be sent as the very text that
stands in the file. ``12``, ``-3``, ``0.25`` and ``5.0`` would; ``007``, ``1.10``, ``1e3`` and ``True`` would not,
nor would ``38`` beside ``38.5``, of which one type makes ``38.0``. Then all of the column stays text.
"""

from __future__ import annotations

import polars as pl

from coveo_provider.documents.extracts.csv_options import TEXT

_KINDS = ("Int64", "float64", "boolean")
_LEAST, _MOST = 1e-4, 1e15  # beyond, programs differ in how they write a fraction
_DIGITS = 15  # that every 64-bit float keeps


class Guess:
    """
    What all values of a column so far allow it to be.

    :param kept: the only type that it may be, if an earlier load found one
    :param spelled: whether the values become parts of texts, where the number of ``5.0`` is spelled ``5``
    """

    def __init__(self, kept: str | None = None, *, spelled: bool = False) -> None:
        self._spelled = spelled
        self._possible = list(_KINDS) if kept is None else [kept]
        self._kept = kept
        self._any_value = False

    @property
    def type(self) -> str | None:
        """Its type, as pandas names it; ``None`` as long as it has no value and nothing is kept."""
        if self._kept is not None or not self._any_value:
            return self._kept
        return self._possible[0] if self._possible else TEXT

    def look(self, values: pl.Series) -> int | None:
        """
        Take further values into account, an empty one being none.

        :return: the position of the first that is not of the type that is kept; ``None`` when all are
        """
        if self._kept == TEXT or (self._any_value and not self._possible):
            return None
        present = values.filter(values != "")
        if not len(present):
            return None
        self._any_value = True
        self._possible = [kind for kind in self._possible if self._stays(present, kind).all()]
        if self._kept is None or self._possible:
            return None
        self._possible = [self._kept]
        return (~(self._stays(values, self._kept) | (values == ""))).arg_max()

    def _stays(self, texts: pl.Series, kind: str) -> pl.Series:
        """Return for each text whether it is what would be sent of its value in a type."""
        if kind == "boolean":
            return texts.is_in(["true", "false"])
        numbers = texts.cast(pl.Int64 if kind == "Int64" else pl.Float64, strict=False)
        same: pl.Series = (numbers.cast(pl.String) == texts).fill_null(
            value=False
        )  # as the encoder writes it
        if kind == "float64":
            short = texts.str.len_bytes() - texts.str.starts_with("-").cast(pl.Int64) <= _DIGITS + 1
            same &= short & (
                numbers.abs().is_between(_LEAST, _MOST).fill_null(value=False) | (texts == "0.0")
            )
            if self._spelled:
                same &= ~texts.str.ends_with(".0")
        return same

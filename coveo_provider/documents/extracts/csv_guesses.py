"""What the texts of a column of CSV allow it to be, so that nothing of how they were written is lost."""

from __future__ import annotations

from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

_INTEGER = r"^(?:0|-?[1-9][0-9]{0,18})$"
_DECIMAL = r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?$"
_NEGATIVE_ZERO = r"^-0(?:\.0*)?$"
_DIGITS = 15  # that every 64-bit float keeps
_BOOLEANS = (("true", "false"), ("True", "False"), ("TRUE", "FALSE"))


@dataclass
class Guess:
    """What all values of a column so far allow it to be."""

    integer: bool = True
    decimal: bool = True
    booleans: set[tuple[str, str]] = field(default_factory=lambda: set(_BOOLEANS))
    any_value: bool = False
    padded: bool = False  # 1.50
    pointed: bool = False  # 5.0
    scales: set[int] = field(default_factory=set)  # numbers of decimals

    @property
    def type(self) -> pa.DataType:
        """The narrowest type that loses nothing."""
        if not self.any_value:
            return pa.string()
        if self.integer:
            return pa.int64()
        if self.decimal and self._regular:
            return pa.float64()
        return pa.bool_() if self.booleans else pa.string()

    @property
    def _regular(self) -> bool:
        """
        Whether the numbers tell how they were written.

        All with as many decimals as prices have, or all as short as can be, or as most programs write floats: as
        short as can be, with ``.0`` for none.
        """
        short = not self.padded and not (self.pointed and 0 in self.scales)
        return len(self.scales) == 1 or short

    def look(self, column: pa.ChunkedArray) -> None:
        """Take further values into account."""
        if not (self.integer or self.decimal or self.booleans):
            return
        values = column.filter(pc.not_equal(column, ""))
        if not len(values):
            return
        self.any_value = True
        self.integer = self.integer and _all(pc.match_substring_regex(values, _INTEGER)) and _fit(values)
        if self.decimal:
            self._look_at_decimals(values)
        self.booleans = {pair for pair in self.booleans if _all(pc.is_in(values, pa.array(pair)))}

    def _look_at_decimals(self, values: pa.ChunkedArray) -> None:
        self.decimal = _all(pc.match_substring_regex(values, _DECIMAL)) and not _any(
            pc.match_substring_regex(values, _NEGATIVE_ZERO)
        )
        if not self.decimal:
            return
        point = pc.find_substring(values, ".")
        length = pc.utf8_length(values)
        signs = pc.cast(pc.starts_with(values, "-"), pa.int32())
        fractional = pc.greater_equal(point, 0)
        digits = pc.subtract(pc.subtract(length, signs), pc.cast(fractional, pa.int32()))
        self.decimal = pc.max(digits).as_py() <= _DIGITS
        scales = pc.if_else(fractional, pc.subtract(length, pc.add(point, 1)), 0)
        self.scales.update(pc.unique(scales).to_pylist())
        zeros = pc.and_(fractional, pc.ends_with(values, "0"))
        self.padded = self.padded or _any(pc.and_(zeros, pc.greater(scales, 1)))
        self.pointed = self.pointed or _any(pc.and_(zeros, pc.equal(scales, 1)))


def _all(mask: pa.ChunkedArray) -> bool:
    return bool(pc.all(mask).as_py())


def _any(mask: pa.ChunkedArray) -> bool:
    return bool(pc.any(mask).as_py())


def _fit(values: pa.ChunkedArray) -> bool:
    """Return whether whole numbers of up to 19 digits fit into 64 bits."""
    try:
        pc.cast(values, pa.int64())
    except pa.ArrowInvalid:
        return False
    return True

"""
Which values fit which type of field.

The service drops what does not, without a word (docs 115). Which spellings of numbers and dates it reads is only
told by example (``docs/api-notes.md``, "Dates and numbers"): what is not surely read does not fit here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from coveo_provider.documents.values.arrow_types import is_list
from coveo_provider.documents.values.json_values import is_absent
from coveo_provider.documents.values.plain_arrays import plain_type

_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
_DIGITS = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}([-/])[0-9]{2}\1[0-9]{2}([T ][0-9]{2}:[0-9]{2}.*)?", re.DOTALL)
_FRACTION = re.compile(r"([.,][0-9]{1,9})(?=$|Z|[+-])")

BITS = {"LONG": 32, "LONG_64": 64, "DOUBLE": 54}
"""Of whole numbers with a sign that a type holds exactly; a ``DOUBLE`` rounds most that are larger."""

EXPECTED = {
    "LONG": "a whole number of 32 bits, from -2,147,483,648 to 2,147,483,647",
    "LONG_64": "a whole number of 64 bits",
    "DOUBLE": "a number such as 12.5, with a point, without blanks and units, and of 15 digits if it is whole",
    "DATE": "a date such as 2026-01-31 or 2026-01-31T08:30:00Z",
    "VECTOR": "a list of numbers",
}


def within(number: int, kind: str) -> bool:
    """Return whether a whole number is in the range of a type that :data:`BITS` names."""
    most = 1 << (BITS[kind] - 1)
    return -most <= number < most


def fits(kind: str, value: Any) -> bool:
    """
    Return whether a value, or all values of a list or an object, fit a field of a type.

    :param value: as it stands in a dataset; ``None``, which is not sent, fits
    """
    return all(_FITS[kind](one) for one in _scalars(value)) if kind in _FITS else True


def _scalars(value: Any) -> Iterator[Any]:
    """Return the values that are sent of one, of all in a list or an object: none where all of it is absent."""
    value = python_value(value)
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from _scalars(one)
    elif value is not None:
        yield value


def is_sent(value: Any) -> bool:
    """Return whether anything of a value is sent."""
    return any(True for _ in _scalars(value))


def python_value(value: Any) -> Any:
    """Return a value as Python has it, one of numpy or pandas, too; ``None`` when it is not sent."""
    if type(value).__module__ == "numpy" and hasattr(value, "dtype"):
        value = (value.astype("M8[us]") if value.dtype.kind == "M" else value).tolist()
    return None if is_absent(value) else value


def is_whole(value: Any) -> bool:
    """Return whether a value is sent as a whole number: 12 and the decimal 12 are, 12.0 is not."""
    if isinstance(value, Decimal):
        return value.is_finite() and int(value.as_tuple().exponent) >= 0
    return isinstance(value, int) and not isinstance(value, bool)


def is_whole_type(dtype: pa.DataType) -> bool:
    """Return whether a column has whole numbers only: of decimals such without digits behind the point."""
    return bool(pt.is_integer(dtype) or (pt.is_decimal(dtype) and dtype.scale <= 0))


def _is_within(kind: str) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        if isinstance(value, str):
            return _WHOLE.fullmatch(value) is not None and within(int(value), kind)
        return is_whole(value) and within(int(value), kind)

    return fits


def _is_number(value: Any) -> bool:
    """Whether a 64-bit float holds it: none is that large, and of a whole number no digit may be lost."""
    if isinstance(value, str):
        if not _DECIMAL.fullmatch(value):
            return False
        value = Decimal(value) if _DIGITS.fullmatch(value) else float(value)
    if is_whole(value):
        return within(int(value), "DOUBLE") or _is_exact(int(value))
    return isinstance(value, (float, Decimal)) and math.isfinite(float(value))


def _is_exact(number: int) -> bool:
    try:
        return int(float(number)) == number
    except OverflowError:
        return False


def _is_date(value: Any) -> bool:
    if not isinstance(value, str):
        return isinstance(value, (date, datetime))
    text = value
    if not _DATE.fullmatch(text):
        return False
    # Python 3.10 reads three or six digits of a second only.
    text = _FRACTION.sub("", text.replace("/", "-"), count=1).replace("Z", "+00:00")
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _is_component(value: Any) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


_FITS: dict[str, Callable[[Any], bool]] = {
    **{kind: _is_within(kind) for kind in ("LONG", "LONG_64")},
    "DOUBLE": _is_number,
    "DATE": _is_date,
    "VECTOR": _is_component,
}


def all_fit(kind: str, dtype: pa.DataType) -> bool:
    """Return whether a column's type says of all its values that they fit, so that none has to be looked at."""
    if kind not in _FITS or pt.is_null(dtype):
        return True
    dtype = plain_type(dtype)
    if pt.is_dictionary(dtype):
        return all_fit(kind, dtype.value_type)
    if pt.is_struct(dtype):
        return all(all_fit(kind, each.type) for each in dtype)
    if pt.is_map(dtype):
        return all_fit(kind, dtype.item_type)
    if is_list(dtype):
        return all_fit(kind, dtype.value_type)
    if kind in BITS and is_whole_type(dtype):
        return _bits(dtype) <= BITS[kind]
    if kind == "DATE":
        return bool(pt.is_timestamp(dtype) or pt.is_date(dtype))
    numbers = pt.is_integer(dtype) or pt.is_floating(dtype) or pt.is_decimal(dtype)
    return bool(numbers and kind in {"DOUBLE", "VECTOR"})


def _bits(dtype: pa.DataType) -> int:
    """Return how many bits, with a sign, the largest whole number of a type needs."""
    if pt.is_decimal(dtype):
        return int(10 ** (dtype.precision - dtype.scale)).bit_length() + 1
    return int(dtype.bit_width) + bool(pt.is_unsigned_integer(dtype))

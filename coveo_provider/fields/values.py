"""
Which values fit which type of field.

The service drops what does not, without a word (docs 115). Which spellings of numbers and dates it reads is only
told by example (``docs/api-notes.md``, "Dates and numbers"): what is not surely read does not fit here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.types as pt

from coveo_provider.documents.values.arrow_types import is_list
from coveo_provider.documents.values.plain_arrays import plain_type

_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_DATE = re.compile(r"[0-9]{4}([-/])[0-9]{2}\1[0-9]{2}([T ][0-9]{2}:[0-9]{2}.*)?", re.DOTALL)
_FRACTION = re.compile(r"([.,][0-9]{1,9})(?=$|Z|[+-])")

BITS = {"LONG": 32, "LONG_64": 64}

EXPECTED = {
    "LONG": "a whole number of 32 bits, from -2,147,483,648 to 2,147,483,647",
    "LONG_64": "a whole number of 64 bits",
    "DOUBLE": "a number such as 12.5, with a point, without blanks and units",
    "DATE": "a date such as 2026-01-31 or 2026-01-31T08:30:00Z",
    "VECTOR": "a list of numbers",
}


def within(number: int, kind: str) -> bool:
    """Return whether a whole number is in the range of ``LONG`` or ``LONG_64``."""
    most = 1 << (BITS[kind] - 1)
    return -most <= number < most


def fits(kind: str, value: Any) -> bool:
    """
    Return whether a value, or all values of a list or an object, fit a field of a type.

    :param value: as it stands in a dataset; ``None``, which is not sent, fits
    """
    return all(_FITS[kind](one) for one in _scalars(value)) if kind in _FITS else True


def _scalars(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from _scalars(one)
    elif not is_absent(value):
        yield value


def is_absent(value: Any) -> bool:
    """Return whether a value is not sent: none, or a float that is no number."""
    return value is None or (isinstance(value, float) and value != value)


def _is_whole(kind: str) -> Callable[[Any], bool]:
    def whole(value: Any) -> bool:
        if isinstance(value, str):
            return _WHOLE.fullmatch(value) is not None and within(int(value), kind)
        if isinstance(value, Decimal):  # 12 is sent as 12, and 12.00 as 12.00
            return bool(value.as_tuple().exponent == 0 and within(int(value), kind))
        return isinstance(value, int) and not isinstance(value, bool) and within(value, kind)

    return whole


def _is_number(value: Any) -> bool:
    if isinstance(value, str):
        return _DECIMAL.fullmatch(value) is not None
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


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
    **{kind: _is_whole(kind) for kind in BITS},
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
    if kind in BITS:
        bits = int(dtype.bit_width) if pt.is_integer(dtype) else 0
        return bool(0 < bits + pt.is_unsigned_integer(dtype) <= BITS[kind])
    if kind == "DATE":
        return bool(pt.is_timestamp(dtype) or pt.is_date(dtype))
    return bool(pt.is_integer(dtype) or pt.is_floating(dtype) or pt.is_decimal(dtype))

"""
One value of a document → JSON.

Null, NaN and NaT mean absent, timestamps become ISO 8601 UTC with ``Z``, decimals keep their digits. The encoder
of whole batches follows the same rules and is tested against this module.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import orjson

ABSENT = object()
"""Stands for a value that is left out of the JSON."""

_MISSING = frozenset({"NAType", "NaTType"})  # of pandas, told by name so that pandas need not be loaded
_DIGITS = 400  # written out; a 64-bit float ends at 308


def is_absent(value: Any) -> bool:
    """Return whether a value stands for none: ``None``, NaN, NaT or NA."""
    if value is None or type(value).__name__ in _MISSING:
        return True
    if isinstance(value, Decimal):
        return value.is_nan()
    return isinstance(value, float) and math.isnan(value)


def json_value(value: Any, depth: int) -> Any:
    """
    Return a value as JSON can hold it, without what is absent in it; :data:`ABSENT` when all of it is.

    :param depth: how many levels of lists and objects may be nested
    :raises ValueError: says what cannot be sent
    """
    if type(value).__module__ == "numpy" and hasattr(value, "dtype"):
        value = _python(value)
    if is_absent(value):
        return ABSENT
    if isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, (float, Decimal)):
        return _number(value)
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, date):
        return f"{value.isoformat()}T00:00:00Z"
    if isinstance(value, (list, tuple, Mapping)):
        return _nest(value, depth)
    raise ValueError(f"{type(value).__name__} is no JSON value")


def _number(value: float | Decimal) -> Any:
    if math.isinf(value) if isinstance(value, float) else value.is_infinite():
        raise ValueError("infinity is no JSON number")
    if isinstance(value, float):
        return value
    if max(abs(value.adjusted()), len(value.as_tuple().digits)) >= _DIGITS:
        raise ValueError(f"a number of {_DIGITS} digits and more")
    return orjson.Fragment(format(value, "f"))


def _nest(value: Any, depth: int) -> Any:
    if depth <= 0:
        raise ValueError("is nested deeper than the API takes")
    if not isinstance(value, Mapping):
        elements = (json_value(element, depth - 1) for element in value)
        return [element for element in elements if element is not ABSENT]
    if any(not isinstance(key, str) for key in value):
        raise ValueError("holds an object with a key that is no text")
    pairs = ((key, json_value(element, depth - 1)) for key, element in value.items())
    return {key: element for key, element in pairs if element is not ABSENT}


def _python(value: Any) -> Any:
    """Return a value of numpy as Python's own, or a list whose elements are still to be taken so."""
    kind = value.dtype.kind
    short = kind == "f" and value.dtype.itemsize < 8
    if kind == "m":
        raise ValueError("a duration is no JSON value")
    if value.ndim and (kind == "M" or short):
        return list(value)
    if kind == "M":
        moment = value.astype("M8[us]").tolist()
        if isinstance(moment, int):
            raise ValueError("holds a date outside the years 1 to 9999")
        nanoseconds = int(value.astype("i8")) % 1_000 if value.dtype == "M8[ns]" else 0
        return moment and iso(moment, nanoseconds)
    if short:  # 0.1, not 0.10000000149011612
        return float(str(value.astype("f4")[()]))
    return value.tolist()


def iso(moment: datetime, nanoseconds: int = 0) -> str:
    """
    Return a moment as ISO 8601 UTC with ``Z``; a naive one is taken as UTC.

    :param nanoseconds: what it has beyond its microseconds
    :raises ValueError: in UTC it lies outside the years 1 to 9999
    """
    try:
        naive = moment.utcoffset() is None
        utc = moment.replace(tzinfo=timezone.utc) if naive else moment.astimezone(timezone.utc)
    except OverflowError:
        raise ValueError("holds a date outside the years 1 to 9999") from None
    text = utc.replace(tzinfo=None).isoformat(timespec="microseconds")
    nanoseconds = getattr(moment, "nanosecond", nanoseconds)  # pandas.Timestamp has its own
    if nanoseconds:
        return f"{text}{nanoseconds:03d}Z"
    if utc.microsecond == 0:
        return f"{text[:-7]}Z"
    return f"{text[:-3] if utc.microsecond % 1000 == 0 else text}Z"


def dump(value: Any) -> bytes:
    """Return JSON as compact UTF-8 bytes."""
    return orjson.dumps(value)


def json_text(value: Any) -> str | None:
    """Return a value of metadata as JSON text, or ``None`` when it is absent."""
    cleaned = json_value(value, depth=1)
    return None if cleaned is ABSENT else dump(cleaned).decode()

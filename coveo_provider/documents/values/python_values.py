"""Arrays of Arrow → values of Python, without what a plain conversion would lose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.types as pt

from coveo_provider.documents.values.arrow_types import is_list
from coveo_provider.documents.values.faults import Unreadable
from coveo_provider.documents.values.moments import NO_DATE
from coveo_provider.documents.values.plain_arrays import with_parts


def python_values(array: pa.Array) -> list[Any]:
    """
    Return the values of a plain array: lists, and dicts for structs and maps.

    :raises Unreadable: Python has none like it: a date in the year 10000, a key that stands twice, an unknown zone
    """
    for dtype in scalar_types(array.type):
        refuse_unknown_zone(dtype)
    try:
        values: list[Any] = short_floats(array).to_pylist()
    except (OverflowError, ValueError) as error:
        if isinstance(error, OverflowError) or "out of range" in str(error):
            raise Unreadable(f"holds {NO_DATE}") from None
        raise
    if pt.is_map(array.type):
        return [value if value is None else _distinct(value) for value in values]
    return values


def scalar_types(dtype: pa.DataType) -> Iterator[pa.DataType]:
    """Return the types of single values in a type, through structs, maps and lists."""
    if pt.is_struct(dtype):
        for each in dtype:
            yield from scalar_types(each.type)
    elif pt.is_map(dtype):
        yield from scalar_types(dtype.key_type)
        yield from scalar_types(dtype.item_type)
    elif is_list(dtype):
        yield from scalar_types(dtype.value_type)
    else:
        yield dtype


def without_zones(array: pa.Array) -> pa.Array:
    """Return moments as those of UTC, in structs, maps and lists, too."""
    dtype = array.type
    if pt.is_timestamp(dtype):
        return array.cast(pa.timestamp(dtype.unit))
    return with_parts(array, without_zones) if _has_parts(dtype) else array


def refuse_unknown_zone(dtype: pa.DataType) -> None:
    """
    Refuse moments of a time zone that Python does not know.

    :raises Unreadable: names the zone
    """
    if pt.is_timestamp(dtype) and dtype.tz is not None:
        try:
            pa.scalar(0, dtype).as_py()
        except (pa.ArrowException, ValueError, LookupError):
            raise Unreadable(
                f"is of time zone {dtype.tz!r}, which Python does not know: write it in UTC"
            ) from None


def short_floats(array: pa.Array) -> pa.Array:
    """Return floats of 32 bits with their own digits: 0.1, not 0.10000000149011612."""
    dtype = array.type
    if pt.is_float32(dtype):
        return pl.Series("", array).cast(pl.String).cast(pl.Float64).to_arrow()
    return with_parts(array, short_floats) if _has_parts(dtype) else array


def _has_parts(dtype: pa.DataType) -> bool:
    return bool(pt.is_struct(dtype) or pt.is_map(dtype) or is_list(dtype))


def _distinct(pairs: list[tuple[Any, Any]]) -> dict[Any, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise Unreadable("has a key twice in one object")
    return value

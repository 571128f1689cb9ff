"""Columns of moments and dates → ISO 8601 UTC with ``Z``."""

from __future__ import annotations

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

ISO = "%Y-%m-%dT%H:%M:%S%.fZ"
"""What polars writes a moment by."""

NO_DATE = "a date outside the years 1 to 9999"

_YEARS = (-62_135_596_800, 253_402_300_799)  # seconds since the epoch of the years 1 and 9999


def utc(array: pa.Array) -> pa.Array:
    """Return moments or dates as moments of UTC without a zone, of a unit that polars knows."""
    dtype = array.type
    if pt.is_date(dtype):
        array = array.cast(pa.timestamp("s") if pt.is_date32(dtype) else pa.timestamp("ms"))
    else:
        array = array.cast(pa.timestamp(dtype.unit))  # drops the zone's name and keeps UTC
    return _within_reach(array) if array.type.unit == "s" else array


def _within_reach(seconds: pa.Array) -> pa.Array:
    """Return moments that can be counted in milliseconds; those out of range stay out of it."""
    first, last = _YEARS
    clipped = pc.min_element_wise(seconds.cast(pa.int64()), last + 1, skip_nulls=False)
    return pc.max_element_wise(clipped, first - 1, skip_nulls=False).cast(pa.timestamp("s"))


def out_of_range(moments: pl.Series) -> pl.Series:
    """Return which moments lie outside the years 1 to 9999, which ISO 8601 has no four digits for."""
    return ~moments.dt.epoch("s").is_between(*_YEARS).fill_null(True)


def iso_texts(array: pa.Array) -> pl.Series:
    """
    Return moments or dates as texts.

    :raises ValueError: one lies outside the years 1 to 9999
    """
    moments = pl.Series("", utc(array))
    if out_of_range(moments).any():
        raise ValueError(f"holds {NO_DATE}")
    return moments.dt.strftime(ISO)

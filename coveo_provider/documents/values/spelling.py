"""
Values → the texts that stand for them, as in the JSON that is sent for them.

Texts have no quotes; a whole number has neither fraction nor exponent, so that 38 is ``38`` among fractions, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.types as pt

from coveo_provider.documents.values.arrow_types import is_list, is_text
from coveo_provider.documents.values.json_values import ABSENT, dump, json_value
from coveo_provider.documents.values.moments import iso_texts
from coveo_provider.documents.values.plain_arrays import plain

_EXPECTED = "expected text, a number, a date, or true or false"
_EXACT = 2.0**53  # up to here, each whole number has a float of its own


def spelled(array: pa.Array) -> pa.Array:
    """
    Return a column as texts, of ``large_string``; null where there is no value.

    :raises ValueError: a value has no spelling, such as a list
    """
    array.validate(full=True)  # a Parquet file may claim to hold UTF-8 and not do so
    array = plain(array)
    dtype = array.type
    if array.null_count == len(array):
        return pa.nulls(len(array), pa.large_string())
    if pt.is_dictionary(dtype):
        return spelled(array.dictionary).take(array.indices)
    if is_text(dtype) or pt.is_boolean(dtype) or pt.is_integer(dtype):
        return array.cast(pa.large_string())
    if pt.is_floating(dtype):
        return _texts(_floats(array))
    if pt.is_timestamp(dtype) or pt.is_date(dtype):
        return _texts(iso_texts(array))
    if pt.is_decimal128(dtype) and 0 <= dtype.scale <= dtype.precision:  # polars knows no others
        return _texts(pl.Series("", array).cast(pl.String))
    if pt.is_decimal(dtype):
        return pa.array([spelled_value(value) for value in array.to_pylist()], pa.large_string())
    raise ValueError(f"{_kind(dtype)} {_EXPECTED}")


def spelled_value(value: Any) -> str | None:
    """
    Return one value of Python, pandas or numpy as text; ``None`` when it is absent.

    :raises ValueError: it has no spelling, such as a list
    """
    if isinstance(value, Mapping):
        raise ValueError(f"an object stands there, {_EXPECTED}")
    if isinstance(value, (list, tuple, set, frozenset)) or getattr(value, "ndim", None):
        raise ValueError(f"a list stands there, {_EXPECTED}")
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise ValueError(f"bytes stand there, {_EXPECTED}")
    cleaned = json_value(value, depth=0)
    if cleaned is ABSENT:
        return None
    if isinstance(cleaned, str):
        return cleaned
    if isinstance(cleaned, int) and not isinstance(cleaned, bool):
        return str(cleaned)
    text = dump(cleaned).decode()
    return _whole(text) if isinstance(cleaned, float) and cleaned.is_integer() else text


def _floats(array: pa.Array) -> pl.Series:
    numbers = pl.Series("n", array.cast(pa.float32()) if pt.is_float16(array.type) else array)
    numbers = numbers.fill_nan(None)
    if numbers.is_infinite().any():
        raise ValueError("infinity is no JSON number")
    whole = numbers == numbers.round(0)
    small = pl.when(whole & (numbers.abs() < _EXACT)).then(pl.lit(numbers).cast(pl.Int64, strict=False))
    texts = pl.select(small.cast(pl.String).fill_null(pl.lit(numbers).cast(pl.String))).to_series()
    if (large := whole & (numbers.abs() >= _EXACT)).any():
        written = texts.filter(large).map_elements(_whole, return_dtype=pl.String)
        texts = texts.scatter(large.arg_true(), written)
    return texts


def _whole(text: str) -> str:
    """Return a whole number with its digits: ``1e+21`` as a one and 21 zeros; 0 has no sign."""
    return format(Decimal(text) + 0, "f").removesuffix(".0")


def _texts(series: pl.Series) -> pa.Array:
    return series.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.large_string())


def _kind(dtype: pa.DataType) -> str:
    if is_list(dtype):
        return "a list stands there,"
    if pt.is_struct(dtype) or pt.is_map(dtype):
        return "an object stands there,"
    if pt.is_binary(dtype) or pt.is_large_binary(dtype) or pt.is_fixed_size_binary(dtype):
        return "bytes stand there,"
    return f"{dtype} stands there,"

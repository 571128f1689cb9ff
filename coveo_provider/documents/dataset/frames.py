"""
Arrow tables ↔ DataFrames, without what a plain conversion would lose.

Plain columns are what users expect of pandas. Lists, objects, dates and decimals are values of Python, and become
again what they were before a function of the user got them: the types they had are kept at hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.types as pt

from coveo_provider.documents.values.arrow_types import is_binary, is_text
from coveo_provider.documents.values.faults import FAULTS, Unreadable, converted
from coveo_provider.documents.values.json_values import is_absent
from coveo_provider.documents.values.plain_arrays import plain, plain_type, spelled_out
from coveo_provider.documents.values.python_values import python_values, refuse_unknown_zone, scalar_types

_NULLABLE: dict[pa.DataType, Any] = {
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}


@lru_cache(maxsize=1)
def _text_dtype() -> Any:
    """Return what pandas makes of texts: its own type for them since 3.0, objects before."""
    return pa.array(["text"]).to_pandas().dtype


def frame_of(table: pa.Table, first_row: int = 0) -> pd.DataFrame:
    """
    Return a table as a DataFrame, numbered from 0.

    Whole numbers and booleans are nullable, so that one missing value makes no floats of them; repeated texts are
    spelled out, so that a column is of the same kind in every batch. Lists are lists, structs and maps are dicts.

    :param first_row: the number of the first row, for errors
    :raises DatasetError: names column and row of a value that pandas cannot hold, such as a date in the year 10000
    """
    columns = {
        name: converted(whole(column), name, first_row, series_of)
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    frame: pd.DataFrame = pd.DataFrame(columns, index=pd.RangeIndex(table.num_rows))
    return frame


def frame_of_rows(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return rows as a DataFrame of objects: one missing value makes no floats of whole numbers."""
    frame: pd.DataFrame = pd.DataFrame([dict(row) for row in rows], dtype=object)
    return frame


def types_of(table: pa.Table) -> dict[str, pa.DataType]:
    """Return the types of columns, as :func:`arrow_of` takes them."""
    types = {field.name: plain_type(field.type) for field in table.schema}
    return {name: dtype.value_type if pt.is_dictionary(dtype) else dtype for name, dtype in types.items()}


def whole(column: pa.ChunkedArray) -> pa.Array:
    """Return a column in one piece."""
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks or [pa.array([], column.type)])


def series_of(array: pa.Array) -> pd.Series[Any]:
    """Return a column as pandas has it."""
    if array.null_count < len(array):
        array.validate(full=True)  # a Parquet file may claim to hold UTF-8 and not do so
    array = spelled_out(plain(array))
    dtype = array.type
    series: pd.Series[Any]
    if _is_object(dtype):
        series = pd.Series(_objects(array), dtype=object)
    else:
        refuse_unknown_zone(dtype)
        series = array.to_pandas(types_mapper=_NULLABLE.get)
    if is_text(dtype):
        series = series.astype(_text_dtype())  # pandas makes objects of a batch without any
    return series


def _objects(array: pa.Array) -> list[Any]:
    if array.null_count == len(array):
        return [None] * len(array)
    if any(pt.is_union(one) or isinstance(one, pa.BaseExtensionType) for one in scalar_types(array.type)):
        raise Unreadable(f"is of type {array.type}, which pandas does not know")
    return python_values(array)


def _is_object(dtype: pa.DataType) -> bool:
    """Return whether a type's values are objects of Python, from which its like has to be told."""
    simple = (
        is_text(dtype), is_binary(dtype), dtype in _NULLABLE, pt.is_floating(dtype), pt.is_timestamp(dtype),
        pt.is_duration(dtype), pt.is_null(dtype),
    )  # fmt: skip
    return not any(simple)


def arrow_of(series: pd.Series[Any], like: pa.DataType | None = None) -> pa.Array | pa.ChunkedArray:
    """
    Return a column of a DataFrame as Arrow has it.

    :param like: what it was before it came to pandas; where its values still fit, it is that again
    :raises pyarrow.ArrowException: the values have no common type; likewise ``ValueError``, ``TypeError``,
        ``OverflowError``
    """
    if series.dtype != object:
        return pa.array(series, from_pandas=True)
    if like is not None and _is_object(like):
        with suppress(*FAULTS):
            array = pa.array(series, like, from_pandas=True)
            if _same(python_values(array), series.tolist()):
                return array
    return _inferred(series)


def _same(ours: Any, theirs: Any) -> bool:
    """Return whether a value of Arrow is that of a user: keys, fractions and times of day are still there."""
    if ours is None:
        return is_absent(theirs)
    if isinstance(theirs, Mapping):
        mine = dict(ours)
        return all(_same(mine.get(key), theirs.get(key)) for key in {*mine, *theirs})
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(_same, ours, theirs))
    return bool(ours == theirs)


def _inferred(series: pd.Series[Any]) -> pa.Array | pa.ChunkedArray:
    """Return objects of Python in the type that holds all of them."""
    array = pa.array(series, from_pandas=True)
    types = list(scalar_types(array.type))
    if any(map(pt.is_date, types)) and any(isinstance(one, datetime) for one in _scalars(series)):
        raise ValueError("dates and moments with a time of day, which would be lost")
    if any(map(pt.is_timestamp, types)) and any(getattr(one, "nanosecond", 0) for one in _scalars(series)):
        return pa.array(series, _in_nanoseconds(array.type), from_pandas=True)
    return array


def _in_nanoseconds(dtype: pa.DataType) -> pa.DataType:
    """Return a type in which moments have nanoseconds; Arrow infers microseconds from those of pandas."""
    if pt.is_struct(dtype):
        return pa.struct([each.with_type(_in_nanoseconds(each.type)) for each in dtype])
    if pt.is_list(dtype):
        return pa.list_(_in_nanoseconds(dtype.value_type))
    return pa.timestamp("ns", dtype.tz) if pt.is_timestamp(dtype) else dtype


def _scalars(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, Mapping):
            yield from _scalars(value.values())
        elif isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
            yield from _scalars(value)
        else:
            yield value

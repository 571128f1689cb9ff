"""
A column of a DataFrame → Arrow, with every value as it stands, or a refusal that shows the values that do not fit.

Arrow takes the type of a column of objects from the values it meets first, so ``1.5`` before ``True`` would make
1.0 of it, and numbers of many digits beside short ones have no common type to it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from itertools import chain
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.types as pt

from coveo_provider.documents.dataset.frames import arrow_of

_NUMBERS = {int, float, Decimal}
_SHOWN = 60  # characters of a value that an error repeats

_Place: TypeAlias = "tuple[int, Any]"  # a row, and a value in it


def column_of(series: pd.Series[Any], first_row: int, like: pa.DataType | None = None) -> pa.ChunkedArray:
    """
    Return a column as Arrow.

    :param first_row: the number of its first row, for the error
    :param like: what it was before it came to pandas
    :raises ValueError: shows two values that have no common type, and says what helps
    """
    if isinstance(series.dtype, pd.SparseDtype):
        sparse: Any = series.sparse
        series = sparse.to_dense()
    try:
        return _column_of(series, first_row, like)
    except RecursionError:
        raise ValueError("they are nested too deeply") from None


def _column_of(series: pd.Series[Any], first_row: int, like: pa.DataType | None) -> pa.ChunkedArray:
    try:
        array = arrow_of(series, like)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        if series.dtype != object:
            raise ValueError(str(error)) from None
        _refuse_mixture(series, first_row)
        array = _of_many_digits(series, first_row, error)
    if series.dtype == object and _may_hide(array.type) and _may_be_mixed(series.tolist()):
        _refuse_mixture(series, first_row)
    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])


def _of_many_digits(series: pd.Series[Any], first_row: int, error: Exception) -> pa.Array:
    """Return numbers that Arrow finds no type for by itself, as one is too wide for it."""
    try:
        return pa.array([with_decimals(value) for value in series], from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        numbers = {row: one for row, one in enumerate(series, first_row) if type(one) in _NUMBERS}
        if not numbers:
            raise ValueError(str(error)) from None
        row = max(numbers, key=lambda row: len(f"{Decimal(str(numbers[row])):f}"))
        raise ValueError(
            f"{_said(numbers[row])} in row {row:,} is one of several numbers of which no type keeps all digits. "
            f"Write them as texts in the extract, in quotes, or use frame[{series.name!r}] = "
            f"frame[{series.name!r}].map(str, na_action='ignore')"
        ) from None


def _may_hide(dtype: pa.DataType) -> bool:
    """Return whether Arrow may have made a type of values of another one: of booleans, moments or texts."""
    if pt.is_nested(dtype):
        return any(_may_hide(dtype.field(position).type) for position in range(dtype.num_fields))
    return bool(pt.is_floating(dtype) or pt.is_date(dtype) or pt.is_binary(dtype))


def _may_be_mixed(values: list[Any]) -> bool:
    """Return whether values may be of several kinds, as their types tell at once."""
    types = set(map(type, values)) - {type(None)}
    if types <= {int, float, Decimal} or types in ({str}, {bool}, {bytes}, {date}):
        return False
    present = [value for value in values if value is not None]
    if types == {list}:
        return _may_be_mixed(list(chain.from_iterable(present)))
    if types == {dict}:
        return any(
            _may_be_mixed([value[key] for value in present if key in value])
            for key in dict.fromkeys(chain.from_iterable(present))
        )
    return not (types == {np.ndarray} and {value.dtype.kind for value in present} <= set("iuf"))


def with_decimals(value: Any) -> Any:
    """Return a value with its numbers as decimals, which may have any number of digits."""
    if isinstance(value, Mapping):
        return {key: with_decimals(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [with_decimals(member) for member in value]
    if isinstance(value, float) and value == value:
        return Decimal(repr(float(value)))
    return Decimal(value) if type(value) is int else value


def _refuse_mixture(series: pd.Series[Any], first_row: int) -> None:
    found = _mixture(enumerate(series, first_row), "")
    if found is None:
        return
    path, (first, one), (second, other) = found
    kinds = {_kind(one), _kind(other)}
    members = next((value for value in (one, other) if isinstance(value, list)), [])
    wraps = not path and all(_kind(member) in {*kinds, ""} for member in members)
    raise ValueError(
        f"{_said(one)} in row {first:,} and {_said(other)} in row {second:,}{path and f', both at {path}'}. A "
        "column holds values of one kind: make them so in the extract, or in the function given as transform, e.g. "
        f"frame[{series.name!r}] = {_cure(str(series.name), kinds, nested=bool(path), wraps=wraps)}"
    )


def _mixture(values: Iterable[_Place], path: str) -> tuple[str, _Place, _Place] | None:
    """Return two values of different kinds, and where in them these stand; ``None`` when there are none."""
    firsts: dict[str, _Place] = {}
    nested: list[_Place] = []
    for row, value in values:
        kind = _kind(value)
        if not kind:
            continue
        firsts.setdefault(kind, (row, value))
        if len(firsts) > 1:
            one, other = firsts.values()
            return path, one, other
        if kind in _NESTS:
            nested.append((row, value))
    if "a list" in firsts:
        return _mixture(_members(nested), f"{path}[]")
    keys = dict.fromkeys(key for _, value in nested for key in value)
    for key in keys:
        inner = ((row, value[key]) for row, value in nested if key in value)
        if (found := _mixture(inner, f"{path}.{key}".lstrip("."))) is not None:
            return found
    return None


_NESTS = {"a list", "an object"}


def _members(lists: Iterable[_Place]) -> Iterator[_Place]:
    return ((row, member) for row, value in lists for member in value)


def _kind(value: Any) -> str:
    """Return what kind of value one is, ``""`` when it is missing."""
    if isinstance(value, (bool, float, int, str)):  # nearly all
        if isinstance(value, str):
            return "a text"
        if isinstance(value, bool):
            return "true or false"
        return "a number" if value == value else ""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, (list, tuple)) or type(value).__name__ == "ndarray":
        return "a list"
    if value is None or pd.isna(value):
        return ""
    kinds: list[tuple[type | tuple[type, ...], str]] = [
        (Decimal, "a number"),
        (datetime, "a moment"),
        (date, "a date"),
        ((bytes, bytearray, memoryview), "bytes"),
    ]
    dtype = getattr(value, "dtype", None)
    if dtype is not None:
        return {"b": "true or false", "M": "a moment", "U": "a text"}.get(dtype.kind, "a number")
    return next((name for known, name in kinds if isinstance(value, known)), type(value).__name__)


def _said(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (TypeError, ValueError):
        text = repr(value)
    return f"{text if len(text) <= _SHOWN else text[:_SHOWN] + '…'} ({_kind(value)})"


def _cure(name: str, kinds: set[str], *, nested: bool, wraps: bool) -> str:
    """Return an expression that makes one kind of values out of two."""
    column = f"frame[{name!r}]"
    text = f"{column}.map(lambda value: value if isinstance(value, str) else "
    if wraps and "a list" in kinds and "an object" not in kinds:
        return (
            f"{column}.map(lambda value: value if isinstance(value, list) else [value], na_action='ignore')"
        )
    if kinds == {"a date", "a moment"} and nested:
        return f"{column}.map(lambda value: json.dumps(value, default=str), na_action='ignore')"
    if nested or kinds & _NESTS or kinds == {"true or false", "a number"}:
        return f"{column}.map(json.dumps, na_action='ignore')"
    if kinds == {"a date", "a moment"}:
        return f"pandas.to_datetime({column}, utc=True)"
    if kinds == {"a text", "bytes"}:
        return f"{text}value.decode(), na_action='ignore')"
    if kinds == {"a text", "true or false"}:
        return f"{text}json.dumps(value), na_action='ignore')"
    return f"{column}.map(str, na_action='ignore')"

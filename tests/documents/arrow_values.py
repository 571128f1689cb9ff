"""Columns of every type that Arrow knows, nested and with nulls everywhere, and columns that are damaged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from tests.documents.strategies import TEXTS

Draw: TypeAlias = Callable[[st.SearchStrategy[Any]], Any]

_UNITS = ["s", "ms", "us", "ns"]
_ZONES = [None, "UTC", "Europe/Paris", "+05:30", "Mars/Olympus"]
_BITS = {8: np.int8, 16: np.int16, 32: np.int32, 64: np.int64}


def _numbers(bits: int) -> st.SearchStrategy[int]:
    """Return integers of so many bits, near to 0, of today in any unit, or any."""
    most = 2 ** (bits - 1) - 1
    today = [
        one for one in (20_000, 1_700_000_000, 1_700_000_000_123, 1_700_000_000_123_456_789) if one <= most
    ]
    return st.one_of(st.integers(-3, 3), st.sampled_from(today or [1]), st.integers(-most - 1, most))


def _ints(draw: Draw, rows: int, bits: int) -> pa.Array:
    values = draw(st.lists(st.none() | _numbers(bits), min_size=rows, max_size=rows))
    return pa.array(values, pa.from_numpy_dtype(_BITS[bits]))


def _drawn(draw: Draw, rows: int, values: st.SearchStrategy[Any], dtype: pa.DataType) -> pa.Array:
    return pa.array(draw(st.lists(st.none() | values, min_size=rows, max_size=rows)), dtype)


@st.composite
def scalars(draw: Draw, rows: int, damaged: bool = False) -> pa.Array:
    """Return a column of single values."""
    kind = draw(st.sampled_from(sorted(_SCALARS) + (["bad text"] * 3 if damaged else [])))
    return _bad_texts(draw, rows) if kind == "bad text" else _SCALARS[kind](draw, rows)


def _bad_texts(draw: Draw, rows: int) -> pa.Array:
    """Return texts of which some are not UTF-8, as a Parquet file may hold them."""
    raw = _drawn(draw, rows, st.sampled_from([b"a", b"\xff", b"a\xc3", "é".encode(), b""]), pa.binary())
    return pa.Array.from_buffers(pa.string(), rows, raw.buffers(), null_count=raw.null_count)


def _moments(draw: Draw, rows: int) -> pa.Array:
    zone = draw(st.sampled_from(_ZONES))
    return (
        _ints(draw, rows, 64)
        .cast(pa.timestamp(draw(st.sampled_from(_UNITS))))
        .cast(pa.timestamp("us", zone), safe=False)
        if draw(st.booleans())
        else _ints(draw, rows, 64).cast(pa.timestamp(draw(st.sampled_from(_UNITS)), zone))
    )


def _decimals(draw: Draw, rows: int) -> pa.Array:
    precision = draw(st.integers(1, 38))
    scale = draw(st.integers(-3, precision))
    most = 10**precision - 1
    digits = _drawn(draw, rows, st.integers(-most, most), pa.decimal128(38, 0))
    raw = digits.buffers()
    make = pa.decimal128(precision, scale)
    array = pa.Array.from_buffers(make, rows, raw, null_count=digits.null_count)
    return array.cast(pa.decimal256(precision, scale)) if draw(st.booleans()) else array


def _uuids(draw: Draw, rows: int) -> pa.Array:
    storage = _drawn(draw, rows, st.binary(min_size=16, max_size=16), pa.binary(16))
    return pa.ExtensionArray.from_storage(pa.uuid(), storage)


def _repeated(draw: Draw, rows: int) -> pa.Array:
    values = _SCALARS[
        draw(
            st.sampled_from(
                ["text", "int64", "date32", "float64", "decimal", "bool", "moment", "bytes", "two bytes"]
            )
        )
    ](draw, 3)
    codes = _drawn(draw, rows, st.integers(0, 2), pa.int8())
    return pa.DictionaryArray.from_arrays(codes, values)


def _unions(draw: Draw, rows: int) -> pa.Array:
    kinds = pa.array(draw(st.lists(st.integers(0, 1), min_size=rows, max_size=rows)), pa.int8())
    children = [_ints(draw, rows, 64), _drawn(draw, rows, TEXTS, pa.string())]
    return pa.UnionArray.from_sparse(kinds, children)


_SCALARS: dict[str, Callable[[Draw, int], pa.Array]] = {
    "null": lambda draw, rows: pa.nulls(rows),
    "bool": lambda draw, rows: _drawn(draw, rows, st.booleans(), pa.bool_()),
    "int8": lambda draw, rows: _ints(draw, rows, 8),
    "int32": lambda draw, rows: _ints(draw, rows, 32),
    "int64": lambda draw, rows: _ints(draw, rows, 64),
    "large int64": lambda draw, rows: _drawn(draw, rows, st.integers(2**53, 2**63 - 1), pa.int64()),
    "uint64": lambda draw, rows: _drawn(draw, rows, st.integers(0, 2**64 - 1), pa.uint64()),
    "float16": lambda draw, rows: _drawn(draw, rows, st.floats(width=16), pa.float64()).cast(pa.float16()),
    "float32": lambda draw, rows: _drawn(draw, rows, st.floats(width=32), pa.float32()),
    "float64": lambda draw, rows: _drawn(draw, rows, st.floats(), pa.float64()),
    "decimal": _decimals,
    "text": lambda draw, rows: _drawn(
        draw, rows, TEXTS, draw(st.sampled_from([pa.string(), pa.large_string(), pa.string_view()]))
    ),
    "bytes": lambda draw, rows: _drawn(
        draw,
        rows,
        st.binary(max_size=3),
        draw(st.sampled_from([pa.binary(), pa.large_binary(), pa.binary_view()])),
    ),
    "two bytes": lambda draw, rows: _drawn(draw, rows, st.binary(min_size=2, max_size=2), pa.binary(2)),
    "date32": lambda draw, rows: _ints(draw, rows, 32).cast(pa.date32()),
    "date64": lambda draw, rows: pa.compute.multiply(
        _ints(draw, rows, 32).cast(pa.int64()), draw(st.sampled_from([86_400_000] * 9 + [1]))
    ).cast(pa.date64()),
    "time32": lambda draw, rows: _ints(draw, rows, 32).cast(pa.time32(draw(st.sampled_from(["s", "ms"])))),
    "time64": lambda draw, rows: _ints(draw, rows, 64).cast(pa.time64(draw(st.sampled_from(["us", "ns"])))),
    "moment": _moments,
    "duration": lambda draw, rows: _ints(draw, rows, 64).cast(pa.duration(draw(st.sampled_from(_UNITS)))),
    "interval": lambda draw, rows: _drawn(
        draw, rows, st.tuples(*[st.integers(-9, 9)] * 3), pa.month_day_nano_interval()
    ),
    "bool8": lambda draw, rows: pa.ExtensionArray.from_storage(pa.bool8(), _ints(draw, rows, 8)),
    "uuid": _uuids,
    "json": lambda draw, rows: pa.ExtensionArray.from_storage(
        pa.json_(), _drawn(draw, rows, st.sampled_from(['{"a":1}', "[]", "1.10", "null"]), pa.string())
    ),
    "foreign": lambda draw, rows: pa.ExtensionArray.from_storage(
        pa.opaque(pa.int32(), "money", "a bank"), _ints(draw, rows, 32)
    ),
    "repeated": _repeated,
    "runs": lambda draw, rows: pa.compute.run_end_encode(_ints(draw, rows, 32)),
    "union": _unions,
}

_NESTED = ["list", "large list", "fixed list", "list view", "large list view", "struct", "map"]


@st.composite
def columns(draw: Draw, rows: int, depth: int = 3, damaged: bool = False) -> pa.Array:
    """Return a column of any type, nested so many levels deep at most; some are slices of longer ones."""
    before = draw(st.integers(0, 2))
    array = _column(draw, rows + before, depth, damaged)
    return array.slice(before, rows)


def _column(draw: Draw, rows: int, depth: int, damaged: bool) -> pa.Array:
    kind = draw(st.sampled_from(["scalar", *(_NESTED if depth else [])]))
    if kind == "scalar":
        return draw(scalars(rows, damaged))
    missing = draw(st.lists(st.booleans(), min_size=rows, max_size=rows))
    mask = pa.array(missing, pa.bool_())
    if kind == "struct":
        width = draw(st.integers(0, 3))
        if not width:
            return pa.array([None if one else {} for one in missing], pa.struct([]))
        children = [_column(draw, rows, depth - 1, damaged) for _ in range(width)]
        names = draw(st.lists(TEXTS, min_size=width, max_size=width, unique=draw(st.integers(0, 9)) > 0))
        return pa.StructArray.from_arrays(children, names, mask=mask)
    if kind == "fixed list":
        return pa.FixedSizeListArray.from_arrays(_column(draw, 2 * rows, depth - 1, damaged), 2, mask=mask)
    lengths = draw(st.lists(st.integers(0, 2), min_size=rows, max_size=rows))
    ends = np.cumsum([0, *lengths])
    if kind == "map":
        keys = pa.array(draw(st.lists(TEXTS, min_size=int(ends[-1]), max_size=int(ends[-1]))), pa.string())
        keys = keys.cast(draw(st.sampled_from([pa.string(), pa.large_string()])))
        items = _column(draw, int(ends[-1]), depth - 1, damaged)
        return pa.MapArray.from_arrays(pa.array(ends, pa.int32()), keys, items, mask=mask)
    values = _column(draw, int(ends[-1]), depth - 1, damaged)
    large = kind.startswith("large")
    offsets = pa.array(ends, pa.int64() if large else pa.int32())
    if kind.endswith("view"):
        views = pa.LargeListViewArray if large else pa.ListViewArray
        return views.from_arrays(offsets[:-1], pa.array(lengths, offsets.type), values, mask=mask)
    return (pa.LargeListArray if large else pa.ListArray).from_arrays(offsets, values, mask=mask)

"""Datasets of every kind the contract allows, and how to read what became of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Context, Decimal
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from coveo_provider.documents.encoding.batches import Encoder
from coveo_provider.documents.records import Encoded

NO_LIMIT = 10**12

Draw: TypeAlias = Callable[[st.SearchStrategy[Any]], Any]


def encode(table: pa.Table, *, item_limit: int = NO_LIMIT, deletions: bool = False) -> list[Any]:
    """Return the documents a table becomes, read back from the bytes, numbers with every digit."""
    encoder = Encoder(table.schema, where="part-0", item_limit=item_limit, deletions=deletions)
    return [
        document
        for batch in table.combine_chunks().to_batches()
        for document in documents_in(encoder.encode(batch))
    ]


def documents_in(encoded: Encoded) -> list[Any]:
    """Return the documents of a batch, cut where ``ends`` says they end."""
    ends = [0, *encoded.ends.tolist()]
    texts = [bytes(encoded.data[start:end]) for start, end in pairwise(ends)]
    assert all(text.endswith(b",") for text in texts)
    return [read(text[:-1]) for text in texts]


def read(text: bytes) -> Any:
    """Return JSON as Python values; a key that stands twice, or a number that is none, fails."""
    return json.loads(
        text, parse_float=Decimal, parse_constant=_not_a_number, object_pairs_hook=_distinct_keys
    )


def _not_a_number(text: str) -> None:
    raise AssertionError(f"{text} is no JSON")


def _distinct_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    assert len(set(keys)) == len(keys), f"a key stands twice: {keys}"
    return dict(pairs)


def table_of(ids: list[Any] | None = None, /, **columns: Any) -> pa.Table:
    """Return a table of documents; the ids are made up when none are given."""
    rows = len(next(iter(columns.values()))) if columns else 1
    names = ids if ids is not None else [f"test://{row}" for row in range(rows)]
    return pa.table({"documentId": pa.array(names, pa.string()), **columns})


TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "",
            ",",
            '"',
            ',"a":null',
            '{"a":null}',
            ":null",
            '","a":null,"',
            "\\",
            "\\u0000",
            "\x00\x1f\x7f",
            "\u2028\u2029",
            "🎉",
            "é",
            "null",
            "NaN",
            "]}",
        ]
    ),
)

_NAMES = st.one_of(
    st.sampled_from(
        ["*", "^.*$", "a", "b", ",", ":null", "}", '"', '"a":null', "\\", "é🎉", "q\x00", "0", "1", "", " "]
    ),
    st.text(min_size=1, max_size=6),
)


def column_names(count: int) -> st.SearchStrategy[list[str]]:
    """Return names that the API would tell apart, none of them its own."""
    reserved = {"documentid", "data", "permissions", "parentid", "orderingid", "fileextension"}
    names = _NAMES.filter(lambda name: bool(name.strip()) and name.lower() not in reserved)
    return st.lists(names, min_size=count, max_size=count, unique_by=str.lower)


_INTEGERS = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_ZONES = [None, "UTC", "Europe/Paris", "America/St_Johns", "+05:30"]
_YEAR_2, _YEAR_9998 = -62_104_060_800, 253_339_228_800


@st.composite
def _scalars(draw: Draw) -> tuple[pa.DataType, st.SearchStrategy[Any]]:
    """Return a type of single values, and values of it."""
    kind = draw(st.sampled_from(["text", "bool", "integer", "float", "decimal", "timestamp", "date"]))
    if kind == "text":
        return draw(st.sampled_from([pa.string(), pa.large_string(), pa.string_view()])), TEXTS
    if kind == "bool":
        return pa.bool_(), st.booleans()
    if kind == "integer":
        dtype = draw(st.sampled_from(_INTEGERS))
        info = np.iinfo(str(dtype))
        return dtype, st.integers(int(info.min), int(info.max))
    if kind == "float":
        width = draw(st.sampled_from([16, 32, 64]))
        floats = st.floats(width=width, allow_infinity=False)
        extreme = st.sampled_from([1e300, 5e-324, -0.0, 2.0**53, 0.1])
        return {16: pa.float16(), 32: pa.float32(), 64: pa.float64()}[width], (
            st.one_of(floats, extreme) if width == 64 else floats.map(np.dtype(f"f{width // 8}").type)
        )
    if kind == "decimal":
        return _decimals(draw)
    if kind == "date":
        days = st.integers(_YEAR_2 // 86_400, _YEAR_9998 // 86_400)
        return (
            (pa.date32(), days)
            if draw(st.booleans())
            else (pa.date64(), days.map(lambda day: day * 86_400_000))
        )
    unit = draw(st.sampled_from(list(_PER_SECOND)))
    first, last = (-9_223_000_000 * 10**9, 9_223_000_000 * 10**9) if unit == "ns" else (_YEAR_2, _YEAR_9998)
    scale = 1 if unit == "ns" else _PER_SECOND[unit]
    moments = st.integers(first * scale, last * scale)
    whole = st.integers(-(10**9), 10**9).map(lambda seconds: seconds * _PER_SECOND[unit])
    return pa.timestamp(unit, draw(st.sampled_from(_ZONES))), st.one_of(moments, whole)


def _decimals(draw: Draw) -> tuple[pa.DataType, st.SearchStrategy[Any]]:
    wide = draw(st.booleans())
    precision = draw(st.integers(1, 76 if wide else 38))
    scale = draw(st.integers(-3, precision))
    digits = st.integers(-(10**precision) + 1, 10**precision - 1)
    exact = Context(prec=100)
    values = digits.map(lambda number: Decimal(number).scaleb(-scale, context=exact))
    return (pa.decimal256 if wide else pa.decimal128)(precision, scale), values


def _array(values: list[Any], dtype: pa.DataType) -> pa.Array:
    """Return an array; unlike ``pa.array``, NaN stays NaN and numbers make moments in any nest."""
    return pa.array(values, dtype, from_pandas=False)


@st.composite
def columns(draw: Draw, rows: int) -> pa.Array:
    """Return a column of metadata of any type the contract allows, with nulls."""
    dtype, values = draw(_scalars())
    values = st.one_of(values, st.none())
    shape = draw(st.sampled_from(["scalar", "scalar", "list", "struct", "map", "dictionary", "null"]))
    if shape == "null":
        return draw(st.sampled_from([pa.nulls(rows), pa.array([[None]] * rows, pa.list_(pa.null()))]))
    if shape == "list":
        if draw(st.booleans()):
            lists, dtype = st.lists(values, min_size=2, max_size=2), pa.list_(dtype, 2)
        else:
            lists = st.lists(values, max_size=3)
            dtype = draw(st.sampled_from([pa.list_(dtype), pa.large_list(dtype)]))
        values = st.one_of(lists, st.none())
    elif shape == "struct":
        names = draw(st.lists(TEXTS, min_size=1, max_size=3, unique=True))
        values = st.one_of(st.fixed_dictionaries(dict.fromkeys(names, values)), st.none())
        dtype = pa.struct([(name, dtype) for name in names])
    elif shape == "map":
        values = st.one_of(st.dictionaries(TEXTS, values, max_size=3).map(lambda d: [*d.items()]), st.none())
        dtype = pa.map_(pa.string(), dtype)
    drawn = draw(st.lists(values, min_size=rows, max_size=rows))
    array = _array(drawn, dtype)
    if shape == "dictionary" and not pa.types.is_float16(dtype) and not pa.types.is_string_view(dtype):
        array = array.dictionary_encode()
    return array


@st.composite
def tables(draw: Draw) -> pa.Table:
    """Return a dataset of documents: hostile names, every type, with and without values."""
    rows = draw(st.integers(1, 4))
    names = draw(column_names(draw(st.integers(0, 4))))
    return table_of(
        [f"test://é/{row}" for row in range(rows)], **{name: draw(columns(rows)) for name in names}
    )


def rows_of(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows as the values a user would write down for them one by one."""
    columns = {name: _column(table.column(name)) for name in table.column_names}
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _column(column: pa.ChunkedArray) -> list[Any]:
    values = column.to_pylist()
    dtype = column.type
    if pa.types.is_map(dtype):
        short = pa.types.is_float32(dtype.item_type)
        return [
            value if value is None else {key: _shortest(one) if short else one for key, one in value}
            for value in values
        ]
    if pa.types.is_struct(dtype):
        short = {each.name for each in dtype if pa.types.is_float32(each.type)}
        return [
            value
            if value is None
            else {key: _shortest(one) if key in short else one for key, one in value.items()}
            for value in values
        ]
    if pa.types.is_dictionary(dtype):
        dtype = dtype.value_type
    if pa.types.is_float16(dtype) or pa.types.is_float32(dtype):
        return [_shortest(value) for value in values]
    if hasattr(dtype, "value_type") and pa.types.is_float32(dtype.value_type):
        return [value and [_shortest(element) for element in value] for value in values]
    return list(values)


def _shortest(value: float | None) -> Any:
    """Return a 32-bit float with the digits that tell it from its neighbours, not with those of 64 bits."""
    return value if value is None or np.isnan(value) else Decimal(str(np.float32(value)))

"""What a user's function gets of a table, and what becomes of what it returns."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from coveo_provider.documents.dataset.frames import frame_of, types_of
from coveo_provider.documents.dataset.tables import to_table
from coveo_provider.errors import DatasetError

LARGE = 2**53 + 1


@pytest.mark.parametrize(
    ("array", "expected", "dtype"),
    [
        (pa.array([["a", None], None]), [["a", None], None], "object"),
        (pa.array([[LARGE, None], None], pa.large_list(pa.int64())), [[LARGE, None], None], "object"),
        (pa.array([[LARGE, None], None], pa.list_view(pa.int64())), [[LARGE, None], None], "object"),
        (pa.array([{"a": LARGE}, {"a": None}, None]), [{"a": LARGE}, {"a": None}, None], "object"),
        (pa.array([{"a": 0.1}], pa.struct([("a", pa.float32())])), [{"a": 0.1}], "object"),
        (
            pa.array([[("a", LARGE), ("b", None)]], pa.map_(pa.string(), pa.int64())),
            [{"a": LARGE, "b": None}],
            "object",
        ),
        (pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0], pa.int8())), [True, False], "boolean"),
        (pa.array([b"0123456789abcdef"], pa.uuid()), ["30313233-3435-3637-3839-616263646566"], "str"),
        (pa.array([date(2026, 1, 31)]), [date(2026, 1, 31)], "object"),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_a_function_gets_values_of_python(array: pa.Array, expected: list[Any], dtype: str) -> None:
    """Lists and dicts, whole numbers whole, moments with their nanoseconds."""
    series = frame_of(pa.table({"k": array}))["k"]

    assert str(series.dtype) == (dtype if dtype != "str" else str(pa.array(["a"]).to_pandas().dtype))
    assert series.tolist() == expected


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (pa.array([0, 2**31 - 1], pa.int32()).cast(pa.date32()), "a date outside the years 1 to 9999"),
        (
            pa.array([{"a": 0}, {"a": 2**62}], pa.struct([("a", pa.timestamp("us"))])),
            "a date outside the years 1 to 9999",
        ),
        (
            pa.array([[], [("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int8())),
            "has a key twice in one object",
        ),
        (
            pa.array([None, 0], pa.timestamp("s", "Mars/Olympus")),
            "time zone 'Mars/Olympus', which Python does not know",
        ),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_what_pandas_cannot_hold_is_named_by_row_and_column(array: pa.Array, problem: str) -> None:
    """Before any function sees it; the row is counted in the file."""
    table = pa.table({"ok": pa.nulls(len(array)), "k": array})
    with pytest.raises(DatasetError, match=rf"row 1[01]: column 'k' .*{problem}"):
        frame_of(table, 10)


ATTRIBUTES = pa.array([{"size": LARGE, "fit": "wide"}, {"size": None, "fit": None}, None])
SEEN = pa.array([[1_700_000_000_123_456_789], None, []], pa.list_(pa.timestamp("ns")))
PRICES = pa.array([Decimal("1.10"), Decimal("2.50"), None])


FIVE = datetime(2026, 1, 31, 5)


@pytest.mark.parametrize(
    ("column", "function", "values"),
    [
        (ATTRIBUTES, lambda k: k, ATTRIBUTES.to_pylist()),
        (ATTRIBUTES, lambda k: k.iloc[::-1], ATTRIBUTES.to_pylist()[::-1]),
        (
            ATTRIBUTES,
            lambda k: k.map(lambda v: v and {**v, "new": 1}),
            [{"size": LARGE, "fit": "wide", "new": 1}, {"size": None, "fit": None, "new": 1}, None],
        ),
        (
            ATTRIBUTES,
            lambda k: k.map(lambda v: v and {"size": v["size"]}),
            [{"size": LARGE, "fit": None}, {"size": None, "fit": None}, None],
        ),
        (ATTRIBUTES, lambda k: k.map(lambda v: v and v["fit"]), ["wide", None, None]),
        (SEEN, lambda k: k, SEEN.to_pylist()),
        (SEEN, lambda k: k.map(lambda v: v[0] if v else None), [SEEN[0][0].as_py(), None, None]),
        (PRICES, lambda k: k, PRICES.to_pylist()),
        (PRICES, lambda k: k * 2, [Decimal("2.20"), Decimal("5.00"), None]),
        (PRICES, lambda k: k.map(lambda v: v and v / 4), [Decimal("0.275"), Decimal("0.625"), None]),
        (PRICES, lambda k: k.map(lambda v: v and float(v)), [1.1, 2.5, None]),
        (pa.array([date(2026, 1, 31), None]), lambda k: k.map(lambda v: v and FIVE), [FIVE, None]),
    ],
)
def test_what_a_function_returns_is_what_it_says(
    column: pa.Array, function: Callable[[Any], Any], values: list[Any]
) -> None:
    """Unchanged columns are what they were; changed ones lose no key, no digit and no time of day."""
    table = pa.table({"k": column})
    frame = frame_of(table).assign(k=lambda one: function(one["k"]).to_numpy())
    assert to_table(frame, "a.parquet", like=types_of(table))["k"].to_pylist() == values


def test_moments_among_objects_keep_their_nanoseconds() -> None:
    """Arrow takes those of pandas for microseconds."""
    moment = pd.Timestamp("2026-01-31 05:06:07.123456789")
    frame = pd.DataFrame(
        {"k": pd.Series([moment, None], dtype=object), "n": [[moment], None], "s": [{"a": moment}, {}]}
    )
    table = to_table(frame, "frame")

    assert table["k"].to_pylist() == [moment, None]
    assert table["n"].to_pylist() == [[moment], None]
    assert table["s"].to_pylist() == [{"a": moment}, {"a": None}]


@pytest.mark.parametrize("nest", [lambda one: one, lambda one: [one], lambda one: {"a": one}], ids="vls")
def test_dates_beside_moments_are_refused(nest: Callable[[Any], Any]) -> None:
    """As a date, a moment would lose its time of day."""
    frame = pd.DataFrame(
        {"k": pd.Series([nest(date(2026, 1, 31)), nest(datetime(2026, 1, 31, 5))], dtype=object)}
    )

    with pytest.raises(DatasetError, match=r"column 'k' .*\(a date\) in row 0 and .*\(a moment\) in row 1"):
        to_table(frame, "frame")

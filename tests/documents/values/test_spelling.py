"""How values stand in texts: as in the JSON that is sent for them."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coveo_provider.documents.encoding.documents import encode_document
from coveo_provider.documents.values.spelling import spelled, spelled_value
from tests.documents.strategies import read


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pa.array([38.0, 38.5, None, math.nan]), ["38", "38.5", None, None]),
        (pa.array([1e21, 1e16, -0.0, 1e-7, 0.1]), ["1" + "0" * 21, "1" + "0" * 16, "0", "1e-7", "0.1"]),
        (pa.array([2.0**53, -(2.0**53)]), ["9007199254740992", "-9007199254740992"]),
        (pa.array([0.1, 1e10], pa.float32()), ["0.1", "10000000000"]),
        (pa.array([2**63 - 1, None]), ["9223372036854775807", None]),
        (pa.array([True, False, None]), ["true", "false", None]),
        (
            pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0, None], pa.int8())),
            ["true", "false", None],
        ),
        (pa.array([Decimal("1.10"), Decimal("38.00")]), ["1.10", "38.00"]),
        (pa.array([Decimal(12) * 10**3], pa.decimal128(5, -3)), ["12000"]),
        (pa.array([date(2026, 1, 31), None]), ["2026-01-31T00:00:00Z", None]),
        (pa.array([datetime(2026, 1, 31, 5, 6, 7)]), ["2026-01-31T05:06:07Z"]),
        (
            pa.array([1_700_000_000_123_456_789], pa.timestamp("ns", "Europe/Paris")),
            ["2023-11-14T22:13:20.123456789Z"],
        ),
        (pa.array(["a", "", None]), ["a", "", None]),
        (pa.array(["a", None]).dictionary_encode(), ["a", None]),
        (pa.array([38.0, None]).dictionary_encode(), ["38", None]),
        (pa.array([[1], None]).slice(1), [None]),
        (pa.nulls(2), [None, None]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_a_column_is_spelled_as_json_has_it(column: pa.Array, texts: list[str | None]) -> None:
    """Numbers with all their digits, whole ones without a fraction."""
    assert spelled(column).to_pylist() == texts


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (["a", "b"], "a list stands there, expected text"),
        ({"a": 1}, "an object stands there, expected text"),
        (b"x", "bytes stand there, expected text"),
        (math.inf, "infinity"),
        (timedelta(1), "stands there, expected text|no JSON value"),
    ],
    ids=repr,
)
def test_what_no_text_stands_for_is_refused(value: Any, problem: str) -> None:
    """In a column, and among values of several types."""
    with pytest.raises(ValueError, match=problem):
        spelled(pa.array([value]))
    with pytest.raises(ValueError, match=problem):
        spelled_value(value)


_ZONE = timezone(timedelta(hours=5, minutes=30))
_VALUES = st.one_of(
    st.text(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_infinity=False), st.none(),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**9), max_value=10**9),
    st.datetimes(), st.datetimes(timezones=st.just(_ZONE), min_value=datetime(2, 1, 1)), st.dates(),
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(_VALUES)
def test_a_text_is_what_the_document_says(value: Any) -> None:
    """The same in a column, by itself, and, but for quotes and the form of whole floats, in the JSON sent."""
    text = spelled_value(value)

    assert spelled(pa.array([value], from_pandas=True)).to_pylist() == [text]
    sent = read(encode_document({"documentId": "a:b", "x": value})).get("x")
    if sent is None or isinstance(sent, str):
        assert text == sent
    elif isinstance(sent, bool):
        assert text == str(sent).lower()
    else:
        assert text is not None
        assert Decimal(text) == Decimal(sent)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.float64(38), "38"), (np.float32(0.1), "0.1"), (np.int8(3), "3"), (np.bool_(True), "true"),
        (pd.Timestamp("2026-01-31 05:00:00.000000001"), "2026-01-31T05:00:00.000000001Z"), (pd.NaT, None),
        (pd.NA, None), (10**30, "1" + "0" * 30), (Decimal("NaN"), None),
    ],
    ids=repr,
)  # fmt: skip
def test_values_of_numpy_and_pandas_are_those_of_python(value: Any, text: str | None) -> None:
    """As they stand in columns of mixed types."""
    assert spelled_value(value) == text

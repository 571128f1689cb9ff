"""Dates that a date field does not read are told of once."""

from __future__ import annotations

import pyarrow as pa
import pytest

from coveo_provider.documents.extracts.local_dates import LocalDates


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["31/12/2026", None, "1/2/2026"], True),
        (["12/31/2026 10:00"], True),
        (["31.12.2026", "1.1.2027"], True),
        (["31-12-2026", ""], True),
        (["12/31/26"], True),
        (["31/12/2026", "soon"], False),
        (["2026-12-31"], False),
        (["1.2.10"], False),
        (["1/2"], False),
        (["99/12/2026"], False),
        ([None, ""], False),
    ],
    ids=repr,
)
def test_dates_in_a_local_order_are_told(values: list[str | None], found: bool) -> None:
    """By the column and its first value, however many batches there are."""
    dates = LocalDates()
    for _ in range(2):
        for value in values:
            dates.look(pa.table({"day": pa.array([value], pa.string()), "n": [1]}))

    told = dates.warnings()

    assert len(told) == found
    if found:
        assert f"Column 'day' holds dates in a local order, such as '{values[0]}'" in told[0]
        assert "ISO 8601" in told[0]


def test_a_column_of_anything_else_is_none() -> None:
    """Also when dates follow, and for the one that repeats its texts."""
    dates = LocalDates()
    dates.look(pa.table({"a": ["x"], "b": pa.array(["31/12/2026"]).dictionary_encode()}))
    dates.look(pa.table({"a": ["31/12/2026"], "b": pa.array(["1/12/2026"]).dictionary_encode()}))

    assert [told.split("'")[1] for told in dates.warnings()] == ["b"]

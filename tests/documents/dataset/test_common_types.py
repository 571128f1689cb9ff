"""Batches of different types: one type holds all values as they stood, or the dataset is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from coveo_provider.documents.dataset.common_types import CommonTypes
from coveo_provider.errors import DatasetError

DECIMAL, SHORT, LARGE = Decimal("1.10"), pa.float32(), 2**53 + 1


def merged(*arrays: pa.Array) -> list[Any]:
    """Return the values of all batches in their common type."""
    types = CommonTypes()
    tables = [pa.table({"x": array}) for array in arrays]
    for number, table in enumerate(tables):
        types.add(table, f"batch {number}")
    return [value for table in tables for value in types.fitted(table, "part-0").column("x").to_pylist()]


@pytest.mark.parametrize(
    ("one", "other", "values"),
    [
        (pa.array([0.1], SHORT), pa.array([0.1]), [0.1, 0.1]),
        (pa.array([[0.1, None]], pa.list_(SHORT)), pa.array([[0.1]]), [[0.1, None], [0.1]]),
        (pa.array([{"a": 0.1}], pa.struct([("a", SHORT)])), pa.array([{"a": 0.1}]), [{"a": 0.1}, {"a": 0.1}]),
        (pa.array([5]), pa.array([0.1], SHORT), [5.0, 0.1]),
        (pa.array([{"a": 1}]), pa.array([{"b": "x"}]), [{"a": 1, "b": None}, {"a": None, "b": "x"}]),
    ],
)
def test_values_stay_what_they_were(one: pa.Array, other: pa.Array, values: list[Any]) -> None:
    """Short floats keep their digits among long ones."""
    assert merged(one, other) == values


@pytest.mark.parametrize(
    ("one", "other", "problem"),
    [
        (pa.array([DECIMAL]), pa.array([1.5]), "no common type"),
        (pa.array([[DECIMAL]]), pa.array([[1.5]]), "no common type"),
        (pa.array([{"a": DECIMAL}]), pa.array([{"a": 1.5}]), "no common type"),
        (pa.array([{"a": "x"}]), pa.array([{"a": b"x"}]), "no common type"),
        (pa.array([LARGE]), pa.array([1.5]), "not every value fits"),
        (pa.array([{"a": LARGE}]), pa.array([{"a": 1.5}]), "not every value fits"),
        (pa.array([[LARGE]]), pa.array([[1.5]]), "not every value fits"),
    ],
)
def test_what_would_lose_something_is_refused(one: pa.Array, other: pa.Array, problem: str) -> None:
    """At any depth, in either order."""
    for arrays in ((one, other), (other, one)):
        with pytest.raises(DatasetError, match=f"column 'x' .*{problem}"):
            merged(*arrays)

"""The documents of a plan by the value of a column, of whatever kind it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from coveo_provider.documents.changes.comparison import Comparison
from coveo_provider.planning.inspection import Inspection
from tests.planning.test_exposure import PUBLIC, Side, allowing

LONG = allowing(*(f"group-{n}" for n in range(50)))


def inspected(folder: Path, before: dict[str, Any], now: dict[str, Any], group_by: str) -> Inspection:
    """Compare the same documents with the values of some columns before and now."""
    sides = [
        Side(folder / name, pa.table({"documentId": [f"doc://{n}" for n in range(4)], **columns}))
        for name, columns in (("before", before), ("now", now))
    ]
    inspection = Inspection(
        sides[1].parts(), sides[0].parts(), scratch=folder, group_by=group_by, seed="x", shown=3
    )
    comparison = Comparison(folder, rows=4, watch=inspection)
    comparison.add_current(sides[1].hashes(), sides[1].sha256)
    comparison.add_former(sides[0].hashes(), sides[0].sha256)
    comparison.result()
    return inspection


@pytest.mark.parametrize(
    "values",
    [
        ["a", "b", None, ""],
        [None, "", "", "a"],
        [1, 2, None, 1],
        [True, False, None, True],
        [["a"], [], None, ["a", "b"]],
        pa.array([[1], [2], None, [1]], pa.list_(pa.timestamp("ns"))),
        pa.nulls(4),
        [json.dumps("x" * 10_000)] * 4,
    ],
    ids=["texts", "empty", "numbers", "truths", "lists", "moments", "nulls", "long"],
)
def test_each_document_counts_once(tmp_path: Path, values: Any) -> None:
    """Whatever the column holds, the counts come to the number of documents."""
    found = inspected(tmp_path, {"kind": values, "v": [1] * 4}, {"kind": values, "v": [2, 2, 1, 1]}, "Kind")

    groups = found.groups()

    if isinstance(values, pa.NullArray):
        assert groups is None
    else:
        assert groups is not None
        assert sum(one["changed"] for one in groups["values"]) == 2
        assert sum(one["unchanged"] for one in groups["values"]) == 2
        assert len({one["value"] for one in groups["values"]}) == len(groups["values"])


@pytest.mark.parametrize("group_by", ["permissions", "Permissions", "documentId", "", "absent"])
def test_the_column_does_not_change_who_may_see_what(tmp_path: Path, group_by: str) -> None:
    """Also when that is the very column of the permissions, whose values are cut as those of any other."""
    before = pa.array([LONG, allowing("hr"), PUBLIC, None])
    now = pa.array([PUBLIC, LONG, LONG, PUBLIC])

    access = inspected(tmp_path, {"permissions": before}, {"permissions": now}, group_by).access(None)

    assert access is not None
    assert (access["new_public"], access["no_longer_public"], access["permissions_changed"]) == (1, 1, 4)

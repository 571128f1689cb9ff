"""Rows taken apart by the hash of their id: each is in one share, in the order it came in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coveo_provider.documents.changes import shares
from coveo_provider.documents.changes.shares import Shares

SCHEMA: dict[str, Any] = {"documentId": pl.String, "number": pl.Int64}


def rows(numbers: list[int], first: int) -> pl.DataFrame:
    ids = [f"test://{number}" for number in numbers]
    return pl.DataFrame({"documentId": ids, "number": range(first, first + len(ids))}, schema=SCHEMA)


@given(
    batches=st.lists(st.lists(st.integers(0, 40), max_size=9), max_size=6),
    bits=st.integers(0, 6),
    files=st.integers(1, 3),
    at_once=st.integers(1, 9),
)
def test_each_row_is_in_one_share_however_often_files_are_taken_apart(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[int]], bits: int, files: int, at_once: int
) -> None:
    """As when all are taken apart at once into as many files as there are shares."""
    folder = tmp_path_factory.mktemp("shares")
    again = Shares(folder, "again", SCHEMA, bits, files=files)
    once = Shares(folder, "once", SCHEMA, bits, files=6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shares, "_TAKEN_APART", at_once)
        first = 0
        for batch in batches:
            for side in (again, once):
                side.add(rows(batch, first))
            first += len(batch)
        found = [again.read(share) for share in range(1 << bits)]
        expected = [once.read(share) for share in range(1 << bits)]

    assert [frame.rows() for frame in found] == [frame.rows() for frame in expected]
    assert all(frame.schema == SCHEMA for frame in found)
    assert sorted(number for frame in found for number in frame["number"]) == list(range(first))


def test_shares_are_read_in_any_order_and_leave_few_files(tmp_path: Path) -> None:
    many = Shares(tmp_path, "many", SCHEMA, 6, files=2)
    many.add(rows(list(range(2_000)), 0))

    forth = {share: many.read(share)["number"].to_list() for share in range(64)}
    back = {share: many.read(share)["number"].to_list() for share in reversed(range(64))}

    assert forth == back
    assert sum(map(len, forth.values())) == 2_000
    assert len(list(tmp_path.iterdir())) <= 3 * 4, "the files of what was read before are removed"

"""What the service refused is told as sets are, whatever their size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coveo_provider.documents.changes.rejections import REJECTION_SCHEMA, write_rejections
from coveo_provider.documents.dataset.part_writer import HASH_SCHEMA
from coveo_provider.documents.extracts.source_files import SourceFile
from coveo_provider.errors import DatasetError
from tests.documents.files import source

_IDS = st.integers(0, 12).map(lambda n: f"test://{n}")
_VALUES = st.integers(0, 2)


def parquet(name: str, table: pa.Table) -> SourceFile:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return source(name, sink.getvalue().to_pybytes())


def hashed(value: int | None) -> bytes | None:
    return None if value is None else value.to_bytes(16, "little")


def files_of(
    rejected: list[str], former: dict[str, int | None] | None, sent: list[str], current: dict[str, int]
) -> dict[str, Any]:
    fresh = pa.table({"documentId": pa.array(rejected, pa.string()), "reason": ["new"] * len(rejected)})
    hashes = pa.array([hashed(value) for value in current.values()], pa.binary(16))
    known = None
    if former is not None:
        rows = [list(former), ["old"] * len(former), [hashed(value) for value in former.values()]]
        known = parquet("former", pa.table(rows, schema=REJECTION_SCHEMA))
    return {
        "rejected": [parquet("rejected", fresh)],
        "former": known,
        "sent": parquet("sent", pa.table({"documentId": pa.array(sent, pa.string())})),
        "current": [parquet("hashes", pa.table([list(current), hashes], schema=HASH_SCHEMA))],
    }


@given(
    st.lists(_IDS, max_size=6),
    st.none() | st.dictionaries(_IDS, st.none() | _VALUES, max_size=8),
    st.lists(_IDS, max_size=6),
    st.dictionaries(_IDS, _VALUES, max_size=12),
    st.sampled_from([1, 2, 5, 1_000_000]),
)
@settings(deadline=None)
def test_what_is_refused_is_set_arithmetic(
    tmp_path_factory: pytest.TempPathFactory,
    rejected: list[str],
    former: dict[str, int | None] | None,
    sent: list[str],
    current: dict[str, int],
    rows_at_once: int,
) -> None:
    """What was refused of this load, and what was before, was not sent again and is as it was."""
    folder = tmp_path_factory.mktemp("rejected")

    written = write_rejections(
        folder / "out.parquet",
        folder,
        **files_of(rejected, former, sent, current),
        rows=len(current),
        rows_at_once=rows_at_once,
    )

    table = pq.read_table(folder / "out.parquet")
    assert table.schema == REJECTION_SCHEMA
    rows = table.to_pylist()
    expected = {one: ("new", hashed(current.get(one))) for one in rejected}
    for one, value in (former or {}).items():
        if one not in rejected and one not in sent and current.get(one) == value:
            expected[one] = ("old", hashed(value))
    assert {row["documentId"]: (row["reason"], row["content"]) for row in rows} == expected
    assert len(rows) == len(expected) == written.rows
    assert written.documents == sum(content is not None for _, content in expected.values())


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"rejected": [source("r", b"PAR1 no")]}, "r: is not a Parquet file"),
        ({"former": parquet("f", pa.table({"x": [1]}))}, "f: is damaged: there are no ids in it"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, files: dict[str, Any], problem: str) -> None:
    """Rather than taken for nothing."""
    given_files = {**files_of([], None, [], {}), **files}
    with pytest.raises(DatasetError, match=problem):
        write_rejections(tmp_path / "out.parquet", tmp_path, **given_files, rows=1)


def test_a_reason_need_not_be_known(tmp_path: Path) -> None:
    """Nor is anything but the id looked at."""
    fresh = parquet("rejected", pa.table({"documentId": ["a:1"], "stage": ["CONSUMING"]}))
    files = {**files_of([], None, [], {"a:1": 1}), "rejected": [fresh]}
    write_rejections(tmp_path / "out.parquet", tmp_path, **files, rows=1)
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == [
        {"documentId": "a:1", "reason": None, "content": hashed(1)}
    ]

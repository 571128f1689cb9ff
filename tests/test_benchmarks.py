"""Every benchmark at a small size: what it did is right. None of these looks at a time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import (
    diff_documents,
    file_shares,
    identities_expand,
    memory,
    parquet_to_sink,
    parse_time,
    plots,
    read_tables,
    refresh_changes,
    sandbox_server,
    transform_rows,
)

ROWS = 2_000


@pytest.mark.long
def test_all_ways_to_containers_send_all_rows() -> None:
    found = parquet_to_sink.measure(ROWS, ROWS, tasks=[2])

    assert {mode: report["documents"] for mode, report in found.reports.items()} == {
        "upload": ROWS,
        "push": ROWS,
    }
    assert set(found.together) == {2}
    assert min(found.floor, found.client, *found.ours.values(), *found.cold.values()) > 0


def test_a_transform_is_measured_from_both_formats() -> None:
    found = transform_rows.measure(ROWS)

    assert [(one.kind, one.label) for one in found] == [
        (kind, label) for kind in ("parquet", "csv") for label in ("mapping", "function and mapping")
    ]


@pytest.mark.long
def test_a_table_is_read_by_a_cursor_and_as_a_transform_does() -> None:
    found = read_tables.measure(ROWS)

    assert {way: one.rows for way, one in found.items()} == {"cursor": ROWS, "ours": ROWS}


@pytest.mark.long
def test_a_share_is_listed_as_it_is_walked() -> None:
    assert file_shares.measure(ROWS).files == ROWS


def test_of_a_refresh_one_percent_is_sent() -> None:
    found = refresh_changes.measure(ROWS)

    assert {label: cost.items for label, cost in found.runs.items()} == {
        "first": ROWS,
        "changed": ROWS // 100,
        "all again": ROWS,
    }
    assert found.held == ROWS
    assert set(found.runs["changed"].steps) == set(refresh_changes.STEPS)


@pytest.mark.long
def test_both_ways_to_compare_find_the_same() -> None:
    found = diff_documents.measure(100_000)

    assert found["ours"].result == found["polars"].result
    assert found["ours"].result["gone"] == 100


@pytest.mark.long
def test_all_identities_are_expanded() -> None:
    found = identities_expand.measure(ROWS, 5 * ROWS)

    assert [found[mode].result["members"] for mode in ("refuse", "merge")] == [ROWS, ROWS]


@pytest.mark.long
def test_parts_for_memory_hold_what_they_say(tmp_path: Path) -> None:
    found = memory.measure([ROWS], [ROWS])

    assert [(one.work, one.rows, one.data) for one in found] == [
        ("upload", ROWS, "narrow"),
        ("transform", ROWS, "narrow"),
        ("diff", ROWS, "hashes"),
        ("expand", ROWS, "groups"),
        ("upload", ROWS // 20, "300 columns"),
        ("upload", ROWS // 100, "texts of 100 kB"),
        ("upload", ROWS // 100, "texts of 100 kB, pages of 120 MB"),
    ]
    assert all(one.over > 0 for one in found)
    plots.memory(tmp_path / "memory.svg", found)
    plots.bars(tmp_path / "bars.svg", "title", "unit", {"a": 1.0, "b": 2.0})
    plots.scaling(tmp_path / "scaling.svg", {1: 1.0, 2: 2.0})
    for name in ("memory", "bars", "scaling"):
        assert (tmp_path / f"{name}.svg").read_text().rstrip().endswith("</svg>")


@pytest.mark.long
def test_parsing_is_measured() -> None:
    assert set(parse_time.measure(times=1)) == {
        "import all operators and task groups",
        "a DAG of all five groups",
    }


@pytest.mark.parametrize("picture", ["throughput.svg", "scaling.svg", "memory.svg"])
def test_the_page_shows_its_plots(picture: str) -> None:
    page = Path(__file__).parents[1] / "benchmarks/RESULTS.md"

    assert f"]({picture})" in page.read_text(encoding="utf-8")
    assert re.search(r"<svg", (page.parent / picture).read_text(encoding="utf-8"))


def test_both_servers_answer_all_that_they_are_asked() -> None:
    found = sandbox_server.measure(200, 3_000_000, 20)

    assert {name: one.answered for name, one in found.items()} == {"ours": 221, "aiohttp": 221}

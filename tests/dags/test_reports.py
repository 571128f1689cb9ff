"""The report of a run: in XCom and beside the dataset, whether the load was verified or not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coveo_provider.sandbox import Answer, Sandbox
from coveo_provider.task_groups import catalog_load, catalog_refresh, incremental_push, push_rebuild
from tests.dags.clicking import Nightly, each

pytestmark = pytest.mark.usefixtures("nothing_remembered")

GROUPS: dict[str, tuple[Callable[..., Any], str, bool]] = {
    "push_rebuild": (push_rebuild, "files", False),
    "incremental_push": (incremental_push, "files", True),
    "catalog_refresh": (catalog_refresh, "products", True),
    "catalog_load": (catalog_load, "products", False),
}


@pytest.mark.parametrize("name", each(GROUPS))
def test_a_run_is_reported_as_a_whole(
    connected: Sandbox, tmp_path: Path, waits: list[float], name: str
) -> None:
    """What was sent, by the sandbox's own counts; before and after; the same JSON in XCom and in a file."""
    group, source, compares = GROUPS[name]
    nightly = Nightly(connected, tmp_path / "shop", group, source, compares=compares, parts=2)
    nightly.put(10)
    assert nightly.night().state == "success"
    nightly.put(4, start=8, version=2)
    connected.clear_calls()

    run = nightly.night()

    assert run.state == "success"
    ends = "finalize" if compares else "verify"
    report = run.xcom(ends, "coveo_report")
    assert report["source"] == {"before": 10, "after": 12}
    assert report["sent"]["documents"] == (4 if compares else 12)
    uploads = [call for call in connected.calls if call.route == "upload"]
    assert report["sent"]["bytes"] == sum(call.content_length or 0 for call in uploads)
    assert report["sent"]["chunks"] == len(uploads)
    assert report["sent"]["calls"] >= len(uploads)
    assert report["outcome"]["indexed"] == report["sent"]["documents"]
    assert (report["outcome"]["refused"], report["outcome"]["unknown"]) == (0, 0)
    assert report["run_id"] == run.run_id
    place = run.xcom(ends, "return_value")["report"]
    written = json.loads(Path(place.removeprefix("file://")).read_text())
    assert written == report
    assert len(json.dumps(report)) < 10_000


def test_calls_that_are_sent_again_are_counted(
    connected: Sandbox, tmp_path: Path, waits: list[float]
) -> None:
    """Two failures: two retries, with the time that was waited."""
    nightly = Nightly(connected, tmp_path / "shop", push_rebuild, "files", parts=1)
    nightly.put(3)
    connected.faults.add(route="batch.put", action=Answer(429), times=2)

    run = nightly.night()

    sent = run.xcom("verify", "coveo_report")["sent"]
    assert sent["retries"] == 2
    assert 0 < sent["waited_seconds"] <= sum(waits)


def test_a_load_that_is_not_verified_is_reported_too(
    connected: Sandbox, tmp_path: Path, waits: list[float]
) -> None:
    """The run fails; its report says what was refused, and why the load is not verified."""
    connected.add_source("intranet", kind="PUSH", visibility="SECURED")
    nightly = Nightly(connected, tmp_path / "shop", push_rebuild, "intranet", parts=1)
    nightly.put(3)

    run = nightly.night()

    assert run.state == "failed"
    report = run.xcom("verify", "coveo_report")
    assert report["outcome"]["refused"] == 3
    assert report["outcome"]["reasons"][0]["count"] == 3
    assert "more items were refused than max_rejected" in report["failure"]
    [file] = nightly.folder.rglob("_report-*.json")
    assert json.loads(file.read_text()) == report

"""Open, upload, close: what a Catalog source holds afterwards."""

from __future__ import annotations

import json
from typing import Any

import pytest
from airflow.sdk import TriggerRule

from coveo_provider._compat import AirflowFailException
from coveo_provider.errors import ServerError, Throttled
from coveo_provider.operators import (
    CoveoCloseStreamOperator,
    CoveoOpenStreamOperator,
    CoveoUploadChunkOperator,
)
from coveo_provider.sandbox import Answer, Cut, ExpireUpload, Sandbox
from tests.conftest import WritePart, products
from tests.operators.conftest import run


def open_stream() -> str:
    stream_id: str = run(CoveoOpenStreamOperator(task_id="open", source_id="products"))
    return stream_id


def upload(stream_id: str, documents: Any, **options: Any) -> dict[str, Any]:
    report: dict[str, Any] = run(
        CoveoUploadChunkOperator(
            task_id="upload", source_id="products", stream_id=stream_id, documents=documents, **options
        )
    )
    return report


def close(stream_id: str, reports: Any, **options: Any) -> dict[str, Any]:
    report: dict[str, Any] = run(
        CoveoCloseStreamOperator(
            task_id="close", source_id="products", stream_id=stream_id, reports=reports, **options
        )
    )
    return report


def load(documents: Any, **options: Any) -> dict[str, Any]:
    stream_id = open_stream()
    return close(stream_id, [upload(stream_id, documents)], **options)


def test_a_load_fills_the_source(connected: Sandbox, write_part: WritePart) -> None:
    """After open, upload and close the source holds the documents, field by field."""
    report = load(write_part(products(10)))

    connected.settle()
    assert connected.items("products") == {row["documentId"]: row for row in products(10)}
    assert report["documents"] == 10
    assert len(str(report["ordering_ids"][0])) == 13


def test_a_load_replaces_what_was_there(connected: Sandbox, write_part: WritePart) -> None:
    """Items absent from the load are gone after it."""
    load(write_part(products(10)))
    load(write_part(products(4, start=8)))

    connected.settle()
    assert set(connected.items("products")) == {f"product://{n}" for n in range(8, 12)}


def test_several_parts_of_several_chunks_make_one_load(connected: Sandbox, write_part: WritePart) -> None:
    """A part larger than a chunk becomes several; parts are summed up in the close's report."""
    stream_id = open_stream()
    parts = [write_part(products(50, 50 * n), f"part-{n}.parquet") for n in range(3)]

    reports = [upload(stream_id, part, max_chunk_bytes=2_000) for part in parts]
    report = close(stream_id, reports)

    connected.settle()
    assert connected.count("products") == 150
    assert report["documents"] == 150
    assert report["chunks"] == sum(r["chunks"] for r in reports) >= 6
    assert report["parts"] == parts
    assert max(c.content_length or 0 for c in connected.calls if c.route == "upload") <= 2_000


def test_a_folder_is_a_dataset(connected: Sandbox, write_part: WritePart) -> None:
    """All parts of a folder are uploaded; hidden names are passed over."""
    for n in range(2):
        folder = write_part(products(5, 5 * n), f"part-{n}.parquet").rsplit("/", 1)[0]
    write_part(products(1, 99), "_SUCCESS")

    load(folder)

    connected.settle()
    assert connected.count("products") == 10


def test_uploading_a_part_twice_leaves_the_index_the_same(connected: Sandbox, write_part: WritePart) -> None:
    """A retried task is harmless."""
    stream_id, part = open_stream(), write_part(products(5))
    upload(stream_id, part)
    close(stream_id, [upload(stream_id, part)])

    connected.settle()
    assert connected.count("products") == 5


def test_reports_are_small_and_hold_no_address(connected: Sandbox, write_part: WritePart) -> None:
    """What travels through XCom is counts, ids and URIs of parts."""
    stream_id = open_stream()
    report = upload(stream_id, write_part(products(3)))

    counts = {"documents", "partial_updates", "deletions", "bytes", "chunks", "calls", "seconds"}
    told = {"source_id", "stream_id", "mark", "moment", "first"}
    assert set(report) == {"parts", "ordering_ids", "api", *counts, *told}
    assert report["api"] == "stream"
    assert "/_s3/" not in json.dumps(report)
    assert json.loads(json.dumps(report)) == report


def test_an_expired_address_gets_a_fresh_container(
    connected: Sandbox, write_part: WritePart, waits: list[float]
) -> None:
    """A refused upload is sent again, whole, to a new address."""
    connected.faults.add(route="upload", action=ExpireUpload())
    stream_id = open_stream()
    close(stream_id, upload(stream_id, write_part(products(5))))

    connected.settle()
    assert connected.count("products") == 5
    assert [c.status for c in connected.calls if c.route == "upload"] == [403, 200]


def test_a_lost_answer_to_close_is_recognised(
    connected: Sandbox, write_part: WritePart, waits: list[float]
) -> None:
    """When the close was carried out and its answer lost, the task succeeds and the index is the new one."""
    stream_id = open_stream()
    report = upload(stream_id, write_part(products(5)))
    connected.faults.add(route="stream.close", action=Cut("after"))

    assert close(stream_id, report)["ordering_ids"] == []

    connected.settle()
    assert connected.count("products") == 5


@pytest.mark.parametrize("route", ["stream.open", "stream.chunk", "upload", "stream.close"])
def test_a_fault_that_lasts_leaves_the_index_as_it_was(
    connected: Sandbox, write_part: WritePart, waits: list[float], route: str
) -> None:
    """Whichever call fails for good, the source still holds the load before; Airflow may try again."""
    load(write_part(products(10)))
    connected.faults.add(route=route, action=Answer(503, body='{"message": "no"}'), times=100)

    with pytest.raises(Exception, match="503"):
        load(write_part(products(3)))

    connected.faults.clear()
    connected.settle()
    assert connected.count("products") == 10


def test_a_fault_that_passes_is_for_airflow_to_retry(connected: Sandbox, waits: list[float]) -> None:
    """A transient failure is raised as it is, so that the task is retried."""
    connected.faults.add(route="stream.open", action=Answer(500), times=100)

    with pytest.raises(ServerError):
        open_stream()


def test_a_long_throttle_is_not_slept_through(connected: Sandbox, waits: list[float]) -> None:
    """A wait beyond a minute fails the try at once and says how long the API asked for."""
    connected.faults.add(route="stream.open", action=Answer.throttled(280))

    with pytest.raises(Throttled) as raised:
        open_stream()

    assert raised.value.retry_after == 280
    assert waits == []


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({"reports": []}, ["no documents", "min_documents=1"]),
        ({"reports": {"documents": 0}}, ["no documents"]),
        ({"reports": {"documents": 3}, "min_documents": 5}, ["3 documents", "min_documents=5"]),
        ({"reports": {"documents": 3}, "max_shrink": 0.5}, ["3 documents", "10 items", "70.0%", "0.5"]),
        ({"reports": {"documents": 3}, "max_shrink": "0.5"}, ["3 documents", "10 items"]),
        ({"reports": [{"documents": 3}, None]}, ["reports of all parts", "NoneType"]),
        ({"reports": {"documents": 3}, "trigger_rule": TriggerRule.ALL_DONE}, ["all_success", "all_done"]),
    ],
)
def test_a_doubtful_close_is_refused(
    connected: Sandbox, write_part: WritePart, options: dict[str, Any], numbers: list[str]
) -> None:
    """A load that looks wrong is not applied; the message has both numbers and what to do."""
    load(write_part(products(10)))
    connected.settle()
    stream_id = open_stream()

    with pytest.raises(AirflowFailException, match="SafetyStop") as raised:
        close(stream_id, **options)

    assert all(number in str(raised.value) for number in numbers)
    assert "stream.close" not in [c.route for c in connected.calls[-1:]]
    connected.settle()
    assert connected.count("products") == 10


def test_a_shrink_within_bounds_passes(connected: Sandbox, write_part: WritePart) -> None:
    """max_shrink lets a load through that keeps enough."""
    load(write_part(products(10)))
    connected.settle()
    load(write_part(products(6)), max_shrink=0.5)

    connected.settle()
    assert connected.count("products") == 6


def test_an_empty_load_must_be_asked_for(connected: Sandbox, write_part: WritePart) -> None:
    """min_documents=0 says that emptying the source is meant."""
    load(write_part(products(10)))
    close(open_stream(), [], min_documents=0)

    connected.settle()
    assert connected.count("products") == 0


def test_one_line_is_logged_per_effect(
    connected: Sandbox, write_part: WritePart, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each call that changes something is one line with its ids; none has a signed address or the key."""
    load(write_part(products(5)))

    printed = capsys.readouterr().out
    lines = [line for line in printed.splitlines() if "source products" in line]
    assert [line.split("] ")[1].split()[0] for line in lines] == ["Opened", "Sent", "Closed"]
    assert connected.api_key not in printed
    assert "/_s3/" not in printed

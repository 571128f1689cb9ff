"""Status, push and delete older: what a Push source holds afterwards."""

from __future__ import annotations

from typing import Any

import pytest

from coveo_provider._compat import AirflowFailException
from coveo_provider.errors import ServerError
from coveo_provider.operators import (
    CoveoDeleteOlderOperator,
    CoveoPushBatchOperator,
    CoveoSetSourceStatusOperator,
)
from coveo_provider.sandbox import Answer, Cut, Sandbox
from tests.conftest import WritePart, products
from tests.operators.conftest import run


def texts(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [
        {"documentId": f"file://{n}", "data": f"Text {n}", "title": str(n), "fileExtension": ".txt"}
        for n in range(start, start + count)
    ]


def status(value: str) -> int:
    mark: int = run(CoveoSetSourceStatusOperator(task_id="status", source_id="files", status=value))
    return mark


def push(**options: Any) -> dict[str, Any]:
    report: dict[str, Any] = run(CoveoPushBatchOperator(task_id="push", source_id="files", **options))
    return report


def delete_older(mark: Any, reports: Any, **options: Any) -> dict[str, Any]:
    report: dict[str, Any] = run(
        CoveoDeleteOlderOperator(
            task_id="delete_older", source_id="files", ordering_id=mark, reports=reports, **options
        )
    )
    return report


def test_a_rebuild_leaves_the_new_set(connected: Sandbox, write_part: WritePart) -> None:
    """Mark, push, delete older: what was not renewed is gone, and an activity tells of it."""
    push(documents=write_part(texts(10)))
    connected.settle()
    connected.clock.advance(seconds=60)

    mark = status("REBUILD")
    report = push(documents=write_part(texts(4, start=8)))
    deleted = delete_older(mark, report)
    status("IDLE")

    connected.settle()
    assert connected.items("files") == {row["documentId"]: row for row in texts(4, start=8)}
    assert deleted["ordering_id"] == mark
    assert [a.operation for a in connected.activities("files")] == ["REBUILD"]
    assert connected.source("files").status == "IDLE"


def test_the_mark_is_the_servers_time(connected: Sandbox) -> None:
    """The mark comes from the answer, whatever the worker's clock says: here a year behind."""
    connected.clock.advance(seconds=365 * 86_400)

    mark = status("REFRESH")

    assert 0 < connected.clock.now_ms() - mark < 5_000


def test_documents_and_deletions_go_together(connected: Sandbox, write_part: WritePart) -> None:
    """One push adds, updates and deletes."""
    push(documents=write_part(texts(5)))
    gone = write_part([{"documentId": "file://0"}, {"documentId": "file://1"}], "gone.parquet")

    report = push(documents=write_part(texts(2, start=5)), deletions=gone)

    connected.settle()
    assert set(connected.items("files")) == {f"file://{n}" for n in range(2, 7)}
    assert (report["documents"], report["deletions"], report["chunks"]) == (2, 2, 1)


def test_children_go_with_their_parent_when_asked(connected: Sandbox, write_part: WritePart) -> None:
    """deleteChildren is a column of the deletions dataset."""
    push(documents=write_part([{"documentId": i} for i in ("file://a", "file://a/b", "file://c")]))

    push(deletions=write_part([{"documentId": "file://a", "deleteChildren": True}]))

    connected.settle()
    assert set(connected.items("files")) == {"file://c"}


def test_as_many_containers_as_needed(connected: Sandbox, write_part: WritePart) -> None:
    """A push beyond one container's bound takes several, each within it."""
    report = push(documents=write_part(texts(100)), max_chunk_bytes=1_500)

    connected.settle()
    assert connected.count("files") == 100
    assert report["chunks"] == len([c for c in connected.calls if c.route == "batch.put"]) > 3


def test_a_lost_answer_to_a_push_is_met_with_a_new_container(
    connected: Sandbox, write_part: WritePart, waits: list[float]
) -> None:
    """The service deletes a container it has taken, so the file is uploaded again."""
    connected.faults.add(route="batch.put", action=Cut("after"))

    push(documents=write_part(texts(5)))

    connected.settle()
    assert connected.count("files") == 5
    assert len([c for c in connected.calls if c.route == "file.create"]) == 2


@pytest.mark.parametrize("fault", [Answer(500), Cut("after"), Cut("before")])
def test_a_failed_status_leaves_no_activity_open(
    connected: Sandbox, waits: list[float], fault: Answer | Cut
) -> None:
    """No teardown follows a setup that failed, so the task itself sets the source back to IDLE."""
    connected.faults.add(route="source.status", action=fault, times=6)

    with pytest.raises(Exception, match="status"):
        status("REBUILD")

    assert connected.source("files").status in {"IDLE", "PUSH_READY"}


def test_deleting_older_twice_is_harmless(connected: Sandbox, write_part: WritePart) -> None:
    """A retried delete-older changes nothing more."""
    mark = status("REBUILD")
    report = push(documents=write_part(texts(5)))
    delete_older(mark, report)
    delete_older(mark, report)

    connected.settle()
    assert connected.count("files") == 5


@pytest.mark.parametrize(
    ("mark", "words"),
    [
        (1_234, ["13 digits", "1234"]),
        ("12345678901234", ["13 digits"]),
        ("soon", ["13 digits", "soon"]),
    ],
)
def test_a_wrong_mark_is_refused(
    connected: Sandbox, write_part: WritePart, mark: Any, words: list[str]
) -> None:
    """A mark that would poison the source, or is none, never reaches the service."""
    report = push(documents=write_part(texts(5)))

    with pytest.raises(AirflowFailException) as raised:
        delete_older(mark, report)

    assert all(word in str(raised.value) for word in words)
    assert "items.delete_older" not in [c.route for c in connected.calls]


@pytest.mark.parametrize("mark", [9_999_999_999_999, None, ""])
def test_a_mark_is_never_later_than_what_was_sent(
    connected: Sandbox, write_part: WritePart, mark: Any
) -> None:
    """Whatever is given: what this load sent stays, and what came before it goes."""
    push(documents=write_part(texts(5)))
    connected.clock.advance(seconds=5)
    report = push(documents=write_part(texts(3)))

    deleted = delete_older(mark, report)

    connected.settle()
    assert sorted(connected.items("files")) == [f"file://{n}" for n in range(3)]
    assert deleted["ordering_id"] <= (connected.ordering_id("files", "file://0") or 0)


def test_without_a_moment_there_is_no_mark(connected: Sandbox, write_part: WritePart) -> None:
    """A report that does not say when it was sent is none to delete by."""
    push(documents=write_part(texts(5)))
    with pytest.raises(AirflowFailException, match="there is no mark to delete by"):
        delete_older(None, {"documents": 5})
    assert "items.delete_older" not in [c.route for c in connected.calls]


@pytest.mark.parametrize("options", [{"reports": []}, {"reports": {"documents": 4}, "max_shrink": 0.5}])
def test_a_doubtful_deletion_is_refused(
    connected: Sandbox, write_part: WritePart, options: dict[str, Any]
) -> None:
    """An empty or shrunken load deletes nothing."""
    push(documents=write_part(texts(10)))
    connected.settle()

    with pytest.raises(AirflowFailException, match="SafetyStop"):
        delete_older(status("REBUILD"), **options)

    connected.settle()
    assert connected.count("files") == 10


def test_a_stream_source_has_its_own_call(connected: Sandbox, write_part: WritePart) -> None:
    """By the reports it is known; the mark is the first ordering id among them."""
    now = connected.clock.now_ms()
    older = {"documents": 1, "ordering_ids": [now - 5_000, now], "api": "stream"}

    run(CoveoDeleteOlderOperator(task_id="delete", source_id="products", reports=[older], queue_delay=0))

    assert connected.calls[-1].route == "stream.delete_older"
    assert connected.calls[-1].path.endswith(str(older["ordering_ids"][0]))  # type: ignore[index]


def test_an_unknown_status_is_refused_with_the_known_ones(connected: Sandbox) -> None:
    """RESCAN is the console's word, not the API's."""
    with pytest.raises(AirflowFailException, match="REBUILD, REFRESH, INCREMENTAL, IDLE"):
        status("RESCAN")

    assert connected.calls == []


def test_a_failing_service_is_for_airflow_to_retry(
    connected: Sandbox, write_part: WritePart, waits: list[float]
) -> None:
    """A fault on the other side is raised as it is."""
    connected.faults.add(route="batch.put", action=Answer(502), times=100)

    with pytest.raises(ServerError):
        push(documents=write_part(products(1)))

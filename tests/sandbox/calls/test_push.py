"""Push sources: single items, batches, delete-older, status (docs 78)."""

from __future__ import annotations

import pytest

from coveo_provider.sandbox import Clock, Sandbox
from tests.sandbox.caller import Caller, items, problems, refusal


def test_one_item_is_indexed_as_pushed(sandbox: Sandbox, caller: Caller) -> None:
    """Metadata keys stay as pushed, reserved keys get the API's spelling, the id comes from the query."""
    response = caller.put("file://a", {"Title": "A", "DATA": "text", "tags": ["x", "y"], "n": 3})
    sandbox.settle()
    assert (response.status_code, response.json()) == (202, {})
    assert sandbox.items("files") == {
        "file://a": {"documentId": "file://a", "Title": "A", "data": "text", "tags": ["x", "y"], "n": 3}
    }


def test_one_item_keeps_its_compression(sandbox: Sandbox, caller: Caller) -> None:
    """The query's compressionType is stored with the item."""
    caller.put("file://a", {"compressedBinaryData": "eA=="}, compressionType="UNCOMPRESSED")
    sandbox.settle()
    item = sandbox.item("files", "file://a")
    assert item is not None
    assert item["compressionType"] == "UNCOMPRESSED"


@pytest.mark.parametrize("body", [None, b"", b"{}"])
def test_one_item_is_deleted(sandbox: Sandbox, caller: Caller, body: bytes | None) -> None:
    """Deleting takes ``{}``, an empty body or none."""
    caller.put("file://a")
    headers = {"Content-Type": "application/json"} if body else {}
    response = caller.push(
        "DELETE", "/sources/files/documents", params={"documentId": "file://a"}, data=body, headers=headers
    )
    sandbox.settle()
    assert response.status_code == 202
    assert sandbox.items("files") == {}


def test_children_are_a_plain_prefix(sandbox: Sandbox, caller: Caller) -> None:
    """``deleteChildren`` takes every id that starts with the deleted one, siblings included."""
    caller.batch(items("file://a", "file://a/1", "file://ab", "file://b"))
    caller.push(
        "DELETE",
        "/sources/files/documents",
        params={"documentId": "file://a", "deleteChildren": "true"},
    )
    sandbox.settle()
    assert list(sandbox.items("files")) == ["file://b"]


def test_a_batch_adds_and_deletes(sandbox: Sandbox, caller: Caller) -> None:
    """A batch's two arrays are applied, keys in any case."""
    caller.batch(items("file://a", "file://b"))
    response = caller.batch(
        {
            "ADDORUPDATE": [{"DocumentId": "file://c", "FileExtension": ".txt"}],
            "Delete": [{"DocumentId": "file://a", "DeleteChildren": False}],
        }
    )
    sandbox.settle()
    assert response.status_code == 202
    assert sandbox.items("files") == {
        "file://b": {"documentId": "file://b"},
        "file://c": {"documentId": "file://c", "fileExtension": ".txt"},
    }


def test_a_large_item_comes_through_its_own_container(sandbox: Sandbox, caller: Caller) -> None:
    """``compressedBinaryDataFileId`` uses up the container it names and the content is kept."""
    file_id = caller.container(b"\x00binary\xff")
    caller.put(
        "file://a", {"compressedBinaryDataFileId": file_id, "fileExtension": ".bin"}, compressionType="GZIP"
    )
    caller.put("file://b", {"compressedBinaryDataFileId": file_id})
    sandbox.settle()
    assert list(sandbox.items("files")) == ["file://a"]
    assert sandbox.file_content("files", "file://a") == b"\x00binary\xff"
    assert ("PROCESSING", "ADD", "ERROR", "file://b") in problems(sandbox, "files")


def test_a_lower_ordering_id_is_rejected_in_the_pipeline(sandbox: Sandbox, caller: Caller) -> None:
    """An update or a deletion older than the item gets 202 and does nothing."""
    now = sandbox.clock.now_ms()
    caller.put("file://a", {"data": "new"}, orderingId=now)
    late = caller.put("file://a", {"data": "late"}, orderingId=now - 1)
    caller.push(
        "DELETE", "/sources/files/documents", params={"documentId": "file://a", "orderingId": now - 1}
    )
    caller.batch({"delete": [{"documentId": "file://a"}]}, orderingId=now - 1)
    sandbox.settle()
    assert late.status_code == 202
    assert sandbox.items("files") == {"file://a": {"documentId": "file://a", "data": "new"}}
    assert [one[2] for one in problems(sandbox, "files")] == ["REJECTED"] * 3


def test_an_equal_ordering_id_is_applied(sandbox: Sandbox, caller: Caller) -> None:
    """Only a lower orderingId is rejected: a rebuild may give one to all its items."""
    now = sandbox.clock.now_ms()
    for text in ("first", "second"):
        caller.put("file://a", {"data": text}, orderingId=now)
    sandbox.settle()
    assert sandbox.items("files")["file://a"]["data"] == "second"


def test_a_deleted_item_stays_dead_for_older_updates(sandbox: Sandbox, caller: Caller) -> None:
    """An update that is older than the deletion does not bring the item back."""
    now = sandbox.clock.now_ms()
    caller.put("file://a", orderingId=now)
    caller.push(
        "DELETE", "/sources/files/documents", params={"documentId": "file://a", "orderingId": now + 2}
    )
    caller.put("file://a", orderingId=now + 1)
    sandbox.settle()
    assert sandbox.items("files") == {}


def test_a_rebuild_with_delete_older(sandbox: Sandbox, caller: Caller) -> None:
    """A mark from the Date header, then the push, then olderthan: exactly the new set, 15 minutes later."""
    caller.batch(items("file://gone", "file://kept"))
    sandbox.settle()
    sandbox.clock.advance(seconds=2)
    mark = sandbox.clock.now_ms()
    caller.batch(items("file://kept", "file://new"))
    response = caller.push("DELETE", "/sources/files/documents/olderthan", params={"orderingId": mark})
    assert response.status_code == 202
    sandbox.clock.advance(seconds=14 * 60)
    sandbox.drain()
    assert sandbox.count("files") == 3
    sandbox.clock.advance(seconds=60)
    sandbox.drain()
    assert sorted(sandbox.items("files")) == ["file://kept", "file://new"]


def test_delete_older_is_strict(sandbox: Sandbox, caller: Caller) -> None:
    """An item with exactly the given orderingId stays."""
    now = sandbox.clock.now_ms()
    caller.put("file://a", orderingId=now - 1)
    caller.put("file://b", orderingId=now)
    caller.push("DELETE", "/sources/files/documents/olderthan", params={"orderingId": now, "queueDelay": 0})
    sandbox.drain()
    assert list(sandbox.items("files")) == ["file://b"]


def test_a_mark_in_the_future_poisons_the_source(sandbox: Sandbox, caller: Caller) -> None:
    """After olderthan with a future value, pushes are rejected until that time has come."""
    future = sandbox.clock.now_ms() + 3_600_000
    caller.push(
        "DELETE", "/sources/files/documents/olderthan", params={"orderingId": future, "queueDelay": 0}
    )
    caller.put("file://a")
    sandbox.drain()
    assert sandbox.count("files") == 0
    assert ("CONSUMING", "ADD", "REJECTED", "file://a") in problems(sandbox, "files")
    assert sandbox.source("files").floor == future
    sandbox.clock.advance(seconds=3601)
    caller.put("file://a")
    sandbox.drain()
    assert sandbox.count("files") == 1


def test_status_opens_and_closes_an_activity(sandbox: Sandbox, caller: Caller) -> None:
    """An active status opens an activity, IDLE ends it, and the Date header tells the sandbox's time."""
    assert sandbox.source("files").status == "PUSH_READY"
    response = caller.push("POST", "/sources/files/status", params={"statusType": "REBUILD"})
    assert (response.status_code, response.content) == (201, b"{}")
    assert sandbox.source("files").status == "REBUILD"
    sandbox.clock.advance(seconds=60)
    caller.push("POST", "/sources/files/status", params={"statusType": "IDLE"})
    (activity,) = sandbox.activities("files")
    assert (activity.operation, activity.state) == ("REBUILD", "EXECUTED")
    assert activity.end_ms is not None
    assert 60_000 <= activity.end_ms - activity.start_ms < 70_000
    assert sandbox.source("files").status == "IDLE"


@pytest.mark.parametrize("status", ["RESCAN", "rebuild", "FULL"])
def test_other_statuses_are_refused(caller: Caller, status: str) -> None:
    """RESCAN, which an overview page lists, is not a value; nor is lower case (the harsher reading)."""
    response = caller.push("POST", "/sources/files/status", params={"statusType": status})
    assert refusal(response) == (412, "INVALID_PARAMETER")


def test_the_date_header_is_the_sandboxs_clock() -> None:
    """A client that takes its mark from the Date header gets the time its items are ordered by."""
    with Sandbox.start(clock=Clock(scale=0, start_ms=1_600_000_000_000)) as sandbox:
        response = Caller(sandbox).push("POST", "/files")
        assert response.headers["Date"] == "Sun, 13 Sep 2020 12:26:40 GMT"
        assert response.headers["X-Request-ID"]
        Caller(sandbox).put("file://a")
        sandbox.settle()
        assert sandbox.ordering_id("files", "file://a") == 1_600_000_000_000


def test_a_database_outlives_the_sandbox(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Items, statuses, logs and a delayed deletion are there after a restart."""
    path = str(tmp_path_factory.mktemp("sandbox") / "state.db")
    clock = Clock()
    with Sandbox.start(database=path, clock=clock) as first:
        caller = Caller(first)
        caller.batch(items("file://a"))
        first.drain()
        clock.advance(seconds=1)
        caller.put("file://b")
        caller.push("POST", "/sources/files/status", params={"statusType": "REFRESH"})
        caller.push(
            "DELETE", "/sources/files/documents/olderthan", params={"orderingId": clock.now_ms() - 500}
        )
        first.drain()
    with Sandbox.start(database=path, clock=clock) as second:
        assert second.count("files") == 2
        assert second.source("files").status == "REFRESH"
        assert second.logs("files")
        second.settle()
        assert list(second.items("files")) == ["file://b"]

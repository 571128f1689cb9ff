"""Failures on order."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import requests

from coveo_provider.sandbox import (
    Answer,
    Cut,
    Duplicate,
    ExpireUpload,
    Sandbox,
    Slow,
    Stall,
    Truncate,
)
from tests.sandbox.caller import Caller, items

BROKEN = (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)


def test_a_route_fails_as_often_as_asked(sandbox: Sandbox, caller: Caller) -> None:
    """``skip`` calls go well, ``times`` fail, the rest go well again; other routes never notice."""
    sandbox.faults.add(route="file.create", skip=1, times=2, action=Answer.throttled(7))
    answers = []
    for _ in range(4):
        assert caller.put("file://a").status_code == 202
        answers.append(caller.push("POST", "/files"))
    assert [one.status_code for one in answers] == [201, 429, 429, 201]
    assert answers[1].headers["Retry-After"] == "7"
    assert answers[1].json()["errorCode"] == "TOO_MANY_REQUESTS"
    assert [call.status for call in sandbox.calls if call.route == "file.create"] == [201, 429, 429, 201]


@pytest.mark.parametrize(
    ("action", "content_type"),
    [
        (Answer(503, "<html>busy</html>", content_type="text/html"), "text/html"),
        (Answer(504, '{"message": "Endpoint request timed out"}'), "application/json"),
        (Answer(502), None),
    ],
)
def test_an_answer_is_sent_as_it_is(
    sandbox: Sandbox, caller: Caller, action: Answer, content_type: str | None
) -> None:
    """JSON, HTML or nothing: the status and body are those asked for, and nothing was carried out."""
    sandbox.faults.add(method="put", path="/documents", action=action)
    response = caller.put("file://a")
    assert (response.status_code, response.text) == (action.status, action.body)
    assert response.headers.get("Content-Type") == content_type
    sandbox.settle()
    assert sandbox.count("files") == 0


@pytest.mark.parametrize(("when", "carried_out"), [("before", 0), ("during", 0), ("after", 1)])
def test_a_connection_is_cut(sandbox: Sandbox, caller: Caller, when: str, carried_out: int) -> None:
    """The caller sees a broken connection; only a cut after the call leaves its effect: a lost answer."""
    sandbox.faults.add(route="item.put", action=Cut(when))
    with pytest.raises(BROKEN):
        caller.put("file://a", {"data": "x" * 100_000})
    sandbox.settle()
    assert sandbox.count("files") == carried_out
    assert sandbox.calls[-1].status == 0
    assert caller.put("file://a").status_code == 202


def test_an_upload_is_cut(sandbox: Sandbox, caller: Caller) -> None:
    """A large upload that is cut leaves the container empty."""
    made = caller.push("POST", "/files").json()
    sandbox.faults.add(route="upload", action=Cut("during"))
    with pytest.raises(BROKEN):
        caller.upload(made, b" " * 20_000_000)
    assert caller.upload(made, items("file://a")).status_code == 200


def test_an_answer_is_truncated(sandbox: Sandbox, caller: Caller) -> None:
    """The announced length does not come."""
    sandbox.faults.add(route="stream.open", action=Truncate(10))
    with pytest.raises(BROKEN):
        caller.open()


def test_an_answer_is_slow(sandbox: Sandbox, caller: Caller) -> None:
    """A slow answer is whole."""
    sandbox.faults.add(route="stream.open", action=Slow(0.2))
    assert caller.open()["streamId"]


def test_a_stall_ends_with_the_sandbox() -> None:
    """A call that is never answered does not hold up the stop."""
    sandbox = Sandbox.start()
    sandbox.faults.add(action=Stall(600))
    broken: list[BaseException] = []

    def work() -> None:
        try:
            Caller(sandbox).push("POST", "/files")
        except BROKEN as error:
            broken.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while sandbox.faults.pending():
        thread.join(0.01)
    sandbox.stop()
    thread.join(10)
    assert broken


@pytest.mark.parametrize("route", ["file.create", "upload"])
def test_an_address_expires_early(sandbox: Sandbox, caller: Caller, route: str) -> None:
    """The address handed out, or the one uploaded to, is expired; a fresh one works."""
    sandbox.faults.add(route=route, action=ExpireUpload())
    response = caller.upload(caller.push("POST", "/files").json(), items("file://a"))
    assert response.status_code == 403
    assert "expired" in response.text
    assert caller.batch(items("file://a")).status_code == 202


@pytest.mark.parametrize(("last", "status"), [(False, 200), (True, 412)])
def test_a_call_is_carried_out_twice(sandbox: Sandbox, caller: Caller, last: bool, status: int) -> None:
    """A duplicate close finds the stream closed; the caller sees the first or the second answer."""
    stream_id = caller.open()["streamId"]
    sandbox.faults.add(route="stream.close", action=Duplicate(last))
    assert caller.close(stream_id).status_code == status


def test_a_duplicate_keeps_its_body(sandbox: Sandbox, caller: Caller) -> None:
    """Both deliveries carry the same content."""
    sandbox.faults.add(route="item.put", action=Duplicate())
    caller.put("file://a", {"data": "twice"})
    sandbox.settle()
    assert sandbox.items("files")["file://a"]["data"] == "twice"
    assert [one.task for one in sandbox.logs("files")].count("INDEXING") == 2


def test_a_stream_chunk_fails(sandbox: Sandbox, caller: Caller) -> None:
    """A chunk that failed leaves the stream open for another try."""
    stream_id = caller.open()["streamId"]
    sandbox.faults.add(route="stream.chunk", action=Answer(500))
    assert [caller.chunk(stream_id).status_code for _ in range(2)] == [500, 200]


@pytest.mark.parametrize(
    "fault",
    [
        {"action": {"kind": "explode"}},
        {"action": {"kind": "answer", "status": "429"}},
        {"action": {"kind": "answer", "status": 99}},
        {"action": {"kind": "cut", "when": "sometimes"}},
        {"action": {"kind": "cut"}, "times": -1},
        {"action": {"kind": "cut"}, "rout": "x"},
        {},
    ],
)
def test_a_fault_over_http_is_checked(caller: Caller, fault: Any) -> None:
    """A fault that makes no sense is 400."""
    assert caller.call("POST", "/_sandbox/faults", json=fault).status_code == 400


def test_a_fault_over_http(caller: Caller) -> None:
    """The same faults are ordered over HTTP."""
    action = {"kind": "answer", "status": 429, "headers": {"Retry-After": "1"}, "body": "slow down"}
    fault = {"route": "file.create", "times": 1, "action": action}
    assert caller.call("POST", "/_sandbox/faults", json=fault).status_code == 200
    response = caller.push("POST", "/files")
    assert (response.status_code, response.text, response.headers["Retry-After"]) == (429, "slow down", "1")

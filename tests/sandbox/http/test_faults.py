"""Failures on order."""

from __future__ import annotations

import re
import threading
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests

from coveo_provider.sandbox import (
    Answer,
    Clock,
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


# -- something in between that answers by itself -------------------------------------------------------------


def each_call(caller: Caller, action: Answer) -> dict[str, requests.Response]:
    """One call of each kind, an upload among them, with what it is answered; ids are made beforehand."""
    made = caller.push("POST", "/files").json()
    assert caller.upload(made, items("file://batch")).status_code == 200
    spare = caller.push("POST", "/files").json()
    stream_id = caller.open()["streamId"]
    caller.sandbox.faults.add(action=action, times=10**6)
    now = caller.sandbox.clock.now_ms()
    answers = {
        "item": caller.put("file://single"),
        "batch": caller.push("PUT", "/sources/files/documents/batch", params={"fileId": made["fileId"]}),
        "delete": caller.push("DELETE", "/sources/files/documents", params={"documentId": "file://x"}),
        "older": caller.push("DELETE", "/sources/files/documents/olderthan", params={"orderingId": now}),
        "status": caller.push("POST", "/sources/files/status", params={"statusType": "REBUILD"}),
        "files": caller.push("POST", "/files"),
        "upload": caller.upload(spare, items("file://spare")),
        "open": caller.push("POST", "/sources/products/stream/open"),
        "chunk": caller.chunk(stream_id),
        "close": caller.close(stream_id),
        "sources": caller.rest("GET", "/sources"),
        "logs": caller.call("POST", "/logs/v1/organizations/sandbox", json={}),
        "unknown": caller.call("GET", "/nothing"),
    }
    caller.sandbox.faults.clear()
    return answers


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("status", [200, 202, 404, 502])
def test_a_page_in_place_of_every_answer(sandbox: Sandbox, caller: Caller, when: str, status: int) -> None:
    """HTML with any status comes from every route and from uploads; only after the call it took effect."""
    answers = each_call(caller, Answer.login_page(status, when=when))
    for name, answer in answers.items():
        assert answer.status_code == status, name
        assert answer.headers["Content-Type"].startswith("text/html"), name
        assert "sign in" in answer.text, name
    sandbox.drain()
    done = when == "after"
    assert sorted(sandbox.items("files")) == (["file://batch", "file://single"] if done else [])
    assert sandbox.source("files").status == ("REBUILD" if done else "PUSH_READY")
    assert len(sandbox.source("products").open_streams) == 1  # one was opened and one closed, or neither
    assert {one.reached for one in sandbox.calls[-len(answers) :]} == {done}
    assert caller.rest("GET", "/sources").json()


@pytest.mark.parametrize(
    "action",
    [
        Answer(200),
        Answer(200, "OK", content_type="text/plain"),
        Answer(200, b"\x00\xff", content_type="application/octet-stream"),
        Answer(200, "{}", content_type="text/html"),
        Answer(204, when="after"),
    ],
)
def test_an_answer_that_is_none(sandbox: Sandbox, caller: Caller, action: Answer) -> None:
    """Text, bytes or nothing with success; ``after`` tells whether the call took effect."""
    sandbox.faults.add(action=action)
    answer = caller.put("file://a")
    body = action.body.encode() if isinstance(action.body, str) else action.body
    assert (answer.status_code, answer.content) == (action.status, body)
    wanted = action.content_type if body else None
    assert answer.headers.get("Content-Type") == wanted
    sandbox.drain()
    assert sandbox.count("files") == (action.when == "after")


def test_the_storage_answers_as_s3_does(caller: Caller) -> None:
    """A successful upload has an ETag, no body and no type of one."""
    answer = caller.upload(caller.push("POST", "/files").json(), items("file://a"))
    assert (answer.status_code, answer.content) == (200, b"")
    assert re.fullmatch(r'"[0-9a-f]{32}"', answer.headers["ETag"])
    assert "Content-Type" not in answer.headers


def test_answers_are_dated_wrongly() -> None:
    """The hosts' clocks are off independently, by any number of seconds, and from one call to the next."""
    with Sandbox.start(clock=Clock(scale=0, start_ms=1_700_000_000_000)) as sandbox:
        caller = Caller(sandbox)

        def seconds_off() -> tuple[int, ...]:
            made = caller.push("POST", "/files")
            answers = (made, caller.rest("GET", "/sources"), caller.upload(made.json(), b"{}"))
            return tuple(
                round(parsedate_to_datetime(one.headers["Date"]).timestamp()) - 1_700_000_000
                for one in answers
            )

        assert seconds_off() == (0, 0, 0)
        sandbox.dates.api = 3
        assert seconds_off() == (3, 3, 0)
        sandbox.dates.storage = -12 * 3600
        assert seconds_off() == (3, 3, -43_200)
        sandbox.dates.api = None
        assert "Date" not in caller.push("POST", "/files").headers
        caller.put("file://a")
        sandbox.drain()
        assert (
            sandbox.ordering_id("files", "file://a") == 1_700_000_000_000
        )  # the service's own clock is right
        answer = caller.call("POST", "/_sandbox/dates", json={"api": 1.5, "storage": None})
        assert answer.json() == {"api": 1.5, "storage": None}
        for wrong in ({"api": "now"}, {"storage": 1e12}):
            assert caller.call("POST", "/_sandbox/dates", json=wrong).status_code == 400
        sandbox.reset()
        assert seconds_off() == (0, 0, 0)


@pytest.mark.parametrize(
    ("method", "path", "query", "status"),
    [
        ("POST", "/sources/files/status", {"statusType": "IDLE"}, 201),
        ("DELETE", "/sources/files/documents", {"documentId": "file://a"}, 202),
        ("DELETE", "/sources/files/documents/olderthan", {"orderingId": 1_700_000_000_000}, 202),
    ],
)
def test_a_call_without_a_model_answers_an_empty_object(
    caller: Caller, method: str, path: str, query: dict[str, Any], status: int
) -> None:
    """Clients parse every answer as JSON."""
    answer = caller.push(method, path, params=query)
    assert (answer.status_code, answer.json()) == (status, {})
    assert answer.headers["Content-Type"] == "application/json"


def test_a_refusal_for_want_of_a_privilege(sandbox: Sandbox, caller: Caller) -> None:
    """The log alone can be refused, which no set of privileges tells from seeing a source."""
    sandbox.faults.add(path="/logs/", action=Answer.denied(), times=3)
    assert caller.rest("GET", "/sources/files").status_code == 200
    for path in ("", "/facets", "/facetsStats"):
        answer = caller.call("POST", f"/logs/v1/organizations/sandbox{path}", json={})
        assert (answer.status_code, answer.json()["errorCode"]) == (403, "ACCESS_DENIED")


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
        {"action": {"kind": "answer", "when": "during"}},
        {"action": {"kind": "answer", "body": 5}},
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

"""The Source Logs API: filters, pages, facets, entries that come late or twice, and who may read them."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timezone
from typing import Any

import pytest
import requests

from coveo_provider.sandbox import Clock, Sandbox
from tests.sandbox.caller import Caller, items, refusal


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def ask(caller: Caller, path: str = "", body: Any = None, **query: Any) -> requests.Response:
    """Ask for the hour before and after now, unless told otherwise."""
    now = caller.sandbox.clock.now_ms()
    query = {"from": iso(now - 3_600_000), "to": iso(now + 3_600_000), **query}
    return caller.call("POST", f"/logs/v1/organizations/sandbox{path}", params=query, json=body or {})


def logs(caller: Caller, path: str = "", body: Any = None, **query: Any) -> Any:
    response = ask(caller, path, body, **query)
    assert response.status_code == 200, response.text
    return response.json()


def test_the_log_has_an_entry_per_stage(sandbox: Sandbox, caller: Caller) -> None:
    """An accepted container is BATCH_FILE COMPLETED, items CONSUMING and INDEXING, with the orderingId."""
    ordering = caller.update({"addOrUpdate": [{"documentId": "product://1"}, {"documentId": "plain"}]}).json()
    sandbox.settle()
    entries = logs(caller)["documentLogEntries"]
    assert [(one["task"], one["operation"], one["result"]) for one in reversed(entries)] == [
        ("STREAMING_EXTENSION", "BATCH_FILE", "COMPLETED"),
        ("CONSUMING", "ADD", "REJECTED"),
        ("CONSUMING", "ADD", "COMPLETED"),
        ("INDEXING", "ADD", "COMPLETED"),
    ]
    assert {one["meta"]["orderingid"] for one in entries} == {ordering["orderingId"]}
    assert "scheme" in next(one["meta"]["error"] for one in entries if one["result"] == "REJECTED")
    assert len({one["guid"] for one in entries}) == 4
    assert {one["sourceId"] for one in entries} == {"products"}


@pytest.mark.parametrize(
    ("query", "body", "expected"),
    [
        ({}, {"results": ["COMPLETED"], "tasks": ["INDEXING"]}, 3),
        ({}, {"sourcesIds": ["files"], "tasks": ["INDEXING"]}, 2),
        ({}, {"sourceIds": ["files"], "tasks": ["INDEXING"]}, 2),
        ({}, {"sourceIds": ["none"]}, 0),
        ({}, {"excludeTasks": ["INDEXING", "CONSUMING", "PROCESSING"]}, 2),
        ({}, {"tasks": ["INDEXING"], "excludeTasks": ["INDEXING"]}, 3),
        ({}, {"operations": ["DELETE"]}, 0),
        ({}, {"resourceIds": ["extension"]}, 0),
        ({"documentId": "file://a/1"}, {"tasks": ["INDEXING"]}, 1),
        ({"documentId": "file://a"}, {"tasks": ["INDEXING"]}, 0),
        ({"documentId": "a/", "documentIdMatching": "PARTIAL"}, {"tasks": ["INDEXING"]}, 2),
        ({"documentId": "file://?/*", "documentIdMatching": "WILDCARD"}, {"tasks": ["INDEXING"]}, 2),
        ({"documentId": "file://[a]/*", "documentIdMatching": "WILDCARD"}, {"tasks": ["INDEXING"]}, 0),
    ],
)
def test_the_log_is_filtered(
    sandbox: Sandbox, caller: Caller, query: dict[str, str], body: dict[str, Any], expected: int
) -> None:
    """Each filter of the page works, inclusion before exclusion, and the facets count the same entries."""
    caller.batch(items("file://a/1", "file://a/2"))
    caller.update(items("product://1"))
    sandbox.settle()
    assert len(logs(caller, body=body, **query)["documentLogEntries"]) == expected
    stats = logs(caller, "/facetsStats", body=body, **query)
    assert sum(stats["results"].values()) == expected
    facets = logs(caller, "/facets", body=body, **query)
    assert facets["tasks"] == list(stats["tasks"])


def test_the_log_is_paged(sandbox: Sandbox, caller: Caller) -> None:
    """Pages follow each other until hasNextPage is false."""
    caller.batch(items(*(f"file://{n}" for n in range(10))))
    sandbox.settle()
    seen: list[str] = []
    for page in range(10):
        answer = logs(caller, body={"tasks": ["INDEXING"]}, perPage=4, page=page)
        seen += [one["id"] for one in answer["documentLogEntries"]]
        if not answer["hasNextPage"]:
            break
    assert sorted(seen) == sorted(f"file://{n}" for n in range(10))
    assert page == 2


@pytest.mark.parametrize(
    ("query", "body", "status"),
    [
        ({"from": "2024-01-01T00:00:00Z"}, {}, 412),
        ({"from": "2024-01-01T00:00:00Z", "to": "2024-01-08T00:00:01Z"}, {}, 412),
        ({"from": "2024-01-02T00:00:00Z", "to": "2024-01-01T00:00:00Z"}, {}, 412),
        ({"from": "yesterday", "to": "2024-01-01T00:00:00Z"}, {}, 412),
        ({"from": "2024-01-01T00:00:00Z", "to": "2024-01-08T00:00:00Z"}, {}, 200),
        ({"from": "2024-01-01T00:00:00Z", "to": "2024-01-02T00:00:00Z"}, {"results": ["BAD"]}, 400),
        ({"from": "2024-01-01T00:00:00Z", "to": "2024-01-02T00:00:00Z"}, {"results": "ERROR"}, 400),
        ({"from": "2024-01-01", "to": "2024-01-02", "documentIdMatching": "LIKE"}, {}, 412),
    ],
)
def test_a_log_query_is_checked(caller: Caller, query: dict[str, str], body: Any, status: int) -> None:
    """The window is a week at most, and the values are those of the page."""
    response = caller.call("POST", "/logs/v1/organizations/sandbox", params=query, json=body)
    assert response.status_code == status


INDEXED = {"tasks": ["INDEXING"], "results": ["COMPLETED"]}


def guids(caller: Caller, per_page: int = 50, body: Any = None) -> list[str]:
    """Every guid that is given, page by page."""
    given: list[str] = []
    for page in range(100):
        answer = logs(caller, body=body, perPage=per_page, page=page)
        given += [one["guid"] for one in answer["documentLogEntries"]]
        if not answer["hasNextPage"]:
            return given
    raise AssertionError("there is no last page")


def test_entries_come_late() -> None:
    """The index has changed, and its log says so only after the delay, with the time at which it happened."""
    with Sandbox.start(clock=Clock(scale=0, start_ms=1_700_000_000_000)) as sandbox:
        caller = Caller(sandbox)
        sandbox.log_delivery.delay = 30
        caller.batch(items("file://1", "file://2"))
        sandbox.drain()
        assert sandbox.count("files") == 2
        assert len(sandbox.logs("files")) > 2
        for seconds, count in ((0, 0), (29.9, 0), (0.2, 2)):
            sandbox.clock.advance(seconds=seconds)
            entries = logs(caller, body=INDEXED)["documentLogEntries"]
            assert len(entries) == count
            assert logs(caller, "/facetsStats", body=INDEXED)["tasks"] == ({"INDEXING": 2} if count else {})
            assert logs(caller, "/facets", body=INDEXED)["sourceIds"] == (["files"] if count else [])
        assert {one["datetime"] for one in entries} == {"2023-11-14T22:13:20.000Z"}
        caller.batch(items("file://3"))
        sandbox.drain()
        assert logs(caller, "/facetsStats", body=INDEXED)["tasks"] == {"INDEXING": 2}
        sandbox.log_delivery.delay = 0
        assert logs(caller, "/facetsStats", body=INDEXED)["tasks"] == {"INDEXING": 3}


@pytest.mark.parametrize("per_page", [1, 2, 3, 7, 50])
def test_entries_come_twice(sandbox: Sandbox, caller: Caller, per_page: int) -> None:
    """Every entry is there twice under one guid, across pages and in the counts."""
    caller.batch(items(*(f"file://{n}" for n in range(5))))
    sandbox.drain()
    once = guids(caller)
    counts = logs(caller, "/facetsStats")
    sandbox.log_delivery.repeat = True
    assert Counter(guids(caller, per_page)) == dict.fromkeys(once, 2)
    twice = logs(caller, "/facetsStats")
    assert {name: {key: 2 * one for key, one in values.items()} for name, values in counts.items()} == twice
    assert logs(caller, "/facets") == {name: list(values) for name, values in counts.items()}
    sandbox.reset()
    assert sandbox.log_delivery.repeat is False


def test_delivery_is_set_over_http(sandbox: Sandbox, caller: Caller) -> None:
    """A program in another language makes entries late and double as well; nonsense is refused."""
    answer = caller.call("POST", "/_sandbox/logs", json={"delay": 2.5, "repeat": True})
    assert answer.json() == {"delay": 2.5, "repeat": True}
    assert (sandbox.log_delivery.delay, sandbox.log_delivery.repeat) == (2.5, True)
    assert caller.call("POST", "/_sandbox/logs", json={"delay": 0}).json() == {"delay": 0.0, "repeat": True}
    for wrong in ({"delay": -1}, {"delay": "1"}, {"repeat": 1}):
        assert refusal(caller.call("POST", "/_sandbox/logs", json=wrong)) == (400, "INVALID_JSON")
    assert caller.call("GET", "/_sandbox/").json()["logDelivery"] == {"delay": 0.0, "repeat": True}


def test_every_entry_has_the_ordering_id_of_its_operation(sandbox: Sandbox, caller: Caller) -> None:
    """What a Stream call answers, what a Push call was given, or else what the service gave it."""
    answers = {
        "update": caller.update(items("product://1")).json()["orderingId"],
        "merge": caller.merge({"addOrMerge": [{"documentId": "product://2"}]}).json()["orderingId"],
        "load": caller.load(items("product://1", "product://3")).json()["orderingId"],
    }
    path = f"/sources/products/stream/deleteolderthan/{answers['load']}"
    answers["older"] = caller.push("POST", path, params={"queueDelay": 0}).json()["orderingId"]
    now = sandbox.clock.now_ms()
    caller.put("file://own", orderingId=now)
    caller.put("file://given")
    sandbox.settle()
    entries = logs(caller, body={"tasks": ["INDEXING"]}, perPage=100)["documentLogEntries"]
    orderings = {(one["id"], one["operation"], one["meta"]["orderingid"]) for one in entries}
    assert orderings == {
        ("product://1", "ADD", answers["update"]),
        ("product://2", "ADD", answers["merge"]),
        ("product://1", "ADD", answers["load"]),
        ("product://3", "ADD", answers["load"]),
        ("product://2", "DELETE_OLDER_THAN", answers["older"]),
        ("file://own", "ADD", str(now)),
        ("file://given", "ADD", str(sandbox.ordering_id("files", "file://given"))),
    }


def test_a_refused_entry_says_why(sandbox: Sandbox, caller: Caller) -> None:
    """Each reason stands in meta.error of an ERROR or REJECTED entry, and in no other."""
    caller.put("file://1")
    old = sandbox.clock.now_ms() - 1_000_000
    caller.put("file://1", orderingId=old)
    caller.batch({"addOrUpdate": [{"documentId": "plain"}, {"documentId": "file://2", "a": None}]})
    caller.batch(b"{not json")
    sandbox.settle()
    wrong = logs(caller, body={"results": ["ERROR", "REJECTED"]})["documentLogEntries"]
    reasons = {(one["operation"], one["result"], one["id"]): one["meta"]["error"] for one in wrong}
    assert {key[:2] for key in reasons} == {("ADD", "REJECTED"), ("ADD", "ERROR"), ("BATCH_FILE", "ERROR")}
    assert f"{old} is lower than the item's" in reasons["ADD", "REJECTED", "file://1"]
    assert "not a URI" in reasons["ADD", "REJECTED", "plain"]
    assert "'a' is null" in reasons["ADD", "ERROR", "file://2"]
    good = logs(caller, body={"results": ["COMPLETED"]})["documentLogEntries"]
    assert not [one for one in good if "error" in one["meta"]]


KEYS = {
    "reader": ["ORGANIZATION:VIEW", "SOURCE:VIEW"],
    "pusher": ["ORGANIZATION:VIEW", "SOURCE:EDIT"],
    "viewer": ["SOURCE:VIEW"],
}


@pytest.mark.parametrize(
    ("key", "log", "source", "push"),
    [("reader", 200, 200, 403), ("pusher", 403, 403, 202), ("viewer", 403, 200, 403)],
)
def test_a_key_reads_what_it_may(key: str, log: int, source: int, push: int) -> None:
    """A key that pushes need not see a source, nor its log: each refusal names the privilege."""
    with Sandbox.start(keys=KEYS) as sandbox:
        caller = Caller(sandbox, key=key)
        for path in ("", "/facets", "/facetsStats"):
            answer = ask(caller, path)
            assert answer.status_code == log
            if log == 403:
                assert refusal(answer) == (403, "ACCESS_DENIED")
                assert "VIEW" in answer.json()["message"]
        assert caller.rest("GET", "/sources/files").status_code == source
        assert caller.put("file://1").status_code == push


def test_a_key_loses_a_privilege(sandbox: Sandbox, caller: Caller) -> None:
    """The privileges of a key that is known change while the sandbox runs; an unknown privilege is refused."""
    assert caller.rest("GET", "/sources/files").status_code == 200
    sandbox.add_key(sandbox.api_key, privileges=KEYS["pusher"])
    assert caller.rest("GET", "/sources/files").status_code == 403
    assert caller.put("file://1").status_code == 202
    with pytest.raises(ValueError, match="LOGS:VIEW"):
        Sandbox.start(keys={"k": ["LOGS:VIEW"]})

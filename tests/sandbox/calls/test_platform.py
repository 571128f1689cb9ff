"""Organization, sources, activities and logs over HTTP."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from coveo_provider.sandbox import Sandbox
from tests.sandbox.caller import Caller, items, refusal


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def logs(caller: Caller, path: str = "", body: Any = None, **query: Any) -> Any:
    now = caller.sandbox.clock.now_ms()
    query = {"from": iso(now - 3_600_000), "to": iso(now + 3_600_000), **query}
    response = caller.call("POST", f"/logs/v1/organizations/sandbox{path}", params=query, json=body or {})
    assert response.status_code == 200, response.text
    return response.json()


def test_the_organization_answers(caller: Caller) -> None:
    """A cheap read names the organization."""
    assert caller.rest("GET", "").json()["id"] == "sandbox"


def test_a_source_tells_its_state(sandbox: Sandbox, caller: Caller) -> None:
    """The model carries capability, status and the number of documents."""
    caller.put("file://a")
    caller.push("POST", "/sources/files/status", params={"statusType": "INCREMENTAL"})
    sandbox.settle()
    model = caller.rest("GET", "/sources/files").json()
    assert (model["sourceType"], model["pushEnabled"], model["streamEnabled"]) == ("PUSH", True, False)
    assert model["information"]["numberOfDocuments"] == 1
    status = model["information"]["sourceStatus"]
    assert (status["type"], status["refreshType"]) == ("REFRESHING", "INCREMENTAL_REFRESH")
    assert (
        caller.rest("GET", "/sources/products").json()["information"]["sourceStatus"]["type"] == "PUSH_READY"
    )
    assert refusal(caller.rest("GET", "/sources/none"))[0] == 404


def test_sources_are_listed_and_paged(sandbox: Sandbox, caller: Caller) -> None:
    """The plain list has all, the pages are sorted by name and filtered from two characters on."""
    assert [one["id"] for one in caller.rest("GET", "/sources").json()] == ["products", "files"]
    page = caller.rest("GET", "/sources/pages", params={"perPage": 1, "page": 1}).json()
    assert [one["id"] for one in page["sourceModels"]] == ["products"]
    assert (page["totalEntries"], page["totalPages"]) == (2, 2)
    page = caller.rest("GET", "/sources/pages", params={"filter": "FIL"}).json()
    assert [one["id"] for one in page["sourceModels"]] == ["files"]


def test_a_source_is_created_and_deleted(sandbox: Sandbox, caller: Caller) -> None:
    """A created source takes pushes; a deleted one is unknown, with whatever waited for it."""
    body = {"sourceType": "PUSH", "name": "HR", "sourceVisibility": "SHARED", "pushEnabled": True}
    response = caller.rest("POST", "/sources", json=body)
    assert response.status_code == 201
    source_id = response.json()["id"]
    assert caller.put("file://a", source=source_id).status_code == 202
    sandbox.settle()
    assert sandbox.count(source_id) == 1
    assert caller.rest("DELETE", f"/sources/{source_id}").status_code == 200
    assert refusal(caller.put("file://a", source=source_id)) == (412, "SOURCE_DOES_NOT_EXIST")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"sourceType": "PUSH"},
        {"sourceType": "WEB2", "name": "x"},
        {"sourceType": "PUSH", "name": "x", "sourceVisibility": "OPEN"},
        {"sourceType": "PUSH", "name": "x", "pushEnabled": "yes"},
    ],
)
def test_a_bad_source_is_refused(caller: Caller, body: dict[str, Any]) -> None:
    """Name, type, visibility and flags are checked."""
    assert refusal(caller.rest("POST", "/sources", json=body)) == (400, "INVALID_JSON")


def test_activities_are_listed(sandbox: Sandbox, caller: Caller) -> None:
    """Newest first, filtered by the body, and one by one."""
    for status in ("REBUILD", "IDLE", "REFRESH"):
        caller.push("POST", "/sources/files/status", params={"statusType": status})
    answer = caller.rest("POST", "/activities/public", json={}).json()
    assert [(one["operation"], one["state"]) for one in answer["items"]] == [
        ("FULL_REFRESH", "EXECUTING"),
        ("REBUILD", "EXECUTED"),
    ]
    ended = caller.rest("POST", "/activities/public", json={"states": ["EXECUTED"]}).json()["items"]
    assert [one["result"] for one in ended] == ["SUCCESS"]
    assert caller.rest("GET", f"/activities/{ended[0]['id']}").json() == ended[0]


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

"""Organization, sources and activities over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from coveo_provider.sandbox import Sandbox
from tests.sandbox.caller import Caller, items, refusal


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


@pytest.mark.parametrize("visibility", ["SHARED", "SECURED", "PRIVATE"])
def test_a_source_tells_its_visibility(visibility: str) -> None:
    """What a source is made as, by the start, by hand or over HTTP, is what the platform says."""
    with Sandbox.start(sources={"one": f"PUSH:{visibility}"}) as sandbox:
        caller = Caller(sandbox)
        sandbox.add_source("two", visibility=visibility)
        assert caller.call("POST", "/_sandbox/sources", json={"id": "three", "visibility": visibility}).ok
        for source in ("one", "two", "three"):
            assert caller.rest("GET", f"/sources/{source}").json()["sourceVisibility"] == visibility
        listed = caller.rest("GET", "/sources").json()
        assert {one["sourceVisibility"] for one in listed} == {visibility}
    with pytest.raises(ValueError, match="OPEN"):
        Sandbox.start(sources={"one": "PUSH:OPEN"})


def test_the_item_count_follows_the_index(sandbox: Sandbox, caller: Caller) -> None:
    """It grows and shrinks with what is indexed, rejected items and updates leave it as it is."""
    counts = []

    def look() -> None:
        sandbox.settle()
        model = caller.rest("GET", "/sources/files").json()["information"]
        assert (
            model["numberOfDocuments"] == model["sourceStatus"]["numberOfDocuments"] == sandbox.count("files")
        )
        counts.append(model["numberOfDocuments"])

    look()
    caller.batch(items("file://1", "file://2", "file://3", "no-uri"))
    look()
    caller.put("file://1")
    look()
    caller.push("DELETE", "/sources/files/documents", params={"documentId": "file://2"})
    look()
    mark = sandbox.clock.now_ms() + 1
    sandbox.clock.advance(seconds=1)
    caller.put("file://4")
    caller.push("DELETE", "/sources/files/documents/olderthan", params={"orderingId": mark})
    look()
    assert counts == [0, 3, 3, 2, 1]


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

"""Changing a source over HTTP: its model, its configuration, its status, its mapping rules."""

from __future__ import annotations

from typing import Any

import pytest

from coveo_provider.sandbox import Sandbox
from tests.sandbox.caller import Caller, refusal
from tests.sandbox.organization import PROVIDER

RULES = "/sources/files/mappings/common/rules"
RULE = {"field": "color", "content": ["%[colour]", "%[color]"]}
MODEL = {"sourceType": "PUSH", "name": "files", "sourceVisibility": "SHARED", "pushEnabled": True}
READING = ("", "/light", "/raw", "/mappings", "/mappings/common/rules")
WRITING = (
    *(("PUT", path, {}) for path in ("", "/raw", "/mappings", "/mappings/common/rules/x")),
    *(("POST", path, {}) for path in ("/rebuild", "/fullRefresh", "/incrementalRefresh")),
    *(("POST", "/pushRefresh?activityOperation=IDLE", {}), ("POST", "/mappings/common/rules", RULE)),
)


def change(caller: Caller, source: str = "files", **settings: Any) -> Any:
    return caller.rest("PUT", f"/sources/{source}", json={**MODEL, "name": source, **settings})


def test_a_source_is_changed(sandbox: Sandbox, caller: Caller) -> None:
    """Visibility, flags and providers are what the body says, and pushing goes by them from now on."""
    sandbox.add_security_provider(PROVIDER)
    answer = change(
        caller,
        sourceVisibility="SECURED",
        streamEnabled=True,
        securityProviderReferences=[PROVIDER],
        mappings=[{"fieldName": "color", "rules": ["%[colour]"]}],
    )
    assert answer.status_code == 200
    model = caller.rest("GET", "/sources/files").json()
    assert answer.json() == model
    assert (model["sourceVisibility"], model["streamEnabled"]) == ("SECURED", True)
    assert model["securityProviderReferences"] == [PROVIDER]
    assert [(one["fieldName"], one["rules"], one["kind"]) for one in model["mappings"]] == [
        ("color", ["%[colour]"], "COMMON")
    ]
    assert sandbox.source("files").visibility == "SECURED"
    caller.put("file://a")  # without permissions: nothing for a secured source
    sandbox.settle()
    assert sandbox.count("files") == 0


def test_what_a_change_leaves_out_is_the_default(sandbox: Sandbox, caller: Caller) -> None:
    """But for the mapping rules, which have calls of their own."""
    caller.rest("POST", RULES, json=RULE)
    assert caller.rest("PUT", "/sources/files", json={}).status_code == 200
    model = caller.rest("GET", "/sources/files").json()
    assert (model["sourceVisibility"], model["pushEnabled"], len(model["mappings"])) == ("SECURED", False, 1)
    assert refusal(caller.put("file://a")) == (412, "INVALID_SOURCE_ID")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"name": "other"}, (412, "INVALID_PARAMETER")),
        ({"id": "other"}, (412, "INVALID_PARAMETER")),
        ({"sourceType": "CATALOG"}, (412, "INVALID_PARAMETER")),
        ({"sourceVisibility": "OPEN"}, (400, "INVALID_JSON")),
        ({"pushEnabled": "yes"}, (400, "INVALID_JSON")),
        ({"securityProviderReferences": ["none"]}, (412, "INVALID_PARAMETER")),
        ({"mappings": [{"fieldName": "color"}]}, (400, "INVALID_JSON")),
    ],
)
def test_a_bad_change_changes_nothing(
    caller: Caller, settings: dict[str, Any], expected: tuple[int, str]
) -> None:
    """Name and type stay, and what is wrong in one setting keeps all of them."""
    before = caller.rest("GET", "/sources/files").json()
    assert refusal(change(caller, **{"sourceVisibility": "PRIVATE", **settings})) == expected
    assert refusal(caller.rest("PUT", "/sources/files?rebuild=maybe", json=MODEL))[0] == 412
    assert caller.rest("GET", "/sources/files").json() == before


def test_the_light_and_the_raw_form(sandbox: Sandbox, caller: Caller) -> None:
    """Little of a source, and its configuration, which can be written back."""
    light = caller.rest("GET", "/sources/files/light").json()
    assert light == {
        "id": "files",
        "name": "files",
        "sourceType": "PUSH",
        "pushEnabled": True,
        "streamEnabled": False,
        "onPremisesEnabled": False,
    }
    raw = caller.rest("GET", "/sources/files/raw").json()
    assert raw.items() >= light.items()
    answer = caller.rest("PUT", "/sources/files/raw", json={**raw, "streamEnabled": True})
    assert (answer.status_code, answer.json()) == (200, {"id": "files"})
    assert caller.rest("GET", "/sources/files/raw").json() == {**raw, "streamEnabled": True}
    assert sandbox.source("files").visibility == "SHARED"


def test_changes_outlive_a_restart(tmp_path: Any) -> None:
    """Settings and rules are kept in the database."""
    database = str(tmp_path / "sandbox.db")
    with Sandbox.start(database=database) as sandbox:
        caller = Caller(sandbox)
        assert change(caller, sourceVisibility="PRIVATE").ok
        assert caller.rest("POST", RULES, json=RULE).ok
        before = caller.rest("GET", "/sources/files/raw").json()
    with Sandbox.start(database=database) as sandbox:
        assert Caller(sandbox).rest("GET", "/sources/files/raw").json() == before
        assert sandbox.source("files").visibility == "PRIVATE"


def test_the_status_by_its_operation(sandbox: Sandbox, caller: Caller) -> None:
    """The platform's twin of the Push call opens and ends activities as that does."""
    for operation in ("REBUILD", "FULL_REFRESH", "INCREMENTAL_REFRESH", "IDLE"):
        path = f"/sources/files/pushRefresh?activityOperation={operation}"
        assert caller.rest("POST", path).status_code == 200
    source = sandbox.source("files")
    assert (source.status, [one.operation for one in source.activities]) == (
        "IDLE",
        ["REBUILD", "FULL_REFRESH", "INCREMENTAL_REFRESH"],
    )
    for source_id, query, expected in (
        ("files", "", (412, "MISSING_PARAMETER")),
        ("files", "?activityOperation=REFRESH", (412, "INVALID_PARAMETER")),
        ("products", "?activityOperation=REBUILD", (412, "INVALID_SOURCE_ID")),
    ):
        assert refusal(caller.rest("POST", f"/sources/{source_id}/pushRefresh{query}")) == expected


@pytest.mark.parametrize("source", ["files", "products"])
@pytest.mark.parametrize("call", ["rebuild", "fullRefresh", "incrementalRefresh"])
def test_a_pushed_source_is_not_crawled(sandbox: Sandbox, caller: Caller, source: str, call: str) -> None:
    """Refused, and no activity is opened."""
    assert refusal(caller.rest("POST", f"/sources/{source}/{call}")) == (412, "INVALID_SOURCE_ID")
    assert sandbox.activities(source) == []


def test_mapping_rules_are_added_changed_and_removed(sandbox: Sandbox, caller: Caller) -> None:
    """One by one for items of every type, and all of a source at once."""
    added = caller.rest("POST", RULES, params={"rebuild": "false"}, json=RULE).json()
    assert added == {"id": added["id"], **RULE}
    assert caller.rest("GET", RULES).json() == [added]
    changed = caller.rest("PUT", f"{RULES}/{added['id']}", json={**RULE, "content": ["%[hue]"]}).json()
    assert changed == {**added, "content": ["%[hue]"]}
    assert caller.rest("GET", "/sources/files/mappings").json() == {
        "common": {"rules": [changed]},
        "types": [],
    }
    both = {"common": {"rules": [RULE]}, "types": [{"type": "Video", "rules": [RULE]}]}
    assert caller.rest("PUT", "/sources/files/mappings", json=both).json() == {}
    held = caller.rest("GET", "/sources/files/mappings").json()
    assert [one["field"] for one in held["common"]["rules"]] == ["color"]
    assert [(one["type"], len(one["rules"])) for one in held["types"]] == [("Video", 1)]
    assert [one["kind"] for one in caller.rest("GET", "/sources/files").json()["mappings"]] == [
        "COMMON",
        "MAPPING",
    ]
    video = held["types"][0]["rules"][0]["id"]
    assert refusal(caller.rest("PUT", f"{RULES}/{video}", json=RULE)) == (404, "NOT_FOUND")
    assert caller.rest("PUT", "/sources/files/mappings", json={}).ok
    assert caller.rest("GET", RULES).json() == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (RULES, {"content": ["x"]}),
        (RULES, {"field": "color"}),
        (RULES, {"field": "color", "content": []}),
        (RULES, {"field": "color", "content": [1]}),
        ("/sources/files/mappings", {"common": []}),
        ("/sources/files/mappings", {"common": {"rules": {}}}),
        ("/sources/files/mappings", {"types": [{"rules": [RULE]}]}),
        ("/sources/files/mappings", {"common": {"rules": [RULE]}, "types": [{"type": "a", "rules": ["x"]}]}),
    ],
)
def test_a_bad_rule_is_refused(caller: Caller, path: str, body: dict[str, Any]) -> None:
    """And nothing is kept of it."""
    method = "POST" if path == RULES else "PUT"
    assert refusal(caller.rest(method, path, json=body)) == (400, "INVALID_JSON")
    assert caller.rest("GET", "/sources/files/mappings").json() == {"common": {"rules": []}, "types": []}


def test_what_the_calls_need(sandbox: Sandbox, caller: Caller) -> None:
    """Viewing sources to read, editing them to write; an unknown source, or a data collection, is 404."""
    sandbox.add_key("viewer", privileges=["SOURCE:VIEW"])
    sandbox.add_key("editor", privileges=["SOURCE:EDIT"])
    sandbox.add_source("stock", kind="DATA_COLLECTION")
    viewer, editor = (Caller(sandbox, key=key) for key in ("viewer", "editor"))
    for path in READING:
        assert viewer.rest("GET", f"/sources/files{path}").status_code == 200
        assert refusal(editor.rest("GET", f"/sources/files{path}")) == (403, "ACCESS_DENIED")
        for source in ("none", "stock"):
            assert refusal(caller.rest("GET", f"/sources/{source}{path}")) == (404, "NOT_FOUND")
    for method, path, body in WRITING:
        assert refusal(viewer.rest(method, f"/sources/files{path}", json=body)) == (403, "ACCESS_DENIED")
        for source in ("none", "stock"):
            assert refusal(editor.rest(method, f"/sources/{source}{path}", json=body)) == (404, "NOT_FOUND")


@pytest.mark.parametrize("wrong", [{"type": ["x"]}, {"type": 5}, {"type": ""}, {"id": {"a": 1}}, {"id": ""}])
def test_a_rule_of_a_model_has_texts_for_id_and_type(caller: Caller, wrong: dict[str, Any]) -> None:
    """What could not be shown afterwards is not kept."""
    for path in ("", "/raw"):
        rule = {"fieldName": "color", "rules": ["x"], **wrong}
        answer = caller.rest("PUT", f"/sources/files{path}", json={**MODEL, "mappings": [rule]})
        assert refusal(answer) == (400, "INVALID_JSON")
    assert caller.rest("GET", "/sources/files/mappings").json() == {"common": {"rules": []}, "types": []}


def test_a_common_rule_leaves_one_of_a_type_alone(caller: Caller) -> None:
    """Though they have the same id."""
    rules = [
        {"id": "r", "fieldName": "a", "rules": ["x"]},
        {"id": "r", "type": "T", "fieldName": "b", "rules": ["y"]},
    ]
    assert change(caller, mappings=rules).status_code == 200
    assert caller.rest("PUT", f"{RULES}/r", json={"field": "z", "content": ["q"]}).status_code == 200

    held = caller.rest("GET", "/sources/files/mappings").json()
    assert [one["field"] for one in held["common"]["rules"]] == ["z"]
    assert [one["field"] for one in held["types"][0]["rules"]] == ["b"]

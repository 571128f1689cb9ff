"""Fields, and what clients ask before their work: the organizations and a privilege."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from coveo_provider.sandbox import Sandbox
from tests.sandbox.caller import Caller, refusal

FIELDS = "/indexes/fields"


def names(caller: Caller, **options: Any) -> list[str]:
    """Return the names of fields that were made, unless ``filters`` says another origin."""
    options["filters"] = {"origin": "USER", **options.get("filters", {})}
    answer = caller.rest("POST", f"{FIELDS}/search", json=options)
    assert answer.status_code == 200
    return [one["name"] for one in answer.json()["items"]]


def make(caller: Caller, *fields: str, kind: str = "STRING") -> None:
    body = [{"name": name, "type": kind} for name in fields]
    answer = caller.rest("POST", f"{FIELDS}/batch/create", json=body)
    assert (answer.status_code, answer.content) == (204, b"")


def test_a_field_lives_from_its_creation_to_its_deletion(caller: Caller) -> None:
    """Create, read, change, delete; a field is found in any case, and what is left out has its default."""
    assert caller.rest("POST", FIELDS, json={"name": "color", "type": "STRING"}).status_code == 204
    made = caller.rest("GET", f"{FIELDS}/COLOR").json()
    assert (made["name"], made["type"], made["includeInQuery"], made["facet"]) == (
        "color",
        "STRING",
        True,
        False,
    )
    assert caller.rest("PUT", f"{FIELDS}/color", json={"type": "STRING", "facet": True}).status_code == 204
    assert caller.rest("GET", f"{FIELDS}/color").json()["facet"] is True
    assert caller.rest("DELETE", f"{FIELDS}/color").status_code == 204
    assert refusal(caller.rest("GET", f"{FIELDS}/color")) == (404, "NOT_FOUND")


def test_a_batch_is_made_whole_or_not_at_all(caller: Caller) -> None:
    """A name that is taken refuses the others too; ``results`` takes what can be taken and tells of each."""
    make(caller, "a")
    body = [{"name": "b", "type": "LONG"}, {"name": "a", "type": "LONG"}]
    assert caller.rest("POST", f"{FIELDS}/batch/create", json=body).status_code == 412
    assert names(caller) == ["a"]
    told = caller.rest("POST", f"{FIELDS}/batch/create/results", json=body).json()
    assert [one["successful"] for one in told["batchOperationResourcesStatus"]] == [True, False]
    assert names(caller) == ["a", "b"]
    gone = caller.rest("DELETE", f"{FIELDS}/batch/delete", params=[("fields", "a"), ("fields", "none")])
    assert gone.status_code == 404
    assert names(caller) == ["a", "b"]
    assert caller.rest("DELETE", f"{FIELDS}/batch/delete", params={"fields": ["a", "b"]}).status_code == 204
    assert names(caller) == []


def test_fields_are_found_by_options_and_pages(caller: Caller) -> None:
    """By the new call and by the one the JavaScript client makes."""
    make(caller, "red", "green", "blue")
    make(caller, "weight", kind="DOUBLE")
    assert names(caller, filters={"type": "DOUBLE"}) == ["weight"]
    assert names(caller, filters={"fieldNames": ["Red", "none"]}) == ["red"]
    assert names(caller, filters={"name": "re"}, order="DESC") == ["red", "green"]
    system = names(caller, filters={"origin": "SYSTEM"})
    assert {"title", "date", "size"} <= set(system)
    assert names(caller, filters={"origin": "ALL"}) == sorted([*system, "blue", "green", "red", "weight"])
    wanted = {"page": 1, "perPage": 3, "origin": "USER"}
    page = caller.rest("GET", "/indexes/page/fields", params=wanted).json()
    assert ([one["name"] for one in page["items"]], page["totalEntries"], page["totalPages"]) == (
        *(["weight"], 4),
        2,
    )


@pytest.mark.parametrize(
    "field",
    [
        {"name": "a"},
        {"type": "STRING"},
        {"name": "1a", "type": "STRING"},
        {"name": "A", "type": "STRING"},
        {"name": "a-b", "type": "STRING"},
        {"name": "a", "type": "TEXT"},
        {"name": "a", "type": ["STRING"]},
        {"name": "a", "type": "STRING", "facet": "yes"},
        {"name": "a", "type": "STRING", "shoeSize": 5},
        {"name": "a", "type": "STRING", "projectIds": [1]},
        "a",
    ],
)
def test_a_wrong_field_is_refused(caller: Caller, field: Any) -> None:
    """Nothing is made of it, whichever way it comes."""
    assert refusal(caller.rest("POST", FIELDS, json=field)) == (400, "INVALID_JSON")
    assert refusal(caller.rest("POST", f"{FIELDS}/batch/create", json=[field])) == (400, "INVALID_JSON")
    assert names(caller) == []


def test_what_every_organization_has_is_there_and_stays(caller: Caller) -> None:
    """Fields of the system are found, and neither made again, changed nor deleted."""
    assert caller.rest("GET", f"{FIELDS}/title").json()["system"] is True
    title = {"name": "title", "type": "STRING"}
    assert refusal(caller.rest("POST", FIELDS, json=title)) == (412, "FIELD_ALREADY_EXISTS")
    assert refusal(caller.rest("PUT", f"{FIELDS}/title", json=title)) == (400, "INVALID_JSON")
    assert refusal(caller.rest("DELETE", f"{FIELDS}/title")) == (400, "INVALID_JSON")


def test_other_fields_than_texts_are_facets_and_sortable(caller: Caller) -> None:
    """As the description says, and they cannot be otherwise."""
    make(caller, "weight", kind="DOUBLE")
    made = caller.rest("GET", f"{FIELDS}/weight").json()
    assert (made["facet"], made["sort"]) == (True, True)
    wrong = {"name": "width", "type": "LONG", "sort": False}
    assert refusal(caller.rest("POST", FIELDS, json=wrong)) == (400, "INVALID_JSON")


def test_a_field_keeps_its_type_and_is_given_once(caller: Caller) -> None:
    make(caller, "a")
    assert refusal(caller.rest("PUT", f"{FIELDS}/a", json={"type": "LONG"})) == (400, "INVALID_JSON")
    twice = [{"name": name, "type": "LONG"} for name in ("b", "b")]
    assert refusal(caller.rest("POST", f"{FIELDS}/batch/create", json=twice)) == (400, "INVALID_JSON")
    assert names(caller, filters={"type": "STRING"}) == names(caller) == ["a"]


def test_a_database_keeps_fields_and_a_reset_too(tmp_path: Path) -> None:
    """They are set up, as sources are."""
    for _ in range(2):
        with Sandbox.start(database=str(tmp_path / "kept.db")) as sandbox:
            caller = Caller(sandbox)
            if not names(caller):
                make(caller, "a")
                sandbox.reset()
            assert names(caller) == ["a"]


def test_fields_take_their_privileges(sandbox: Sandbox) -> None:
    """To see is not to make, and to make is not to change."""
    sandbox.add_key("reader", privileges=["FIELD:VIEW"])
    reader = Caller(sandbox, key="reader")
    assert names(reader) == []
    assert refusal(reader.rest("POST", FIELDS, json={"name": "a", "type": "LONG"})) == (403, "ACCESS_DENIED")
    assert refusal(reader.rest("DELETE", f"{FIELDS}/a")) == (403, "ACCESS_DENIED")


def test_a_client_asks_for_organizations_and_privileges(sandbox: Sandbox, caller: Caller) -> None:
    """As Coveo's CLI does when it logs in; a key that is unknown learns nothing."""
    assert [one["id"] for one in caller.call("GET", "/rest/organizations").json()] == ["sandbox"]
    sandbox.add_key("reader", privileges=["FIELD:VIEW"])
    reader = Caller(sandbox, key="reader")
    for kind, organization, approved in (
        *(("VIEW", "sandbox", True), ("EDIT", "sandbox", False)),
        ("VIEW", "other", False),
    ):
        asked = {"owner": "PLATFORM", "targetDomain": "FIELD", "type": kind, "targetId": "*"}
        body = {"requestedPrivilege": asked, "organizationId": organization}
        assert reader.call("POST", "/rest/privilege/evaluate", json=body).json() == {"approved": approved}
    assert refusal(reader.call("POST", "/rest/privilege/evaluate", json={})) == (400, "INVALID_JSON")
    assert refusal(Caller(sandbox, key="x").call("GET", "/rest/organizations")) == (401, "INVALID_TOKEN")

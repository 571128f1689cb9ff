"""SCIM and Entra: pages, lists and lines say the same; a page that is missing is noticed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from coveo_provider.errors import DatasetError
from tests.identities.directories.exports import addresses_of, census, groups_of

SCIM_USERS: list[dict[str, Any]] = [
    {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "id": "1",
        "userName": "ann",
        "active": True,
        "emails": [{"value": "old@x.example"}, {"value": "ann@x.example", "primary": True}],
        "groups": [{"value": "g2", "display": "IT"}],
    },
    {"id": "2", "userName": "bob", "active": "False", "emails": [{"value": "bob@x.example"}]},
    {
        "id": "3",
        "userName": "cleo",
        "active": True,
        "emails": [{"value": "c@home.example", "type": "home"}, {"value": "cleo@x.example", "type": "work"}],
    },
]
SCIM_GROUPS: list[dict[str, Any]] = [
    {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "id": "g1",
        "displayName": "HR",
        "members": [{"value": "2"}, {"value": "3"}, {"value": "g2"}],
    },
    {"meta": {"resourceType": "Group"}, "id": "g2", "displayName": "IT"},
]
USERS: list[dict[str, Any]] = [
    {"id": "u1", "userPrincipalName": "ann@x.example", "mail": "ann@x.example", "accountEnabled": True},
    {"id": "u2", "userPrincipalName": "bob@x.example", "mail": "bob@x.example", "accountEnabled": False},
    {"id": "u3", "userPrincipalName": "cleo@x.example", "mail": None, "accountEnabled": True},
]
GROUPS: list[dict[str, Any]] = [
    {
        "@odata.type": "#microsoft.graph.group",
        "id": "g1",
        "displayName": "HR",
        "members": [{"id": "u2"}, {"id": "u3"}, {"id": "g2"}],
    },
    {
        "@odata.type": "#microsoft.graph.group",
        "id": "g2",
        "displayName": "IT",
        "members": [{"id": "u1"}, {"id": "d1"}],
    },
    {"@odata.type": "#microsoft.graph.device", "id": "d1", "displayName": "LAPTOP"},
]
CONTEXT = "https://graph.microsoft.com/v1.0/$metadata#users"


def scim_page(resources: list[dict[str, Any]], total: int | None = None) -> dict[str, Any]:
    return {
        "totalResults": len(resources) if total is None else total,
        "startIndex": 1,
        "Resources": resources,
    }


def entra_page(resources: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"@odata.context": CONTEXT, **more, "value": resources}


def lines(*bodies: Any) -> str:
    return "\n".join(json.dumps(body) for body in bodies)


SHAPES: list[tuple[str, Callable[[Any], list[str]]]] = [
    ("pages.json", lambda pages: [json.dumps(page) for page in pages]),
    ("pages.json", lambda pages: [json.dumps(page, indent=1) for page in pages]),
    ("pages.json", lambda pages: [json.dumps(pages)]),
    ("pages.ndjson", lambda pages: [lines(*pages)]),
]


@pytest.mark.parametrize(("file", "shape"), SHAPES)
def test_scim(file: str, shape: Callable[[Any], list[str]]) -> None:
    """However pages are kept: groups keep their groups, who is not active is in none."""
    pages = [
        scim_page(SCIM_USERS[:2], 3),
        scim_page(SCIM_USERS[2:], 3),
        scim_page(SCIM_GROUPS),
        scim_page([]),
    ]

    found = census(*shape(pages), kind="scim", file=file)

    assert groups_of(found) == {"HR": {"cleo", "@IT"}, "IT": {"ann"}}
    assert addresses_of(found) == {"ann": ["ann@x.example"], "cleo": ["cleo@x.example"]}


@pytest.mark.parametrize(("file", "shape"), SHAPES)
def test_entra(file: str, shape: Callable[[Any], list[str]]) -> None:
    """The same of Microsoft Graph; a device in a group is nobody."""
    pages = [entra_page(USERS[:2]), entra_page(USERS[2:]), entra_page(GROUPS)]

    found = census(*shape(pages), kind="entra", file=file, email=("mail", "userPrincipalName"))

    assert groups_of(found) == {"HR": {"cleo@x.example", "@IT"}, "IT": {"ann@x.example"}}
    assert addresses_of(found) == {"ann@x.example": ["ann@x.example"], "cleo@x.example": ["cleo@x.example"]}


def test_resources_one_a_line() -> None:
    found = census(lines(*SCIM_USERS, *SCIM_GROUPS), kind="scim", file="all.ndjson")
    assert groups_of(found)["IT"] == {"ann"}


@pytest.mark.parametrize("file", ["all.ndjson", "all.json"])
@pytest.mark.parametrize("text", ["", "\n \n"])
def test_one_of_several_files_that_is_empty_is_refused(file: str, text: str) -> None:
    body = json.dumps(SCIM_USERS if file == "all.json" else scim_page(SCIM_USERS))
    with pytest.raises(DatasetError, match=r"is empty|is not JSON"):
        census(body, text, kind="scim", file=file)


def test_groups_known_from_their_members_only() -> None:
    found = census(json.dumps(SCIM_USERS), kind="scim", file="users.json")
    assert groups_of(found) == {"IT": {"ann"}}


def test_who_was_deleted_or_is_a_guest_without_an_address() -> None:
    """A deleted user is kept as it was, enabled; a guest logs in by an address of another organization."""
    more: list[dict[str, Any]] = [
        {
            **USERS[0],
            "id": "u8",
            "userPrincipalName": "u8zoe@x.example",
            "deletedDateTime": "2026-01-01T00:00:00Z",
        },
        {**USERS[0], "id": "u9", "userPrincipalName": "z_y.example#EXT#@x.example", "mail": None},
    ]

    found = census(
        json.dumps([*USERS, *GROUPS, *more]),
        kind="entra",
        file="export.json",
        email=("mail", "userPrincipalName"),
    )

    assert set(addresses_of(found)) == {"ann@x.example", "cleo@x.example", "z_y.example#EXT#@x.example"}
    assert addresses_of(found)["z_y.example#EXT#@x.example"] == []
    assert found.counts["without_email"] == 1


_NEWS: dict[str, Any] = {**GROUPS[1], "members@delta": [{"id": "u3"}], "members": None}
_MANY = [{"id": f"u{number}"} for number in range(20)]


@pytest.mark.parametrize(
    ("kind", "body", "says"),
    [
        ("scim", scim_page(SCIM_USERS, 4), "3 of 4 users"),
        ("scim", scim_page([], 4), "without resources"),
        ("scim", {**scim_page(SCIM_USERS), "totalResults": "4"}, "3 of 4 users"),
        ("scim", {**scim_page(SCIM_USERS), "totalResults": "many"}, "totalResults is 'many'"),
        ("scim", [{"id": "7"}], "neither schemas nor"),
        ("scim", [{"id": "7", "userName": "x"}, *SCIM_USERS], "x.*does not tell whether"),
        ("scim", [*SCIM_USERS, SCIM_GROUPS[0]], "'IT': which groups are in them"),
        ("entra", {**entra_page([*USERS, *GROUPS]), "@odata.deltaLink": "https://graph…"}, "a delta query"),
        ("entra", [{**entra_page([*USERS, *GROUPS]), "@odata.deltaLink": "https://graph…"}], "a delta query"),
        ("entra", {**entra_page([*USERS, *GROUPS]), "@odata.context": f"{CONTEXT}/$delta"}, "a delta query"),
        ("entra", [*USERS, GROUPS[0], _NEWS], "a delta query"),
        ("entra", [*USERS, *GROUPS, {"id": "u7", "@removed": {"reason": "deleted"}}], "a delta query"),
        (
            "entra",
            [
                *USERS,
                *GROUPS,
                {**GROUPS[2], "@odata.type": "#microsoft.graph.group", "transitiveMembers": []},
            ],
            "transitive ones only",
        ),
        ("scim", [{"id": "7", "userName": "x", "active": "perhaps"}], "active is 'perhaps'"),
        ("scim", [{"userName": "x"}], "has no id"),
        ("scim", {"id": "1", "userName": "x"}, "one object without Resources"),
        ("entra", {**entra_page(USERS), "@odata.nextLink": "https://graph…"}, "a page is missing"),
        ("entra", [{**entra_page(USERS), "@odata.nextLink": "https://graph…"}], "a page is missing"),
        ("entra", [{**GROUPS[0], "members@odata.nextLink": "https://graph…"}], "members of g1 goes on"),
        (
            "entra",
            {
                "@odata.context": "…#groups(id,displayName,members())",
                "value": [{**GROUPS[0], "members": _MANY}],
            },
            r"members of g1 end at 20",
        ),
        ("entra", [{"id": "7", "displayName": "x"}], "@odata.type"),
        ("entra", [{**GROUPS[0], "members": "u1"}], "expected a list"),
        ("entra", [*USERS, GROUPS[1]], "1 of 2 memberships name somebody"),
        ("entra", [*USERS, *GROUPS, {**GROUPS[1], "id": "g9", "displayName": "it"}], "would both be"),
    ],
)
def test_what_is_refused(kind: str, body: Any, says: str) -> None:
    with pytest.raises(DatasetError, match=says):
        census(json.dumps(body), kind=kind, file="export.json")

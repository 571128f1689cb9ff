"""The evaluation itself, on plain values: published examples, edge rows, how a user resolves."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coveo_provider.sandbox.service.security.access_rules import decide
from tests.sandbox.organization import EMAIL, PROVIDER, alias, group, level, named, one_set, who

A = [one_set([named("SampleGroup", "Group")], [named("asmith@example.com")])]
B = [
    level(
        {"allowAnonymous": True},
        one_set([named("SampleTeam1", "Group")], [named("SampleTeam2", "Group")]),
        one_set([named("asmith@example.com"), named("cbrown@example.com")], [named("bjones@example.com")]),
    ),
    level(
        one_set([named("bjones@example.com"), named("emitchell@example.com")], [named("asmith@example.com")]),
        one_set([named("MysteryUserX")]),
    ),
]
C = [one_set([named("AlphaTeam", "Group")], [named("bob@example.com")])]
PEOPLE = ("alice", "bob", "david")
ORGANIZATION = {
    "providers": [
        {
            "id": PROVIDER,
            "members": [
                group("SampleGroup", who("member@example.com"), who("asmith@example.com")),
                group("SampleTeam1", who("asmith@example.com")),
                group("SampleTeam2", who("cbrown@example.com")),
                group("AlphaTeam", *(who(f"{name}@example.com") for name in PEOPLE)),
            ],
            "mappings": [
                alias("MysteryUserX", who("emitchell@example.com", provider=PROVIDER)),
                *(
                    alias(f"{name}@example.com", who(f"{name}@example.com", provider=EMAIL))
                    for name in PEOPLE
                ),
            ],
        }
    ]
}


@pytest.mark.parametrize(
    ("permissions", "user", "allowed"),
    [
        (A, "member@example.com", True),
        (A, "asmith@example.com", False),
        (A, "other@example.com", False),
        (A, None, False),
        (B, "asmith@example.com", True),
        (B, "bjones@example.com", False),
        (B, "cbrown@example.com", False),
        (B, "emitchell@example.com", True),
        (B, None, False),
        (C, "alice@example.com", True),
        (C, "david@example.com", True),
        (C, "bob@example.com", False),
        (C, "eve@example.com", False),
        (C, None, False),
    ],
)
def test_the_published_examples(permissions: Any, user: str | None, allowed: bool) -> None:
    """Examples A, B and C of docs/api-notes.md, "Permissions" (docs 78, 1336)."""
    key = None if user is None else {"name": user, "provider": PROVIDER}
    assert decide(permissions, key, ORGANIZATION) is allowed
    assert decide([level(*permissions)] if permissions is not B else B, key, ORGANIZATION) is allowed


@pytest.mark.parametrize(("name", "allowed"), [("alice", True), ("bob", False), ("david", True)])
def test_example_c_in_the_email_provider(name: str, allowed: bool) -> None:
    """Docs 1336: access is the same under the Email Security Provider."""
    assert decide(C, f"{name}@example.com", ORGANIZATION) is allowed


U = named("u")
EDGES = [
    ([{"allowAnonymous": True}], {"u": True, "v": True, None: True}),
    ([one_set(denied=[U], anonymous=True)], {"u": False, "v": True, None: True}),
    ([{"allowAnonymous": True}, one_set([U])], {"u": True, "v": False, None: False}),
    ([], {"u": False, None: False}),
    ([{}], {"u": False, None: False}),
    ([one_set([U], [U])], {"u": False}),
    # Named in one set of level 1, missing in the other: level 2 is not read.
    ([level(one_set([U]), one_set([named("v")])), level(one_set([U]))], {"u": False, "v": False}),
    # Public in level 1 by one set of two does not count as named.
    ([level({"allowAnonymous": True}, one_set([named("v")])), level(one_set([U]))], {"u": True, "v": True}),
    # A level without sets decides nothing.
    ([level(), level(one_set([U]))], {"u": True, "v": False, None: False}),
    # Unauthenticated users are judged by the first level alone.
    ([level(one_set([U])), level({"allowAnonymous": True})], {"u": True, "v": True, None: False}),
    ([level({"allowAnonymous": True}), level(one_set(denied=[U]))], {"u": True, None: True}),
]


@pytest.mark.parametrize(("permissions", "expected"), EDGES, ids=range(len(EDGES)))
def test_edges(permissions: Any, expected: dict[str | None, bool]) -> None:
    """Sets that let everybody in, empty ones, and what the steps say of levels."""
    organization = {"providers": [{"id": "p"}]}
    for user, allowed in expected.items():
        key = None if user is None else {"name": user, "provider": "p"}
        assert decide(permissions, key, organization) is allowed


def sees(identities: dict[str, Any], user: str, target: str, kind: str = "Group", **more: Any) -> bool:
    organization = {"providers": [{"id": "p", **identities}], **more}
    return decide([one_set([named(target, kind)])], {"name": user, "provider": "p"}, organization)


def test_groups_nest_and_may_be_circular() -> None:
    """Membership is transitive; a circle ends, and lets everybody in it in."""
    members = [
        group("outer", who("inner", "GROUP")),
        group("inner", who("core", "VIRTUAL_GROUP"), who("outer", "GROUP")),
        group("core", who("u"), kind="VIRTUAL_GROUP"),
    ]
    assert all(sees({"members": members}, "u", name) for name in ("outer", "inner"))
    assert sees({"members": members}, "u", "core", "VirtualGroup")
    assert not sees({"members": members}, "v", "outer")


def test_granted_identities_count_like_groups() -> None:
    """A grant is a membership told from the member's side, in a push of either kind; it nests too."""
    granted: dict[str, Any] = {"wellKnowns": [who("Domain Users", "GROUP")]}
    assert sees({"members": [{"identity": who("u"), **granted}]}, "u", "Domain Users")
    assert sees({"mappings": [{"identity": who("u"), **granted}]}, "u", "Domain Users")
    nested = [group("team", who("u"), **granted), group("all", who("Domain Users", "GROUP"))]
    assert sees({"members": nested}, "u", "all")


def test_what_is_disabled_does_not_count() -> None:
    """A disabled user is nobody, a disabled group holds nobody."""
    members = [group("outer", who("inner", "GROUP")), group("inner", who("u"))]
    inner = {"members": members, "deleted": [{"identity": who("inner", "GROUP")}]}
    assert not sees(inner, "u", "outer")
    assert not sees(inner, "u", "inner")
    assert not sees({"members": members, "deleted": [{"identity": who("u")}]}, "u", "outer")


def test_case_counts_where_the_provider_says_so() -> None:
    """Names compare without case unless the provider is case-sensitive."""
    members = [group("Team", who("Alice"))]
    assert sees({"members": members}, "aLICE", "TEAM")
    strict = {"members": members, "caseSensitive": True}
    assert sees(strict, "Alice", "Team")
    assert not sees(strict, "alice", "Team")
    assert not sees(strict, "Alice", "team")


def test_type_and_provider_are_part_of_an_identity() -> None:
    """One name is as many identities as it has types and providers."""
    members = [group("same", who("u"))]
    assert not sees({"members": members}, "u", "same", "User")
    assert not sees({"members": members}, "u", "same", default="q")
    assert sees({"members": members}, "u", "same", default="p")


@pytest.mark.parametrize("spelling", ["Group", "GROUP", "group", "gRoUp"])
def test_types_are_taken_in_any_spelling(spelling: str) -> None:
    """Official clients differ in how they spell identityType."""
    assert sees({"members": [group("g", who("u"))]}, "u", "g", spelling)


def test_aliases_join_providers_both_ways() -> None:
    """Two systems that know one e-mail user see each other's content."""
    organization = {
        "providers": [
            {"id": "p", "mappings": [alias("domain\\ann", who("ann@x.io", provider=EMAIL))]},
            {
                "id": "q",
                "members": [group("team", who("a.nn"))],
                "mappings": [alias("a.nn", who("Ann@x.io"))],
            },
        ]
    }
    permissions = [one_set([named("team", "Group", securityProvider="q")])]
    for user in ({"name": "domain\\ann", "provider": "p"}, {"name": "a.nn", "provider": "q"}, "ann@x.io"):
        assert decide(permissions, user, organization)
    assert not decide(permissions, "bob@x.io", organization)


def test_the_last_push_of_an_identity_counts() -> None:
    """A push replaces the member list."""
    assert not sees({"members": [group("g", who("u")), group("G", who("v"))]}, "u", "g")
    assert sees({"members": [group("g", who("u")), group("G", who("v"))]}, "v", "g")


NAMES = st.sampled_from("abc")
ENTRIES = st.lists(st.builds(named, NAMES), max_size=2)
SETS = st.builds(one_set, ENTRIES, ENTRIES, st.booleans())
LEVELS = st.lists(st.lists(SETS, min_size=1, max_size=3).map(lambda sets: level(*sets)), max_size=3)


@given(LEVELS, st.sampled_from("abcd"))
def test_the_steps_read_literally(permissions: Any, user: str) -> None:
    """Against the four steps of docs/api-notes.md, "Permissions", written as they stand there."""

    def literally() -> bool:
        for sets in (one["permissionSets"] for one in permissions):
            allowed = [any(entry["identity"] == user for entry in one["allowedPermissions"]) for one in sets]
            denied = [any(entry["identity"] == user for entry in one["deniedPermissions"]) for one in sets]
            if any(denied):
                return False
            if all(name or one["allowAnonymous"] for name, one in zip(allowed, sets, strict=True)):
                return True
            if not any(allowed):
                continue
            return False
        return False

    organization = {"providers": [{"id": "p"}]}
    assert decide(permissions, {"name": user, "provider": "p"}, organization) is literally()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_membership_is_reachability(edges: list[tuple[int, int]]) -> None:
    """On any graph of groups, circles included, a user sees what some path of memberships leads to."""
    members = [
        group(f"g{parent}", *(who(f"g{child}", "GROUP") for at, child in edges if at == parent))
        for parent in range(6)
    ]
    members[0]["members"].append(who("u"))
    reached = {0}
    for _ in range(6):
        reached |= {parent for parent, child in edges if child in reached}
    for number in range(6):
        assert sees({"members": members}, "u", f"g{number}") is (number in reached)


def test_every_order_of_levels_is_read_from_the_first() -> None:
    """Of levels that each decide, the first wins."""
    allow, deny = level(one_set([named("u")])), level(one_set(denied=[named("u")]))
    for pair in itertools.permutations((allow, deny)):
        assert decide(pair, {"name": "u", "provider": "p"}, {"providers": [{"id": "p"}]}) is (
            pair[0] is allow
        )

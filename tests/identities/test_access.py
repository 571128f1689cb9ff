"""Who sees an item: the published evaluation, the organisation behind it, and rules that a dataset keeps to."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coveo_provider.documents import (
    AccessRule,
    DisabledIdentityBody,
    Identity,
    IdentityBody,
    IdentityGraph,
    MappedIdentity,
    MappedIdentityBody,
    PermissionIdentity,
    PermissionLevel,
    Permissions,
    PermissionSet,
    check_access,
    explain_access,
    survey_access,
)
from coveo_provider.documents.dataset.tables import Part
from coveo_provider.documents.permissions.models import EMAIL_PROVIDER
from coveo_provider.errors import DataError
from tests.documents.dataset.test_tables import part_of as part_of_table
from tests.identities.test_batches import part

user, group = PermissionIdentity.user, PermissionIdentity.group


def part_of(columns: dict[str, Any]) -> Part:
    """Return documents as a part."""
    return part_of_table(pa.table(columns))


def entries(*names: str) -> tuple[PermissionIdentity, ...]:
    """Return users by their names, and groups by names that begin with a capital letter."""
    return tuple((group if name[0].isupper() else user)(name) for name in names)


def a_set(*allowed: str, deny: str = "", anonymous: bool = False) -> PermissionSet:
    return PermissionSet(anonymous, entries(*allowed), entries(*deny.split()))


def team(name: str, *members: str, granted: str = "") -> IdentityBody:
    """Return a group; members that begin with a capital letter are groups."""
    inside = tuple(Identity(each, "GROUP" if each[0].isupper() else "USER") for each in members)
    return IdentityBody(
        Identity(name, "GROUP"), inside, tuple(Identity(each, "GROUP") for each in granted.split())
    )


def alias(name: str, other: str, provider: str | None = EMAIL_PROVIDER) -> MappedIdentityBody:
    return MappedIdentityBody(Identity(name, "USER"), (MappedIdentity(other, "USER", provider),))


EXAMPLE_A = [
    {
        "allowAnonymous": False,
        "allowedPermissions": [{"identity": "SampleGroup", "identityType": "Group"}],
        "deniedPermissions": [
            {
                "identity": "asmith@example.com",
                "identityType": "User",
                "securityProvider": "My Security Identity Provider",
            }
        ],
    }
]


@pytest.mark.parametrize("levels", [False, True])
@pytest.mark.parametrize("a_member_too", [False, True])
def test_example_a(levels: bool, a_member_too: bool) -> None:
    """docs 78: the group sees it, asmith does not, though a member, and nobody else."""
    graph = IdentityGraph(default_provider="My Security Identity Provider")
    graph.add(team("SampleGroup", "member", *(["asmith@example.com"] if a_member_too else [])))
    given: Any = [{"name": "MyPermissionLevel", "permissionSets": EXAMPLE_A}] if levels else EXAMPLE_A

    member = explain_access(given, "member", graph)
    assert (member.allowed, member.level, member.set) == (True, 1, 1)
    assert member.path == (user("member"), group("SampleGroup"))
    denied = explain_access(given, "asmith@example.com", graph)
    assert (denied.allowed, denied.level, denied.set) == (False, 1, 1)
    assert "denies User asmith@example.com" in denied.reason
    assert not explain_access(given, "anybody", graph).allowed
    assert not explain_access(given, None, graph).allowed


EXAMPLE_B = Permissions(
    [
        PermissionLevel(
            "Permission Level 1",
            (
                a_set(anonymous=True),
                a_set("SampleTeam1", deny="SampleTeam2"),
                a_set("asmith@example.com", "cbrown@example.com", deny="bjones@example.com"),
            ),
        ),
        PermissionLevel(
            "Permission Level 2",
            (
                a_set("bjones@example.com", "emitchell@example.com", deny="asmith@example.com"),
                PermissionSet(allowed_permissions=(user("MysteryUserX"),)),
            ),
        ),
    ]
)


@pytest.mark.parametrize(
    ("who", "in_team_2", "allowed", "level", "place"),
    [
        ("asmith@example.com", False, True, 1, 2),
        ("bjones@example.com", False, False, 1, 3),
        ("cbrown@example.com", True, False, 1, 2),
        ("cbrown@example.com", False, False, 1, 2),
        ("emitchell@example.com", False, True, 2, 1),
        (None, False, False, 1, 2),
    ],
)
def test_example_b(who: str | None, in_team_2: bool, allowed: bool, level: int, place: int) -> None:
    """docs 78, two levels: every named user, for either reason that cbrown may be denied."""
    graph = IdentityGraph(
        team("SampleTeam1", "asmith@example.com"),
        team("SampleTeam2", *(["cbrown@example.com"] if in_team_2 else [])),
        alias("emitchell@example.com", "MysteryUserX", ""),
        alias_provider="",
    )

    access = explain_access(EXAMPLE_B, who, graph)

    assert (access.allowed, access.level, access.set) == (allowed, level, place)


@pytest.mark.parametrize("name", ["alice", "bob", "david", "eve"])
def test_example_c(name: str) -> None:
    """docs 1336: alice and david see it, bob does not, in the provider as by email."""
    everybody = [f"{each}@example.com" for each in ("alice", "bob", "david")]
    graph = IdentityGraph(team("AlphaTeam", *everybody), *(alias(each, each) for each in everybody))
    permissions = [PermissionSet(False, (group("AlphaTeam"),), (user("bob@example.com"),))]
    expected = name in {"alice", "david"}
    who = f"{name}@example.com"

    assert explain_access(permissions, who, graph).allowed is expected
    by_email = explain_access(permissions, user(who, EMAIL_PROVIDER), graph)
    assert by_email.allowed is expected
    if expected:
        assert by_email.path == (user(who, EMAIL_PROVIDER), user(who), group("AlphaTeam"))


def test_without_an_alias_an_email_is_nobody() -> None:
    """Seed 004: the members are not recognized until they are mapped."""
    graph = IdentityGraph(team("AlphaTeam", "alice@example.com"))

    assert not explain_access([a_set("AlphaTeam")], user("alice@example.com", EMAIL_PROVIDER), graph).allowed


def test_the_levels_of_the_sdk() -> None:
    """Seed 000: wim and peter, alex and anne, then the groups of the second level."""
    graph = IdentityGraph(team("HR", "kim", "alex"), team("RD", "wim"), team("SALES"))
    permissions = Permissions(
        [
            PermissionLevel("First", (a_set("wim", "peter"), a_set(deny="alex anne"))),
            PermissionLevel("Second", (a_set("HR", "RD", "SALES"),)),
        ]
    )
    results = {
        name: explain_access(permissions, name, graph) for name in ("wim", "peter", "alex", "anne", "kim")
    }

    assert {name: access.allowed for name, access in results.items()} == {
        "wim": False, "peter": False, "alex": False, "anne": False, "kim": True
    }  # fmt: skip
    assert "another set of that level" in results["wim"].reason
    assert results["kim"].level == 2


@pytest.mark.parametrize(
    ("permissions", "named", "stranger", "anonymous"),
    [
        ([a_set(anonymous=True)], True, True, True),
        ([a_set(anonymous=True, deny="u")], False, True, True),
        ([a_set(anonymous=True), a_set("u")], True, False, False),
        ([a_set("u"), a_set(anonymous=True)], True, False, False),
        ([a_set("u", deny="u")], False, False, False),
        ([a_set("u"), a_set("v")], False, False, False),
        ([], False, False, False),
        ([a_set()], False, False, False),
        ([PermissionLevel("", (a_set("v"),)), PermissionLevel("", (a_set(anonymous=True),))], True, True, False),
        ([PermissionLevel("", (a_set(anonymous=True), a_set("v"))), PermissionLevel("", (a_set("u"),))],
         True, False, False),
        ([PermissionLevel("", (a_set("u"), a_set("v"))), PermissionLevel("", (a_set("u"),))], False, False, False),
    ],
)  # fmt: skip
def test_edges(permissions: list[Any], named: bool, stranger: bool, anonymous: bool) -> None:
    """For user u, somebody else who is logged in, and somebody who is not (docs 1526 and 2007)."""
    assert explain_access(permissions, "u").allowed is named
    assert explain_access(permissions, "somebody").allowed is stranger
    assert explain_access(permissions, None).allowed is anonymous
    assert Permissions(permissions).is_public is anonymous


def test_the_path_goes_through_aliases_and_nested_groups() -> None:
    """The shortest one, from the user to the entry that decided; names as they were spelled."""
    graph = IdentityGraph(
        alias("asmith", "Alice@Example.com"),
        team("Team", "asmith"),
        team("Department", "Team"),
        team("All", "Department"),
    )

    access = explain_access([a_set("All")], user("alice@example.com", EMAIL_PROVIDER), graph)

    assert [each.identity for each in access.path] == [
        "Alice@Example.com",
        "asmith",
        "Team",
        "Department",
        "All",
    ]
    assert str(access).startswith(
        "allowed: set 1 of level 1 allows Group All (User Alice@Example.com of Email"
    )


def test_granted_identities_are_groups() -> None:
    """Membership is said from the member's side, of users, groups and aliases alike."""
    graph = IdentityGraph(
        team("Team", "ann", granted="Everyone"),
        MappedIdentityBody(Identity("bob", "USER"), (), (Identity("Everyone", "GROUP"),)),
    )

    for name, expected in (("ann", True), ("bob", True), ("eve", False)):
        assert explain_access([a_set("Everyone")], name, graph).allowed is expected


def test_a_disabled_identity_leads_nowhere() -> None:
    """Neither a group nor a user."""
    graph = IdentityGraph(team("Team", "ann", "bob"), team("All", "Team", "bob"))
    graph.add(DisabledIdentityBody(Identity("TEAM", "GROUP")))

    assert not explain_access([a_set("All")], "ann", graph).allowed
    assert explain_access([a_set("All")], "bob", graph).allowed
    graph.add(DisabledIdentityBody(Identity("bob", "USER")))
    assert not explain_access([a_set("All", "bob")], "bob", graph).allowed
    assert not graph.knows(user("bob"))


def test_names_are_compared_without_case_unless_the_provider_says_so() -> None:
    """As the pages evaluate permissions (docs 1526 and 2007)."""
    assert explain_access([a_set("Bob".lower())], "BOB").allowed
    exact = IdentityGraph(default_provider="P", case_sensitive="P")
    assert not explain_access([a_set("bob")], "BOB", exact).allowed
    assert explain_access([PermissionSet(False, (user("bob", "Q"),))], user("BOB", "Q"), exact).allowed


def test_providers_and_types_tell_identities_apart() -> None:
    """A user of one is not that of another, nor a group of the same name."""
    graph = IdentityGraph(default_provider="P")
    other = PermissionSet(False, (user("bob", "Q"),))

    assert not explain_access([other], "bob", graph).allowed
    assert explain_access([other], user("bob", "Q"), graph).allowed
    assert explain_access([PermissionSet(False, (user("bob", "P"),))], "bob", graph).allowed
    assert not explain_access([PermissionSet(False, (group("bob"),))], "bob", graph).allowed


def test_a_graph_may_be_read_from_datasets() -> None:
    """As it is from the models."""
    bodies: dict[str, list[Any]] = {
        "members": [team("Team", "ann", "bob", granted="Everyone"), team("All", "Team")],
        "mappings": [alias("ann", "ann@x", EMAIL_PROVIDER), alias("bob", "bob@x", None)],
        "deleted": [DisabledIdentityBody(Identity("bob", "USER"))],
    }
    read = IdentityGraph(default_provider="P")
    members, mappings, deleted = ([part(kind, rows)] for kind, rows in bodies.items())
    read.read(members=members, mappings=mappings, deleted=deleted)
    built = IdentityGraph(*(body for rows in bodies.values() for body in rows), default_provider="P")

    assert len(read) == len(built)
    for who in (user("ann@x", EMAIL_PROVIDER), user("bob@x", EMAIL_PROVIDER), user("ann"), user("bob")):
        for name in ("Team", "All", "Everyone"):
            ours = explain_access([a_set(name)], who, read)
            assert ours == explain_access([a_set(name)], who, built)
            assert ours.allowed is who.identity.startswith("ann")


def test_what_is_added_later_replaces_what_was_said() -> None:
    """As a push does (docs 55): members do not add up, and the disabled are back."""
    graph = IdentityGraph(team("Team", "ann", granted="Old"), alias("bob", "b@x"), team("All", "Team"))
    assert explain_access([a_set("Old", "Team")], "ann", graph).path == (user("ann"), group("Team"))
    graph.add(DisabledIdentityBody(Identity("Team", "GROUP")), team("TEAM", "bob"))
    graph.add(MappedIdentityBody(Identity("Bob", "USER"), (MappedIdentity("new@x", "USER"),)))

    assert not explain_access([a_set("All", "Old")], "ann", graph).allowed
    assert explain_access([a_set("All")], "bob", graph).allowed
    assert not explain_access([a_set("All")], user("b@x", EMAIL_PROVIDER), graph).allowed
    assert explain_access([a_set("All")], user("new@x", EMAIL_PROVIDER), graph).allowed


def test_a_dataset_replaces_an_earlier_one_and_unites_what_stands_twice_in_it() -> None:
    """Twice in one is united when it is pushed, or refused."""
    graph = IdentityGraph()
    graph.read(members=[part("members", [team("Team", "ann", granted="Old"), team("Other", "ann")])])
    again = [team("Team", "bob"), team("team", "cid")]
    graph.read(members=[part("members", again[:1]), part("members", again[1:])])

    sees = {name for name in ("ann", "bob", "cid") if explain_access([a_set("Team")], name, graph).allowed}
    assert sees == {"bob", "cid"}
    assert not explain_access([a_set("Old")], user("bob"), graph).allowed
    assert explain_access([a_set("Other")], user("ann"), graph).allowed


def test_each_provider_cascades_to_its_own() -> None:
    """An alias that names no provider is one of the provider cascaded to (docs 78)."""
    graph = IdentityGraph(alias_provider="Q")
    graph.add(alias("ann", "x", None), provider="P1")
    graph.add(alias("ann", "x", None), provider="P2", alias_provider="R")
    graph.read(mappings=[part("mappings", [alias("ann", "x", None)])], provider="P3", alias_provider="S")

    for provider, cascade in (("P1", "Q"), ("P2", "R"), ("P3", "S")):
        for other in "QRS":
            permissions = [PermissionSet(False, (user("ann", provider),))]
            assert explain_access(permissions, user("x", other), graph).allowed is (other == cascade)


USERS, GROUPS = "abcd", "ABCD"
some = st.lists(st.sampled_from(USERS + GROUPS), max_size=3)
sets = st.builds(lambda names, deny, anonymous: a_set(*names, deny=" ".join(deny), anonymous=anonymous),
                 some, some, st.booleans())  # fmt: skip
levels = st.builds(PermissionLevel, st.just(""), st.lists(sets, min_size=1, max_size=3).map(tuple))
models = st.builds(Permissions, st.lists(levels, max_size=3))
teams = st.builds(lambda name, members, granted: team(name, *members, granted=" ".join(granted)),
                  st.sampled_from(GROUPS), some, st.lists(st.sampled_from(GROUPS), max_size=2))  # fmt: skip
links = st.builds(lambda one, other: alias(one, other, ""), st.sampled_from(USERS), st.sampled_from(USERS))
graphs = st.lists(teams | links, max_size=8).map(lambda bodies: IdentityGraph(*bodies))
anybody = st.none() | st.sampled_from([*USERS, "stranger"])
many = settings(deadline=None, max_examples=200)


@many
@given(models, anybody, graphs)
def test_a_path_leads_from_the_user_to_the_entry_that_decided(
    model: Permissions, who: str | None, graph: IdentityGraph
) -> None:
    """In cyclic organisations too; every step is one of membership or alias."""
    access = explain_access(model, who, graph)
    if access.path:
        assert who is not None
        assert access.path[0] == user(who)
        assert access.level is not None
        assert access.set is not None
        decided = model.levels[access.level - 1]
        named = [
            e
            for each in decided.permission_sets
            for e in (*each.allowed_permissions, *each.denied_permissions)
        ]
        assert access.path[-1] in named
        assert len(set(access.path)) == len(access.path)
    assert str(access)


@many
@given(models, anybody, graphs, st.data())
def test_a_denial_never_grants_to_whom_it_names(
    model: Permissions, who: str | None, graph: IdentityGraph, data: st.DataObject
) -> None:
    """Added to the first level, it keeps out whoever it resolves to, and changes nothing for others."""
    if not model.levels:
        return
    denied = data.draw(st.sampled_from(entries(*USERS, *GROUPS)))
    first, *rest = model.levels
    harder = replace(first.permission_sets[0], denied_permissions=(denied,))
    denying = Permissions([PermissionLevel("", (harder, *first.permission_sets[1:])), *rest])
    named = graph.key(denied) in graph.resolve(who).origins
    base = Permissions(
        [PermissionLevel("", (replace(harder, denied_permissions=()), *first.permission_sets[1:])), *rest]
    )

    before, after = explain_access(base, who, graph), explain_access(denying, who, graph)

    assert after.allowed is (before.allowed and not named)


@many
@given(models, anybody, graphs, st.randoms(use_true_random=False))
def test_the_order_of_sets_in_a_level_changes_no_answer(
    model: Permissions, who: str | None, graph: IdentityGraph, random: Any
) -> None:
    """Nor does the order of entries in a set; that of levels does."""
    shuffled = Permissions(
        [
            replace(
                level, permission_sets=tuple(random.sample(level.permission_sets, len(level.permission_sets)))
            )
            for level in model.levels
        ]
    )

    ours, theirs = explain_access(model, who, graph), explain_access(shuffled, who, graph)
    assert (ours.allowed, ours.level) == (theirs.allowed, theirs.level)


@many
@given(graphs, st.sampled_from(USERS + GROUPS))
def test_who_is_inside_a_group_has_it_around(graph: IdentityGraph, name: str) -> None:
    """The closure ends, cycles or not, and is the same from either side."""
    (start,) = map(graph.key, entries(name))
    inside = set(graph.inside([start]))
    for key in map(graph.key, entries(*USERS, *GROUPS)):
        assert (start in graph.resolve_key(key).origins) is (key in inside)


@many
@given(models, graphs)
def test_a_rule_finds_whoever_gets_in(model: Permissions, graph: IdentityGraph) -> None:
    """It is broken just when somebody outside the group sees the document, and so is the survey's count."""
    documents = part_of({"documentId": ["hr://1"], "permissions": [json.dumps(model.to_json())]})
    insiders = {name for name in USERS if graph.key(group("A")) in graph.resolve(name).origins}
    who = {name for name in [*USERS, "stranger", None] if explain_access(model, name, graph).allowed}

    if who - insiders:
        with pytest.raises(DataError):
            check_access([documents], graph, [AccessRule("hr://*", only="A")])
    else:
        assert check_access([documents], graph, [AccessRule("hr://*", only="A")]) == 1
    counts = survey_access([documents], graph)
    known = {name for name in USERS if graph.knows(user(name))}
    assert counts.public == (None in who)
    assert counts.hidden == (not who & {*known, "stranger", None})


ORGANISATION = IdentityGraph(
    team("HR", "ann", "Board"), team("Board", "bea"), team("Sales", "cid", "dan"), team("Empty"),
    alias("cid", "cid@example.com"),
)  # fmt: skip


def rows(**documents: Any) -> Any:
    """Return documents by the last part of their ids."""
    texts = [
        None if value is None else json.dumps(Permissions(value).to_json()) for value in documents.values()
    ]
    return part_of(
        {
            "documentId": [name.replace("_", "://") for name in documents],
            "permissions": pa.array(texts, pa.string()),
        }
    )


@pytest.mark.parametrize(
    ("name", "permissions", "problem"),
    [
        ("hr_1", [a_set(anonymous=True)], "it is public"),
        ("hr_1", [PermissionLevel("", (a_set("HR"),)), PermissionLevel("", (a_set(anonymous=True),))],
         "everybody who is logged in"),
        ("hr_1", [a_set("HR", "Sales")], r"User cid sees it.*User cid → Group Sales"),
        ("hr_1", [a_set("HR", "Sales", deny="cid")], r"User dan sees it"),
        ("hr_1", [a_set("unheard")], "User unheard sees it"),
        ("hr_1", None, "it has no permissions"),
        ("hr_1", [PermissionSet(False, (user("cid@example.com", EMAIL_PROVIDER),))], "User cid@example.com of"),
        ("hr_1", [a_set("HR")], None),
        ("hr_1", [a_set("Board", "ann")], None),
        ("hr_1", [a_set("Empty", "Unheard")], None),
        ("hr_1", [a_set("HR"), a_set("HR", "Sales")], None),
        ("hr_1", [a_set("HR", "Sales", deny="Sales")], None),
        ("sales_1", [a_set("Sales")], None),
    ],
)  # fmt: skip
def test_hr_only_for_hr(name: str, permissions: Any, problem: str | None) -> None:
    """The error names the document, the rule, and the way by which somebody gets in."""
    rules = [AccessRule("hr://*", only=["HR"])]
    documents = rows(**{name: permissions})
    if problem is None:
        assert check_access([documents], ORGANISATION, rules) == 1
    else:
        with pytest.raises(
            DataError, match=f"document hr://1 breaks the rule “hr://\\* only for HR”: .*{problem}"
        ):
            check_access([documents], ORGANISATION, rules)


def test_no_document_may_be_anonymous() -> None:
    """The first few are named, the others counted."""
    documents = rows(**{f"a_{n}": [a_set(anonymous=n != 3)] for n in range(6)})

    with pytest.raises(
        DataError, match=r"document a://0 .*no document \* may be anonymous.*a://1.*a://2.*2 more"
    ):
        check_access([documents], ORGANISATION, [AccessRule()])
    assert check_access([rows(a_1=[a_set(anonymous=True), a_set("HR")])], ORGANISATION, [AccessRule()]) == 1


def test_a_dataset_is_surveyed() -> None:
    """In documents, with examples; typed lists count as their text does."""
    documents = rows(
        a_public=[a_set(anonymous=True)],
        a_half=[a_set(anonymous=True), a_set("HR")],
        a_empty=[],
        a_nobody=[a_set("Empty")],
        a_denied=[a_set("Sales", deny="cid dan")],
        a_unknown=[a_set("HR", "Unheard", deny="nobody")],
        a_mail=[PermissionSet(False, (user("x@y", EMAIL_PROVIDER),))],
        a_unstated=None,
    )

    survey = survey_access([documents], ORGANISATION)

    assert (survey.documents, survey.public, survey.hidden, survey.unknown, survey.unstated) == (
        8,
        1,
        3,
        2,
        1,
    )
    assert survey.examples == {
        "public": ["a://public"],
        "hidden": ["a://empty", "a://nobody", "a://denied"],
        "unknown": ["a://denied", "a://unknown"],  # dan is a member, and was never pushed
        "unstated": ["a://unstated"],
    }
    assert survey.unknown_identities == [user("dan"), group("Unheard"), user("nobody")]
    values = [[{"allowAnonymous": True}], None, [{"allowAnonymous": False}]]
    column = survey_access(pa.chunked_array([values[:1], values[1:]]), ORGANISATION)
    assert (column.documents, column.public, column.hidden, column.unstated) == (3, 1, 1, 1)


def test_permissions_that_cannot_be_read_stop_the_survey() -> None:
    """With the document's id."""
    documents = part_of({"documentId": ["a:b"], "permissions": ["[1]"]})
    with pytest.raises(DataError, match="document a:b: permissions: is not a list"):
        survey_access([documents], ORGANISATION)


def test_documents_without_the_column_say_nothing_of_access() -> None:
    """Whether they are public depends on the source."""
    documents = part_of({"documentId": ["a:b"]})
    assert survey_access([documents], ORGANISATION).unstated == 1
    with pytest.raises(DataError, match="it has no permissions"):
        check_access([documents], ORGANISATION, [AccessRule()])

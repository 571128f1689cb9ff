"""
Two evaluations of who may see an item, written apart from each other, give the same answers.

One is for people, before a push: ``coveo_provider.documents``. The other is the sandbox's. Both are handed the
same JSON: permissions, and what was pushed to the security providers of a made-up organisation. Every example
asks for everybody whom it could matter for.

Not made up, as no page says what they mean, or says that they are refused: entries without a
type; levels next to sets; a ``mappings`` entry without ``provider`` where the provider cascades to several;
a level without sets (has a test of its own); an organisation whose default provider is nowhere told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from coveo_provider.documents import (
    IdentityGraph,
    PermissionIdentity,
    explain_access,
)
from coveo_provider.errors import DataError
from coveo_provider.identities.models import (
    BatchIdentityBody,
    DisabledIdentityBody,
    IdentityBody,
    MappedIdentityBody,
)
from coveo_provider.sandbox.service.security.access_rules import decide
from tests.sandbox.organization import EMAIL, PROVIDER, alias, group, level, named, one_set, who

JSON: TypeAlias = "dict[str, Any]"
Pick: TypeAlias = Callable[[st.SearchStrategy[Any]], Any]

BODIES: dict[str, Any] = {
    "members": IdentityBody,
    "mappings": MappedIdentityBody,
    "deleted": DisabledIdentityBody,
}


@dataclass
class Provider:
    """
    A security provider, and what was pushed to it, in the order of the pushes.

    :param pushes: pairs of a section of ``BatchIdentityBody`` and an entry of it
    """

    id: str
    pushes: list[tuple[str, JSON]]
    cascades: tuple[str, ...] = (EMAIL,)
    case_sensitive: bool = False

    def as_it_stands(self) -> JSON:
        """Return what the sandbox is told: disabled is what was not pushed again (docs 55)."""
        sections: dict[str, list[JSON]] = {section: [] for section in BODIES}
        disabled: dict[Any, JSON] = {}
        for section, body in self.pushes:
            name, kind = body["identity"]["name"], body["identity"]["type"].replace("_", "").lower()
            key = (name if self.case_sensitive else name.lower(), kind)
            disabled.pop(key, None)
            if section == "deleted":
                disabled[key] = body
            else:
                sections[section].append(body)
        return {
            "id": self.id,
            "caseSensitive": self.case_sensitive,
            "cascadingSecurityProviders": {f"cascade {n}": {"id": id} for n, id in enumerate(self.cascades)},
            **sections,
            "deleted": list(disabled.values()),
        }


@dataclass
class Organisation:
    """
    Security providers.

    :param default: what entries without ``securityProvider`` mean: the first provider linked to the source
    :param batches: whether pushes go out in containers where their order allows it
    """

    providers: list[Provider]
    default: str
    batches: bool = False

    def graph(self) -> IdentityGraph:
        """Return it as :func:`explain_access` takes it."""
        graph = IdentityGraph(
            default_provider=self.default,
            case_sensitive=[each.id for each in self.providers if each.case_sensitive],
        )
        for provider in self.providers:
            target = provider.cascades[0] if len(provider.cascades) == 1 else None
            for batch in self._containers(provider):
                graph.add(batch, provider=provider.id, alias_provider=target)
        return graph

    def _containers(self, provider: Provider) -> Iterator[Any]:
        order = list(BODIES)
        pending: dict[str, list[JSON]] = {}
        last = ""
        for section, body in provider.pushes:
            if not self.batches:
                yield BODIES[section].from_json(body)
                continue
            if last and order.index(section) < order.index(last):
                yield BatchIdentityBody.from_json(pending)
                pending = {}
            pending.setdefault(section, []).append(body)
            last = section
        if pending:
            yield BatchIdentityBody.from_json(pending)

    def json(self) -> JSON:
        """Return it as the sandbox takes it."""
        return {"default": self.default, "providers": [each.as_it_stands() for each in self.providers]}


@dataclass(frozen=True)
class Somebody:
    """Whoever asks for an item."""

    name: str
    provider: str = EMAIL
    type: str = "USER"

    @property
    def asked(self) -> PermissionIdentity:
        return PermissionIdentity(self.name, self.type, self.provider)


def agreed(permissions: Any, who: Somebody | None, organisation: Organisation) -> bool:
    """Return whether somebody sees an item, and that both evaluations say so."""
    return answers(permissions, [who], organisation)[0]


def answers(permissions: Any, everybody: list[Somebody | None], organisation: Organisation) -> list[bool]:
    """Return who of several sees an item; both evaluations say so."""
    graph, theirs = organisation.graph(), organisation.json()
    found: list[bool] = []
    for each in everybody:
        asked, user = (None, None) if each is None else (each.asked, vars(each))
        access = explain_access(permissions, asked, graph)
        if access.allowed is not decide(permissions, user, theirs):
            raise AssertionError(
                f"only {'ours' if access.allowed else 'the sandbox'} lets {each} in: {access}"
            )
        found.append(access.allowed)
    return found


# -- what is made up -----------------------------------------------------------------------------------------

# Identities that differ in case, in more than ASCII, and in type only; few, so that they meet.
SPELLINGS = [
    *(("ann", "USER"), ("ann", "USER"), ("Ann", "USER"), ("ANN", "user"), ("bob", "USER"), ("Bob", "User")),
    *(("cid", "USER"), ("ann@x.io", "USER"), ("Ann@X.io", "USER"), ("ΟΔΟΣ", "USER"), ("οδος", "USER")),
    *(("straße", "USER"), ("STRASSE", "USER"), ("team", "GROUP"), ("Team", "group"), ("board", "GROUP")),
    *(("board", "GROUP"), ("ALL", "GROUP"), ("all", "GROUP"), ("vips", "VIRTUAL_GROUP")),
    *(("Vips", "VirtualGroup"), ("ann", "GROUP"), ("team", "UNKNOWN"), ("bob", "UNKNOWN"), ("team", "USER")),
]
GROUPS = [each for each in SPELLINGS if each[1].upper() not in {"USER", "UNKNOWN"}]
IDS = ("P", "p", "Q")  # ids of providers are compared as they are
UNSAID: list[JSON] = [{}, {"provider": None}]

identity = st.sampled_from([who(*each) for each in SPELLINGS])
a_group = st.sampled_from([who(*each) for each in GROUPS])
mostly_groups = st.sampled_from([who(*each) for each in [*GROUPS, *GROUPS, *SPELLINGS]])
elsewhere = st.sampled_from(
    [who(*each, provider=provider) for each in SPELLINGS for provider in (*IDS, EMAIL, EMAIL)]
)
unsaid = st.sampled_from([{**who(*each), **more} for each in SPELLINGS for more in UNSAID])


def several(one: st.SearchStrategy[Any], most: int) -> st.SearchStrategy[list[Any]]:
    return st.lists(one, max_size=most)


def pushed(single_cascade: bool) -> st.SearchStrategy[tuple[str, JSON]]:
    """Return pushes: of groups mostly, as only these have ``members``, who may be of any type."""
    members = st.fixed_dictionaries(
        {"identity": a_group, "members": several(identity, 4)},
        optional={"wellKnowns": several(a_group, 2)},
    ) | st.fixed_dictionaries(
        {"identity": identity, "members": st.just([])}, optional={"wellKnowns": several(a_group, 2)}
    )
    mappings = st.fixed_dictionaries(
        {"identity": identity, "mappings": several(elsewhere | unsaid if single_cascade else elsewhere, 2)},
        optional={"wellKnowns": several(mostly_groups, 2)},
    )
    disabled = st.fixed_dictionaries({"identity": identity})
    return st.one_of(
        st.tuples(st.just("members"), members),
        st.tuples(st.just("members"), members),
        st.tuples(st.just("members"), members),
        st.tuples(st.just("mappings"), mappings),
        st.tuples(st.just("mappings"), mappings),
        st.tuples(st.just("deleted"), disabled),
    )


PUSHED = {single: st.lists(pushed(single), max_size=7) for single in (False, True)}


@st.composite
def organisations(draw: Pick) -> Organisation:
    """Return one to three providers beside the Email Security Provider, which takes no pushes."""
    ids = IDS[: draw(st.integers(1, 3))]
    providers = []
    for id in ids:
        others = [each for each in (*ids, EMAIL) if each != id]
        cascades = draw(st.sampled_from([(), (EMAIL,), (EMAIL,), (others[0],), (EMAIL, others[0])]))
        cascades = tuple(dict.fromkeys(cascades))
        pushes = draw(PUSHED[len(cascades) < 2])
        providers.append(Provider(id, pushes, cascades, draw(st.sampled_from([False, False, True]))))
    if draw(st.booleans()):
        providers.append(Provider(EMAIL, [], ()))
    return Organisation(providers, draw(st.sampled_from([*ids, *ids, EMAIL])), draw(st.booleans()))


ITEM_TYPES = {"USER": ["User", "USER"], "GROUP": ["Group", "group"], "UNKNOWN": ["Unknown"],
              "VIRTUAL_GROUP": ["VirtualGroup", "VIRTUAL_GROUP"]}  # fmt: skip
WHERE: list[JSON] = [
    *({}, {}, {}, {"securityProvider": None}, {"securityProvider": ""}),
    *({"securityProvider": each} for each in (*IDS, EMAIL)),
]
ENTRIES = [
    {**named(name, spelling), **where}
    for name, kind in SPELLINGS
    for spelling in ITEM_TYPES.get(kind, [kind])
    for where in WHERE
]
entry = st.sampled_from(ENTRIES)
# Many that allow, and few that deny: else nobody would see anything, and the two would agree on little.
listed = st.fixed_dictionaries(
    {"allowedPermissions": st.lists(entry, min_size=3, max_size=10)},
    optional={
        "allowAnonymous": st.sampled_from([False, False, True, None]),
        "deniedPermissions": several(entry, 2),
    },
)
unlisted = st.fixed_dictionaries(
    {},
    optional={"allowAnonymous": st.sampled_from([True, None]), "deniedPermissions": several(entry, 2)},
)
sets = listed | listed | listed | unlisted
levels = st.lists(sets, min_size=1, max_size=3).map(lambda each: level(*each))
simplified = st.lists(sets, max_size=3)
complete = st.lists(levels, min_size=1, max_size=3)


def spelled(value: Any, spell: Callable[[str], str]) -> Any:
    """Return JSON with its keys in another case (docs/api-notes.md, "Documents and ids": any case is taken)."""
    if isinstance(value, dict):
        return {spell(key): spelled(each, spell) for key, each in value.items()}
    return [spelled(each, spell) for each in value] if isinstance(value, list) else value


models = st.builds(
    spelled,
    simplified | complete,
    st.sampled_from([str, str, str.lower, str.upper, lambda k: k[0].upper() + k[1:]]),
)
EVERYBODY: list[Somebody | None] = [
    None,
    Somebody("stranger"),
    Somebody("stranger", "P"),
    *(Somebody(name, EMAIL) for name in ("ann@x.io", "ANN@x.io", "ann", "STRASSE")),
    *(Somebody(name, id) for id in IDS for name in ("ann", "ANN", "Bob", "οδος", "Team")),
    Somebody("bob", "P", "UNKNOWN"),
]


def agree(organisation: Organisation, permissions: Any) -> None:
    found = answers(permissions, EVERYBODY, organisation)
    event("nobody sees it" if not any(found) else "all see it" if all(found) else "some see it")


# The same examples every time, so that a failure can be had again.
made_up = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))


@settings(made_up, max_examples=600)
@given(organisations(), models)
def test_both_give_the_same_answers(organisation: Organisation, permissions: Any) -> None:
    """To everybody in hundreds of organisations, each with a permission model."""
    agree(organisation, permissions)


@pytest.mark.long
@settings(made_up, derandomize=False, max_examples=20_000)
@given(organisations(), models)
def test_both_give_the_same_answers_at_length(organisation: Organisation, permissions: Any) -> None:
    """To everybody in many more, other ones each time."""
    agree(organisation, permissions)


# -- what is published ---------------------------------------------------------------------------------------

PEOPLE = [f"{name}@example.com" for name in ("alice", "bob", "david")]
PUBLISHED = [
    group("SampleGroup", who("member@example.com"), who("asmith@example.com")),
    group("SampleTeam1", who("asmith@example.com")),
    group("AlphaTeam", *map(who, PEOPLE)),
]
MAPPED = [
    alias("emitchell@example.com", who("MysteryUserX", provider=PROVIDER)),
    *(alias(name, who(name)) for name in PEOPLE),
]
TEAM_2 = group("SampleTeam2", who("cbrown@example.com"))


def published(*more: JSON) -> Organisation:
    pushes = [("members", each) for each in (*PUBLISHED, *more)]
    return Organisation([Provider(PROVIDER, [*pushes, *(("mappings", each) for each in MAPPED)])], PROVIDER)


def users(*names: str) -> list[JSON]:
    return [named(f"{name}@example.com", "User", securityProvider=PROVIDER) for name in names]


EXAMPLE_A = [one_set([named("SampleGroup", "Group")], users("asmith"))]
EXAMPLE_B = [
    level(
        {"allowAnonymous": True},
        one_set([named("SampleTeam1", "Group")], [named("SampleTeam2", "Group")]),
        one_set(users("asmith", "cbrown"), users("bjones")),
    ),
    level(one_set(users("bjones", "emitchell"), users("asmith")), one_set([named("MysteryUserX")])),
]
EXAMPLE_C = [one_set([named("AlphaTeam", "Group")], users("bob"))]


@pytest.mark.parametrize(
    ("permissions", "user", "allowed"),
    [
        (EXAMPLE_A, "member", True),
        (EXAMPLE_A, "asmith", False),
        (EXAMPLE_A, "other", False),
        (EXAMPLE_A, None, False),
        (EXAMPLE_B, "asmith", True),
        (EXAMPLE_B, "bjones", False),
        (EXAMPLE_B, "cbrown", False),
        (EXAMPLE_B, "emitchell", True),
        (EXAMPLE_B, "other", False),
        (EXAMPLE_B, None, False),
        (EXAMPLE_C, "alice", True),
        (EXAMPLE_C, "david", True),
        (EXAMPLE_C, "bob", False),
        (EXAMPLE_C, "other", False),
        (EXAMPLE_C, None, False),
    ],
)
@pytest.mark.parametrize("more", [(), (TEAM_2,)], ids=["", "cbrown in SampleTeam2"])
def test_the_published_examples(permissions: Any, user: str | None, allowed: bool, more: Any) -> None:
    """The examples of docs 78 and docs 1336; the one of two levels for either reason that cbrown may be denied."""
    organisation = published(*more)
    asks = None if user is None else Somebody(f"{user}@example.com", PROVIDER)
    assert agreed(permissions, asks, organisation) is allowed
    if permissions is not EXAMPLE_B:
        assert agreed([level(*permissions)], asks, organisation) is allowed
    if permissions is EXAMPLE_C and asks is not None:
        assert agreed(permissions, Somebody(asks.name), organisation) is allowed


EDGES: dict[str, tuple[Any, bool, bool, bool]] = {
    "public": ([{"allowAnonymous": True}], True, True, True),
    "public but for u": ([one_set(denied=[named("u")], anonymous=True)], False, True, True),
    "public and u": ([{"allowAnonymous": True}, one_set([named("u")])], True, False, False),
    "nothing": ([], False, False, False),
    "an empty set": ([{}], False, False, False),
    "allowed and denied": ([one_set([named("u")], [named("u")])], False, False, False),
    # Step 4: u is named in one set of the first level and missing in the other.
    "named in one": (
        [level(one_set([named("u")]), one_set([named("v")])), level(one_set([named("u")]))],
        *(False, False, False),
    ),
    # Step 3: a set that allows everybody names nobody.
    "public in one": (
        [level({"allowAnonymous": True}, {}), level(one_set([named("u")]))],
        True,
        False,
        False,
    ),
    # Who is not logged in is judged by the first level only.
    "public later": ([level(one_set([named("v")])), level({"allowAnonymous": True})], True, True, False),
    "denied later": (
        [level({"allowAnonymous": True}), level(one_set(denied=[named("u")]))],
        True,
        True,
        True,
    ),
}


@pytest.mark.parametrize(("permissions", "u", "stranger", "anonymous"), EDGES.values(), ids=EDGES)
def test_the_edge_rows(permissions: Any, u: bool, stranger: bool, anonymous: bool) -> None:
    """Those that the evaluation decides at an edge (docs 1526 and 2007)."""
    asks = [Somebody("u", "P"), Somebody("somebody", "P"), None]
    assert answers(permissions, asks, Organisation([Provider("P", [])], "P")) == [u, stranger, anonymous]


# -- what was settled ----------------------------------------------------------------------------------------


def test_a_level_without_sets() -> None:
    """
    Its sets are required (docs 78), so ours refuses it before it is sent.

    To the sandbox it says nothing, although "every set allows", taken at its word, would let everybody in.
    """
    permissions = [level(), level(one_set([named("u")]))]
    with pytest.raises(DataError, match="no permissionSets"):
        explain_access(permissions, "u")
    organisation = Organisation([Provider("P", [])], "P").json()
    for user, allowed in (("u", True), ("v", False)):
        assert decide(permissions, {"name": user, "provider": "P"}, organisation) is allowed
    assert decide([level()], {"name": "u", "provider": "P"}, organisation) is False
    assert decide([level(), level({"allowAnonymous": True})], None, organisation) is False


TEAM, ANN = named("team", "Group"), Somebody("ann", "P")


@pytest.mark.parametrize(
    ("pushes", "allowed"),
    [
        ([group("team", who("ann"))], True),
        # Pushing an identity replaces the stored version (section 6) …
        ([group("team", who("ann")), group("Team", who("bob"))], False),
        # … but not what the other side said: a granted identity is the member's word.
        ([{"identity": who("ann"), "wellKnowns": [who("team", "GROUP")]}, group("team")], True),
        ([{"identity": who("ann"), "wellKnowns": [who("team", "GROUP")]}, {"identity": who("ann")}], False),
        # Deleting means disabling, until it is pushed again.
        ([group("team", who("ann")), {"deleted": who("team", "GROUP")}], False),
        ([group("team", who("ann")), {"deleted": who("TEAM", "GROUP")}, group("team", who("ann"))], True),
        ([group("team", who("ann")), {"deleted": who("ann")}], False),
        ([group("team", who("ann")), {"deleted": who("team", "USER")}], True),
        # A disabled group in between is not passed through.
        ([group("team", who("x", "GROUP")), group("x", who("ann")), {"deleted": who("x", "GROUP")}], False),
        # The type is part of an identity; UNKNOWN is a type like others.
        ([group("team", who("ann", "UNKNOWN"))], False),
        ([group("team", who("ann"), kind="VIRTUAL_GROUP")], False),
        # Aliases hold in both directions, and where none is named, in the one provider it cascades to.
        ([group("team", who("x")), alias("x", who("ann", provider="P"))], True),
        ([group("team", who("x")), alias("ann", who("x", provider="P"))], True),
        ([group("team", who("x")), alias("x", who("y")), alias("ann", who("Y", provider="Q"))], True),
        ([group("team", who("x")), alias("x", who("y")), alias("ann", who("y", provider=EMAIL))], False),
    ],
)
@pytest.mark.parametrize("batches", [False, True])
def test_what_was_settled(pushes: list[JSON], allowed: bool, batches: bool) -> None:
    """Questions on which the two differed or might have, each by itself."""
    given = [
        ("deleted", {"identity": each["deleted"]})
        if "deleted" in each
        else ("mappings" if "mappings" in each else "members", each)
        for each in pushes
    ]
    providers = [Provider("P", given, ("Q",)), Provider("Q", [])]
    assert agreed([one_set([TEAM])], ANN, Organisation(providers, "P", batches)) is allowed


@pytest.mark.parametrize(
    ("name", "same", "exact"),
    [("ann", "ANN", False), ("é", "É", False), ("ΟΔΟΣ", "οδος", False), ("ann", "ann", True)],
)
def test_case_counts_only_where_the_provider_says_so(name: str, same: str, exact: bool) -> None:
    """In lower case names are equal or not (5.2); what folding makes of more, as of ß, is open."""
    for case_sensitive in (False, True):
        organisation = Organisation([Provider("P", [], case_sensitive=case_sensitive)], "P")
        assert agreed([one_set([named(same)])], Somebody(name, "P"), organisation) is (
            exact or not case_sensitive
        )

"""Items of a secured source: what they may name, and who sees them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coveo_provider.sandbox import Limits, Sandbox
from coveo_provider.sandbox.service.security.access_rules import decide
from tests.sandbox.caller import problems, refusal
from tests.sandbox.organization import EMAIL, PROVIDER, Organization, alias, group, level, named, one_set, who
from tests.sandbox.service.test_access_rules import A, B, C


@pytest.fixture
def company(sandbox: Sandbox) -> Organization:
    return Organization(sandbox)


def rejected(sandbox: Sandbox) -> list[str]:
    sandbox.drain()
    found = [one for one in sandbox.logs("hr") if one.result == "REJECTED"]
    assert all(one.task == "CONSUMING" for one in found)
    return [one.meta["error"] for one in found]


def warnings(sandbox: Sandbox, source: str = "hr") -> list[str]:
    sandbox.drain()
    entries = [one for one in sandbox.logs(source) if one.result == "WARNING"]
    return [one.meta["error"] for one in entries if one.task == "CONSUMING"]


def states(sandbox: Sandbox) -> dict[str, str]:
    return {one.name: one.state for one in sandbox.identities(PROVIDER)}


def test_an_item_may_come_before_its_identities(sandbox: Sandbox, company: Organization) -> None:
    """docs 1336: item, group, aliases, in this order; it is indexed at once, and lets nobody in until then."""
    people = [who(f"{name}@example.com") for name in ("alice", "bob", "david")]
    assert company.secure(C).status_code == 202
    assert warnings(sandbox) == [
        f"the identity 'AlphaTeam' (GROUP) of '{PROVIDER}' is unknown: it was never pushed, and 1 more"
    ]
    assert rejected(sandbox) == []
    assert sandbox.count("hr") == 1
    assert sandbox.viewers("hr", "file://a") == []
    assert states(sandbox) == {"AlphaTeam": "IN_ERROR", "bob@example.com": "IN_ERROR"}
    provider = company.rest("GET", f"/securityproviders/{PROVIDER.replace(' ', '%20')}").json()
    assert provider["currentStatus"]["numberOfEntitiesInError"] == 2
    company.push_identity(group("AlphaTeam", *people))
    assert company.sees("alice@example.com")
    for one in people:
        company.push_alias(alias(one["name"], who(one["name"], provider=EMAIL)))
    sandbox.drain()
    assert sandbox.viewers("hr", "file://a") == ["alice@example.com", "david@example.com"]
    assert set(states(sandbox).values()) == {"UP_TO_DATE"}
    company.secure(C)
    assert len(warnings(sandbox)) == 1


def test_a_user_in_error_is_let_in_by_nothing(sandbox: Sandbox, company: Organization) -> None:
    """Who is only a member is not recognized by the provider (docs 1336); a denial of such a user still denies."""
    company.push_identity(group("Team", who("ann"), who("bob")))
    company.secure([one_set([named("ann")])], "file://a")
    company.secure([one_set([named("Team", "Group")], [named("bob")])], "file://b")
    assert not company.sees("ann")
    assert [company.sees(name, uri="file://b") for name in ("ann", "bob")] == [True, False]
    assert [text.partition(")")[0] for text in warnings(sandbox)] == [
        "the identity 'ann' (USER",
        "the identity 'bob' (USER",
    ]
    company.push_identity({"identity": who("ann")})
    assert company.sees("ann")
    company.disable({"identity": who("ann")})
    assert not company.sees("ann")
    company.secure([one_set([named("ann")])], "file://a")
    assert "is disabled" in warnings(sandbox)[-1]


@pytest.mark.parametrize(
    "entry",
    [
        named("Team"),
        named("Team", "VirtualGroup"),
        named("Team", "Group", securityProvider="Unlinked"),
        named("Team", "Group", securityProvider="Nowhere"),
        named("Team", "Group", securityProvider=EMAIL),
        named("not an address", securityProvider=EMAIL),
        named("Gone", "Group"),
    ],
    ids=str,
)
def test_an_invalid_identity_is_a_warning(sandbox: Sandbox, company: Organization, entry: Any) -> None:
    """Another type, a provider that is not linked, no e-mail address, a disabled group: indexed, for nobody."""
    sandbox.add_security_provider("Unlinked")
    company.expand(
        {"members": [group("Team"), group("Gone")], "deleted": [{"identity": who("Gone", "GROUP")}]}
    )
    company.push_identity(group("Team"), provider="Unlinked")
    for permissions in ([one_set([entry])], [one_set(denied=[entry])], [level(one_set([entry]))]):
        assert company.secure(permissions).status_code == 202
        assert company.batch(
            {"addOrUpdate": [{"documentId": "file://b", "permissions": permissions}]}, "hr"
        ).ok
    assert rejected(sandbox) == []
    assert len(warnings(sandbox)) == 6
    assert sandbox.count("hr") == 2
    company.secure([one_set([entry])])
    sandbox.drain()
    assert sandbox.viewers("hr", "file://a") == []
    company.secure([one_set([entry])], source="files")
    assert warnings(sandbox, "files") == [
        "the source is SHARED: what its items say about permissions is ignored"
    ]
    assert sandbox.can_see("files", "file://a", None)


def test_valid_identities_in_any_spelling(sandbox: Sandbox, company: Organization) -> None:
    """Types and keys come in any case, names too; e-mail users need no push; "" is the default provider."""
    company.expand({"members": [group("Team"), group("Virtual", kind="VIRTUAL_GROUP")]})
    entries = [
        named("TEAM", "GROUP"),
        named("team", "group", securityProvider=""),
        named("Virtual", "VIRTUAL_GROUP"),
        named("Virtual", "VirtualGroup", securityProvider=PROVIDER),
        named("ann@x.io", "USER", securityProvider=EMAIL),
    ]
    company.secure([{"AllowAnonymous": False, "AllowedPermissions": entries, "DeniedPermissions": None}])
    assert rejected(sandbox) == []
    assert sandbox.count("hr") == 1


def test_a_source_without_a_provider_has_email_users(sandbox: Sandbox, company: Organization) -> None:
    """Coveo's older Python SDK: a permission may name an e-mail user and no provider at all."""
    sandbox.add_source("mail", visibility="SECURED")
    company.secure([one_set([named("user@coveo.com")])], source="mail")
    sandbox.drain()
    assert sandbox.can_see("mail", "file://a", "USER@coveo.com")
    assert not sandbox.can_see("mail", "file://a", "other@coveo.com")


def test_the_first_provider_is_the_default(sandbox: Sandbox, company: Organization) -> None:
    """An entry without securityProvider is of the provider linked to the source first."""
    sandbox.add_security_provider("second", sources=["hr"])
    company.push_identity(group("Team", who("ann")), provider="second")
    company.secure([one_set([named("Team", "Group")])])
    assert "'Team' (GROUP) of 'My Security Identity Provider'" in warnings(sandbox)[0]
    assert not company.sees("ann", "second")
    company.secure([one_set([named("Team", "Group", securityProvider="second")])])
    assert company.sees("ann", "second")
    source = company.rest("GET", "/sources/hr").json()
    assert source["securityProviderReferences"] == [PROVIDER, "second"]


def test_keys_equal_but_for_case_are_an_error_of_metadata_only(
    sandbox: Sandbox, company: Organization
) -> None:
    """The newer SDK sends additionalInfo and AdditionalInfo side by side, in permissions and in identities."""
    entry = {**named("Team", "Group"), "additionalInfo": {}, "AdditionalInfo": {}}
    team = {**group("Team", {**who("ann"), "AdditionalInfo": {"a": "b"}, "additionalInfo": {}})}
    assert company.push_identity({**team, "WellKnowns": [], "wellKnowns": []}).status_code == 202
    assert company.secure([{**one_set([entry]), "AllowAnonymous": False}]).status_code == 202
    assert company.sees("ann")
    twice = {"data": "x", "permissions": [one_set([entry])], "Title": "a", "title": "b"}
    assert refusal(company.put("file://b", twice, "hr")) == (400, "INVALID_JSON")


@pytest.mark.parametrize(
    "permissions",
    [
        [level(one_set()), one_set()],
        [{"permissionSets": None}],
        [{"permissionSets": [], "allowAnonymous": True}],
        [{"name": 5, "permissionSets": []}],
        [{"allowAnonymous": "true"}],
        [{"allowedPermissions": {}}],
        [one_set([{"identity": "ann@x.io"}])],
        [one_set([named("ann@x.io", "Person")])],
        [one_set([named("", "User")])],
        [one_set([{"identityType": "User"}])],
        [one_set([named("ann@x.io", securityProvider=5)])],
        "everyone",
        None,
    ],
    ids=str,
)
def test_malformed_models(sandbox: Sandbox, company: Organization, permissions: Any) -> None:
    """400 inline, an error in the log from a container."""
    assert refusal(company.secure(permissions)) == (400, "INVALID_JSON")
    company.batch({"addOrUpdate": [{"documentId": "file://b", "permissions": permissions}]}, "hr")
    sandbox.drain()
    assert [one[2] for one in problems(sandbox, "hr")] == ["ERROR"]


def test_at_most_so_many_entries() -> None:
    """One entry too many is 202 and rejected, whatever source it is for."""
    with Sandbox.start(limits=Limits(permissions=2)) as sandbox:
        company = Organization(sandbox)
        entries = [named(f"u{number}@x.io", securityProvider=EMAIL) for number in range(3)]
        assert company.secure([one_set(entries)]).status_code == 202
        assert rejected(sandbox) == ["the item has 3 permissions; the limit is 2"]
        company.secure([one_set(entries[:2])])
        sandbox.drain()
        assert sandbox.count("hr") == 1


def test_examples_a_and_c(sandbox: Sandbox, company: Organization) -> None:
    """Example C (docs 1336), pushed as it is there; the same people under the e-mail provider."""
    members = [who(f"{name}@example.com") for name in ("alice", "bob", "david", "asmith", "member")]
    company.push_identity(group("AlphaTeam", *members[:3]))
    company.push_identity(group("SampleGroup", *members[3:]))
    for one in members:
        company.push_alias(alias(one["name"], who(one["name"], provider=EMAIL)))
    company.secure(C, "file://c")
    a = [one_set(A[0]["allowedPermissions"], [named("asmith@example.com", securityProvider=PROVIDER)])]
    company.secure([level(*a)], "file://a")
    for provider in (PROVIDER, EMAIL):
        assert {
            name: company.sees(f"{name}@example.com", provider, "file://c")
            for name in ("alice", "bob", "david", "eve")
        } == {"alice": True, "bob": False, "david": True, "eve": False}
        assert company.sees("member@example.com", provider)
        assert not company.sees("asmith@example.com", provider)
    assert not company.sees(None)
    assert sandbox.viewers("hr", "file://c") == ["alice@example.com", "david@example.com"]
    assert sandbox.viewers("hr", "file://a") == ["member@example.com"]


def test_example_b(sandbox: Sandbox, company: Organization) -> None:
    """Example B (docs 78): two levels, five sets; MysteryUserX and emitchell are one e-mail user."""
    people = ("asmith", "bjones", "cbrown", "emitchell", "stranger")
    company.expand(
        {
            "members": [
                group("SampleTeam1", who("asmith@example.com")),
                group("SampleTeam2", who("cbrown@example.com")),
            ],
            "mappings": [
                *(alias(f"{name}@example.com", who(f"{name}@example.com")) for name in people),
                alias("MysteryUserX", who("emitchell@example.com")),
            ],
        }
    )
    company.secure(B)
    expected = dict.fromkeys(people, False) | {"asmith": True, "emitchell": True}
    for provider in (PROVIDER, EMAIL):
        assert {name: company.sees(f"{name}@example.com", provider) for name in people} == expected
    assert company.sees("mysteryuserx")
    assert not company.sees(None)
    assert sandbox.viewers("hr", "file://a") == [
        *("MysteryUserX", "asmith@example.com", "emitchell@example.com"),
    ]


def test_edge_rows(sandbox: Sandbox, company: Organization) -> None:
    """Sets that let everybody in or deny, and no set at all."""
    company.expand({"members": [{"identity": who("u")}, {"identity": who("v")}]})
    company.secure([{"allowAnonymous": True}], "file://1")
    company.secure([one_set(denied=[named("u")], anonymous=True)], "file://2")
    company.secure([{"allowAnonymous": True}, one_set([named("u")])], "file://3")
    company.secure([], "file://4")
    sandbox.drain()
    assert [sandbox.viewers("hr", f"file://{number}") for number in range(1, 5)] == [
        *(["anonymous", "u", "v"], ["anonymous", "v"], ["u"], []),
    ]


def test_groups_circles_and_grants(sandbox: Sandbox, company: Organization) -> None:
    """Groups nest, circles end, granted identities count, and each changes what is seen at once."""
    company.expand(
        {
            "members": [
                group("outer", who("inner", "GROUP")),
                group("inner", who("ann"), who("outer", "GROUP")),
                group("Domain Users"),
                {"identity": who("bob"), "wellKnowns": [who("domain users", "GROUP")]},
            ]
        }
    )
    company.secure([one_set([named("outer", "Group"), named("Domain Users", "Group")])])
    sandbox.drain()
    assert sandbox.viewers("hr", "file://a") == ["ann", "bob"]
    company.push_identity({"identity": who("bob")})
    assert not company.sees("bob")
    company.disable({"identity": who("inner", "GROUP")})
    assert not company.sees("ann")
    company.rest("POST", "/securitycache/My%20Security%20Identity%20Provider/disabled/enable")
    assert company.sees("ann")
    company.push_identity(group("inner"))
    assert not company.sees("ann")


def test_case_counts_in_a_case_sensitive_provider(sandbox: Sandbox, company: Organization) -> None:
    """There, two spellings are two identities, also for what an item may name."""
    sandbox.add_security_provider("exact", sources=["hr"], case_sensitive=True)
    company.expand({"members": [group("Team", who("Ann")), group("team", who("bob"))]}, provider="exact")
    company.secure([one_set([named("Team", "Group", securityProvider="exact")])])
    assert [company.sees(name, "exact") for name in ("Ann", "ann", "bob")] == [True, False, False]
    company.secure([one_set([named("TEAM", "Group", securityProvider="exact")])])
    assert "'TEAM' (GROUP) of 'exact' is unknown" in warnings(sandbox)[0]
    assert not company.sees("Ann", "exact")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
def test_the_index_agrees_with_the_pure_evaluation(
    sandbox: Sandbox, company: Organization, random: Any
) -> None:
    """What is pushed over the socket and followed in SQL comes to what decide() says of the same values."""
    sandbox.reset()
    users, groups = [f"u{n}" for n in range(5)], [f"g{n}" for n in range(5)]
    everyone = [*(who(name) for name in users), *(who(name, "GROUP") for name in groups)]

    def some(among: list[Any], most: int) -> list[Any]:
        return list(random.sample(among, random.randint(0, most)))

    content = {
        "members": [
            *({"identity": one, "wellKnowns": some(everyone[5:], 1)} for one in everyone[:5]),
            *(group(name, *some(everyone, 3), wellKnowns=some(everyone[5:], 1)) for name in groups),
        ],
        "mappings": [alias(name, *(who(f"{one}@x.io") for one in some(users, 2))) for name in some(users, 3)],
        "deleted": [],
    }

    def entries() -> list[Any]:
        return [named(one["name"], one["type"]) for one in some(everyone, 2)]

    permissions = [
        level(*(one_set(entries(), entries(), random.random() < 0.3) for _ in range(random.randint(0, 3))))
        for _ in range(random.randint(0, 3))
    ]
    company.expand(content)
    assert company.secure(permissions).ok
    content["deleted"] = [{"identity": one} for one in some(everyone, 2)]
    company.expand({"deleted": content["deleted"]})
    sandbox.drain()
    assert rejected(sandbox) == []
    organization = {"providers": [{"id": PROVIDER, **content}]}
    seen = {
        (name, provider): sandbox.can_see("hr", "file://a", name, provider)
        for name, provider in [*((name, PROVIDER) for name in users), *((f"{n}@x.io", EMAIL) for n in users)]
    }
    for (name, provider), allowed in seen.items():
        assert decide(permissions, {"name": name, "provider": provider}, organization) is allowed
    assert sandbox.can_see("hr", "file://a", None) is decide(permissions, None, organization)


def test_sources_that_are_not_secured(sandbox: Sandbox, company: Organization) -> None:
    """A shared source is for everybody whatever its items say, a private one for its owner only."""
    sandbox.add_source("own", visibility="PRIVATE")
    for source in ("files", "own"):
        company.secure([one_set([named("ann@x.io")])], source=source)
    sandbox.drain()
    assert sandbox.can_see("files", "file://a", None)
    assert sandbox.viewers("files", "file://a") == ["anonymous"]
    assert not sandbox.can_see("own", "file://a", "ann@x.io")
    with pytest.raises(KeyError):
        sandbox.can_see("files", "file://b", None)
    with pytest.raises(KeyError):
        sandbox.viewers("nowhere", "file://a")


def test_the_control_says_by_which_rule(sandbox: Sandbox, company: Organization) -> None:
    """/_sandbox/sources/{id}/who answers for everybody, one user, or the unauthenticated."""
    company.push_identity(group("Team", who("ann")))
    company.secure([one_set([named("Team", "Group")])])
    sandbox.drain()

    def ask(**query: str) -> Any:
        query = {"documentId": "file://a", **query}
        response = company.call("GET", "/_sandbox/sources/hr/who", params=query)
        return response.json() if response.ok else response.status_code

    assert ask() == {"documentId": "file://a", "viewers": ["ann"]}
    verdict = {"documentId": "file://a", "user": "ann", "allowed": True, "level": 0, "rule": "allowed"}
    assert ask(user="ann", provider=PROVIDER) == verdict
    assert ask(user="ann")["rule"] == "unnamed"
    assert ask(user="")["rule"] == "anonymous"
    assert ask(documentId="file://b") == ask(documentId="file://b", user="ann") == 404
    path = f"/_sandbox/providers/{PROVIDER.replace(' ', '%20')}"
    assert [one["name"] for one in company.call("GET", f"{path}/identities").json()] == ["ann", "Team"]
    assert company.call("GET", f"{path}/logs").json()[0]["operation"] == "ADD"
    assert company.call("GET", "/_sandbox/providers/none/logs").status_code == 404
    made = company.call("POST", "/_sandbox/providers", json={"id": "more", "sources": ["hr"]})
    assert made.ok
    assert company.call("POST", "/_sandbox/providers", json={"id": "more"}).status_code == 400
    assert "more" in company.call("GET", "/_sandbox/").json()["securityProviders"]

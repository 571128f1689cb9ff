"""The Push API's calls for security identities (docs 78)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coveo_provider.sandbox import IdentityView, Sandbox
from tests.sandbox.caller import refusal
from tests.sandbox.organization import EMAIL, PROVIDER, Organization, alias, group, who

ROUTES = [
    ("PUT", "/permissions", group("Team")),
    ("PUT", "/mappings", alias("ann")),
    ("DELETE", "/permissions", {"identity": who("ann")}),
    ("PUT", "/permissions/batch", {}),
    ("DELETE", "/permissions/olderthan?orderingId=1500000000000", {}),
]


@pytest.fixture
def company(sandbox: Sandbox) -> Organization:
    return Organization(sandbox)


def by_name(sandbox: Sandbox, provider: str = PROVIDER) -> dict[str, IdentityView]:
    sandbox.drain()
    return {one.name: one for one in sandbox.identities(provider)}


def results(sandbox: Sandbox) -> list[tuple[str, str, str]]:
    sandbox.drain()
    return [(one.operation, one.result, one.id) for one in sandbox.identity_logs(PROVIDER)]


def test_an_identity_with_members_grants_and_information(sandbox: Sandbox, company: Organization) -> None:
    """What a push says is what the provider holds; who is only named is in error."""
    body = {
        "identity": who("Team", "GROUP", additionalInfo={"Department": "R&D"}),
        "members": [who("ann"), who("Sub", "VIRTUAL_GROUP")],
        "wellKnowns": [who("Domain Users", "GROUP")],
    }
    response = company.push_identity(body, orderingId=1_500_000_000_000)
    assert (response.status_code, response.json()) == (202, {})
    held = by_name(sandbox)
    assert held["Team"] == IdentityView(
        "Team",
        "GROUP",
        "UP_TO_DATE",
        members=("Sub", "ann"),
        aliases=(),
        granted=("Domain Users",),
        ordering_id=1_500_000_000_000,
        additional_info={"Department": "R&D"},
    )
    assert [held[name].state for name in ("ann", "Sub", "Domain Users")] == ["IN_ERROR"] * 3
    assert results(sandbox) == [("ADD", "COMPLETED", "Team")]


def test_a_push_replaces_the_stored_version(sandbox: Sandbox, company: Organization) -> None:
    """The member list is always the complete one, and an alias has its own."""
    company.push_identity(group("Team", who("ann"), who("bob"), wellKnowns=[who("All", "GROUP")]))
    company.push_alias(
        {**alias("Team", who("team@x.io")), "identity": who("Team", "GROUP"), "wellKnowns": []}
    )
    company.push_identity(group("team", who("bob"), who("cy")))
    team = by_name(sandbox)["team"]
    assert team.members == ("bob", "cy")
    assert team.granted == ()
    assert team.aliases == ((EMAIL, "team@x.io"),)
    company.push_alias({"identity": who("TEAM", "GROUP")})
    team = by_name(sandbox)["TEAM"]
    assert (team.members, team.aliases) == (("bob", "cy"), ())


def test_the_requests_of_seed_004(sandbox: Sandbox, company: Organization) -> None:
    """Keys may be in any case; an alias names its provider."""
    body = {
        "Identity": {"Name": "alice@example.com", "Type": "USER"},
        "Mappings": [{"Name": "alice@example.com", "Type": "USER", "Provider": EMAIL}],
    }
    assert company.push_alias(body).status_code == 202
    assert by_name(sandbox)["alice@example.com"].aliases == ((EMAIL, "alice@example.com"),)
    assert by_name(sandbox, EMAIL)["alice@example.com"].state == "UP_TO_DATE"


def test_a_batch_of_identities(sandbox: Sandbox, company: Organization) -> None:
    """Good entries of a container count, each bad one is an entry of the log."""
    sandbox.drain()
    content = {
        "Members": [
            group("Team", who("ann")),
            {"identity": who("ann")},
            {"identity": who("old")},
            {"name": 1},
        ],
        "mappings": [alias("ann", who("ann@x.io")), alias("bob", who("bob@x.io", provider="Nowhere"))],
        "deleted": [{"identity": who("old")}, who("ann"), {"identity": who("stranger")}],
    }
    response = company.expand(content)
    assert (response.status_code, response.json()) == (202, {})
    held = by_name(sandbox)
    assert {name: one.state for name, one in held.items()} == {
        "Team": "UP_TO_DATE",
        "ann": "UP_TO_DATE",
        "old": "DISABLED",
    }
    assert [one[:2] for one in results(sandbox)] == [
        ("BATCH_FILE", "COMPLETED"),
        ("ADD", "ERROR"),
        ("MAP", "ERROR"),
        ("DISABLE", "ERROR"),
        ("DISABLE", "SKIPPED"),
    ]


def test_the_entries_of_the_old_sdk(sandbox: Sandbox, company: Organization) -> None:
    """The old SDK: every entry has all lists, members name their own provider, additionalInfo is empty."""

    def expansion(name: str, kind: str, provider: str) -> dict[str, Any]:
        return {"Name": name, "Type": kind, "Provider": provider, "AdditionalInfo": {}}

    content = {
        "Members": [
            {
                "Identity": expansion("RD", "GROUP", PROVIDER),
                "Members": [expansion("wim", "USER", PROVIDER)],
                "Mappings": [],
                "WellKnowns": [],
            }
        ],
        "Mappings": [
            {
                "Identity": expansion("wim", "USER", PROVIDER),
                "Members": [],
                "Mappings": [expansion("wim@coveo.com", "USER", EMAIL)],
                "WellKnowns": [expansion("Everyone", "GROUP", PROVIDER)],
            }
        ],
        "Deleted": [],
    }
    company.expand(content)
    held = by_name(sandbox)
    assert held["RD"].members == ("wim",)
    assert (held["wim"].aliases, held["wim"].granted) == (((EMAIL, "wim@coveo.com"),), ("Everyone",))
    assert results(sandbox)[0][:2] == ("BATCH_FILE", "COMPLETED")
    assert len(results(sandbox)) == 1


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"members": {}}', b'{"identities": [1]}', b'{"members": [], "Members": []}', b"{"],
)
def test_a_bad_container_is_one_error(sandbox: Sandbox, company: Organization, content: bytes) -> None:
    """A container that is not an object of arrays is refused whole, in the log only."""
    assert company.expand(content).status_code == 202
    assert [one[:2] for one in results(sandbox)] == [("BATCH_FILE", "ERROR")]


BAD: list[tuple[str, Any]] = [
    ("members", {}),
    ("members", []),
    ("members", who("ann")),
    ("members", {"identity": "ann"}),
    ("members", {"identity": {"type": "USER"}}),
    ("members", {"identity": {"name": "ann"}}),
    ("members", {"identity": {"name": " ", "type": "USER"}}),
    ("members", {"identity": who("ann", "User")}),
    ("members", {"identity": who("ann", "PERSON")}),
    ("members", {"identity": who("ann", additionalInfo={"age": 5})}),
    ("members", {"identity": who("ann"), "members": [who("bob")]}),
    ("members", group("Team", who("ann", "user"))),
    ("members", group("Team", {"name": "ann"})),
    ("members", group("Team", who("ann", provider="Other"))),
    ("members", {"identity": who("Team", "GROUP"), "members": None}),
    ("members", {"identity": who("Team", "GROUP"), "wellKnowns": [who("", "GROUP")]}),
    ("members", {"identity": who("ann"), "mappings": [who("ann@x.io")]}),
    ("mappings", alias("ann", who("ann@x.io", provider="Other"))),
    ("mappings", alias("ann", who("ann@x.io", provider=PROVIDER))),
    ("mappings", {"identity": who("Team", "GROUP"), "members": [who("ann")]}),
    ("deleted", {}),
    ("deleted", who("ann")),
    ("deleted", {"identity": {"name": "ann"}}),
]


@pytest.mark.parametrize(("section", "body"), BAD, ids=lambda value: json.dumps(value)[:60])
def test_a_bad_identity_is_refused_both_ways(
    sandbox: Sandbox, company: Organization, section: str, body: Any
) -> None:
    """Alone it is 400 INVALID_JSON, in a container one error; java's unwrapped deletion is among them."""
    calls = {"members": company.push_identity, "mappings": company.push_alias, "deleted": company.disable}
    assert refusal(calls[section](body)) == (400, "INVALID_JSON")
    assert company.expand({section: [body], "members" if section != "members" else "mappings": []}).ok
    assert [one[1] for one in results(sandbox)] == ["COMPLETED", "ERROR"]
    assert sandbox.identities(PROVIDER) == []


TEXT = st.sampled_from(["ann", "Team", "USER", "GROUP", "", "\ud800", "\x00", EMAIL, PROVIDER])
KEYS = st.sampled_from(
    [
        *("identity", "members", "mappings", "wellKnowns", "name", "Name", "type", "provider"),
        *(
            "additionalInfo",
            "permissionSets",
            "allowedPermissions",
            "identityType",
            "allowAnonymous",
            "deleted",
        ),
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
        max_leaves=15,
    )
)
def test_any_json_is_answered(sandbox: Sandbox, company: Organization, value: Any) -> None:
    """No body makes the sandbox fail: an identity is taken or refused, a container logged."""
    for call in (company.push_identity, company.push_alias, company.disable):
        assert call(value).status_code in (202, 400)
    assert company.expand({"members": [value], "mappings": [value], "deleted": [value]}).status_code == 202
    assert company.secure(value).status_code in (202, 400)
    assert company.rest("PUT", "/securityproviders/crm", json=value).status_code in (200, 400, 412)
    for path in ("/list", "/crm/entity"):
        response = company.rest("POST", f"/securitycache/entities{path}", json=value)
        assert response.status_code in (200, 400, 404)
    sandbox.drain()


def test_the_provider_of_an_alias(sandbox: Sandbox, company: Organization) -> None:
    """It may be left out when the provider cascades to one other only."""
    sandbox.add_security_provider("none", cascades_to=[])
    sandbox.add_security_provider("two", cascades_to=[EMAIL, PROVIDER])
    bare, full = alias("ann", who("ann@x.io")), alias("ann", who("ann", provider=PROVIDER))
    assert company.push_alias(bare).status_code == 202
    assert refusal(company.push_alias(bare, provider="none")) == (400, "INVALID_JSON")
    assert refusal(company.push_alias(bare, provider="two")) == (400, "INVALID_JSON")
    assert company.push_alias(full, provider="two").status_code == 202
    assert by_name(sandbox, "two")["ann"].aliases == ((PROVIDER, "ann"),)


def test_deleting_disables(sandbox: Sandbox, company: Organization) -> None:
    """A disabled identity stays known as such, and a later push brings it back."""
    company.push_identity(group("Team", who("ann")))
    assert company.disable({"identity": who("TEAM", "GROUP")}).status_code == 202
    assert by_name(sandbox)["Team"].state == "DISABLED"
    company.push_identity(group("Team", who("bob")))
    assert by_name(sandbox)["Team"].state == "UP_TO_DATE"
    company.disable({"identity": who("nobody")})
    assert results(sandbox)[-1] == ("DISABLE", "SKIPPED", "nobody")


def test_orders_do_not_go_down(sandbox: Sandbox, company: Organization) -> None:
    """A lower orderingId gets its 202 and is rejected; an equal one passes."""
    early, late = 1_500_000_000_000, 1_600_000_000_000
    company.push_identity(group("Team", who("ann")), orderingId=late)
    for response in (
        company.push_identity(group("Team"), orderingId=early),
        company.push_alias({"identity": who("Team", "GROUP")}, orderingId=early),
        company.disable({"identity": who("Team", "GROUP")}, orderingId=early),
        company.expand({"members": [group("Team")]}, orderingId=early),
    ):
        assert response.status_code == 202
    assert by_name(sandbox)["Team"].members == ("ann",)
    assert [one[1] for one in results(sandbox)].count("REJECTED") == 4
    company.push_identity(group("Team"), orderingId=late)
    assert by_name(sandbox)["Team"].members == ()


def test_old_identities_are_disabled_after_the_delay(sandbox: Sandbox, company: Organization) -> None:
    """Strictly older ones go when the delay is over; the floor holds at once."""
    mark = sandbox.clock.now_ms()
    company.push_identity({"identity": who("old")}, orderingId=mark - 1)
    company.push_identity({"identity": who("same")}, orderingId=mark)
    company.push_identity(group("new", who("named")))
    assert company.disable_older(mark).status_code == 202
    company.push_identity({"identity": who("late")}, orderingId=mark - 1)
    assert by_name(sandbox)["old"].state == "UP_TO_DATE"
    sandbox.clock.advance(seconds=16 * 60)
    states = {name: one.state for name, one in by_name(sandbox).items()}
    assert states == {"old": "DISABLED", "same": "UP_TO_DATE", "new": "UP_TO_DATE", "named": "IN_ERROR"}
    assert ("ADD", "REJECTED", "late") in results(sandbox)


def test_a_mark_in_the_future_poisons_the_provider(sandbox: Sandbox, company: Organization) -> None:
    """After it every push with the server's own time is rejected, until that time has come."""
    company.push_identity({"identity": who("ann")})
    company.disable_older(sandbox.clock.now_ms() + 3_600_000, queueDelay=0)
    company.push_identity({"identity": who("ann")})
    assert by_name(sandbox)["ann"].state == "DISABLED"
    assert results(sandbox)[-1] == ("ADD", "REJECTED", "ann")
    sandbox.clock.advance(seconds=3601)
    company.push_identity({"identity": who("ann")})
    assert by_name(sandbox)["ann"].state == "UP_TO_DATE"


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_refusals(sandbox: Sandbox, company: Organization, method: str, path: str, body: Any) -> None:
    """No key, a bad one, another organization, a missing privilege, an unknown provider or the e-mail one."""
    full = f"/push/v1/organizations/{{}}/providers/{{}}{path}"
    known, mail, unknown = (name.replace(" ", "%20") for name in (PROVIDER, EMAIL, "No Provider"))
    ours = full.format("sandbox", known)
    assert refusal(company.call(method, ours, json=body, headers={"Authorization": ""})) == (
        401,
        "UNAUTHORIZED",
    )
    bad = Organization(sandbox, key="bad")
    assert refusal(bad.call(method, ours, json=body)) == (401, "INVALID_TOKEN")
    elsewhere = full.format("elsewhere", known)
    assert refusal(company.call(method, elsewhere, json=body)) == (404, "ORGANIZATION_NOT_FOUND")
    sandbox.add_key("items", privileges=["ORGANIZATION:VIEW", "SOURCE:EDIT", "SECURITY_PROVIDER:VIEW"])
    weak = Organization(sandbox, key="items")
    assert refusal(weak.call(method, ours, json=body)) == (403, "ACCESS_DENIED")
    missing = company.call(method, full.format("sandbox", unknown), json=body)
    assert refusal(missing) == (412, "SECURITY_PROVIDER_DOES_NOT_EXIST")
    wrong = company.call(method, full.format("sandbox", mail), json=body)
    assert refusal(wrong) == (412, "INVALID_SECURITY_PROVIDER_ID")
    text = company.call(method, ours, data="{}", headers={"Content-Type": "text/plain"})
    assert refusal(text) == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_parameters(company: Organization) -> None:
    """orderingId has 13 digits and is required for the disabling of old identities, fileId for a batch."""
    assert refusal(company.push_identity(group("Team"), orderingId=5)) == (412, "INVALID_PARAMETER")
    assert refusal(company.identity("PUT", "/permissions/batch")) == (412, "MISSING_PARAMETER")
    assert refusal(company.identity("PUT", "/permissions/batch", fileId="x")) == (412, "INVALID_PARAMETER")
    assert refusal(company.identity("DELETE", "/permissions/olderthan")) == (412, "MISSING_PARAMETER")
    assert refusal(company.disable_older("soon")) == (412, "INVALID_PARAMETER")
    assert refusal(company.disable_older(1_500_000_000_000, queueDelay=-1)) == (412, "INVALID_PARAMETER")


@pytest.mark.slow
def test_a_large_identity_goes_through_a_container(sandbox: Sandbox, company: Organization) -> None:
    """A single request stays under the inline limit; a group of any size fits a container."""
    members = [who(f"user-{number:06d}@example.com") for number in range(100_000)]
    assert company.push_identity(group("Everybody", *members)).status_code == 413
    company.expand({"members": [group("Everybody", *members)]})
    sandbox.drain()
    assert len(by_name(sandbox)["Everybody"].members) == 100_000


def test_identities_outlive_the_sandbox(tmp_path: Any) -> None:
    """With a database, providers, identities, delayed disabling and floors are there after a restart."""
    database = str(tmp_path / "sandbox.db")
    with Sandbox.start(database=database) as sandbox:
        company = Organization(sandbox)
        company.push_identity(group("Team", who("ann")), orderingId=1_500_000_000_000)
        company.disable_older(1_600_000_000_000)
        sandbox.drain()
    with Sandbox.start(database=database) as sandbox:
        company = Organization(sandbox)
        assert by_name(sandbox)["Team"].members == ("ann",)
        company.push_identity({"identity": who("ann")}, orderingId=1_500_000_000_000)
        sandbox.settle()
        assert by_name(sandbox)["Team"].state == "DISABLED"
        assert by_name(sandbox)["ann"].state == "IN_ERROR"
        sandbox.reset()
        assert sandbox.identities(PROVIDER) == []
        assert company.push_identity({"identity": who("ann")}, orderingId=1_500_000_000_000).ok
        assert by_name(sandbox)["ann"].state == "UP_TO_DATE"

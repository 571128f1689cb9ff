"""The platform's calls on security providers, the security cache, and the permissions of an item."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from coveo_provider.sandbox import Sandbox
from tests.sandbox.caller import refusal
from tests.sandbox.organization import EMAIL, PROVIDER, Organization, alias, group, named, one_set, who

NEWER = {
    "id": "crm",
    "displayName": "CRM users",
    "type": "EXPANDED",
    "nodeRequired": False,
    "referencedBy": [{"id": "hr", "type": "SOURCE"}],
    "cascadingSecurityProviders": {"EmailSecurityProvider": {"id": EMAIL, "type": "EMAIL"}},
}
OLDER = {
    "name": "crm",
    "type": "EXPANDED",
    "nodeRequired": False,
    "referencedBy": [{"id": "hr", "type": "SOURCE"}],
    "cascadingSecurityProviders": {EMAIL: {"name": EMAIL, "type": "EMAIL"}},
}


@pytest.fixture
def company(sandbox: Sandbox) -> Organization:
    return Organization(sandbox)


def provider(company: Organization, method: str, name: str, body: Any = None, tail: str = "") -> Any:
    return company.rest(method, f"/securityproviders/{quote(name)}{tail}", json=body)


def test_the_email_provider_is_there(sandbox: Sandbox) -> None:
    """It needs no creation, takes no pushes, and stays."""
    with Sandbox.start() as fresh:
        company = Organization(fresh)
        held = provider(company, "GET", EMAIL).json()
        assert (held["id"], held["type"]) == (EMAIL, "EMAIL")
        assert provider(company, "PUT", EMAIL, {"type": "EXPANDED"}).status_code == 412
        assert provider(company, "DELETE", EMAIL).status_code == 412


@pytest.mark.parametrize("body", [NEWER, OLDER], ids=["docs 85", "2017 docs, older SDK"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_both_bodies_create_by_both_methods(
    sandbox: Sandbox, company: Organization, body: dict[str, Any], method: str
) -> None:
    """The answer is the model; aliases may lead where it cascades to; the source is linked."""
    path = "" if method == "POST" else "/crm"
    response = company.rest(method, f"/securityproviders{path}", json=body)
    assert response.status_code == 200
    model = response.json()
    assert (model["id"], model["type"], model["caseSensitive"]) == ("crm", "EXPANDED", False)
    assert model["referencedBy"] == [{"id": "hr", "type": "SOURCE"}]
    assert [one["id"] for one in model["cascadingSecurityProviders"].values()] == [EMAIL]
    assert ("currentStatus" in model) == (method == "PUT")
    assert company.push_alias(alias("ann", who("ann@x.io")), provider="crm").status_code == 202
    assert company.rest("GET", "/sources/hr").json()["securityProviderReferences"] == [PROVIDER, "crm"]
    parents = provider(company, "GET", EMAIL).json()["referencedBy"]
    assert {"id": "crm", "type": "SECURITY_PROVIDER"} in parents


def test_an_update_puts_new_settings_in_place_of_the_old(sandbox: Sandbox, company: Organization) -> None:
    """A source that is left out of referencedBy is unlinked: merge before you PUT."""
    sandbox.add_source("other", visibility="SECURED")
    provider(company, "PUT", "crm", NEWER)
    provider(company, "PUT", "crm", {**NEWER, "referencedBy": [{"id": "other", "type": "SOURCE"}]})
    references = {
        source: company.rest("GET", f"/sources/{source}").json()["securityProviderReferences"]
        for source in ("hr", "other")
    }
    assert references == {"hr": [PROVIDER], "other": ["crm"]}
    provider(company, "PUT", "crm", {"type": "EXPANDED"})
    assert provider(company, "GET", "crm").json()["cascadingSecurityProviders"] == {}
    response = company.push_alias(alias("ann", who("ann@x.io")), provider="crm")
    assert refusal(response) == (400, "INVALID_JSON")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({**NEWER, "id": "other"}, (400, "INVALID_JSON")),
        ({**OLDER, "name": "other"}, (400, "INVALID_JSON")),
        ({"id": "crm"}, (400, "INVALID_JSON")),
        ({**NEWER, "type": "PUSHED"}, (412, "INVALID_PARAMETER")),
        ({**NEWER, "nodeRequired": "no"}, (400, "INVALID_JSON")),
        ({**NEWER, "referencedBy": {}}, (400, "INVALID_JSON")),
        ({**NEWER, "referencedBy": [{"id": "hr"}]}, (400, "INVALID_JSON")),
        ({**NEWER, "referencedBy": [{"id": "none", "type": "SOURCE"}]}, (412, "INVALID_PARAMETER")),
        ({**NEWER, "cascadingSecurityProviders": {"x": {"id": "none"}}}, (412, "INVALID_PARAMETER")),
        ({**NEWER, "cascadingSecurityProviders": {"x": {}}}, (400, "INVALID_JSON")),
    ],
    ids=range(10),
)
def test_bad_bodies(company: Organization, body: Any, expected: tuple[int, str]) -> None:
    """Nothing is made of a body that is not right."""
    assert refusal(provider(company, "PUT", "crm", body)) == expected
    assert provider(company, "GET", "crm").status_code == 404


def test_case_cannot_change_under_identities(company: Organization) -> None:
    """caseSensitive is settled once there are identities."""
    provider(company, "PUT", "crm", {**NEWER, "caseSensitive": True})
    company.push_identity(group("Team"), provider="crm")
    company.sandbox.drain()
    assert provider(company, "PUT", "crm", NEWER).status_code == 412
    assert provider(company, "PUT", "crm", {**NEWER, "caseSensitive": True}).status_code == 200


def test_deleting(sandbox: Sandbox, company: Organization) -> None:
    """One in use stays; another goes with its identities."""
    provider(company, "PUT", "crm", NEWER)
    company.push_identity(group("Team", who("ann")), provider="crm")
    sandbox.drain()
    assert provider(company, "DELETE", "crm").status_code == 412
    provider(company, "PUT", "crm", {**NEWER, "referencedBy": []})
    assert provider(company, "DELETE", "crm").status_code == 204
    assert provider(company, "DELETE", "crm").status_code == 404
    assert company.rest("POST", "/securityproviders", json=NEWER).status_code == 200
    assert company.rest("POST", "/securityproviders", json=NEWER).status_code == 412
    assert sandbox.identities("crm") == []


def test_listing(company: Organization) -> None:
    """Plain, by pages, and by ids."""
    assert [one["id"] for one in company.rest("GET", "/securityproviders").json()] == [EMAIL, PROVIDER]
    page = company.rest("GET", "/securityproviders/page", params={"filter": "email", "perPage": 1}).json()
    assert (page["totalEntries"], page["totalPages"], page["items"][0]["id"]) == (1, 1, EMAIL)
    found = company.rest("POST", "/securityproviders/batch/filter", json=[PROVIDER, "none"]).json()
    assert [one["id"] for one in found["items"]] == [PROVIDER]
    assert company.rest("POST", "/securityproviders/batch/filter", json={}).status_code == 400


def test_status_counts_by_state(sandbox: Sandbox, company: Organization) -> None:
    """numberOfEntitiesByState tells pushed, disabled and merely named identities apart."""
    content = {"members": [group("Team", who("ann"), who("bob")), {"identity": who("ann")}, group("Old")]}
    company.expand({**content, "deleted": [{"identity": who("Old", "GROUP")}]})
    sandbox.drain()
    held = provider(company, "GET", PROVIDER).json()
    assert held["statistics"] == {
        "numberOfEntitiesByState": {"UP_TO_DATE": 2, "IN_ERROR": 1, "DISABLED": 1},
        "totalNumberOfEntities": 4,
        "numberOfEntitiesInError": 1,
    }
    assert held["currentStatus"]["numberOfEntitiesInError"] == 1
    assert "lastRefreshOperation" not in held
    cache = f"/securitycache/{quote(PROVIDER)}"
    assert company.rest("POST", f"{cache}/refresh").status_code == 204
    assert company.rest("POST", f"{cache}/refresh/cancel").status_code == 204
    assert company.rest("POST", "/securitycache/refresh").status_code == 204
    assert provider(company, "GET", PROVIDER).json()["lastRefreshOperation"]["result"] == "SUCCESS"
    assert company.rest("POST", f"{cache}/disabled/enable").status_code == 204
    summary = company.rest("GET", "/securitycache/status").json()["statistics"]
    assert summary["numberOfEntitiesByState"] == {"UP_TO_DATE": 3, "IN_ERROR": 1}


def test_looking_identities_up(sandbox: Sandbox, company: Organization) -> None:
    """One identity, its groups, its members, and a search."""
    company.expand(
        {
            "members": [
                group("All", who("Team", "GROUP")),
                {
                    **group("Team", who("ann"), who("b_b")),
                    "identity": who("Team", "GROUP", additionalInfo={"k": "v"}),
                },
                {"identity": who("ann")},
            ]
        }
    )
    sandbox.drain()
    entities = f"/securitycache/entities/{quote(PROVIDER)}"

    def post(path: str, name: str, kind: str, **query: Any) -> Any:
        body = {"name": name, "type": kind, "provider": PROVIDER, "infos": []}
        response = company.rest("POST", entities + path, json=body, params=query)
        return response.json() if response.ok else response.status_code

    team = post("/entity", "TEAM", "Group")
    assert (team["name"], team["state"], team["infos"]) == (
        "Team",
        "UP_TO_DATE",
        [{"key": "k", "value": "v"}],
    )
    assert post("/entity", "b_b", "User")["state"] == "IN_ERROR"
    assert post("/entity", "nobody", "User") == 404
    assert post("/entity", "Team", "GROUP") == 400

    def names(page: Any) -> list[str]:
        return [one["name"] for one in page["items"]]

    def find(**body: Any) -> list[str]:
        return names(company.rest("POST", "/securitycache/entities/list", json=body).json())

    assert names(post("/members/parents", "ann", "User")) == ["Team"]
    assert names(post("/members/parents", "ann", "User", recursive="true")) == ["Team", "All"]
    assert names(post("/members/children", "All", "Group")) == ["Team"]
    page = post("/members/children", "All", "Group", recursive="true", pageSize=2, page=1)
    assert (names(page), page["totalEntries"], page["totalPages"]) == (["b_b"], 3, 2)
    assert find(filterTerm="b_") == ["b_b"]
    assert find(filterTerm="EA", filteringMode="SUBSTRING", identityTypes=["GROUP"]) == ["Team"]
    assert find(providerIds=[EMAIL]) == []
    assert find(providerIds=[PROVIDER], identityTypes=["USER"]) == ["ann", "b_b"]
    refresh = {"name": "ann", "type": "User", "provider": PROVIDER}
    assert company.rest("POST", "/securitycache/refresh/entity", json=refresh).status_code == 204


def test_privileges(sandbox: Sandbox, company: Organization) -> None:
    """VIEW reads, CREATE makes and changes, EDIT deletes and refreshes (docs/api-notes.md, "Hosts and keys")."""
    calls = {
        "VIEW": [("GET", "/securityproviders"), ("GET", "/securitycache/status")],
        "CREATE": [("POST", "/securityproviders"), ("PUT", "/securityproviders/crm")],
        "EDIT": [("DELETE", "/securityproviders/crm"), ("POST", "/securitycache/refresh")],
    }
    for level in calls:
        sandbox.add_key(level, privileges=[f"SECURITY_PROVIDER:{level}"])
        key = Organization(sandbox, key=level)
        for needed, some in calls.items():
            for method, path in some:
                status = key.rest(method, path, json={} if method != "GET" else None).status_code
                assert (status == 403) == (needed != level), (level, method, path)


def test_a_source_may_be_made_with_its_providers(company: Organization) -> None:
    """securityProviderReferences of a new source link it; an unknown one is refused."""
    body = {"sourceType": "PUSH", "name": "new", "sourceVisibility": "SECURED", "pushEnabled": True}
    bad = company.rest("POST", "/sources", json={**body, "securityProviderReferences": ["none"]})
    assert refusal(bad) == (412, "INVALID_PARAMETER")
    made = company.rest("POST", "/sources", json={**body, "securityProviderReferences": [PROVIDER]}).json()
    assert made["securityProviderReferences"] == [PROVIDER]
    held = provider(company, "GET", PROVIDER).json()["referencedBy"]
    assert {"id": made["id"], "type": "SOURCE"} in held


def test_the_permissions_of_an_item(sandbox: Sandbox, company: Organization) -> None:
    """The permissions as pushed, with states, and what they come to for the known users."""
    company.expand(
        {
            "members": [group("Team", who("ann"), who("bob"))],
            "mappings": [alias("ann", who("ann@x.io")), alias("bob", who("bob@x.io")), alias("cy")],
        }
    )
    company.secure([one_set([named("Team", "Group")], [named("bob")])])
    company.disable({"identity": who("bob")})
    sandbox.drain()

    def ask(document: str, tail: str = "", **query: Any) -> Any:
        path = f"/indexes/main/documents/{document}/permissions{tail}"
        response = company.rest("GET", path, params=query)
        return response.json() if response.ok else response.status_code

    (level,) = ask(quote("file://a", safe=""))["permissionLevels"]
    (one,) = level["permissionSets"]
    assert one["anonymousAllowed"] is False
    assert one["permissions"] == [
        {
            "allowed": True,
            "identity": "Team",
            "identityType": "GROUP",
            "securityProvider": PROVIDER,
            "state": "UP_TO_DATE",
        },
        {
            "allowed": False,
            "identity": "bob",
            "identityType": "USER",
            "securityProvider": PROVIDER,
            "state": "DISABLED",
        },
    ]
    company.push_alias(alias("bob", who("bob@x.io")))
    sandbox.drain()
    twice = quote(quote("42.31537$file://a", safe=""), safe="")
    page = ask(twice, "/effective")
    found = {(one["identity"], one["securityProvider"]): one["allowed"] for one in page["items"]}
    assert found == {
        ("ann", PROVIDER): True,
        ("ann@x.io", EMAIL): True,
        ("bob", PROVIDER): False,
        ("bob@x.io", EMAIL): False,
    }
    assert (page["anonymousAllowed"], page["totalEntries"]) == (False, 4)
    allowed = ask(twice, "/effective", includedEntities="ALLOWED", perPage=1)
    assert ([one["identity"] for one in allowed["items"]], allowed["totalPages"]) == (["ann"], 2)
    assert ask(twice, "/effective", includedEntities="SOME") == 412
    assert ask("file%3A%2F%2Fb") == 404

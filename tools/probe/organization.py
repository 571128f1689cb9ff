"""Probes of the platform's calls and of identities: sources, statuses, fields, keys, security providers."""

from __future__ import annotations

from typing import Any

import requests

from tools.probe.calls import NotObservable, parsed, said
from tools.probe.record import probe
from tools.probe.service import Service, moment

# -- refusals --------------------------------------------------------------------------------------------------


@probe(
    "What does a push to a source answer that does not exist?",
    section="Errors and retries",
    assumed="412 SOURCE_DOES_NOT_EXIST",
)
def source_unknown(service: Service) -> str:
    path = f"/sources/probe-{service.run}-none/documents"
    return said(service.calls.push("DELETE", path, params={"documentId": service.uri("a")}, json={}))


@probe(
    "A made-up key at an organization that does not exist: which is refused first?",
    section="Errors and retries",
    assumed="401 INVALID_TOKEN",
)
def refusal_order(service: Service) -> str:
    url = f"{service.calls.api}/push/v1/organizations/probe{service.run}none/files"
    made_up = {"Authorization": "Bearer xx00000000-0000-0000-0000-000000000000"}
    return said(service.calls.call("POST", url, json={}, headers=made_up))


# -- sources and statuses --------------------------------------------------------------------------------------


@probe("Is a status taken in small letters?", section="Source status", assumed="412 INVALID_PARAMETER")
def status_case(service: Service) -> str:
    return said(service.set_status("rebuild"))


@probe(
    "Does an active status open a second activity while another runs?",
    section="Source status",
    assumed="FULL_REFRESH, REBUILD",
)
def status_twice(service: Service) -> str:
    for status in ("REBUILD", "REFRESH"):
        service.set_status(status)

    def running() -> str:
        start = service.since_ms / 1000 - 60
        answer = service.calls.rest(
            "POST",
            "/activities/public",
            params={"from": moment(start), "to": moment(start + 6 * 86_400)},
            json={"resourceIds": [service.sources.push], "states": ["EXECUTING"]},
        )
        if not answer.ok:
            raise NotObservable(f"activities cannot be seen: {said(answer)}")
        items = [one for one in answer.json()["items"] if one["resourceId"] == service.sources.push]
        return ", ".join(sorted(one["operation"] for one in items)) or "none"

    try:
        return service.index.until(running, lambda seen: seen == "FULL_REFRESH, REBUILD")
    finally:
        service.set_status("IDLE")


@probe(
    "Does the source's number of documents follow when an item was indexed?",
    section="Source status",
    assumed="one more",
)
def source_count(service: Service) -> str:
    def count() -> int:
        return int(service.source_model(service.sources.push)["information"]["numberOfDocuments"])

    before = service.index.until(count, lambda _: True)
    service.put(service.uri("a"), {"data": "text"})
    service.fate(service.uri("a"))
    after = service.index.until(count, lambda seen: seen == before + 1)
    return "one more" if after == before + 1 else f"{before} before, {after} after"


@probe(
    "Is the call there that lists the key's organizations?",
    section="Fields",
    assumed="200; ours is among them",
)
def organizations_list(service: Service) -> str:
    answer = service.calls.call("GET", f"{service.calls.platform}/rest/organizations")
    listed = parsed(answer)
    ids = [one.get("id") for one in listed] if answer.ok and isinstance(listed, list) else []
    return f"{said(answer)}; ours is {'' if service.calls.organization in ids else 'not '}among them"


@probe(
    "Is the call there that says whether a key has a privilege?",
    section="Fields",
    assumed="200; approved is true",
)
def privilege_evaluate(service: Service) -> str:
    wanted = {"type": "VIEW", "targetDomain": "SOURCE", "targetId": "*", "owner": "PLATFORM"}
    answer = service.calls.call(
        "POST",
        f"{service.calls.platform}/rest/privilege/evaluate",
        json={"requestedPrivilege": wanted, "organizationId": service.calls.organization},
    )
    body = parsed(answer)
    approved = body.get("approved") if isinstance(body, dict) else None
    return f"{said(answer)}; approved is {str(approved).lower()}"


# -- fields ----------------------------------------------------------------------------------------------------


def _model(service: Service, name: str, kind: str = "STRING") -> dict[str, str]:
    return {"name": service.field(name), "type": kind}


def _taken(service: Service) -> None:
    """Have a field whose name is taken."""
    answer = service.call_fields("POST", "", "taken", json=_model(service, "taken"))
    if answer.status_code in (401, 403):
        raise NotObservable(f"no fields can be made: {said(answer)}")


def _create_beside_taken(service: Service, path: str) -> requests.Response:
    """Make two fields in one batch, of which one is there already."""
    _taken(service)
    models = [_model(service, "other"), _model(service, "taken")]
    return service.call_fields("POST", path, "other", "taken", json=models)


def _there(service: Service, name: str) -> str:
    there = service.call_fields("GET", f"/{service.field(name)}").ok
    return "there" if there else "not there"


@probe(
    "What does making a field answer whose name is taken?",
    section="Fields",
    assumed="412 FIELD_ALREADY_EXISTS",
)
def field_taken(service: Service) -> str:
    _taken(service)
    return said(service.call_fields("POST", "", "taken", json=_model(service, "taken")))


@probe(
    "Is a batch of fields, one of them taken, carried out whole or not at all?",
    section="Fields",
    assumed="412 FIELD_ALREADY_EXISTS; the other is not there",
)
def fields_batch(service: Service) -> str:
    answer = _create_beside_taken(service, "/batch/create")
    found = f"{said(answer)}; the other is {_there(service, 'other')}"
    service.call_fields("DELETE", f"/{service.field('other')}")
    return found


@probe(
    "Does the batch with results take each field by itself?",
    section="Fields",
    assumed="200; SUCCESS, ERROR; the other is there",
)
def fields_batch_results(service: Service) -> str:
    answer = _create_beside_taken(service, "/batch/create/results")
    body: Any = parsed(answer) or {}
    results = ", ".join(one["operationResult"] for one in body.get("batchOperationResourcesStatus", ()))
    found = f"{said(answer)}; {results}; the other is {_there(service, 'other')}"
    service.call_fields("DELETE", f"/{service.field('other')}")
    return found


@probe("Can the type of a field be changed?", section="Fields", assumed="400 INVALID_JSON")
def field_type(service: Service) -> str:
    _taken(service)
    path = f"/{service.field('taken')}"
    return said(service.call_fields("PUT", path, json=_model(service, "taken", "DATE")))


@probe(
    "Is a name with capitals refused when a field is made, and found when it is asked for?",
    section="Fields",
    assumed="made: 400 INVALID_JSON; asked for: 200",
)
def field_capitals(service: Service) -> str:
    _taken(service)
    model = {**_model(service, "capital"), "name": service.field("capital").upper()}
    made = service.call_fields("POST", "", "capital", json=model)
    asked = service.call_fields("GET", f"/{service.field('taken').upper()}")
    return f"made: {said(made)}; asked for: {said(asked)}"


@probe(
    "Is the older call there that lists fields by pages?",
    section="Fields",
    assumed="200; items, totalEntries, totalPages",
)
def fields_page(service: Service) -> str:
    answer = service.calls.rest("GET", "/indexes/page/fields", params={"page": 0, "perPage": 1})
    body = parsed(answer)
    return f"{said(answer)}; {', '.join(sorted(body)) if isinstance(body, dict) else 'no object'}"


# -- identities and security providers -------------------------------------------------------------------------


@probe(
    "What does pushing an identity to a provider answer that does not exist?",
    section="Errors and retries",
    assumed="412",
)
def provider_unknown(service: Service) -> str:
    body = {"identity": {"name": "probe@example.com", "type": "USER"}}
    answer = service.identity("PUT", f"probe-{service.run}-none", "/permissions", body)
    return str(answer.status_code)


@probe(
    "What does making a security provider by POST answer that exists?",
    section="Security identities",
    assumed="412 INVALID_PARAMETER",
)
def provider_twice(service: Service) -> str:
    with service.provider() as name:
        return said(service.calls.rest("POST", "/securityproviders", json=service.provider_model(name)))


@probe(
    "What does deleting a security provider answer that a source is linked to?",
    section="Security identities",
    assumed="412 INVALID_PARAMETER",
)
def provider_in_use(service: Service) -> str:
    with service.provider() as name:
        return said(service.calls.rest("DELETE", f"/securityproviders/{name}"))


@probe(
    "What does looking up an identity answer that nobody pushed or named?",
    section="Security identities",
    assumed="404",
)
def identity_unknown(service: Service) -> str:
    with service.provider() as name:
        who = {"name": "nobody@example.com", "type": "User", "provider": name}
        path = f"/securitycache/entities/{name}/entity"
        return str(service.calls.rest("POST", path, json=who).status_code)


@probe(
    "Is the type of an identity taken in the spelling of an item's permissions?",
    section="Security identities",
    assumed="USER 202; User 400 INVALID_JSON",
)
def identity_type(service: Service) -> str:
    with service.provider() as provider:
        answers = {
            kind: service.identity(
                "PUT", provider, "/permissions", {"identity": {"name": "probe@example.com", "type": kind}}
            )
            for kind in ("USER", "User")
        }
    return "; ".join(f"{kind} {said(answer)}" for kind, answer in answers.items())


@probe(
    "Does an alias, pushed after a group, leave the group's members?",
    section="Security identities",
    assumed="202; 202; member@example.com",
)
def identity_then_alias(service: Service) -> str:
    group = {"name": f"group-{service.run}", "type": "GROUP"}
    member = {"name": "member@example.com", "type": "USER"}
    alias = {"name": f"alias-{service.run}@example.com", "type": "USER"}
    with service.provider() as provider:
        path = f"/securitycache/entities/{provider}/members/children"
        pushed = [
            service.identity("PUT", provider, "/permissions", {"identity": group, "members": [member]}),
            service.identity("PUT", provider, "/mappings", {"identity": group, "mappings": [alias]}),
        ]

        def members() -> str:
            answer = service.calls.rest("POST", path, json={"name": group["name"], "type": "Group"})
            if answer.status_code in (401, 403):
                raise NotObservable(f"the security cache cannot be seen: {said(answer)}")
            body = parsed(answer)
            items = body.get("items", ()) if isinstance(body, dict) else ()
            return ", ".join(sorted(one["name"] for one in items)) or "no members"

        found = service.index.until(members, lambda seen: seen == "member@example.com")
    return "; ".join([*map(said, pushed), found])

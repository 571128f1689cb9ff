"""Requests to the platform and to the logs, and the sandbox's answers, against Coveo's other descriptions."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
import requests

from coveo_provider.api.client import CoveoClient
from coveo_provider.sandbox import Answer, Sandbox
from coveo_provider.sandbox.http.routing import ROUTES
from tests.contract.descriptions import PLATFORM_FILES, platform, platform_of
from tests.contract.recorder import Recorder
from tests.contract.uses import ALIAS, EMAIL, GROUP, PLATFORM_USES, PROVIDER, PROVIDER_MODEL, Use, container

# Served by the sandbox after Coveo's clients: no published description has them.
UNDESCRIBED = {
    ("GET", "/rest/organizations"),
    ("GET", "/rest/organizations/{org}"),
    ("GET", "/rest/organizations/{org}/indexes/page/fields"),
    ("POST", "/rest/privilege/evaluate"),
    ("GET", "/oauth/check_token"),
    ("POST", "/oauth/check_token"),
    ("GET", "/rest/organizations/{org}/status"),
    ("GET", "/rest/organizations/{org}/privileges"),
    ("GET", "/rest/organizations/{org}/privileges/me"),
    ("GET", "/rest/organizations/{org}/license"),
    ("GET", "/rest/organizations/{org}/limits"),
    ("GET", "/rest/organizations/{org}/limits/{section}"),
    ("GET", "/rest/organizations/{org}/limits/{section}/{limit}"),
    ("GET", "/rest/organizations/{org}/limits/{section}/{limit}/history"),
    ("GET", "/rest/organizations/{org}/sources/{source}/light"),
    ("GET", "/rest/organizations/{org}/sources/{source}/raw"),
    ("PUT", "/rest/organizations/{org}/sources/{source}/raw"),
    ("POST", "/rest/organizations/{org}/sources/{source}/pushRefresh"),
    ("POST", "/rest/organizations/{org}/sources/{source}/rebuild"),
    ("POST", "/rest/organizations/{org}/sources/{source}/fullRefresh"),
    ("POST", "/rest/organizations/{org}/sources/{source}/incrementalRefresh"),
    ("GET", "/rest/organizations/{org}/sources/{source}/mappings"),
    ("PUT", "/rest/organizations/{org}/sources/{source}/mappings"),
    ("GET", "/rest/organizations/{org}/sources/{source}/mappings/common/rules"),
    ("POST", "/rest/organizations/{org}/sources/{source}/mappings/common/rules"),
    ("PUT", "/rest/organizations/{org}/sources/{source}/mappings/common/rules/{rule}"),
    ("POST", "/rest/organizations/{org}/activities/public"),
    ("GET", "/rest/organizations/{org}/activities/{activity}"),
    ("GET", "/rest/organizations/{org}/indexes/{index}/documents/{document}/permissions"),
    ("GET", "/rest/organizations/{org}/indexes/{index}/documents/{document}/permissions/effective"),
}
ORGANIZATION = "/rest/organizations/sandbox"
CACHE = f"{ORGANIZATION}/securitycache"
MEMBER = {"name": "HR", "type": "Group", "provider": "My Directory", "infos": []}
PROVIDERS = f"{ORGANIZATION}/securityproviders"
FIELDS = f"{ORGANIZATION}/indexes/fields"
FIELD = {"name": "price", "type": "DOUBLE", "facet": True}
LOGS = "/logs/v1/organizations/sandbox?from=2020-01-01T00:00:00Z&to=2020-01-02T00:00:00Z"

CALLS: tuple[tuple[str, str, Any], ...] = (
    ("GET", f"{ORGANIZATION}/sources", None),
    ("GET", f"{ORGANIZATION}/sources/pages?page=0&perPage=1", None),
    ("GET", f"{ORGANIZATION}/sources/hr", None),
    (
        *("POST", f"{ORGANIZATION}/sources"),
        {"sourceType": "PUSH", "name": "New", "sourceVisibility": "SHARED", "pushEnabled": True},
    ),
    (
        *("PUT", f"{ORGANIZATION}/sources/hr?rebuild=false&updateSecurityProviders=true"),
        {"sourceType": "PUSH", "name": "hr", "mappings": [{"fieldName": "color", "rules": ["%[colour]"]}]},
    ),
    ("DELETE", f"{ORGANIZATION}/sources/products", None),
    ("GET", PROVIDERS, None),
    ("GET", f"{PROVIDERS}/page?page=0&perPage=10", None),
    ("POST", f"{PROVIDERS}/batch/filter", ["My Directory"]),
    ("GET", f"{PROVIDERS}/My%20Directory", None),
    ("POST", PROVIDERS, {**PROVIDER_MODEL, "id": "Another"}),
    ("PUT", f"{PROVIDERS}/Another", {**PROVIDER_MODEL, "id": "Another"}),
    ("DELETE", f"{PROVIDERS}/Unused", None),
    ("GET", f"{CACHE}/status", None),
    ("POST", f"{CACHE}/refresh", {}),
    ("POST", f"{CACHE}/refresh/entity", MEMBER),
    ("POST", f"{CACHE}/disabled/enable", {}),
    ("POST", f"{CACHE}/entities/list?page=0&perPage=10", {"filterTerm": "H", "filteringMode": "PREFIX"}),
    ("POST", f"{CACHE}/entities/My%20Directory/entity", MEMBER),
    ("POST", f"{CACHE}/entities/My%20Directory/members/parents", {**MEMBER, "name": "ann", "type": "User"}),
    ("POST", f"{CACHE}/entities/My%20Directory/members/children?recursive=true", MEMBER),
    ("POST", f"{CACHE}/My%20Directory/refresh", {}),
    ("POST", f"{CACHE}/My%20Directory/refresh/cancel", {}),
    ("POST", f"{CACHE}/My%20Directory/disabled/enable", {}),
    ("GET", f"{FIELDS}/color", None),
    ("POST", FIELDS, FIELD),
    ("PUT", f"{FIELDS}/color", {"name": "color", "type": "STRING", "sort": True}),
    ("DELETE", f"{FIELDS}/color", None),
    ("POST", f"{FIELDS}/search", {"filters": {"name": "col", "origin": "USER"}, "perPage": 5}),
    ("POST", f"{FIELDS}/batch/create", [FIELD]),
    ("POST", f"{FIELDS}/batch/create/results", [FIELD, {"name": "color", "type": "STRING"}]),
    ("PUT", f"{FIELDS}/batch/update", [{"name": "color", "type": "STRING"}]),
    ("PUT", f"{FIELDS}/batch/update/results", [{"name": "color", "type": "STRING"}, FIELD]),
    ("DELETE", f"{FIELDS}/batch/delete?fields=color,width", None),
    ("DELETE", f"{FIELDS}/batch/delete/results?fields=color,none", None),
    ("POST", LOGS, {}),
    ("POST", LOGS.replace("?", "/facets?"), {"sourcesIds": ["files"]}),
    ("POST", LOGS.replace("?", "/facetsStats?"), {"results": ["ERROR", "REJECTED"]}),
)


@pytest.fixture
def filled(sandbox: Sandbox, client: CoveoClient, recorder: Recorder) -> Sandbox:
    """A sandbox with items, identities, an activity and log entries of a day in 2020."""
    sandbox.add_security_provider("Unused")
    sandbox.state.fields.create([{"name": name, "type": "STRING"} for name in ("color", "width")])
    sandbox.add_source("old", kind="PUSH", providers=[EMAIL])
    client.push_identities(PROVIDER, container(client, {"members": [GROUP], "mappings": [ALIAS]}))
    client.put_item("files", "file://a", b'{"data": "x"}')
    client.put_item("hr", "file://b", b'{"data": "x"}')  # without permissions: an ERROR in the log
    client.set_source_status("files", "REBUILD")
    sandbox.settle()
    recorder.clear()
    return sandbox


@pytest.mark.parametrize("use", PLATFORM_USES, ids=lambda use: use.method)
def test_a_call_of_the_client_is_as_described(
    filled: Sandbox, client: CoveoClient, recorder: Recorder, use: Use
) -> None:
    """Requests and answers of what the client asks of the platform are valid."""
    use.prepare(client)()
    assert recorder.exchanges
    for exchange in recorder.exchanges:
        assert platform_of(exchange).request_errors(exchange) == [], exchange
        assert platform_of(exchange).answer_errors(exchange) == [], exchange


@pytest.mark.parametrize(("method", "target", "body"), CALLS)
def test_what_the_sandbox_serves_is_as_described(
    filled: Sandbox, client: CoveoClient, recorder: Recorder, method: str, target: str, body: Any
) -> None:
    """Every answer of the sandbox for the platform and the logs is valid."""
    if "/Another" in target:
        client.create_security_provider({**PROVIDER_MODEL, "id": "Another"})
    send(recorder, filled, method, target, body)
    exchange = recorder.exchanges[-1]
    assert exchange.status < 300, exchange.answer
    assert platform_of(exchange).request_errors(exchange) == []
    assert platform_of(exchange).answer_errors(exchange) == []


def test_the_logs_hold_what_is_validated(filled: Sandbox, recorder: Recorder) -> None:
    """With entries of every kind the answers are valid as well, and refusals and a 504 are described."""
    now = filled.clock.now_ms() // 1000
    window = f"from={stamp(now - 3_600)}&to={stamp(now + 3_600)}"
    for target in (f"?perPage=50&{window}", f"/facets?{window}", f"/facetsStats?{window}"):
        send(recorder, filled, "POST", f"/logs/v1/organizations/sandbox{target}", {})
        assert b"INDEXING" in recorder.exchanges[-1].answer
    send(recorder, filled, "POST", "/logs/v1/organizations/sandbox", {})
    filled.faults.add(action=Answer(504, '{"message": "Endpoint request timed out"}'))
    send(recorder, filled, "POST", LOGS, {})
    assert [one.status for one in recorder.exchanges] == [200, 200, 200, 412, 504]
    for exchange in recorder.exchanges:
        assert platform_of(exchange).answer_errors(exchange) == [], exchange


def test_every_route_is_described_or_known_not_to_be() -> None:
    """No call the sandbox serves for the platform or the logs is left out of the tests above."""
    asked = {
        one.call_of(method, target.partition("?")[0])
        for method, target, _ in CALLS
        for one in map(platform, PLATFORM_FILES)
    }
    assert len(asked - {None}) == len(CALLS)
    served = {(one.method, "/" + "/".join(one.pattern)) for one in ROUTES if one.pattern[0] != "push"}
    assert served >= UNDESCRIBED
    assert len(served - UNDESCRIBED) == len(CALLS)


def test_a_wrong_answer_is_found(filled: Sandbox, recorder: Recorder) -> None:
    """Types, enums and unknown keys are looked at in these descriptions as well."""
    for method, target, wrong in (
        ("GET", f"{ORGANIZATION}/sources/files", b'{"sourceType": "SHOP"}'),
        ("GET", f"{ORGANIZATION}/sources/files", b'{"pushEnabled": "yes"}'),
        ("GET", f"{ORGANIZATION}/sources/files", b'{"shoeSize": 5}'),
        ("GET", f"{PROVIDERS}/My%20Directory", b'{"type": 5}'),
        ("POST", LOGS, b'{"documentLogEntries": [{"task": "WALKING"}]}'),
        ("POST", LOGS, b'{"documentLogEntries": [{"datetime": "yesterday"}]}'),
    ):
        send(recorder, filled, method, target, None if method == "GET" else {})
        exchange = recorder.exchanges[-1]
        assert platform_of(exchange).answer_errors(exchange) == []
        assert platform_of(exchange).answer_errors(replace(exchange, answer=wrong)), wrong


def send(recorder: Recorder, sandbox: Sandbox, method: str, target: str, body: Any) -> None:
    with requests.Session() as session:
        session.trust_env = False
        headers = {"Authorization": f"Bearer {sandbox.api_key}"}
        session.request(method, recorder.url + target, json=body, headers=headers, timeout=30)


def stamp(seconds: int) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

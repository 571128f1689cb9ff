"""What a client asks about its key, and about how much the organization may use."""

from __future__ import annotations

from typing import Any

import pytest

from coveo_provider.sandbox import Sandbox
from coveo_provider.sandbox.service.quotas import Quotas
from tests.sandbox.caller import Caller, refusal

CHECK = "/oauth/check_token"
SECTIONS = ("/limits", "/limits/content", "/limits/content/push_calls_per_day", "/license")


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("POST", {"files": {"token": (None, "sandbox-key")}}),
        ("POST", {"files": {"other": ("name.txt", b"\xff"), "token": (None, "sandbox-key")}}),
        ("POST", {"data": {"token": "sandbox-key"}}),
        ("POST", {"params": {"token": "sandbox-key"}}),
        ("GET", {"params": {"token": "sandbox-key"}}),
    ],
)
def test_a_token_is_checked(caller: Caller, method: str, options: dict[str, Any]) -> None:
    """In a form of either type, as the CLI sends it, or in the query."""
    answer = caller.call(method, CHECK, **options)
    assert (answer.status_code, answer.json()["authentication"]["username"]) == (200, "sandbox")


def test_a_token_that_is_none(sandbox: Sandbox, caller: Caller) -> None:
    """An unknown one is not the caller's own refusal; none at all is a parameter that is missing."""
    unknown = {"files": {"token": (None, "nobody's")}}
    assert refusal(caller.call("POST", CHECK, **unknown)) == (400, "INVALID_TOKEN")
    assert refusal(caller.call("POST", CHECK)) == (412, "MISSING_PARAMETER")
    assert (
        refusal(caller.call("POST", CHECK, data=b"\x00", headers={"Content-Type": "multipart/form-data"}))[0]
        == 412
    )
    assert refusal(Caller(sandbox, key="nobody's").call("POST", CHECK, **unknown)) == (401, "INVALID_TOKEN")


def test_limits_tell_what_is_used() -> None:
    """Of the quotas that are on, as they are counted now."""
    with Sandbox.start(quotas=Quotas(push_calls_per_day=5, organization_items=10)) as sandbox:
        caller = Caller(sandbox)
        caller.put("file://a")
        caller.put("file://b")
        sandbox.settle()
        limits = caller.rest("GET", "/limits").json()
        assert {name: (one["limit"], one["actualCount"]) for name, one in limits["content"].items()} == {
            "push_calls_per_day": (5, 2),
            "organization_items": (10, 2),
        }
        assert caller.rest("GET", "/limits/content").json().keys() == limits["content"].keys()
        one = caller.rest("GET", "/limits/content/organization_items").json()
        assert (one["limit"], one["actualCount"]) == (10, 2)
        history = "/limits/content/organization_items/history"
        assert [point["limitValue"] for point in caller.rest("GET", history).json()] == [10]
        assert caller.rest("GET", history, params={"to": "2020-01-01T00:00:00Z"}).json() == []
        for path in ("/limits/none", "/limits/none/organization_items", "/limits/content/loads_per_day"):
            assert refusal(caller.rest("GET", path)) == (404, "NOT_FOUND")


def test_without_quotas_there_are_no_limits(caller: Caller) -> None:
    """What is without bound is left out."""
    assert caller.rest("GET", "/limits").json() == {"content": {}}


def test_the_license_names_types_of_sources(caller: Caller) -> None:
    """Those the sandbox has."""
    license_model = caller.rest("GET", "/license").json()
    assert [(one["type"], one["allowed"]) for one in license_model["connectors"]] == [
        ("PUSH", True),
        ("CATALOG", True),
    ]


def test_limits_need_a_privilege(sandbox: Sandbox) -> None:
    """That to view the organization."""
    sandbox.add_key("weak", privileges=["SOURCE:VIEW"])
    for path in SECTIONS:
        assert refusal(Caller(sandbox, key="weak").rest("GET", path)) == (403, "ACCESS_DENIED")


def test_a_key_is_told_its_privileges(sandbox: Sandbox, caller: Caller) -> None:
    """Its own, and all that there are; the organization is well."""
    sandbox.add_key("looks", privileges=["ORGANIZATION:VIEW", "SOURCE:VIEW"])

    def told(key: str, path: str) -> set[tuple[str, str, str]]:
        found = Caller(sandbox, key=key).rest("GET", path).json()
        return {(one["owner"], one["targetDomain"], one["type"]) for one in found}

    own = {("PLATFORM", "ORGANIZATION", "VIEW"), ("PLATFORM", "SOURCE", "VIEW")}
    assert told("looks", "/privileges/me") == own
    assert told("looks", "/privileges") > own
    assert told(sandbox.api_key, "/privileges/me") == told("looks", "/privileges")
    assert caller.rest("GET", "/status").json()["status"] == "HEALTHY"

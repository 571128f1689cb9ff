"""The platform's calls on the organization and the activities of its sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coveo_provider.sandbox.service.errors import invalid_json, invalid_parameter, not_found

if TYPE_CHECKING:
    from collections.abc import Callable

    from coveo_provider.sandbox.calls.request import Request
    from coveo_provider.sandbox.service.records import Activity
    from coveo_provider.sandbox.service.state import State

_MONTH_MS = 31 * 24 * 3600 * 1000


def get_organization(state: State, request: Request) -> object:
    """Say which organization answers."""
    return {"id": state.organization_id, "displayName": f"Sandbox organization {state.organization_id}"}


def list_organizations(state: State, request: Request) -> object:
    """List the organizations the key belongs to: the one there is."""
    return [get_organization(state, request)]


def get_status(state: State, request: Request) -> object:
    """Say how the organization does, as the platform client's model has it: well, as ever."""
    return {
        "errorCodes": [],
        "lifeCycleState": "ACTIVE",
        "pauseState": "ACTIVE",
        "paused": False,
        "provisioningStatus": {
            "currentProvisioningProgress": 100,
            "initialProvisioningDone": True,
            "ongoing": False,
            "status": "HEALTHY",
        },
        "readOnly": False,
        "status": "HEALTHY",
        "supportActivated": False,
    }


def list_activities(state: State, request: Request) -> object:
    """List activities, newest first; the window is 31 days at most."""
    paging = request.paging()
    start, end = request.moment_ms("from"), request.moment_ms("to")
    if start is not None and end is not None and not 0 <= end - start <= _MONTH_MS:
        raise invalid_parameter("to", "it must be within 31 days after 'from'.")
    body = request.json(state.limits.request_bytes)
    operations, states, sources = (_wanted(body, key) for key in ("operations", "states", "resourceIds"))
    activities = [
        _activity(state, one)
        for one in reversed(state.sources.activities())
        if (start or 0) <= one.start_ms <= (one.start_ms if end is None else end)
        and operations(one.operation)
        and states(one.state)
        and sources(one.source_id)
    ]
    return paging.answer(activities)


def get_activity(state: State, request: Request) -> object:
    """Describe one activity."""
    for one in state.sources.activities():
        if one.id == request.values["activity"]:
            return _activity(state, one)
    raise not_found("There is no such activity.")


def _activity(state: State, one: Activity) -> dict[str, Any]:
    source = state.sources.get(one.source_id)
    described: dict[str, Any] = {
        "id": one.id,
        "operation": one.operation,
        "state": one.state,
        "createDate": one.start_ms,
        "startDate": one.start_ms,
        "progress": 0.0 if one.end_ms is None else 1.0,
        "resourceId": one.source_id,
        "resourceName": source.name if source else "",
        "resourceType": "SOURCE",
        "section": "CONTENT",
        "organizationId": state.organization_id,
    }
    if one.end_ms is not None:
        described.update(endDate=one.end_ms, result="SUCCESS", duration=(one.end_ms - one.start_ms) // 1000)
    return described


def _wanted(body: dict[str, Any], key: str) -> Callable[[str], bool]:
    """Read a filter, an array of values; left out or empty it lets everything pass."""
    values = body.get(key) or []
    if not isinstance(values, list):
        raise invalid_json(f"'{key}' is an array.")
    return lambda value: not values or value in values

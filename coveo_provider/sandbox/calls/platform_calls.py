"""The platform's calls on the organization, its sources and their activities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coveo_provider.sandbox.service.clock import iso
from coveo_provider.sandbox.service.errors import invalid_json, invalid_parameter, not_found
from coveo_provider.sandbox.service.sources import OPERATIONS, SOURCE_KINDS, VISIBILITIES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coveo_provider.sandbox.calls.request import Request
    from coveo_provider.sandbox.service.records import Activity
    from coveo_provider.sandbox.service.sources import Source
    from coveo_provider.sandbox.service.state import State

_MONTH_MS = 31 * 24 * 3600 * 1000


def get_organization(state: State, request: Request) -> object:
    """Say which organization answers."""
    return {"id": state.organization_id, "displayName": f"Sandbox organization {state.organization_id}"}


def list_organizations(state: State, request: Request) -> object:
    """List the organizations the key belongs to: the one there is."""
    return [get_organization(state, request)]


def evaluate_privilege(state: State, request: Request) -> object:
    """Say whether the key has a privilege, as a client asks before its work; no published page has the call."""
    body = request.json(state.limits.request_bytes)
    wanted = body.get("requestedPrivilege")
    if type(wanted) is not dict or not all(type(wanted.get(key)) is str for key in ("targetDomain", "type")):
        raise invalid_json("'requestedPrivilege' has a targetDomain and a type.")
    held = state.keys.privileges(request.headers["Authorization"].split()[1]) or frozenset()
    here = body.get("organizationId") in (None, state.organization_id)
    return {"approved": here and f"{wanted['targetDomain']}:{wanted['type']}" in held}


def list_sources(state: State, request: Request) -> object:
    """List all sources."""
    return [describe(state, source) for source in state.sources.listed()]


def page_sources(state: State, request: Request) -> object:
    """List sources by pages, sorted by name; ``filter`` needs two characters to be applied."""
    paging = request.paging()
    wanted = request.query.get("filter", "").lower()
    sources = sorted(
        (one for one in state.sources.listed() if len(wanted) < 2 or wanted in one.name.lower()),
        key=lambda one: one.name.lower(),
        reverse=request.query.get("sortingOrder") == "DESC",
    )
    return paging.answer([describe(state, one) for one in sources], key="sourceModels")


def get_source(state: State, request: Request) -> object:
    """Describe one source."""
    return describe(state, _source(state, request))


def create_source(state: State, request: Request) -> object:
    """Create a Push or Catalog source, with the bodies official clients send."""
    body = request.json(state.limits.request_bytes)
    name = body.get("name")
    if not isinstance(name, str) or not name.strip():
        raise invalid_json("'name' is required and is a string.")
    kind = _one_of(body, "sourceType", SOURCE_KINDS)
    visibility = _one_of(body, "sourceVisibility", VISIBILITIES, default="SECURED")
    push, stream = (_flag(body, key) for key in ("pushEnabled", "streamEnabled"))
    if any(source.name == name for source in state.sources.listed()):
        raise invalid_parameter("name", f"a source named '{name}' exists.")
    source = state.sources.add(
        name,
        kind=kind,
        visibility=visibility,
        push_enabled=push,
        stream_enabled=stream,
        providers=_references(state, body),
    )
    return describe(state, source)


def delete_source(state: State, request: Request) -> object:
    """Delete a source with everything in it."""
    state.remove_source(_source(state, request))
    return {}


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


def describe(state: State, source: Source) -> dict[str, Any]:
    """Give a source as ``SourceModel``."""
    return {
        "sourceType": source.kind,
        "id": source.id,
        "name": source.name,
        "owner": "sandbox",
        "createdDate": iso(source.created_ms),
        "sourceVisibility": source.visibility,
        "pushEnabled": source.push_enabled,
        "streamEnabled": source.stream_enabled,
        "onPremisesEnabled": False,
        "securityProviderReferences": list(source.providers),
        "resourceId": source.id,
        "information": {
            "sourceStatus": _status(state, source),
            "rebuildRequired": False,
            "rebuildRequiredReasons": [],
            "numberOfDocuments": source.item_count,
            "documentsTotalSize": 0,
        },
    }


def _status(state: State, source: Source) -> dict[str, Any]:
    running = source.status in OPERATIONS
    kind = "REFRESHING" if running else ("IDLE" if source.status else "PUSH_READY")
    status: dict[str, Any] = {
        "type": kind,
        "extendedCurrentStatus": kind,
        "timestamp": iso(source.status_ms or source.created_ms),
        "numberOfDocuments": source.item_count,
        "numberOfProcessedDocuments": 0,
    }
    if running and source.status:
        status["refreshType"] = OPERATIONS[source.status]
    return status


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


def _source(state: State, request: Request) -> Source:
    source = state.sources.get(request.values["source"])
    if source is None or source.kind not in SOURCE_KINDS:
        raise not_found(f"The source '{request.values['source']}' does not exist.")
    return source


def _one_of(body: dict[str, Any], key: str, values: Sequence[str], default: str | None = None) -> str:
    value = body.get(key, default)
    if not isinstance(value, str) or value not in values:
        raise invalid_json(f"'{key}' must be one of {', '.join(values)} here.")
    return value


def _flag(body: dict[str, Any], key: str) -> bool:
    value = body.get(key, False)
    if not isinstance(value, bool):
        raise invalid_json(f"'{key}' is true or false.")
    return value


def _references(state: State, body: dict[str, Any]) -> list[str]:
    providers = body.get("securityProviderReferences") or []
    if not isinstance(providers, list) or not all(isinstance(one, str) for one in providers):
        raise invalid_json("'securityProviderReferences' is an array of strings.")
    if unknown := [one for one in providers if state.providers.get(one) is None]:
        raise invalid_parameter("securityProviderReferences", f"there is no '{unknown[0]}'.")
    return list(dict.fromkeys(providers))


def _wanted(body: dict[str, Any], key: str) -> Callable[[str], bool]:
    """Read a filter, an array of values; left out or empty it lets everything pass."""
    values = body.get(key) or []
    if not isinstance(values, list):
        raise invalid_json(f"'{key}' is an array.")
    return lambda value: not values or value in values

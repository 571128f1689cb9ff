"""The platform's calls on sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coveo_provider.sandbox.service import mappings
from coveo_provider.sandbox.service.clock import iso
from coveo_provider.sandbox.service.errors import ApiError, invalid_json, invalid_parameter, not_found
from coveo_provider.sandbox.service.sources import OPERATIONS, SOURCE_KINDS, VISIBILITIES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coveo_provider.sandbox.calls.request import Request
    from coveo_provider.sandbox.service.sources import Source
    from coveo_provider.sandbox.service.state import State


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
    return describe(state, find(state, request))


def create_source(state: State, request: Request) -> object:
    """Create a Push or Catalog source, with the bodies official clients send."""
    body = request.json(state.limits.request_bytes)
    name = body.get("name")
    if not isinstance(name, str) or not name.strip():
        raise invalid_json("'name' is required and is a string.")
    kind = _one_of(body, "sourceType", SOURCE_KINDS)
    visibility = _one_of(body, "sourceVisibility", VISIBILITIES, default="SECURED")
    push, stream = (_flag(body, key) for key in ("pushEnabled", "streamEnabled"))
    source = state.sources.add(
        name,
        kind=kind,
        visibility=visibility,
        push_enabled=push,
        stream_enabled=stream,
        providers=_references(state, body),
        unique=True,
    )
    return describe(state, source)


def update_source(state: State, request: Request) -> object:
    """
    Change a source's settings: what the body leaves out goes back to its default, but for its mappings.

    Neither its name nor its type can be changed.
    """
    source = find(state, request)
    _check_options(request)
    body = request.json(state.limits.request_bytes)
    _check_kept(source, body)
    visibility = _one_of(body, "sourceVisibility", VISIBILITIES, default="SECURED")
    _change(state, source, body, visibility)
    return describe(state, source)


def get_light(state: State, request: Request) -> object:
    """Give the little that the platform client's ``LightSourceModel`` has."""
    return _light(find(state, request))


def get_raw(state: State, request: Request) -> object:
    """Give a source's configuration as ``RawSourceConfig`` of the platform client, as far as there is any."""
    source = find(state, request)
    return {
        **_light(source),
        "owner": "sandbox",
        "resourceId": source.id,
        "securityProviderReferences": list(source.providers),
        "mappings": mappings.models(source.mappings),
    }


def put_raw(state: State, request: Request) -> object:
    """Change a source's configuration, as :func:`update_source` does; a visibility is no part of it."""
    source = find(state, request)
    _check_options(request)
    body = request.json(state.limits.request_bytes)
    _check_kept(source, body)
    _change(state, source, body, source.visibility)
    return {"id": source.id}


def set_push_status(state: State, request: Request) -> object:
    """Set the status of a source by the name of its operation, as the Push call does by that of the status."""
    source = find(state, request)
    if not source.push_enabled:
        raise ApiError(412, "INVALID_SOURCE_ID", f"The source '{source.id}' is not push-enabled.")
    wanted = request.required("activityOperation")
    statuses = {operation: status for status, operation in OPERATIONS.items()} | {"IDLE": "IDLE"}
    if wanted not in statuses:
        raise invalid_parameter("activityOperation", f"'{wanted}' is none of {', '.join(statuses)}.")
    state.sources.set_status(source, statuses[wanted])
    return {}


def crawl(state: State, request: Request) -> object:
    """
    Refuse to rebuild or refresh a source: there is nothing the platform could crawl for a Push or Catalog source.

    The platform client has the calls; what they answer for such a source is uncertain.
    """
    source = find(state, request)
    message = f"The source '{source.id}' is of type {source.kind}: its items are pushed, not crawled."
    raise ApiError(412, "INVALID_SOURCE_ID", message)


def delete_source(state: State, request: Request) -> object:
    """Delete a source with everything in it."""
    state.remove_source(find(state, request))
    return {}


def find(state: State, request: Request) -> Source:
    """Find the source of a platform call; 404 when there is none."""
    source = state.sources.get(request.values["source"])
    if source is None or source.kind not in SOURCE_KINDS:
        raise not_found(f"The source '{request.values['source']}' does not exist.")
    return source


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
        "mappings": mappings.models(source.mappings),
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


def _light(source: Source) -> dict[str, Any]:
    return {
        "id": source.id,
        "name": source.name,
        "sourceType": source.kind,
        "pushEnabled": source.push_enabled,
        "streamEnabled": source.stream_enabled,
        "onPremisesEnabled": False,
    }


def _check_options(request: Request) -> None:
    """Both are about what a crawler does next, which is nothing here."""
    for option in ("rebuild", "updateSecurityProviders"):
        request.flag(option)


def _check_kept(source: Source, body: dict[str, Any]) -> None:
    for key, kept in (("id", source.id), ("name", source.name), ("sourceType", source.kind)):
        if body.get(key, kept) != kept:
            raise invalid_parameter(key, "it cannot be changed.")


def _change(state: State, source: Source, body: dict[str, Any], visibility: str) -> None:
    """Read all of the body before anything is changed."""
    push, stream = (_flag(body, key) for key in ("pushEnabled", "streamEnabled"))
    providers = _references(state, body)
    rules = mappings.read_models(body["mappings"]) if "mappings" in body else source.mappings
    source.visibility, source.push_enabled, source.stream_enabled = visibility, push, stream
    source.providers, source.mappings = providers, rules
    state.sources.save(source)


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

"""The platform's calls on fields, as its published description has them."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from coveo_provider.sandbox.calls.request import Paging
from coveo_provider.sandbox.service.errors import ApiError, invalid_json, missing_parameter
from coveo_provider.sandbox.service.fields import TYPES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from coveo_provider.sandbox.calls.request import Request
    from coveo_provider.sandbox.service.state import State

_TRUTHS = {"ALL": None, "TRUE_ONLY": True, "FALSE_ONLY": False}
_MOST_PER_PAGE = 1000


def get_field(state: State, request: Request) -> object:
    """Describe one field."""
    return state.fields.get(request.values["field"])


def create_field(state: State, request: Request) -> None:
    """Create one field."""
    state.fields.create([request.json(state.limits.request_bytes)])


def put_field(state: State, request: Request) -> None:
    """Update one field; a name in the body is that of the path."""
    body, name = request.json(state.limits.request_bytes), request.values["field"]
    if str(body.get("name") or name).lower() != name.lower():
        raise invalid_json("'name' is another than the path's.")
    state.fields.update([{**body, "name": name}])


def delete_field(state: State, request: Request) -> None:
    """Delete one field."""
    state.fields.delete([request.values["field"]])


def create_fields(state: State, request: Request) -> None:
    """Create several fields, all or none."""
    state.fields.create(request.json_array(state.limits.request_bytes))


def update_fields(state: State, request: Request) -> None:
    """Update several fields, all or none."""
    state.fields.update(request.json_array(state.limits.request_bytes))


def delete_fields(state: State, request: Request) -> None:
    """Delete several fields, all or none."""
    state.fields.delete(_named(request))


def create_fields_each(state: State, request: Request) -> object:
    """Create several fields, and tell of each what became of it."""
    return _each(request.json_array(state.limits.request_bytes), state.fields.create)


def update_fields_each(state: State, request: Request) -> object:
    """Update several fields, and tell of each what became of it."""
    return _each(request.json_array(state.limits.request_bytes), state.fields.update)


def delete_fields_each(state: State, request: Request) -> object:
    """Delete several fields, and tell of each what became of it."""
    return _each(_named(request), state.fields.delete)


def search_fields(state: State, request: Request) -> object:
    """List fields by the options of the body."""
    body = request.json(state.limits.request_bytes)
    filters = body.get("filters") or {}
    if type(filters) is not dict:
        raise invalid_json("'filters' is an object.")
    paging = Paging(_whole(body, "page", 0, 0, 10**9), _whole(body, "perPage", 100, 1, _MOST_PER_PAGE))
    return paging.answer(_sorted(_filtered(state.fields.listed(), filters), body))


def page_fields(state: State, request: Request) -> object:
    """List fields as older clients ask for them, options in the query."""
    return request.paging().answer(_sorted(_filtered(state.fields.listed(), request.query), request.query))


def _named(request: Request) -> list[str]:
    """Give the names in ``fields``, which stands once for each or holds them with commas between."""
    names = [name for key, text in request.pairs if key == "fields" for name in text.split(",") if name]
    if not names:
        raise missing_parameter("fields")
    return list(dict.fromkeys(name.lower() for name in names))


def _each(entries: Iterable[Any], act: Callable[[list[Any]], list[Any]]) -> object:
    results = []
    for entry in entries:
        try:
            (model,) = act([entry])
            results.append({"resourceModel": model, "operationResult": "SUCCESS", "successful": True})
        except ApiError as refused:
            name = entry.get("name") if isinstance(entry, dict) else entry
            model = {"name": name} if isinstance(name, str) else {}
            results.append(
                {
                    "resourceModel": model,
                    "operationResult": "ERROR",
                    "errorDetails": refused.message,
                    "successful": False,
                }
            )
    return {
        "batchOperationId": str(uuid.uuid4()),
        "status": "COMPLETED",
        "batchOperationResourcesStatus": results,
    }


def _filtered(fields: Iterable[dict[str, Any]], filters: dict[str, Any]) -> list[dict[str, Any]]:
    wanted = {
        "origin": filters.get("origin") or "ALL",
        **{flag: filters.get(flag) or "ALL" for flag in ("facet", "automaticFacetsCandidate", "sort")},
    }
    if wanted["origin"] not in ("ALL", "USER", "SYSTEM"):
        raise invalid_json("'origin' is ALL, USER or SYSTEM.")
    origin = {"ALL": None, "USER": False, "SYSTEM": True}[wanted.pop("origin")]
    for flag, value in wanted.items():
        if value not in _TRUTHS:
            raise invalid_json(f"'{flag}' is one of {', '.join(_TRUTHS)}.")
    flags = {"system": origin, **{flag: _TRUTHS[value] for flag, value in wanted.items()}}
    kind, name, names = (filters.get(key) for key in ("type", "name", "fieldNames"))
    if kind is not None and kind not in TYPES:
        raise invalid_json(f"'type' is one of {', '.join(TYPES)}.")
    if name is not None and not isinstance(name, str):
        raise invalid_json("'name' is a string.")
    if names is not None and not (isinstance(names, list) and all(isinstance(one, str) for one in names)):
        raise invalid_json("'fieldNames' is an array of strings.")
    only = None if names is None else {one.lower() for one in names}
    project = filters.get("projectId")
    return [
        one
        for one in fields
        if all(truth is None or one[flag] is truth for flag, truth in flags.items())
        and (kind is None or one["type"] == kind)
        and (not name or name.lower() in one["name"])
        and (only is None or one["name"] in only)
        and (project is None or project in one.get("projectIds", ()))
    ]


def _sorted(fields: list[dict[str, Any]], options: dict[str, Any]) -> list[dict[str, Any]]:
    key, order = options.get("sortBy") or "name", options.get("order") or "ASC"
    if not isinstance(key, str) or order not in ("ASC", "DESC"):
        raise invalid_json("'sortBy' is a string, 'order' is ASC or DESC.")
    return sorted(fields, key=lambda one: str(one.get(key, "")), reverse=order == "DESC")


def _whole(body: dict[str, Any], key: str, default: int, least: int, most: int) -> int:
    value = body.get(key)
    value = default if value is None else value
    if type(value) is not int or not least <= value <= most:
        raise invalid_json(f"'{key}' is a whole number from {least} to {most}.")
    return value

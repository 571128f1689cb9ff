"""The endpoint table: method, path, name, success status and privileges, as the reference has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coveo_provider.sandbox.calls import (
    cache_calls,
    identity_calls,
    log_calls,
    platform_calls,
    provider_calls,
    push_calls,
    stream_calls,
)

if TYPE_CHECKING:
    from coveo_provider.sandbox.http.wire import Request
    from coveo_provider.sandbox.service.state import State

Handler = Callable[["State", "Request"], object]

PUSH = "/push/v1/organizations/{org}"
REST = "/rest/organizations/{org}"
LOGS = "/logs/v1/organizations/{org}"
_WRITE = ("ORGANIZATION:VIEW", "SOURCE:EDIT")
_IDENTITIES = ("ORGANIZATION:VIEW", "SECURITY_PROVIDER:EDIT")  # older docs: also Security identities Edit
_READ_LOG = ("ORGANIZATION:VIEW", "SOURCE:VIEW")  # platform-api.md 2: "not stated" (uncertain); both it is


@dataclass(frozen=True)
class Route:
    """
    One endpoint.

    :param status: HTTP status of success
    :param handler: gives the value to answer with; None leaves the body empty
    """

    name: str
    method: str
    pattern: tuple[str, ...]
    status: int
    handler: Handler
    privileges: tuple[str, ...]

    def match(self, parts: tuple[str, ...]) -> dict[str, str] | None:
        """Give the values of the placeholders, None when the path is another."""
        if len(parts) != len(self.pattern):
            return None
        values = {}
        for wanted, part in zip(self.pattern, parts, strict=True):
            if wanted.startswith("{"):
                values[wanted[1:-1]] = part
            elif wanted != part:
                return None
        return values if all(values.values()) else None


def _route(
    name: str, method: str, path: str, status: int, handler: Handler, privileges: tuple[str, ...]
) -> Route:
    return Route(name, method, tuple(path[1:].split("/")), status, handler, privileges)


def _stream_routes(base: str) -> tuple[Route, ...]:
    """stream-api.md 2; statuses as printed there, chunk and close 200."""
    return (
        _route("stream.open", "POST", f"{base}/open", 201, stream_calls.open_stream, _WRITE),
        _route("stream.update", "PUT", f"{base}/update", 202, stream_calls.update, _WRITE),
        _route("stream.merge", "PUT", f"{base}/merge", 202, stream_calls.merge, _WRITE),
        _route(
            "stream.delete_older",
            "POST",
            f"{base}/deleteolderthan/{{ordering}}",
            201,
            stream_calls.delete_older,
            _WRITE,
        ),
        _route("stream.chunk", "POST", f"{base}/{{stream}}/chunk", 200, stream_calls.request_chunk, _WRITE),
        _route("stream.close", "POST", f"{base}/{{stream}}/close", 200, stream_calls.close_stream, _WRITE),
    )


def _security_routes() -> tuple[Route, ...]:
    """push-api.md 2, rows 7 to 11; platform-api.md 4 with the privileges of the swagger."""
    pushed, listed = f"{PUSH}/providers/{{provider}}", f"{REST}/securityproviders"
    one, cache = f"{listed}/{{provider}}", f"{REST}/securitycache"
    entities, item = f"{cache}/entities/{{provider}}", f"{REST}/indexes/{{index}}/documents/{{document}}"
    view, edit, create = ((f"SECURITY_PROVIDER:{level}",) for level in ("VIEW", "EDIT", "CREATE"))
    # Not published for the two calls on an item (uncertain): whoever sees sources and identities.
    both = ("SOURCE:VIEW", "SECURITY_PROVIDER:VIEW")
    identity, provider, entity = identity_calls, provider_calls, cache_calls
    table: tuple[tuple[str, str, str, int, Handler, tuple[str, ...]], ...] = (
        ("identity.put", "PUT", f"{pushed}/permissions", 202, identity.put_identity, _IDENTITIES),
        ("alias.put", "PUT", f"{pushed}/mappings", 202, identity.put_alias, _IDENTITIES),
        ("identity.delete", "DELETE", f"{pushed}/permissions", 202, identity.delete_identity, _IDENTITIES),
        ("identities.batch", "PUT", f"{pushed}/permissions/batch", 202, identity.put_batch, _IDENTITIES),
        (
            *("identities.delete_older", "DELETE", f"{pushed}/permissions/olderthan", 202),
            *(identity.delete_older, _IDENTITIES),
        ),
        ("platform.providers", "GET", listed, 200, provider.list_providers, view),
        ("platform.provider.create", "POST", listed, 200, provider.create_provider, create),
        ("platform.providers.page", "GET", f"{listed}/page", 200, provider.page_providers, view),
        ("platform.providers.filter", "POST", f"{listed}/batch/filter", 200, provider.filter_providers, view),
        ("platform.provider.get", "GET", one, 200, provider.get_provider, view),
        ("platform.provider.put", "PUT", one, 200, provider.put_provider, create),
        ("platform.provider.delete", "DELETE", one, 204, provider.delete_provider, edit),
        ("cache.status", "GET", f"{cache}/status", 200, entity.status, view),
        ("cache.refresh", "POST", f"{cache}/refresh", 204, entity.refresh_all, edit),
        ("cache.refresh.entity", "POST", f"{cache}/refresh/entity", 204, entity.refresh_entity, edit),
        ("cache.enable", "POST", f"{cache}/disabled/enable", 204, entity.enable_disabled, edit),
        ("cache.list", "POST", f"{cache}/entities/list", 200, entity.list_entities, view),
        ("cache.entity", "POST", f"{entities}/entity", 200, entity.get_entity, view),
        ("cache.parents", "POST", f"{entities}/members/parents", 200, entity.get_parents, view),
        ("cache.children", "POST", f"{entities}/members/children", 200, entity.get_children, view),
        (
            "cache.provider.refresh",
            "POST",
            f"{cache}/{{provider}}/refresh",
            204,
            entity.refresh_provider,
            edit,
        ),
        (
            *("cache.provider.cancel", "POST", f"{cache}/{{provider}}/refresh/cancel", 204),
            *(entity.cancel_refresh, edit),
        ),
        (
            *("cache.provider.enable", "POST", f"{cache}/{{provider}}/disabled/enable", 204),
            *(entity.enable_disabled, edit),
        ),
        ("item.permissions", "GET", f"{item}/permissions", 200, entity.get_permissions, both),
        (
            *("item.permissions.effective", "GET", f"{item}/permissions/effective", 200),
            *(entity.get_effective_permissions, both),
        ),
    )
    return tuple(_route(*row) for row in table)


_SOURCE = f"{PUSH}/sources/{{source}}"
_DOCUMENTS = f"{_SOURCE}/documents"
_SOURCES = f"{REST}/sources"

ROUTES: tuple[Route, ...] = (
    # push-api.md section 2
    _route("source.status", "POST", f"{_SOURCE}/status", 201, push_calls.set_status, _WRITE),
    _route("item.put", "PUT", _DOCUMENTS, 202, push_calls.put_item, _WRITE),
    _route("item.delete", "DELETE", _DOCUMENTS, 202, push_calls.delete_item, _WRITE),
    _route("batch.put", "PUT", f"{_DOCUMENTS}/batch", 202, push_calls.put_batch, _WRITE),
    _route("items.delete_older", "DELETE", f"{_DOCUMENTS}/olderthan", 202, push_calls.delete_older, _WRITE),
    _route("file.create", "POST", f"{PUSH}/files", 201, push_calls.create_file, ("ORGANIZATION:VIEW",)),
    *_stream_routes(f"{_SOURCE}/stream"),
    # The swagger lists the same operations under data-collections; uncertain, what a data collection is.
    *_stream_routes(f"{PUSH}/data-collections/{{collection}}/stream"),
    *_security_routes(),
    # platform-api.md sections 3, 6
    _route(
        "platform.organization", "GET", REST, 200, platform_calls.get_organization, ("ORGANIZATION:VIEW",)
    ),
    _route("platform.sources", "GET", _SOURCES, 200, platform_calls.list_sources, ("SOURCE:VIEW",)),
    _route(
        "platform.sources.pages",
        "GET",
        f"{_SOURCES}/pages",
        200,
        platform_calls.page_sources,
        ("SOURCE:VIEW",),
    ),
    _route("platform.source.create", "POST", _SOURCES, 201, platform_calls.create_source, ("SOURCE:CREATE",)),
    _route(
        "platform.source.get",
        "GET",
        f"{_SOURCES}/{{source}}",
        200,
        platform_calls.get_source,
        ("SOURCE:VIEW",),
    ),
    _route(
        "platform.source.delete",
        "DELETE",
        f"{_SOURCES}/{{source}}",
        200,
        platform_calls.delete_source,
        ("SOURCE:EDIT",),
    ),
    _route(
        "activities",
        "POST",
        f"{REST}/activities/public",
        200,
        platform_calls.list_activities,
        ("ACTIVITIES:VIEW",),
    ),
    _route(
        "activity.get",
        "GET",
        f"{REST}/activities/{{activity}}",
        200,
        platform_calls.get_activity,
        ("ACTIVITIES:VIEW",),
    ),
    # platform-api.md section 7
    _route("logs", "POST", LOGS, 200, log_calls.read_logs, _READ_LOG),
    _route("logs.facets", "POST", f"{LOGS}/facets", 200, log_calls.read_facets, _READ_LOG),
    _route("logs.facets_stats", "POST", f"{LOGS}/facetsStats", 200, log_calls.read_facets_stats, _READ_LOG),
)


def find(method: str, parts: tuple[str, ...]) -> tuple[Route | None, dict[str, str], tuple[str, ...]]:
    """Find the route of a request, the values of its placeholders, and the methods its path has."""
    methods: list[str] = []
    for route in ROUTES:
        values = route.match(parts)
        if values is not None:
            if route.method == method:
                return route, values, ()
            methods.append(route.method)
    return None, {}, tuple(dict.fromkeys(methods))

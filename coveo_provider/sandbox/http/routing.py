"""
The endpoint table: method, path, name, success status, privileges and quotas of every call the sandbox serves.

The Push and Stream calls are those of docs 78 and of Coveo's published description of the API; privileges are
those of the published descriptions (``docs/api-notes.md, "Hosts and keys"``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coveo_provider.sandbox.calls import (
    cache_calls,
    field_calls,
    identity_calls,
    limit_calls,
    log_calls,
    mapping_calls,
    platform_calls,
    provider_calls,
    push_calls,
    source_calls,
    stream_calls,
    token_calls,
)
from coveo_provider.sandbox.service.quotas import FILE_CALL, LOAD_CALL, PUSH_CALL, STREAM_CALL

if TYPE_CHECKING:
    from coveo_provider.sandbox.calls.request import Request
    from coveo_provider.sandbox.service.state import State

Handler = Callable[["State", "Request"], object]

PUSH = "/push/v1/organizations/{org}"
REST = "/rest/organizations/{org}"
LOGS = "/logs/v1/organizations/{org}"
_SOURCE = f"{PUSH}/sources/{{source}}"
_PROVIDER = f"{PUSH}/providers/{{provider}}"
_CACHE = f"{REST}/securitycache"

_SEE_ORGANIZATION = ("ORGANIZATION:VIEW",)
_WRITE_ITEMS = ("ORGANIZATION:VIEW", "SOURCE:EDIT")
_WRITE_IDENTITIES = (
    "ORGANIZATION:VIEW",
    "SECURITY_PROVIDER:EDIT",
)  # older pages: also Security identities Edit
_READ_LOG = (
    "ORGANIZATION:VIEW",
    "SOURCE:VIEW",
)  # not published; both it is (docs/api-notes.md, "Source logs")
# Not published for the two calls on an item: whoever sees sources and identities.
_SEE_PERMISSIONS = ("SOURCE:VIEW", "SECURITY_PROVIDER:VIEW")
_SEE_SOURCES, _MAKE_SOURCES, _EDIT_SOURCES = ((f"SOURCE:{one}",) for one in ("VIEW", "CREATE", "EDIT"))
_SEE_FIELDS, _MAKE_FIELDS, _EDIT_FIELDS = ((f"FIELD:{one}",) for one in ("VIEW", "CREATE", "EDIT"))
_SEE_PROVIDERS, _MAKE_PROVIDERS, _EDIT_PROVIDERS = (
    (f"SECURITY_PROVIDER:{one}",) for one in ("VIEW", "CREATE", "EDIT")
)


@dataclass(frozen=True)
class Route:
    """
    One endpoint.

    :param status: HTTP status of success
    :param handler: gives the value to answer with, None for ``{}``; a 204 has no body
    :param privileges: what the key must have
    :param quotas: names of the quotas a call counts for
    :param takes_forms: its body may be another than JSON
    """

    name: str
    method: str
    pattern: tuple[str, ...]
    status: int
    handler: Handler
    privileges: tuple[str, ...]
    quotas: tuple[str, ...]
    takes_forms: bool

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


def _routes(
    base: str,
    *rows: tuple[str, str, str, int, Handler],
    privileges: tuple[str, ...],
    quotas: tuple[str, ...] = (),
    takes_forms: bool = False,
) -> tuple[Route, ...]:
    """Make routes of rows: name, method, path below ``base``, status of success, handler."""
    return tuple(
        Route(
            *(name, method, tuple(f"{base}{path}"[1:].split("/")), status, handler),
            *(privileges, quotas, takes_forms),
        )
        for name, method, path, status, handler in rows
    )


def _stream_routes(base: str) -> tuple[Route, ...]:
    """The Stream API below a source or a data collection, statuses as published: chunk and close 200."""
    calls = stream_calls
    return (
        *_routes(
            base,
            ("stream.open", "POST", "/open", 201, calls.open_stream),
            privileges=_WRITE_ITEMS,
            quotas=LOAD_CALL,
        ),
        *_routes(
            base,
            ("stream.update", "PUT", "/update", 202, calls.update),
            ("stream.merge", "PUT", "/merge", 202, calls.merge),
            ("stream.delete_older", "POST", "/deleteolderthan/{mark}", 201, calls.delete_older),
            ("stream.chunk", "POST", "/{stream}/chunk", 200, calls.request_chunk),
            ("stream.close", "POST", "/{stream}/close", 200, calls.close_stream),
            privileges=_WRITE_ITEMS,
            quotas=STREAM_CALL,
        ),
    )


ROUTES: tuple[Route, ...] = (
    # -- Push API --------------------------------------------------------------------------------------------
    *_routes(
        _SOURCE,
        ("source.status", "POST", "/status", 201, push_calls.set_status),
        ("item.put", "PUT", "/documents", 202, push_calls.put_item),
        ("item.delete", "DELETE", "/documents", 202, push_calls.delete_item),
        ("batch.put", "PUT", "/documents/batch", 202, push_calls.put_batch),
        ("items.delete_older", "DELETE", "/documents/olderthan", 202, push_calls.delete_older),
        privileges=_WRITE_ITEMS,
        quotas=PUSH_CALL,
    ),
    *_routes(
        PUSH,
        ("file.create", "POST", "/files", 201, push_calls.create_file),
        privileges=_SEE_ORGANIZATION,
        quotas=FILE_CALL,
    ),
    *_routes(
        _PROVIDER,
        ("identity.put", "PUT", "/permissions", 202, identity_calls.put_identity),
        ("alias.put", "PUT", "/mappings", 202, identity_calls.put_alias),
        ("identity.delete", "DELETE", "/permissions", 202, identity_calls.delete_identity),
        ("identities.batch", "PUT", "/permissions/batch", 202, identity_calls.put_batch),
        ("identities.delete_older", "DELETE", "/permissions/olderthan", 202, identity_calls.delete_older),
        privileges=_WRITE_IDENTITIES,
        quotas=PUSH_CALL,
    ),
    # -- Stream API ------------------------------------------------------------------------------------------
    *_stream_routes(f"{_SOURCE}/stream"),
    *_stream_routes(f"{PUSH}/data-collections/{{collection}}/stream"),
    # -- platform: keys, organization, sources, activities ---------------------------------------------------
    *_routes(
        "/oauth",
        ("platform.token", "POST", "/check_token", 200, token_calls.check_token),
        ("platform.token.get", "GET", "/check_token", 200, token_calls.check_token),
        privileges=(),
        takes_forms=True,
    ),
    *_routes(
        "/rest",
        ("platform.organizations", "GET", "/organizations", 200, platform_calls.list_organizations),
        ("platform.privilege", "POST", "/privilege/evaluate", 200, token_calls.evaluate_privilege),
        privileges=(),
    ),
    *_routes(
        REST,
        ("platform.organization", "GET", "", 200, platform_calls.get_organization),
        ("platform.status", "GET", "/status", 200, platform_calls.get_status),
        ("platform.privileges", "GET", "/privileges", 200, token_calls.list_privileges),
        ("platform.privileges.own", "GET", "/privileges/me", 200, token_calls.list_own_privileges),
        ("platform.license", "GET", "/license", 200, limit_calls.get_license),
        ("platform.limits", "GET", "/limits", 200, limit_calls.list_limits),
        ("platform.limits.section", "GET", "/limits/{section}", 200, limit_calls.get_section),
        ("platform.limit", "GET", "/limits/{section}/{limit}", 200, limit_calls.get_limit),
        ("platform.limit.history", "GET", "/limits/{section}/{limit}/history", 200, limit_calls.get_history),
        privileges=_SEE_ORGANIZATION,
    ),
    *_routes(
        f"{REST}/sources",
        ("platform.sources", "GET", "", 200, source_calls.list_sources),
        ("platform.sources.pages", "GET", "/pages", 200, source_calls.page_sources),
        ("platform.source.get", "GET", "/{source}", 200, source_calls.get_source),
        ("platform.source.light", "GET", "/{source}/light", 200, source_calls.get_light),
        ("platform.source.raw", "GET", "/{source}/raw", 200, source_calls.get_raw),
        ("mappings.get", "GET", "/{source}/mappings", 200, mapping_calls.get_mappings),
        ("mappings.common", "GET", "/{source}/mappings/common/rules", 200, mapping_calls.list_common),
        privileges=_SEE_SOURCES,
    ),
    *_routes(
        f"{REST}/sources",
        ("platform.source.create", "POST", "", 201, source_calls.create_source),
        privileges=_MAKE_SOURCES,
    ),
    *_routes(
        f"{REST}/sources",
        ("platform.source.delete", "DELETE", "/{source}", 200, source_calls.delete_source),
        ("platform.source.put", "PUT", "/{source}", 200, source_calls.update_source),
        ("platform.source.put_raw", "PUT", "/{source}/raw", 200, source_calls.put_raw),
        ("platform.source.status", "POST", "/{source}/pushRefresh", 200, source_calls.set_push_status),
        ("platform.source.rebuild", "POST", "/{source}/rebuild", 200, source_calls.crawl),
        ("platform.source.refresh", "POST", "/{source}/fullRefresh", 200, source_calls.crawl),
        ("platform.source.increment", "POST", "/{source}/incrementalRefresh", 200, source_calls.crawl),
        ("mappings.put", "PUT", "/{source}/mappings", 200, mapping_calls.put_mappings),
        ("mapping.create", "POST", "/{source}/mappings/common/rules", 200, mapping_calls.add_common),
        ("mapping.put", "PUT", "/{source}/mappings/common/rules/{rule}", 200, mapping_calls.put_common),
        privileges=_EDIT_SOURCES,
    ),
    *_routes(
        f"{REST}/activities",
        ("activities", "POST", "/public", 200, platform_calls.list_activities),
        ("activity.get", "GET", "/{activity}", 200, platform_calls.get_activity),
        privileges=("ACTIVITIES:VIEW",),
    ),
    # -- platform: fields ------------------------------------------------------------------------------------
    *_routes(
        f"{REST}/indexes",
        ("fields.page", "GET", "/page/fields", 200, field_calls.page_fields),
        ("fields.search", "POST", "/fields/search", 200, field_calls.search_fields),
        ("field.get", "GET", "/fields/{field}", 200, field_calls.get_field),
        privileges=_SEE_FIELDS,
    ),
    *_routes(
        f"{REST}/indexes/fields",
        ("field.create", "POST", "", 204, field_calls.create_field),
        ("fields.create", "POST", "/batch/create", 204, field_calls.create_fields),
        ("fields.create.each", "POST", "/batch/create/results", 200, field_calls.create_fields_each),
        privileges=_MAKE_FIELDS,
    ),
    *_routes(
        f"{REST}/indexes/fields",
        ("field.put", "PUT", "/{field}", 204, field_calls.put_field),
        ("field.delete", "DELETE", "/{field}", 204, field_calls.delete_field),
        ("fields.update", "PUT", "/batch/update", 204, field_calls.update_fields),
        ("fields.update.each", "PUT", "/batch/update/results", 200, field_calls.update_fields_each),
        ("fields.delete", "DELETE", "/batch/delete", 204, field_calls.delete_fields),
        ("fields.delete.each", "DELETE", "/batch/delete/results", 200, field_calls.delete_fields_each),
        privileges=_EDIT_FIELDS,
    ),
    # -- platform: security providers and cache --------------------------------------------------------------
    *_routes(
        f"{REST}/securityproviders",
        ("platform.providers", "GET", "", 200, provider_calls.list_providers),
        ("platform.providers.page", "GET", "/page", 200, provider_calls.page_providers),
        ("platform.providers.filter", "POST", "/batch/filter", 200, provider_calls.filter_providers),
        ("platform.provider.get", "GET", "/{provider}", 200, provider_calls.get_provider),
        privileges=_SEE_PROVIDERS,
    ),
    *_routes(
        f"{REST}/securityproviders",
        ("platform.provider.create", "POST", "", 200, provider_calls.create_provider),
        ("platform.provider.put", "PUT", "/{provider}", 200, provider_calls.put_provider),
        privileges=_MAKE_PROVIDERS,
    ),
    *_routes(
        f"{REST}/securityproviders",
        ("platform.provider.delete", "DELETE", "/{provider}", 204, provider_calls.delete_provider),
        privileges=_EDIT_PROVIDERS,
    ),
    *_routes(
        _CACHE,
        ("cache.status", "GET", "/status", 200, cache_calls.status),
        ("cache.list", "POST", "/entities/list", 200, cache_calls.list_entities),
        ("cache.entity", "POST", "/entities/{provider}/entity", 200, cache_calls.get_entity),
        ("cache.parents", "POST", "/entities/{provider}/members/parents", 200, cache_calls.get_parents),
        ("cache.children", "POST", "/entities/{provider}/members/children", 200, cache_calls.get_children),
        privileges=_SEE_PROVIDERS,
    ),
    *_routes(
        _CACHE,
        ("cache.refresh", "POST", "/refresh", 204, cache_calls.refresh_all),
        ("cache.refresh.entity", "POST", "/refresh/entity", 204, cache_calls.refresh_entity),
        ("cache.enable", "POST", "/disabled/enable", 204, cache_calls.enable_disabled),
        ("cache.provider.refresh", "POST", "/{provider}/refresh", 204, cache_calls.refresh_provider),
        ("cache.provider.cancel", "POST", "/{provider}/refresh/cancel", 204, cache_calls.cancel_refresh),
        ("cache.provider.enable", "POST", "/{provider}/disabled/enable", 204, cache_calls.enable_disabled),
        privileges=_EDIT_PROVIDERS,
    ),
    *_routes(
        f"{REST}/indexes/{{index}}/documents/{{document}}",
        ("item.permissions", "GET", "/permissions", 200, cache_calls.get_permissions),
        (
            *("item.permissions.effective", "GET", "/permissions/effective", 200),
            cache_calls.get_effective_permissions,
        ),
        privileges=_SEE_PERMISSIONS,
    ),
    # -- Source Logs API -------------------------------------------------------------------------------------
    *_routes(
        LOGS,
        ("logs", "POST", "", 200, log_calls.read_logs),
        ("logs.facets", "POST", "/facets", 200, log_calls.read_facets),
        ("logs.facets_stats", "POST", "/facetsStats", 200, log_calls.read_facets_stats),
        privileges=_READ_LOG,
    ),
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

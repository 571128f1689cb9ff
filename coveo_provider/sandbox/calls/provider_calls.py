"""The platform's calls on security providers (``platform-api.md`` section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coveo_provider.sandbox.calls.log_calls import iso
from coveo_provider.sandbox.service import jsontext
from coveo_provider.sandbox.service.access import EMAIL_PROVIDER
from coveo_provider.sandbox.service.errors import invalid_json, invalid_parameter, not_found
from coveo_provider.sandbox.service.identity_store import DISABLED, KNOWN, NAMED

if TYPE_CHECKING:
    from coveo_provider.sandbox.http.wire import Request
    from coveo_provider.sandbox.service.providers import Provider
    from coveo_provider.sandbox.service.state import State


def list_providers(state: State, request: Request) -> object:
    """List all providers."""
    return [describe(state, one) for one in state.providers.all()]


def page_providers(state: State, request: Request) -> object:
    """List providers by pages; ``filter`` applies to id and displayName."""
    return _page(state, request, state.providers.all())


def filter_providers(state: State, request: Request) -> object:
    """List the providers whose ids the body holds; unknown ids are ignored."""
    try:
        ids = jsontext.parse(request.body.read_all(state.limits.request_bytes))
    except jsontext.BadJsonError as error:
        raise invalid_json(f"The body is not valid JSON: {error}") from None
    if not isinstance(ids, list):
        raise invalid_json("The body is not an array of ids.")
    return _page(state, request, [one for one in state.providers.all() if one.id in ids])


def get_provider(state: State, request: Request) -> object:
    """Describe one provider with its status."""
    return describe(state, find(state, request))


def create_provider(state: State, request: Request) -> object:
    """Create a provider by POST; one that exists is refused (uncertain: how)."""
    body = request.json(state.limits.request_bytes)
    provider_id = _text(body, "id") or _text(body, "name")
    if not provider_id:
        raise invalid_json("'id' (or the older 'name') is required and is a string.")
    if state.providers.get(provider_id):
        raise invalid_parameter("id", f"the security provider '{provider_id}' exists.")
    return _model(state, _put(state, provider_id, body))


def put_provider(state: State, request: Request) -> object:
    """
    Update a provider, or create it.

    docs 85 and the swagger's summary have PUT for the update only; its operation name
    (``createOrUpdateSecurityProvider``), the CREATE privilege it asks for, and all clients let it create too.
    What the body leaves out goes back to its default: ``referencedBy`` without a source unlinks that source.
    """
    body = request.json(state.limits.request_bytes)
    provider_id = request.values["provider"]
    for key in ("id", "name"):
        if _text(body, key) not in (None, provider_id):
            raise invalid_json(f"'{key}' is not the id in the path.")
    return describe(state, _put(state, provider_id, body))


def delete_provider(state: State, request: Request) -> None:
    """Delete a provider; one that is in use is refused (uncertain: the service's answer)."""
    provider = find(state, request)
    sources, parents = state.providers.users(provider)
    if provider.id == EMAIL_PROVIDER or sources or parents:
        ids = [*(one.id for one in sources), *(one.id for one in parents)]
        users = ", ".join(ids) or "every organization"
        raise invalid_parameter("securityProviderId", f"the security provider is used by {users}.")
    state.providers.remove(provider)


def find(state: State, request: Request) -> Provider:
    """Find the provider of a platform call; 404 when there is none."""
    provider = state.providers.get(request.values["provider"])
    if provider is None:
        raise not_found(f"The security provider '{request.values['provider']}' does not exist.")
    return provider


def describe(state: State, provider: Provider) -> dict[str, Any]:
    """Give a provider as ``SecurityProviderModelWithStatus``."""
    counts = by_state(state, provider)
    total, wrong = sum(counts.values()), counts.get("IN_ERROR", 0)
    described = {
        **_model(state, provider),
        "statistics": {
            "numberOfEntitiesByState": counts,
            "totalNumberOfEntities": total,
            "numberOfEntitiesInError": wrong,
        },
        "currentStatus": {
            "type": "IDLE",
            "numberOfEntitiesInError": wrong,
            "numberOfEntitiesProcessed": total,
            "totalNumberOfEntities": total,
        },
    }
    if provider.refreshed_ms:
        described["lastRefreshOperation"] = {
            "operationType": "SECURITY_PROVIDER_REFRESH",
            "timestamp": iso(provider.refreshed_ms),
            "result": "SUCCESS",
            "numberOfEntitiesProcessed": total,
        }
    return described


def by_state(state: State, provider: Provider) -> dict[str, int]:
    """
    Count identities as ``numberOfEntitiesByState``.

    One that was only named, as a member or granted, is in error: the provider does not know it (seed 004).
    """
    counts = state.identity_store.states(provider.n)
    names = {number: state_name(provider, number) for number in (KNOWN, NAMED, DISABLED)}
    found: dict[str, int] = {}
    for number, name in names.items():
        if counts.get(number):
            found[name] = found.get(name, 0) + counts[number]
    return found


def state_name(provider: Provider, number: int) -> str:
    """Give the state of an identity as the security cache spells it."""
    if number == DISABLED:
        return "DISABLED"
    return "UP_TO_DATE" if number == KNOWN or provider.type == "EMAIL" else "IN_ERROR"


def _model(state: State, provider: Provider) -> dict[str, Any]:
    sources, parents = state.providers.users(provider)
    cascades = {}
    for name, other_id in provider.cascades.items():
        other = state.providers.get(other_id)
        cascades[name] = {"id": other_id, "name": other_id, "type": other.type if other else "CUSTOM"}
    return {
        "id": provider.id,
        "name": provider.id,
        "displayName": provider.display_name,
        "organizationId": state.organization_id,
        "type": provider.type,
        "nodeRequired": provider.node_required,
        "caseSensitive": provider.case_sensitive,
        "cascadingSecurityProviders": cascades,
        "referencedBy": [
            *({"id": one.id, "type": "SOURCE"} for one in sources),
            *({"id": one.id, "type": "SECURITY_PROVIDER"} for one in parents),
        ],
    }


def _put(state: State, provider_id: str, body: dict[str, Any]) -> Provider:
    """Read either form of the body (docs 85: by ``id``; 2017 docs and the old SDK: by ``name``)."""
    if provider_id == EMAIL_PROVIDER:
        raise invalid_parameter("securityProviderId", "this security provider is built in.")
    kind = _text(body, "type")
    if kind is None:
        raise invalid_json("'type' is required and is a string.")
    flags = {key: body.get(key, False) for key in ("nodeRequired", "caseSensitive")}
    if not all(isinstance(flag, bool) for flag in flags.values()):
        raise invalid_json("'nodeRequired' and 'caseSensitive' are true or false.")
    sources, cascades = _sources(body), _cascades(body)
    try:
        provider = state.providers.get(provider_id)
        name = _text(body, "displayName") or provider_id
        if provider is None:
            return state.providers.add(
                provider_id,
                kind=kind,
                display_name=name,
                node_required=flags["nodeRequired"],
                case_sensitive=flags["caseSensitive"],
                cascades=cascades,
                sources=sources,
            )
        state.providers.change(
            provider,
            kind=kind,
            display_name=name,
            node_required=flags["nodeRequired"],
            case_sensitive=flags["caseSensitive"],
            cascades=cascades,
            sources=sources,
        )
    except ValueError as error:
        raise invalid_parameter("securityProvider", f"{error}.") from None
    return provider


def _sources(body: dict[str, Any]) -> list[str]:
    given = body.get("referencedBy", [])
    if not isinstance(given, list):
        raise invalid_json("'referencedBy' is an array.")
    found = []
    for one in given:
        if not isinstance(one, dict) or not isinstance(one.get("id"), str):
            raise invalid_json("'referencedBy' holds objects with 'id' and 'type'.")
        if one.get("type") not in ("SOURCE", "SECURITY_PROVIDER"):
            raise invalid_json("the 'type' of a reference is SOURCE or SECURITY_PROVIDER.")
        if one["type"] == "SOURCE":
            found.append(one["id"])
    return found


def _cascades(body: dict[str, Any]) -> dict[str, str]:
    given = body.get("cascadingSecurityProviders", {})
    if not isinstance(given, dict):
        raise invalid_json("'cascadingSecurityProviders' is an object.")
    found = {}
    for name, one in given.items():
        other = (one.get("id") or one.get("name")) if isinstance(one, dict) else None
        if not isinstance(other, str) or not jsontext.is_unicode(name):
            raise invalid_json("a cascading security provider has an 'id' (or the older 'name').")
        found[name] = other
    return found


def _text(body: dict[str, Any], key: str) -> str | None:
    value = body.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or not jsontext.is_unicode(value):
        raise invalid_json(f"'{key}' is a string.")
    return value


def _page(state: State, request: Request, providers: list[Provider]) -> object:
    page, per_page = request.whole("page", 0, 10**9), request.whole("perPage", 100, 1000)
    if not per_page:
        raise invalid_parameter("perPage", "it is at least 1.")
    wanted = request.query.get("filter", "").lower()
    found = [one for one in providers if wanted in one.id.lower() or wanted in one.display_name.lower()]
    return {
        "items": [describe(state, one) for one in found[page * per_page : (page + 1) * per_page]],
        "totalEntries": len(found),
        "totalPages": -(-len(found) // per_page),
    }

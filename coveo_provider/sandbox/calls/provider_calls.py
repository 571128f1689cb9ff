"""The platform's calls on security providers (docs 85)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coveo_provider.sandbox.service import jsontext
from coveo_provider.sandbox.service.clock import iso
from coveo_provider.sandbox.service.errors import invalid_json, invalid_parameter, not_found
from coveo_provider.sandbox.service.security.access_rules import EMAIL_PROVIDER
from coveo_provider.sandbox.service.security.providers import Settings

if TYPE_CHECKING:
    from coveo_provider.sandbox.calls.request import Request
    from coveo_provider.sandbox.service.security.providers import Provider
    from coveo_provider.sandbox.service.state import State


def list_providers(state: State, request: Request) -> object:
    """List all providers."""
    return [describe(state, one) for one in state.providers.all()]


def page_providers(state: State, request: Request) -> object:
    """List providers by pages; ``filter`` applies to id and displayName."""
    return _page(state, request, state.providers.all())


def filter_providers(state: State, request: Request) -> object:
    """List the providers whose ids the body holds; unknown ids are ignored."""
    ids = request.json_array(state.limits.request_bytes)
    return _page(state, request, [one for one in state.providers.all() if one.id in ids])


def get_provider(state: State, request: Request) -> object:
    """Describe one provider with its status."""
    return describe(state, find(state, request))


def create_provider(state: State, request: Request) -> object:
    """Create a provider by POST; one that exists is refused, in which way is uncertain (probe: provider-twice)."""
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

    docs 85 and the published summary have PUT for the update only; its operation name
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
    """Delete a provider; one that is in use is refused, in which way is uncertain (probe: provider-in-use)."""
    provider = find(state, request)
    sources, parents = state.providers.users(provider)
    if provider.id == EMAIL_PROVIDER or sources or parents:
        ids = [*(one.id for one in sources), *(one.id for one in parents)]
        users = ", ".join(ids) or "every organization"
        raise invalid_parameter("securityProviderId", f"the security provider is used by {users}.")
    state.remove_provider(provider)


def find(state: State, request: Request) -> Provider:
    """Find the provider of a platform call; 404 when there is none."""
    provider = state.providers.get(request.values["provider"])
    if provider is None:
        raise not_found(f"The security provider '{request.values['provider']}' does not exist.")
    return provider


def describe(state: State, provider: Provider) -> dict[str, Any]:
    """Give a provider as ``SecurityProviderModelWithStatus``."""
    counts = state.providers.count_by_state(provider)
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
    if not all(isinstance(body.get(key, False), bool) for key in ("nodeRequired", "caseSensitive")):
        raise invalid_json("'nodeRequired' and 'caseSensitive' are true or false.")
    settings = Settings(
        kind=kind,
        display_name=_text(body, "displayName") or "",
        node_required=body.get("nodeRequired", False),
        case_sensitive=body.get("caseSensitive", False),
        cascades=_cascades(body),
        sources=_sources(body),
    )
    provider = state.providers.get(provider_id)
    try:
        if provider is None:
            return state.providers.add(provider_id, settings)
        state.providers.change(provider, settings)
    except ValueError as error:
        raise invalid_parameter("securityProvider", f"{error}.") from None
    return provider


def _sources(body: dict[str, Any]) -> list[str]:
    references = body.get("referencedBy", [])
    if not isinstance(references, list):
        raise invalid_json("'referencedBy' is an array.")
    for one in references:
        if not isinstance(one, dict) or not isinstance(one.get("id"), str):
            raise invalid_json("'referencedBy' holds objects with 'id' and 'type'.")
        if one.get("type") not in ("SOURCE", "SECURITY_PROVIDER"):
            raise invalid_json("the 'type' of a reference is SOURCE or SECURITY_PROVIDER.")
    return [one["id"] for one in references if one["type"] == "SOURCE"]


def _cascades(body: dict[str, Any]) -> dict[str, str]:
    providers = body.get("cascadingSecurityProviders", {})
    if not isinstance(providers, dict):
        raise invalid_json("'cascadingSecurityProviders' is an object.")
    cascades = {}
    for name, one in providers.items():
        other = (one.get("id") or one.get("name")) if isinstance(one, dict) else None
        if not isinstance(other, str) or not jsontext.is_unicode(name):
            raise invalid_json("a cascading security provider has an 'id' (or the older 'name').")
        cascades[name] = other
    return cascades


def _text(body: dict[str, Any], key: str) -> str | None:
    value = body.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or not jsontext.is_unicode(value):
        raise invalid_json(f"'{key}' is a string.")
    return value


def _page(state: State, request: Request, providers: list[Provider]) -> object:
    paging = request.paging()
    wanted = request.query.get("filter", "").lower()
    return paging.answer(
        [
            describe(state, one)
            for one in providers
            if wanted in one.id.lower() or wanted in one.display_name.lower()
        ]
    )

"""
The platform's calls on the security cache, and on the permissions of an indexed item.

The models of the item calls are those of Coveo's platform client (``DocumentPermissionModel``,
``SinglePermissionPageModel``): no published description has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import orjson

from coveo_provider.sandbox.calls.provider_calls import find
from coveo_provider.sandbox.service import jsontext
from coveo_provider.sandbox.service.clock import iso
from coveo_provider.sandbox.service.errors import invalid_json, invalid_parameter, not_found
from coveo_provider.sandbox.service.security import access_rules
from coveo_provider.sandbox.service.security.access_rules import TYPES, type_of
from coveo_provider.sandbox.service.security.identity_store import MEMBER, IdentityRow

if TYPE_CHECKING:
    from coveo_provider.sandbox.calls.request import Request
    from coveo_provider.sandbox.service.security.identity_store import Spot
    from coveo_provider.sandbox.service.security.providers import Provider
    from coveo_provider.sandbox.service.sources import Source
    from coveo_provider.sandbox.service.state import State

_SPELLED = {"USER": "User", "GROUP": "Group", "VIRTUAL_GROUP": "VirtualGroup", "UNKNOWN": "Unknown"}


def refresh_all(state: State, request: Request) -> None:
    """Refresh every provider. Nothing waits for it here: pushes take effect as they are processed."""
    request.json(state.limits.request_bytes)
    for provider in state.providers.all():
        state.providers.refresh(provider)


def refresh_provider(state: State, request: Request) -> None:
    """Refresh one provider."""
    request.json(state.limits.request_bytes)
    state.providers.refresh(find(state, request))


def refresh_entity(state: State, request: Request) -> None:
    """Refresh one identity, which must exist."""
    body = request.json(state.limits.request_bytes)
    provider = state.providers.get(str(body.get("provider")))
    if provider is None:
        raise not_found("The security provider does not exist.")
    _row(state, provider, body)


def cancel_refresh(state: State, request: Request) -> None:
    """Cancel a refresh, which is over already."""
    request.json(state.limits.request_bytes)
    find(state, request)


def enable_disabled(state: State, request: Request) -> None:
    """Enable the disabled identities of a provider, or of all."""
    request.json(state.limits.request_bytes)
    number = find(state, request).n if "provider" in request.values else None
    with state.database.transaction():
        state.identity_store.enable(number, state.clock.now_ms())


def status(state: State, request: Request) -> object:
    """Sum the providers up (``SecurityCacheStatusModel``)."""
    counts: dict[str, int] = {}
    for provider in state.providers.all():
        for name, count in state.providers.count_by_state(provider).items():
            counts[name] = counts.get(name, 0) + count
    return {
        "statistics": {
            "numberOfProviders": len(state.providers.all()),
            "numberOfEntitiesByState": counts,
            "totalNumberOfEntities": sum(counts.values()),
            "numberOfEntitiesInError": counts.get("IN_ERROR", 0),
        },
        "currentStatus": {"type": "IDLE"},
    }


def get_entity(state: State, request: Request) -> object:
    """Look one identity up; 404 when nobody pushed or named it, which is uncertain (probe: identity-unknown)."""
    provider = find(state, request)
    return _entity(state, _row(state, provider, request.json(state.limits.request_bytes)))


def get_parents(state: State, request: Request) -> object:
    """Give the groups an identity is a member of, by a page."""
    return _relatives(state, request, back=True)


def get_children(state: State, request: Request) -> object:
    """Give the members of a group, by a page."""
    return _relatives(state, request, back=False)


def list_entities(state: State, request: Request) -> object:
    """Search identities (``IdentitiesFilterModel``)."""
    body = request.json(state.limits.request_bytes)
    ids, types = body.get("providerIds") or [], body.get("identityTypes") or []
    if not isinstance(ids, list) or not isinstance(types, list):
        raise invalid_json("'providerIds' and 'identityTypes' are arrays.")
    if any(one not in TYPES for one in types):
        raise invalid_json(f"'identityTypes' holds {', '.join(TYPES)}.")
    pattern, paging = _name_pattern(body), request.paging()
    rows, total = state.identity_store.page(
        [one.n for one in state.providers.all() if not ids or one.id in ids],
        types=[TYPES.index(one) for one in types],
        pattern=pattern,
        offset=paging.offset,
        limit=paging.size,
    )
    return paging.answer([_entity(state, row) for row in rows], total=total)


def _name_pattern(body: dict[str, Any]) -> str | None:
    """Read ``filterTerm`` and ``filteringMode`` as a pattern of SQL's LIKE; None for every name."""
    term, mode = body.get("filterTerm") or "", body.get("filteringMode") or "PREFIX"
    if not isinstance(term, str) or not jsontext.is_unicode(term):
        raise invalid_json("'filterTerm' is a string.")
    if mode not in ("PREFIX", "SUBSTRING"):
        raise invalid_json("'filteringMode' is PREFIX or SUBSTRING.")
    escaped = "".join(f"\\{sign}" if sign in "\\%_" else sign for sign in term)
    return f"{'%' if mode == 'SUBSTRING' else ''}{escaped}%" if term else None


def get_permissions(state: State, request: Request) -> object:
    """Give an item's permissions, every identity with its state."""
    source, uri = _item(state, request)
    levels = []
    for number, sets in enumerate(access_rules.levels(state.item_access.permissions(source, uri) or []), 1):
        described = [
            {
                "name": f"Set {place}",
                "anonymousAllowed": one.get("allowanonymous") is True,
                "permissions": [
                    _permission(state, source, entry, allowed=side == "allowedpermissions")
                    for side in ("allowedpermissions", "deniedpermissions")
                    for entry in one.get(side) or ()
                ],
            }
            for place, one in enumerate(sets, 1)
        ]
        levels.append({"name": f"Level {number}", "permissionSets": described})
    return {"state": "VALID", "permissionLevels": levels}


def get_effective_permissions(state: State, request: Request) -> object:
    """List the known users some level decides about, allowed or denied; ``includedEntities`` filters them."""
    source, uri = _item(state, request)
    wanted = request.query.get("includedEntities", "ALL")
    if wanted not in ("ALL", "ALLOWED", "DENIED"):
        raise invalid_parameter("includedEntities", f"'{wanted}' is none of ALL, ALLOWED, DENIED.")
    paging = request.paging()
    decided = []
    for row in state.item_access.users():
        verdict = state.item_access.verdict(source, uri, state.providers.key_of(row))
        if verdict.rule != "unnamed" and wanted in ("ALL", "ALLOWED" if verdict.allowed else "DENIED"):
            decided.append(_single(state, row, allowed=verdict.allowed))
    anonymous = state.item_access.verdict(source, uri, None).allowed
    return {**paging.answer(decided), "anonymousAllowed": anonymous}


def _item(state: State, request: Request) -> tuple[Source, str]:
    """Find an item by its URI or unique id (``12.345$URI``), encoded once or, as clients do, twice."""
    name = request.values["document"]
    for uri in dict.fromkeys((name, unquote(name), unquote(name).partition("$")[2])):
        for source in state.sources.all():
            if uri and state.items.body(source.n, uri) is not None:
                return source, uri
    raise not_found("The index does not hold this item.")


def _relatives(state: State, request: Request, *, back: bool) -> object:
    provider = find(state, request)
    row = _row(state, provider, request.json(state.limits.request_bytes))
    recursive = request.flag("recursive")
    paging = request.paging("pageSize")
    seen: dict[int, IdentityRow] = {}
    waiting = [row]
    while waiting:
        near = waiting.pop(0)
        ends = state.identity_store.ends(_spot(near), (MEMBER,), back=back)
        fresh = [one for one in ends if one.id not in seen and one.id != row.id]
        seen.update((one.id, one) for one in fresh)
        waiting.extend(fresh if recursive else ())
    return paging.answer([_entity(state, one) for one in seen.values()])


def _row(state: State, provider: Provider, body: dict[str, Any]) -> IdentityRow:
    """Find what a ``SecurityCacheMemberModel`` names; its type is spelled ``User``, ``Group`` and so on."""
    name, kind = body.get("name"), body.get("type")
    if not isinstance(name, str) or not name or not jsontext.is_unicode(name):
        raise invalid_json("'name' is required and is a string.")
    if kind not in _SPELLED.values():
        raise invalid_json(f"'type' is one of {', '.join(_SPELLED.values())}.")
    if body.get("provider") not in (None, provider.id):
        raise invalid_json("'provider' is not the one in the path.")
    key = state.providers.key(provider.id, type_of(kind) or "", name)
    row = state.identity_store.find((provider.n, key.name, TYPES.index(key.type)))
    if row is None:
        raise not_found(f"The security cache holds no {kind} '{name}' of '{provider.id}'.")
    return row


def _spot(row: IdentityRow) -> Spot:
    return row.provider, row.folded, row.type


def _entity(state: State, row: IdentityRow) -> dict[str, Any]:
    provider = state.providers.by_number(row.provider)
    if provider is None:
        raise not_found("The security provider is gone.")
    stands = provider.state_name(row.state)
    entity: dict[str, Any] = {
        "name": row.name,
        "type": _SPELLED[TYPES[row.type]],
        "provider": provider.id,
        "infos": [{"key": key, "value": value} for key, value in orjson.loads(row.info or b"{}").items()],
        "state": stands,
        "lastUpdateResult": "ENTITY_IS_INVALID" if stands == "IN_ERROR" else "SUCCESS",
    }
    if row.updated_ms:
        entity["lastUpdateDate"] = iso(row.updated_ms)
    return entity


def _single(state: State, row: IdentityRow, *, allowed: bool) -> dict[str, Any]:
    entity = _entity(state, row)
    return {
        "allowed": allowed,
        "identity": row.name,
        "identityType": TYPES[row.type],
        "securityProvider": entity["provider"],
        "state": entity["state"],
        "lastUpdateResult": entity["lastUpdateResult"],
    }


def _permission(state: State, source: Source, entry: dict[str, Any], *, allowed: bool) -> dict[str, Any]:
    entry = {key.lower(): value for key, value in entry.items()}
    provider_id = entry.get("securityprovider") or state.item_access.default(source)
    kind = type_of(entry.get("identitytype")) or "UNKNOWN"
    key = state.providers.key(provider_id, kind, entry["identity"])
    provider, spot = state.providers.get(provider_id), state.providers.spot(key)
    row = state.identity_store.find(spot) if spot else None
    stands = provider.state_name(row.state) if provider and row else "UNKNOWN"
    return {
        "allowed": allowed,
        "identity": entry["identity"],
        "identityType": kind,
        "securityProvider": provider_id,
        "state": stands,
    }

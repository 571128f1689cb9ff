"""What a client asks about its own key (``docs/api-notes.md, "Tokens"``)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from coveo_provider.sandbox.service.errors import ApiError, invalid_json, missing_parameter
from coveo_provider.sandbox.service.keys import PRIVILEGES

if TYPE_CHECKING:
    from coveo_provider.sandbox.calls.request import Request
    from coveo_provider.sandbox.service.state import State

_BOUNDARY = re.compile(r'boundary="?([^";]+)')
_NAMED = re.compile(rb'^content-disposition:.*\bname="?token"?\s*(?:;|$)', re.IGNORECASE | re.MULTILINE)


def evaluate_privilege(state: State, request: Request) -> object:
    """Say whether the key has a privilege, as a client asks before its work; no published page has the call."""
    body = request.json(state.limits.request_bytes)
    wanted = body.get("requestedPrivilege")
    if type(wanted) is not dict or not all(type(wanted.get(key)) is str for key in ("targetDomain", "type")):
        raise invalid_json("'requestedPrivilege' has a targetDomain and a type.")
    held = _held(state, request)
    here = body.get("organizationId") in (None, state.organization_id)
    return {"approved": here and f"{wanted['targetDomain']}:{wanted['type']}" in held}


def list_privileges(state: State, request: Request) -> object:
    """List the privileges that there are."""
    return _as_models(PRIVILEGES)


def list_own_privileges(state: State, request: Request) -> object:
    """List the privileges of the key."""
    return _as_models(_held(state, request))


def _held(state: State, request: Request) -> frozenset[str]:
    return state.keys.privileges(request.headers["Authorization"].split()[1]) or frozenset()


def _as_models(privileges: frozenset[str]) -> list[dict[str, str]]:
    pairs = [one.split(":") for one in sorted(privileges)]
    return [
        {"owner": "PLATFORM", "targetDomain": domain, "targetId": "*", "type": level}
        for domain, level in pairs
    ]


def check_token(state: State, request: Request) -> object:
    """Say whose a token is; 400 ``INVALID_TOKEN`` for an unknown one."""
    token = _token(request, state.limits.request_bytes)
    if not token:
        raise missing_parameter("token")
    if state.keys.privileges(token) is None:
        raise ApiError(400, "INVALID_TOKEN", "The token is unknown, expired or disabled.")
    user = {
        "name": "sandbox",
        "username": "sandbox",
        "displayName": "Sandbox",
        "enabled": True,
        "expired": False,
    }
    return {"active": True, "authentication": user}


def _token(request: Request, limit: int) -> str:
    """Find the token in the query or in a form of either type."""
    body, kind = request.body.read_all(limit), request.headers.get("Content-Type", "")
    if kind.split(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        return parse_qs(body.decode(errors="replace")).get("token", [""])[0]
    boundary = _BOUNDARY.search(kind)
    for part in body.split(b"--" + boundary[1].encode()) if boundary else ():
        headers, _, content = part.partition(b"\r\n\r\n")
        if _NAMED.search(headers):
            return content.removesuffix(b"\r\n").decode(errors="replace")
    return request.query.get("token", "")

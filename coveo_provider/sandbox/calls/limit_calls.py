"""The platform's calls on the organization's limits and license (``docs/api-notes.md, "Limits and license"``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coveo_provider.sandbox.service.clock import iso
from coveo_provider.sandbox.service.errors import not_found
from coveo_provider.sandbox.service.sources import SOURCE_KINDS, VISIBILITIES

if TYPE_CHECKING:
    from coveo_provider.sandbox.calls.request import Request
    from coveo_provider.sandbox.service.state import State

# The one section there is; how the service names sections and limits is uncertain.
_SECTION = "content"


def list_limits(state: State, request: Request) -> object:
    """Give all limits by section: the quotas that are on."""
    return {_SECTION: _limits(state)}


def get_section(state: State, request: Request) -> object:
    """Give the limits of one section."""
    if request.values["section"] != _SECTION:
        raise not_found(f"The section '{request.values['section']}' does not exist.")
    return _limits(state)


def get_limit(state: State, request: Request) -> object:
    """Give one limit, with how much of it is used."""
    return _limit(state, request)


def get_history(state: State, request: Request) -> object:
    """Give the values a limit has had: the one it has now."""
    limit = _limit(state, request)["limit"]
    now, start, end = state.clock.now_ms(), request.moment_ms("from"), request.moment_ms("to")
    within = (start or 0) <= now <= (now if end is None else end)
    return [{"date": now, "limitValue": limit}] if within else []


def get_license(state: State, request: Request) -> object:
    """Say which types of sources the organization may have, and in which visibility."""
    connectors = [
        {"type": kind, "allowed": True, "allowedSchedules": [], "sourceVisibilities": list(VISIBILITIES)}
        for kind in SOURCE_KINDS
    ]
    return {"accountId": state.organization_id, "connectors": connectors, "properties": {}}


def _limits(state: State) -> dict[str, dict[str, Any]]:
    updated = iso(state.clock.now_ms())
    return {
        name: {"limit": use.limit, "actualCount": use.used, "lastUpdate": updated}
        for name, use in state.meter.use().items()
        if use is not None
    }


def _limit(state: State, request: Request) -> dict[str, Any]:
    name = request.values["limit"]
    limits = _limits(state) if request.values["section"] == _SECTION else {}
    if name not in limits:
        raise not_found(f"The limit '{name}' does not exist in '{request.values['section']}'.")
    return limits[name]

"""The Push API's calls on security identities (docs 78)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coveo_provider.sandbox.calls.push_calls import queue_delay
from coveo_provider.sandbox.service.errors import invalid_json
from coveo_provider.sandbox.service.security import identity_rules
from coveo_provider.sandbox.service.security.identity_rules import IdentityRefused

if TYPE_CHECKING:
    from coveo_provider.sandbox.calls.request import Request
    from coveo_provider.sandbox.service.security.providers import Provider
    from coveo_provider.sandbox.service.state import State


def push_provider(state: State, request: Request) -> Provider:
    """Find the provider of a Push call; 412 when there is none or it takes no identities."""
    return state.providers.require(request.values["provider"])


def put_identity(state: State, request: Request) -> object:
    """Add or update one identity, its member list complete."""
    return _single(state, request, "members")


def put_alias(state: State, request: Request) -> object:
    """Add or update the aliases and grants of one identity."""
    return _single(state, request, "mappings")


def delete_identity(state: State, request: Request) -> object:
    """Disable one identity."""
    return _single(state, request, "deleted")


def put_batch(state: State, request: Request) -> object:
    """Push a batch whose content is in a container."""
    provider = push_provider(state, request)
    file_id, asked = request.required("fileId"), request.ordering_id()
    request.json(state.limits.request_bytes)
    path = state.containers.take(file_id)
    ordering = asked or state.next_ordering()
    state.pipeline.submit(lambda: state.identity_updates.batch(provider, file_id, path, ordering))
    return {}


def delete_older(state: State, request: Request) -> object:
    """Disable what was last updated before an orderingId."""
    provider = push_provider(state, request)
    request.required("orderingId")
    ordering, delay = request.ordering_id(), queue_delay(state, request)
    request.json(state.limits.request_bytes)
    state.submit_disable_older(provider, ordering or 0, delay)
    return {}


def _single(state: State, request: Request, section: str) -> object:
    provider = push_provider(state, request)
    asked = request.ordering_id()
    text = request.body.read_inline(state.limits.inline_bytes)
    try:
        identity_rules.read(text or b"{}", section, state.identity_updates.rules(provider))
    except IdentityRefused as refused:
        raise invalid_json(refused.message) from None
    ordering = asked or state.next_ordering()
    state.pipeline.submit(lambda: state.identity_updates.apply(provider, section, text, ordering))
    return {}

"""The Push API's calls for security identities (``push-api.md`` section 2, rows 7 to 11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coveo_provider.sandbox.calls.push_calls import queue_delay
from coveo_provider.sandbox.service import identities
from coveo_provider.sandbox.service.errors import invalid_json, too_large
from coveo_provider.sandbox.service.identities import IdentityRefused

if TYPE_CHECKING:
    from coveo_provider.sandbox.http.wire import Request
    from coveo_provider.sandbox.service.providers import Provider
    from coveo_provider.sandbox.service.state import State


def push_provider(state: State, request: Request) -> Provider:
    """Find the provider of a Push call; 412 when there is none or it takes no identities."""
    return state.providers.require(request.values["provider"])


def put_identity(state: State, request: Request) -> object:
    """Row 7: add or update one identity, its member list complete."""
    return _single(state, request, "members")


def put_alias(state: State, request: Request) -> object:
    """Row 8: add or update the aliases and grants of one identity."""
    return _single(state, request, "mappings")


def delete_identity(state: State, request: Request) -> object:
    """Row 9: disable one identity."""
    return _single(state, request, "deleted")


def put_batch(state: State, request: Request) -> object:
    """Row 10: push a batch whose content is in a container."""
    provider = push_provider(state, request)
    file_id, given = request.required("fileId"), request.ordering_id()
    request.json(state.limits.request_bytes)
    path = state.containers.take(file_id)
    ordering = given or state.next_ordering()
    state.pipeline.submit(lambda: state.expansion.batch(provider, file_id, path, ordering))
    return {}


def delete_older(state: State, request: Request) -> object:
    """Row 11: disable what was last updated before an orderingId."""
    provider = push_provider(state, request)
    request.required("orderingId")
    ordering, delay = request.ordering_id(), queue_delay(state, request)
    request.json(state.limits.request_bytes)
    state.submit_disable_older(provider, ordering or 0, delay)
    return {}


def _single(state: State, request: Request, section: str) -> object:
    provider = push_provider(state, request)
    given = request.ordering_id()
    limit = state.limits.inline_bytes
    text = request.body.read_all(limit)
    if len(text) >= limit:
        raise too_large(f"The request has {len(text)} bytes and must stay under {limit}.")
    try:
        identities.read(text or b"{}", section, state.expansion.rules(provider))
    except IdentityRefused as refused:
        raise invalid_json(refused.message) from None
    ordering = given or state.next_ordering()
    state.pipeline.submit(lambda: state.expansion.apply(provider, section, text, ordering))
    return {}

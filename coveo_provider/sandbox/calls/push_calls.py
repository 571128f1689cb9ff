"""The Push API's calls on items, statuses and file containers, and the upload itself (docs 78, 43)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from coveo_provider.sandbox.service.errors import ApiError, invalid_json, invalid_parameter
from coveo_provider.sandbox.service.indexing import item_rules
from coveo_provider.sandbox.service.indexing.item_rules import ItemRefused, Rules
from coveo_provider.sandbox.service.quotas import Entries, entries_of

if TYPE_CHECKING:
    from pathlib import Path

    from coveo_provider.sandbox.calls.request import Request
    from coveo_provider.sandbox.service.sources import Source
    from coveo_provider.sandbox.service.state import State


def push_source(state: State, request: Request) -> Source:
    """Find the source of a Push call; 412 when there is none or it takes no pushes."""
    source = state.sources.require(request.values["source"])
    if not source.push_enabled:
        # docs/api-notes.md, "Errors and retries": the exact code is uncertain (probe: source-of-another-kind).
        raise ApiError(412, "INVALID_SOURCE_ID", f"The source '{source.id}' is not push-enabled.")
    return source


def set_status(state: State, request: Request) -> None:
    """Set the status of a source (probe: status-answer)."""
    source = push_source(state, request)
    status = request.query.get("statusType")
    request.json(state.limits.request_bytes)
    state.sources.set_status(source, status)


def put_item(state: State, request: Request) -> object:
    """Add or update one item, its content inline."""
    source = push_source(state, request)
    uri = request.required("documentId")
    asked = request.ordering_id()
    compression = request.query.get("compressionType")
    if compression is not None and compression not in item_rules.COMPRESSION_TYPES:
        raise invalid_parameter("compressionType", f"'{compression}' is none of the documented values.")
    text = request.body.read_inline(state.limits.inline_bytes)
    _check_inline(state, source, text, uri, compression)
    state.meter.take_entries(lambda: Entries(1), push=True)
    ordering = asked or state.next_ordering()
    state.pipeline.submit(lambda: state.indexer.put_item(source, text, uri, compression, ordering))
    return {}


def _check_inline(state: State, source: Source, text: bytes, uri: str, compression: str | None) -> None:
    """
    Refuse what the call itself refuses; what only the pipeline sees stays for the log.

    An item without permissions, with too many, or whose documentId is no URI gets its 202 (docs 63, 78); a body
    that is not the model's JSON does not.
    """
    try:
        item_rules.read_item(
            text, Rules(False, source.visibility, state.limits), uri=uri, compression=compression
        )
    except ItemRefused as refused:
        if "in the query" in refused.message and "in the body" in refused.message:
            raise invalid_parameter("documentId", refused.message) from None
        if refused.result == "ERROR" and "no permissions" not in refused.message:
            raise invalid_json(refused.message) from None


def delete_item(state: State, request: Request) -> None:
    """Delete one item, and its children when asked."""
    source = push_source(state, request)
    uri, children = request.required("documentId"), request.flag("deleteChildren")
    asked = request.ordering_id()
    request.json(state.limits.request_bytes)
    state.meter.take_entries(lambda: Entries(0, 1), push=True)
    ordering = asked or state.next_ordering()
    state.pipeline.submit(lambda: state.indexer.delete_item(source, uri, children, ordering))


def put_batch(state: State, request: Request) -> None:
    """Push a batch whose content is in a container."""
    source = push_source(state, request)
    file_id, asked = request.required("fileId"), request.ordering_id()
    request.json(state.limits.request_bytes)
    path = take_container(state, file_id, push=True)
    ordering = asked or state.next_ordering()
    state.pipeline.submit(lambda: state.indexer.batch(source, file_id, path, ordering))


def take_container(state: State, file_id: str, *, push: bool) -> Path:
    """
    Use up a container of items, unless it brings more than a quota has left.

    Refused, it stays as it was: a container goes when its content is forwarded (docs 43), and a caller who
    repeats the call hears of the quota again, not of a container that is gone.
    """
    path = state.containers.take(file_id)
    try:
        state.meter.take_entries(lambda: entries_of(path), push=push)
    except ApiError:
        state.containers.give_back(file_id)
        raise
    return path


def delete_older(state: State, request: Request) -> None:
    """Delete what was last updated before an orderingId."""
    source = push_source(state, request)
    request.required("orderingId")
    ordering, delay = request.ordering_id(), queue_delay(state, request)
    request.json(state.limits.request_bytes)
    state.submit_delete_older(source, ordering or 0, delay)


def queue_delay(state: State, request: Request) -> int:
    """Give ``queueDelay`` in minutes."""
    limits = state.limits
    return request.whole("queueDelay", limits.queue_delay_minutes, limits.max_queue_delay_minutes)


def create_file(state: State, request: Request) -> object:
    """Make a file container; its address is path-style always, as loopback has no sub-domains."""
    request.flag("useVirtualHostedStyleUrl")
    request.json(state.limits.request_bytes)
    return state.containers.create(state.base_url)[1]


def upload(state: State, request: Request) -> None:
    """Take what is sent to an upload address, in S3's manners."""
    key = "/".join(request.parts[2:])
    bucket = request.parts[1] if len(request.parts) > 1 else ""
    container = state.containers.authorize(bucket, key, request.method, request.query, request.headers)
    length = None if request.body.chunked else request.body.length
    state.containers.store(container, length, request.body.copy_to)

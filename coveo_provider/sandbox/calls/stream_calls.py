"""The Stream API's calls (docs lb4a0344, p4eb0129)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from coveo_provider.sandbox.calls.push_calls import queue_delay, take_container
from coveo_provider.sandbox.calls.request import check_ordering_id
from coveo_provider.sandbox.service.errors import ApiError, invalid_parameter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from coveo_provider.sandbox.calls.request import Request
    from coveo_provider.sandbox.service.sources import Source
    from coveo_provider.sandbox.service.state import State

_SHARD = re.compile(r"[A-Za-z0-9]{1,10}")


def stream_source(state: State, request: Request) -> Source:
    """Find the source, or data collection, of a Stream call; 412 when there is none or it takes no streams."""
    if "collection" in request.values:
        return state.sources.require_collection(request.values["collection"])
    source = state.sources.require(request.values["source"])
    if not source.stream_enabled:
        raise ApiError(412, "INVALID_SOURCE_ID", f"The source '{source.id}' is not stream-enabled.")
    return source


def open_stream(state: State, request: Request) -> object:
    """Open a stream; the answer brings a first container, which may stay unused."""
    source = stream_source(state, request)
    request.json(state.limits.request_bytes)
    container, described = state.containers.create(state.base_url)
    return {"streamId": state.streams.open(source, container.file_id).id, **described}


def request_chunk(state: State, request: Request) -> object:
    """Give a further container of an open stream."""
    source = stream_source(state, request)
    request.json(state.limits.request_bytes)
    state.streams.check_open(source, request.values["stream"])
    container, described = state.containers.create(state.base_url)
    state.streams.add_chunk(source, request.values["stream"], container.file_id)
    return described


def close_stream(state: State, request: Request) -> object:
    """
    Close a stream: what it brought replaces the source's content (docs lb4a0344).

    Containers nothing was uploaded to do not count; a stream without any empties the source.
    """
    source = stream_source(state, request)
    request.json(state.limits.request_bytes)
    stream = state.streams.close(source, request.values["stream"])
    chunks = [
        (file_id, path)
        for file_id in stream.file_ids
        if (path := state.containers.collect(file_id)) is not None
    ]
    ordering = state.next_ordering()
    state.submit_load(source, chunks, ordering)
    return _ordered(request, ordering)


def update(state: State, request: Request) -> object:
    """Update items: full, partial, deleted."""
    source = stream_source(state, request)
    shard = request.query.get("shard")
    if shard is not None and not _SHARD.fullmatch(shard):
        raise invalid_parameter("shard", "it has 1 to 10 letters and digits.")
    return _submit(state, request, source, state.indexer.update)


def merge(state: State, request: Request) -> object:
    """Merge fields into items, making those that do not exist."""
    return _submit(state, request, stream_source(state, request), state.indexer.merge)


def delete_older(state: State, request: Request) -> object:
    """Delete what was last updated before a moment."""
    source = stream_source(state, request)
    mark = check_ordering_id("epochMilliseconds", request.values["mark"])
    delay = queue_delay(state, request)
    request.json(state.limits.request_bytes)
    ordering = state.next_ordering()
    state.submit_delete_older(source, mark, delay, ordering=ordering)
    return _ordered(request, ordering)


def _submit(
    state: State, request: Request, source: Source, apply: Callable[[Source, str, Path, int], None]
) -> object:
    file_id = request.required("fileId")
    request.json(state.limits.request_bytes)
    path = take_container(state, file_id, push=False)
    ordering = state.next_ordering()
    state.pipeline.submit(lambda: apply(source, file_id, path, ordering))
    return _ordered(request, ordering)


def _ordered(request: Request, ordering: int) -> object:
    """``CatalogStreamOutArgs``: the orderingId is a string."""
    return {"orderingId": str(ordering), "requestId": request.request_id}

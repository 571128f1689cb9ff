"""Open streams: nothing of a stream is applied before it is closed (docs lb4a0344)."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from coveo_provider.sandbox.service.errors import ApiError

if TYPE_CHECKING:
    from coveo_provider.sandbox.service.sources import Source


@dataclass
class Stream:
    """A stream and the containers handed out for it, in order."""

    id: str
    source_n: int
    file_ids: list[str] = field(default_factory=list)


class Streams:
    """The open streams. Several may be open on one source; each close is a load of its own (probe: streams-two)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, Stream] = {}

    def open(self, source: Source, file_id: str) -> Stream:
        """Start a stream with its first container."""
        stream = Stream(str(uuid.uuid4()), source.n, [file_id])
        with self._lock:
            self._open[stream.id] = stream
        return stream

    def add_chunk(self, source: Source, stream_id: str, file_id: str) -> None:
        """Add a container to an open stream."""
        with self._lock:
            self._require(source, stream_id).file_ids.append(file_id)

    def check_open(self, source: Source, stream_id: str) -> None:
        """Refuse a stream that is not open on this source."""
        with self._lock:
            self._require(source, stream_id)

    def close(self, source: Source, stream_id: str) -> Stream:
        """End a stream; a second close finds it no more."""
        with self._lock:
            stream = self._require(source, stream_id)
            del self._open[stream_id]
            return stream

    def of(self, source: Source) -> tuple[str, ...]:
        """Ids of the streams open on a source, oldest first."""
        with self._lock:
            return tuple(stream.id for stream in self._open.values() if stream.source_n == source.n)

    def reset(self) -> None:
        """Forget every open stream."""
        with self._lock:
            self._open.clear()

    def _require(self, source: Source, stream_id: str) -> Stream:
        stream = self._open.get(stream_id)
        if stream is None or stream.source_n != source.n:
            # No page names status or code of an unknown or closed stream (docs/api-notes.md, "Streams";
            # probe: stream-unknown).
            raise ApiError(412, "INVALID_STREAM_ID", f"The stream '{stream_id}' is not open on this source.")
        return stream

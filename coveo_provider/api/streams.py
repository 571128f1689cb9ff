"""The Stream API's calls (stream-api.md section 2)."""

from __future__ import annotations

import logging
from collections.abc import Callable

from coveo_provider.api import arguments, reading, routes
from coveo_provider.api.answers import Answer
from coveo_provider.api.caller import Caller
from coveo_provider.api.types import Accepted, FileContainer, OpenStream
from coveo_provider.errors import NotFound, SourceRefused

log = logging.getLogger(__name__)

_NOT_ABOUT_THE_STREAM = frozenset(
    {"ORGANIZATION_NOT_FOUND", "SOURCE_DOES_NOT_EXIST", "INVALID_SOURCE_ID", "DOCUMENT_LIMIT_EXCEEDED"}
)
"""Refusals of a close that do not say that the stream is closed already (limits-and-errors.md section 3)."""


class StreamingCaller(Caller):
    """What is the same for every kind of stream."""

    def _opened(self, answer: Answer) -> OpenStream:
        return OpenStream(answer.fields("streamId")["streamId"], self._container(answer))

    @staticmethod
    def _closed(stream_id: str, close: Callable[[], Accepted], *, sent_before: bool = False) -> Accepted:
        """Call ``close``, and recognise what it says of a stream that an earlier attempt has closed."""
        try:
            return close()
        except (NotFound, SourceRefused) as error:
            lost = sent_before or error.after_lost_answer
            if not lost or error.code in _NOT_ABOUT_THE_STREAM:
                raise
            log.warning("Stream %s was closed by an attempt whose answer was lost: %s", stream_id, error)
            return Accepted(None, "")


class StreamCalls(StreamingCaller):
    """Items of a stream source."""

    def open_stream(self, source_id: str) -> OpenStream:
        """Open a stream, whose close will replace the whole content of the source."""
        return self._call(routes.OPEN_STREAM, self._opened, source_id=source_id)

    def request_chunk(self, source_id: str, stream_id: str) -> FileContainer:
        """Return a new container that belongs to an open stream."""
        return self._call(routes.REQUEST_CHUNK, self._container, source_id=source_id, stream_id=stream_id)

    def close_stream(self, source_id: str, stream_id: str, *, sent_before: bool = False) -> Accepted:
        """
        Close a stream: what was uploaded into it replaces the source's content.

        When the answer to a first attempt is lost, the second is refused as the stream is no longer open;
        that is recognised as success, without an ``ordering_id``.

        :param sent_before: whether another process may have sent this close, and got no answer
        """

        def close() -> Accepted:
            return self._call(routes.CLOSE_STREAM, reading.accepted, source_id=source_id, stream_id=stream_id)

        return self._closed(stream_id, close, sent_before=sent_before)

    def update_stream(self, source_id: str, file_id: str) -> Accepted:
        """Submit a container of items to add, update, partially update and delete."""
        return self._call(routes.UPDATE_STREAM, reading.accepted, {"fileId": file_id}, source_id=source_id)

    def merge_stream(self, source_id: str, file_id: str) -> Accepted:
        """Submit a container of items whose fields are merged into those stored (Catalog sources only)."""
        return self._call(routes.MERGE_STREAM, reading.accepted, {"fileId": file_id}, source_id=source_id)

    def delete_stream_items_older_than(
        self, source_id: str, ordering_id: int, *, queue_delay: int = 15
    ) -> Accepted:
        """
        Delete the items of a stream source whose last update is older than ``ordering_id``.

        :param ordering_id: ms since the epoch: that of the first update of a refresh
        :param queue_delay: minutes the API waits, so that what is queued is not indexed after the deletion
        :raises ConfigurationError: the mark is not 13 digits, or lies in the future
        """
        delay = arguments.minutes(queue_delay)
        mark = self._checked_mark(f"source {source_id}", source_id, ordering_id)
        return self._call(
            routes.DELETE_STREAM_OLDER,
            reading.accepted,
            {"queueDelay": delay},
            source_id=source_id,
            mark=str(mark),
        )

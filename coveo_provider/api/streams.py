"""The Stream API's calls, on a stream source and on a data collection."""

from __future__ import annotations

import logging

from coveo_provider.api import arguments, reading
from coveo_provider.api.answers import Answer
from coveo_provider.api.caller import Caller
from coveo_provider.api.retries import may_have_been_carried_out
from coveo_provider.api.routes import StreamRoutes
from coveo_provider.api.types import Accepted, FileContainer, OpenStream
from coveo_provider.errors import ApiError, CloseUnknown, CoveoError, Throttled

log = logging.getLogger(__name__)

_NOT_OPEN = frozenset({"INVALID_STREAM_ID"})
"""
Codes that say of a stream that it is not open. Uncertain: no page gives one (``docs/api-notes.md``,
"Streams"). Any other refusal, such as ``INVALID_PARAMETER``, leaves open what became of the stream.
"""


class _StreamCaller(Caller):
    """Each call of the Stream API once; what it is called on is a matter of its path."""

    def _open(self, streams: StreamRoutes) -> OpenStream:
        return self._ask(streams.open, self._opened)

    def _opened(self, answer: Answer) -> OpenStream:
        return OpenStream(answer.fields("streamId")["streamId"], self._container(answer))

    def _chunk(self, streams: StreamRoutes, stream_id: str) -> FileContainer:
        return self._ask(streams.chunk.at(stream_id=stream_id), self._container)

    def _close(self, streams: StreamRoutes, stream_id: str, *, sent_before: bool = False) -> Accepted:
        try:
            return self._ask(streams.close.at(stream_id=stream_id), reading.accepted)
        except Throttled:
            raise  # this attempt was certainly not carried out, and the caller may wait for the next
        except CoveoError as error:
            if not (sent_before or error.after_lost_answer or may_have_been_carried_out(error)):
                raise
            if isinstance(error, ApiError) and error.code in _NOT_OPEN:
                log.warning("Stream %s was closed by an attempt whose answer was lost: %s", stream_id, error)
                return Accepted(None, "")
            raise CloseUnknown(stream_id, streams.owner, str(error)) from None

    def _delete_older(self, streams: StreamRoutes, ordering_id: int, queue_delay: int) -> Accepted:
        query = {"queueDelay": arguments.minutes(queue_delay)}
        # The platform knows no data collection: asked for one it refuses, which tells the time as well.
        mark = self._checked_mark(streams.owner, ordering_id, lambda: self.server_time_ms(streams.owner_id))
        return self._ask(streams.delete_older.at(mark=str(mark)), reading.accepted, query)


class StreamCalls(_StreamCaller):
    """Items of a stream source (docs lb4a0344)."""

    def open_stream(self, source_id: str) -> OpenStream:
        """Open a stream, whose close will replace the whole content of the source."""
        return self._open(StreamRoutes.of_source(source_id))

    def request_chunk(self, source_id: str, stream_id: str) -> FileContainer:
        """Return a new container that belongs to an open stream."""
        return self._chunk(StreamRoutes.of_source(source_id), stream_id)

    def close_stream(self, source_id: str, stream_id: str, *, sent_before: bool = False) -> Accepted:
        """
        Close a stream: what was uploaded into it replaces the source's content.

        When the answer to a first attempt is lost, and the API says to the second that the stream is not open, the
        first has closed it: that is a success without an ``ordering_id``. Nothing else counts as closed.

        :param sent_before: whether another process may have sent this close, and got no answer
        :raises CloseUnknown: an answer was lost, and what came next does not say what became of the stream
        """
        return self._close(StreamRoutes.of_source(source_id), stream_id, sent_before=sent_before)

    def update_stream(self, source_id: str, file_id: str) -> Accepted:
        """Submit a container of items to add, update, partially update and delete (docs p4eb0129)."""
        return self._ask(StreamRoutes.of_source(source_id).update, reading.accepted, {"fileId": file_id})

    def merge_stream(self, source_id: str, file_id: str) -> Accepted:
        """Submit a container of items whose fields are merged into those stored: Catalog only (docs p48b0322)."""
        return self._ask(StreamRoutes.of_source(source_id).merge, reading.accepted, {"fileId": file_id})

    def delete_stream_items_older_than(
        self, source_id: str, ordering_id: int, *, queue_delay: int = 15
    ) -> Accepted:
        """
        Delete the items of a stream source whose last update is older than ``ordering_id``.

        :param ordering_id: ms since the epoch: that of the first update of a refresh
        :param queue_delay: minutes the API waits, so that what is queued is not indexed after the deletion
        :raises ConfigurationError: the mark is not 13 digits, or lies in the future
        """
        return self._delete_older(StreamRoutes.of_source(source_id), ordering_id, queue_delay)


class CollectionCalls(_StreamCaller):
    """
    Items of a data collection: the calls on a stream source, under other paths.

    They stand in the published description and on no other page, which says neither how a data collection is
    made nor who may have one (``docs/api-notes.md``, "Data collections"). Prefer the calls on a source
    unless Coveo gave you the id of a data collection.
    """

    def open_collection_stream(self, collection_id: str) -> OpenStream:
        """Open a stream on a data collection; its close is taken to replace the whole content, as a source's."""
        return self._open(StreamRoutes.of_collection(collection_id))

    def request_collection_chunk(self, collection_id: str, stream_id: str) -> FileContainer:
        """Return a new container that belongs to an open stream of a data collection."""
        return self._chunk(StreamRoutes.of_collection(collection_id), stream_id)

    def close_collection_stream(self, collection_id: str, stream_id: str) -> Accepted:
        """
        Close a stream of a data collection.

        A close whose answer was lost is dealt with as by :meth:`~.StreamCalls.close_stream`.

        :raises CloseUnknown: an answer was lost, and what came next does not say what became of the stream
        """
        return self._close(StreamRoutes.of_collection(collection_id), stream_id)

    def update_collection(self, collection_id: str, file_id: str) -> Accepted:
        """Submit a container of items to add, update and delete in a data collection."""
        return self._ask(
            StreamRoutes.of_collection(collection_id).update, reading.accepted, {"fileId": file_id}
        )

    def merge_collection(self, collection_id: str, file_id: str) -> Accepted:
        """Submit a container of items whose fields are merged into those of a data collection."""
        return self._ask(
            StreamRoutes.of_collection(collection_id).merge, reading.accepted, {"fileId": file_id}
        )

    def delete_collection_items_older_than(
        self, collection_id: str, ordering_id: int, *, queue_delay: int = 15
    ) -> Accepted:
        """
        Delete the items of a data collection whose last update is older than ``ordering_id``.

        :param ordering_id: ms since the epoch: that of the first update of a refresh
        :param queue_delay: minutes the API waits, so that what is queued is not indexed after the deletion
        :raises ConfigurationError: the mark is not 13 digits, or lies in the future
        """
        return self._delete_older(StreamRoutes.of_collection(collection_id), ordering_id, queue_delay)

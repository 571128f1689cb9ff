"""
The Stream API's calls on data collections.

They stand in the published description and on no other page (stream-api.md section 2), which says neither how a
data collection is made nor who may have one. They take and answer what the calls on a stream source do; prefer
those unless Coveo gave you the id of a data collection.
"""

from __future__ import annotations

from coveo_provider.api import arguments, reading, routes
from coveo_provider.api.streams import StreamingCaller
from coveo_provider.api.types import Accepted, FileContainer, OpenStream


class CollectionCalls(StreamingCaller):
    """Items of a data collection. Undocumented but for the description of each call."""

    def open_collection_stream(self, collection_id: str) -> OpenStream:
        """Open a stream on a data collection; its close is taken to replace the whole content, as a source's."""
        return self._call(routes.OPEN_COLLECTION, self._opened, collection_id=collection_id)

    def request_collection_chunk(self, collection_id: str, stream_id: str) -> FileContainer:
        """Return a new container that belongs to an open stream of a data collection."""
        return self._call(
            routes.REQUEST_COLLECTION_CHUNK,
            self._container,
            collection_id=collection_id,
            stream_id=stream_id,
        )

    def close_collection_stream(self, collection_id: str, stream_id: str) -> Accepted:
        """
        Close a stream of a data collection.

        A close whose answer was lost is recognised, as :meth:`~.StreamCalls.close_stream` does it.
        """

        def close() -> Accepted:
            return self._call(
                routes.CLOSE_COLLECTION, reading.accepted, collection_id=collection_id, stream_id=stream_id
            )

        return self._closed(stream_id, close)

    def update_collection(self, collection_id: str, file_id: str) -> Accepted:
        """Submit a container of items to add, update and delete in a data collection."""
        return self._call(
            routes.UPDATE_COLLECTION, reading.accepted, {"fileId": file_id}, collection_id=collection_id
        )

    def merge_collection(self, collection_id: str, file_id: str) -> Accepted:
        """Submit a container of items whose fields are merged into those of a data collection."""
        return self._call(
            routes.MERGE_COLLECTION, reading.accepted, {"fileId": file_id}, collection_id=collection_id
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
        delay = arguments.minutes(queue_delay)
        mark = self._checked_mark(f"data collection {collection_id}", collection_id, ordering_id)
        return self._call(
            routes.DELETE_COLLECTION_OLDER,
            reading.accepted,
            {"queueDelay": delay},
            collection_id=collection_id,
            mark=str(mark),
        )

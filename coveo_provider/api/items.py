"""The Push API's calls on items, and on the status of their source (docs 78)."""

from __future__ import annotations

from dataclasses import replace

from coveo_provider.api import arguments, reading, routes
from coveo_provider.api.caller import Caller
from coveo_provider.api.types import CompressionType, SourceStatus


class ItemCalls(Caller):
    """Items of a Push source."""

    def set_source_status(self, source_id: str, status: SourceStatus | str) -> int:
        """
        Set the status, and return a mark of the server's time, in ms since the epoch.

        Everything pushed before this call is older than the mark, and nothing pushed after it is, so that
        :meth:`delete_items_older_than` with it removes what the pushes did not renew. That takes a second,
        as a ``Date`` header has whole seconds; not for ``IDLE``, with which nothing begins.

        The mark is as right as the ``Date`` of the answer, which a proxy may have written: who knows when the first
        chunk was uploaded deletes by the earliest of several clocks (:mod:`coveo_provider.marks`).
        """
        wanted = SourceStatus.of(status)
        query = {"statusType": wanted.value}
        now = self._ask(routes.SET_STATUS.at(source_id=source_id), reading.acknowledged_at, query)
        if wanted is SourceStatus.IDLE:
            return now
        return self._mark_after(now, routes.GET_SOURCE.at(source_id=source_id))

    def put_item(
        self,
        source_id: str,
        document_id: str,
        body: bytes,
        *,
        ordering_id: int | None = None,
        compression_type: str | None = None,
        replay: bool = True,
    ) -> None:
        """
        Add or update one item.

        :param body: the document as JSON, under 5 MiB
        :param compression_type: of ``compressedBinaryData`` in it, see :class:`CompressionType`
        :param replay: whether it is sent again when its answer was lost: not what names a file container, which
            may be gone by then
        """
        query = {**arguments.document(document_id), **arguments.ordering(ordering_id)}
        if compression_type is not None:
            query["compressionType"] = CompressionType.of(compression_type).value
        self._call(replace(routes.PUT_ITEM.at(source_id=source_id), replay=replay), query, body=body)

    def delete_item(
        self,
        source_id: str,
        document_id: str,
        *,
        delete_children: bool = False,
        ordering_id: int | None = None,
    ) -> None:
        """
        Delete one item.

        :param delete_children: also delete every item whose id *starts with* this one: ``file://a`` takes
            ``file://ab`` along (``docs/api-notes.md``, "Deleting by prefix")
        """
        query = {
            **arguments.document(document_id),
            "deleteChildren": arguments.flag(delete_children),
            **arguments.ordering(ordering_id),
        }
        self._call(routes.DELETE_ITEM.at(source_id=source_id), query)

    def push_batch(self, source_id: str, file_id: str, *, ordering_id: int | None = None) -> None:
        """
        Submit a container of items to add, update and delete.

        Not sent again when its answer was lost: the container may be gone. Upload again instead, as
        :func:`coveo_provider.loading.deliveries.deliver` does.
        """
        query = {"fileId": file_id, **arguments.ordering(ordering_id)}
        self._call(routes.PUSH_BATCH.at(source_id=source_id), query)

    def delete_items_older_than(self, source_id: str, ordering_id: int, *, queue_delay: int = 15) -> None:
        """
        Delete the items of a Push source whose last update is older than ``ordering_id``.

        :param ordering_id: ms since the epoch, from :meth:`set_source_status`
        :param queue_delay: minutes the API waits, so that what is queued is not indexed after the deletion
        :raises ConfigurationError: the mark is not 13 digits, or lies in the future
        """
        delay = arguments.minutes(queue_delay)
        mark = self._checked_mark(f"source {source_id}", ordering_id, lambda: self.server_time_ms(source_id))
        self._call(
            routes.DELETE_OLDER.at(source_id=source_id), {"orderingId": str(mark), "queueDelay": delay}
        )

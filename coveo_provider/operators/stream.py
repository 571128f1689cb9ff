"""The Stream API: open, upload, close. A load replaces the whole content of a Catalog source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context, XComArg

from coveo_provider.documents.contract import Api, Section, counted
from coveo_provider.errors import ApiError, CloseUnknown, CoveoError
from coveo_provider.links import SOURCE_LINKS
from coveo_provider.operators.support.claims import Claim, SourceOperator
from coveo_provider.operators.support.ending import GuardedOperator
from coveo_provider.operators.support.sending import SendingOperator

if TYPE_CHECKING:
    from coveo_provider.api.types import Accepted
    from coveo_provider.report import Report

_SECOND_MS = 1_000

STREAM_WAIT_SECONDS = 2_700.0
"""An open stream waits no longer: no page says how long its chunks are kept, and their containers live an hour."""


class CoveoOpenStreamOperator(SourceOperator):
    """
    Open a stream on a source, for later tasks to upload into, and return its id.

    Nothing changes in the index until the stream is closed; one that is never closed changes nothing. Until then no
    other DAG run begins a load: it gets ``SourceBusy``, which a retry may outlast.

    :param source_id: the source whose content the stream will replace (templated)
    :param exclusive: whether no other run may be loading the source meanwhile
    :param coveo_conn_id: connection to the organization that owns it (templated)
    :return: the stream's id
    """

    documentation = "https://docs.coveo.com/en/p4eb0129/"
    template_fields: Sequence[str] = ("source_id", "coveo_conn_id")
    operator_extra_links = SOURCE_LINKS

    begins = True

    def __init__(self, *, source_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source_id = source_id

    def act(self, context: Context) -> str:
        """Open the stream; the container handed out with it stays unused."""
        with self.claim(context).begun("opening a stream"):
            stream = self.client.open_stream(self.source_id)
        self.log.info("Opened stream %s on source %s", stream.stream_id, self.source_id)
        return stream.stream_id


class CoveoUploadChunkOperator(SendingOperator):
    """
    Upload documents into an open stream. Meant to be mapped: one task per part of the dataset.

    A part larger than a chunk becomes several chunks. A part is encoded and checked whole before its first
    chunk is sent. Uploading a part twice leaves the index the same, so a retry is harmless.

    :param source_id: the source the stream belongs to (templated)
    :param stream_id: the stream, from :class:`CoveoOpenStreamOperator` (templated)
    :param documents: URI of a part, a folder of parts, or a list of them; or a list of rows, or a DataFrame
        (templated)
    :param max_chunk_bytes: the most a chunk may take, in bytes, envelope included
    :param coveo_conn_id: connection to the organization that owns the source (templated)
    :return: a report: ``parts``, ``documents``, ``bytes``, ``chunks``
    """

    documentation = "https://docs.coveo.com/en/p4eb0129/"
    template_fields: Sequence[str] = ("source_id", "stream_id", "documents", "coveo_conn_id")
    longest_wait = STREAM_WAIT_SECONDS

    def __init__(
        self,
        *,
        source_id: str,
        stream_id: str | XComArg,
        documents: str | Sequence[str | XComArg] | Sequence[Mapping[str, Any]] | XComArg,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_id = source_id
        self.stream_id: Any = stream_id
        self.documents: Any = documents

    def act(self, context: Context) -> dict[str, Any]:
        """Encode and check the part, then ask for a container per chunk and upload."""
        return self.send(
            context,
            {Section.ADD_OR_UPDATE: self.documents},
            api=Api.STREAM,
            container=partial(self.client.request_chunk, self.source_id, self.stream_id),
            submit=lambda _: None,  # an uploaded chunk belongs to its stream already
            stream_id=str(self.stream_id),
        )


class CoveoCloseStreamOperator(GuardedOperator):
    """
    Close a stream: what was uploaded into it replaces the whole content of the source.

    It checks the load first. An empty load, one of fewer than ``min_documents``, or one that would shrink the
    source beyond ``max_shrink`` raises ``SafetyStop`` and leaves the index as it was. It keeps to the trigger
    rule ``all_success``: it never runs when a part failed or was skipped. Once Coveo has accepted the close,
    the asset of the source gets an event (:func:`~coveo_provider.assets.coveo_asset`).

    :param source_id: the source the stream belongs to (templated)
    :param stream_id: the stream (templated)
    :param reports: the reports of all uploads into it: ``upload.output`` (templated)
    :param parts: all parts of the load, each of which needs a report: ``check.output``. When left out, there
        must be as many reports as tasks that upload before this one (templated)
    :param content_owner: what decides what the source holds; by default the DAG and its task group (templated)
    :param min_documents: the fewest documents a load may have; 0 allows to empty the source (templated)
    :param max_shrink: share of the items held now that may go, between 0 and 1; ``None`` does not look. Needs
        the privilege Sources (View) (templated)
    :param on_doubt: what to do beyond these bounds: ``"fail"``, or ``"ask"`` a person in Required Actions
    :param answer_within: how long an answer is waited for, 45 minutes at most: an open stream waits no longer;
        without one the task stops
    :param exclusive: whether to stop when another run began to load the source since this one did
    :param coveo_conn_id: connection to the organization that owns the source (templated)
    :return: a report: the sums of the uploads' reports, with ``ordering_id`` and ``request_id`` of the close
    """

    documentation = "https://docs.coveo.com/en/p4eb0129/"
    template_fields: Sequence[str] = (
        "source_id",
        "stream_id",
        "reports",
        "parts",
        "min_documents",
        "max_shrink",
        "content_owner",
        "coveo_conn_id",
    )

    longest_wait = STREAM_WAIT_SECONDS

    def __init__(
        self,
        *,
        source_id: str,
        stream_id: str | XComArg,
        reports: Any,
        parts: Any = None,
        min_documents: int | str = 1,
        max_shrink: float | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_id = source_id
        self.stream_id: Any = stream_id
        self.reports = reports
        self.parts = parts
        self.min_documents = min_documents
        self.max_shrink = max_shrink

    def act(self, context: Context) -> dict[str, Any]:
        """Check what was uploaded, then close."""
        claim = self.claim(context)
        _, loaded = self.checked_load(context, claim, "closing the stream")
        accepted = self._closed(claim, loaded)
        self.log.info(
            "Closed stream %s: the content of source %s is now %s (ordering id %s)",
            self.stream_id,
            self.source_id,
            counted(loaded.documents, "document"),
            accepted.ordering_id,
        )
        if accepted.ordering_id is not None:  # of all items of the load
            loaded = replace(
                loaded, ordering_ids=[accepted.ordering_id], mark=accepted.ordering_id, moment=None
            )
        report = replace(loaded, request_id=accepted.request_id).as_json()
        self.end_load(context, claim, report)
        return report

    def _closed(self, claim: Claim, loaded: Report) -> Accepted:
        """Close the stream, and recognise one that an earlier try, which got no answer or died, has closed."""
        from coveo_provider.api.retries import may_have_been_carried_out
        from coveo_provider.api.types import Accepted

        before = claim.closing(self.stream_id)
        try:
            return self.client.close_stream(self.source_id, self.stream_id, sent_before=before)
        except CloseUnknown:
            if (ordering_id := self._applied(loaded)) is None:
                raise
            self.log.warning("Stream %s was closed, as the source's log shows", self.stream_id)
            return Accepted(ordering_id, "")
        except ApiError as error:
            if not (before or error.after_lost_answer or may_have_been_carried_out(error)):
                claim.closing("")  # for certain it was not closed
            raise

    def _applied(self, loaded: Report) -> int | None:
        """Return the ordering id of the close, if the source's log shows that the load was applied."""
        if loaded.mark is None or loaded.moment is not None or not loaded.first:
            return None  # by clocks that disagree, this load cannot be told from the last
        try:
            entries = self.client.source_logs(self.source_id, loaded.mark, document_id=loaded.first)
            told = [entry.ordering_id for entry in entries if entry.ordering_id is not None]
        except CoveoError as error:
            self.log.warning("Whether stream %s was closed cannot be looked up: %s", self.stream_id, error)
            return None
        after = (
            loaded.mark + _SECOND_MS
        )  # the mark is cut to the second, and the last load may have ended in it
        return max((one for one in told if one >= after), default=None)

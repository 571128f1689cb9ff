"""Chunks are sent one after the other; and what the operators that send items share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from coveo_provider.documents.contract import DEFAULT_CHUNK_BYTES, DOCUMENT_ID, Api, Section, counted
from coveo_provider.errors import ConfigurationError, CoveoError, Throttled
from coveo_provider.links import SOURCE_LINKS
from coveo_provider.operators.support.base import CoveoOperator
from coveo_provider.operators.support.claims import SourceOperator
from coveo_provider.operators.support.content_files import open_content
from coveo_provider.operators.support.ending import EndingOperator
from coveo_provider.operators.support.exposure import refuse_exposure
from coveo_provider.operators.support.fields import (
    look_at_fields,
    of_load,
    refuse_choice,
    was_looked_at,
)
from coveo_provider.operators.support.followers import kinds_after
from coveo_provider.operators.support.inputs import DELETIONS, open_input
from coveo_provider.operators.support.lineage import Lineage, columns_of, data_of_source, data_read
from coveo_provider.operators.support.mapped_tasks import name_by_part

if TYPE_CHECKING:
    from coveo_provider.api.types import Accepted, FileContainer
    from coveo_provider.documents.dataset.tables import Part
    from coveo_provider.documents.encoding.chunks import Chunk
    from coveo_provider.documents.encoding.rows import Rows
    from coveo_provider.loading.uploads import Uploaded
    from coveo_provider.report import ChunkReport, Report

_DOCUMENTS = frozenset({Section.ADD_OR_UPDATE, Section.ADD_OR_MERGE})
_ARGUMENTS = {
    Section.ADD_OR_UPDATE: "documents",
    Section.ADD_OR_MERGE: "documents",
    Section.PARTIAL_UPDATE: "partial_updates",
    Section.DELETE: DELETIONS,
}

# docs/api-notes.md, "Quotas"; the Push API's are those of the license
_STREAM_QUOTA = (
    "; all tasks of an organization together may make 250 in 5 minutes and 15,000 a day (150 and 10,000 of "
    "one that is not for production)"
)


def send_chunks(
    operator: CoveoOperator,
    chunks: Sequence[Chunk],
    report: ChunkReport,
    *,
    to: str,
    container: Callable[[], FileContainer],
    submit: Callable[[str], Accepted | None],
    joins_on_upload: bool = False,
    ahead: Callable[[Chunk], Callable[[], Uploaded | None] | None] = lambda _: None,
    measured: Callable[[], None] = lambda: None,
) -> None:
    """
    Send chunks in order, those that the report counts already left out, and count each that was accepted.

    What was accepted is noted in the operator's checkpoint: a try that waits goes on from there when the service
    throttles, and a retry after a crash where Airflow keeps it; that only up to the first chunk with files, which
    may be others by then.

    :param to: what they are sent to, in words: ``source products``
    :param container: asks for a container, once a chunk is ready
    :param submit: called with the ``file_id`` of a container that was uploaded
    :param joins_on_upload: whether an uploaded container counts without being submitted, as in a stream
    :param ahead: returns what waits for an upload of a chunk that was begun beforehand, if there is one
    :param measured: writes into the report what it took so far
    """
    from coveo_provider.documents.encoding.chunks import digest
    from coveo_provider.loading.deliveries import deliver

    log = operator.log
    done = report.chunks
    accepted_digest = operator.checkpoint.digest if done else ""
    if done:
        log.info("Accepted before: %s of %s", done, counted(len(chunks), "chunk"))
    for number, chunk in enumerate(chunks[done:], start=done):
        try:
            delivery = deliver(
                operator.client,
                chunk,
                container=container,
                submit=submit,
                log=log.info,
                joins_on_upload=joins_on_upload,
                ahead=ahead(chunk),
            )
        except CoveoError as error:
            log.error(
                "Chunk %s of %s, %s, was not accepted by %s%s",
                number + 1,
                len(chunks),
                report.described(chunk),
                to,
                f"; {counted(number, 'chunk')} before it had been" if number else "",
            )
            if isinstance(error, Throttled):
                measured()
                operator.checkpoint = operator.checkpoint.with_accepted(chunks[:number], report.as_json())
            raise
        accepted = delivery.answer
        report.count(chunk, None if accepted is None else accepted.ordering_id, delivery.moment)
        if operator.progress.can_keep and not any(one.attachments for one in chunks[: number + 1]):
            measured()
            accepted_digest = digest([chunk], accepted_digest)
            checkpoint = replace(operator.checkpoint, digest=accepted_digest, report=report.as_json())
            operator.progress.keep(checkpoint)
        log.info("Sent %s, %s bytes, to %s", report.described(chunk), f"{chunk.size:,}", to)


class SendingOperator(SourceOperator):
    """
    A task that sends items in as many file containers as they need.

    Everything is encoded and checked before the first container is submitted; meanwhile, chunks are uploaded.

    :param max_chunk_bytes: the most a container may take, in bytes, envelope included
    :param visibility: ``checked`` asks whether the source is secured, before documents with permissions are
        sent: on any other source everybody would see them. ``unchecked`` where that is known and the key may
        not ask
    :param fields: what to do with metadata that has no field and with values that do not fit their field: ``warn``,
        ``fail``, ``create`` the fields that are missing, or ``off``, which does not ask. Where a task before it
        checked the dataset, or found the changes, that one has looked
    :param exclusive: whether no other run may be loading the source meanwhile; by default the task keeps others
        away when a task that ends the load of the source follows it, and as a feed sends beside a load otherwise
    """

    operator_extra_links = SOURCE_LINKS
    sends = True

    def __init__(
        self,
        *,
        max_chunk_bytes: int = DEFAULT_CHUNK_BYTES,
        visibility: str = "checked",
        fields: str = "warn",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_chunk_bytes = max_chunk_bytes
        self.visibility = visibility
        self.fields = fields

    def is_exclusive(self, context: Context) -> bool:
        """Return whether it belongs to a load, unless ``exclusive`` says it."""
        if self.exclusive is not None:
            return self.exclusive
        return any(issubclass(kind, EndingOperator) for kind in kinds_after(self, context))

    def send(
        self,
        context: Context,
        arguments: Mapping[Section, Any],
        *,
        api: Api,
        container: Callable[[], FileContainer],
        submit: Callable[[str], Accepted | None],
        stream_id: str = "",
    ) -> dict[str, Any]:
        """
        Send what the arguments name, and return a report.

        :param context: the task's
        :param arguments: URIs of parts or folders, or rows, by the array of a container they go to; ``None`` for
            none
        :param api: what they go through, which says how large an item may be
        :param container: asks for a container, once a chunk is ready
        :param submit: called with the ``file_id`` of a container that was uploaded
        :param stream_id: the open stream that containers belong to once they are uploaded; empty for none
        :raises ConfigurationError: they name nothing at all
        :raises DataError: names what is wrong; nothing was sent
        :raises SafetyStop: another run loaded the source since this one did, or everybody would see what has
            permissions
        """
        from coveo_provider.documents.contents.files import ContentSpool
        from coveo_provider.documents.encoding.chunks import ChunkWriter
        from coveo_provider.loading.spooling import spool
        from coveo_provider.loading.uploads import UploadsAhead
        from coveo_provider.report import Report

        refuse_choice(self.fields)
        arguments = {section: value for section, value in arguments.items() if value is not None}
        if not arguments:
            names = ", ".join(name for name in dict.fromkeys(_ARGUMENTS.values()) if hasattr(self, name))
            raise ConfigurationError(f"task {self.task_id}: there is nothing to send. Name one of {names}")
        claim = self.claim(context)
        claim.join("sending to it")
        began = time.monotonic()
        parts: dict[Section, list[str]] = {section: [] for section in arguments}
        with ExitStack() as stack:
            load = {}
            for section, value in arguments.items():
                load[section] = stack.enter_context(open_input(value, _ARGUMENTS[section], parts[section]))
            refuse_exposure(self.client, self.source_id, load, visibility=self.visibility)
            ahead = stack.enter_context(UploadsAhead(self.client, container, log=self.log.info))
            # What was accepted before is not uploaded again. A chunk belongs to a stream once it is uploaded: of a
            # part that is mended and sent again, none of what was wrong with it may be there already.
            sealed = None if self.checkpoint.report or stream_id else ahead.add
            writer = stack.enter_context(ChunkWriter(self.max_chunk_bytes, sealed=sealed))
            contents = stack.enter_context(ContentSpool(open_content))
            chunks = spool(writer, load, item_limit=api.item_bytes, log=self.log.info, contents=contents)
            before = self.checkpoint.report_of(chunks)
            if not before:
                # A task before this one said it of the dataset, and warned: rows and partial updates it never saw.
                seen = _DOCUMENTS if self.fields == "warn" and was_looked_at(self, context) else ()
                news = {one: load[one] for one in load if one not in seen or not parts[one]}
                look_at_fields(self, self.source_id, self.fields, of_load(news))
            for chunk in chunks if stream_id and not before else ():
                ahead.add(chunk)
            self._log_calls(chunks, api, calls_per_chunk=1 if stream_id else 2)
            report = (
                Report(**before)
                if before
                else Report(
                    parts=[part for section in parts.values() for part in section],
                    other_parts={
                        one.value: uris for one, uris in parts.items() if uris and one not in _DOCUMENTS
                    },
                    ids={one.value: _inline_ids(sources) for one, sources in load.items() if not parts[one]},
                    api=api.value,
                    source_id=self.source_id,
                    stream_id=stream_id,
                    load=claim.load,
                )
            )
            measured = partial(self._measure, report, Report(**before), began)
            try:
                send_chunks(
                    self,
                    chunks,
                    report,
                    to=f"source {self.source_id}",
                    container=container,
                    submit=submit,
                    joins_on_upload=bool(stream_id),
                    ahead=ahead.taken,
                    measured=measured,
                )
            finally:  # of a task that fails, what was accepted is told, too
                self.lineage = self.told(lambda: self._lineage(load, report))
        measured()
        name_by_part(context, report)
        return report.as_json()

    def _lineage(self, load: Mapping[Section, Sequence[Part | Rows]], report: Report) -> Lineage:
        """Return the files that were read, and the source with what it was sent."""
        from coveo_provider.documents.dataset.tables import Part

        documents = (one for section in load if section in _DOCUMENTS for one in load[section])
        source = data_of_source(
            self.client.organization_id,
            self.source_id,
            columns=next((columns_of(one.schema) for one in documents if isinstance(one, Part)), ()),
            rows=report.documents + report.partial_updates,
            bytes=report.bytes,
        )
        return Lineage(
            data_read((one for sources in load.values() for one in sources), report.parts), [source]
        )

    def _measure(self, report: Report, before: Report, began: float) -> None:
        """Write into a report what it took so far, with what it took before the task waited."""
        traffic = self.client.traffic
        report.calls = before.calls + traffic.calls
        report.retries = before.retries + traffic.retries
        report.waited_seconds = round(self.checkpoint.waited_seconds + traffic.waited_seconds, 3)
        report.seconds = round(before.seconds + time.monotonic() - began, 3)

    def _log_calls(self, chunks: Sequence[Chunk], api: Api, calls_per_chunk: int) -> None:
        """Say beforehand how many calls this makes, and what the API allows where that is published."""
        from coveo_provider.loading.deliveries import estimate

        self.log.info(
            "Sending %s, %s, takes %s%s",
            counted(len(chunks), "chunk"),
            counted(sum(chunk.size for chunk in chunks), "byte"),
            counted(estimate(chunks, calls_per_chunk), "API call"),
            _STREAM_QUOTA if api is Api.STREAM else "",
        )


def _inline_ids(sources: Sequence[Part | Rows]) -> list[str]:
    """Return the ids of rows given inline."""
    return [str(one) for source in sources for one in source.column(DOCUMENT_ID)]

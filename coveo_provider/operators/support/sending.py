"""What the operators that send items share: given → opened → encoded and checked → sent, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from coveo_provider.documents.contract import DEFAULT_CHUNK_BYTES, Section
from coveo_provider.errors import ConfigurationError, CoveoError, DatasetError, Throttled
from coveo_provider.links import SOURCE_LINKS
from coveo_provider.operators.support.claims import SourceOperator
from coveo_provider.operators.support.contents import open_content
from coveo_provider.operators.support.datasets import list_parts, open_parts

if TYPE_CHECKING:
    from coveo_provider.api.types import Accepted, FileContainer
    from coveo_provider.documents.dataset.tables import Part
    from coveo_provider.documents.encoding.chunks import Chunk
    from coveo_provider.documents.encoding.rows import Rows
    from coveo_provider.report import Report

_ARGUMENTS = {
    Section.ADD_OR_UPDATE: "documents",
    Section.ADD_OR_MERGE: "documents",
    Section.PARTIAL_UPDATE: "partial_updates",
    Section.DELETE: "deletions",
}


class SendingOperator(SourceOperator):
    """
    A task that sends items in as many file containers as they need.

    Everything is encoded and checked before the first container is sent.

    :param max_chunk_bytes: the most a container may take, in bytes, envelope included
    :param exclusive: whether no other run may be loading the source meanwhile; a feed may send beside a load
    """

    operator_extra_links = SOURCE_LINKS

    def __init__(
        self, *, max_chunk_bytes: int = DEFAULT_CHUNK_BYTES, exclusive: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(exclusive=exclusive, **kwargs)
        self.max_chunk_bytes = max_chunk_bytes

    def send(
        self,
        given: Mapping[Section, Any],
        *,
        item_limit: int,
        container: Callable[[], FileContainer],
        submit: Callable[[str], Accepted | None],
        joins_on_upload: bool = False,
    ) -> dict[str, Any]:
        """
        Send what is given, and return a report.

        :param given: URIs of parts or folders, or rows, by the array of a container they go to; ``None`` for none
        :param item_limit: the most one item may take, in bytes
        :param container: asks for a container, once a chunk is ready
        :param submit: called with the ``file_id`` of a container that was uploaded
        :param joins_on_upload: whether an uploaded container counts without being submitted, as in a stream
        :raises ConfigurationError: nothing is given at all
        :raises DataError: names what is wrong; nothing was sent
        """
        from coveo_provider.documents.contents.files import ContentSpool
        from coveo_provider.documents.encoding.chunks import ChunkWriter
        from coveo_provider.loading import deliver, spool
        from coveo_provider.report import Report

        given = {section: value for section, value in given.items() if value is not None}
        if not given:
            names = ", ".join(name for name in dict.fromkeys(_ARGUMENTS.values()) if hasattr(self, name))
            raise ConfigurationError(f"task {self.task_id}: there is nothing to send. Name one of {names}")
        client = self.client
        report = Report()
        with ExitStack() as stack:
            load = {}
            for section, value in given.items():
                load[section] = stack.enter_context(opened(value, _ARGUMENTS[section], report.parts))
            writer = stack.enter_context(ChunkWriter(self.max_chunk_bytes))
            contents = stack.enter_context(ContentSpool(open_content))
            chunks = spool(writer, load, item_limit=item_limit, log=self.log.info, contents=contents)
            self._estimate(chunks, calls_per_chunk=1 if joins_on_upload else 2)
            done = self._accepted_before(chunks, report)
            for number, chunk in enumerate(chunks[done:], start=done):
                try:
                    accepted = deliver(
                        client,
                        chunk,
                        container=container,
                        submit=submit,
                        log=self.log.info,
                        joins_on_upload=joins_on_upload,
                    )
                except CoveoError as error:
                    self.log.error(
                        "Chunk %s of %s, %s, was not accepted by source %s; those before it were",
                        number + 1,
                        len(chunks),
                        chunk.described(),
                        self.source_id,
                    )
                    if isinstance(error, Throttled):
                        remember_accepted(self.progress, chunks[:number], report.as_json())
                    raise
                if accepted is not None and accepted.ordering_id is not None:
                    report.ordering_ids.append(accepted.ordering_id)
                report.count(chunk)
                self.log.info(
                    "Sent %s, %s bytes, to source %s", chunk.described(), f"{chunk.size:,}", self.source_id
                )
        return report.as_json()

    def _accepted_before(self, chunks: Sequence[Chunk], report: Report) -> int:
        """Return how many chunks were accepted before this try waited, with what the report said of them."""
        told = accepted_before(self.progress, chunks)
        for name, value in told.items():
            setattr(report, name, value)
        if told:
            self.log.info(
                "The first %s of %s chunks were accepted before the wait", report.chunks, len(chunks)
            )
        return report.chunks

    def _estimate(self, chunks: Sequence[Chunk], calls_per_chunk: int) -> None:
        """Say beforehand how many calls this makes, and what they leave of the quotas that are published."""
        from coveo_provider.loading import estimate

        plan = estimate(chunks, calls_per_chunk)
        self.log.info(
            "Sending %s chunks of %s bytes takes %s API calls; of the Stream API's 250 in 5 minutes that leaves "
            "%s, of its 15,000 a day %s",
            len(chunks),
            f"{sum(chunk.size for chunk in chunks):,}",
            f"{plan:,}",
            f"{max(250 - plan, 0):,}",
            f"{max(15_000 - plan, 0):,}",
        )


def remember_accepted(progress: dict[str, Any], accepted: Sequence[Chunk], report: Mapping[str, Any]) -> None:
    """Keep what was accepted before a wait: which chunks, and what the report says of them."""
    from coveo_provider.documents.encoding.chunks import digest

    progress["sent"] = {"digest": digest(accepted), "report": dict(report)}


def accepted_before(progress: Mapping[str, Any], chunks: Sequence[Chunk]) -> dict[str, Any]:
    """
    Return the report of the chunks that were accepted before a wait; empty when there are none.

    The same input makes the same chunks; were it another one by now, everything is sent.
    """
    from coveo_provider.documents.encoding.chunks import digest

    sent = progress.get("sent") or {}
    told: dict[str, Any] = sent.get("report") or {}
    done = told.get("chunks", 0)
    return told if done and digest(chunks[:done]) == sent.get("digest") else {}


@contextmanager
def opened(value: Any, name: str, uris: list[str]) -> Iterator[Sequence[Part | Rows]]:
    """
    Open what an argument gives: a dataset by its URIs, or rows as they are.

    :param value: the URI of a part or folder, a list of them, or a list of rows (mappings)
    :param name: the argument's name, for errors
    :param uris: to it those of the parts are added
    :raises DatasetError: it is neither, or a part is missing or cannot be read
    """
    rows = _rows(value, name)
    if rows is not None:
        from coveo_provider.documents.encoding.rows import Rows

        yield [Rows(rows, f"{name} given inline")]
        return
    found = list_parts(value, name)
    uris.extend(found)
    with open_parts(found) as parts:
        yield parts


def _rows(value: Any, name: str) -> list[Mapping[str, Any]] | None:
    """Return the rows an argument holds, or ``None`` when it holds URIs."""
    if isinstance(value, Mapping):
        raise DatasetError(f"{name} is one mapping; expected URIs, or a list of rows: [{{…}}]")
    if isinstance(value, str) or not isinstance(value, Sequence) or not len(value):
        return None
    # By index: Airflow's lazy sequence of mapped outputs logs an error when iterated to its end.
    entries = [value[position] for position in range(len(value))]
    if not any(isinstance(entry, Mapping) for entry in entries):
        return None
    if not all(isinstance(entry, Mapping) for entry in entries):
        raise DatasetError(f"{name} holds rows and URIs; expected either")
    return entries

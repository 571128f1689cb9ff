"""
The corridor: chunk → container → submit. The only place where documents meet the API.

A part is encoded and checked to its end, into chunks on disk, before the first of them is sent: what is wrong
with row one million is said while the index is still as it was.
"""

from __future__ import annotations

import io
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias, TypeVar

from coveo_provider.api.client import CoveoClient
from coveo_provider.api.files import FileUploads
from coveo_provider.api.retries import may_have_been_carried_out
from coveo_provider.api.types import FileContainer
from coveo_provider.documents.contents.files import ContentSpool
from coveo_provider.documents.contents.filling import fill
from coveo_provider.documents.contract import Section, shown
from coveo_provider.documents.dataset.ids import (
    IdLedger,
    refuse_contradictions,
    refuse_duplicates,
    refuse_swallowed,
    swallowing,
)
from coveo_provider.documents.dataset.tables import Part
from coveo_provider.documents.encoding.chunks import Chunk, ChunkWriter, placed
from coveo_provider.documents.encoding.encoders import BatchEncoder, encoder_for
from coveo_provider.documents.encoding.items import Item
from coveo_provider.documents.encoding.rows import Rows
from coveo_provider.documents.records import Encoded
from coveo_provider.errors import CoveoError, SourceRefused, UnexpectedAnswer

_log = logging.getLogger(__name__)

T = TypeVar("T")
Log: TypeAlias = "Callable[..., object]"
Load: TypeAlias = "Mapping[Section, Sequence[Part | Rows]]"

PROGRESS_SECONDS = 10.0
_ENCODERS = 2


class Progress:
    """
    Logs a line every ten seconds of long work.

    :param log: called with a message and its arguments, as ``logging.Logger.info``
    :param verb: what is being done: ``encoded``, ``uploaded``
    :param total: how much there is, in the unit of :meth:`step`; ``None`` when unknown
    :param unit: ``documents`` or ``bytes``
    :param clock: monotonic seconds
    """

    def __init__(
        self,
        log: Log,
        verb: str,
        total: int | None,
        unit: str = "documents",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log, self._verb, self._total, self._unit, self._clock = log, verb, total, unit, clock
        self._start = self._last = clock()
        self._done = self._bytes = 0

    def step(self, done: int, size: int) -> None:
        """Count ``done`` more documents (or bytes), of ``size`` bytes."""
        self._done += done
        self._bytes += size
        now = self._clock()
        if now - self._last < PROGRESS_SECONDS:
            return
        self._last = now
        seconds = max(now - self._start, 1e-9)
        rate = self._done / seconds
        left = (
            f", about {max(self._total - self._done, 0) / rate:,.0f} s left" if self._total and rate else ""
        )
        what = f"{self._done:,} documents, " if self._unit == "documents" else ""
        speed = f"{rate:,.0f} documents/s" if self._unit == "documents" else f"{rate / 1e6:,.1f} MB/s"
        self._log("%s %s%.1f MB so far, %s%s", self._verb, what, self._bytes / 1e6, speed, left)


def spool(
    writer: ChunkWriter, load: Load, *, item_limit: int, log: Log, contents: ContentSpool | None = None
) -> list[Chunk]:
    """
    Encode and check a whole load into chunks on disk, and return these.

    :param load: parts or rows, by the array of a container they go to
    :param item_limit: the most one item may take, in bytes
    :param contents: reads the files that documents name in ``contentUri``; keep it open until all is delivered
    :raises DataError: names what is wrong; nothing was sent
    """
    read = Progress(log, "Read", None, "bytes")
    for section, encoded in _encode(load, item_limit, log):
        if contents is None or not encoded.files:
            writer.add(encoded, section)
            continue
        for piece in fill(encoded, contents, item_limit):
            writer.add(piece, section)
            size = len(piece.data) + sum(attachment.size for attachment in piece.attachments)
            read.step(size, size)
    return writer.finish()


def check(load: Load, *, item_limit: int, log: Log, contents: ContentSpool | None = None) -> int:
    """
    Encode and check a whole load, keep nothing, and return the number of rows.

    :param contents: looks whether the files are there that documents name in ``contentUri``
    :raises DataError: names what is wrong
    """
    rows = 0
    for _, encoded in _encode(load, item_limit, log):
        rows += len(encoded.ends)
        if contents is not None:
            contents.look(encoded.files[row] for row in sorted(encoded.files))
    return rows


def _encode(load: Load, item_limit: int, log: Log) -> Iterator[tuple[Section, Encoded]]:
    """Return every batch of a load as JSON; once the last is taken, no item is named twice."""
    load = {section: list(load.get(section, ())) for section in Section}
    changes, gone = load[Section.PARTIAL_UPDATE], load[Section.DELETE]
    added = [*load[Section.ADD_OR_UPDATE], *load[Section.ADD_OR_MERGE]]
    items, fields = IdLedger(), IdLedger()
    progress = Progress(log, "Encoded", sum(source.rows for sources in load.values() for source in sources))
    for section, sources in load.items():
        for source in sources:
            for encoded in _batches(source, section, item_limit):
                items.add(encoded.id_hashes, many=section is Section.PARTIAL_UPDATE)
                if encoded.field_hashes is not None:
                    fields.add(encoded.field_hashes)
                progress.step(len(encoded.ends), len(encoded.data))
                yield section, encoded
    refuse_duplicates(items, [*added, *gone], changes)
    refuse_contradictions(fields, changes)
    prefixes = swallowing(gone)
    refuse_swallowed(prefixes, [*added, *changes])
    _warn_of_siblings(prefixes)


def _warn_of_siblings(prefixes: Sequence[str]) -> None:
    """Say which deletions may take more along than what lies below them (push-api.md section 4.2)."""
    wide = [prefix for prefix in prefixes if not prefix.endswith("/")]
    if wide:
        _log.warning(
            "%s deletions with deleteChildren take along every item whose id starts with theirs: %s takes %s, "
            "which is no child of it. An id that ends with / takes only what lies below it",
            f"{len(wide):,}",
            shown(wide[0]),
            shown(f"{wide[0]}-sibling"),
        )


def _batches(source: Part | Rows, section: Section, item_limit: int) -> Iterator[Encoded]:
    if isinstance(source, Rows):
        return source.encode(section, item_limit)
    encoder = encoder_for(section, source.schema, where=source.name, item_limit=item_limit)
    return _side_by_side(encoder, source)


def _side_by_side(encoder: BatchEncoder, part: Part) -> Iterator[Encoded]:
    """Encode two batches at a time while this thread reads and writes; return them in order."""
    with ThreadPoolExecutor(_ENCODERS, thread_name_prefix="coveo-encode") as threads:
        waiting: deque[Future[Encoded]] = deque()
        row = 0
        for batch in part.batches():
            waiting.append(threads.submit(encoder.encode, batch, row))
            row += len(batch)
            if len(waiting) > _ENCODERS:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def estimate(chunks: Sequence[Chunk], calls_per_chunk: int = 2) -> int:
    """
    Return how many calls of the API it takes to send chunks, if none has to be repeated; uploads are no calls.

    :param calls_per_chunk: to ask for a container and submit it; 1 for a stream, whose chunks need no submission
    """
    return sum(calls_per_chunk + len(chunk.attachments) for chunk in chunks)


def deliver(
    client: CoveoClient,
    chunk: Chunk,
    *,
    container: Callable[[], FileContainer],
    submit: Callable[[str], T],
    log: Log,
    joins_on_upload: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """
    Upload a chunk into a container and submit it; return what ``submit`` returns.

    Whatever goes wrong with the upload, or with a submission whose answer was lost, is met with a fresh
    container and a new upload: a container that was forwarded is gone, and sending the same items twice
    leaves the index the same.

    Contents that go through containers of their own are uploaded first. When only the chunk's upload has to be
    repeated, their containers are kept while they are young.

    :param container: asked right before each upload, as a container lives 60 minutes
    :param submit: called with the container's ``file_id``
    :param joins_on_upload: whether an uploaded chunk counts without being submitted, as in a stream
    :param clock: monotonic seconds
    """
    stage = "files"
    files = FileUploads(client, [(file.path, file.size) for file in chunk.attachments], clock=clock)
    if joins_on_upload and chunk.attachments:
        _log.warning(
            "%d contents go through containers of their own, which live 60 minutes, and no page says whether the "
            "service takes them before the stream is closed: close it within the hour, or send updates instead",
            len(chunk.attachments),
        )

    def attempt() -> T:
        try:
            return send()
        except CoveoError as error:
            used = stage == "submit" or (stage == "upload" and joins_on_upload)
            if used and (may_have_been_carried_out(error) or _container_is_gone(error)):
                files.forget()
            raise

    def send() -> T:
        nonlocal stage
        stage = "files"
        for attachment, file_id in zip(chunk.attachments, files.file_ids(), strict=True):
            chunk.write_at(attachment.offset, _named(file_id))
        stage = "container"
        target = container()
        stage = "upload"
        progress = Progress(log, "Uploaded", chunk.size, "bytes")
        with _Watched(chunk.path, progress) as file:
            client.upload(target, file, chunk.size)
        files.refuse_old()
        stage = "submit"
        return submit(target.file_id)

    def may_retry(error: CoveoError) -> bool:
        if stage == "upload":
            return error.transient
        return stage == "submit" and (may_have_been_carried_out(error) or _container_is_gone(error))

    return client.policy.run(attempt, may_retry)


def _container_is_gone(error: CoveoError) -> bool:
    """
    Return whether a submission was refused for its container: used up by a request that came twice, or expired.

    Uncertain: no page gives that refusal; a bad ``fileId`` is INVALID_PARAMETER (limits-and-errors.md section 3).
    """
    return (
        isinstance(error, SourceRefused)
        and error.code == "INVALID_PARAMETER"
        and "fileid" in error.detail.lower()
    )


def push_item(
    client: CoveoClient, source_id: str, item: Item, *, clock: Callable[[], float] = time.monotonic
) -> None:
    """
    Add or update one item by a call of its own, its content uploaded first when it is too large to go inline.

    :param clock: monotonic seconds
    """
    files = FileUploads(client, [(file.path, file.size) for file in item.attachments], clock=clock)
    submitting = False

    def attempt() -> None:
        nonlocal submitting
        if submitting:  # an earlier attempt got no answer: its container may be used up
            files.forget()
        submitting = False
        body = item.body
        for attachment, file_id in zip(item.attachments, files.file_ids(), strict=True):
            place = _named(file_id)
            body = body[: attachment.offset] + place + body[attachment.offset + len(place) :]
        submitting = True
        client.put_item(
            source_id,
            item.document_id,
            body,
            compression_type=item.compression,
            replay=not item.attachments,
        )

    def may_retry(error: CoveoError) -> bool:
        return submitting and bool(item.attachments) and may_have_been_carried_out(error)

    client.policy.run(attempt, may_retry)


def _named(file_id: str) -> bytes:
    """Return the id of a container as JSON of the placeholder's length."""
    try:
        return placed(file_id)
    except ValueError as error:
        raise UnexpectedAnswer("POST /files", str(error)) from None


class _Watched(io.FileIO):
    """A file that tells how much of it was read."""

    def __init__(self, path: Path, progress: Progress) -> None:
        super().__init__(path, "rb")
        self._progress = progress

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size) or b""
        self._progress.step(len(data), len(data))
        return data

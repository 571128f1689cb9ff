"""
The corridor: chunk → container → submit. The only place where documents meet the API.

A part is encoded and checked to its end, into chunks on disk, before the first of them is sent: what is wrong
with row one million is said while the index is still as it was.
"""

from __future__ import annotations

import io
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias, TypeVar

from coveo_provider.api.client import CoveoClient
from coveo_provider.api.retries import may_have_been_carried_out
from coveo_provider.api.types import FileContainer
from coveo_provider.documents.chunks import Chunk, ChunkWriter
from coveo_provider.documents.contract import Section
from coveo_provider.documents.encoding import Encoded, Encoder
from coveo_provider.documents.ids import IdLedger, refuse_duplicates
from coveo_provider.documents.tables import Part
from coveo_provider.errors import CoveoError

T = TypeVar("T")
Log: TypeAlias = "Callable[..., object]"

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
    writer: ChunkWriter,
    *,
    documents: Iterable[Part] = (),
    deletions: Iterable[Part] = (),
    item_limit: int,
    log: Log,
) -> list[Chunk]:
    """
    Encode and check whole parts into chunks on disk, and return these.

    :param item_limit: the most one document may take, in bytes
    :raises DataError: names what is wrong; nothing was sent
    """
    for section, encoded in _encode(documents, deletions, item_limit, log):
        writer.add(encoded, section)
    return writer.finish()


def check(
    *,
    documents: Iterable[Part] = (),
    deletions: Iterable[Part] = (),
    item_limit: int,
    log: Log,
) -> int:
    """
    Encode and check whole parts, keep nothing, and return the number of rows.

    :raises DataError: names what is wrong
    """
    return sum(len(encoded.ends) for _, encoded in _encode(documents, deletions, item_limit, log))


def _encode(
    documents: Iterable[Part], deletions: Iterable[Part], item_limit: int, log: Log
) -> Iterator[tuple[Section, Encoded]]:
    """Return every batch of all parts as JSON; once the last is taken, no id stood twice."""
    adding, removing = list(documents), list(deletions)
    total = sum(part.rows for part in (*adding, *removing))
    ledger = IdLedger()
    progress = Progress(log, "Encoded", total)
    for section, parts in ((Section.ADD_OR_UPDATE, adding), (Section.DELETE, removing)):
        for part in parts:
            deleting = section is Section.DELETE
            encoder = Encoder(part.schema, where=part.name, item_limit=item_limit, deletions=deleting)
            for encoded in _side_by_side(encoder, part):
                ledger.add(encoded.id_hashes)
                progress.step(len(encoded.ends), len(encoded.data))
                yield section, encoded
    refuse_duplicates(ledger, (*adding, *removing))


def _side_by_side(encoder: Encoder, part: Part) -> Iterator[Encoded]:
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


def deliver(
    client: CoveoClient,
    chunk: Chunk,
    *,
    container: Callable[[], FileContainer],
    submit: Callable[[str], T],
    log: Log,
) -> T:
    """
    Upload a chunk into a container and submit it; return what ``submit`` returns.

    Whatever goes wrong with the upload, or with a submission whose answer was lost, is met with a fresh
    container and a new upload: a container that was forwarded is gone, and sending the same items twice
    leaves the index the same.

    :param container: asked right before each upload, as a container lives 60 minutes
    :param submit: called with the container's ``file_id``
    """
    stage = "container"

    def attempt() -> T:
        nonlocal stage
        stage = "container"
        target = container()
        stage = "upload"
        progress = Progress(log, "Uploaded", chunk.size, "bytes")
        with _Watched(chunk.path, progress) as file:
            client.upload(target, file, chunk.size)
        stage = "submit"
        return submit(target.file_id)

    def may_retry(error: CoveoError) -> bool:
        if stage == "upload":
            return error.transient
        return stage == "submit" and may_have_been_carried_out(error)

    return client.policy.run(attempt, may_retry)


class _Watched(io.FileIO):
    """A file that tells how much of it was read."""

    def __init__(self, path: Path, progress: Progress) -> None:
        super().__init__(path, "rb")
        self._progress = progress

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size) or b""
        self._progress.step(len(data), len(data))
        return data

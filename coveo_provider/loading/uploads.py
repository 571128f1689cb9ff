"""
The chunks of a load are uploaded while those after them are encoded, and several at once.

That changes nothing: a container counts when it is submitted, which waits until the whole load was checked. Chunks
of a stream are uploaded after the check only, as they count once it is closed.
"""

from __future__ import annotations

import io
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType

from coveo_provider.api.client import CoveoClient
from coveo_provider.api.files import KEPT_SECONDS
from coveo_provider.api.types import FileContainer
from coveo_provider.documents.contents.threads import Workers
from coveo_provider.documents.encoding.chunks import Chunk
from coveo_provider.errors import CoveoError
from coveo_provider.loading.progress import Log, Progress

_UPLOADS = 2


@dataclass(frozen=True)
class Uploaded:
    """
    A chunk in a container that was not submitted yet.

    :param stored: what the storage's clock said, in ms since the epoch
    :param here: what this machine's clock said when the container was asked for, in ms since the epoch
    :param began: the same in monotonic seconds
    :param took: until the upload was done, in ms
    """

    target: FileContainer
    stored: int | None
    here: int
    began: float
    took: int


@dataclass(frozen=True)
class Asked:
    """A container that was just asked for, and when: on this machine's clock in ms, and in monotonic seconds."""

    target: FileContainer
    here: int
    began: float


def ask(container: Callable[[], FileContainer], clock: Callable[[], float]) -> Asked:
    """Ask for a container."""
    here, began = time.time_ns() // 1_000_000, clock()
    return Asked(container(), here, began)


def upload(client: CoveoClient, chunk: Chunk, asked: Asked, log: Log, clock: Callable[[], float]) -> Uploaded:
    """
    Upload a chunk, once.

    :raises CoveoError: as :meth:`CoveoClient.upload` does
    """
    progress = Progress(log, "Uploaded", chunk.size, "bytes")
    with _Watched(chunk.path, progress) as file:
        stored = client.upload(asked.target, file, chunk.size)
    return Uploaded(asked.target, stored, asked.here, asked.began, milliseconds(clock() - asked.began))


def milliseconds(seconds: float) -> int:
    """Return a duration in whole ms, never below zero."""
    return max(round(seconds * 1_000), 0)


class UploadsAhead(AbstractContextManager["UploadsAhead"]):
    """
    Uploads chunks in threads, in order, as soon as they are complete.

    Containers are asked for by the thread that hands chunks over and takes them, as their addresses become known to
    Airflow's masker over one connection. An upload that goes wrong is the first try of whoever sends the chunk.

    :param container: asks for a container
    :param clock: monotonic seconds
    """

    def __init__(
        self,
        client: CoveoClient,
        container: Callable[[], FileContainer],
        *,
        log: Log,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._container, self._log, self._clock = client, container, log, clock
        self._waiting: deque[Chunk] = deque()
        self._begun: dict[Path, Future[Uploaded]] = {}
        self._refusal: CoveoError | None = None
        self._workers = Workers(self._upload, threads=_UPLOADS, name="coveo-upload")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._workers.__exit__(kind, error, trace)

    def add(self, chunk: Chunk) -> None:
        """Upload a chunk once those before it are on their way; not one whose contents have to go first."""
        if not chunk.attachments:
            self._waiting.append(chunk)
            self._begin()

    def taken(self, chunk: Chunk) -> Callable[[], Uploaded | None] | None:
        """
        Return what waits for the upload of a chunk, and raises what kept it from that; ``None`` if not begun.

        It returns ``None`` where the upload is too long ago to be of use.

        :raises CoveoError: there was no container for it
        """
        self._begin()
        future = self._begun.pop(chunk.path, None)
        if future is not None:
            return partial(self._result, future)
        if self._refusal is not None and self._waiting and self._waiting[0] is chunk:
            raise self._refusal
        return None

    def _result(self, future: Future[Uploaded]) -> Uploaded | None:
        uploaded = future.result()
        self._begin()
        return uploaded if self._clock() - uploaded.began < KEPT_SECONDS else None

    def _begin(self) -> None:
        while self._waiting and self._refusal is None and self._workers.busy < _UPLOADS:
            try:
                asked = ask(self._container, self._clock)
            except CoveoError as error:  # it matters when the chunk is to be sent
                self._refusal = error
                return
            chunk = self._waiting.popleft()
            self._begun[chunk.path] = self._workers.begin((chunk, asked))

    def _upload(self, job: tuple[Chunk, Asked]) -> Uploaded:
        return upload(self._client, *job, self._log, self._clock)


class _Watched(io.FileIO):
    """A file that tells how much of it was read."""

    def __init__(self, path: Path, progress: Progress) -> None:
        super().__init__(path, "rb")
        self._progress = progress

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size) or b""
        self._progress.step(len(data), len(data))
        return data

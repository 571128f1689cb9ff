"""Uploads files side by side, each into a container of its own, and uses these while they live."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from coveo_provider.api.caller import Caller
from coveo_provider.errors import ContainerExpired, CoveoError

_UPLOADS = 4

KEPT_SECONDS = 45 * 60
"""Up to this age a container is used again for another attempt, as there must be time left for that."""

USED_SECONDS = 57 * 60
"""Beyond this age a container, which lives 60 minutes, is not named to the service any more."""


@dataclass(frozen=True)
class _Filled:
    """
    A container with a file in it.

    :param asked_at: when the container was asked for, in monotonic seconds
    """

    file_id: str
    asked_at: float


class FileUploads:
    """
    Files that belong to one submission, each in a container of its own.

    A container is asked for right before its upload; one whose upload went wrong is replaced by a fresh one.

    :param files: where each lies, and its size in bytes
    :param clock: monotonic seconds
    """

    def __init__(
        self,
        client: Caller,
        files: Sequence[tuple[Path, int]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._files, self._clock = client, files, clock
        self._filled: dict[int, _Filled] = {}
        self._one_by_one = threading.Lock()

    def file_ids(self) -> list[str]:
        """
        Return the ids of the containers, in the order of the files, once all files are uploaded.

        A file that was uploaded before is not uploaded again while its container is young enough.
        """
        now = self._clock()
        self._filled = {n: one for n, one in self._filled.items() if now - one.asked_at < KEPT_SECONDS}
        missing = [n for n in range(len(self._files)) if n not in self._filled]
        if missing:
            threads = ThreadPoolExecutor(_UPLOADS, thread_name_prefix="coveo-upload")
            try:
                for n, filled in zip(missing, threads.map(self._uploaded, missing), strict=True):
                    self._filled[n] = filled
            finally:
                threads.shutdown(cancel_futures=True)
        return [self._filled[n].file_id for n in range(len(self._files))]

    def forget(self) -> None:
        """Use none of the containers again: what was submitted with them may have been carried out."""
        self._filled.clear()

    def refuse_old(self) -> None:
        """
        Make sure that the containers live long enough to be used now.

        :raises ContainerExpired: they do not
        """
        age = max((self._clock() - one.asked_at for one in self._filled.values()), default=0.0)
        if age >= USED_SECONDS:
            raise ContainerExpired(int(age // 60), sum(size for _, size in self._files))

    def _uploaded(self, n: int) -> _Filled:
        path, size = self._files[n]
        uploading = False

        def attempt() -> _Filled:
            nonlocal uploading
            uploading = False
            with self._one_by_one:  # its address becomes known to Airflow's masker, over one connection
                asked_at = self._clock()
                container = self._client.create_file_container()
            uploading = True
            with path.open("rb") as file:
                self._client.upload(container, file, size)
            return _Filled(container.file_id, asked_at)

        def may_retry(error: CoveoError) -> bool:
            return uploading and error.transient

        return self._client.policy.run(attempt, may_retry)

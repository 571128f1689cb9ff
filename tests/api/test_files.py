"""Files in containers of their own, uploaded side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from coveo_provider.api.files import FileUploads
from coveo_provider.api.retries import RetryPolicy
from coveo_provider.api.types import FileContainer
from coveo_provider.errors import UploadRefused


class Counting:
    """Stands in for a client: counts the uploads that run at the same time; one of an empty file fails."""

    def __init__(self, wait: Callable[[], object]) -> None:
        self.policy = RetryPolicy(attempts=1, sleep=lambda _: None)
        self.wait, self.lock = wait, threading.Lock()
        self.running = self.most = self.started = 0

    def create_file_container(self) -> FileContainer:
        with self.lock:
            self.started += 1
            return FileContainer(str(self.started), "", {})

    def upload(self, container: FileContainer, file: BinaryIO, size: int) -> None:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        if not size:
            raise UploadRefused(403, "PUT", "AccessDenied", "Denied.")
        self.wait()
        with self.lock:
            self.running -= 1


def test_four_contents_are_uploaded_at_a_time(tmp_path: Path) -> None:
    """Each waits for three others."""
    (tmp_path / "file").touch()
    counting = Counting(threading.Barrier(4, timeout=10).wait)
    ids = FileUploads(counting, [(tmp_path / "file", 1)] * 12).file_ids()  # type: ignore[arg-type]
    assert sorted(ids, key=int) == [str(n) for n in range(1, 13)]
    assert counting.most == 4


def test_after_a_failure_no_other_upload_is_begun(tmp_path: Path) -> None:
    """What runs ends; the error is told."""
    (tmp_path / "file").touch()
    counting = Counting(lambda: threading.Event().wait(0.05))
    files = [(tmp_path / "file", size) for size in (0, *[1] * 50)]
    with pytest.raises(UploadRefused):
        FileUploads(counting, files).file_ids()  # type: ignore[arg-type]
    assert counting.started < 50

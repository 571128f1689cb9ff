"""Folders on the worker for what a task writes before it sends it, and what tasks that died left of them."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
import time

_PREFIX = "coveo-task-"
_YOUNG_SECONDS = 60  # a folder is not locked yet for the first moment of its life

_log = logging.getLogger(__name__)


class ScratchFolder(tempfile.TemporaryDirectory[str]):
    """
    A temporary folder that outlives its task by no more than the time until the next one on the machine.

    It is locked as long as its process lives. Making one removes those that nobody holds any more: what a task
    left that was killed, whose own clean-up did not run.

    :param name: what it is for, as a part of its own name
    :param folder: where to put it; the system's temporary folder when ``None``
    """

    def __init__(self, name: str, folder: str | None = None) -> None:
        remove_left(folder or tempfile.gettempdir())
        super().__init__(prefix=f"{_PREFIX}{name}-", dir=folder)
        self._lock = os.open(self.name, os.O_RDONLY | os.O_DIRECTORY)
        _lock(self._lock)

    def cleanup(self) -> None:
        """Delete it, and let go of the lock."""
        super().cleanup()
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)


def remove_left(folder: str) -> None:
    """Remove what dead tasks of this user left in a folder; what cannot be told or removed stays."""
    with os.scandir(folder) as entries:
        found = [entry.path for entry in entries if entry.name.startswith(_PREFIX)]
    for path in found:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # it ends just now, or it is somebody else's
            continue
        try:
            status = os.fstat(descriptor)
            is_ours = status.st_uid == os.geteuid() and time.time() - status.st_mtime > _YOUNG_SECONDS
            if is_ours and _lock(descriptor):
                shutil.rmtree(path, ignore_errors=True)
                _log.info("Removed %s, which a task left that was killed", path)
        finally:
            os.close(descriptor)


def _lock(descriptor: int) -> bool:
    """Lock a folder, and return whether that went; a filesystem without locks says no."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

"""Which files of this machine may be read as content: reading others may never end."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_KINDS = (
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_MOUNTS = Path("/proc/self/mountinfo")
_MADE_UP = frozenset(
    {"proc", "sysfs", "cgroup", "cgroup2", "debugfs", "tracefs", "securityfs", "configfs", "bpf", "pstore"}
)


class IrregularFile(ValueError):
    """A path leads to something else than a regular file; the message says to what."""


def refuse_irregular(path: str) -> None:
    """
    Make sure that a path leads to a regular file of some size, without opening it.

    :raises IrregularFile: it is a named pipe, a socket or a device, or the system makes up what is read from it
    :raises IsADirectoryError: it is a folder
    :raises OSError: it is missing, or cannot be looked at
    """
    status = os.stat(path)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(path)
    for is_kind, kind in _KINDS:
        if is_kind(status.st_mode):
            raise IrregularFile(kind)
    if not status.st_size and _is_made_up(status.st_dev):
        raise IrregularFile("a file that the system makes up when it is read, of no size of its own")


def _is_made_up(device: int) -> bool:
    """Return whether a device holds no files, but what the system tells of itself."""
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = _MOUNTS.read_text().splitlines()
    except OSError:  # not Linux
        return False
    # proc(5): the third field is the device; behind " - " comes the type of the file system
    return any(
        mount.split()[2] == number and mount.partition(" - ")[2].split()[0] in _MADE_UP for mount in mounts
    )

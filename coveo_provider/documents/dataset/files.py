"""
Whole files on any storage: read as if local, written whole or not at all.

A path here is what the operators hand in: ``pathlib.Path`` or Airflow's ``ObjectStoragePath``, which share the few
methods used.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from coveo_provider.errors import FileChanged

_BLOCK = 1 << 20
_STRONG = ("ETag", "etag", "e_tag", "md5Hash", "content_md5", "checksum", "generation", "version_id")
_WEAK = ("mtime", "last_modified", "LastModified", "updated", "modified", "created")


@dataclass(frozen=True)
class Stored:
    """
    What a file turned out to be.

    :param size: in bytes
    :param sha256: of its bytes, in hex
    """

    size: int
    sha256: str


def is_file_name(name: str) -> bool:
    """Return whether a text names a visible file of a folder, and leads nowhere else."""
    return bool(name) and not set(name) & set("/\\\0") and not name.startswith(".")


def is_local(path: Any) -> bool:
    """Return whether a path lies on this machine."""
    return getattr(path, "protocol", "") in {"", "file", "local"}


@contextmanager
def opened_local(path: Any, check: Callable[[Stored], None] | None = None) -> Iterator[IO[bytes]]:
    """
    Open a file that can be read back and forth; one of another machine is first copied to this one's disk.

    :param check: called with what the file is before it is handed out; raises when it should be another
    :raises FileNotFoundError: it is missing
    :raises PermissionError: it must not be read
    :raises FileChanged: it changed while it was copied or checked
    """
    with ExitStack() as stack:
        if not is_local(path):
            before = stored_stamp(path.fs, path.path)
        file: IO[bytes] = stack.enter_context(path.open("rb"))
        if not is_local(path):
            copy = stack.enter_context(tempfile.TemporaryFile(prefix="coveo-part-"))
            stored = _copied(file, copy) if check else None
            if stored is None:
                shutil.copyfileobj(file, copy, _BLOCK)
            if stored_stamp(path.fs, path.path) != before:
                raise FileChanged(str(path))
            copy.seek(0)
            vars(copy)["stamp"] = before  # for stamp_of_open
            file = copy
        else:
            opened = stamp_of_open(file)
            stored = _copied(file, None) if check else None
            if stamp_of_open(file) != opened:
                raise FileChanged(str(path))
            file.seek(0)
        if check is not None and stored is not None:
            check(stored)
        yield file


def stamp_of_open(file: IO[bytes]) -> object:
    """Return what tells the state of an open file from any other; ``None`` where nothing does."""
    if (stamp := getattr(file, "stamp", None)) is not None:
        return stamp
    try:
        status = os.fstat(file.fileno())
    except (AttributeError, OSError, ValueError):  # in memory
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def stored_stamp(storage: Any, path: str) -> str:
    """
    Return what tells this state of a file from any other, as far as its storage says: a hash, or size and time.

    :param storage: the ``fsspec`` file system
    """
    storage.invalidate_cache(path)  # what a listing said may be old
    return stamp_in(storage.info(path))


def stamp_in(info: Mapping[str, Any]) -> str:
    """Return what tells a state of a file from any other, in what ``fsspec`` says of it."""
    strong = [f"{key}={info[key]}" for key in _STRONG if info.get(key)]
    weak = [f"{key}={info[key]}" for key in _WEAK if info.get(key)]
    return "\n".join([f"size={info.get('size')}", *(strong or weak[:1])])


def stored_as(path: Path) -> Stored:
    """Return what a local file is."""
    with path.open("rb") as file:
        return _copied(file, None)


def copied(source: Any, target: Any) -> Stored:
    """Copy a file from one path to another, a missing local folder being made; return what was written."""
    make_folder_of(target)
    with source.open("rb") as file, target.open("wb") as sink:
        return _copied(file, sink)


def replace(target: Any, data: bytes) -> None:
    """
    Write a small file so that a reader finds the former or the new one, never half of either.

    Object storage shows a file when it is complete; a local one is written beside its place and moved there.
    """
    if not is_local(target):
        with target.open("wb") as sink:
            sink.write(data)
        return
    make_folder_of(target)
    place = Path(_local_name(target))
    descriptor, name = tempfile.mkstemp(prefix=f".{place.name}-", dir=place.parent)
    try:
        with os.fdopen(descriptor, "wb") as sink:
            sink.write(data)
            sink.flush()
            os.fsync(sink.fileno())
        Path(name).chmod(0o644)  # mkstemp's files are for their owner alone; other workers read this one
        Path(name).replace(place)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def make_folder(folder: Any) -> None:
    """Make a local folder and those above it; object storage has none to make."""
    if is_local(folder):
        folder.mkdir(parents=True, exist_ok=True)


def make_folder_of(file: Any) -> None:
    """Make the local folder that a file is to lie in, and those above it; object storage has none to make."""
    if is_local(file) and hasattr(file, "parent"):
        Path(_local_name(file)).parent.mkdir(parents=True, exist_ok=True)


def read_if_there(path: Any) -> bytes | None:
    """Return a small file's bytes, ``None`` when there is none."""
    try:
        with path.open("rb") as file:
            data: bytes = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return data


def remove(path: Any) -> None:
    """Delete a file, unless it is gone already."""
    try:
        if is_local(path):
            Path(_local_name(path)).unlink()
        else:
            path.fs.rm_file(path.path)  # its own ``unlink`` takes ``*`` and ``[…]`` in a name for a pattern
    except FileNotFoundError:
        return


def remove_empty_folders(folder: Any) -> None:
    """Delete what is empty below a local folder; object storage has no folders to leave behind."""
    if is_local(folder):
        for place, _, _ in os.walk(_local_name(folder), topdown=False):
            with suppress(OSError):  # not empty
                Path(place).rmdir()


def _local_name(path: Any) -> str:
    return getattr(path, "path", str(path))


def _copied(file: IO[bytes], sink: IO[bytes] | None) -> Stored:
    digest, size = hashlib.sha256(), 0
    while block := file.read(_BLOCK):
        digest.update(block)
        size += len(block)
        if sink is not None:
            sink.write(block)
    return Stored(size, digest.hexdigest())

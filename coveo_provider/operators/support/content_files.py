"""The files that documents name as their content: read, and told apart from what they were before."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

from coveo_provider.documents.contents.local_files import refuse_irregular
from coveo_provider.documents.dataset.files import is_local, stamp_of_open, stored_stamp
from coveo_provider.documents.uris import MissingFile, shown_uri
from coveo_provider.errors import ConfigurationError, FileChanged
from coveo_provider.operators.support.paths import misspelt, path_at

_BLOCK = 1 << 20  # bytes fetched at once; some storages' own default is 50 MB for each open file

_one_by_one = threading.Lock()


@contextmanager
def open_content(uri: str) -> Iterator[IO[bytes]]:
    """
    Open a file for reading, wherever ``ObjectStoragePath`` reads. May be called in threads.

    It goes past ``ObjectStoragePath.open``, which would report each of thousands of files as an asset of the task.
    Of this machine only regular files are read: a named pipe could hold a task beyond every time-out.

    :raises FileChanged: it changed while it was read
    :raises Exception: whatever the storage's library has for what went wrong
    """
    storage, path, local = _located(uri)
    try:
        if local:
            refuse_irregular(path)
        file = storage.open(path, mode="rb", block_size=_BLOCK)
    except FileNotFoundError:
        raise MissingFile(misspelt(uri)) from None
    # What fits into one request is of one state.
    looked_at = local or (size := getattr(file, "size", None)) is None or size > _BLOCK

    def stamp() -> object:
        return stamp_of_open(file) if local else stored_stamp(storage, path)

    with file:
        before = stamp() if looked_at else None
        yield file
        if looked_at and stamp() != before:
            raise FileChanged(shown_uri(uri))


def stamp_of(uri: str) -> str:
    """
    Return what tells this state of a file from any other, as far as its storage says: a hash, or size and time.

    :raises Exception: whatever the storage's library has for what went wrong
    """
    storage, path, _ = _located(uri)
    try:
        return stored_stamp(storage, path)
    except FileNotFoundError:
        raise MissingFile(misspelt(uri)) from None


def hash_of(uri: str) -> str:
    """
    Return the SHA-256 of a file's bytes, which are read in blocks.

    :raises FileChanged: it changed while it was read
    :raises Exception: whatever the storage's library has for what went wrong
    """
    digest = hashlib.sha256()
    with open_content(uri) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return f"sha256={digest.hexdigest()}"


CONTENT_STAMPS: Mapping[str, Callable[[str], str]] = {"time": stamp_of, "hash": hash_of}
"""What a file named by ``contentUri`` is known by from one run to the next."""


def content_stamp(name: Any) -> Callable[[str], str]:
    """
    Return what tells the states of a file apart, by its name.

    :raises ConfigurationError: there is no such way
    """
    stamp = CONTENT_STAMPS.get(name) if isinstance(name, str) else None
    if stamp is None:
        known = " or ".join(map(repr, CONTENT_STAMPS))
        raise ConfigurationError(f"content_stamp must be {known}, not {name!r}")
    return stamp


def _located(uri: str) -> tuple[Any, str, bool]:
    """Return the storage of a file, its path there, and whether that is this machine."""
    with _one_by_one:  # the first file of a storage asks the task's supervisor for the connection
        path = path_at(uri)
        return path.fs, path.path, is_local(path)

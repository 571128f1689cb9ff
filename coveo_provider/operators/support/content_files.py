"""The files that documents name as their content: read, and told apart from what they were before."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import IO, Any

from airflow.configuration import conf

from coveo_provider.documents.contents.local_files import refuse_irregular
from coveo_provider.documents.contents.roots import checked_roots, refuse_link, refuse_outside, refuse_place
from coveo_provider.documents.dataset.files import is_local, stamp_of_open, stored_stamp
from coveo_provider.documents.uris import MissingFile, shown_uri
from coveo_provider.errors import ConfigurationError, FileChanged
from coveo_provider.operators.support.paths import misspelt, path_at

_BLOCK = 1 << 20  # bytes fetched at once; some storages' own default is 50 MB for each open file

_one_by_one = threading.Lock()


def allowed_roots() -> tuple[str, ...]:
    """
    Return the folders that the setting ``[coveo] content_roots`` allows for all tasks; none allows every place.

    :raises ConfigurationError: it holds something else than URIs
    """
    text = conf.get("coveo", "content_roots", fallback="") or ""
    return checked_roots([one for one in re.split(r"[,\n]", text) if one.strip()], "[coveo] content_roots")


@contextmanager
def open_content(
    uri: str, roots: tuple[str, ...] = (), *, links: bool = True, owners: str = ""
) -> Iterator[IO[bytes]]:
    """
    Open a file for reading, wherever ``ObjectStoragePath`` reads. May be called in threads.

    It goes past ``ObjectStoragePath.open``, which would report each of thousands of files as an asset of the task.
    Of this machine only regular files are read: a named pipe could hold a task beyond every time-out.

    :param roots: the folders below which it must lie, besides those of the setting; none allows every place
    :param links: whether links below these may be followed to it
    :param owners: whose it has to be still, as ``owners_text`` of ``permissions/posix.py`` has it
    :raises OutsideRoots: it lies elsewhere, or a link leads to it
    :raises DatasetError: it is of others than before
    :raises FileChanged: it changed while it was read
    :raises Exception: whatever the storage's library has for what went wrong
    """
    storage, path, local = _located(uri, roots)
    try:
        if local:
            if not links:
                refuse_link(path, os.path.realpath(path), roots)
            refuse_irregular(path)
        file = storage.open(path, mode="rb", block_size=_BLOCK)
    except FileNotFoundError:
        raise MissingFile(misspelt(uri)) from None
    # What fits into one request is of one state.
    looked_at = local or (size := getattr(file, "size", None)) is None or size > _BLOCK

    def stamp() -> object:
        return stamp_of_open(file) if local else stored_stamp(storage, path)

    with file:
        if local:  # again, as a link may have been put in its place meanwhile
            real = _opened_path(file, path)
            _refuse_place(real, roots)
            if not links:
                refuse_link(path, real, roots)
            if owners:
                from coveo_provider.documents.permissions.posix import refuse_other_owners

                refuse_other_owners(path, os.fstat(file.fileno()), owners)
        before = stamp() if looked_at else None
        yield file
        if looked_at and stamp() != before:
            raise FileChanged(shown_uri(uri))


def stamp_of(uri: str, roots: tuple[str, ...] = ()) -> str:
    """
    Return what tells this state of a file from any other, as far as its storage says: a hash, or size and time.

    :raises Exception: whatever the storage's library has for what went wrong
    """
    storage, path, _ = _located(uri, roots)
    try:
        return stored_stamp(storage, path)
    except FileNotFoundError:
        raise MissingFile(misspelt(uri)) from None


def hash_of(uri: str, roots: tuple[str, ...] = ()) -> str:
    """
    Return the SHA-256 of a file's bytes, which are read in blocks.

    :raises FileChanged: it changed while it was read
    :raises Exception: whatever the storage's library has for what went wrong
    """
    digest = hashlib.sha256()
    with open_content(uri, roots) as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return f"sha256={digest.hexdigest()}"


CONTENT_STAMPS: Mapping[str, Callable[..., str]] = {"time": stamp_of, "hash": hash_of}
"""What a file named by ``contentUri`` is known by from one run to the next."""


def content_stamp(name: Any, roots: tuple[str, ...] = ()) -> Callable[[str], str]:
    """
    Return what tells the states of a file apart, by its name.

    :param roots: the folders below which files must lie, besides those of the setting
    :raises ConfigurationError: there is no such way
    """
    stamp = CONTENT_STAMPS.get(name) if isinstance(name, str) else None
    if stamp is None:
        known = " or ".join(map(repr, CONTENT_STAMPS))
        raise ConfigurationError(f"content_stamp must be {known}, not {name!r}")
    return partial(stamp, roots=roots)


def _located(uri: str, roots: tuple[str, ...]) -> tuple[Any, str, bool]:
    """Return the storage of a file that may be read, its path there, and whether that is this machine."""
    refuse_outside(uri, roots)
    refuse_outside(uri, allowed_roots())
    with _one_by_one:  # the first file of a storage asks the task's supervisor for the connection
        path = path_at(uri)
        storage, place, local = path.fs, path.path, is_local(path)
    if local:
        _refuse_place(os.path.realpath(place), roots)
    return storage, place, local


def _refuse_place(real: str, roots: tuple[str, ...]) -> None:
    refuse_place(real, roots)
    refuse_place(real, allowed_roots())


def _opened_path(file: Any, path: str) -> str:
    """Return where a file that is open really lies."""
    try:
        return os.readlink(f"/proc/self/fd/{file.fileno()}")
    except (AttributeError, OSError):  # not Linux
        return os.path.realpath(path)

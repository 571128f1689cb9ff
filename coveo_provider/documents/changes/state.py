"""
What the index holds, as of the last successful load: a folder that outlives runs, one for each source.

::

    last.json                  whose content is remembered, and which files of hashes tell it
    hashes/<dataset>/part-*    documentId and hash of every document
    pending/<run>.json         a load that was begun, and of which no success is known
    pending/<run>.parquet      the ids it may have sent or deleted by now
    changes/<run>/…            the datasets it sends

A load is announced here before the first of it is sent, and struck off when all of it went through. So whatever a
failed run may have done to the index, the next one sends again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from coveo_provider.documents.dataset.files import (
    copied,
    is_file_name,
    opened_local,
    read_if_there,
    remove,
    remove_empty_folders,
    replace,
)
from coveo_provider.documents.extracts.source_files import SourceFile
from coveo_provider.errors import DatasetError

T = TypeVar("T", "LastRun", "Pending")

VERSION = 1
LAST = "last.json"
_HASHES = "hashes"
_PENDING = "pending"
_CHANGES = "changes"


@dataclass(frozen=True)
class LastRun:
    """
    Whose content is remembered, and what it is.

    :param organization: the organization's id
    :param push_url: host of the Push API, which tells one cloud from another
    :param source_id: the source
    :param mapping: fingerprint of what made the dataset
    :param hash_version: how its hashes were made
    :param rows: documents
    :param sha256: the dataset's, as its manifest has it
    :param files: names of the files of hashes, in order
    """

    organization: str
    push_url: str
    source_id: str
    mapping: str
    hash_version: int
    rows: int
    sha256: str
    files: tuple[str, ...]

    def unlike(self, current: LastRun) -> str | None:
        """Return why this says nothing about the source of the current run; ``None`` when it does."""
        words = {
            "organization": "organization",
            "push_url": "Push API",
            "source_id": "source",
            "mapping": "mapping or function",
            "hash_version": "version of the hashes",
        }
        for name, word in words.items():
            if getattr(self, name) != getattr(current, name):
                return f"what is remembered is of another {word}"
        return None

    def is_of(self, current: LastRun) -> bool:
        """Return whether this is about the same source, made of whatever mapping."""
        names = ("organization", "push_url", "source_id")
        return all(getattr(self, name) == getattr(current, name) for name in names)

    def names(self) -> tuple[str, ...]:
        """Return what names files and folders of the state."""
        return (self.sha256, *self.files)


@dataclass(frozen=True)
class Pending:
    """
    A load that was begun.

    :param key: of the run that began it
    :param full: whether everything is sent, rather than what changed
    :param manifest: URI of the manifest of the dataset it makes the source equal to
    :param sha256: of that dataset
    :param changed: how many documents it sends
    :param gone: how many it deletes by id
    :param absorbed: keys of earlier loads that it makes good
    """

    key: str
    full: bool
    manifest: str
    sha256: str
    changed: int
    gone: int
    absorbed: tuple[str, ...] = ()

    def names(self) -> tuple[str, ...]:
        """Return what names files and folders of the state."""
        return (self.key, self.sha256, *self.absorbed)


class State:
    """
    The folder.

    :param folder: a path, or Airflow's ``ObjectStoragePath``
    :param files: those in it, by their path relative to it
    """

    def __init__(self, folder: Any, files: Iterable[str]) -> None:
        self._folder = folder
        self._files = set(files)

    def last(self) -> LastRun | None:
        """
        Return what is remembered; ``None`` when nothing is.

        :raises DatasetError: the file is damaged
        """
        text = read_if_there(self._folder / LAST)
        return None if text is None else _read(LastRun, text, str(self._folder / LAST))

    def hashes(self, last: LastRun) -> list[SourceFile]:
        """Return the files of hashes that were remembered, whether they are there or not."""
        folder = self._folder / _HASHES / last.sha256
        return [_source(folder / name) for name in last.files]

    def pending(self, *, pass_over_damaged: bool = False) -> list[Pending]:
        """
        Return the loads that were begun and not struck off.

        :raises DatasetError: what was written about one is damaged
        """
        loads = []
        for key in self.pending_keys():
            path = self._folder / _PENDING / f"{key}.json"
            text = read_if_there(path)
            try:
                loads += [] if text is None else [_read(Pending, text, str(path))]
            except DatasetError:
                if not pass_over_damaged:
                    raise
        return loads

    def pending_keys(self) -> list[str]:
        """Return the keys of all loads begun, also of those about which what was written is damaged."""
        return [
            name.removesuffix(".json") for name in sorted(self._below(_PENDING)) if name.endswith(".json")
        ]

    def pending_ids(self, pending: Pending) -> SourceFile:
        """Return the file of the ids that a load may have sent or deleted."""
        return _source(self._folder / _PENDING / f"{pending.key}.parquet")

    def changes(self, key: str) -> Any:
        """Return the folder for the datasets that a run sends."""
        return self._folder / _CHANGES / key

    def announce(self, pending: Pending, ids: Path | None) -> None:
        """
        Remember a load before anything of it is sent.

        :param ids: a local Parquet file of the ids it is about to send or delete; ``None`` in a full one
        """
        if ids is not None:
            copied(ids, self._folder / _PENDING / f"{pending.key}.parquet")
        replace(self._folder / _PENDING / f"{pending.key}.json", _written(pending))

    def remember(self, current: LastRun, hashes: Sequence[Any], done: Pending | None) -> None:
        """
        Make the current dataset the one that the next run compares with.

        :param hashes: paths of its files of hashes, in the order of ``current.files``
        :param done: the load that went through; it and what it made good are struck off
        """
        hashed = self._folder / _HASHES / current.sha256
        for name, path in zip(current.files, hashes, strict=True):
            copied(path, hashed / name)
        replace(self._folder / LAST, _written(current))
        # Its own entry goes last: until then a retry finds it, and strikes off the others.
        for key in () if done is None else (*done.absorbed, done.key):
            remove(self._folder / _PENDING / f"{key}.json")
            remove(self._folder / _PENDING / f"{key}.parquet")
            self._clear(f"{_CHANGES}/{key}")
        for name in self._below(_HASHES):
            if not name.startswith(f"{current.sha256}/"):
                remove(self._folder / _HASHES / name)
        for folder in (_HASHES, _CHANGES):
            remove_empty_folders(self._folder / folder)

    def _below(self, folder: str) -> list[str]:
        return [name[len(folder) + 1 :] for name in self._files if name.startswith(f"{folder}/")]

    def _clear(self, folder: str) -> None:
        for name in self._below(folder):
            remove(self._folder / folder / name)


def _source(path: Any) -> SourceFile:
    return SourceFile(str(path), partial(opened_local, path))


class _Version(msgspec.Struct):
    version: int


def _written(record: LastRun | Pending) -> bytes:
    return msgspec.json.format(msgspec.json.encode({"version": VERSION, **asdict(record)}), indent=1)


def _read(kind: type[T], text: bytes, where: str) -> T:
    """
    Return what a file of the state says.

    :raises DatasetError: it says something else
    """
    try:
        if msgspec.json.decode(text, type=_Version).version != VERSION:
            raise ValueError("it is not of the version this one writes")
        record = msgspec.json.decode(text, type=kind)
        for name in record.names():
            if not is_file_name(name):  # it would lead out of the folder
                raise ValueError(f"{name!r} is no name of a file")
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{where}: is damaged: {error}") from None
    return record

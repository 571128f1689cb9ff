"""
What the index holds, as of the last successful run: a folder that outlives runs, one for each source.

::

    last.json                  whose content is remembered, and which files of hashes tell it
    hashes/<dataset>/part-*    documentId and hash of every document
    pending/<run>.json         a load that was begun, and has not been told to have succeeded
    pending/<run>.parquet      the ids it may have sent or deleted by now
    changes/<run>/…            the datasets it sends

A load is announced here before the first of it is sent, and struck off when all of it went through. So whatever a
failed run may have done to the index, the next one sends again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from coveo_provider.documents.dataset.files import (
    copied,
    opened_local,
    read_if_there,
    remove,
    remove_empty_folders,
    replace,
)
from coveo_provider.documents.extracts.source_files import SourceFile
from coveo_provider.errors import DatasetError

T = TypeVar("T")

VERSION = 1
LAST = "last.json"
_HASHES = "hashes"
_PENDING = "pending"
_CHANGES = "changes"
_NAMES = ("key", "absorbed", "files", "sha256")
"""Of what is read, the names of files, of which none may lead out of the folder."""


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
        found = []
        for key in self.pending_keys():
            path = self._folder / _PENDING / f"{key}.json"
            text = read_if_there(path)
            try:
                found += [] if text is None else [_read(Pending, text, str(path))]
            except DatasetError:
                if not pass_over_damaged:
                    raise
        return found

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


def _is_name(name: str) -> bool:
    return bool(name) and not set(name) & set("/\\\0") and not name.startswith(".")


def _source(path: Any) -> SourceFile:
    return SourceFile(str(path), partial(opened_local, path))


def _written(subject: LastRun | Pending) -> bytes:
    return json.dumps({"version": VERSION, **asdict(subject)}, indent=1).encode()


def _read(kind: type[T], text: bytes, where: str) -> T:
    """
    Return what a file of the state says.

    :raises DatasetError: it says something else
    """
    try:
        found = json.loads(text)
        if not isinstance(found, dict) or found.pop("version", None) != VERSION:
            raise ValueError("it is not of the version this one writes")
        types = get_type_hints(kind)
        values = {}
        for field in fields(kind):  # type: ignore[arg-type]  # both are dataclasses
            value = found[field.name]
            if types[field.name] == tuple[str, ...]:
                if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
                    raise ValueError(f"{field.name} is wrong")
                value = tuple(value)
            elif type(value) is not types[field.name]:
                raise ValueError(f"{field.name} is wrong")
            if field.name in _NAMES and not all(map(_is_name, [value] if isinstance(value, str) else value)):
                raise ValueError(f"{field.name} is no name of a file")
            values[field.name] = value
        return kind(**values)
    except (ValueError, KeyError, RecursionError) as error:
        raise DatasetError(f"{where}: is damaged: {error}") from None

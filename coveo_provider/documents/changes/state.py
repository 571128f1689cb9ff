"""
What the index holds, as of the last successful load: a folder that outlives runs, one for each source.

::

    last.json                  whose content is remembered, and which files of hashes tell it
    hashes/<dataset>/part-*    documentId and hash of every document, for each dataset of the source
    rejected/*.parquet         what the service refused of these, and why
    pending/<run>.json         a load that was begun, and of which no success is known
    pending/<run>.parquet      the ids it may have sent or deleted by now
    changes/<run>/…            the datasets it sends

A load is announced here before the first of it is sent, and struck off when all of it went through. So whatever a
failed run may have done to the index, the next one sends again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from coveo_provider.documents.dataset.files import (
    Stored,
    copied,
    is_file_name,
    opened_local,
    read_if_there,
    remove,
    remove_empty_folders,
    replace,
    stored_as,
)
from coveo_provider.documents.dataset.manifest import Count
from coveo_provider.documents.extracts.source_files import SourceFile
from coveo_provider.errors import DatasetError
from coveo_provider.scratch import ScratchFolder

T = TypeVar("T", "LastRun", "Pending")

VERSION = 2
LAST = "last.json"
_HASHES = "hashes"
_REJECTED = "rejected"
_PENDING = "pending"
_CHANGES = "changes"

LOADS_KEPT = 20
"""How many loads are remembered, for a roll-back; their datasets are the user's to keep."""


@dataclass(frozen=True)
class DatasetRecord:
    """
    A dataset that a load makes the source equal to.

    :param sha256: over the hashes of its rows, as its manifest has it
    :param mapping: fingerprint of what made it
    :param rows: documents
    :param files: names of its files of hashes, in order
    :param manifest: URI of its manifest; the same content may lie elsewhere another time
    :param types: of the columns of its CSV files, as its manifest has them
    """

    sha256: str
    mapping: str = ""
    rows: Count = 0
    files: tuple[str, ...] = ()
    manifest: str = field(default="", compare=False)
    types: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class RejectionRecord:
    """
    What the service refused.

    :param file: name of the file of it
    :param sha256: of that file
    :param documents: how many documents the index does not hold as they are in the datasets
    """

    file: str
    sha256: str
    documents: Count


@dataclass(frozen=True)
class LoadRecord:
    """
    A load that went through, as the state remembers the last few of them.

    :param key: of the run
    :param dag_id: the DAG
    :param run_id: its run
    :param finished_at: when it was remembered, in ISO 8601
    :param datasets: what the source was made equal to, in order
    :param full: whether everything was sent
    :param sent: documents
    :param deleted: ids deleted
    :param refused: items that the service refused
    :param held: items that the source held afterwards; ``None`` when that was not asked
    :param bytes: uploaded
    :param seconds: that the tasks took to send them, one after the other; ``None`` when not known
    """

    key: str
    dag_id: str
    run_id: str
    finished_at: str
    datasets: tuple[DatasetRecord, ...] = ()
    full: bool = False
    sent: Count = 0
    deleted: Count = 0
    refused: Count = 0
    held: int | None = None
    bytes: Count = 0
    seconds: float | None = None

    @property
    def rows(self) -> int:
        """Documents of all datasets."""
        return sum(dataset.rows for dataset in self.datasets)

    @property
    def sha256s(self) -> list[str]:
        """What the hashes of its datasets come to, in order."""
        return [dataset.sha256 for dataset in self.datasets]


@dataclass(frozen=True)
class LastRun:
    """
    Whose content is remembered, and what it is.

    :param organization: the organization's id
    :param push_url: host of the Push API, which tells one cloud from another
    :param source_id: the source
    :param hash_version: how hashes were made
    :param datasets: all that were sent to the source, in order
    :param rejections: what of these the service refused
    :param loads: the last loads, the newest first: this one, and those before it
    """

    organization: str
    push_url: str
    source_id: str
    hash_version: int
    datasets: tuple[DatasetRecord, ...]
    rejections: RejectionRecord | None = field(default=None, compare=False)
    loads: tuple[LoadRecord, ...] = field(default=(), compare=False)

    @property
    def rows(self) -> int:
        """Documents of all datasets."""
        return sum(dataset.rows for dataset in self.datasets)

    @property
    def rejected(self) -> int:
        """
        Documents that the service refused: the source holds :attr:`rows` less these.

        It may hold an older version of some of them.
        """
        return 0 if self.rejections is None else self.rejections.documents

    @property
    def mappings(self) -> list[str]:
        """Fingerprints of what made the datasets, in whatever order these are."""
        return sorted(dataset.mapping for dataset in self.datasets)

    def types_of(self, mapping: str) -> dict[str, str]:
        """
        Return the types of the columns of CSV files that a mapping was applied to.

        Of several datasets that one mapping made, those in which they agree.

        :param mapping: its fingerprint; another mapping sends everything anew, so that no type is kept
        """
        found: dict[str, set[str]] = {}
        for dataset in self.datasets:
            if dataset.mapping == mapping:
                for name, kind in dataset.types.items():
                    found.setdefault(name, set()).add(kind)
        return {name: kinds.pop() for name, kinds in found.items() if len(kinds) == 1}

    def unlike(self, current: LastRun) -> str | None:
        """Return why this says nothing about the source of the current run; ``None`` when it does."""
        words = {
            "organization": "organization",
            "push_url": "Push API",
            "source_id": "source",
            "mappings": "mapping or function",
            "hash_version": "version of the hashes",
        }
        if len(self.datasets) != len(current.datasets):
            words["mappings"] = "number of datasets"
        for name, word in words.items():
            if getattr(self, name) != getattr(current, name):
                return f"what is remembered is of another {word}"
        return None

    def is_of(self, current: LastRun) -> bool:
        """Return whether this is about the same source, made of whatever datasets."""
        names = ("organization", "push_url", "source_id")
        return all(getattr(self, name) == getattr(current, name) for name in names)

    def names(self) -> list[str]:
        """Return what names files and folders of the state."""
        names = [name for dataset in self.datasets for name in (dataset.sha256, *dataset.files)]
        return names if self.rejections is None else [*names, self.rejections.file]


@dataclass(frozen=True)
class Pending:
    """
    A load that was begun.

    :param key: of the run that began it
    :param full: whether everything is sent, rather than what changed
    :param datasets: those that it makes the source equal to, in order
    :param changed: how many documents it sends
    :param gone: how many it deletes by id
    :param absorbed: keys of earlier loads that it makes good
    """

    key: str
    full: bool
    datasets: tuple[DatasetRecord, ...]
    changed: Count
    gone: Count
    absorbed: tuple[str, ...] = ()

    @property
    def manifests(self) -> list[str]:
        """Where the manifests of its datasets lie, in order."""
        return [dataset.manifest for dataset in self.datasets]

    @property
    def sha256s(self) -> list[str]:
        """What the hashes of its datasets come to, in order."""
        return [dataset.sha256 for dataset in self.datasets]

    def names(self) -> list[str]:
        """Return what names files and folders of the state."""
        return [self.key, *self.sha256s, *self.absorbed]


class _FormerLastRun(msgspec.Struct):
    """As version 1 wrote it, with one dataset."""

    organization: str
    push_url: str
    source_id: str
    mapping: str
    hash_version: int
    rows: Count
    sha256: str
    files: tuple[str, ...]

    def renewed(self) -> LastRun:
        dataset = DatasetRecord(self.sha256, self.mapping, self.rows, self.files)
        return LastRun(self.organization, self.push_url, self.source_id, self.hash_version, (dataset,))


class _FormerPending(msgspec.Struct):
    """As version 1 wrote it, with one dataset."""

    key: str
    full: bool
    manifest: str
    sha256: str
    changed: Count
    gone: Count
    absorbed: tuple[str, ...] = ()

    def renewed(self) -> Pending:
        dataset = DatasetRecord(self.sha256, manifest=self.manifest)
        return Pending(self.key, self.full, (dataset,), self.changed, self.gone, self.absorbed)


_FORMER: dict[Any, Any] = {LastRun: _FormerLastRun, Pending: _FormerPending}


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

    def hashes(self, dataset: DatasetRecord) -> list[SourceFile]:
        """Return the files of hashes of a dataset that is remembered, whether they are there or not."""
        folder = self._folder / _HASHES / dataset.sha256
        return [_source(folder / name) for name in dataset.files]

    def rejected(self, last: LastRun) -> SourceFile | None:
        """
        Return the file of what the service refused; ``None`` when it refused nothing.

        Its columns are those of :data:`~coveo_provider.documents.changes.rejections.REJECTION_SCHEMA`. Opening it
        raises ``DatasetError`` when it is another file than the one that was written.
        """
        record = last.rejections
        if record is None:
            return None
        path = self._folder / _REJECTED / record.file

        def check(stored: Stored) -> None:
            if stored.sha256 != record.sha256:
                raise DatasetError(f"{path}: is damaged: it is not the file that was written")

        return SourceFile(str(path), partial(opened_local, path, check))

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

    def remember(
        self,
        current: LastRun,
        hashes: Sequence[Any],
        done: Pending | None,
        rejected: Sequence[SourceFile] = (),
        load: LoadRecord | None = None,
    ) -> LastRun:
        """
        Make the current datasets those that the next run compares with, and return what is remembered.

        :param hashes: for each of ``current.datasets``, the folder that holds its files of hashes
        :param done: the load that went through; it and what it made good are struck off. ``None`` for a load that
            was not announced, which sent everything
        :param rejected: Parquet files with the ``documentId`` of what the service refused of this load, and the
            ``reason``: the index does not hold it
        :param load: what is remembered of the load itself
        :raises DatasetError: what was refused cannot be read, or what was remembered of it
        """
        for dataset, folder in zip(current.datasets, hashes, strict=True):
            for name in dataset.files:
                copied(folder / name, self._folder / _HASHES / dataset.sha256 / name)
        current = dataclasses.replace(
            current,
            rejections=self._keep_rejected(current, done, rejected),
            loads=self._loads_with(load, current),
        )
        replace(self._folder / LAST, _written(current))
        # Its own entry goes last: until then a retry finds it, and strikes off the others.
        for key in () if done is None else (*done.absorbed, done.key):
            remove(self._folder / _PENDING / f"{key}.json")
            remove(self._folder / _PENDING / f"{key}.parquet")
            self._clear(f"{_CHANGES}/{key}")
        kept = {dataset.sha256 for dataset in current.datasets}
        for name in self._below(_HASHES):
            if name.partition("/")[0] not in kept:
                remove(self._folder / _HASHES / name)
        for name in self._below(_REJECTED):
            if current.rejections is None or name != current.rejections.file:
                remove(self._folder / _REJECTED / name)
        for folder in (_HASHES, _REJECTED, _CHANGES):
            remove_empty_folders(self._folder / folder)
        return current

    def loads(self) -> tuple[LoadRecord, ...]:
        """Return the last loads, the newest first; none where what is remembered is damaged."""
        try:
            last = self.last()
        except DatasetError:
            last = None
        return () if last is None else last.loads

    def _loads_with(self, load: LoadRecord | None, current: LastRun) -> tuple[LoadRecord, ...]:
        """Return the loads of the same source to remember: a load once, though its last step ran again."""
        try:
            last = self.last()
        except DatasetError:
            last = None
        former = last.loads if last is not None and last.is_of(current) else ()
        if load is None:
            return former
        own = (load.key, load.sha256s)
        return (load, *(one for one in former if (one.key, one.sha256s) != own))[:LOADS_KEPT]

    def _keep_rejected(
        self, current: LastRun, done: Pending | None, rejected: Sequence[SourceFile]
    ) -> RejectionRecord | None:
        """Write what the index does not hold after a load as it should; ``None`` when that is nothing."""
        former = sent = None
        if done is not None and not done.full:
            last = self.last()
            former = None if last is None else self.rejected(last)
            sent = self.pending_ids(done)
        if not rejected and former is None:
            return None
        from coveo_provider.documents.changes.rejections import write_rejections

        with ScratchFolder("rejected") as scratch:
            path = Path(scratch) / "rejected.parquet"
            written = write_rejections(
                path,
                Path(scratch),
                rejected=rejected,
                former=former,
                sent=sent,
                current=[file for dataset in current.datasets for file in self.hashes(dataset)],
                rows=current.rows,
            )
            if not written.rows:
                return None
            sha256 = stored_as(path).sha256
            name = f"{sha256}.parquet"  # so that none is overwritten which is still to be read
            copied(path, self._folder / _REJECTED / name)
        return RejectionRecord(name, sha256, written.documents)

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
        version = msgspec.json.decode(text, type=_Version).version
        if version == VERSION:
            record = msgspec.json.decode(text, type=kind)
        elif version == 1:
            record = msgspec.json.decode(text, type=_FORMER[kind]).renewed()
        else:
            raise ValueError("it is not of the version this one writes")
        for name in record.names():
            if not is_file_name(name):  # it would lead out of the folder
                raise ValueError(f"{name!r} is no name of a file")
    except (ValueError, RecursionError) as error:
        raise DatasetError(f"{where}: is damaged: {error}") from None
    return record

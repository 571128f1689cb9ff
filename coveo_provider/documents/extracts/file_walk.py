"""
The files below a folder, on this machine or on a storage of ``fsspec``, one after the other.

Folder by folder and in order of their names, so that two walks of the same share give the same list; memory is
bounded by the names of the folders on the way. What cannot be listed stops the walk: a folder left out would look
deleted.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from pathspec import GitIgnoreSpec

from coveo_provider.documents.contents.roots import OutsideRoots, refuse_place
from coveo_provider.documents.dataset.files import stamp_in
from coveo_provider.documents.extracts.azure_folders import azure_folder, is_azure
from coveo_provider.documents.permissions.posix import Owned
from coveo_provider.documents.uris import shown_path, shown_uri
from coveo_provider.errors import DatasetError

_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "timeModified")


@dataclass(frozen=True)
class FoundFile:
    """
    A file of a share.

    :param path: below the root, with ``/`` between names, each as the storage spells it
    :param size: in bytes
    :param modified: when it was written last, if the storage says so
    :param stamp: what tells this state of it from any other; empty where the file lies elsewhere, as a link says
    :param owned: whose it is, after the folders from the root on; empty on a storage without owners
    """

    path: str
    size: int
    modified: datetime | None
    stamp: str = ""
    owned: tuple[Owned, ...] = ()


@dataclass
class Wanted:
    """
    Which files are wanted.

    :param include: patterns as in a ``.gitignore`` file, of the path below the root; none wants all
    :param exclude: the same; a folder that one of them names is not entered
    :param min_bytes: of smaller files nothing is wanted, nor of larger ones than ``max_bytes``
    :param newer_than: files written before it are not wanted, nor those written after ``older_than``
    :param passed_over: counts what was not wanted, by why
    """

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    min_bytes: int = 0
    max_bytes: int | None = None
    newer_than: datetime | None = None
    older_than: datetime | None = None
    passed_over: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._include, self._exclude = map(GitIgnoreSpec.from_lines, (self.include, self.exclude))

    def enters(self, folder: str) -> bool:
        """Return whether a folder is to be looked into."""
        return not self._left_out(f"{folder}/")

    def names(self, path: str) -> bool:
        """Return whether a file is wanted, as far as its path says."""
        if self._left_out(path):
            return False
        missed = bool(self.include) and not self._include.match_file(_in_one_line(path))
        return self._miss(missed, "included by no pattern")

    def takes(self, file: FoundFile) -> bool:
        """Return whether a file is wanted, as far as its size and time say."""
        over = self.max_bytes is not None and file.size > self.max_bytes
        if not self._miss(file.size < self.min_bytes, "smaller than min_bytes") or not self._miss(
            over, "larger than max_bytes"
        ):
            return False
        if file.modified is None:
            if self.newer_than or self.older_than:
                raise DatasetError(
                    f"{file.path}: its storage does not say when it was written, as newer_than and older_than need"
                )
            return True
        old = self.newer_than is not None and file.modified < self.newer_than
        new = self.older_than is not None and file.modified > self.older_than
        return self._miss(old, "older than newer_than") and self._miss(new, "newer than older_than")

    def _left_out(self, path: str) -> bool:
        return not self._miss(self._exclude.match_file(_in_one_line(path)), "excluded by a pattern")

    def _miss(self, missed: bool, why: str) -> bool:
        """Count what is passed over, and return whether it is not."""
        self.passed_over[why] += missed
        return not missed


def local_files(
    root: str, wanted: Wanted, *, follow_links: bool, owners: bool, roots: Sequence[str] = ()
) -> Iterator[FoundFile]:
    """
    Return the files below a folder of this machine.

    :param root: its path
    :param follow_links: whether links are what they lead to; else they are passed over. Not together with
        ``owners``: the folders that lead to a link are not those that lead to its file
    :param owners: whether it is wanted whose they are
    :param roots: URIs of folders, below which folders must lie that links lead to; none allows every place
    :raises DatasetError: a folder cannot be listed, is unmounted meanwhile, has an access control list besides
        owner and group, or a link leads to one that lies outside of ``roots``
    """
    top = os.stat(root)
    folders: list[tuple[str, tuple[Owned, ...], tuple[tuple[int, int], ...]]] = [
        ("", (Owned.by(top, root),) if owners else (), ((top.st_dev, top.st_ino),))
    ]
    while folders:
        folder, above, passed = folders.pop()
        below = []
        names = _names(root, folder, wanted)
        _refuse_unmounted(root, folder, passed)
        for name in names:
            path = f"{folder}/{name}" if folder else name
            full = os.path.join(root, path)
            status, is_link = _status(full, wanted, follow_links)
            if status is None:
                if not is_link:
                    _refuse_unmounted(root, folder, passed)
                continue
            if stat.S_ISDIR(status.st_mode):
                here = (status.st_dev, status.st_ino)
                if not wanted.enters(path):
                    continue
                if is_link:
                    _refuse_link(full, roots)
                if here in passed:
                    wanted.passed_over["links that lead back to a folder above them"] += 1
                    continue
                owned = (*above, Owned.by(status, full)) if owners else ()
                below.append((path, owned, (*passed, here)))
            elif not stat.S_ISREG(status.st_mode):
                wanted.passed_over["pipes, sockets and devices"] += 1
            elif wanted.names(path):
                found = FoundFile(
                    path,
                    status.st_size,
                    _written(status.st_mtime),
                    "" if is_link else stamp_in({"size": status.st_size, "mtime": status.st_mtime}),
                    (*above, Owned.by(status, full)) if owners else (),
                )
                if wanted.takes(found):
                    yield found
        folders.extend(reversed(below))


def stored_files(storage: Any, root: str, wanted: Wanted) -> Iterator[FoundFile]:
    """
    Return the files below a folder of a storage; links are passed over.

    :param storage: the ``fsspec`` file system
    :param root: the folder's path there
    :raises DatasetError: a folder cannot be listed, or has a name in it that is empty; or the root is gone or empty
        since it was listed
    """
    top = root.strip("/")
    folders = [""]
    while folders:
        folder = folders.pop()
        below = []
        found_in = _listed(storage, f"{root.rstrip('/')}/{folder}" if folder else root, wanted, folder)
        if found_in is None:
            if not _listed(storage, root, wanted, ""):
                raise _lost(root)
            continue
        for info in found_in:
            name, kind = str(info["name"]), info.get("type")
            path = _below(name, top)
            if path == folder:
                # Object storage has no folders: "x/" of no size stands for one. No library opens what "x//…" names,
                # of which that of Google tells "x" either way.
                if (kind == "directory" or info.get("size")) if name.endswith("/") else _hides(storage, info):
                    _refuse_nameless(top, folder, wanted)
                continue
            if kind == "directory":
                if wanted.enters(path):
                    below.append(path)
            elif kind != "file":
                wanted.passed_over["links and what is no file"] += 1
            elif wanted.names(path):
                size = info.get("size")
                if size is None:
                    raise DatasetError(f"{shown_uri(root)}: its storage does not say how large {path} is")
                found = FoundFile(path, int(size), _moment(info), stamp_in(info))
                if wanted.takes(found):
                    yield found
        folders.extend(reversed(below))


def _names(root: str, folder: str, wanted: Wanted) -> list[str]:
    try:
        with os.scandir(os.path.join(root, folder)) as entries:
            return sorted(entry.name for entry in entries)
    except FileNotFoundError:
        if not folder:
            raise
        wanted.passed_over["gone while the share was walked"] += 1
        return []
    except OSError as error:
        raise _unlisted(os.path.join(root, folder), error) from None


def _refuse_unmounted(root: str, folder: str, passed: Sequence[tuple[int, int]]) -> None:
    """
    Refuse a folder, or the nearest above it that is there, that lies on another file system than it did.

    What is missing below it was not deleted: a share was unmounted.

    :param passed: device and number of each folder from the root on, as they were
    """
    names = folder.split("/") if folder else []
    for depth in range(len(names), -1, -1):
        place = os.path.join(root, *names[:depth])
        try:
            device = os.stat(place).st_dev
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _unlisted(place, error) from None
        if device == passed[depth][0]:
            return
        break
    raise _lost(os.path.join(root, folder))


def _listed(storage: Any, place: str, wanted: Wanted, folder: str) -> list[Mapping[str, Any]] | None:
    """Return what lies in a folder of a storage; ``None`` where it is gone."""
    try:
        storage.invalidate_cache(place)  # what a listing said may be old
        infos = azure_folder(storage, place) if is_azure(storage) else storage.ls(place, detail=True)
        found = sorted(infos, key=lambda info: str(info["name"]))
        storage.invalidate_cache(place)  # which would keep the list of every folder
    except FileNotFoundError:
        if not folder:
            raise
        wanted.passed_over["gone while the share was walked"] += 1
        return None
    except OSError as error:
        raise _unlisted(place, error) from None
    return found


def _hides(storage: Any, info: Mapping[str, Any]) -> bool:
    """Return whether a folder that lists itself has objects with an empty name in it."""
    return info.get("type") == "directory" and bool(storage.find(info["name"], prefix="/"))


def _below(name: str, top: str) -> str:
    """Return a path of a storage as it is below a folder, without slashes around it."""
    path = name.strip("/")
    if top and path != top and not path.startswith(f"{top}/"):
        raise DatasetError(f"the storage lists {shown_uri(name)} in the folder {shown_uri(top)}")
    return path[len(top) :].strip("/")


def _refuse_nameless(top: str, folder: str, wanted: Wanted) -> None:
    """Refuse a file whose name is empty, or that of a folder on its way."""
    shown = f"{folder}//"
    place = shown_uri(f"{top}/{folder}//" if folder else f"{top}//")
    if wanted.enters(shown.removesuffix("/")):
        raise DatasetError(
            f"{place}: there are objects with an empty name on their way, which the storage's library "
            f"cannot open. Rename them, or leave them out with exclude={[*wanted.exclude, shown]}"
        )


def _refuse_link(path: str, roots: Sequence[str]) -> None:
    """Refuse a link to a folder that must not be looked into: it could be the whole machine."""
    try:
        refuse_place(os.path.realpath(path), roots)
    except OutsideRoots as error:
        raise DatasetError(f"the link {shown_path(path)} {error}. Or leave it out with exclude") from None


def _written(time: float) -> datetime | None:
    """Return when a file was written; ``None`` where its file system tells a year that there is not."""
    try:
        return datetime.fromtimestamp(time, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None


def _unlisted(folder: str, error: OSError) -> DatasetError:
    why = "permission denied" if isinstance(error, PermissionError) else type(error).__name__
    return DatasetError(
        f"the folder {shown_path(folder)} cannot be listed: {why}. What is in it would look deleted, so nothing "
        "was made. Let the worker's user read it, or leave it out with exclude"
    )


def _lost(folder: str) -> DatasetError:
    return DatasetError(
        f"the folder {shown_path(folder)} was unmounted or moved while it was walked. What is in it would look "
        "deleted, so nothing was made. Run the task again once it is back"
    )


def _status(path: str, wanted: Wanted, follow_links: bool) -> tuple[os.stat_result | None, bool]:
    """Return what a name leads to, ``None`` where it is passed over; and whether by a link."""
    is_link = False
    try:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            if not follow_links:
                wanted.passed_over["links"] += 1
                return None, True
            is_link = True
            status = os.stat(path)
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ELOOP}:
            raise DatasetError(f"{shown_path(path)} cannot be looked at: {type(error).__name__}") from None
        wanted.passed_over["gone while the share was walked, or links that lead nowhere"] += 1
        return None, is_link
    return status, is_link


def _moment(info: Mapping[str, Any]) -> datetime | None:
    value = next((info[key] for key in _TIMES if info.get(key)), None)
    if isinstance(value, str):
        value = datetime.fromisoformat(value.replace("Z", "+00:00"))
    elif isinstance(value, (int, float)):
        value = _written(value)
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)


def _in_one_line(path: str) -> str:
    """Return a path for patterns, which pass over line ends: nothing else has a null character in its place."""
    return path.replace("\n", "\0")

"""Where datasets lie: object storage URIs → parts that can be read. Knows Airflow, not Parquet's insides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import IO, TYPE_CHECKING, Any

from airflow.sdk import ObjectStoragePath

from coveo_provider.documents.dataset.files import opened_local, read_if_there
from coveo_provider.documents.dataset.manifest import MANIFEST, Manifest, PartEntry, read_manifest
from coveo_provider.errors import DatasetError

if TYPE_CHECKING:
    from coveo_provider.documents.dataset.tables import Part

_SUFFIX = ".parquet"


def list_parts(dataset: Any, name: str) -> list[str]:
    """
    Return the URIs of a dataset's parts, those of a folder in order of their names.

    A folder with a manifest must hold exactly what that says.

    :param dataset: the URI of a file or folder, or a list of them, or a list of such lists
    :param name: the argument's name, for errors
    :raises DatasetError: a part or folder is missing or empty, a file in a folder is not Parquet, or the dataset
        is half-written
    """
    parts: list[str] = []
    for uri in flat(dataset, name):
        parts.extend(_parts_at(ObjectStoragePath(uri), uri, name))
    if not parts:
        raise DatasetError(f"{name}: the list of parts is empty")
    twice = sorted(part for part, count in Counter(parts).items() if count > 1)
    if twice:
        raise DatasetError(f"{name}: part {twice[0]} is listed twice")
    return parts


def flat(uris: Any, name: str) -> Iterator[str]:
    """
    Return the URIs of any nesting of lists of them.

    :raises DatasetError: something else stands among them
    """
    if isinstance(uris, (str, ObjectStoragePath)):
        if not str(uris).strip():
            raise DatasetError(f"{name} must hold URIs, found {uris!r}")
        yield str(uris)
    elif isinstance(uris, Sequence) and not isinstance(uris, (bytes, bytearray)):
        for position in range(
            len(uris)
        ):  # by index: Airflow's lazy sequence logs an error when iterated to its end
            yield from _member(uris[position], name)
    elif isinstance(uris, Iterable) and not isinstance(uris, (bytes, bytearray, Mapping)):
        for uri in uris:
            yield from _member(uri, name)
    else:
        raise DatasetError(f"{name} must be the URI of a file or folder, or a list of them, not {uris!r}")


def _member(uri: Any, name: str) -> Iterator[str]:
    if not isinstance(uri, (str, ObjectStoragePath, list, tuple)):
        raise DatasetError(f"{name} must hold URIs, found {uri!r}")
    yield from flat(uri, name)


def _parts_at(path: ObjectStoragePath, uri: str, name: str) -> list[str]:
    with _named(uri, name):
        if path.is_file():
            return [uri]
        if not path.is_dir():
            raise DatasetError(f"{name}: {uri} is missing")
        manifest = manifest_of(path)
        sizes = {file: size for file, size in files_in(path).items() if is_data(file)}
    other = sorted(file for file in sizes if not file.endswith(_SUFFIX))
    if other:
        raise DatasetError(
            f"{name}: {path / other[0]} is not a {_SUFFIX} file; a dataset's folder holds its parts and nothing "
            "else (names that begin with _ or . are passed over)"
        )
    if manifest is not None:
        manifest.check_files(sizes, f"{name}: {uri}")
        return [str(path / part.name) for part in manifest.parts]
    if not sizes:
        raise DatasetError(f"{name}: {uri} holds no {_SUFFIX} file: the dataset is empty")
    return sorted(str(path / file) for file in sizes)


@contextmanager
def _named(uri: str, name: str) -> Iterator[None]:
    try:
        yield
    except DatasetError:
        raise
    except (OSError, ValueError) as error:
        raise DatasetError(f"{name}: {uri} cannot be read: {type(error).__name__}: {error}") from None


def files_in(folder: ObjectStoragePath) -> dict[str, int]:
    """Return all files below a folder, by their path relative to it, with their sizes in bytes."""
    storage: Any = folder.fs
    storage.invalidate_cache()  # what another task wrote meanwhile
    base = storage._strip_protocol(folder.path)
    found: dict[str, Mapping[str, Any]] = storage.find(folder.path, detail=True)
    return {
        name[len(base) :].lstrip("/"): int(info.get("size") or 0)
        for name, info in found.items()
        if info.get("type", "file") != "directory"
        and not name.endswith("/")  # a marker that stands for a folder
    }


def is_data(file: str) -> bool:
    """Return whether a file, named relative to its folder, is one of the data: neither hidden nor our own."""
    return not any(step.startswith(("_", ".")) for step in file.split("/"))


def manifest_of(folder: Any) -> Manifest | None:
    """
    Return the manifest of a dataset's folder, ``None`` when it has none.

    :raises DatasetError: the file is no manifest
    """
    path = folder / MANIFEST
    try:
        text = read_if_there(path)
    except PermissionError:  # some storages say so of what is not there, to those who may not list
        return None
    return None if text is None else read_manifest(text, str(path))


@contextmanager
def open_parts(uris: Sequence[str]) -> Iterator[list[Part]]:
    """
    Open the parts of a dataset for reading, and close them in the end.

    A part that is not on this machine is first copied to its disk in one go: Parquet is read column by
    column, back and forth, which object storage answers slowly. A part whose folder has a manifest must be the
    file that was written.

    :raises DatasetError: a part is missing, damaged, not Parquet, or has no rows
    """
    from coveo_provider.documents.dataset.tables import Part

    with ExitStack() as stack:
        entries = _entries(uris)
        parts = [Part(stack.enter_context(opened(uri, entries.get(uri))), uri) for uri in uris]
        for part in parts:
            if not part.rows:
                raise DatasetError(f"{part.name}: has no rows; leave an empty part out")
        yield parts


def _entries(uris: Sequence[str]) -> dict[str, PartEntry]:
    """Return what the manifests of the parts' folders say of them; nothing where there is no manifest."""
    manifests: dict[str, Manifest | None] = {}
    entries = {}
    for uri in uris:
        path = ObjectStoragePath(uri)
        folder = str(path.parent)
        if folder not in manifests:
            with _named(folder, "the dataset"):
                manifests[folder] = manifest_of(path.parent)
        manifest = manifests[folder]
        if manifest is None:
            continue
        if not manifest.complete:
            manifest.check_files({}, folder)
        found = [part for part in manifest.parts if part.name == path.name]
        if not found:
            raise DatasetError(f"{uri}: is no part of the dataset in its folder, as {MANIFEST} there says")
        entries[uri] = found[0]
    return entries


@contextmanager
def opened(uri: str, entry: PartEntry | None = None) -> Iterator[IO[bytes]]:
    """
    Open a file on this machine's disk, where it is copied if need be.

    :param entry: what the file has to be
    :raises DatasetError: it is missing, must not be read, or is another one
    """
    check = None if entry is None else partial(_check, entry, uri)
    opening: AbstractContextManager[IO[bytes]] = opened_local(ObjectStoragePath(uri), check)
    with ExitStack() as stack:
        try:
            file = stack.enter_context(opening)
        except FileNotFoundError:
            raise DatasetError(f"{uri} is missing") from None
        except PermissionError:
            raise DatasetError(f"{uri} cannot be read: permission denied") from None
        yield file


def _check(entry: PartEntry, uri: str, stored: Any) -> None:
    entry.check(stored, uri)

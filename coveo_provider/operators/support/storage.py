"""What lies at object-storage URIs: files, folders, and the manifests in them. Knows Airflow, not Parquet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import IO, Any

from airflow.sdk import ObjectStoragePath

from coveo_provider.documents.contract import shown
from coveo_provider.documents.dataset.files import opened_local, read_if_there
from coveo_provider.documents.dataset.manifest import MANIFEST, Manifest, PartEntry, read_manifest
from coveo_provider.documents.extracts.formats import RAW_SUFFIXES
from coveo_provider.documents.uris import shown_uri, without_secrets
from coveo_provider.errors import DatasetError
from coveo_provider.operators.support.frames import is_frame
from coveo_provider.operators.support.paths import (
    folder_at,
    folder_of,
    is_storage,
    library_missing,
    misspelt,
    path_at,
)

_PARQUET = ".parquet"
LISTS = ("[", "(")
"""How the text begins that a template makes of a list."""

_MADE = (
    "CoveoTransformOperator makes a dataset of CSV, NDJSON, JSON and Parquet files: pass on what it returns"
)


def list_files(uris: Any, name: str) -> list[str]:
    """
    Return the URIs of files, those of a folder in order of their names.

    A folder with a manifest must hold exactly what that says. Names that begin with ``_`` or ``.`` are passed over.

    :param uris: the URI of a file or folder, or a list of them, or a list of such lists
    :param name: the argument's name, for errors
    :raises DatasetError: a file or folder is missing, empty or listed twice, or a dataset is half-written
    """
    return _listed(uris, name, "file", "")


def list_parts(dataset: Any, name: str) -> list[str]:
    """
    Return the URIs of a dataset's parts, as :func:`list_files` does of any files.

    :raises DatasetError: also when a file in a folder is not Parquet
    """
    return _listed(dataset, name, "part", _PARQUET)


def _listed(uris: Any, name: str, noun: str, suffix: str) -> list[str]:
    files: list[str] = []
    for uri in flat(uris, name):
        files.extend(_files_at(uri, name, suffix))
    if not files:
        raise DatasetError(f"{name}: the list of {noun}s is empty")
    twice = sorted(file for file, count in Counter(files).items() if count > 1)
    if twice:
        raise DatasetError(f"{name}: {noun} {twice[0]} is listed twice")
    return files


def _files_at(uri: str, name: str, suffix: str) -> list[str]:
    with _errors_named(uri, name):
        path = path_at(uri, name)
        if path.is_file():
            if suffix and uri.lower().endswith(RAW_SUFFIXES):
                raise DatasetError(f"{name}: {uri} is no part of a dataset. {_MADE}")
            return [uri]
        if not path.is_dir():
            raise DatasetError(f"{name}: {shown_uri(uri)} is missing{misspelt(uri)}")
        path = folder_at(uri)
        manifest = manifest_of(path)
        sizes = {file: size for file, size in files_in(path).items() if is_data(file)}
    other = sorted(file for file in sizes if not file.endswith(suffix))
    if other:
        raise DatasetError(
            f"{name}: {path / other[0]} is not a {suffix} file; a dataset's folder holds its parts and nothing "
            "else (names that begin with _ or . are passed over)"
            + (f". {_MADE}" if other[0].lower().endswith(RAW_SUFFIXES) else "")
        )
    if manifest is not None:
        manifest.check_files(sizes, f"{name}: {uri}")
    if not sizes:
        raise DatasetError(f"{name}: {uri} holds no {suffix}{' ' * bool(suffix)}file: did the extract fail?")
    names = sorted(sizes) if manifest is None else [part.name for part in manifest.parts]
    return [str(path / file) for file in names]


@contextmanager
def _errors_named(uri: str, name: str) -> Iterator[None]:
    try:
        yield
    except DatasetError:
        raise
    except ImportError as error:
        raise library_missing(uri, name, error) from None
    except (OSError, ValueError) as error:
        reason = without_secrets(uri, str(error))
        raise DatasetError(
            f"{name}: {shown_uri(uri)} cannot be read: {type(error).__name__}: {reason}"
        ) from None


def flat(uris: Any, name: str) -> Iterator[str]:
    """
    Return the URIs of any nesting of lists of them.

    :raises DatasetError: something else stands among them
    """
    if is_frame(uris):
        raise DatasetError(f"{name} is a DataFrame, expected the URI of a file or folder. {_cure_of(name)}")
    if isinstance(uris, (str, ObjectStoragePath)):
        uri = str(uris)
        if not uri.strip():
            raise DatasetError(f"{name} must hold URIs, found {uris!r}")
        if uri.lstrip().startswith(LISTS):
            raise DatasetError(
                f"{name}: {shown(uri)} is the text of a list, as a template makes one. Pass on what the task "
                "returns (its output), or give the DAG render_template_as_native_obj=True"
            )
        if not is_storage(uri):
            raise DatasetError(
                f"{name}: {shown(uri)} is no URI of a file or folder, as nothing is stored under "
                f"{uri.partition(':')[0]}:. If it is the id of a document, give rows: "
                f"{name}=[{{'documentId': {uri[:80]!r}}}]"
            )
        yield uri
    elif isinstance(uris, Sequence) and not isinstance(uris, (bytes, bytearray)):
        # By index: Airflow's lazy sequence of mapped outputs logs an error when iterated to its end.
        for position in range(len(uris)):
            yield from _member(uris[position], name)
    elif isinstance(uris, Iterable) and not isinstance(uris, (bytes, bytearray, Mapping)):
        for uri in uris:
            yield from _member(uri, name)
    else:
        raise DatasetError(f"{name} must be the URI of a file or folder, or a list of them, not {uris!r}")


def _cure_of(name: str) -> str:
    """Return how a DataFrame becomes what an argument takes."""
    if name == "documents":
        return (
            "CoveoTransformOperator(source=…) makes a dataset of it; or let the task that has it write it, and "
            "return where:\n"
            "from coveo_provider.documents import write_documents\n"
            "return write_documents(frame, folder / 'part-00000.parquet')  # folder is an ObjectStoragePath"
        )
    return (
        "Let the task that has it write it, and return where; folder is an ObjectStoragePath:\n"
        f"with (folder / '{name}.parquet').open('wb') as file: frame.to_parquet(file)\n"
        f"return str(folder / '{name}.parquet')"
    )


def _member(uri: Any, name: str) -> Iterator[str]:
    if not isinstance(uri, (str, ObjectStoragePath, list, tuple)) and not is_frame(uri):
        raise DatasetError(f"{name} must hold URIs, found {uri!r}")
    yield from flat(uri, name)


def files_in(folder: ObjectStoragePath) -> dict[str, int]:
    """Return all files below a folder, by their path relative to it, with their sizes in bytes."""
    storage: Any = folder.fs
    storage.invalidate_cache()  # what another task wrote meanwhile
    base = storage._strip_protocol(folder.path)
    files: dict[str, Mapping[str, Any]] = storage.find(folder.path, detail=True)
    return {
        name[len(base) :].lstrip("/"): int(info.get("size") or 0)
        for name, info in files.items()
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


def manifests_of(parts: Iterable[str]) -> dict[str, Manifest | None]:
    """
    Return the manifest of each folder that parts lie in, by the folder's URI; ``None`` where there is none.

    :param parts: their URIs
    :raises DatasetError: a folder cannot be read, or has a file that is no manifest
    """
    manifests = {}
    for folder in dict.fromkeys(folder_of(part) for part in parts):
        with _errors_named(folder, "the dataset"):
            manifests[folder] = manifest_of(folder_at(folder))
    return manifests


@contextmanager
def open_file(uri: str, entry: PartEntry | None = None) -> Iterator[IO[bytes]]:
    """
    Open a file on this machine's disk, where it is copied if need be.

    :param entry: what the file has to be
    :raises DatasetError: it is missing, must not be read, or is another one
    """
    check = None if entry is None else partial(_check, entry, uri)
    opening: AbstractContextManager[IO[bytes]] = opened_local(path_at(uri), check)
    with ExitStack() as stack:
        try:
            file = stack.enter_context(opening)
        except FileNotFoundError:
            raise DatasetError(f"{shown_uri(uri)} is missing{misspelt(uri)}") from None
        except PermissionError:
            raise DatasetError(f"{shown_uri(uri)} cannot be read: permission denied") from None
        yield file


def _check(entry: PartEntry, uri: str, stored: Any) -> None:
    entry.check(stored, uri)

"""Where datasets lie: object storage URIs → parts that can be read. Knows Airflow, not Parquet's insides."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, TYPE_CHECKING, Any

from airflow.sdk import ObjectStoragePath

from coveo_provider.errors import DatasetError

if TYPE_CHECKING:
    from coveo_provider.documents.tables import Part

_SUFFIX = ".parquet"


def list_parts(dataset: str | Sequence[str], name: str) -> list[str]:
    """
    Return the URIs of a dataset's parts, those of a folder in order of their names.

    :param dataset: the URI of a file or folder, or a list of them
    :param name: the argument's name, for errors
    :raises DatasetError: a part or folder is missing or empty, or a file in a folder is not Parquet
    """
    uris = [dataset] if isinstance(dataset, str) else dataset
    if not isinstance(uris, Iterable):
        raise DatasetError(f"{name} must be the URI of a file or folder, or a list of them, not {dataset!r}")
    if isinstance(uris, Sequence):  # by index: Airflow's lazy sequence logs an error when iterated to its end
        uris = [uris[position] for position in range(len(uris))]
    parts: list[str] = []
    for uri in uris:
        if not isinstance(uri, (str, ObjectStoragePath)) or not str(uri).strip():
            raise DatasetError(f"{name} must hold URIs, found {uri!r}")
        parts.extend(_parts_at(ObjectStoragePath(str(uri)), str(uri), name))
    if not parts:
        raise DatasetError(f"{name}: the list of parts is empty")
    twice = sorted({part for part in parts if parts.count(part) > 1}) if len(parts) < 10_000 else []
    if twice:
        raise DatasetError(f"{name}: part {twice[0]} is listed twice")
    return parts


def _parts_at(path: ObjectStoragePath, uri: str, name: str) -> list[str]:
    try:
        if path.is_file():
            return [uri]
        if not path.is_dir():
            raise DatasetError(f"{name}: {uri} is missing")
        files = sorted(str(file) for file in path.rglob("*") if file.is_file() and _is_data(file, path))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{name}: {uri} cannot be read: {type(error).__name__}: {error}") from None
    other = [file for file in files if not file.endswith(_SUFFIX)]
    if other:
        raise DatasetError(
            f"{name}: {other[0]} is not a {_SUFFIX} file; a dataset's folder holds its parts and nothing "
            "else (names that begin with _ or . are passed over)"
        )
    if not files:
        raise DatasetError(f"{name}: {uri} holds no {_SUFFIX} file: the dataset is empty")
    return files


def _is_data(file: ObjectStoragePath, folder: ObjectStoragePath) -> bool:
    inside = str(file)[len(str(folder)) :].strip("/").split("/")
    return not any(step.startswith(("_", ".")) for step in inside)


@contextmanager
def open_parts(uris: Sequence[str]) -> Iterator[list[Part]]:
    """
    Open the parts of a dataset for reading, and close them in the end.

    A part that is not on this machine is first copied to its disk in one go: Parquet is read column by
    column, back and forth, which object storage answers slowly.

    :raises DatasetError: a part is missing, not Parquet, or has no rows
    """
    from coveo_provider.documents.tables import Part

    with ExitStack() as stack:
        parts = [Part(stack.enter_context(_local(uri)), uri) for uri in uris]
        for part in parts:
            if not part.rows:
                raise DatasetError(f"{part.name}: has no rows; leave an empty part out")
        yield parts


@contextmanager
def _local(uri: str) -> Iterator[IO[bytes]]:
    path: Any = ObjectStoragePath(uri)
    try:
        with ExitStack() as stack:
            file: Any = stack.enter_context(path.open("rb"))
            if path.protocol not in {"", "file", "local"}:
                copy = stack.enter_context(tempfile.TemporaryFile(prefix="coveo-part-"))
                shutil.copyfileobj(file, copy, 1 << 20)
                copy.seek(0)
                file = copy
            yield file
    except FileNotFoundError:
        raise DatasetError(f"{uri} is missing") from None
    except PermissionError:
        raise DatasetError(f"{uri} cannot be read: permission denied") from None

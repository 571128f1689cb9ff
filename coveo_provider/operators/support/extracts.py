"""Where extracts lie, and where datasets made of them go: object storage URIs → files that can be read."""

from __future__ import annotations

import os
import re
from functools import partial
from typing import Any

from airflow.sdk import ObjectStoragePath

from coveo_provider.documents.contents.files import shown_uri
from coveo_provider.documents.dataset.files import make_folder, remove, replace
from coveo_provider.documents.dataset.manifest import HASHES, MANIFEST, Manifest
from coveo_provider.documents.extracts.source_files import SourceFile
from coveo_provider.errors import ConfigurationError, ContentUnavailable, DatasetError
from coveo_provider.operators.support.datasets import files_in, flat, is_data, manifest_of, opened

_OWN = re.compile(rf"(?:{HASHES}/)?part-\d{{5,}}\.parquet|{re.escape(MANIFEST)}")
_STRONG = ("ETag", "etag", "e_tag", "md5Hash", "content_md5", "checksum", "generation", "version_id")
_WEAK = ("mtime", "last_modified", "LastModified", "updated", "modified", "created")


def list_sources(source: Any) -> list[SourceFile]:
    """
    Return the files of an extract, those of a folder in order of their names.

    :param source: the URI of a file or folder, or a list of them
    :raises DatasetError: one is missing, a folder is empty, or one of its datasets is half-written
    """
    uris: list[str] = []
    for uri in flat(source, "source"):
        path = ObjectStoragePath(uri)
        try:
            if path.is_file():
                uris.append(uri)
                continue
            if not path.is_dir():
                raise DatasetError(f"source: {uri} is missing")
            sizes = {file: size for file, size in files_in(path).items() if is_data(file)}
            manifest = manifest_of(path)
        except (OSError, ValueError) as error:
            if isinstance(error, DatasetError):
                raise
            raise DatasetError(f"source: {uri} cannot be read: {type(error).__name__}: {error}") from None
        if manifest is not None:
            manifest.check_files(sizes, f"source: {uri}")
        if not sizes:
            raise DatasetError(f"source: {uri} holds no file: did the extract fail?")
        uris.extend(str(path / file) for file in sorted(sizes))
    if not uris:
        raise DatasetError("source: the list of files is empty")
    twice = [
        uri for position, uri in enumerate(sorted(uris)) if position and sorted(uris)[position - 1] == uri
    ]
    if twice:
        raise DatasetError(f"source: {twice[0]} is listed twice")
    return [SourceFile(uri, partial(opened, uri)) for uri in uris]


def prepared_output(output: Any, manifest: Manifest, *, sources: Any = ()) -> ObjectStoragePath:
    """
    Return a dataset's folder, with an incomplete manifest in it and nothing else.

    What an earlier try of the same task wrote there is deleted; a folder that holds anything else is refused.

    :param output: its URI
    :param manifest: the incomplete one
    :param sources: URIs of what is read meanwhile, and must not be deleted
    :raises ConfigurationError: it is no URI of a folder of its own
    :raises DatasetError: the folder holds something else
    """
    if not isinstance(output, (str, ObjectStoragePath)) or not str(output).strip():
        raise ConfigurationError(f"output must be the URI of a folder, not {output!r}")
    folder = ObjectStoragePath(str(output))
    for uri in flat(sources, "source"):
        _refuse_overlap(folder, ObjectStoragePath(uri))
    if folder.is_file():
        raise ConfigurationError(f"output: {output} is a file, expected a folder")
    files = files_in(folder) if folder.is_dir() else {}
    if files:
        if MANIFEST not in files:
            raise DatasetError(
                f"output: {output} holds {min(files)}, and no {MANIFEST}: it is not the folder of a dataset that a "
                "former try wrote. Nothing was deleted; name an empty folder, or one of this run"
            )
        manifest_of(folder)  # raises when that file is something else
        foreign = sorted(file for file in files if not _OWN.fullmatch(file))
        if foreign:
            raise DatasetError(
                f"output: {output} holds {foreign[0]}, which is no part of a dataset. Nothing was deleted; name an "
                "empty folder, or one of this run"
            )
    make_folder(folder)
    replace(folder / MANIFEST, manifest.as_json())
    for file in files:
        if file != MANIFEST:
            remove(folder / file)
    return folder


def _refuse_overlap(output: ObjectStoragePath, source: ObjectStoragePath) -> None:
    (storage, place), (other_storage, other) = _place(output), _place(source)
    if storage == other_storage and (
        place == other or place.startswith(f"{other}/") or other.startswith(f"{place}/")
    ):
        raise ConfigurationError(
            f"output {output} and source {source} are the same folder, or one lies in the other; name a folder of "
            "its own for the output"
        )


def _place(path: ObjectStoragePath) -> tuple[str, str]:
    protocol = path.protocol or "file"
    if protocol in {"file", "local"}:
        return "file", os.path.realpath(path.path).rstrip("/")
    return protocol, path.path.strip("/")


def stamp_of(uri: str) -> str:
    """
    Return what tells this state of a file from any other, as far as its storage says: a hash, or size and time.

    :raises DatasetError: it is missing, or its storage unknown
    :raises ContentUnavailable: the storage failed in a way that may pass
    """
    try:
        path = ObjectStoragePath(uri)
        storage: Any = path.fs
        info = storage.info(path.path)
    except FileNotFoundError:
        raise DatasetError(f"contentUri {shown_uri(uri)} is missing") from None
    except PermissionError:
        raise DatasetError(f"contentUri {shown_uri(uri)} cannot be read: permission denied") from None
    except (ValueError, ImportError) as error:
        raise DatasetError(f"contentUri {shown_uri(uri)} cannot be read: {type(error).__name__}") from None
    except Exception as error:  # each storage library has its own
        raise ContentUnavailable("with a contentUri", shown_uri(uri), type(error).__name__) from error
    strong = [f"{key}={info[key]}" for key in _STRONG if info.get(key)]
    weak = [f"{key}={info[key]}" for key in _WEAK if info.get(key)]
    return "\n".join([f"size={info.get('size')}", *(strong or weak[:1])])

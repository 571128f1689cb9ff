"""The one way from a URI that a user hands in to a path on the storage it names."""

from __future__ import annotations

from typing import Any

from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import has_fs
from fsspec.registry import get_filesystem_class, known_implementations, registry

from coveo_provider.documents.uris import (
    is_url,
    local_path,
    other_spelling,
    parts_of,
    shown_uri,
    without_secrets,
)
from coveo_provider.errors import DatasetError

_CHAIN = "::"
_EXTRAS = {
    "s3": "s3",
    "s3a": "s3",
    "gs": "gcs",
    "gcs": "gcs",
    "abfs": "azure",
    "abfss": "azure",
    "sftp": "sftp",
}


def path_at(uri: Any, name: str = "") -> ObjectStoragePath:
    """
    Return the path of the very file or folder that a URI names.

    ``ObjectStoragePath(uri)`` reads names literally too, but drops a ``#`` or ``?`` at the end of one, tabs and
    line ends, and what follows ``::``. Such a name is joined to the root of its storage, which reads all of it.

    :param name: the argument's name, for errors
    :raises DatasetError: it is no URI, or the storage's library takes it for another one all the same
    """
    try:
        return _path_at(str(uri))
    except DatasetError as error:
        if not name:
            raise
        raise DatasetError(f"{name}: {error}") from None


def _path_at(text: str) -> ObjectStoragePath:
    scheme, place, path = parts_of(text)
    local = local_path(text)
    if local is not None:
        # Behind a scheme the library splits a name at "::", as soon as something is joined to it.
        root = "/" if not scheme or _CHAIN in local else f"file://{place}/"
        return ObjectStoragePath(root) / local
    name = path.strip("/")
    _refuse_without_library(scheme, text)
    try:
        found = ObjectStoragePath(text)
        if not is_url(text) and not found.path.endswith(name):
            found = ObjectStoragePath(f"{scheme}://{place}") / name
    except (ValueError, ImportError) as error:
        raise DatasetError(f"{shown_uri(text)} cannot be read: {without_secrets(text, str(error))}") from None
    if _CHAIN in text if is_url(text) else not found.path.endswith(name):
        raise DatasetError(
            f"{shown_uri(text)} cannot be read: the library of its storage takes it for {shown_uri(str(found))}; "
            + ("spell :: as %3A%3A" if is_url(text) else "give the file another name")
        )
    return found


def _refuse_without_library(scheme: str, text: str) -> None:
    """
    Refuse a storage that neither a provider of Airflow's nor a library reads, and say what to install.

    Its library would be missed at the first look at the storage, in its own words.
    """
    if has_fs(scheme) or scheme in registry or scheme not in known_implementations:
        return
    try:
        get_filesystem_class(scheme)
    except ImportError as error:
        raise library_missing(text, "", error) from None


def library_missing(uri: str, name: str, error: ImportError) -> DatasetError:
    """Return what to raise where the library of a URI's storage is not installed."""
    extra = _EXTRAS.get(uri.partition("://")[0].lower())
    cure = f": pip install 'airflow-provider-coveo[{extra}]', where the task runs" if extra else ""
    place = f"{name}: {shown_uri(uri)}" if name else shown_uri(uri)
    return DatasetError(f"{place} cannot be read or written: {error}{cure}")


def folder_at(uri: Any, name: str = "") -> ObjectStoragePath:
    """
    Return the path of a folder, to which names can be joined.

    :param name: the argument's name, for errors
    :raises DatasetError: as :func:`path_at`, or its name holds ``::``, on another storage than this machine's
    """
    folder = path_at(uri, name)
    if folder.protocol and _CHAIN in folder.path:
        raise DatasetError(
            f"{shown_uri(str(uri))}: a folder's name must not hold {_CHAIN}, which the storage's library takes "
            "for a chain of storages; give it another name"
        )
    return folder


def folder_of(uri: str) -> str:
    """Return the URI of the folder that a file lies in."""
    folder = uri.rstrip("/").rpartition("/")[0]
    return folder if folder and not folder.endswith("/") else f"{folder}/"  # the root


def is_storage(uri: str) -> bool:
    """Return whether a URI names a storage that files can lie on, by its scheme; a path without one does."""
    scheme, colon, _ = uri.partition(":")
    if not colon or "/" in scheme:
        return True
    scheme = scheme.lower()
    return has_fs(scheme) or scheme in known_implementations or scheme in registry


def misspelt(uri: str) -> str:
    """Return what to say of a missing file or folder that is there in another spelling; empty when it is not."""
    return other_spelling(uri, _exists)


def _exists(uri: str) -> bool:
    try:
        return bool(path_at(uri).exists())
    except Exception:  # noqa: BLE001  each storage library has its own; it is but a hint
        return False

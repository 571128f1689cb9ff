"""The files of a share → rows of a documents dataset: one document each."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

import pyarrow as pa

from coveo_provider.documents.contents.files import extension_of
from coveo_provider.documents.contract import (
    CONTENT_OWNERS,
    CONTENT_URI,
    DOCUMENT_ID,
    FILE_EXTENSION,
    PARENT_ID,
    PERMISSIONS,
    column_named,
)
from coveo_provider.documents.extracts.file_walk import FoundFile
from coveo_provider.documents.extracts.readers import Batch
from coveo_provider.documents.permissions.folders import FolderPermissions
from coveo_provider.documents.permissions.posix import Owned, PosixPermissions, owners_text
from coveo_provider.documents.uris import local_path, parts_of
from coveo_provider.errors import DatasetError

_KEPT = (
    "!$&'()*+,;=:@~"  # of a segment of a path, by RFC 3986; letters, digits, "-", "." and "_" are kept anyway
)

_KNOWN = 10_000  # texts of permissions that are kept

_SCHEMA = pa.schema(
    [
        (DOCUMENT_ID, pa.string()),
        (CONTENT_URI, pa.string()),
        ("title", pa.string()),
        (FILE_EXTENSION, pa.string()),
        ("size", pa.int64()),
        ("date", pa.timestamp("us", tz="UTC")),
        (PARENT_ID, pa.string()),
    ]
)


@dataclass
class Share:
    """
    A folder whose files become documents.

    :param root: its URI
    :param id_prefix: what a ``documentId`` begins with, before the path below the root
    :param permissions: who may see a file; ``None`` for documents without permissions
    :param batch_rows: the most rows of one batch
    :param stamps: of the files of the last batch, by URI: what tells this state of them from any other
    :param owners: of the same files, whose they are where that decides about permissions
    :param entries: folders of the table of permissions that decided about a file so far
    """

    root: str
    id_prefix: str
    permissions: PosixPermissions | FolderPermissions | None
    batch_rows: int
    stamps: dict[str, str] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    entries: set[str] = field(default_factory=set)

    def batches(self, files: Iterable[FoundFile]) -> Iterator[Batch]:
        """
        Return the documents of files.

        :raises DatasetError: a name cannot be part of a URI, or a file has no permissions
        """
        known = None if self.permissions is None else _Texts(self.permissions, self.entries)
        first, rows = 0, []
        for file in files:
            rows.append(file)
            if len(rows) == self.batch_rows:
                yield self._batch(rows, first, known)
                first, rows = first + len(rows), []
        if rows:
            yield self._batch(rows, first, known)

    def with_owners(self, documents: pa.Table) -> pa.Table:
        """Return documents of the last batch with whose their files are, where that decides about permissions."""
        name = column_named(CONTENT_URI, documents.column_names)
        if name is None or not self.owners:
            return documents
        owners = [self.owners.get(uri) for uri in documents.column(name).to_pylist()]
        return documents.append_column(CONTENT_OWNERS, pa.array(owners, pa.string()))

    def _batch(self, files: list[FoundFile], first: int, known: _Texts | None) -> Batch:
        uris = [self._uri(file) for file in files]
        self.stamps = {uri: file.stamp for uri, file in zip(uris, files, strict=True) if file.stamp}
        self.owners = {
            uri: owners_text(file.owned) for uri, file in zip(uris, files, strict=True) if file.owned
        }
        names = [file.path.rpartition("/")[2] for file in files]
        columns = [
            [self.id_prefix + encoded(file.path) for file in files],
            uris,
            names,
            [extension_of(uri) for uri in uris],
            [file.size for file in files],
            [file.modified for file in files],
            [self.id_prefix + encoded(folder_of(file.path)) for file in files],
        ]
        table = pa.table(
            [pa.array(one, kind) for one, kind in zip(columns, _SCHEMA.types, strict=True)], _SCHEMA
        )
        if known is not None:
            table = table.append_column(
                PERMISSIONS, pa.array([known.of(file) for file in files], pa.string())
            )
        return Batch(table, self.root, first)

    def _uri(self, file: FoundFile) -> str:
        try:
            file.path.encode()
        except UnicodeEncodeError:
            shown = os.fsencode(file.path).decode("utf-8", "backslashreplace")
            raise DatasetError(
                f"{self.root}: the name of the file {shown} is not UTF-8, so no URI can tell it. Rename it, or "
                "leave it out with exclude"
            ) from None
        return f"{self.root.rstrip('/')}/{file.path}"


def folder_of(path: str) -> str:
    """Return the folder of a file below the root, which ends with ``/`` or is empty."""
    folder, slash, _ = path.rpartition("/")
    return folder + slash


def encoded(path: str) -> str:
    """Return a path with each of its names percent-encoded once."""
    return "/".join(quote(name, safe=_KEPT) for name in path.split("/"))


def prefix_of(root: str) -> str:
    """
    Return what the ids of a share's documents begin with: its URI, without the connection that reads it.

    :raises DatasetError: it is no URI of a folder
    """
    local = local_path(root)
    if local is not None:
        return f"file://{encoded(local.rstrip('/'))}/"
    scheme, place, path = parts_of(root)
    return f"{scheme}://{place.rpartition('@')[2]}{encoded(path.rstrip('/'))}/"


class _Texts:
    """Permissions as JSON, each made about once: a share has few of them, and many files."""

    def __init__(self, permissions: PosixPermissions | FolderPermissions, entries: set[str]) -> None:
        self._permissions = permissions
        self._entries = entries
        self._known: dict[tuple[str, tuple[Owned, ...]], str] = {}

    def of(self, file: FoundFile) -> str:
        if isinstance(self._permissions, FolderPermissions):
            self._permissions.refuse_entry(file.path)
        key = (folder_of(file.path), file.owned)
        if (text := self._known.get(key)) is None:
            if len(self._known) == _KNOWN:  # a share may have as many folders as files
                self._known.clear()
            if isinstance(self._permissions, FolderPermissions):
                self._entries.add(self._permissions.entry_of(file.path))
            made = self._permissions.of(file.path, file.owned)
            text = self._known[key] = json.dumps(made.to_json(), ensure_ascii=False)
        return text

"""
``_manifest.json``: what a dataset's folder has to hold, so that a half-written one is never loaded.

It is written twice: before the first part with ``"complete": false``, and after the last with everything.
"""

from __future__ import annotations

import builtins
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Literal, TypeAlias

import msgspec

from coveo_provider.documents.contract import MIB, Section
from coveo_provider.documents.dataset.files import Stored, is_file_name
from coveo_provider.errors import DatasetError

WatermarkKind: TypeAlias = Literal["timestamp", "timestamptz", "date", "int", "decimal", "text"]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]

MANIFEST = "_manifest.json"
HASHES = "_hashes"
"""The folder, below that of the dataset, with a file of hashes per part."""

VERSION = 1

DEFAULT_PART_BYTES = 100 * MIB
"""How large a part is when encoded, unless a user says it."""


class DatasetKind(str, Enum):
    """What the rows of a dataset are."""

    DOCUMENTS = "documents"
    DELETIONS = "deletions"
    PARTIAL_UPDATES = "partial_updates"
    MEMBERS = "members"
    MAPPINGS = "mappings"

    @property
    def section(self) -> Section:
        """The array of a container they go to."""
        return _SECTIONS[self]


_SECTIONS = {
    DatasetKind.DOCUMENTS: Section.ADD_OR_UPDATE,
    DatasetKind.DELETIONS: Section.DELETE,
    DatasetKind.PARTIAL_UPDATES: Section.PARTIAL_UPDATE,
    DatasetKind.MEMBERS: Section.MEMBERS,
    DatasetKind.MAPPINGS: Section.MAPPINGS,
}
ITEM_KINDS = (DatasetKind.DOCUMENTS, DatasetKind.DELETIONS, DatasetKind.PARTIAL_UPDATES)
"""What is sent to a source; the others belong to a security provider."""


@dataclass(frozen=True)
class PartEntry:
    """
    One part of a dataset.

    :param name: its file's name in the dataset's folder
    :param rows: how many it has
    :param bytes: size of the file
    :param sha256: of the file, in hex
    :param encoded_bytes: size of its rows as JSON, commas included
    """

    name: str
    rows: Count
    bytes: Count
    sha256: str
    encoded_bytes: Count

    def check(self, stored: Stored, where: str) -> None:
        """
        Check a file against the entry.

        :param where: the file, for the error
        :raises DatasetError: it is not the one that was written
        """
        if stored.size != self.bytes:
            raise DatasetError(
                f"{where}: has {stored.size:,} bytes, expected {self.bytes:,} as its dataset's {MANIFEST} says: it "
                "was cut off or replaced. Write the dataset again"
            )
        if stored.sha256 != self.sha256:
            raise DatasetError(
                f"{where}: is not the file that its dataset's {MANIFEST} tells of (another SHA-256): it was "
                "damaged or replaced. Write the dataset again"
            )


@dataclass(frozen=True)
class WatermarkEntry:
    """
    How far the table had been read that a dataset was made of.

    :param column: whose greatest value it is
    :param kind: of the value: ``timestamp``, ``timestamptz``, ``date``, ``int``, ``decimal`` or ``text``
    :param value: in ISO 8601, or as digits
    :param query: fingerprint of the query
    :param columns: of the query, each with its type behind a line end where the database tells one; none when
        unknown
    """

    column: str
    kind: WatermarkKind
    value: str
    query: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Manifest:
    """
    What a dataset's folder has to hold.

    :param kind: what its rows are
    :param complete: whether all of it was written
    :param mapping: fingerprint of the mapping and function that made it, empty when nothing did
    :param sha256: over the hashes of all rows in order, in hex: the same however the rows are cut into parts
    :param parts: in order
    :param api: the API for which its items were found small enough, ``push`` or ``stream``; empty when unknown
    :param types: of the columns of its CSV files that have any value, as pandas names them
    :param declared: names of those columns whose type the user gave
    :param watermark: how far its table had been read, where the next run is to read only what changed
    :param content_roots: URIs of the folders below which the files must lie that its rows name as their content
    :param content_links: whether links below these folders may be followed to such a file
    """

    kind: DatasetKind
    complete: bool = False
    mapping: str = ""
    sha256: str = ""
    parts: tuple[PartEntry, ...] = ()
    api: str = ""
    types: Mapping[str, str] = field(default_factory=dict)
    declared: tuple[str, ...] = ()
    watermark: WatermarkEntry | None = None
    content_roots: tuple[str, ...] = ()
    content_links: bool = True

    @property
    def rows(self) -> int:
        """Rows of all parts."""
        return sum(part.rows for part in self.parts)

    @property
    def bytes(self) -> int:
        """Size of all parts' files."""
        return sum(part.bytes for part in self.parts)

    @property
    def encoded_bytes(self) -> int:
        """Size of all rows as JSON."""
        return sum(part.encoded_bytes for part in self.parts)

    def as_json(self) -> builtins.bytes:
        """Return the text of the file."""
        file = _File(
            version=VERSION,
            complete=self.complete,
            kind=self.kind,
            rows=self.rows,
            bytes=self.bytes,
            encoded_bytes=self.encoded_bytes,
            sha256=self.sha256,
            mapping=self.mapping,
            api=self.api,
            parts=self.parts,
            types=self.types,
            declared=self.declared,
            watermark=self.watermark,
            content_roots=self.content_roots,
            content_links=self.content_links,
        )
        return msgspec.json.format(msgspec.json.encode(file), indent=1)

    def check_files(self, sizes: Mapping[str, int], where: str) -> None:
        """
        Check a folder's files against the manifest.

        :param sizes: the Parquet files in the folder, each with its size in bytes
        :param where: the folder, for errors
        :raises DatasetError: the dataset is half-written, or files are missing, additional or of another size
        """
        if not self.complete:
            raise DatasetError(
                f"{where}: the dataset is half-written: the task that writes it has not finished, or failed. Let "
                "it run to its end first"
            )
        expected = {part.name: part.bytes for part in self.parts}
        problems = [
            *_named("missing", [name for name in expected if name not in sizes]),
            *_named("not part of it", sorted(name for name in sizes if name not in expected)),
            *_named(
                "of another size than written",
                [f"{n} ({sizes[n]:,} for {b:,} bytes)" for n, b in expected.items() if sizes.get(n, b) != b],
            ),
        ]
        if problems:
            raise DatasetError(
                f"{where}: the dataset is not as its {MANIFEST} says: {'; '.join(problems)}. Write it again"
            )


class _Version(msgspec.Struct):
    version: Count


class _File(msgspec.Struct):
    """The file as it is written; a reader passes over keys that it does not know."""

    version: Count
    complete: bool
    kind: DatasetKind
    rows: Count
    bytes: Count
    encoded_bytes: Count
    sha256: str
    mapping: str
    parts: tuple[PartEntry, ...]
    api: str = ""
    types: Mapping[str, str] = {}
    declared: tuple[str, ...] = ()
    watermark: WatermarkEntry | None = None
    content_roots: tuple[str, ...] = ()
    content_links: bool = True


def read_manifest(text: bytes, where: str) -> Manifest:
    """
    Return the manifest in a file's text.

    :param where: the file, for the error
    :raises DatasetError: it is none, or one of a later version
    """
    try:
        version = msgspec.json.decode(text, type=_Version).version
        if version != VERSION:
            raise DatasetError(
                f"{where}: is a manifest of version {version}, expected {VERSION}: it was written by another "
                "version of airflow-provider-coveo. Write the dataset again"
            )
        file = msgspec.json.decode(text, type=_File)
        manifest = Manifest(
            kind=file.kind,
            complete=file.complete,
            mapping=file.mapping,
            sha256=file.sha256,
            parts=file.parts,
            api=file.api,
            types=file.types,
            declared=file.declared,
            watermark=file.watermark,
            content_roots=file.content_roots,
            content_links=file.content_links,
        )
        _check(file, manifest)
    except DatasetError:
        raise
    except (ValueError, RecursionError) as error:  # msgspec's errors and those of UTF-8 are among them
        raise DatasetError(
            f"{where}: is not the manifest of a dataset: {error}. Write the dataset again"
        ) from None
    return manifest


def _check(file: _File, manifest: Manifest) -> None:
    for total in ("rows", "bytes", "encoded_bytes"):
        if getattr(file, total) != getattr(manifest, total):
            raise ValueError(f"{total} is not the sum of the parts'")
    names = [part.name for part in manifest.parts]
    for name in names:
        if not is_file_name(name):
            raise ValueError(f"{name!r} is no name of a part")
    if len(set(names)) != len(names):
        raise ValueError("a part stands twice")


def _named(problem: str, names: list[str]) -> list[str]:
    if not names:
        return []
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return [f"{problem}: {', '.join(names[:3])}{more}"]

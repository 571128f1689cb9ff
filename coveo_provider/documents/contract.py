"""
What a document may hold: the API's reserved keys, its limits, and the shape of an id.

Keys are from docs 78 and 162, limits from docs 63; where pages disagree, docs/api-notes.md says what is assumed.
Imports nothing heavy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum

DOCUMENT_ID = "documentId"
DATA = "data"
BINARY_DATA = "compressedBinaryData"
FILE_ID = "compressedBinaryDataFileId"
COMPRESSION_TYPE = "compressionType"
FILE_EXTENSION = "fileExtension"
ORDERING_ID = "orderingId"
PARENT_ID = "parentId"
PERMISSIONS = "permissions"


class Section(str, Enum):
    """
    The arrays a container may hold: the first four those of a source, the others those of a security provider.

    In the order they are written. ``addOrMerge`` comes from third-party code, as no official page describes that
    body (docs/api-notes.md, "Merges").
    """

    ADD_OR_UPDATE = "addOrUpdate"
    ADD_OR_MERGE = "addOrMerge"
    PARTIAL_UPDATE = "partialUpdate"
    DELETE = "delete"
    MEMBERS = "members"
    MAPPINGS = "mappings"
    DELETED = "deleted"


RESERVED_KEYS = {
    key.lower(): key
    for key in (
        DOCUMENT_ID,
        DATA,
        BINARY_DATA,
        FILE_ID,
        COMPRESSION_TYPE,
        FILE_EXTENSION,
        ORDERING_ID,
        PARENT_ID,
        PERMISSIONS,
    )
}
"""The API's own keys (docs 162), by their lower-case spelling: keys are accepted in any case."""

CONTENT_URI = "contentUri"
"""Our own key, never sent: the URI of a file that the loader reads and sends as the document's content."""

CONTENT_OWNERS = "contentUriOwners"
"""Our own key, never sent: whose this file and the folders above it were when a list of files found it."""

DOCUMENT_KEYS = {**RESERVED_KEYS, CONTENT_URI.lower(): CONTENT_URI, CONTENT_OWNERS.lower(): CONTENT_OWNERS}
"""What is no metadata in a documents dataset, by lower-case spelling."""

DELETE_CHILDREN = "deleteChildren"
DELETION_KEYS = {key.lower(): key for key in (DOCUMENT_ID, DELETE_CHILDREN)}
"""What an item to delete is named by (docs 78), by lower-case spelling."""

BODY_KEYS = (DATA, BINARY_DATA, FILE_ID)
"""Of these, and :data:`CONTENT_URI`, a document has one at most."""


class Compression(str, Enum):
    """How the bytes of a content are compressed (docs 69)."""

    UNCOMPRESSED = "UNCOMPRESSED"
    ZLIB = "ZLIB"
    GZIP = "GZIP"
    LZMA = "LZMA"
    DEFLATE = "DEFLATE"


COMPRESSION_TYPES = tuple(one.value for one in Compression)

DEFAULT_COMPRESSION = Compression.ZLIB.value
"""The service's own default, too (docs 69)."""

_NOT_IN_A_URI = (
    r"\x00-\x20\x7f\\<>\x22"
    + "\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"  # blanks of Unicode
)
URI_PATTERN = rf"^[A-Za-z][A-Za-z0-9+.\-]*:[^{_NOT_IN_A_URI}]+$"
"""
A scheme and something after it, without blanks, quotes, angle brackets and backslashes.

Spelled out so that Python's engine, polars' and Arrow's agree; in Python use ``fullmatch``, as ``$`` lets a
line end pass.

An id that is no URI is accepted over HTTP and may never be indexed (docs 78).
"""

URI_EXPECTED = (
    "a URI such as product://123 or https://example.com/a%20b, without spaces, quotes or backslashes"
)

FILE_EXTENSION_PATTERN = r"^\.[^\s/\\]+$"

MIB = 1024 * 1024

MAX_CHUNK_BYTES = 256 * MIB
"""The most a file container takes. The pages say 256 MB (docs 63); every known client reads that as MiB."""

DEFAULT_CHUNK_BYTES = 250 * MIB
"""Our default: a little below the limit, as no page states its unit (docs/api-notes.md, "Limits")."""

STREAM_ITEM_BYTES = 3_000_000
"""The most one item of a stream source takes: 3 MB (docs l62e0540), read the harsher way."""

PUSH_ITEM_BYTES = 5 * MIB - 1
"""
The most one item of a Push source takes inline: under 5 MiB, read the harsher way (docs/api-notes.md, "Limits").
Larger content goes through a container of its own (docs 69).
"""


class Api(str, Enum):
    """The API that items are sent through. It says how large one may be."""

    PUSH = "push"
    STREAM = "stream"

    @property
    def item_bytes(self) -> int:
        """The most one item may take, in bytes."""
        return STREAM_ITEM_BYTES if self is Api.STREAM else PUSH_ITEM_BYTES


def column_named(key: str, names: Iterable[str]) -> str | None:
    """Return the name of a key's column, in whatever case it is written; ``None`` when there is none."""
    return next((name for name in names if name.lower() == key.lower()), None)


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: ``1 part``, ``1,200 parts``, ``2 identities``."""
    if count != 1:
        noun = f"{noun[:-1]}ies" if noun.endswith("ty") or noun.endswith("ry") else f"{noun}s"
    return f"{count:,} {noun}"


_SHOWN = 200  # characters of an id that an error repeats


def shown(identifier: object) -> str:
    """Return an id as errors name it: as it is, or quoted when it is no URI, and cut when it is long."""
    text = str(identifier)
    short = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    return short if re.fullmatch(URI_PATTERN, short) and short.isprintable() else repr(short)

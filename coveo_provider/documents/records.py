"""What one step of the encoding hands to the next: columns, encoded rows, and the files that rows name."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PLACEHOLDER_BYTES = 64
"""Bytes of JSON that stand for the id of a container until it is known, quotes included."""


class Kind(Enum):
    """How the values of a column are turned into JSON."""

    PLAIN = auto()  # strings, booleans, integers, and nests of them: as they are
    FLOAT = auto()  # NaN means absent; infinity is refused
    FLOATS = auto()  # a list of the above
    LIST = auto()  # a list of strings, booleans or integers
    MOMENT = auto()  # timestamp or date: ISO 8601 UTC with Z
    DECIMAL = auto()  # a number, with every digit it has
    JSON_TEXT = auto()  # a string that holds JSON, sent as the JSON it holds
    PERMISSIONS = auto()  # typed lists of permission sets or levels
    BINARY = auto()  # bytes, sent as Base64
    CONTENT = auto()  # URIs of files; never sent: a placeholder stands in the JSON until they are read
    VALUES = auto()  # everything else the contract allows: value by value, slower
    ABSENT = auto()  # a column of type null: nothing to send


@dataclass(frozen=True)
class Column:
    """
    One column of a dataset.

    :param name: its name in the dataset
    :param key: its name in the JSON: reserved keys in the API's spelling
    """

    name: str
    key: str
    kind: Kind


def new_token() -> str:
    """Return a text that stands nowhere else, and fills the placeholder."""
    return secrets.token_hex((PLACEHOLDER_BYTES - 2) // 2)


@dataclass(frozen=True)
class ContentFile:
    """
    A file that a document names as its content.

    :param document_id: the document, as errors name it
    :param uri: where the file lies; may hold a password or a signature
    :param compression: how its content is to be sent
    :param roots: the folders below which it must lie; none allows every place
    :param links: whether links below these may be followed to it
    :param owners: whose it was when it was listed, as ``owners_text`` of ``permissions/posix.py`` has it; empty
        where that decides about nothing
    :param token: what stands for it in the document's JSON
    """

    document_id: str
    uri: str = field(repr=False)
    compression: str
    roots: tuple[str, ...] = field(default=(), repr=False)
    links: bool = True
    owners: str = field(default="", repr=False)
    token: str = field(default_factory=new_token, repr=False)


@dataclass(frozen=True)
class Attachment:
    """
    A content that goes through a file container of its own.

    :param document_id: whose content it is, as errors name it
    :param path: its compressed bytes
    :param size: how many these are
    :param offset: where the JSON has the placeholder for the container's id
    """

    document_id: str
    path: Path
    size: int
    offset: int


@dataclass(frozen=True)
class Encoded:
    """
    The JSON of a batch: one object a row, a comma after each.

    :param data: all objects, one after the other
    :param ends: int64[n]: where in ``data`` each object's comma ends
    :param id_hashes: uint64[n]: a hash of each ``documentId``, to find duplicates by
    :param field_hashes: uint64[n]: of partial updates, a hash of the item and field that each changes
    :param files: the files that rows name as their content, by row: placeholders stand for them until
        ``fill`` of ``contents/filling.py`` reads them
    :param attachments: contents read, too large to stand in ``data``
    """

    data: memoryview
    ends: npt.NDArray[np.int64]
    id_hashes: npt.NDArray[np.uint64]
    field_hashes: npt.NDArray[np.uint64] | None = None
    files: Mapping[int, ContentFile] = field(default_factory=dict)
    attachments: Sequence[Attachment] = ()


@dataclass(frozen=True)
class Measured:
    """
    What a batch would be as JSON, without the JSON.

    :param ends: int64[n]: where in the JSON each object's comma would end
    :param id_hashes: as :class:`Encoded` has them
    :param canonical: the canonical form of all objects, one after the other
    :param canonical_ends: int64[n]: where in it each object ends
    :param field_hashes: as :class:`Encoded` has them
    :param files: as :class:`Encoded` has them
    """

    ends: npt.NDArray[np.int64]
    id_hashes: npt.NDArray[np.uint64]
    canonical: memoryview
    canonical_ends: npt.NDArray[np.int64]
    field_hashes: npt.NDArray[np.uint64] | None = None
    files: Mapping[int, ContentFile] = field(default_factory=dict)

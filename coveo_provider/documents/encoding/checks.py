"""What ids and other texts of the API's own keys have to look like, for single documents and for whole columns."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from coveo_provider.documents.contract import (
    COMPRESSION_TYPE,
    COMPRESSION_TYPES,
    DOCUMENT_ID,
    FILE_EXTENSION,
    FILE_EXTENSION_PATTERN,
    PARENT_ID,
    URI_EXPECTED,
    URI_PATTERN,
    shown,
)
from coveo_provider.errors import DocumentError

ID_MISSING = f"{DOCUMENT_ID} is missing: expected {URI_EXPECTED}"
ID_IS_NO_URI = f"{DOCUMENT_ID} is not {URI_EXPECTED}"

TEXT_RULES = (
    (FILE_EXTENSION, FILE_EXTENSION_PATTERN, f"{FILE_EXTENSION} needs a leading dot, such as .html"),
    (
        COMPRESSION_TYPE,
        rf"^(?:{'|'.join(COMPRESSION_TYPES)})$",
        f"{COMPRESSION_TYPE} is not one of {', '.join(COMPRESSION_TYPES)}",
    ),
    (PARENT_ID, URI_PATTERN, f"{PARENT_ID} is not {URI_EXPECTED}"),
)
"""A key, the pattern of its text (``compressionType`` in upper case), and what to say of one that is none."""


def is_uri(value: object) -> bool:
    """Return whether a value is a URI, as ids have to be."""
    return isinstance(value, str) and re.fullmatch(URI_PATTERN, value) is not None


def checked_id(identifier: object, place: str) -> str:
    """
    Return an id as errors name it.

    :param place: how to find what it is of when the id itself is at fault
    :raises DocumentError: it is missing, or no URI
    """
    if identifier is None or (isinstance(identifier, str) and not identifier.strip()):
        raise DocumentError(place, ID_MISSING)
    if not is_uri(identifier):
        raise DocumentError(shown(identifier), ID_IS_NO_URI)
    return shown(identifier)


def values_by_key(row: Mapping[Any, Any], keys: Mapping[str, str], what: str) -> dict[str, Any]:
    """
    Return the values of a row that may have certain keys only, by these.

    :param keys: by their lower-case spelling
    :param what: what a row is, for the error
    :raises ValueError: a key has no place there, or stands twice
    """
    values: dict[str, Any] = {}
    for name, value in row.items():
        key = keys.get(str(name).lower())
        if key is None or key in values:
            raise ValueError(
                f"key {name!r} has no place in {what}: expected {', '.join(keys.values())}, each once"
            )
        values[key] = value
    return values


@contextmanager
def placed(ids: pa.Array, first_row: int, where: str) -> Iterator[None]:
    """
    Add to the error of a document which row of which file it is.

    :param ids: those of a batch
    :param first_row: the number of its first row
    :param where: the file
    """
    try:
        yield
    except DocumentError as error:
        rows = (row for row, one in enumerate(ids) if shown(one.as_py()) == error.document_id)
        if not error.where and (row := next(rows, None)) is not None:
            error.where = f"row {first_row + row:,} of {where}"
        raise

"""
Where a document names a file as its content: a placeholder takes the name's place, until the file is read.

The placeholder is a text as ``compressedBinaryDataFileId``, so that the JSON of a document has its final form
before a file is opened; ``compressionType`` and ``fileExtension`` are filled in where they are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import pyarrow as pa

from coveo_provider.documents.contents.files import extension_of
from coveo_provider.documents.contract import (
    BODY_KEYS,
    COMPRESSION_TYPE,
    CONTENT_URI,
    DEFAULT_COMPRESSION,
    DOCUMENT_ID,
    DOCUMENT_KEYS,
    FILE_EXTENSION,
    FILE_ID,
    shown,
)
from coveo_provider.documents.records import Column, ContentFile, Kind
from coveo_provider.documents.values.json_values import is_absent
from coveo_provider.errors import DatasetError, DocumentError

_FILLED = (FILE_ID, COMPRESSION_TYPE, FILE_EXTENSION)


def sent_columns(columns: Sequence[Column]) -> list[Column]:
    """Return the columns of a dataset that names files, as they are once placeholders stand in it."""
    kept = [column for column in columns if column.key not in (CONTENT_URI, *_FILLED)]
    return kept + [Column(key, key, Kind.PLAIN) for key in _FILLED]


def with_placeholders(
    batch: pa.RecordBatch, columns: Sequence[Column], *, where: str, first_row: int
) -> tuple[pa.RecordBatch, dict[int, ContentFile]]:
    """
    Return a batch whose columns are :func:`sent_columns`, and the files that its rows name, by row.

    :param columns: of the batch as it is
    :param where: the part's name, for errors
    :param first_row: the number of its first row in the part, for errors
    :raises DocumentError: a row names a file and has a body as well, or its URI is empty
    """
    names = {column.key: column.name for column in columns}
    uris = _texts(batch, names[CONTENT_URI], where)
    filled: dict[str, list[str | None]] = {
        key: _texts(batch, names[key], where) if key in names else [None] * len(batch) for key in _FILLED
    }
    ids = batch.column(names[DOCUMENT_ID])
    bodies = [(key, batch.column(names[key])) for key in BODY_KEYS if key in names]
    files = {}
    for row, uri in enumerate(uris):
        if uri is None:
            continue
        known = ids[row].as_py()
        name = shown(known) if known else f"in row {first_row + row:,} of {where}"
        files[row] = file = _file(name, uri, filled[COMPRESSION_TYPE][row])
        _refuse_two_bodies(name, next((key for key, array in bodies if array[row].is_valid), None))
        filled[FILE_ID][row] = file.token
        filled[COMPRESSION_TYPE][row] = file.compression
        if filled[FILE_EXTENSION][row] is None:
            filled[FILE_EXTENSION][row] = extension_of(uri)
    kept = [column for column in columns if column.key not in (CONTENT_URI, *_FILLED)]
    arrays = {column.name: batch.column(column.name) for column in kept}
    # Through polars, as pa.array would load pandas.
    arrays |= {key: pl.Series(texts, dtype=pl.String).to_arrow() for key, texts in filled.items()}
    return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays)), files


def document_with_placeholder(
    document: Mapping[str, Any], place: str = "without an id"
) -> tuple[Mapping[str, Any], ContentFile | None]:
    """
    Return a document given as a mapping with a placeholder for the file it names, and that file.

    :param place: how to find it when it has no id
    :raises DocumentError: it names a file and has a body as well, or its URI is empty or no text
    """
    if not isinstance(document, Mapping):
        raise DocumentError(place, f"is {type(document).__name__}, expected a mapping of keys to values")
    keys = {DOCUMENT_KEYS.get(str(name).lower(), name): name for name in document}
    if CONTENT_URI not in keys:
        return document, None

    def value_of(key: str) -> Any:
        value = document[keys[key]] if key in keys else None
        return None if is_absent(value) else value

    given = {name: value for name, value in document.items() if name != keys[CONTENT_URI]}
    uri = value_of(CONTENT_URI)
    if uri is None:
        return given, None

    name = shown(value_of(DOCUMENT_ID)) if value_of(DOCUMENT_ID) else place
    if not isinstance(uri, str):
        raise DocumentError(name, f"{CONTENT_URI} is {type(uri).__name__}, expected the URI of a file")
    file = _file(name, uri, value_of(COMPRESSION_TYPE))
    _refuse_two_bodies(name, next((key for key in BODY_KEYS if value_of(key) is not None), None))
    for key, value in (
        (FILE_ID, file.token),
        (COMPRESSION_TYPE, file.compression),
        (FILE_EXTENSION, value_of(FILE_EXTENSION) or extension_of(uri)),
    ):
        given.pop(keys.get(key, key), None)
        given[key] = value
    return given, file


def _file(name: str, uri: str, compression: Any) -> ContentFile:
    if not uri.strip():
        raise DocumentError(
            name, f"{CONTENT_URI} is empty: expected the URI of a file, or null for a document without one"
        )
    # One that is none of those known is refused by what encodes the document.
    return ContentFile(name, uri, DEFAULT_COMPRESSION if compression is None else str(compression).upper())


def _refuse_two_bodies(name: str, other: str | None) -> None:
    if other is not None:
        raise DocumentError(name, f"has {CONTENT_URI} and {other}: expected one body property at most")


def _texts(batch: pa.RecordBatch, column: str, where: str) -> list[str | None]:
    try:
        array = batch.column(column)
        array.validate(full=True)  # a Parquet file may claim to hold UTF-8 and not do so
        texts: list[str | None] = array.to_pylist()
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise DatasetError(f"{where}: column {column!r} cannot be read: {error}") from None
    return texts

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
    CONTENT_OWNERS,
    CONTENT_URI,
    DEFAULT_COMPRESSION,
    DOCUMENT_ID,
    DOCUMENT_KEYS,
    FILE_EXTENSION,
    FILE_ID,
    column_named,
    shown,
)
from coveo_provider.documents.records import Column, ContentFile, Kind
from coveo_provider.documents.values.json_values import is_absent
from coveo_provider.errors import DatasetError, DocumentError

_FILLED = (FILE_ID, COMPRESSION_TYPE, FILE_EXTENSION)
_REPLACED = frozenset({CONTENT_URI, *_FILLED})


def sent_columns(columns: Sequence[Column]) -> list[Column]:
    """Return the columns of a dataset that names files, as they are once placeholders stand in it."""
    kept = [column for column in columns if column.key not in _REPLACED]
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
    filled: dict[str, list[str | None]] = {
        key: _texts(batch, names[key], where) if key in names else [None] * len(batch) for key in _FILLED
    }
    ids = batch.column(names[DOCUMENT_ID])
    bodies = [(key, batch.column(names[key])) for key in BODY_KEYS if key in names]
    owned_by = column_named(CONTENT_OWNERS, batch.schema.names)
    owners = None if owned_by is None else _texts(batch, owned_by, where)
    files = {}
    for row, uri in enumerate(_texts(batch, names[CONTENT_URI], where)):
        if uri is None:
            continue
        identifier = ids[row].as_py()
        name = shown(identifier) if identifier else f"in row {first_row + row:,} of {where}"
        values = {key: texts[row] for key, texts in filled.items()}
        values[CONTENT_OWNERS] = None if owners is None else owners[row]
        files[row], placeholder = _placeholder(
            name, uri, {**values, **{key: True for key, array in bodies if array[row].is_valid}}
        )
        for key, value in placeholder.items():
            filled[key][row] = value
    arrays = {column.name: batch.column(column.name) for column in columns if column.key not in _REPLACED}
    # Through polars, as pa.array would load pandas.
    arrays |= {key: pl.Series(texts, dtype=pl.String).to_arrow() for key, texts in filled.items()}
    return pa.RecordBatch.from_arrays(list(arrays.values()), names=list(arrays)), files


def document_with_placeholder(
    document: Mapping[str, Any], place: str = "without an id"
) -> tuple[Mapping[str, Any], ContentFile | None]:
    """
    Return a document that is a mapping with a placeholder for the file it names, and that file.

    :param place: how to find it when it has no id
    :raises DocumentError: it names a file and has a body as well, or its URI is empty or no text
    """
    if not isinstance(document, Mapping):
        raise DocumentError(place, f"is {type(document).__name__}, expected a mapping of keys to values")
    names = {DOCUMENT_KEYS.get(str(name).lower(), name): name for name in document}
    if CONTENT_URI not in names:
        return document, None
    values = {key: None if is_absent(document[name]) else document[name] for key, name in names.items()}
    uri = values[CONTENT_URI]
    own = {names[key] for key in (CONTENT_URI, CONTENT_OWNERS) if key in names}
    without_uri = {name: value for name, value in document.items() if name not in own}
    if uri is None:
        return without_uri, None
    name = shown(values[DOCUMENT_ID]) if values.get(DOCUMENT_ID) else place
    if not isinstance(uri, str):
        raise DocumentError(name, f"{CONTENT_URI} is {type(uri).__name__}, expected the URI of a file")
    file, placeholder = _placeholder(name, uri, values)
    kept = {name: value for name, value in without_uri.items() if name not in map(names.get, placeholder)}
    return {**kept, **placeholder}, file


def _placeholder(name: str, uri: str, values: Mapping[str, Any]) -> tuple[ContentFile, dict[str, Any]]:
    """
    Return the file that a document names, and what the document has in its place until it is read.

    :param name: the document, for errors
    :param values: what it has, by key; ``None`` is absent
    """
    if not uri.strip():
        raise DocumentError(
            name, f"{CONTENT_URI} is empty: expected the URI of a file, or null for a document without one"
        )
    for key in BODY_KEYS:
        if values.get(key) is not None:
            raise DocumentError(name, f"has {CONTENT_URI} and {key}: expected one body property at most")
    compression, extension = values.get(COMPRESSION_TYPE), values.get(FILE_EXTENSION)
    # A compression that is none of those known is refused by what encodes the document.
    kind = DEFAULT_COMPRESSION if compression is None else str(compression).upper()
    file = ContentFile(name, uri, kind, owners=str(values.get(CONTENT_OWNERS) or ""))
    return file, {
        FILE_ID: file.token,
        COMPRESSION_TYPE: file.compression,
        FILE_EXTENSION: extension_of(uri) if extension is None else extension,
    }


def _texts(batch: pa.RecordBatch, column: str, where: str) -> list[str | None]:
    try:
        array = batch.column(column)
        array.validate(full=True)  # a Parquet file may claim to hold UTF-8 and not do so
        texts: list[str | None] = array.to_pylist()
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise DatasetError(f"{where}: column {column!r} cannot be read: {error}") from None
    return texts

"""A batch of partial updates → the JSON of its entries; and which encoder a section takes."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Protocol

import numpy as np
import polars as pl
import pyarrow as pa

from coveo_provider.documents.contract import URI_EXPECTED, URI_PATTERN, Section, shown
from coveo_provider.documents.encoding.batches import Encoder
from coveo_provider.documents.encoding.partial_updates import (
    encode_partial_update,
    entry_of,
    plan_partial_updates,
    value_texts,
)
from coveo_provider.documents.records import Encoded
from coveo_provider.errors import DocumentError, DocumentTooLarge

_URI = re.compile(URI_PATTERN)


class BatchEncoder(Protocol):
    """What turns the batches of one part into JSON."""

    def encode(self, batch: pa.RecordBatch, first_row: int = 0) -> Encoded:
        """Return the JSON of a batch; ``first_row`` is the number of its first row in the part."""


def encoder_for(section: Section, schema: pa.Schema, *, where: str, item_limit: int) -> BatchEncoder:
    """
    Return the encoder of a part's rows, for the array of a container they go to.

    :param where: the part's name, for errors
    :param item_limit: the most one of them may take, in bytes
    :raises DatasetError: a column is missing, doubled, or of a type the API does not take
    """
    if section is Section.PARTIAL_UPDATE:
        return PartialUpdateEncoder(schema, where=where, item_limit=item_limit)
    return Encoder(schema, where=where, item_limit=item_limit, deletions=section is Section.DELETE)


class PartialUpdateEncoder:
    """
    Encodes the batches of one part of partial updates.

    :param schema: the part's schema, checked here
    :param where: the part's name, for errors
    :param item_limit: the most one entry may take, in bytes
    :raises DatasetError: a column is missing, doubled, or of a type the API does not take
    """

    def __init__(self, schema: pa.Schema, *, where: str, item_limit: int) -> None:
        self._columns = {column.key: column for column in plan_partial_updates(schema, where)}
        self._where = where
        self._item_limit = item_limit

    def encode(self, batch: pa.RecordBatch, first_row: int = 0) -> Encoded:
        """
        Return the JSON of a batch.

        :param first_row: the number of its first row in the part, for errors
        :raises DocumentError: names the first entry at fault
        """
        arrays = {key: batch.column(column.name) for key, column in self._columns.items()}
        try:
            for array in arrays.values():
                array.validate(full=True)  # a Parquet file may claim to hold UTF-8 and not do so
            ids, operators, fields = (arrays[key].to_pylist() for key in ("documentId", "operator", "field"))
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise DocumentError(f"in {self._where}", f"cannot be read: {error}") from None
        values = value_texts(arrays["value"], self._columns["value"].kind)
        entries = []
        for row, (identifier, operator, field) in enumerate(zip(ids, operators, fields, strict=True)):
            name = checked_id(identifier, f"in row {first_row + row:,} of {self._where}")
            try:
                entries.append((identifier, *entry_of(operator, field, next(values))))
            except (ValueError, TypeError, ArithmeticError) as error:
                raise DocumentError(name, str(error)) from None
        return encoded_entries(entries, self._item_limit)


def checked_id(identifier: object, place: str) -> str:
    """
    Return an id as errors name it.

    :param place: how to find the entry when the id itself is at fault
    :raises DocumentError: it is missing, or no URI
    """
    if identifier is None or (isinstance(identifier, str) and not identifier.strip()):
        raise DocumentError(place, f"documentId is missing: expected {URI_EXPECTED}")
    if not isinstance(identifier, str) or not _URI.fullmatch(identifier):
        raise DocumentError(shown(identifier), f"documentId is not {URI_EXPECTED}")
    return shown(identifier)


def encoded_entries(entries: Iterable[tuple[str, str, str, bytes]], item_limit: int) -> Encoded:
    """
    Return checked entries (id, operator, field, value as JSON) as one run of JSON.

    :raises DocumentTooLarge: one is over the limit
    """
    ids, pairs, texts = [], [], []
    for identifier, operator, field, value in entries:
        text = encode_partial_update(identifier, operator, field, value)
        if len(text) > item_limit:
            raise DocumentTooLarge(shown(identifier), len(text), item_limit)
        ids.append(identifier)
        pairs.append(pair_of(identifier, field))
        texts.append(text + b",")
    return Encoded(
        memoryview(b"".join(texts)),
        np.cumsum([len(text) for text in texts], dtype=np.int64),
        pl.Series(ids, dtype=pl.String).hash().to_numpy(),
        pl.Series(pairs, dtype=pl.String).hash().to_numpy(),
    )


def pair_of(identifier: str, field: str) -> str:
    """Return what is the same for two entries that change the same field of the same item."""
    return f"{field.lower()}\n{identifier}"

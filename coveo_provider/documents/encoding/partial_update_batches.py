"""A batch of partial updates → the JSON of its entries."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from itertools import pairwise

import numpy as np
import pyarrow as pa

from coveo_provider.documents.contract import DOCUMENT_ID, shown
from coveo_provider.documents.encoding.canonical import canonical_object
from coveo_provider.documents.encoding.checks import checked_id, placed
from coveo_provider.documents.encoding.one_by_one import joined_rows
from coveo_provider.documents.encoding.partial_updates import (
    encode_partial_update,
    entry_of,
    plan_partial_updates,
    value_texts,
)
from coveo_provider.documents.records import Encoded, Measured
from coveo_provider.documents.values.faults import FAULTS, data_errors, first_fault, problem_of
from coveo_provider.errors import DocumentError, DocumentTooLarge


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
        :raises DataError: names the first entry at fault, or the rows
        """
        ids = batch.column(self._columns[DOCUMENT_ID].name)
        with (
            placed(ids, first_row, self._where),
            data_errors(f"rows {first_row:,} to {first_row + len(batch) - 1:,} of {self._where}"),
        ):
            return self._encode(batch, first_row)

    def measure(self, batch: pa.RecordBatch, first_row: int = 0) -> Measured:
        """Check a batch as :meth:`encode` does, and return its sizes and canonical form instead of its JSON."""
        encoded = self.encode(batch, first_row)
        bounds = [0, *encoded.ends.tolist()]
        forms = [canonical_object(bytes(encoded.data[start : end - 1])) for start, end in pairwise(bounds)]
        return Measured(
            encoded.ends,
            encoded.id_hashes,
            memoryview(b"".join(forms)),
            np.cumsum([len(form) for form in forms], dtype=np.int64),
            encoded.field_hashes,
        )

    def _encode(self, batch: pa.RecordBatch, first_row: int) -> Encoded:
        arrays = {key: batch.column(column.name) for key, column in self._columns.items()}
        for array in arrays.values():
            array.validate(full=True)  # a Parquet file may claim to hold UTF-8 and not do so
        ids, operators, fields = (arrays[key].to_pylist() for key in ("documentId", "operator", "field"))
        values = self._values(arrays["value"], ids)
        entries = []
        rows = zip(ids, operators, fields, values, strict=True)
        for row, (identifier, operator, field, value) in enumerate(rows):
            name = checked_id(identifier, f"in row {first_row + row:,} of {self._where}")
            try:
                entries.append((identifier, *entry_of(operator, field, value)))
            except (ValueError, TypeError, ArithmeticError) as error:
                raise DocumentError(name, str(error)) from None
        return encoded_entries(entries, self._item_limit)

    def _values(self, array: pa.Array, ids: list[str]) -> list[str | None]:
        convert = partial(value_texts, kind=self._columns["value"].kind)
        try:
            return convert(array)
        except FAULTS as error:
            row, reason = first_fault(array, convert, error)
            raise DocumentError(shown(ids[row]), f"value {problem_of(reason)}") from None


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
        texts.append(text)
    return joined_rows(texts, ids, pairs=pairs)


def pair_of(identifier: str, field: str) -> str:
    """Return what is the same for two entries that change the same field of the same item."""
    return f"{field.lower()}\n{identifier}"

"""Rows that a column marks as deleted, and the ids of rows whose documents are of no interest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from coveo_provider.documents.contract import DOCUMENT_ID, column_named
from coveo_provider.documents.extracts.queries import chosen, column_of, without_column
from coveo_provider.documents.extracts.readers import Batch
from coveo_provider.documents.extracts.transformation import rows_of
from coveo_provider.documents.mapping.document_mapping import DocumentMapping
from coveo_provider.errors import DatasetError

if TYPE_CHECKING:
    from coveo_provider.documents.extracts.transformation import Transform


def parted(batch: Batch, column: str, first_row: int) -> tuple[Batch, Batch]:
    """
    Return the rows of a batch that are not marked as deleted, without the mark, and those that are.

    :param column: the mark: true, 1, or a moment or date; false, 0 and NULL mark nothing
    :param first_row: how many rows without a mark came before
    :raises DatasetError: the column is missing, or holds anything else
    """
    marked = _marks(column_of(batch.rows, column, batch.where, "soft_delete"), column, batch.where)
    rows = without_column(batch.rows, column)
    if not pc.any(marked).as_py():
        return Batch(rows, batch.file, first_row), Batch(rows[:0], batch.file, first_row)
    name = f"{batch.file} without deleted rows"
    return (
        Batch(chosen(rows, pc.invert(marked)), name, first_row),
        Batch(chosen(rows, marked), f"deleted rows of {batch.file}", batch.first_row),
    )


def ids_of(batch: Batch, mapping: DocumentMapping | None, transform: Transform | None) -> pa.Table:
    """
    Return the documents of rows of which the id is all that matters.

    :raises DatasetError: they have none
    """
    if transform is None and mapping is not None:
        mapping = DocumentMapping(mapping.document_id)
    documents = rows_of(batch, transform=transform, mapping=mapping)
    name = column_named(DOCUMENT_ID, documents.column_names)
    if name is None:
        raise DatasetError(
            f"{batch.file}: has no column {DOCUMENT_ID!r}, it has {', '.join(documents.column_names)}. Select the "
            "id AS documentId, or give a mapping whose document_id makes it"
        )
    ids = documents.column(name)
    if ids.null_count:
        raise DatasetError(f"{batch.where}: {name} is NULL in {ids.null_count:,} of them")
    return pa.table({DOCUMENT_ID: ids})


def _marks(values: pa.ChunkedArray, column: str, where: str) -> pa.ChunkedArray:
    dtype = values.type
    if values.null_count == len(values):
        return pa.chunked_array([pa.repeat(pa.scalar(False), len(values))])
    if pt.is_boolean(dtype):
        return pc.fill_null(values, False)
    if pt.is_timestamp(dtype) or pt.is_date(dtype):
        return values.is_valid()
    if (pt.is_integer(dtype) or pt.is_decimal(dtype)) and set(pc.unique(values).to_pylist()) <= {None, 0, 1}:
        return pc.fill_null(pc.equal(values, pa.scalar(1, dtype)), False)
    first = values.drop_null()[0].as_py()
    raise DatasetError(
        f"soft_delete: column {column!r} holds {str(first)[:40]!r} ({dtype}) in {where}, expected true or false, 0 "
        "or 1, or a moment or date that is set once a row is deleted. Write a condition in the query, such as CASE "
        f"WHEN {column} = … THEN 1 ELSE 0 END AS {column}_flag"
    )

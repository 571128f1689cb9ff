"""Rows of a file → the same with the columns whose values stand in the file's path."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from coveo_provider.documents.dataset.partitions import Partitions, refuse_other


def with_partitions(table: pa.Table, partitions: Partitions, where: str) -> pa.Table:
    """
    Return rows with the columns that stand in the path of their file.

    :param where: the file, for the error
    :raises DatasetError: the file has such a column itself, with another value
    """
    for key, value in partitions.items():
        if key not in table.column_names:
            table = table.append_column(key, pa.repeat(pa.scalar(value, pa.string()), len(table)))
        else:
            _refuse_differing(table.column(key), key, value, where)
    return table


def _refuse_differing(column: pa.ChunkedArray, key: str, value: str | None, where: str) -> None:
    if pt.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    try:
        same = pc.equal(column, pa.scalar(value, pa.string()).cast(column.type))
    except (pa.ArrowException, ValueError):  # no such value can stand in the column
        same = pa.chunked_array([pa.repeat(False, len(column))])
    same = pc.fill_null(same, False) if value is not None else column.is_null()
    if (first := pc.index(same, False).as_py()) >= 0:
        own = column[first].as_py()
        refuse_other(key, value, None if own is None else str(own), where)

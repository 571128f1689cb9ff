"""One batch of an extract → rows of a dataset: the user's function, then the mapping."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from coveo_provider.documents.dataset.tables import to_table
from coveo_provider.documents.extracts.readers import Batch
from coveo_provider.documents.mapping.document_mapping import DocumentMapping
from coveo_provider.documents.mapping.rows import Rows
from coveo_provider.documents.values.faults import noted
from coveo_provider.errors import DatasetError, MappingError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Transform: TypeAlias = "Callable[[pd.DataFrame], pd.DataFrame]"


def rows_of(batch: Batch, *, transform: Transform | None, mapping: DocumentMapping | None) -> pa.Table:
    """
    Return what a batch becomes; without function and mapping, what it is.

    What a function of the user raises is passed on, with notes of which one failed, and on which rows.

    :raises MappingError: the function returns no DataFrame, or the mapping and its columns do not fit
    :raises DatasetError: a column's values have no common type, or are none that pandas can hold
    """
    with noted(batch.where):
        return _rows_of(batch, transform, mapping)


def _rows_of(batch: Batch, transform: Transform | None, mapping: DocumentMapping | None) -> pa.Table:
    rows, where = batch.rows, batch.where
    like: dict[str, pa.DataType] = {}
    if transform is not None:
        frame, like = _as_frame(batch)
        rows = _applied(transform, frame, batch)
    if mapping is None:
        return to_table(rows, where, 0 if transform else batch.first_row, like=like)
    try:
        return mapping.table_of(Rows(rows, like), where)
    except MappingError as error:
        counted = " (row 0 is the first of them)" if batch.first_row or transform else ""
        raise MappingError(f"{where}{counted}: {error}") from None


def _as_frame(batch: Batch) -> tuple[pd.DataFrame, dict[str, pa.DataType]]:
    """Return a batch as a function gets it, and the types of its columns."""
    import pandas as pd

    from coveo_provider.documents.dataset.frames import frame_of, types_of

    if isinstance(batch.rows, pd.DataFrame):
        return batch.rows, {}
    try:
        return frame_of(batch.rows, batch.first_row), types_of(batch.rows)
    except DatasetError as error:
        raise DatasetError(
            f"{batch.file}: {error}. A function of yours gets a DataFrame, which cannot hold that"
        ) from None


def _applied(transform: Transform, frame: pd.DataFrame, batch: Batch) -> pd.DataFrame:
    import pandas as pd

    with noted("the function given as transform failed"):
        result = transform(frame)
    if not isinstance(result, pd.DataFrame):
        raise MappingError(
            f"{batch.where}: the function given as transform returned {type(result).__name__}, expected a "
            "DataFrame"
        )
    return result

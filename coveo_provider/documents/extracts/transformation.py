"""One batch of an extract → rows of a dataset: the user's function, then the mapping."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from coveo_provider.documents.dataset.tables import to_table
from coveo_provider.documents.extracts.readers import Batch
from coveo_provider.documents.mapping.document_mapping import DocumentMapping
from coveo_provider.errors import MappingError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_log = logging.getLogger(__name__)

Transform: TypeAlias = "Callable[[pd.DataFrame], pd.DataFrame]"


def rows_of(batch: Batch, *, transform: Transform | None, mapping: DocumentMapping | None) -> pa.Table:
    """
    Return what a batch becomes; without function and mapping, what it is.

    What the function raises is passed on, and the rows it failed on are logged.

    :raises MappingError: the function returns no DataFrame, or the mapping and its columns do not fit
    :raises DatasetError: a column's values have no common type
    """
    if transform is None and mapping is None:
        return to_table(batch.rows, batch.where, batch.first_row)
    frame = _as_frame(batch)
    if transform is not None:
        frame = _applied(transform, frame, batch)
    if mapping is not None:
        try:
            frame = mapping.apply(frame)
        except MappingError as error:
            counted = " (row 0 is the first of them)" if batch.first_row or transform else ""
            raise MappingError(f"{batch.where}{counted}: {error}") from None
    return to_table(frame, batch.where)


def _as_frame(batch: Batch) -> pd.DataFrame:
    import pandas as pd

    from coveo_provider.documents.extracts.frames import frame_of

    return batch.rows if isinstance(batch.rows, pd.DataFrame) else frame_of(batch.rows)


def _applied(transform: Transform, frame: pd.DataFrame, batch: Batch) -> pd.DataFrame:
    import pandas as pd

    try:
        result = transform(frame)
    except Exception:
        _log.exception("The function given as transform failed on %s", batch.where)
        raise
    if not isinstance(result, pd.DataFrame):
        raise MappingError(
            f"{batch.where}: the function given as transform returned {type(result).__name__}, expected a "
            "DataFrame"
        )
    return result

"""Arrow tables → DataFrames that keep what a plain conversion would lose."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.types as pt

from coveo_provider.documents.values.arrow_types import is_text

_NULLABLE: dict[pa.DataType, Any] = {
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}


@lru_cache(maxsize=1)
def _text_dtype() -> Any:
    """Return what pandas makes of texts: its own type for them since 3.0, objects before."""
    return pa.array(["text"]).to_pandas().dtype


def frame_of(table: pa.Table) -> pd.DataFrame:
    """
    Return a table as a DataFrame, numbered from 0.

    Whole numbers and booleans are nullable, so that one missing value makes no floats of them; repeated texts are
    spelled out, so that a column is of the same kind in every batch.
    """
    columns: dict[str, Any] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        if pt.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pt.is_list(column.type) and pt.is_integer(column.type.value_type):
            # As arrays of numpy, a missing one among them would make floats of the others.
            columns[name] = pd.Series(column.to_pylist(), dtype=object)
        else:
            columns[name] = column.to_pandas(types_mapper=_NULLABLE.get, maps_as_pydicts="strict")
        if is_text(column.type):
            columns[name] = columns[name].astype(_text_dtype())  # pandas makes objects of a batch without any
    frame: pd.DataFrame = pd.DataFrame(columns, index=pd.RangeIndex(table.num_rows))
    return frame

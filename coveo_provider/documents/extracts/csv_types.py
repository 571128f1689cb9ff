"""The types that a user names for columns of CSV, as pandas does, and how texts become values of them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from coveo_provider.documents.extracts.csv_options import TEXT
from coveo_provider.errors import ConfigurationError, DatasetError


def arrow_type(name: str, dtype: Any) -> pa.DataType:
    """
    Return the Arrow type of a pandas dtype.

    :param name: the column, for the error
    :param dtype: ``"Int64"``, ``"float64"``, ``"boolean"``, ``"string"``, ``"datetime64[ns, UTC]"``, a dtype object
    :raises ConfigurationError: it is no dtype, or not one that texts can become
    """
    try:
        if dtype is None:  # to numpy it is a float
            raise TypeError("expected such as 'string'")
        known: Any = pd.api.types.pandas_dtype(dtype)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(
            f"dtypes: {dtype!r} of column {name!r} is no dtype of pandas: {error}"
        ) from None
    if isinstance(known, pd.ArrowDtype):
        return known.pyarrow_dtype
    if isinstance(known, pd.DatetimeTZDtype):
        return pa.timestamp(known.unit, str(known.tz))
    if isinstance(known, (pd.StringDtype, pd.CategoricalDtype)) or known.kind in "OU":
        return pa.string()
    if known.kind in "iufbM":
        return pa.from_numpy_dtype(getattr(known, "numpy_dtype", known))
    raise ConfigurationError(
        f"dtypes: {dtype!r} of column {name!r} is not one that CSV can hold: expected string, Int64, float64, "
        "boolean, datetime64[ns] or the like"
    )


_NAMES = {pa.int64(): "Int64", pa.float64(): "float64", pa.bool_(): "boolean", pa.string(): TEXT}


def type_name(dtype: pa.DataType) -> str | None:
    """Return the name of a type that is kept from one load to the next; ``None`` for any other."""
    return _NAMES.get(dtype)


def converted(column: pa.ChunkedArray, dtype: pa.DataType, name: str, place: str) -> pa.ChunkedArray:
    """
    Return texts as values of a type; an empty one is missing.

    :param name: the column, for errors
    :param place: which rows these are, for errors
    :raises DatasetError: a text is not of the type
    """
    texts = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
    try:
        if pt.is_timestamp(dtype) and dtype.tz is not None:
            return _moments(texts, dtype)
        values = texts.cast(dtype)
        if pt.is_floating(dtype) and pc.any(pc.is_nan(values)).as_py():
            raise ValueError("NaN is no number, and only an empty value is none")
        return values
    except (pa.ArrowException, ValueError) as error:
        raise DatasetError(
            f"{place}: column {name!r} holds what is no {dtype}: {error}. Give it another type in dtypes"
        ) from None


def _moments(texts: pa.ChunkedArray, dtype: pa.DataType) -> pa.ChunkedArray:
    """Return moments with a zone: their own where they name one, else that of the type."""
    if pc.any(pc.match_substring_regex(texts, r"(?:Z|[+-]\d\d:?\d\d)$")).as_py():
        return texts.cast(dtype)
    return pc.assume_timezone(texts.cast(pa.timestamp(dtype.unit)), dtype.tz)

"""Lists of structs in Arrow → their elements in one run; the JSON of these → that of the lists."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt


def elements(array: pa.Array) -> tuple[npt.NDArray[np.int64], pa.Array]:
    """Return how many elements each list has (a null list none), and all of them in one run."""
    if pt.is_fixed_size_list(array.type):
        array = array.cast(pa.list_(array.type.value_type))
    lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
    return lengths.astype(np.int64), array.flatten()


def field(array: pa.Array, name: str) -> pa.Array | None:
    """Return a field of structs by its name in any case; ``None`` when it is not there, or always null."""
    for position, each in enumerate(array.type):
        if each.name.lower() == name.lower():
            return None if pt.is_null(each.type) else array.field(position)
    return None


def strings(array: pa.Array) -> pl.Series:
    """Return a column of texts, checked to be UTF-8, as polars has it."""
    if pt.is_dictionary(array.type):
        array = array.dictionary_decode()
    array.validate(full=True)  # a Parquet file may claim to hold UTF-8 and not do so
    return pl.Series("", array.cast(pa.large_string()), dtype=pl.String)


def field_texts(array: pa.Array, name: str) -> pl.Series:
    """Return a field of structs that holds texts, null where it is not there."""
    texts = field(array, name)
    return pl.Series([None] * len(array), dtype=pl.String) if texts is None else strings(texts)


def starts(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return where the elements of each list begin, and last where they end."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def joined(lengths: npt.NDArray[np.int64], texts: pl.Series) -> pl.Series:
    """Return the JSON of each list, from that of all elements."""
    flat = texts.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.large_string())
    lists = pa.LargeListArray.from_arrays(pa.array(starts(lengths)), flat)
    # By Arrow: before 1.37 polars panics here.
    members = pl.Series("", pc.binary_join(lists, pa.scalar(",", flat.type)), dtype=pl.String)
    return pl.select("[" + members + "]").to_series()


def json_strings(texts: pl.Series) -> pl.Series:
    """Return each text as JSON has it, quoted; null stays null."""
    # A struct's JSON is asked for, as polars writes none of a text alone.
    frame = texts.alias("").to_frame()
    quoted = pl.struct("").struct.json_encode().str.strip_prefix('{"":').str.strip_suffix("}")
    return frame.select(pl.when(pl.col("").is_not_null()).then(quoted)).to_series()

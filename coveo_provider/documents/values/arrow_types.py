"""What kind of values a type of Arrow holds."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.types as pt


def is_text(dtype: pa.DataType) -> bool:
    """Return whether a type holds strings, repeated ones kept once or not."""
    if pt.is_dictionary(dtype):
        return is_text(dtype.value_type)
    return bool(pt.is_string(dtype) or pt.is_large_string(dtype) or pt.is_string_view(dtype))


def is_binary(dtype: pa.DataType) -> bool:
    """Return whether a type holds bytes."""
    return bool(pt.is_binary(dtype) or pt.is_large_binary(dtype) or pt.is_binary_view(dtype))


def is_list(dtype: pa.DataType) -> bool:
    """Return whether a type holds lists."""
    return bool(pt.is_list(dtype) or pt.is_large_list(dtype) or pt.is_fixed_size_list(dtype))

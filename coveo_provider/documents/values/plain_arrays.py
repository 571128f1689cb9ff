"""
Arrays of Arrow → the same values in its plain types.

Views, lists of a fixed length, runs and extension types of other programs are taken apart here, and only here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from coveo_provider.documents.values.nested_lists import starts

# Extension types whose values JSON can hold; of any other one, the storage may mean something else.
_KNOWN = {"arrow.bool8": pa.bool_(), "arrow.uuid": pa.string(), "arrow.json": pa.string()}


def plain_type(dtype: pa.DataType, *, nested: bool = False) -> pa.DataType:
    """
    Return the plain type that holds the values of a type; the type itself where that is none of these.

    :param nested: whether it stands in lists or structs; elsewhere what is repeated stays once, as it may be large
    """
    known = _KNOWN.get(_extension(dtype))
    if known is not None:
        return known
    if pt.is_run_end_encoded(dtype):
        return plain_type(dtype.value_type, nested=nested)
    if pt.is_dictionary(dtype):
        value = plain_type(dtype.value_type)
        return value if nested or value != dtype.value_type or pt.is_nested(value) else dtype
    if pt.is_string_view(dtype):
        return pa.large_string()
    if pt.is_binary_view(dtype):
        return pa.large_binary()
    if pt.is_struct(dtype):
        return pa.struct([_plain_field(each) for each in dtype])
    if pt.is_map(dtype):
        return pa.map_(_plain_field(dtype.key_field), _plain_field(dtype.item_field))
    if pt.is_large_list(dtype):
        return pa.large_list(_plain_field(dtype.value_field))
    if pt.is_list(dtype) or pt.is_fixed_size_list(dtype) or _is_list_view(dtype):
        return pa.list_(_plain_field(dtype.value_field))
    return dtype


def plain(array: pa.Array, *, nested: bool = False) -> pa.Array:
    """Return an array in its plain type."""
    dtype = array.type
    if plain_type(dtype, nested=nested) == dtype:
        return array
    if _extension(dtype):
        return _storage(array)
    if pt.is_run_end_encoded(dtype):
        return plain(pc.run_end_decode(array), nested=nested)
    if pt.is_dictionary(dtype):
        return spelled_out(array)
    if pt.is_nested(dtype):
        return with_parts(array, partial(plain, nested=True))
    return array.cast(plain_type(dtype))


def spelled_out(array: pa.Array) -> pa.Array:
    """Return a plain array in which each repeated value stands in full."""
    return plain(array.dictionary).take(array.indices) if pt.is_dictionary(array.type) else array


def with_parts(array: pa.Array, convert: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Return structs, maps or lists of any kind with other values in them, made from all of these at once."""
    dtype = array.type
    if pt.is_struct(dtype):
        if not dtype.num_fields:
            return array
        columns = [convert(array.field(position)) for position in range(dtype.num_fields)]
        fields = [each.with_type(column.type) for each, column in zip(dtype, columns, strict=True)]
        return pa.StructArray.from_arrays(columns, fields=fields, mask=array.is_null())
    first, lengths = _spans(array)
    low = int(first.min()) if len(first) else 0
    used = (
        int((first + lengths).max()) - low if len(first) else 0
    )  # of a slice, what others hold is left alone
    if pt.is_map(dtype):
        keys, items = (convert(each.slice(low, used)) for each in (array.keys, array.items))
        kind = pa.map_(dtype.key_field.with_type(keys.type), dtype.item_field.with_type(items.type))
        offsets = pa.array(np.append(first - low, used), pa.int32())
        return pa.MapArray.from_arrays(offsets, keys, items, kind, mask=array.is_null())
    values = convert(array.values.slice(low, used))
    field = dtype.value_field.with_type(values.type)
    if not (pt.is_list(dtype) or pt.is_large_list(dtype)):  # in any order, or with values below a null
        lengths = np.where(array.is_null().to_numpy(zero_copy_only=False), 0, lengths)
        bounds = starts(lengths)
        places = np.arange(bounds[-1]) - np.repeat(bounds[:-1] - (first - low), lengths)
        values, first, low, used = values.take(pa.array(places)), bounds[:-1], 0, int(bounds[-1])
    if pt.is_large_list(dtype):
        lists, kind, offset = pa.LargeListArray, pa.large_list(field), pa.int64()
    else:
        lists, kind, offset = pa.ListArray, pa.list_(field), pa.int32()
    offsets = pa.array(np.append(first - low, used), offset)
    return lists.from_arrays(offsets, values, type=kind, mask=array.is_null())


def _spans(array: pa.Array) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return where each list begins among the values of all, and its length."""
    if pt.is_fixed_size_list(array.type):
        size = array.type.list_size
        return (np.arange(len(array)) + array.offset) * size, np.full(len(array), size)
    offsets = array.offsets.to_numpy(zero_copy_only=False).astype(np.int64)
    if _is_list_view(array.type):
        return offsets, array.sizes.to_numpy(zero_copy_only=False).astype(np.int64)
    return offsets[:-1], np.diff(offsets)


def _plain_field(field: pa.Field) -> pa.Field:
    return field.with_type(plain_type(field.type, nested=True))


def _extension(dtype: pa.DataType) -> str:
    return str(dtype.extension_name) if isinstance(dtype, pa.BaseExtensionType) else ""


def _is_list_view(dtype: pa.DataType) -> bool:
    return bool(pt.is_list_view(dtype) or pt.is_large_list_view(dtype))


def _storage(array: pa.Array) -> pa.Array:
    """Return the values of a known extension type in the plain type for them."""
    name, storage = _extension(array.type), array.storage
    if name == "arrow.bool8":
        return pc.not_equal(storage, 0)
    if name == "arrow.uuid":
        return _uuids(pa.concat_arrays([storage]))
    return plain(storage).cast(pa.string())


def _uuids(array: pa.Array) -> pa.Array:
    """Return 16 bytes each as ``8-4-4-4-12`` digits."""
    digits = np.frombuffer(array.buffers()[1] or b"", np.uint8, 16 * len(array)).tobytes().hex()
    texts = [digits[start : start + 32] for start in range(0, len(digits), 32)]
    split = [f"{one[:8]}-{one[8:12]}-{one[12:16]}-{one[16:20]}-{one[20:]}" for one in texts]
    return pa.array(split, pa.string(), mask=array.is_null().to_numpy(zero_copy_only=False))

"""Types of other programs are taken apart without a change of value."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings

from coveo_provider.documents.values.plain_arrays import plain, plain_type
from tests.documents.arrow_values import columns

UUID = "00000000-0000-0000-0000-000000000007"


def extension(dtype: pa.DataType, storage: pa.Array) -> pa.Array:
    """Return an array of an extension type."""
    return pa.ExtensionArray.from_storage(dtype, storage)


@pytest.mark.parametrize(
    ("array", "values", "dtype"),
    [
        (extension(pa.bool8(), pa.array([1, 0, None, 5], pa.int8())), [True, False, None, True], pa.bool_()),
        (extension(pa.uuid(), pa.array([b"\0" * 15 + b"\7", None], pa.binary(16))), [UUID, None], pa.string()),
        (extension(pa.json_(), pa.array(['{"a":1.10}', None])), ['{"a":1.10}', None], pa.string()),
        (pa.array([[1, None], None], pa.list_view(pa.int8())), [[1, None], None], pa.list_(pa.int8())),
        (pa.array([[1], None], pa.large_list_view(pa.int8())), [[1], None], pa.list_(pa.int8())),
        (pa.array([[1, 2], None], pa.list_(pa.int8(), 2)), [[1, 2], None], pa.list_(pa.int8())),
        (pa.array(["a", None], pa.string_view()), ["a", None], pa.large_string()),
        (pa.compute.run_end_encode(pa.array(["a", "a", None])), ["a", "a", None], pa.string()),
        (pa.array([{}, None], pa.struct([])), [{}, None], pa.struct([])),
        (pa.array([["a"]], pa.list_(pa.dictionary(pa.int8(), pa.string()))), [["a"]], pa.list_(pa.string())),
        (pa.array([Decimal("1.10"), None], pa.decimal32(3, 2)), [Decimal("1.10"), None], pa.decimal32(3, 2)),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)  # fmt: skip
def test_a_foreign_type_becomes_a_plain_one(array: pa.Array, values: list[Any], dtype: pa.DataType) -> None:
    """By itself, and in a slice."""
    assert (plain(array).to_pylist(), plain(array).type) == (values, dtype)
    assert plain(array.slice(1)).to_pylist() == values[1:]


def test_another_extension_type_stays_what_it_is() -> None:
    """Its storage may mean something else, so the column is refused by its type later on."""
    array = extension(pa.opaque(pa.int64(), "money", "a bank"), pa.array([5]))

    assert plain(array) is array


@settings(max_examples=300, deadline=None)
@given(columns(4))
def test_any_array_becomes_a_sound_one_of_the_type_that_was_told(array: pa.Array) -> None:
    """Twice makes no difference; the type is known without the values."""
    made = plain(array)

    made.validate()
    assert made.type == plain_type(array.type)
    assert plain(made) is made
    assert made.is_null().equals(array.is_null()) or pa.types.is_union(array.type)

"""Columns of names → a column of permission sets or levels, as Arrow has them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from coveo_provider.documents.mapping.rows import Rows, named_parts, regrouped
from coveo_provider.documents.values.arrow_types import is_list, is_text
from coveo_provider.documents.values.faults import FAULTS, converted, first_fault, problem_of
from coveo_provider.documents.values.json_values import is_absent
from coveo_provider.documents.values.nested_lists import elements
from coveo_provider.documents.values.plain_arrays import plain, spelled_out
from coveo_provider.documents.values.python_values import python_values
from coveo_provider.errors import MappingError

Names: TypeAlias = tuple[npt.NDArray[np.int64], pa.Array]
"""Names, each once in a row, and the row of each, ascending."""


def names_in(rows: Rows, column: str, separator: str) -> Names:
    """
    Return the names in a column of lists, or of texts.

    :param separator: what stands between names in one text
    :raises MappingError: a value is neither, or a name is no text
    """
    values = rows.column(column)
    if isinstance(values, pa.Array):
        try:
            lists = _lists(values, column, separator)
        except MappingError:
            raise
        except FAULTS as error:
            row, reason = first_fault(values, lambda part: _lists(part, column, separator), error)
            raise MappingError(f"row {row:,}: column {column!r} {problem_of(reason)}") from None
    else:
        found = [_names(value, column, row, separator) for row, value in enumerate(values)]
        lists = pa.array(found, pa.list_(pa.large_string()))
    numbers, names = named_parts(lists)
    codes = names.dictionary_encode().indices.to_numpy(zero_copy_only=False).astype(np.int64)
    _, first = np.unique(numbers * (len(names) + 1) + codes, return_index=True)
    first.sort()
    return numbers[first], names.take(pa.array(first))


def _lists(values: pa.Array, column: str, separator: str) -> pa.Array:
    values.validate(full=True)  # a Parquet file may claim to hold UTF-8 and not do so
    array = spelled_out(plain(values))
    if is_text(array.type):
        return pc.split_pattern(array.cast(pa.large_string()), separator)
    if is_list(array.type) and is_text(array.type.value_type) and not elements(array)[1].null_count:
        return array
    # What is left is empty, or at fault.
    found = [_names(value, column, row, separator) for row, value in enumerate(python_values(array))]
    return pa.array(found, pa.list_(pa.large_string()))


def _names(value: Any, column: str, row: int, separator: str) -> list[str]:
    if is_absent(value):
        return []
    if isinstance(value, str):
        return value.split(separator)
    if isinstance(value, (Mapping, bytes)) or not isinstance(value, Iterable):
        raise MappingError(f"row {row:,}: column {column!r} holds {value!r}, expected names")
    names = list(value)
    for name in names:
        if not isinstance(name, str):
            raise MappingError(f"row {row:,}: column {column!r} holds the name {name!r}, expected a text")
    return names


def flags(rows: Rows, column: bool | str) -> pa.Array:
    """
    Return whether each row is public; empty is false.

    :raises MappingError: a value is neither true nor false
    """
    if isinstance(column, bool):
        return pa.array(np.full(len(rows), column))
    values = rows.column(column)
    if isinstance(values, pa.Array):
        values = plain(values)
        if pt.is_boolean(values.type):
            return values.fill_null(False)
        values = converted(values, column, 0, python_values)
    for row, value in enumerate(values):
        if not is_absent(value) and not isinstance(value, (bool, np.bool_)):
            raise MappingError(
                f"row {row:,}: column {column!r} holds {value!r}, expected true or false: whether a "
                "document is public is not guessed"
            )
    return pa.array([not is_absent(value) and bool(value) for value in values], pa.bool_())


def identities(
    found: Sequence[tuple[Names, str]], count: int, provider: str | None, provided: bool
) -> pa.Array:
    """
    Return one list of identities per row.

    :param found: names with the type of identity they are of
    :param count: how many rows there are
    :param provider: the security provider of all, ``None`` for the source's first
    :param provided: whether there is a place for a provider
    """
    texts = pa.large_string()
    numbers = np.concatenate([np.empty(0, np.int64), *(rows for (rows, _), _ in found)])
    order = pa.array(np.argsort(numbers, kind="stable"))  # all of a row together, those given first at first
    columns = {
        "identity": pa.concat_arrays([pa.array([], texts), *(names for (_, names), _ in found)]),
        "identityType": pa.concat_arrays(
            [
                pa.array([], texts),
                *(pa.repeat(pa.scalar(kind, texts), len(names)) for (_, names), kind in found),
            ]
        ),
    }
    if provided:
        columns["securityProvider"] = pa.repeat(pa.scalar(provider, texts), len(numbers))
    structs = pa.StructArray.from_arrays(list(columns.values()), list(columns)).take(order)
    return regrouped(np.sort(numbers), structs, count, empty=True)


def sets(public: pa.Array, **lists: pa.Array) -> pa.Array:
    """Return one permission set per row."""
    return pa.StructArray.from_arrays([public, *lists.values()], ["allowAnonymous", *lists])


def levels(name: str, permission_sets: pa.Array) -> pa.Array:
    """Return one permission level per row."""
    names = pa.repeat(pa.scalar(name, pa.large_string()), len(permission_sets))
    return pa.StructArray.from_arrays([names, permission_sets], ["name", "permissionSets"])


def side_by_side(columns: Sequence[pa.Array]) -> pa.Array:
    """Return one list per row, of what columns of one type hold there."""
    width, count = len(columns), len(columns[0])
    order = np.arange(width * count).reshape(width, count).T.ravel()
    values = pa.concat_arrays(columns).take(pa.array(order))
    return regrouped(np.repeat(np.arange(count), width), values, count, empty=True)

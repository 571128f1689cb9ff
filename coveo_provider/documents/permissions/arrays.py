"""
A column of typed ``permissions`` → the JSON of each row's, checked and in the API's spelling, by column.

The rules are those of :func:`~coveo_provider.documents.permissions.spelling.normal`, which does it value by value;
the two are tested against each other.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.types as pt

from coveo_provider.documents.permissions.reading import permissions_text
from coveo_provider.documents.permissions.spelling import (
    IDENTITY_KEYS,
    LEVEL_KEYS,
    MAX_PERMISSIONS,
    SET_KEYS,
    TYPES_EXPECTED,
    IdentityType,
    needlessly_named,
    too_many,
)
from coveo_provider.documents.values.arrow_types import is_list, is_text
from coveo_provider.documents.values.nested_lists import (
    elements,
    field,
    field_texts,
    joined,
    json_strings,
    starts,
    strings,
)
from coveo_provider.errors import DataError, DatasetError

Refuse: TypeAlias = Callable[[int, str], NoReturn]
Ints: TypeAlias = npt.NDArray[np.int64]
Bools: TypeAlias = npt.NDArray[np.bool_]


def check_permissions_type(dtype: pa.DataType) -> None:
    """
    Check that a column's type is one of lists of permission sets or levels.

    :raises DatasetError: names the key that is unknown or of the wrong type
    """
    entry = dtype.value_type
    if pt.is_null(entry):  # every list is empty, or holds nulls, which are refused by row
        return
    if not pt.is_struct(entry):
        raise DatasetError(f"column permissions holds {dtype}, expected a list of permission sets or levels")
    _check_struct(entry, {**SET_KEYS, **LEVEL_KEYS}, "a permission set or level")


def _check_struct(dtype: pa.DataType, keys: Mapping[str, str], what: str) -> None:
    for each in dtype:
        key = keys.get(each.name.lower())
        if key is None:
            expected = ", ".join(keys.values())
            raise DatasetError(
                f"column permissions: {what} has unknown key {each.name!r}, expected {expected}"
            )
        if pt.is_null(each.type):
            continue
        if key in {"permissionSets", "allowedPermissions", "deniedPermissions"}:
            if not is_list(each.type) or not (
                pt.is_struct(each.type.value_type) or pt.is_null(each.type.value_type)
            ):
                raise DatasetError(f"column permissions: {key} holds {each.type}, expected a list of objects")
            if pt.is_struct(each.type.value_type):
                inner = SET_KEYS if key == "permissionSets" else IDENTITY_KEYS
                _check_struct(each.type.value_type, inner, f"an entry of {key}")
        elif not (pt.is_boolean(each.type) if key == "allowAnonymous" else is_text(each.type)):
            expected = "true or false" if key == "allowAnonymous" else "texts"
            raise DatasetError(f"column permissions: {key} holds {each.type}, expected {expected}")


def is_by_column(array: pa.Array) -> bool:
    """
    Return whether :func:`typed_permissions` can write a column, or it has to go value by value.

    It cannot where an element of a list is null, or where a type has the keys of sets and of levels.
    """
    names = {each.name.lower() for each in array.type.value_type}
    return not (names & set(SET_KEYS) and names & set(LEVEL_KEYS)) and not _holds_null(array)


def _holds_null(array: pa.Array) -> bool:
    if pt.is_struct(array.type):
        return any(_holds_null(array.field(i)) for i in range(array.type.num_fields))
    if is_list(array.type):
        flat = elements(array)[1]
        return bool(flat.null_count) or _holds_null(flat)
    return False


@dataclass(frozen=True)
class TypedPermissions:
    """
    A column of permissions as JSON.

    :param texts: the JSON of each row, null where there is none
    :param public: the rows that allow somebody by name although everybody sees them
    """

    texts: pl.Series
    public: Ints


@dataclass(frozen=True)
class _Sets:
    """Elements of a list, with what is to be known of each for the row as a whole."""

    texts: pl.Series
    counts: Ints  # identities in it
    anonymous: Bools
    named: Bools  # allows somebody by name


def typed_permissions(array: pa.Array, refuse: Refuse) -> TypedPermissions:
    """
    Return a column of typed permissions as JSON.

    :param refuse: raises the error for a row's number and what is wrong with it
    """
    lengths, flat = elements(array)
    rows = np.repeat(np.arange(len(array)), lengths)
    has_levels = any(each.name.lower() in LEVEL_KEYS for each in flat.type)
    parts = _levels(flat, rows, refuse) if has_levels else _sets(flat, rows, refuse)
    counts = _per_list(parts.counts, lengths)
    if (over := np.flatnonzero(counts > MAX_PERMISSIONS)).size:
        refuse(int(over[0]), too_many(int(counts[over[0]])))
    offsets = starts(lengths)
    if has_levels:  # the first level decides for those who are not logged in
        anonymous = np.append(parts.anonymous, False)[offsets[:-1]]
    else:
        anonymous = _per_list(parts.anonymous, lengths) == lengths
    public = anonymous & (lengths > 0) & (_per_list(parts.named, lengths) > 0)
    texts = joined(lengths, parts.texts)
    if array.null_count:
        present = pl.Series(array.is_valid().to_numpy(zero_copy_only=False))
        texts = pl.select(pl.when(pl.lit(present)).then(pl.lit(texts))).to_series()
    return TypedPermissions(texts, np.flatnonzero(public))


def _per_list(values: npt.NDArray[Any], lengths: Ints) -> Ints:
    """Return the sum of the elements' values, list by list."""
    sums = starts(values.astype(np.int64))
    bounds = starts(lengths)
    return np.asarray(sums[bounds[1:]] - sums[bounds[:-1]])


def _levels(flat: pa.Array, rows: Ints, refuse: Refuse) -> _Sets:
    lists = field(flat, "permissionSets")
    if lists is None or pt.is_null(lists.type.value_type):
        lengths, sets = np.zeros(len(flat), np.int64), None
    else:
        lengths, sets = elements(lists)
    if (empty := np.flatnonzero(lengths == 0)).size:
        refuse(int(rows[empty[0]]), "a permission level has no permissionSets")
    if sets is None:
        return _Sets(pl.Series([], dtype=pl.String), lengths, lengths > 0, lengths > 0)
    inner = _sets(sets, np.repeat(rows, lengths), refuse)
    texts = ['{"permissionSets":' + pl.lit(joined(lengths, inner.texts)) + "}"]
    names = field(flat, "name")
    if names is not None:
        named = pl.lit(json_strings(strings(names)))
        prefix = pl.when(named.is_not_null()).then('{"name":' + named + ",").otherwise(pl.lit("{"))
        texts = [prefix + '"permissionSets":' + pl.lit(joined(lengths, inner.texts)) + "}"]
    return _Sets(
        pl.select(texts[0]).to_series(),
        _per_list(inner.counts, lengths),
        _per_list(inner.anonymous, lengths) == lengths,
        _per_list(inner.named, lengths) > 0,
    )


def _sets(flat: pa.Array, rows: Ints, refuse: Refuse) -> _Sets:
    members: list[pl.Expr] = []
    counts = np.zeros(len(flat), np.int64)
    named = anonymous = counts > 0
    flags = field(flat, "allowAnonymous")
    if flags is not None:
        anonymous = flags.fill_null(False).to_numpy(zero_copy_only=False)
        flag = pl.lit(pl.Series("", flags))
        members.append(
            pl.when(flag)
            .then(pl.lit(',"allowAnonymous":true'))
            .when(~flag)
            .then(pl.lit(',"allowAnonymous":false'))
        )
    for key in ("allowedPermissions", "deniedPermissions"):
        lists = field(flat, key)
        if lists is None:
            continue
        if pt.is_null(lists.type.value_type):
            texts = pl.Series(["[]"] * len(flat), dtype=pl.String)
        else:
            lengths, entries = elements(lists)
            texts = joined(lengths, _identities(entries, np.repeat(rows, lengths), refuse))
            counts = counts + lengths
            named = lengths > 0 if key == "allowedPermissions" else named
        present = pl.lit(pl.Series(lists.is_valid().to_numpy(zero_copy_only=False)))
        members.append(pl.when(present).then(f',"{key}":' + pl.lit(texts)))
    if not members:
        return _Sets(pl.Series(["{}"] * len(flat), dtype=pl.String), counts, anonymous, named)
    text = "{" + pl.concat_str(members, ignore_nulls=True).str.strip_prefix(",") + "}"
    return _Sets(pl.select(text).to_series(), counts, anonymous, named)


def _identities(flat: pa.Array, rows: Ints, refuse: Refuse) -> pl.Series:
    names = field_texts(flat, "identity")
    blank = (names.is_null() | (names.str.strip_chars() == "")).fill_null(True)
    if blank.any():
        first = int(blank.arg_true()[0])
        refuse(int(rows[first]), f"identity is {names[first]!r}, expected the name of a user or a group")
    written = field_texts(flat, "identityType")
    types = type_names(written, lambda kind: kind.value)
    if types.null_count():
        first = int(types.is_null().arg_true()[0])
        what = (
            f"identity {names[first]!r} has no identityType"
            if written[first] is None
            else f"{written[first]!r} is no type of identity"
        )
        refuse(int(rows[first]), f"{what}: expected {TYPES_EXPECTED}")
    frame = pl.DataFrame({"identity": names, "identityType": types})
    text: pl.Expr = pl.struct(pl.all()).struct.json_encode()
    providers = field(flat, "securityProvider")
    if providers is not None:
        provider = strings(providers).replace("", None)
        if not provider.null_count():
            frame = frame.with_columns(provider.alias("securityProvider"))
        elif provider.null_count() < len(provider):
            tail = pl.lit(',"securityProvider":') + pl.lit(json_strings(provider)) + "}"
            text = text.str.strip_suffix("}") + tail.fill_null("}")
    result: pl.Series = frame.select(text).to_series()
    return result


def type_names(types: pl.Series, spell: Callable[[IdentityType], str]) -> pl.Series:
    """Return types of identities as they are to be spelled, null where they are none."""
    known: dict[str, str] = {}
    for value in types.unique().drop_nulls():
        try:
            known[value] = spell(IdentityType.of(value))
        except DataError:
            continue
    spelled: pl.Series = types.replace_strict(known, default=None, return_dtype=pl.String)
    return spelled


def permission_texts(array: pa.Array, refuse: Refuse) -> TypedPermissions:
    """
    Return a column of permissions, typed or JSON text, as JSON.

    :param refuse: raises the error for a row's number and what is wrong with it
    """
    if pt.is_null(array.type):
        return TypedPermissions(pl.Series([None] * len(array), dtype=pl.String), np.empty(0, np.int64))
    if is_list(array.type):
        check_permissions_type(array.type)
        if pt.is_struct(array.type.value_type) and is_by_column(array):
            return typed_permissions(array, refuse)
    known: dict[str, str | None] = {}  # the same permissions stand on many documents
    texts: list[str | None] = []
    for row, value in enumerate(array.to_pylist()):
        try:
            if isinstance(value, str):
                if value not in known:
                    known[value] = permissions_text(value)
                texts.append(known[value])
            else:
                texts.append(permissions_text(_without_null_keys(value)))
        except (ValueError, TypeError) as error:  # orjson's for a lone surrogate is a TypeError
            refuse(row, str(error))
    public = [row for row, text in enumerate(texts) if text is not None and _is_needless(text)]
    return TypedPermissions(pl.Series(texts, dtype=pl.String), np.array(public, np.int64))


def _without_null_keys(value: Any) -> Any:
    """Return the value of a typed column without keys that are null: a struct of Arrow cannot leave one out."""
    if isinstance(value, list):
        return [_without_null_keys(each) for each in value]
    if isinstance(value, dict):
        return {key: _without_null_keys(each) for key, each in value.items() if each is not None}
    return value


def _is_needless(text: str) -> bool:
    """Return whether permissions allow somebody by name although everybody sees the item."""
    # A quote inside a string is escaped, so neither can stand in one.
    if '"allowAnonymous":true' not in text or '"allowedPermissions":[{' not in text:
        return False
    return needlessly_named(json.loads(text))

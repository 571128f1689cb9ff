"""
The datasets of identities, and which columns they have.

====================  =================================================================================
Dataset               Columns
====================  =================================================================================
members               ``name``, ``type``, ``members`` (required for a ``GROUP``), ``wellKnowns``
mappings (aliases)    ``name``, ``type``, ``mappings`` (with ``provider``), ``wellKnowns``
deleted               ``name``, ``type``
====================  =================================================================================

Each may have ``additionalInfo``: a map, a struct, or JSON text. Lists are lists of structs with ``name``,
``type`` and, optionally, ``additionalInfo``. Names of columns are taken in any case. The words are those of the
bodies of docs 78.
"""

from __future__ import annotations

from enum import Enum

import pyarrow as pa
import pyarrow.types as pt

from coveo_provider.documents.values.arrow_types import is_list, is_text
from coveo_provider.errors import DatasetError


class IdentityKind(str, Enum):
    """What a dataset of identities says, by the name of its array in a container."""

    MEMBERS = "members"
    MAPPINGS = "mappings"
    DELETED = "deleted"


LISTS = {
    IdentityKind.MEMBERS: ("members", "wellKnowns"),
    IdentityKind.MAPPINGS: ("mappings", "wellKnowns"),
    IdentityKind.DELETED: (),
}


def plan(schema: pa.Schema, kind: IdentityKind, where: str) -> dict[str, str]:
    """
    Return the name in the part of each column, by its key.

    :param where: the part, for the error
    :raises DatasetError: names every column that is missing, unknown, doubled or of the wrong type
    """
    known = {key.lower(): key for key in ("name", "type", "additionalInfo", *LISTS[kind])}
    columns: dict[str, str] = {}
    problems: list[str] = []
    for each in schema:
        key = known.get(each.name.lower())
        if key is None:
            problems.append(f"column {each.name!r} has no place here, expected {', '.join(known.values())}")
            continue
        if key in columns:
            problems.append(f"columns {columns[key]!r} and {each.name!r} are the same")
        columns[key] = each.name
        problems += _problems(key, each.name, each.type)
        if pt.is_null(each.type):
            columns.pop(key)
    problems += [f"column {key} is missing" for key in ("name", "type") if key not in columns]
    if kind is IdentityKind.MAPPINGS and not {"mappings", "wellKnowns"} & set(columns):
        problems.append("column mappings is missing")
    if problems:
        raise DatasetError(f"{where} ({kind.value} of identities): {'; '.join(problems)}")
    return columns


def _problems(key: str, name: str, dtype: pa.DataType) -> list[str]:
    """Return what is wrong with the type of a column, or of a key in its lists."""
    if pt.is_null(dtype):
        return []
    if key in {"name", "type", "provider"}:
        return [] if is_text(dtype) else [f"column {name!r} holds {dtype}, expected texts"]
    if key == "additionalInfo":
        if _holds_texts_by_name(dtype):
            return []
        return [f"column {name!r} holds {dtype}, expected a map or struct of texts, or JSON text"]
    if not is_list(dtype) or not (pt.is_struct(dtype.value_type) or pt.is_null(dtype.value_type)):
        return [f"column {name!r} holds {dtype}, expected a list of structs with name and type"]
    return [] if pt.is_null(dtype.value_type) else _struct_problems(key, name, dtype.value_type)


def _holds_texts_by_name(dtype: pa.DataType) -> bool:
    if pt.is_map(dtype):
        return is_text(dtype.key_type) and is_text(dtype.item_type)
    if pt.is_struct(dtype):
        return all(is_text(each.type) or pt.is_null(each.type) for each in dtype)
    return is_text(dtype)


def _struct_problems(key: str, name: str, dtype: pa.DataType) -> list[str]:
    """Return what is wrong with the identities in a list."""
    keys = ("name", "type", "additionalInfo", *(("provider",) if key == "mappings" else ()))
    spelling = {each.lower(): each for each in keys}
    problems: list[str] = []
    names = [each.name.lower() for each in dtype]
    for each in dtype:
        inner = spelling.get(each.name.lower())
        if inner is None:
            problems.append(f"{name!r} has unknown key {each.name!r}, expected {', '.join(keys)}")
        elif names.count(each.name.lower()) > 1:
            problems.append(f"{name!r} has key {each.name!r} twice")
        else:
            problems += _problems(inner, f"{name}.{each.name}", each.type)
    return problems + [f"{name!r} has no key {each!r}" for each in ("name", "type") if each not in names]

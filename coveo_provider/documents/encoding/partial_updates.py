"""
Partial updates: one entry changes one field of one item that exists.

Operators and values are those of docs/api-notes.md, "Updates and partial updates". Every entry is checked before
the first is sent: over HTTP the service takes anything, and what it cannot apply is a line in a log.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson
import pyarrow as pa

from coveo_provider.documents.contract import DOCUMENT_ID, RESERVED_KEYS
from coveo_provider.documents.encoding.checks import values_by_key
from coveo_provider.documents.encoding.columns import plan_named
from coveo_provider.documents.records import Column, Kind
from coveo_provider.documents.values.arrow_types import is_text
from coveo_provider.documents.values.json_values import json_text
from coveo_provider.documents.values.plain_arrays import plain, spelled_out
from coveo_provider.documents.values.python_values import python_values, without_zones
from coveo_provider.errors import DatasetError

REPLACE = "fieldValueReplace"
OPERATORS = {
    REPLACE: "a value, a list of values, a flat object, or null to remove what the field holds",
    "arrayAppend": "a list of values",
    "arrayRemove": "a list of values",
    "dictionaryPut": "an object whose values are not nested",
    "dictionaryRemove": "a key or a list of keys",
}
"""Each operator with the value it takes."""

_KEYS = {key.lower(): key for key in (DOCUMENT_ID, "operator", "field", "value")}
_SCALARS = (str, bool, int, float)


def plan_partial_updates(schema: pa.Schema, where: str) -> list[Column]:
    """
    Return the columns of a dataset of partial updates: ``documentId``, ``operator``, ``field`` and ``value``.

    :raises DatasetError: one is missing, of the wrong type, or has no place there
    """

    def kind(key: str, dtype: pa.DataType) -> Kind:
        if key != "value":
            if not is_text(dtype):
                raise DatasetError(f"column {key} holds {dtype}, expected strings")
            return Kind.PLAIN
        return Kind.JSON_TEXT if is_text(dtype) else Kind.VALUES

    return plan_named(schema, where, _KEYS, kind, what="a partial update", required=tuple(_KEYS.values()))


def value_texts(array: pa.Array, kind: Kind) -> list[str | None]:
    """
    Return each value of the column ``value`` as JSON text, ``None`` where there is none.

    A column of strings holds JSON; one of any other type holds the values themselves.

    :raises ValueError: a value cannot be JSON; likewise ``TypeError``
    """
    values = python_values(without_zones(spelled_out(plain(array))))
    return values if kind is Kind.JSON_TEXT else [None if one is None else json_text(one) for one in values]


def entry_of(operator: str | None, field: str | None, text: str | None) -> tuple[str, str, bytes]:
    """
    Return operator, field and value of an entry, checked, the value as JSON.

    :param text: the value as JSON text
    :raises ValueError: says what is wrong, and what was expected
    """
    if operator not in OPERATORS:
        raise ValueError(f"operator {operator!r} is none of {', '.join(OPERATORS)}")
    if not isinstance(field, str) or not field.strip():
        raise ValueError("field is missing: expected the name of the field to change")
    if field.lower() in RESERVED_KEYS:
        raise ValueError(f"{field} is no field: a partial update changes metadata only")
    if text is None:
        raise ValueError(
            f"{field}: value is missing: expected {OPERATORS[operator]}; the JSON null, and no empty cell, "
            "removes what a field holds"
        )
    value = _parsed(field, text)
    if not _fits(operator, value):
        raise ValueError(f"{field}: {operator} takes {OPERATORS[operator]}, not {_short(text)}")
    return operator, field, text.strip().encode()


def encode_partial_update(identifier: str, operator: str, field: str, value: bytes) -> bytes:
    """Return an entry as the JSON the API takes."""
    return orjson.dumps(
        {DOCUMENT_ID: identifier, "operator": operator, "field": field, "value": orjson.Fragment(value)}
    )


def row_texts(row: Mapping[str, Any]) -> tuple[Any, Any, str | None]:
    """
    Return ``operator``, ``field`` and the JSON text of ``value`` of an entry that is a mapping.

    There ``value`` is the value itself, and ``None`` the JSON null.

    :raises ValueError: a key has no place in an entry, or the value cannot be JSON
    """
    values = values_by_key(row, _KEYS, "a partial update")
    operator, field = values.get("operator"), values.get("field")
    if "value" not in values:
        return operator, field, None
    try:
        return operator, field, "null" if values["value"] is None else json_text(values["value"])
    except (ValueError, TypeError) as error:
        raise ValueError(f"{field}: value {error}") from None


def _parsed(field: str, text: str) -> Any:
    try:
        if text.lstrip().startswith("{"):  # orjson keeps the last of two equal keys and says nothing
            json.loads(text, object_pairs_hook=_distinct)
        return orjson.loads(text)
    except json.JSONDecodeError as error:  # orjson's is one of these
        raise ValueError(
            f"{field}: value {_short(text)} is not JSON ({error.msg}): a text stands in double quotes there, as "
            "json.dumps writes it"
        ) from None
    except RecursionError:
        raise ValueError(f"{field}: value is nested deeper than the API takes") from None


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("value has a key twice in one object")
    return value


def _fits(operator: str, value: Any) -> bool:
    if operator == REPLACE:
        return value is None or isinstance(value, _SCALARS) or _is_list(value) or _is_flat(value)
    if operator == "dictionaryPut":
        return _is_flat(value)
    if operator == "dictionaryRemove":
        return isinstance(value, str) or (
            isinstance(value, list) and all(isinstance(key, str) for key in value)
        )
    return _is_list(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, _SCALARS) for one in value)


def _is_flat(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(one, _SCALARS) for one in value.values())


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}…")

"""
Which columns a dataset has, and how each becomes JSON: decided once, before the first row.

One row is one document. Columns carry the names of the API's DocumentBody (docs 78), any other column is metadata
(docs 162).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import pyarrow as pa
import pyarrow.types as pt

from coveo_provider.documents.contract import (
    BINARY_DATA,
    BODY_KEYS,
    CONTENT_OWNERS,
    CONTENT_URI,
    DELETION_KEYS,
    DOCUMENT_ID,
    DOCUMENT_KEYS,
    ORDERING_ID,
    PERMISSIONS,
)
from coveo_provider.documents.permissions.arrays import check_permissions_type
from coveo_provider.documents.records import Column, Kind
from coveo_provider.documents.values.arrow_types import is_binary, is_list, is_text
from coveo_provider.errors import DatasetError


def plan_documents(schema: pa.Schema, where: str) -> list[Column]:
    """
    Return how each column of a documents dataset becomes JSON, ``documentId`` first.

    :param where: the part, for the error
    :raises DatasetError: names every column that is missing, doubled or of a type the API does not take
    """
    _refuse_equal_names(schema.names, where)
    problems = []
    columns = []
    for field in schema:
        key = DOCUMENT_KEYS.get(field.name.lower(), field.name)
        try:
            columns.append(Column(field.name, key, _kind(key, field.type)))
        except DatasetError as error:
            problems.append(str(error))
    if not any(column.key == DOCUMENT_ID for column in columns) and not problems:
        problems.append(_missing_id(schema.names))
    if problems:
        raise DatasetError(f"{where}: {'; '.join(problems)}")
    return sorted(columns, key=lambda column: column.key != DOCUMENT_ID)


def plan_deletions(schema: pa.Schema, where: str) -> list[Column]:
    """
    Return how each column of a deletions dataset becomes JSON: ``documentId`` and ``deleteChildren``.

    :raises DatasetError: another column stands there, or one of these is of the wrong type
    """

    def kind(key: str, dtype: pa.DataType) -> Kind:
        fits = is_text(dtype) if key == DOCUMENT_ID else pt.is_boolean(dtype) or pt.is_null(dtype)
        if not fits:
            expected = "strings" if key == DOCUMENT_ID else "true or false"
            hint = _as_text(dtype) if key == DOCUMENT_ID else f" (of CSV: dtypes={{{key!r}: 'boolean'}})"
            raise DatasetError(f"column {key!r} holds {dtype}, expected {expected}{hint}")
        return Kind.ABSENT if pt.is_null(dtype) else Kind.PLAIN

    return plan_named(schema, where, DELETION_KEYS, kind, what="a deletion", required=(DOCUMENT_ID,))


def plan_named(
    schema: pa.Schema,
    where: str,
    known: Mapping[str, str],
    kind: Callable[[str, pa.DataType], Kind],
    *,
    what: str,
    required: Sequence[str],
) -> list[Column]:
    """
    Return the columns of a dataset that may have certain ones only, ``documentId`` first.

    :param known: lower-case name to key
    :param kind: how a column of a type is encoded; raises ``DatasetError`` when it cannot be
    :param what: what a row is, for the error
    :param required: keys that must be there
    :raises DatasetError: one is missing, of the wrong type, or has no place there
    """
    _refuse_equal_names(schema.names, where)
    columns = []
    for field in schema:
        key = known.get(field.name.lower())
        if key is None:
            others = [one for one in known.values() if one not in required]
            optional = f" and, optionally, {', '.join(others)}" if others else ""
            raise DatasetError(
                f"{where}: column {field.name!r} has no place in {what}: expected {', '.join(required)}"
                f"{optional}. Is this a dataset of documents?"
            )
        try:
            columns.append(Column(field.name, key, kind(key, field.type)))
        except DatasetError as error:
            raise DatasetError(f"{where}: {error}") from None
    missing = [key for key in required if key not in {column.key for column in columns}]
    if DOCUMENT_ID in missing:
        raise DatasetError(f"{where}: {_missing_id(schema.names)}")
    if missing:
        raise DatasetError(f"{where}: column {missing[0]} is missing; {what} needs {', '.join(required)}")
    return sorted(columns, key=lambda column: column.key != DOCUMENT_ID)


def _missing_id(names: Iterable[str]) -> str:
    present = ", ".join(sorted(names)) or "none at all"
    return f"column documentId is missing; the columns are: {present}. A DocumentMapping can make it"


def _refuse_equal_names(names: Iterable[str], where: str) -> None:
    """Refuse keys that differ in case only: to the API they are equal, and INVALID_JSON (docs 95)."""
    spellings: dict[str, str] = {}
    for name in names:
        if not name.strip():
            raise DatasetError(f"{where}: a column has no name")
        if name.lower() in spellings:
            raise DatasetError(
                f"{where}: columns {spellings[name.lower()]!r} and {name!r} are the same key to the API, which "
                "ignores case; rename or drop one of them"
            )
        spellings[name.lower()] = name


def _kind(key: str, dtype: pa.DataType) -> Kind:
    """Return how a column is encoded, or say why it cannot be."""
    if pt.is_null(dtype):
        if key == DOCUMENT_ID:
            raise DatasetError("column documentId is empty in every row")
        return Kind.ABSENT
    if key == ORDERING_ID:
        raise DatasetError(f"column {ORDERING_ID} cannot be sent with an item: the service assigns it")
    if key == PERMISSIONS:
        return _permissions_kind(dtype)
    if key == BINARY_DATA and is_binary(dtype):
        return Kind.BINARY
    if key in DOCUMENT_KEYS.values():
        if not is_text(dtype):
            hint = (
                " (only compressedBinaryData may hold bytes)" if key in BODY_KEYS and is_binary(dtype) else ""
            )
            raise DatasetError(f"column {key} holds {dtype}, expected strings{hint}{_as_text(dtype)}")
        return {CONTENT_URI: Kind.CONTENT, CONTENT_OWNERS: Kind.ABSENT}.get(key, Kind.PLAIN)
    kind = _metadata_kind(dtype)
    if kind is not None and pt.is_struct(dtype):
        _refuse_equal_fields(key, dtype)
    if kind is None:
        raise DatasetError(
            f"column {key!r} holds {dtype}, which the API does not take as metadata: expected strings, "
            "numbers, booleans, dates, lists of these, or a flat object for a dictionary field. Cast it or "
            "drop it"
        )
    return kind


def _as_text(dtype: pa.DataType) -> str:
    """Return how numbers become texts, by where they come from."""
    if not (pt.is_integer(dtype) or pt.is_floating(dtype) or pt.is_boolean(dtype)):
        return ""
    return (
        ". Read a column of CSV as text, with its name in dtypes={'…': 'string'}; cast any other, with "
        "frame['…'].astype('string')"
    )


def _permissions_kind(dtype: pa.DataType) -> Kind:
    if is_text(dtype):
        return Kind.JSON_TEXT
    if is_list(dtype) and (pt.is_struct(dtype.value_type) or pt.is_null(dtype.value_type)):
        _refuse_equal_fields(PERMISSIONS, dtype)
        check_permissions_type(dtype)
        return Kind.PERMISSIONS
    raise DatasetError(
        f"column permissions holds {dtype}, expected a list of permission sets or levels, or JSON text of one"
    )


def _metadata_kind(dtype: pa.DataType) -> Kind | None:
    scalar = _scalar_kind(dtype)
    if scalar is not None:
        return scalar
    if is_list(dtype):
        element = _scalar_kind(dtype.value_type)
        if element is Kind.PLAIN and not pt.is_dictionary(dtype.value_type):
            return Kind.LIST
        if pt.is_float32(dtype.value_type) or pt.is_float64(dtype.value_type):
            return Kind.FLOATS
        return Kind.VALUES if element is not None or pt.is_null(dtype.value_type) else None
    if pt.is_struct(dtype):  # a dictionary field: one level of pairs (docs 2036)
        return Kind.VALUES if all(_is_entry(field.type) for field in dtype) else None
    if pt.is_map(dtype):
        return Kind.VALUES if is_text(dtype.key_type) and _is_entry(dtype.item_type) else None
    return None


def _is_entry(dtype: pa.DataType) -> bool:
    return pt.is_null(dtype) or _scalar_kind(dtype) is not None


def _scalar_kind(dtype: pa.DataType) -> Kind | None:
    if pt.is_dictionary(dtype):
        return _scalar_kind(dtype.value_type)
    if is_text(dtype) or pt.is_boolean(dtype) or pt.is_integer(dtype):
        return Kind.PLAIN
    if pt.is_floating(dtype):
        return Kind.FLOAT
    if pt.is_decimal(dtype):  # wider ones than polars knows go value by value
        return Kind.DECIMAL if dtype.bit_width <= 128 and 0 <= dtype.scale <= dtype.precision else Kind.VALUES
    if pt.is_timestamp(dtype) or pt.is_date(dtype):
        return Kind.MOMENT
    return None


def _refuse_equal_fields(key: str, dtype: pa.DataType) -> None:
    """Refuse a key that stands twice; a dictionary's may differ in case only, the API's own may not."""
    if is_list(dtype):
        _refuse_equal_fields(key, dtype.value_type)
    elif pt.is_struct(dtype):
        names = set()
        for field in dtype:
            name = field.name.lower() if key == PERMISSIONS else field.name
            if name in names:
                raise DatasetError(f"column {key} has key {field.name!r} twice in one object")
            names.add(name)
            _refuse_equal_fields(key, field.type)

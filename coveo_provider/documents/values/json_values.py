"""
One value, one document → JSON.

The rules of the dataset contract, value by value: null, NaN and NaT mean absent, timestamps become ISO 8601
UTC with ``Z``, decimals keep their digits. The encoder of whole batches follows the same rules and is tested
against this module.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Mapping
from datetime import date, datetime, timezone
from decimal import Decimal
from typing import Any

import orjson

from coveo_provider.documents.contract import (
    BODY_KEYS,
    COMPRESSION_TYPES,
    CONTENT_URI,
    DOCUMENT_ID,
    DOCUMENT_KEYS,
    FILE_EXTENSION_PATTERN,
    RESERVED_KEYS,
    URI_EXPECTED,
    URI_PATTERN,
    shown,
)
from coveo_provider.documents.permissions.models import needlessly_named, normal, warn_of_public
from coveo_provider.errors import DocumentError

_URI = re.compile(URI_PATTERN)
_EXTENSION = re.compile(FILE_EXTENSION_PATTERN)
_ABSENT = object()
_PERMISSIONS_DEPTH = 8  # a list of levels, of sets, of identities, with room to spare
_DIGITS = 400  # written out; a 64-bit float ends at 308


def encode_document(document: Mapping[str, Any]) -> bytes:
    """
    Return one document as the JSON the API takes.

    :param document: keys of DocumentBody and metadata to values; ``documentId`` is required
    :raises DocumentError: names the key at fault
    """
    given_id = next((value for key, value in document.items() if str(key).lower() == "documentid"), "")
    name = shown(given_id)
    body: dict[str, Any] = {}
    seen: dict[str, str] = {}
    for given, value in document.items():
        if not isinstance(given, str) or not given.strip():
            raise DocumentError(name, f"key {given!r} is not a name")
        twin = seen.setdefault(given.lower(), given)
        if twin != given:
            raise DocumentError(name, f"keys {twin!r} and {given!r} are the same key to the API")
        key = DOCUMENT_KEYS.get(given.lower(), given)
        if key == "orderingId":
            raise DocumentError(name, "orderingId cannot be sent with an item: the service assigns it")
        try:
            cleaned = _cleaned(key, value)
        except (ValueError, RecursionError) as error:
            raise DocumentError(name, f"{key}: {error}") from None
        if cleaned is _ABSENT:
            continue
        if key == CONTENT_URI:  # whoever reads the file puts its content here instead
            raise DocumentError(
                name,
                f"{CONTENT_URI} names a file, which is read by operators only; pass compressedBinaryData",
            )
        body[key] = cleaned
    _check(name, body)
    body = {DOCUMENT_ID: body.pop(DOCUMENT_ID), **body}
    if needlessly_named(body.get("permissions", [])):
        warn_of_public(name)
    try:
        return dump(body)
    except TypeError as error:  # a lone surrogate, an integer beyond 64 bits
        raise DocumentError(name, f"{_unwritable(body)!r} cannot be JSON: {error}") from None


def _unwritable(body: dict[str, Any]) -> str:
    """Return the key at fault in a document that cannot be JSON as a whole."""
    for key, value in body.items():
        try:
            dump({key: value})
        except TypeError:
            break
    return key


def _cleaned(key: str, value: Any) -> Any:
    if key == "permissions":
        return permissions(value)
    if key == "compressedBinaryData" and isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return plain(value, depth=1)


def _check(name: str, body: dict[str, Any]) -> None:
    identifier = body.get(DOCUMENT_ID)
    if identifier is None:
        raise DocumentError("without an id", f"documentId is missing: expected {URI_EXPECTED}")
    if not isinstance(identifier, str) or not _URI.fullmatch(identifier):
        raise DocumentError(name, f"documentId is not {URI_EXPECTED}")
    bodies = [key for key in BODY_KEYS if key in body]
    if len(bodies) > 1:
        raise DocumentError(name, f"has {' and '.join(bodies)}: expected one body property at most")
    for key in RESERVED_KEYS.values():
        if key != "permissions" and key in body and not isinstance(body[key], str):
            raise DocumentError(name, f"{key} is {type(body[key]).__name__}, expected a string")
    if "compressionType" in body:
        body["compressionType"] = body["compressionType"].upper()
        if body["compressionType"] not in COMPRESSION_TYPES:
            raise DocumentError(name, f"compressionType is not one of {', '.join(COMPRESSION_TYPES)}")
    if "fileExtension" in body and not _EXTENSION.fullmatch(body["fileExtension"]):
        raise DocumentError(name, "fileExtension needs a leading dot, such as .html")
    if "parentId" in body and not _URI.fullmatch(body["parentId"]):
        raise DocumentError(name, f"parentId is not {URI_EXPECTED}")


def permissions(value: Any) -> Any:
    """
    Return ``permissions`` in the API's spelling, checked, or the mark for absence.

    :param value: a list of permission sets or levels, the JSON text of one, or the models of either
    :raises ValueError: says what cannot be sent
    """
    if isinstance(value, str):
        try:
            value = json.loads(value, object_pairs_hook=_distinct, parse_constant=_no_number)
        except RecursionError:
            raise ValueError("is nested deeper than the API takes") from None
        except json.JSONDecodeError as error:
            raise ValueError(f"is not JSON ({error}): expected a list of permission sets or levels") from None
        if value is None:
            raise ValueError("is null, expected a list of permission sets or levels")
    if hasattr(value, "to_json"):
        value = value.to_json()
    elif isinstance(value, (list, tuple)):
        value = [entry.to_json() if hasattr(entry, "to_json") else entry for entry in value]
    cleaned = plain(value, _PERMISSIONS_DEPTH)
    if cleaned is _ABSENT:
        return _ABSENT
    if not isinstance(cleaned, list) or not all(isinstance(entry, dict) for entry in cleaned):
        raise ValueError("is not a list of permission sets or levels")
    return normal(cleaned)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """One of two equal keys would be lost, and with it perhaps a denial."""
    seen = set()
    for key, _ in pairs:
        if key.lower() in seen:
            raise ValueError(f"has key {key!r} twice in one object")
        seen.add(key.lower())
    return dict(pairs)


def _no_number(text: str) -> None:
    raise ValueError(f"holds {text}, which is no JSON number")


def plain(value: Any, depth: int) -> Any:
    """
    Return ``value`` as JSON can hold it, without what is absent, or the mark for absence.

    :param depth: how many levels of lists and objects may be nested
    :raises ValueError: says what cannot be sent
    """
    if type(value).__module__ == "numpy" and hasattr(value, "dtype"):
        value = _python(value)
    if value is None or (isinstance(value, float) and math.isnan(value)) or type(value).__name__ == "NAType":
        return _ABSENT
    if isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        if math.isinf(value):
            raise ValueError("infinity is no JSON number")
        return value
    if isinstance(value, Decimal):
        if value.is_nan():
            return _ABSENT
        if value.is_infinite():
            raise ValueError("infinity is no JSON number")
        if max(abs(value.adjusted()), len(value.as_tuple().digits)) >= _DIGITS:
            raise ValueError(f"a number of {_DIGITS} digits and more")
        return orjson.Fragment(format(value, "f"))
    if isinstance(value, datetime):
        return _ABSENT if value != value else iso(value)
    if isinstance(value, date):
        return f"{value.isoformat()}T00:00:00Z"
    if isinstance(value, (list, tuple, Mapping)) and depth <= 0:
        raise ValueError("is nested deeper than the API takes")
    if isinstance(value, (list, tuple)):
        elements = (plain(element, depth - 1) for element in value)
        return [element for element in elements if element is not _ABSENT]
    if isinstance(value, Mapping):
        if any(not isinstance(key, str) for key in value):
            raise ValueError("holds an object with a key that is no text")
        pairs = ((key, plain(element, depth - 1)) for key, element in value.items())
        return {key: element for key, element in pairs if element is not _ABSENT}
    raise ValueError(f"{type(value).__name__} is no JSON value")


def _python(value: Any) -> Any:
    """Return a value of numpy as Python's own, or a list whose elements are still to be taken so."""
    kind = value.dtype.kind
    short = kind == "f" and value.dtype.itemsize < 8
    if kind == "m":
        raise ValueError("a duration is no JSON value")
    if value.ndim and (kind == "M" or short):
        return list(value)
    if kind == "M":
        moment = value.astype("M8[us]").tolist()
        if isinstance(moment, int):
            raise ValueError("holds a date outside the years 1 to 9999")
        nanoseconds = int(value.astype("i8")) % 1_000 if value.dtype == "M8[ns]" else 0
        return moment and iso(moment, nanoseconds)
    if short:  # 0.1, not 0.10000000149011612
        return float(str(value.astype("f4")[()]))
    return value.tolist()


def iso(moment: datetime, nanoseconds: int = 0) -> str:
    """
    Return a moment as ISO 8601 UTC with ``Z``; a naive one is taken as UTC.

    :param nanoseconds: what it has beyond its microseconds
    :raises ValueError: in UTC it lies outside the years 1 to 9999
    """
    try:
        naive = moment.utcoffset() is None
        utc = moment.replace(tzinfo=timezone.utc) if naive else moment.astimezone(timezone.utc)
    except OverflowError:
        raise ValueError("holds a date outside the years 1 to 9999") from None
    text = utc.replace(tzinfo=None).isoformat(timespec="microseconds")
    nanoseconds = getattr(moment, "nanosecond", nanoseconds)  # pandas.Timestamp has its own
    if nanoseconds:
        return f"{text}{nanoseconds:03d}Z"
    if utc.microsecond == 0:
        return f"{text[:-7]}Z"
    return f"{text[:-3] if utc.microsecond % 1000 == 0 else text}Z"


def dump(value: Any) -> bytes:
    """Return JSON as compact UTF-8 bytes."""
    return orjson.dumps(value)


def json_text(value: Any) -> str | None:
    """Return a value of metadata as JSON text, or ``None`` when it is absent."""
    cleaned = plain(value, depth=1)
    return None if cleaned is _ABSENT else dump(cleaned).decode()


def permissions_text(value: Any) -> str | None:
    """Return ``permissions`` as JSON text, or ``None`` when they are absent."""
    cleaned = permissions(value)
    return None if cleaned is _ABSENT else dump(cleaned).decode()

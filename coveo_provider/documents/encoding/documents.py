"""One document given as a mapping → the JSON the API takes."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

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
from coveo_provider.documents.permissions.reading import read_permissions
from coveo_provider.documents.permissions.spelling import needlessly_named, warn_of_public
from coveo_provider.documents.values.json_values import ABSENT, dump, json_value
from coveo_provider.errors import DocumentError

_URI = re.compile(URI_PATTERN)
_EXTENSION = re.compile(FILE_EXTENSION_PATTERN)


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
        if cleaned is ABSENT:
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
        return read_permissions(value)
    if key == "compressedBinaryData" and isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return json_value(value, depth=1)


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

"""One document given as a mapping → the JSON the API takes."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from coveo_provider.documents.contract import (
    BINARY_DATA,
    BODY_KEYS,
    COMPRESSION_TYPE,
    CONTENT_OWNERS,
    CONTENT_URI,
    DOCUMENT_ID,
    DOCUMENT_KEYS,
    ORDERING_ID,
    PERMISSIONS,
    RESERVED_KEYS,
    shown,
)
from coveo_provider.documents.encoding.checks import ID_IS_NO_URI, ID_MISSING, TEXT_RULES, is_uri
from coveo_provider.documents.permissions.reading import read_permissions
from coveo_provider.documents.permissions.spelling import needlessly_named, warn_of_public
from coveo_provider.documents.values.json_values import ABSENT, dump, json_value
from coveo_provider.errors import DocumentError


def encode_document(document: Mapping[str, Any]) -> bytes:
    """
    Return one document as the JSON the API takes (docs 78, DocumentBody).

    :param document: keys of DocumentBody and metadata to values; ``documentId`` is required
    :raises DocumentError: names the key at fault
    """
    name = shown(next((value for key, value in document.items() if str(key).lower() == "documentid"), ""))
    body = _body(document, name)
    _check(body, name)
    body = {DOCUMENT_ID: body.pop(DOCUMENT_ID), **body}
    if needlessly_named(body.get(PERMISSIONS, [])):
        warn_of_public(name)
    try:
        return dump(body)
    except TypeError as error:  # a lone surrogate, an integer beyond 64 bits
        raise DocumentError(name, f"{_unwritable(body)!r} cannot be JSON: {error}") from None


def _body(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return what is present of a document, by keys in the API's spelling."""
    body: dict[str, Any] = {}
    spellings: dict[str, str] = {}
    for written, value in document.items():
        if not isinstance(written, str) or not written.strip():
            raise DocumentError(name, f"key {written!r} is not a name")
        twin = spellings.setdefault(written.lower(), written)
        if twin != written:
            raise DocumentError(name, f"keys {twin!r} and {written!r} are the same key to the API")
        key = DOCUMENT_KEYS.get(written.lower(), written)
        if key == ORDERING_ID:
            raise DocumentError(name, f"{ORDERING_ID} cannot be sent with an item: the service assigns it")
        try:
            cleaned = _cleaned(key, value)
        except (ValueError, RecursionError) as error:
            raise DocumentError(name, f"{key}: {error}") from None
        if cleaned is ABSENT:
            continue
        if key in (CONTENT_URI, CONTENT_OWNERS):  # whoever reads the file puts its content here instead
            raise DocumentError(
                name, f"{key} names a file, which is read by operators only; pass {BINARY_DATA}"
            )
        body[key] = cleaned
    return body


def _cleaned(key: str, value: Any) -> Any:
    if key == PERMISSIONS:
        return read_permissions(value)
    if key == BINARY_DATA and isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return json_value(value, depth=1)


def _check(body: dict[str, Any], name: str) -> None:
    if DOCUMENT_ID not in body:
        raise DocumentError("without an id", ID_MISSING)
    if not is_uri(body[DOCUMENT_ID]):
        raise DocumentError(name, ID_IS_NO_URI)
    bodies = [key for key in BODY_KEYS if key in body]
    if len(bodies) > 1:
        raise DocumentError(name, f"has {' and '.join(bodies)}: expected one body property at most")
    for key in RESERVED_KEYS.values():
        if key != PERMISSIONS and key in body and not isinstance(body[key], str):
            raise DocumentError(name, f"{key} is {type(body[key]).__name__}, expected a string")
    if COMPRESSION_TYPE in body:
        body[COMPRESSION_TYPE] = body[COMPRESSION_TYPE].upper()
    for key, pattern, problem in TEXT_RULES:
        if key in body and not re.fullmatch(pattern, body[key]):
            raise DocumentError(name, problem)


def _unwritable(body: dict[str, Any]) -> str:
    """Return the key at fault in a document that cannot be JSON as a whole."""
    for key, value in body.items():
        try:
            dump({key: value})
        except TypeError:
            break
    return key

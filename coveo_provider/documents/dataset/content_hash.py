"""
A hash of what a document says, to find out which documents changed.

Two encodings of the same document may differ in the order of keys, as columns with gaps in a batch come last, and
in how a number is written, as a column of whole numbers becomes one of fractions when a fraction joins it. Neither
means anything to the service, so neither changes the hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from hashlib import blake2b

import msgspec

from coveo_provider.documents.contract import BODY_KEYS, CONTENT_URI
from coveo_provider.documents.records import Encoded
from coveo_provider.documents.values.json_values import dump

HASH_VERSION = 1
"""Raised when the same document gets another hash than before: what was remembered is then of no use."""

HASH_BYTES = 16

_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_array = msgspec.json.Decoder(list[msgspec.Raw])
_NUMBER = frozenset(b"-0123456789")
_BODIES = frozenset({*BODY_KEYS, CONTENT_URI})


def content_hashes(encoded: Encoded, files: Sequence[bytes | None] | None = None) -> bytes:
    """
    Return the hashes of a batch's documents, :data:`HASH_BYTES` each, one after the other.

    :param files: of each document whose content is a file, what tells this state of the file from any other; the
        body in the JSON is then left out of account, as it only stands for the file
    """
    data = bytes(encoded.data)
    hashes = []
    start = 0
    for row, end in enumerate(encoded.ends.tolist()):
        fields = _object.decode(data[start : end - 1])
        start = end
        file = files[row] if files is not None else None
        if file is not None:
            fields = {key: value for key, value in fields.items() if key not in _BODIES}
        digest = blake2b(_canonical_object(fields), digest_size=HASH_BYTES)
        if file is not None:
            digest.update(file)
        hashes.append(digest.digest())
    return b"".join(hashes)


def _canonical_object(fields: dict[str, msgspec.Raw]) -> bytes:
    return b"{" + b",".join([_key(key) + _canonical(bytes(fields[key])) for key in sorted(fields)]) + b"}"


def _canonical(text: bytes) -> bytes:
    """Return a JSON value in the one form that all its spellings share."""
    first = text[0]
    if first in _NUMBER:
        return _canonical_number(text) if b"." in text or b"e" in text or b"E" in text else text
    if first == ord("{"):
        return _canonical_object(_object.decode(text))
    if first == ord("["):
        return b"[" + b",".join([_canonical(bytes(value)) for value in _array.decode(text)]) + b"]"
    return text


def _canonical_number(text: bytes) -> bytes:
    digits = format(Decimal(text.decode()), "f")
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    return b"0" if digits == "-0" else digits.encode()


@lru_cache(maxsize=10_000)
def _key(key: str) -> bytes:
    return dump(key) + b":"

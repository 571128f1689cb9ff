"""
A hash of what a document says, to find out which documents changed.

Two encodings of the same document may differ in the order of keys and in how a number is written. Neither means
anything to the service, so neither changes the hash: it is that of the canonical form.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from coveo_provider.documents.contract import BODY_KEYS, CONTENT_URI
from coveo_provider.documents.encoding.canonical import canonical_object
from coveo_provider.documents.records import Measured

HASH_VERSION = 1
"""Raised when the same document gets another hash than before: what was remembered is then of no use."""

HASH_BYTES = 16

_BODIES = (*BODY_KEYS, CONTENT_URI)


def content_hashes(measured: Measured, files: Sequence[bytes | None] | None = None) -> bytes:
    """
    Return the hashes of a batch's documents, :data:`HASH_BYTES` each, one after the other.

    :param files: of each document whose content is a file, what tells this state of the file from any other; the
        body in the JSON is then left out of account, as it only stands for the file
    """
    data = measured.canonical
    hashes = []
    start = 0
    for row, end in enumerate(measured.canonical_ends.tolist()):
        text = data[start:end]
        start = end
        file = files[row] if files is not None else None
        if file is None:
            hashes.append(blake2b(text, digest_size=HASH_BYTES).digest())
        else:
            rest = canonical_object(bytes(text), without=_BODIES)
            hashes.append(blake2b(rest + file, digest_size=HASH_BYTES).digest())
    return b"".join(hashes)

"""
Documents with placeholders → documents with the contents of the files they name.

A content goes inline, as Base64, while the whole document stays below its limit, which is measured on the
document as it is sent; else through a file container of its own, and the placeholder waits for its id.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

import numpy as np

from coveo_provider.documents.contents.columns import document_with_placeholder
from coveo_provider.documents.contents.files import Attachment, Content, ContentFile, ContentSpool
from coveo_provider.documents.contract import (
    BINARY_DATA,
    COMPRESSION_TYPE,
    DOCUMENT_ID,
    FILE_ID,
    MIB,
    PUSH_ITEM_BYTES,
    shown,
)
from coveo_provider.documents.encoding.batches import Encoded
from coveo_provider.documents.values.json_values import encode_document
from coveo_provider.errors import DocumentTooLarge

_PIECE_BYTES = 4 * MIB  # of JSON held at once, and one document


def fill(encoded: Encoded, contents: ContentSpool, item_limit: int) -> Iterator[Encoded]:
    """
    Read the files that documents name, and return the documents with their contents, in pieces.

    :param item_limit: a document up to it has its content inline, in bytes
    :raises DocumentError: a file is missing, no file, or too large for a container
    :raises ContentUnavailable: the storage failed in a way that may pass
    """
    if not encoded.files:
        yield encoded
        return
    text = bytes(encoded.data)
    read = contents.read(encoded.files[row] for row in sorted(encoded.files))
    piece = _Piece(0)
    start = 0
    for row, end in enumerate(encoded.ends.tolist()):
        if row in encoded.files:
            piece.fill(text[start:end], encoded.files[row], next(read), item_limit)
        else:
            piece.add(text[start:end])
        start = end
        if len(piece.data) >= _PIECE_BYTES:
            yield piece.sealed(encoded)
            piece = _Piece(row + 1)
    if piece.sizes:
        yield piece.sealed(encoded)


class _Piece:
    """Some rows of a batch, with their contents."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.data = bytearray()
        self.sizes: list[int] = []
        self.attachments: list[Attachment] = []

    def add(self, *texts: bytes) -> None:
        for text in texts:
            self.data += text
        self.sizes.append(sum(map(len, texts)))

    def fill(self, text: bytes, file: ContentFile, content: Content, item_limit: int) -> None:
        named = f'"{FILE_ID}":"{file.token}"'.encode()
        key = f'"{BINARY_DATA}":"'.encode()
        before, _, after = text.partition(named)
        inline = len(before) + len(key) + 4 * -(-content.size // 3) + len(b'"') + len(after) - len(b",")
        if inline <= item_limit:
            self.add(before, key, b64encode(content.path.read_bytes()), b'"', after)
            content.path.unlink()
        else:
            offset = len(self.data) + len(before) + len(f'"{FILE_ID}":')
            self.attachments.append(Attachment(file.document_id, content.path, content.size, offset))
            self.add(text)

    def sealed(self, encoded: Encoded) -> Encoded:
        rows = slice(self.first, self.first + len(self.sizes))
        return Encoded(
            memoryview(self.data),
            np.fromiter(accumulate(self.sizes), np.int64),
            encoded.id_hashes[rows],
            None if encoded.field_hashes is None else encoded.field_hashes[rows],
            attachments=self.attachments,
        )


@dataclass(frozen=True)
class Item:
    """
    One document, ready for a call of its own.

    :param body: its JSON, without ``compressionType``, which such a call takes apart
    :param compression: that type, ``None`` when the document has none
    :param attachments: its content, when that goes through a container of its own
    """

    document_id: str
    body: bytes = field(repr=False)
    compression: str | None
    attachments: Sequence[Attachment]


def encode_item(document: Mapping[str, Any], contents: ContentSpool) -> Item:
    """
    Return one document as the call for single items takes it, its content read.

    :param document: keys of DocumentBody, ``contentUri`` and metadata to values
    :raises DocumentError: names the key at fault, or the file
    :raises ContentUnavailable: the storage failed in a way that may pass
    """
    given, file = document_with_placeholder(document)
    values = {str(key).lower(): value for key, value in given.items()}
    identifier, compression = values.get(DOCUMENT_ID.lower()), values.get(COMPRESSION_TYPE.lower())
    if identifier is not None and compression is not None:  # checked here, as it is not part of what follows
        encode_document({DOCUMENT_ID: identifier, COMPRESSION_TYPE: compression})
    sent = {key: value for key, value in given.items() if str(key).lower() != COMPRESSION_TYPE.lower()}
    text = encode_document(sent) + b","
    wanted = {} if file is None else {0: file}
    whole = Encoded(memoryview(text), np.array([len(text)], np.int64), np.zeros(1, np.uint64), files=wanted)
    (filled,) = fill(whole, contents, PUSH_ITEM_BYTES)
    body = bytes(filled.data)[:-1]
    if len(body) > PUSH_ITEM_BYTES:
        raise DocumentTooLarge(shown(identifier), len(body), PUSH_ITEM_BYTES)
    kind = compression.upper() if isinstance(compression, str) else None  # NaN is none
    return Item(str(identifier), body, kind, filled.attachments)

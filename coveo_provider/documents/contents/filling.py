"""
Documents with placeholders → documents with the contents of the files they name.

A content goes inline, as Base64, while the whole document stays below its limit, which is measured on the
document as it is sent; else through a file container of its own, and the placeholder waits for its id.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from itertools import accumulate

import numpy as np

from coveo_provider.documents.contents.files import Content, ContentSpool
from coveo_provider.documents.contract import BINARY_DATA, FILE_ID, MIB
from coveo_provider.documents.records import Attachment, ContentFile, Encoded

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

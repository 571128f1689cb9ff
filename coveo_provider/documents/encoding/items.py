"""One document → what the call for single items takes, its content read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from coveo_provider.documents.contents.columns import document_with_placeholder
from coveo_provider.documents.contents.files import ContentSpool
from coveo_provider.documents.contents.filling import fill
from coveo_provider.documents.contract import COMPRESSION_TYPE, DOCUMENT_ID, PUSH_ITEM_BYTES, shown
from coveo_provider.documents.encoding.documents import encode_document
from coveo_provider.documents.records import Attachment, Encoded
from coveo_provider.errors import DocumentTooLarge


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
    filled, file = document_with_placeholder(document)
    values = {str(key).lower(): value for key, value in filled.items()}
    identifier, compression = values.get(DOCUMENT_ID.lower()), values.get(COMPRESSION_TYPE.lower())
    if identifier is not None and compression is not None:  # checked here, as it is not part of what follows
        encode_document({DOCUMENT_ID: identifier, COMPRESSION_TYPE: compression})
    sent = {key: value for key, value in filled.items() if str(key).lower() != COMPRESSION_TYPE.lower()}
    text = encode_document(sent) + b","
    wanted = {} if file is None else {0: file}
    whole = Encoded(memoryview(text), np.array([len(text)], np.int64), np.zeros(1, np.uint64), files=wanted)
    (complete,) = fill(whole, contents, PUSH_ITEM_BYTES)
    body = bytes(complete.data)[:-1]
    if len(body) > PUSH_ITEM_BYTES:
        raise DocumentTooLarge(shown(identifier), len(body), PUSH_ITEM_BYTES)
    kind = compression.upper() if isinstance(compression, str) else None  # NaN is none
    return Item(str(identifier), body, kind, complete.attachments)

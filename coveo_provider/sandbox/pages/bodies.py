"""The body of an item, for looking at and for downloading."""

from __future__ import annotations

import base64
import lzma
import zlib
from dataclasses import dataclass
from typing import Any

_MOST_CHARACTERS = 20_000
_LZMA_BYTES = 256 * 1024 * 1024  # a header may ask for a dictionary of 4 GB
_WINDOW_BITS = {"ZLIB": 15, "GZIP": 31, "DEFLATE": -15}


@dataclass(frozen=True)
class Body:
    """
    What came as an item's body.

    :param key: the reserved key it came by
    :param content: its bytes, still compressed where it came so
    :param text: its first 20,000 characters, empty where it is no text
    :param cut: whether there is more of the text
    """

    key: str
    content: bytes
    text: str
    cut: bool


def read(item: dict[str, Any], file: bytes | None) -> Body | None:
    """
    Give the body of an item, None when it has none.

    :param file: what came through a container of its own
    """
    if isinstance(data := item.get("data"), str):
        return Body("data", data.encode(), data[:_MOST_CHARACTERS], len(data) > _MOST_CHARACTERS)
    if file is not None:
        return _packed("compressedBinaryDataFileId", file, item)
    if isinstance(packed := item.get("compressedBinaryData"), str):
        return _packed("compressedBinaryData", base64.b64decode(packed), item)
    return None


def _packed(key: str, content: bytes, item: dict[str, Any]) -> Body:
    kind = str(item.get("compressionType", "UNCOMPRESSED")).upper()
    try:
        start = _start(content, kind)
        text = start.decode("utf-8", "strict" if len(start) < 4 * _MOST_CHARACTERS else "ignore")
    except (zlib.error, lzma.LZMAError, UnicodeDecodeError):
        text = ""
    return Body(key, content, text[:_MOST_CHARACTERS], len(text) > _MOST_CHARACTERS)


def _start(content: bytes, kind: str) -> bytes:
    """Unpack the start of a body, and no more than is shown of it."""
    most = 4 * _MOST_CHARACTERS
    if kind == "LZMA":
        return lzma.LZMADecompressor(memlimit=_LZMA_BYTES).decompress(content, most)
    if kind in _WINDOW_BITS:
        return zlib.decompressobj(_WINDOW_BITS[kind]).decompress(content, most)
    return content[:most]

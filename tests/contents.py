"""Files that are the contents of documents, and what became of them."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import zlib
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

import pyarrow as pa

from coveo_provider.documents.contents.files import OpenFile
from coveo_provider.sandbox import Sandbox

DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "UNCOMPRESSED": lambda data: data,
    "ZLIB": zlib.decompress,
    "GZIP": gzip.decompress,
    "LZMA": lambda data: lzma.decompress(data, lzma.FORMAT_XZ),
    "DEFLATE": lambda data: zlib.decompress(data, wbits=-zlib.MAX_WBITS),
}


def inline_content(item: Mapping[str, Any]) -> bytes:
    """Return what a document holds inline, decompressed as it says."""
    return DECOMPRESS[item["compressionType"]](b64decode(item["compressedBinaryData"], validate=True))


def content_of(sandbox: Sandbox, source_id: str, document_id: str) -> bytes:
    """Return the content the index holds of a document, whichever way it came."""
    text = sandbox.item_json(source_id, document_id)
    assert text is not None, f"{document_id} is not in the index"
    item = json.loads(text)
    if "compressedBinaryData" in item:
        return inline_content(item)
    kept = sandbox.file_content(source_id, document_id)
    assert kept is not None, f"no container came for {document_id}"
    return DECOMPRESS[item["compressionType"]](kept)


def opener(files: dict[str, bytes]) -> OpenFile:
    """Return what opens files that are held in memory."""

    @contextmanager
    def open_file(uri: str, roots: tuple[str, ...]) -> Iterator[IO[bytes]]:
        if uri not in files:
            raise FileNotFoundError(uri)
        yield io.BytesIO(files[uri])

    return open_file


def batch_of(**columns: Any) -> pa.RecordBatch:
    (batch,) = pa.table(columns).to_batches()
    return batch


def errors_in(sandbox: Sandbox, source_id: str) -> list[Any]:
    """Return the entries of a source's log that tell of something wrong."""
    return [entry for entry in sandbox.logs(source_id) if entry.result not in {"COMPLETED", "SKIPPED"}]

"""The parts of a side of the comparison: the datasets of now, or those of the last load."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import IO, Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from coveo_provider.documents.changes.datasets import WrittenDataset
from coveo_provider.documents.contract import BODY_KEYS, CONTENT_URI, DOCUMENT_ID, STREAM_ITEM_BYTES
from coveo_provider.documents.dataset.tables import Part
from coveo_provider.documents.encoding.batches import Encoder
from coveo_provider.documents.encoding.columns import plan_documents

_NO_LIMIT = 1000 * STREAM_ITEM_BYTES  # what is only looked at may be of any size

Opener = Callable[..., AbstractContextManager[IO[bytes]]]
"""Opens a path, checked against an entry of a manifest when one is given."""


@dataclass(frozen=True)
class StoredPart:
    """
    A part of a dataset, opened when it is looked at.

    :param name: its URI
    :param rows: how many it has
    :param open: opens it; raises ``DatasetError`` when it is not the file that was written
    """

    name: str
    rows: int
    open: Callable[[], AbstractContextManager[IO[bytes]]]


def stored_parts(datasets: Sequence[WrittenDataset], open_file: Opener) -> list[StoredPart]:
    """Return the parts of all datasets of a side, in order: their position is the number that goes for them."""
    return [
        StoredPart(
            str(dataset.folder / entry.name),
            entry.rows,
            partial(open_file, dataset.folder / entry.name, entry),
        )
        for dataset in datasets
        for entry in dataset.manifest.parts
    ]


def documents_at(
    parts: Sequence[StoredPart], chosen: Mapping[int, npt.NDArray[np.int64]]
) -> Iterator[tuple[int, int, dict[str, bytes]]]:
    """
    Return some documents, each with its part, its row, and its keys with the canonical JSON of their values.

    A content that is a file stands there by its URI, as it is not read.

    :param chosen: for the number of a part, the numbers of rows of it
    """
    decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
    for number, rows in chosen.items():
        part, wanted = parts[number], np.sort(rows)
        with part.open() as file:
            opened = Part(file, part.name)
            encoder = Encoder(opened.schema, where=part.name, item_limit=_NO_LIMIT)
            first = 0
            for batch in opened.batches():
                inside = wanted[(wanted >= first) & (wanted < first + len(batch))] - first
                if len(inside):
                    some = batch.take(pa.array(inside))
                    texts = _texts(encoder, some)
                    files = _files(some, part.name)
                    for row, text, file_uri in zip(inside.tolist(), texts, files, strict=True):
                        document = {key: bytes(value) for key, value in decode(text).items()}
                        yield number, first + row, _with_file(document, file_uri)
                first += len(batch)


def _texts(encoder: Encoder, batch: pa.RecordBatch) -> Iterator[memoryview]:
    measured = encoder.measure(batch)
    start = 0
    for end in measured.canonical_ends.tolist():
        yield measured.canonical[start:end]
        start = end


def _files(batch: pa.RecordBatch, where: str) -> list[Any]:
    name = next((one.name for one in plan_documents(batch.schema, where) if one.key == CONTENT_URI), None)
    return [None] * len(batch) if name is None else batch.column(name).to_pylist()


def _with_file(document: dict[str, bytes], uri: Any) -> dict[str, bytes]:
    document.pop(DOCUMENT_ID, None)
    if uri is not None:
        for key in BODY_KEYS:
            document.pop(key, None)
        document[CONTENT_URI] = msgspec.json.encode(str(uri))
    return document

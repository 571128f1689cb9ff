"""A sample of documents, the same for the same seed, and which of their fields change."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from coveo_provider.documents.contract import DOCUMENT_ID
from coveo_provider.planning.parts import StoredPart, documents_at

SHOWN_CHARACTERS = 200
"""The most of a value that is shown."""

_ID_CHARACTERS = 500

_SHOWN_CHANGES = 20  # of a document
_CONTENT = "content"
"""Goes for the bytes of a file that a document names, when nothing else of the document changed."""


def short(document_id: str) -> str:
    """Return an id as a plan shows it: cut where it is very long."""
    return document_id if len(document_id) <= _ID_CHARACTERS else f"{document_id[:_ID_CHARACTERS]}…"


class Sample:
    """
    The documents whose ids have the smallest hashes: each set of the same ids gives the same sample.

    :param seed: any text; another gives another sample
    :param most: how many are kept
    """

    def __init__(self, seed: str, most: int) -> None:
        self._seed = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big")
        self._most = most
        self._kept: pl.DataFrame | None = None

    def add(self, frame: pl.DataFrame) -> None:
        """Take further documents; their columns are kept along."""
        keyed = frame.with_columns(key=pl.col(DOCUMENT_ID).hash(self._seed))
        both = keyed if self._kept is None else pl.concat([self._kept, keyed])
        self._kept = both.bottom_k(self._most, by=["key", DOCUMENT_ID])

    def documents(self) -> pl.DataFrame:
        """Return the sample, in its order."""
        if self._kept is None:
            return pl.DataFrame({DOCUMENT_ID: []}, schema={DOCUMENT_ID: pl.String})
        return self._kept.sort("key", DOCUMENT_ID)

    def ids(self) -> list[str]:
        """Return the ids of the sample, in its order."""
        return [short(one) for one in self.documents()[DOCUMENT_ID].to_list()]


class FieldChanges:
    """
    Which fields change, in pairs of documents of now and of the last load.

    :param pairs: ``documentId``, ``part``, ``row``, ``former_part`` and ``former_row`` of each pair
    :param shown: of how many pairs, the first ones, the values are kept
    """

    def __init__(self, pairs: pl.DataFrame, shown: int) -> None:
        self._pairs = pairs
        self._shown = shown
        self.counts: dict[str, Counter[str]] = {}
        self.examples: list[dict[str, Any]] = []

    def compare(self, current: Sequence[StoredPart], former: Sequence[StoredPart]) -> None:
        """
        Read the pairs, and count.

        :raises DatasetError: a part is not there, or not the file that was written
        """
        before: dict[int, tuple[dict[str, bytes], dict[str, bytes]]] = {}
        for place, document in self._read(former, "former_part", "former_row"):
            before[place] = _hashed(document), document if place < self._shown else {}
        examples: dict[int, dict[str, Any]] = {}
        for place, document in self._read(current, "part", "row"):
            hashes, kept = before.pop(place)
            changes = _changes(hashes, _hashed(document))
            for name, how in changes.items():
                self.counts.setdefault(name, Counter())[how] += 1
            if place < self._shown:
                examples[place] = _example(self._pairs[DOCUMENT_ID][place], changes, kept, document)
        self.examples = [examples[place] for place in sorted(examples)]

    def _read(
        self, parts: Sequence[StoredPart], part: str, row: str
    ) -> Iterator[tuple[int, dict[str, bytes]]]:
        """Return the documents of a side, each with its place among the pairs."""
        places = {(p, r): place for place, (p, r) in enumerate(self._pairs.select(part, row).iter_rows())}
        for p, r, document in documents_at(parts, _rows_by_part(self._pairs, part, row)):
            yield places[p, r], document


def _rows_by_part(pairs: pl.DataFrame, part: str, row: str) -> dict[int, npt.NDArray[np.int64]]:
    rows = pairs.select(part, row).sort(part, row).partition_by(part, as_dict=True, maintain_order=True)
    return {number: frame[row].to_numpy().astype(np.int64) for (number,), frame in rows.items()}


def _hashed(document: dict[str, bytes]) -> dict[str, bytes]:
    """Return a document's values as hashes: of thousands of documents the values do not fit into memory."""
    return {key: hashlib.blake2b(value, digest_size=8).digest() for key, value in document.items()}


def _changes(before: dict[str, bytes], after: dict[str, bytes]) -> dict[str, str]:
    """Return how each field that is not as before changes: ``changed``, ``added`` or ``removed``."""
    changes = {}
    for name in {**before, **after}:
        if name not in before:
            changes[name] = "added"
        elif name not in after:
            changes[name] = "removed"
        elif before[name] != after[name]:
            changes[name] = "changed"
    return changes or {_CONTENT: "changed"}


def _example(
    document_id: str, changes: dict[str, str], before: dict[str, bytes], after: dict[str, bytes]
) -> dict[str, Any]:
    names = sorted(changes)
    return {
        DOCUMENT_ID: short(document_id),
        "changes": [
            {"field": name, "before": _shown(before.get(name)), "after": _shown(after.get(name))}
            for name in names[:_SHOWN_CHANGES]
        ],
        "more": max(0, len(names) - _SHOWN_CHANGES),
    }


def _shown(value: bytes | None) -> str | None:
    """Return a value's JSON, cut where it is long."""
    if value is None:
        return None
    text = value[: 4 * SHOWN_CHARACTERS + 4].decode(errors="ignore")
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}…"

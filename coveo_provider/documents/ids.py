"""Duplicate ids, found in eight bytes a document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from coveo_provider.documents.contract import DOCUMENT_ID, shown
from coveo_provider.documents.tables import Part
from coveo_provider.errors import DatasetError

_NAMED = 3  # duplicates named in the error
_LOOKED_UP = 10_000  # suspects looked up at once, so that a dataset all doubled is no burden on memory


class IdLedger:
    """
    Remembers a hash of every ``documentId``, to tell whether one came twice.

    :param rows: how many are expected, so that memory is taken once: 8 bytes each
    """

    def __init__(self, rows: int) -> None:
        self._hashes = np.empty(max(rows, 1), dtype=np.uint64)
        self._count = 0

    def add(self, hashes: npt.NDArray[np.uint64]) -> None:
        """Remember the hashes of a batch, as :class:`~coveo_provider.documents.encoding.Encoded` has them."""
        needed = self._count + len(hashes)
        if needed > len(self._hashes):
            grown = np.empty(max(needed, 2 * len(self._hashes)), dtype=np.uint64)
            grown[: self._count] = self._hashes[: self._count]
            self._hashes = grown
        self._hashes[self._count : needed] = hashes
        self._count = needed

    def repeated(self) -> npt.NDArray[np.uint64]:
        """Return the hashes that came more than once; nearly always none."""
        hashes = self._hashes[: self._count]
        hashes.sort()
        return np.unique(hashes[1:][hashes[1:] == hashes[:-1]])


def refuse_duplicates(ledger: IdLedger, parts: Sequence[Part]) -> None:
    """
    Refuse a dataset in which a ``documentId`` stands twice.

    Two equal hashes only raise a suspicion: the ids themselves are then read again and compared.

    :raises DatasetError: names the first few, and where they stand
    """
    suspects = ledger.repeated()
    for start in range(0, len(suspects), _LOOKED_UP):
        _refuse_among(suspects[start : start + _LOOKED_UP], len(suspects), parts)


def _refuse_among(suspects: npt.NDArray[np.uint64], total: int, parts: Sequence[Part]) -> None:
    counts: Counter[str] = Counter()
    where: dict[str, list[str]] = {}
    for part in parts:
        column = next(name for name in part.schema.names if name.lower() == DOCUMENT_ID.lower())
        for batch in part.batches([column]):
            ids = pl.Series(batch.column(0)).cast(pl.String)
            for identifier in ids.filter(ids.hash().is_in(suspects.tolist())):
                counts[identifier] += 1
                if part.name not in where.setdefault(identifier, []):
                    where[identifier].append(part.name)
    twice = [identifier for identifier, count in counts.items() if count > 1]
    if twice:
        named = "; ".join(
            f"{shown(identifier)} {counts[identifier]} times in {' and '.join(where[identifier][:_NAMED])}"
            for identifier in twice[:_NAMED]
        )
        least = "at least " if total > len(suspects) else ""
        more = f"; and {least}{len(twice) - _NAMED:,} more" if len(twice) > _NAMED else ""
        raise DatasetError(f"documentId must be unique, found {named}{more}")

"""Duplicate ids, found in bounded memory."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from typing import IO

import numpy as np
import numpy.typing as npt
import polars as pl

from coveo_provider.documents.contract import DOCUMENT_ID, shown
from coveo_provider.documents.tables import Part
from coveo_provider.errors import DatasetError

_RANGES = 64  # a power of two
_RANGE_SHIFT = np.uint64(64 - (_RANGES.bit_length() - 1))
_NAMED = 3  # duplicates named in the error
_LOOKED_UP = 10_000  # suspects looked up at once, so that a dataset all doubled is no burden on memory


class IdLedger:
    """
    Remembers a hash of every ``documentId``, to tell whether one came twice.

    What does not fit into memory lies on disk, sorted into ranges that are looked at one by one.

    :param held: hashes kept in memory, 8 bytes each
    """

    def __init__(self, held: int = 524_288) -> None:
        self._hashes = np.empty(held, dtype=np.uint64)
        self._count = 0
        self._ranges: list[IO[bytes]] = []

    def add(self, hashes: npt.NDArray[np.uint64]) -> None:
        """Remember the hashes of a batch, as :class:`~coveo_provider.documents.encoding.Encoded` has them."""
        while len(hashes):
            taken = hashes[: len(self._hashes) - self._count]
            self._hashes[self._count : self._count + len(taken)] = taken
            self._count += len(taken)
            hashes = hashes[len(taken) :]
            if self._count == len(self._hashes):
                self._spill()

    def repeated(self) -> npt.NDArray[np.uint64]:
        """Return the hashes that came more than once; nearly always none."""
        if not self._ranges:
            return _repeated(self._hashes[: self._count])
        self._spill()
        found = []
        for file in self._ranges:
            file.seek(0)
            found.append(_repeated(np.frombuffer(bytearray(file.read()), dtype=np.uint64)))
        return np.concatenate(found)

    def _spill(self) -> None:
        if not self._ranges:
            self._ranges = [tempfile.TemporaryFile(prefix="coveo-ids-") for _ in range(_RANGES)]  # noqa: SIM115
        hashes = self._hashes[: self._count]
        hashes.sort()
        bounds = np.searchsorted(hashes, np.arange(1, _RANGES, dtype=np.uint64) << _RANGE_SHIFT)
        for file, part in zip(self._ranges, np.split(hashes, bounds), strict=True):
            file.write(part.tobytes())
        self._count = 0


def _repeated(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
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

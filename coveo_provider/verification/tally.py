"""What the source's log says of each item of a load, in 24 bytes an item."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import Enum

import numpy as np
import numpy.typing as npt
import polars as pl

from coveo_provider.api.types import LogEntry

Ids = Callable[[], Iterable[Sequence[str]]]
"""Gives the ids of items, in batches, each time it is called."""

REFUSALS = frozenset({"ERROR", "REJECTED"})
DELETIONS = frozenset({"DELETE", "DELETE_AND_CHILDREN"})
"""Deletions by id."""
REMOVALS = DELETIONS | {"DELETE_OLDER_THAN"}


class Fate(Enum):
    """What became of an item."""

    UNKNOWN = 0
    DONE = 1
    REFUSED = 2


class Tally:
    """
    The fate of some items, as entry after entry of the log is added.

    An item may stand in the log several times: a task that was tried again sends it again. What counts is the entry
    with the latest ordering id; of a success and a refusal of one operation, the refusal.

    :param ids: the items
    :param warnings_refuse: whether a warning means that nothing was changed, as with partial updates of an item
        that does not exist (docs/api-notes.md, "Updates and partial updates")
    """

    def __init__(self, ids: Ids, *, warnings_refuse: bool = False) -> None:
        self._ids = ids
        hashes = [_hashed(batch) for batch in ids() if len(batch)]
        self._hashes = np.unique(np.concatenate(hashes)) if hashes else np.empty(0, np.uint64)
        self._done = np.full(len(self._hashes), -1, np.int64)
        self._refused = np.full(len(self._hashes), -1, np.int64)
        self._refusals = REFUSALS | {"WARNING"} if warnings_refuse else REFUSALS

    def __len__(self) -> int:
        """Return the number of different items."""
        return len(self._hashes)

    def add(self, entries: Sequence[LogEntry]) -> None:
        """Count in entries of the log; those of other items are passed over."""
        if not len(self._hashes) or not entries:
            return
        at, known = self._positions([entry.document_id for entry in entries])
        for entry, position, mine in zip(entries, at.tolist(), known.tolist(), strict=True):
            if not mine:
                continue
            moment = entry.ordering_id if entry.ordering_id is not None else entry.time_ms
            if entry.result in self._refusals:
                self._refused[position] = max(self._refused[position], moment)
            elif entry.task == "INDEXING" and entry.result in {"COMPLETED", "SKIPPED"}:
                self._done[position] = max(self._done[position], moment)

    @property
    def done(self) -> int:
        """How many items were indexed, or deleted."""
        return int(np.count_nonzero((self._done >= 0) & (self._done > self._refused)))

    @property
    def refused(self) -> int:
        """How many items were refused."""
        return int(np.count_nonzero((self._refused >= 0) & (self._refused >= self._done)))

    @property
    def unknown(self) -> int:
        """Of how many items the log says nothing yet."""
        return len(self) - self.done - self.refused

    def fates(self, ids: Sequence[str]) -> list[Fate | None]:
        """Return the fate of each item; ``None`` of one that is not among those counted."""
        if not len(self._hashes):
            return [None] * len(ids)
        at, known = self._positions(ids)
        return [self._fate(position) if mine else None for position, mine in zip(at, known, strict=True)]

    def named(self, fate: Fate) -> Iterator[str]:
        """Return the ids of all items with a fate."""
        for batch in self._ids():
            yield from (one for one, found in zip(batch, self.fates(batch), strict=True) if found is fate)

    def _fate(self, position: int) -> Fate:
        if self._refused[position] >= 0 and self._refused[position] >= self._done[position]:
            return Fate.REFUSED
        return Fate.DONE if self._done[position] >= 0 else Fate.UNKNOWN

    def _positions(self, ids: Sequence[str]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        hashes = _hashed(ids)
        at = np.searchsorted(self._hashes, hashes)
        known = self._hashes[np.minimum(at, len(self._hashes) - 1)] == hashes
        return np.minimum(at, len(self._hashes) - 1), known


def _hashed(ids: Sequence[str]) -> npt.NDArray[np.uint64]:
    return pl.Series(ids, dtype=pl.String).hash().to_numpy()

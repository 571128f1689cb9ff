"""A closer look at what a comparison finds: the documents themselves, by samples and in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from coveo_provider.documents.changes.comparison import Compared, Fate
from coveo_provider.documents.contract import DOCUMENT_ID
from coveo_provider.errors import DatasetError
from coveo_provider.identities.graph import IdentityGraph
from coveo_provider.planning.exposure import Exposure
from coveo_provider.planning.groups import Groups
from coveo_provider.planning.parts import StoredPart
from coveo_provider.planning.samples import FieldChanges, Sample

LOOKED_AT = 5_000
"""Changed documents that are read in both versions, to count the fields that change."""

_FIELDS = 50  # that change, listed


class Inspection:
    """
    Takes what a comparison tells of each document, share by share, and then reads the documents.

    Of documents it holds a byte each, four of the permissions' numbers on disk, and samples.

    :param current: the parts of now
    :param former: those of the last load; ``None`` when they are not there any more, or there was none
    :param scratch: a folder of its own
    :param seed: of the samples
    :param shown: of how many changed documents the values are shown
    """

    def __init__(
        self,
        current: Sequence[StoredPart],
        former: Sequence[StoredPart] | None,
        *,
        scratch: Path,
        seed: str,
        shown: int,
    ) -> None:
        self._current, self._former = current, former
        self._seed, self._shown = seed, shown
        self._fates: list[npt.NDArray[np.int8]] = [np.zeros(part.rows, np.int8) for part in current]
        self._lost = [np.zeros(part.rows, np.bool_) for part in former or ()]
        self._changed = Sample(seed, LOOKED_AT)
        self._new, self._gone = Sample(seed, shown), Sample(seed, shown)
        self._changes = 0
        self._exposure = Exposure(current, former, scratch)

    def __call__(self, compared: Compared) -> None:
        """Take a share of the documents, from a comparison."""
        _note(self._fates, compared.current, "part", "row", "fate")
        if self._former is not None:
            _note(self._lost, compared.lost, "former_part", "former_row", None)
        changed = compared.current.filter(pl.col("fate") == Fate.CHANGED)
        self._changes += len(changed)
        self._changed.add(changed.drop("fate"))
        self._new.add(compared.current.filter(pl.col("fate") == Fate.NEW).select(DOCUMENT_ID))
        self._gone.add(compared.lost.select(DOCUMENT_ID))
        self._exposure.add(compared)

    def groups(self, column: str) -> dict[str, Any] | None:
        """Return the documents by the value of a column; ``None`` where none has it."""
        groups = Groups(column)
        groups.add_current(self._current, self._fates)
        if self._former is not None:
            groups.add_gone(self._former, self._lost)
        return groups.as_json()

    def fields(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """
        Return which fields change, and a sample of documents with their values before and after.

        ``None`` when the former dataset is not there.
        """
        if self._former is None:
            return None
        pairs = self._changed.documents()
        changes = FieldChanges(pairs, self._shown)
        if len(pairs):
            changes.compare(self._current, self._former)
        order = sorted(changes.counts, key=lambda name: (-sum(changes.counts[name].values()), name))
        counts = [
            {"field": name, **{how: changes.counts[name][how] for how in ("changed", "added", "removed")}}
            for name in order[:_FIELDS]
        ]
        told = {
            "looked_at": len(pairs),
            "of": self._changes,
            "counts": counts,
            "more": max(0, len(order) - _FIELDS),
        }
        return told, {"documents": changes.examples}

    def sample(self) -> dict[str, Any]:
        """Return the seed, and ids of some documents that are new and that are gone."""
        return {"seed": self._seed, "new": self._new.ids(), "gone": self._gone.ids()}

    def access(self, graph: IdentityGraph | None) -> dict[str, Any] | None:
        """Return what changes of who may see what; ``None`` where no document has permissions."""
        return self._exposure.as_json(graph) if self._exposure.stated else None


def _note(
    kept: Sequence[npt.NDArray[Any]], frame: pl.DataFrame, part: str, row: str, value: str | None
) -> None:
    """Write down a value of each row, or that it is there, by its part and row."""
    for (number,), rows in frame.partition_by(part, as_dict=True).items():
        if not isinstance(number, int):
            raise DatasetError(f"a row of no part: {number!r}")
        kept[number][rows[row].to_numpy()] = True if value is None else rows[value].to_numpy()

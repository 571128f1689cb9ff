"""A closer look at what a comparison finds: the documents themselves, by samples and in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from coveo_provider.documents.changes.comparison import Compared, Fate
from coveo_provider.documents.contract import DOCUMENT_ID, PERMISSIONS
from coveo_provider.identities.graph import IdentityGraph
from coveo_provider.planning.columns import Column, read_columns
from coveo_provider.planning.exposure import Exposure, permission_values
from coveo_provider.planning.groups import Groups, group_values
from coveo_provider.planning.parts import StoredPart
from coveo_provider.planning.samples import FieldChanges, Sample

LOOKED_AT = 5_000
"""Changed documents that are read in both versions, to count the fields that change."""

_FIELDS = 50  # that change, listed


class Inspection:
    """
    Takes what a comparison tells of each document, share by share, and then reads some of the documents.

    Each part is read once for the columns of which all values count, and once for the sample. Of other documents it
    holds eight bytes each, on disk.

    :param current: the parts of now
    :param former: those of the last load; ``None`` when they are not there any more, or there was none
    :param scratch: a folder of its own
    :param group_by: the column by whose values documents are counted; empty for none
    :param seed: of the samples
    :param shown: of how many changed documents the values are shown
    :raises DatasetError: a part is not there, or not the file that was written
    """

    def __init__(
        self,
        current: Sequence[StoredPart],
        former: Sequence[StoredPart] | None,
        *,
        scratch: Path,
        group_by: str,
        seed: str,
        shown: int,
    ) -> None:
        self._current, self._former = current, former
        self._seed, self._shown = seed, shown
        self._changed = Sample(seed, LOOKED_AT)
        self._new, self._gone = Sample(seed, shown), Sample(seed, shown)
        self._changes = 0
        kept = [(PERMISSIONS, permission_values()), *([(group_by, group_values())] if group_by else [])]
        sides: list[list[Column]] = []
        for number, parts in enumerate([current] if former is None else [current, former]):
            rows = [part.rows for part in parts]
            columns = [
                Column(name, rows, scratch / f"column-{number}-{place}", distinct)
                for place, (name, distinct) in enumerate(kept)
            ]
            names = read_columns(parts, columns)
            if number == 0:
                self.columns = names
            sides.append(columns)
        now, before = sides[0], sides[1] if former is not None else [None] * len(kept)
        self._exposure = Exposure(now[0], before[0])
        self._groups = Groups(group_by, now[1], before[1]) if group_by else None

    @property
    def knows_former(self) -> bool:
        """Whether the datasets of the last load are looked at."""
        return self._former is not None

    def __call__(self, compared: Compared) -> None:
        """Take a share of the documents, from a comparison."""
        changed = compared.current.filter(pl.col("fate") == Fate.CHANGED)
        self._changes += len(changed)
        self._changed.add(changed.drop("fate", "sure"))
        self._new.add(compared.current.filter(pl.col("fate") == Fate.NEW).select(DOCUMENT_ID))
        self._gone.add(compared.lost.select(DOCUMENT_ID))
        self._exposure.add(compared)
        if self._groups is not None:
            self._groups.add(compared)

    def groups(self) -> dict[str, Any] | None:
        """Return the documents by the value of the column; ``None`` where none has it."""
        return None if self._groups is None else self._groups.as_json()

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

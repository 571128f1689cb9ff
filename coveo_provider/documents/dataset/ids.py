"""Items that a load names twice, or would delete by accident: found in bounded memory."""

from __future__ import annotations

import tempfile
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import IO, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from coveo_provider.documents.contract import DELETE_CHILDREN, DOCUMENT_ID, shown
from coveo_provider.documents.dataset.tables import Part
from coveo_provider.documents.encoding.partial_update_batches import pair_of
from coveo_provider.documents.encoding.partial_updates import REPLACE
from coveo_provider.documents.encoding.rows import Rows
from coveo_provider.errors import DatasetError

_RANGES = 64  # a power of two
_RANGE_SHIFT = np.uint64(64 - (_RANGES.bit_length() - 1))
_NAMED = 3  # duplicates named in the error
_MANY = np.uint64(1)  # the lowest bit of a hash: whether its id may come again among others with this bit
_LOOKED_UP = 10_000  # suspects looked up at once, so that a dataset all doubled is no burden on memory

Source: TypeAlias = "Part | Rows"


class IdLedger:
    """
    Remembers a hash of every ``documentId``, to tell whether one came twice.

    What does not fit into memory lies on disk, sorted into ranges that are looked at one by one.

    :param in_memory: hashes kept in memory, 8 bytes each
    """

    def __init__(self, in_memory: int = 524_288) -> None:
        self._hashes = np.empty(in_memory, dtype=np.uint64)
        self._count = 0
        self._ranges: list[IO[bytes]] = []

    def add(self, hashes: npt.NDArray[np.uint64], *, many: bool = False) -> None:
        """
        Remember the hashes of a batch, as :class:`~coveo_provider.documents.records.Encoded` has them.

        :param many: whether an id may come more than once among these; never among these and others
        """
        hashes = hashes | _MANY if many else hashes & ~_MANY
        while len(hashes):
            taken = hashes[: len(self._hashes) - self._count]
            self._hashes[self._count : self._count + len(taken)] = taken
            self._count += len(taken)
            hashes = hashes[len(taken) :]
            if self._count == len(self._hashes):
                self._spill()

    def repeated(self) -> npt.NDArray[np.uint64]:
        """Return the hashes that came more often than they may, lowest bit cleared; nearly always none."""
        if not self._ranges:
            return _repeated(self._hashes[: self._count])
        self._spill()
        repeated = []
        for file in self._ranges:
            file.seek(0)
            repeated.append(_repeated(np.frombuffer(bytearray(file.read()), dtype=np.uint64)))
        return np.concatenate(repeated)

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
    ids = hashes & ~_MANY
    doubled = ids[1:] == ids[:-1]
    allowed = (hashes[1:] & hashes[:-1] & _MANY).astype(bool)
    return np.unique(ids[1:][doubled & ~allowed])


def refuse_duplicates(ledger: IdLedger, parts: Sequence[Source], changes: Sequence[Source] = ()) -> None:
    """
    Refuse a load in which a ``documentId`` stands twice, or among the partial updates and elsewhere.

    Two equal hashes only raise a suspicion: the ids themselves are then read again and compared.

    :param parts: of documents and deletions
    :param changes: of partial updates, whose ids were added as ``many``
    :raises DatasetError: names the first few, and where they stand
    """
    suspects = ledger.repeated()
    for start in range(0, len(suspects), _LOOKED_UP):
        _refuse_among(suspects[start : start + _LOOKED_UP], len(suspects), parts, changes)


def _refuse_among(
    suspects: npt.NDArray[np.uint64], total: int, parts: Sequence[Source], changes: Sequence[Source]
) -> None:
    places: dict[str, Counter[str]] = {}  # of each id, how often it stands where
    for part in parts:
        for identifier in _suspected(part, suspects):
            places.setdefault(identifier, Counter())[part.name] += 1
    for part in changes if places else ():
        for identifier in _suspected(part, suspects):
            if identifier in places:  # however many partial updates of one part there are
                places[identifier][f"the partial updates of {part.name}"] = 1
    twice = {identifier: where for identifier, where in places.items() if where.total() > 1}
    if twice:
        named = "; ".join(
            f"{shown(identifier)} {where.total()} times in {' and '.join(list(where)[:_NAMED])}"
            for identifier, where in list(twice.items())[:_NAMED]
        )
        least = "at least " if total > len(suspects) else ""
        more = f"; and {least}{len(twice) - _NAMED:,} more" if len(twice) > _NAMED else ""
        raise DatasetError(
            f"documentId must be unique, found {named}{more}. Make ids of columns that together are unique, or "
            "leave out the rows that stand twice"
        )


def _suspected(part: Source, suspects: npt.NDArray[np.uint64]) -> Iterator[str]:
    """Return the ids of a part whose hash is among those of suspects."""
    for (ids,) in _texts(part, DOCUMENT_ID):
        yield from ids.filter(_among(ids, suspects))


def refuse_contradictions(ledger: IdLedger, changes: Sequence[Source]) -> None:
    """
    Refuse partial updates that change one field of an item in two ways.

    Elements may be appended to a list and others removed from it; but one field cannot be replaced twice, nor
    replaced and changed, as nothing says which comes first (docs/api-notes.md, "Updates and partial updates").

    :param ledger: saw the ``field_hashes`` of all entries
    :raises DatasetError: names the first
    """
    suspects = ledger.repeated()
    for start in range(0, len(suspects), _LOOKED_UP):
        for pair, operators in _operators(changes, suspects[start : start + _LOOKED_UP]).items():
            if len(operators) > 1 and (REPLACE in operators or len(set(operators)) < len(operators)):
                field, _, identifier = pair.partition("\n")
                raise DatasetError(
                    f"{shown(identifier)}: field {field} is changed by {len(operators)} partial updates "
                    f"({', '.join(operators[:_NAMED])}), and nothing says which comes first; send one"
                )


def _operators(changes: Sequence[Source], suspects: npt.NDArray[np.uint64]) -> dict[str, list[str]]:
    """Return what is done to each item and field whose hash is among those of suspects."""
    operators: dict[str, list[str]] = {}
    for part in changes:
        for ids, names, fields in _texts(part, DOCUMENT_ID, "operator", "field"):
            pairs = pl.Series([pair_of(i, f) for i, f in zip(ids, fields, strict=True)], dtype=pl.String)
            for row in np.flatnonzero(_among(pairs, suspects)).tolist():
                operators.setdefault(pairs[row], []).append(names[row])
    return operators


def swallowing(deletions: Sequence[Source]) -> list[str]:
    """
    Return the ids whose deletion takes children along, without those that another covers, sorted.

    The API takes as a child whatever *starts with* the id (docs/api-notes.md, "Deleting by prefix").
    """
    ids: set[str] = set()
    for part in deletions:
        if not isinstance(part, Part) or DELETE_CHILDREN.lower() in map(str.lower, part.schema.names):
            ids.update(_with_children(part))
    prefixes: list[str] = []
    for identifier in sorted(ids):
        if not prefixes or not identifier.startswith(prefixes[-1]):
            prefixes.append(identifier)
    return prefixes


def _with_children(part: Source) -> Iterator[str]:
    for ids, flags in _texts(part, DOCUMENT_ID, DELETE_CHILDREN):
        yield from ids.filter(flags == "true")


def refuse_swallowed(prefixes: Sequence[str], others: Sequence[Source]) -> None:
    """
    Refuse a load that adds or changes an item which one of its deletions would take along.

    :param prefixes: from :func:`swallowing`
    :raises DatasetError: names the first, and what would take it
    """
    for part in others if prefixes else ():
        for (ids,) in _texts(part, DOCUMENT_ID):
            for identifier in ids:
                prefix = prefixes[max(bisect_right(prefixes, identifier) - 1, 0)]
                if identifier.startswith(prefix):
                    raise DatasetError(
                        f"{shown(identifier)} in {part.name} would be deleted again: the deletion of "
                        f"{shown(prefix)} with deleteChildren takes every item along whose id starts with it. "
                        "Delete first, in a task of its own, or name the items to delete one by one"
                    )


def _among(ids: pl.Series, suspects: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    return np.isin(ids.hash().to_numpy() & ~_MANY, suspects)


def _texts(source: Source, *keys: str) -> Iterator[tuple[pl.Series, ...]]:
    """Return the columns of these keys as texts, batch by batch."""
    if isinstance(source, Rows):
        yield tuple(pl.Series(source.column(key), strict=False).cast(pl.String) for key in keys)
        return
    names = {name.lower(): name for name in source.schema.names}
    columns = [names[key.lower()] for key in keys]
    for batch in source.batches(columns):
        yield tuple(pl.Series(batch.column(name)).cast(pl.String) for name in columns)

"""What a load changes of who may see what: documents that become public, and who gains or loses them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import polars as pl
import pyarrow as pa

from coveo_provider.documents.changes.comparison import Compared, Fate
from coveo_provider.documents.contract import DOCUMENT_ID, PERMISSIONS
from coveo_provider.documents.permissions.arrays import permission_texts
from coveo_provider.documents.permissions.models import PermissionIdentity, Permissions
from coveo_provider.documents.permissions.spelling import IdentityType
from coveo_provider.errors import DatasetError
from coveo_provider.identities.access import Evaluation
from coveo_provider.identities.graph import NOBODY, IdentityGraph, Key
from coveo_provider.planning.columns import ABSENT, NONE, UNKNOWN, Column, Distinct
from coveo_provider.planning.samples import short

_EXAMPLES = 5
_SHOWN = 20  # identities that gain or lose
_DISTINCT = 100_000  # permissions that are told apart
_PAIRS, _PEOPLE = 200, 200  # the most whose access is evaluated

_MANY_PUBLIC, _MANY_OTHER = UNKNOWN - 1, UNKNOWN - 2  # beyond what is told apart


def permission_values() -> Distinct:
    """Return what keeps the permissions of documents."""
    return Distinct(_spelled, _DISTINCT, lambda text: _MANY_PUBLIC if _is_public(text) else _MANY_OTHER)


def _spelled(array: pa.Array, where: str) -> pl.Series:
    def refuse(row: int, problem: str) -> NoReturn:
        raise DatasetError(f"{where}: {PERMISSIONS}: {problem}")

    return permission_texts(array, refuse).texts


@dataclass
class _Pair:
    """Documents whose permissions were one value and become another."""

    documents: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, count: int, ids: Iterable[str]) -> None:
        self.documents += count
        self.first = sorted({*self.first, *map(short, ids)})[:_EXAMPLES]


class Exposure:
    """
    What becomes of who may see documents that are new or change.

    Those that are gone are left out: nobody sees them any more.

    :param current: the permissions of now
    :param former: those of the last load; ``None`` when they are not known
    """

    def __init__(self, current: Column, former: Column | None) -> None:
        self._current, self._former = current, former
        self._pairs: dict[tuple[int, int], _Pair] = {}

    @property
    def stated(self) -> bool:
        """Whether any document has, or had, permissions at all."""
        return self._current.stated or (self._former is not None and self._former.stated)

    def add(self, compared: Compared) -> None:
        """Take a share of the documents."""
        frame = compared.current.filter(pl.col("fate") != Fate.UNCHANGED)
        if not len(frame):
            return
        after = self._current.at(frame["part"], frame["row"])
        if self._former is not None:
            before = self._former.at(frame["former_part"], frame["former_row"])
        else:
            before = np.where(frame["former_part"].is_null().to_numpy(), ABSENT, UNKNOWN).astype(np.int32)
        unsure = ~frame["sure"].to_numpy() & (before != ABSENT)
        before[unsure] = UNKNOWN
        pairs = frame.select(DOCUMENT_ID).with_columns(before=pl.Series(before), after=pl.Series(after))
        counted = pairs.group_by("before", "after").agg(
            pl.len().alias("documents"), pl.col(DOCUMENT_ID).bottom_k(_EXAMPLES).alias("first")
        )
        for one, other, documents, first in counted.iter_rows():
            self._pairs.setdefault((one, other), _Pair()).add(documents, first)

    def as_json(self, graph: IdentityGraph | None = None) -> dict[str, Any]:
        """
        Return what changes, in counts and examples.

        :param graph: the identities; with them it is told how many people gain or lose a document
        """
        new_public, no_longer = _Pair(), _Pair()
        changed = 0
        gains: dict[PermissionIdentity, _Pair] = {}
        loses: dict[PermissionIdentity, _Pair] = {}
        for (before, after), pair in self._pairs.items():
            was_public = before != ABSENT and before != UNKNOWN and self._is_public(before)
            if self._is_public(after) and not was_public:
                new_public.add(pair.documents, pair.first)
            if was_public and not self._is_public(after):
                no_longer.add(pair.documents, pair.first)
            if before in {ABSENT, UNKNOWN} or before == after:
                continue
            changed += pair.documents
            had, has = self._allowed(before), self._allowed(after)
            for names, kept in ((has - had, gains), (had - has, loses)):
                for identity in names:
                    kept.setdefault(identity, _Pair()).add(pair.documents, pair.first)
        return {
            "new_public": new_public.documents,
            "first_public": new_public.first,
            "no_longer_public": no_longer.documents,
            "permissions_changed": changed,
            "before_known": self._former is not None,
            "gains": _listed(gains),
            "loses": _listed(loses),
            "more": max(0, len(gains) - _SHOWN) + max(0, len(loses) - _SHOWN),
            "users": None if graph is None else self._people(graph, {*gains, *loses}),
        }

    def _is_public(self, code: int) -> bool:
        """Tell whether everybody may see a document; one that states nothing counts as such."""
        if code >= 0:
            return _is_public(self._current.distinct.texts[code])
        return code in {NONE, _MANY_PUBLIC}

    def _allowed(self, code: int) -> set[PermissionIdentity]:
        if code < 0:
            return set()
        allowed: set[PermissionIdentity] = set()
        denied: set[PermissionIdentity] = set()
        for level in Permissions.parse(self._current.distinct.texts[code]).levels:
            for each in level.permission_sets:
                allowed.update(each.allowed_permissions)
                denied.update(each.denied_permissions)
        return allowed - denied

    def _people(self, graph: IdentityGraph, changed: set[PermissionIdentity]) -> dict[str, Any]:
        """Return how many of the people in the identities that gain or lose something see more, or less."""
        inside = graph.inside(graph.key(identity) for identity in sorted(changed, key=str))
        people: list[Key] = []
        for key in inside:
            if key[1] is IdentityType.USER:
                people.append(key)
            if len(people) == _PEOPLE:
                break
        gain: Counter[Key] = Counter()
        lose: Counter[Key] = Counter()
        resolved = {key: graph.resolve_key(key) for key in people}
        pairs = [pair for pair in self._pairs.items() if min(pair[0]) >= NONE and pair[0][0] != pair[0][1]]
        pairs.sort(key=lambda pair: -pair[1].documents)
        for (before, after), pair in pairs[:_PAIRS]:
            had, has = self._evaluation(before, graph), self._evaluation(after, graph)
            for key, who in resolved.items():
                saw = had is None or had.of(who).allowed
                sees = has is None or has.of(who).allowed
                if sees and not saw:
                    gain[key] += pair.documents
                elif saw and not sees:
                    lose[key] += pair.documents
        most = sorted((gain + lose).items(), key=lambda item: (-item[1], item[0]))
        first = [str(graph.identity(key)) for key, _ in most[:_EXAMPLES]]
        return {"looked_at": len(people), "gain": len(gain), "lose": len(lose), "first": first}

    def _evaluation(self, code: int, graph: IdentityGraph) -> Evaluation | None:
        return None if code < 0 else Evaluation(Permissions.parse(self._current.distinct.texts[code]), graph)


def _is_public(text: str) -> bool:
    """Tell whether somebody who is not logged in sees what has these permissions."""
    return Evaluation(Permissions.parse(text), IdentityGraph()).of(NOBODY).allowed


def _listed(pairs: dict[PermissionIdentity, _Pair]) -> list[dict[str, Any]]:
    order = sorted(pairs.items(), key=lambda item: (-item[1].documents, str(item[0])))
    return [
        {"who": str(identity), "documents": pair.documents, "first": pair.first}
        for identity, pair in order[:_SHOWN]
    ]

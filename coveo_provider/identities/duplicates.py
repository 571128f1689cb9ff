"""
Identities that stand twice: noticed by eight bytes each, named, or united.

A push replaces an identity as a whole: of two rows for one group, the last would be all that is left.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from coveo_provider.documents.contract import shown
from coveo_provider.documents.dataset.tables import Part
from coveo_provider.documents.values.nested_lists import starts
from coveo_provider.errors import DatasetError
from coveo_provider.identities.columns import IdentityKind
from coveo_provider.identities.models import (
    Body,
    DisabledIdentityBody,
    Identity,
    IdentityBody,
    MappedIdentity,
    MappedIdentityBody,
)
from coveo_provider.identities.rows import IdentityReader, IdentityRows, Named, Related

Hashes: TypeAlias = npt.NDArray[np.uint64]
Key: TypeAlias = "tuple[str, str]"
"""Name and type."""

AT_ONCE = 50_000
"""Identities that stand twice held in memory at a time."""

_NAMED = 3  # identities named in an error
_BODIES: dict[IdentityKind, tuple[str, Any]] = {
    IdentityKind.MEMBERS: ("members", IdentityBody),
    IdentityKind.MAPPINGS: ("mappings", MappedIdentityBody),
}


def repeated(hashes: Hashes) -> Hashes:
    """Return the hashes that stand more than once, in order; nearly always none."""
    ordered = np.sort(hashes)
    return np.unique(ordered[1:][ordered[1:] == ordered[:-1]])


def among(hashes: Hashes, ordered: Hashes) -> npt.NDArray[np.bool_]:
    """Return which hashes are among others, which are in order."""
    places = np.searchsorted(ordered, hashes)
    return np.asarray(ordered[np.minimum(places, len(ordered) - 1)] == hashes)


def _suspects(
    suspects: Hashes, kind: IdentityKind, parts: Iterable[Part], case_sensitive: bool, *, whole: bool
) -> Iterator[tuple[Part, Key, Any]]:
    """Return the identities with one of these hashes: where they stand, name and type, and the bodies."""
    for part in parts:
        reader = IdentityReader(part.schema, kind, part.name)
        for batch in part.batches(None if whole else reader.key_columns):
            mask = among(reader.keys(batch, case_sensitive), suspects)
            if not mask.any():
                continue
            suspected = batch.filter(pa.array(mask))
            if whole:
                rows = reader.read(suspected)
                named = zip(rows.identities.names, rows.identities.types, _bodies(rows, kind), strict=True)
            else:
                keys = [suspected.column(name).cast(pa.string()).to_pylist() for name in reader.key_columns]
                named = zip(*keys, [None] * len(suspected), strict=True)
            for name, spelled, body in named:
                yield part, (name, Identity(name, spelled).type.name), body


def refuse_twice(suspects: Hashes, kind: IdentityKind, parts: Sequence[Part], case_sensitive: bool) -> None:
    """Refuse identities that stand twice; two equal hashes only raise the suspicion."""
    stands: dict[Key, list[str]] = {}
    for part, key, _ in _suspects(suspects[:AT_ONCE], kind, parts, case_sensitive, whole=False):
        stands.setdefault(_folded(key, case_sensitive), []).append(f"{shown(key[0])} in {part.name}")
    twice = {key: places for key, places in stands.items() if len(places) > 1}
    if not twice:
        return
    named = "; ".join(
        f"{key[1]} {' and '.join(places[:_NAMED])}" for key, places in list(twice.items())[:_NAMED]
    )
    more = f"; and {len(twice) - _NAMED:,} more" if len(twice) > _NAMED else ""
    raise DatasetError(
        f"{kind.value}: an identity stands once, as a push replaces all of it; found twice: {named}{more}. "
        "duplicates='merge' unites them"
    )


def refuse_disabled(suspects: Hashes, datasets: dict[IdentityKind, list[Part]], case_sensitive: bool) -> None:
    """Refuse identities that are to be updated and disabled at once: which comes last is not known."""
    keys: dict[IdentityKind, set[Key]] = {}
    for kind, parts in datasets.items():
        rows = _suspects(suspects[:AT_ONCE], kind, parts, case_sensitive, whole=False)
        keys[kind] = {_folded(key, case_sensitive) for _, key, _ in rows}
    updated = keys[IdentityKind.MEMBERS] | keys[IdentityKind.MAPPINGS]
    both = sorted(updated & keys[IdentityKind.DELETED])
    if both:
        named = ", ".join(f"{kind} {shown(name)}" for name, kind in both[:_NAMED])
        more = f" and {len(both) - _NAMED:,} more" if len(both) > _NAMED else ""
        raise DatasetError(f"identities stand among those to update and those to disable: {named}{more}")


def _folded(key: Key, case_sensitive: bool) -> Key:
    return key if case_sensitive else (key[0].lower(), key[1])


def _bodies(rows: IdentityRows, kind: IdentityKind) -> Iterator[Body]:
    """Return the rows as models."""
    identities = list(_identities(rows.identities))
    if kind is IdentityKind.DELETED:
        yield from map(DisabledIdentityBody, identities)
        return
    lists = {key: list(_per_row(related, mapped=key == "mappings")) for key, related in rows.lists.items()}
    nobody: list[list[Any]] = [[]] * len(identities)
    key, body = _BODIES[kind]
    for identity, related, granted in zip(
        identities, lists.get(key, nobody), lists.get("wellKnowns", nobody), strict=True
    ):
        yield body(identity, tuple(related), tuple(granted))


def _identities(named: Named, *, mapped: bool = False) -> Iterator[Identity]:
    infos = named.infos if named.infos is not None else [None] * len(named.names)
    providers = named.providers if named.providers is not None else [None] * len(named.names)
    for name, kind, info, provider in zip(named.names, named.types, infos, providers, strict=True):
        extra = json.loads(info) if info else None
        yield MappedIdentity(name, kind, provider, extra) if mapped else Identity(name, kind, extra)


def _per_row(related: Related, *, mapped: bool = False) -> Iterator[list[Identity]]:
    flat = list(_identities(related.named, mapped=mapped))
    bounds = starts(related.lengths).tolist()
    for start, stop in pairwise(bounds):
        yield flat[start:stop]


def merged_bodies(
    suspects: Hashes, kind: IdentityKind, parts: Sequence[Part], case_sensitive: bool
) -> Iterator[Body]:
    """Return one body for each identity that stands twice, with all that any of its rows says."""
    several: dict[Key, list[Any]] = {}
    for _, key, body in _suspects(suspects, kind, parts, case_sensitive, whole=True):
        several.setdefault(_folded(key, case_sensitive), []).append(body)
    for bodies in several.values():
        yield merged(bodies)


def merged(bodies: Sequence[Any]) -> Any:
    """
    Return one body with the members, aliases and granted identities of several of the same kind.

    The name is spelled as in the first; of additional info with one key, the first is kept.
    """
    first = bodies[0]
    info: dict[str, str] = {}
    for body in bodies:
        info = {**body.identity.additional_info, **info}
    identity = Identity(first.identity.name, first.identity.type, info)
    if isinstance(first, DisabledIdentityBody):
        return DisabledIdentityBody(identity)
    key = "members" if isinstance(first, IdentityBody) else "mappings"
    related = tuple(each for body in bodies for each in getattr(body, key))
    return type(first)(identity, related, tuple(each for body in bodies for each in body.well_knowns))

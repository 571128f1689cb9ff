"""
Allowed or denied, and why: the published evaluation of permissions (docs 1526 and 2007).

What these pages leave open is in docs/api-notes.md, "Permissions". Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from coveo_provider.documents.permissions.models import PermissionIdentity, Permissions
from coveo_provider.identities.graph import IdentityGraph, Key, Resolution, User


@dataclass(frozen=True)
class Access:
    """
    Whether a user sees an item, and why.

    :param allowed: the answer
    :param level: the level that decided, from 1; ``None`` when none did
    :param set: the set of that level that decided, from 1; ``None`` when none did alone
    :param reason: one sentence for people
    :param path: from the user through aliases and groups to the entry that decided, both included; empty
        when no entry did
    """

    allowed: bool
    level: int | None
    set: int | None
    reason: str
    path: tuple[PermissionIdentity, ...] = ()

    def __str__(self) -> str:
        way = f" ({' → '.join(map(str, self.path))})" if self.path else ""
        return f"{'allowed' if self.allowed else 'denied'}: {self.reason}{way}"


def explain_access(permissions: Any, user: User, identities: IdentityGraph | None = None) -> Access:
    """
    Return whether a user sees an item with these permissions, and why.

    :param permissions: :class:`Permissions`, a list of sets or levels, or the JSON of one
    :param user: the user, its name in the default provider, or ``None`` for somebody not logged in
    :param identities: who belongs to whom; without it, only what the permissions name themselves counts
    :raises DataError: the permissions cannot be read

    >>> explain_access([{"allowedPermissions": [{"identity": "bob", "identityType": "User"}]}], "bob").allowed
    True
    """
    graph = IdentityGraph() if identities is None else identities
    return Evaluation(Permissions.parse(permissions), graph).of(graph.resolve(user))


@dataclass(frozen=True)
class _Entry:
    key: Key
    identity: PermissionIdentity


@dataclass(frozen=True)
class _Set:
    anonymous: bool
    allowed: tuple[_Entry, ...]
    denied: tuple[_Entry, ...]


class Evaluation:
    """
    The permissions of an item, ready to be asked for many users.

    :param graph: where names get their meaning from
    """

    def __init__(self, permissions: Permissions, graph: IdentityGraph) -> None:
        self.permissions, self._graph = permissions, graph
        self._levels = [
            [
                _Set(
                    each.allow_anonymous,
                    self._entries(each.allowed_permissions),
                    self._entries(each.denied_permissions),
                )
                for each in level.permission_sets
            ]
            for level in permissions.levels
        ]

    def of(self, who: Resolution) -> Access:
        """Return whether somebody sees the item, and why."""
        if not who.authenticated:
            return self._anonymous()
        for number, sets in enumerate(self._levels, 1):
            access = self._level(number, sets, who)
            if access is not None:
                return access
        return Access(False, None, None, "no level names the user")

    def allowed(self) -> Iterator[tuple[Key, PermissionIdentity]]:
        """Return every entry that any set allows."""
        for sets in self._levels:
            for each in sets:
                yield from ((entry.key, entry.identity) for entry in each.allowed)

    def named(self) -> Iterator[PermissionIdentity]:
        """Return every entry that any set allows or denies."""
        for sets in self._levels:
            for each in sets:
                yield from (entry.identity for entry in (*each.allowed, *each.denied))

    def _entries(self, identities: Sequence[PermissionIdentity]) -> tuple[_Entry, ...]:
        return tuple(_Entry(self._graph.key(identity), identity) for identity in identities)

    def _anonymous(self) -> Access:
        """Only the first level counts for somebody who is not logged in."""
        for number, each in enumerate(self._levels[0] if self._levels else (), 1):
            if not each.anonymous:
                return Access(False, 1, number, f"{self._place(1, number)} does not allow anonymous users")
        if not self._levels:
            return Access(False, None, None, "the item allows nobody")
        return Access(True, 1, None, f"every set of {self._place(1)} allows anonymous users")

    def _level(self, number: int, sets: Sequence[_Set], who: Resolution) -> Access | None:
        """Return what a level decides, ``None`` when it is inconclusive."""
        for position, each in enumerate(sets, 1):
            if (entry := self._nearest(each.denied, who)) is not None:
                reason = f"{self._place(number, position)} denies {entry.identity}"
                return Access(False, number, position, reason, self._path(entry, who))
        grants = [self._nearest(each.allowed, who) for each in sets]
        lacking = [
            position
            for position, (each, grant) in enumerate(zip(sets, grants, strict=True), 1)
            if grant is None and not each.anonymous
        ]
        granting = [(position, grant) for position, grant in enumerate(grants, 1) if grant is not None]
        if not lacking:
            return self._granted(number, sets, granting, who)
        if not granting:
            return None
        entry = granting[0][1]
        reason = (
            f"{self._place(number, lacking[0])} does not allow the user, though another set of that level "
            f"allows {entry.identity}"
        )
        return Access(False, number, lacking[0], reason, self._path(entry, who))

    def _granted(
        self, number: int, sets: Sequence[_Set], granting: Sequence[tuple[int, _Entry]], who: Resolution
    ) -> Access:
        """Return the access that every set of a level allows."""
        if not granting:
            return Access(True, number, None, f"every set of {self._place(number)} allows everybody")
        position, entry = granting[0]
        every = "" if len(sets) == 1 else f", and every other set of level {number} allows the user"
        reason = f"{self._place(number, position)} allows {entry.identity}{every}"
        return Access(True, number, position, reason, self._path(entry, who))

    @staticmethod
    def _nearest(entries: Sequence[_Entry], who: Resolution) -> _Entry | None:
        """Return the entry that the fewest steps lead to, the first of equal ones."""
        reached = (entry for entry in entries if entry.key in who.origins)
        return min(reached, key=lambda entry: len(who.chain(entry.key)), default=None)

    def _path(self, entry: _Entry, who: Resolution) -> tuple[PermissionIdentity, ...]:
        return tuple(self._graph.identity(key) for key in who.chain(entry.key))

    def _place(self, level: int, position: int | None = None) -> str:
        name = self.permissions.levels[level - 1].name
        place = f"level {level} {name!r}" if name else f"level {level}"
        return place if position is None else f"set {position} of {place}"

"""
Who is who: users, their aliases in other providers, the groups around them.

How they resolve is in docs/api-notes.md, "Permissions" and "Security identities".

Imports nothing heavy; parts are read with what a running task has loaded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from coveo_provider.documents.permissions.models import EMAIL_PROVIDER, PermissionIdentity
from coveo_provider.documents.permissions.spelling import IdentityType
from coveo_provider.identities.models import (
    BatchIdentityBody,
    Body,
    DisabledIdentityBody,
    Identity,
    IdentityBody,
)

if TYPE_CHECKING:
    from coveo_provider.documents.dataset.tables import Part

Key: TypeAlias = "tuple[str, IdentityType, str]"
"""Provider, type, and the name as it is compared."""

User: TypeAlias = "PermissionIdentity | str | None"
"""A user, the name of one in the default provider, or nobody who is logged in."""


@dataclass(frozen=True)
class Resolution:
    """
    All identities that one user resolves to: itself, its aliases, and every group around any of these.

    :param authenticated: false for somebody who is not logged in, and resolves to nothing
    :param origins: each identity to the one it was reached from, ``None`` for the user itself
    """

    authenticated: bool
    origins: Mapping[Key, Key | None]

    def chain(self, key: Key) -> list[Key]:
        """Return the way from the user to an identity it resolves to, both included."""
        chain = [key]
        while (origin := self.origins[chain[-1]]) is not None:
            chain.append(origin)
        return chain[::-1]


NOBODY = Resolution(authenticated=False, origins={})
STRANGER = Resolution(authenticated=True, origins={})
"""Somebody who is logged in, and whom neither a document nor a group names."""


class IdentityGraph:
    """
    The identities of one or several security providers, and how they belong together.

    Identities are told apart by provider, type and name. Names are compared without regard to case, unless
    the provider is case-sensitive. As a push does (docs 55), what is added later replaces what
    was said of an identity: its members and the identities granted with them, or its aliases and the identities
    granted with these; one that was disabled is back. An identity takes some 250 bytes, a membership some 60.

    :param default_provider: the one that an item means which names none: the first one of its source
    :param alias_provider: the one that an alias means which names none, unless :meth:`add` or :meth:`read` say
    :param case_sensitive: the providers that tell names apart that differ in case only

    >>> graph = IdentityGraph()
    >>> graph.add(IdentityBody(Identity("AlphaTeam", "GROUP"), members=(Identity("alice", "USER"),)))
    """

    def __init__(
        self,
        *bodies: Body | BatchIdentityBody,
        default_provider: str = "",
        alias_provider: str = EMAIL_PROVIDER,
        case_sensitive: Iterable[str] = (),
    ) -> None:
        self.default_provider, self.alias_provider = default_provider, alias_provider
        self._exact = frozenset((case_sensitive,) if isinstance(case_sensitive, str) else case_sensitive)
        self._keys: dict[Key, Key] = {}
        self._spelled: dict[Key, str] = {}
        self._members, self._mappings = _Pushes(), _Pushes()
        # The groups around an identity, and its aliases; the same the other way. Both made when asked for.
        self._around: dict[Key, list[Key]] | None = None
        self._within: dict[Key, list[Key]] | None = None
        self._pushed: set[Key] = set()
        self._disabled: set[Key] = set()
        self.add(*bodies)

    def add(
        self,
        *bodies: Body | BatchIdentityBody,
        provider: str | None = None,
        alias_provider: str | None = None,
    ) -> None:
        """
        Add what was, or is to be, pushed to a provider, in the order of the pushes.

        :param provider: which one; ``None`` is the default provider
        :param alias_provider: the one it cascades to, which is what an alias means that names none
        """
        where, elsewhere = self._provider(provider), alias_provider or self.alias_provider
        self._around = self._within = None
        for body in bodies:
            if isinstance(body, BatchIdentityBody):
                self.add(
                    *body.members, *body.mappings, *body.deleted, provider=where, alias_provider=elsewhere
                )
                continue
            key = self._node(where, body.identity)
            if isinstance(body, DisabledIdentityBody):
                self._disabled.add(key)
                continue
            self._disabled.discard(key)
            self._pushed.add(key)
            granted = [self._node(where, each) for each in body.well_knowns]
            if isinstance(body, IdentityBody):
                self._members.replace(key, [self._node(where, each) for each in body.members], granted)
            else:
                aliases = [self._node(each.provider or elsewhere, each) for each in body.mappings]
                self._mappings.replace(key, aliases, granted)

    def read(
        self,
        *,
        members: Iterable[Part] = (),
        mappings: Iterable[Part] = (),
        deleted: Iterable[Part] = (),
        provider: str | None = None,
        alias_provider: str | None = None,
    ) -> None:
        """
        Add datasets of identities, as a push of them takes them.

        What stands twice in one of them is united: a push would refuse it, or unite it as well.

        :param provider: as for :meth:`add`
        :param alias_provider: as for :meth:`add`
        :raises DatasetError: a dataset is not what it should be
        """
        from coveo_provider.identities.columns import IdentityKind
        from coveo_provider.identities.rows import IdentityReader

        where, elsewhere = self._provider(provider), alias_provider or self.alias_provider
        self._around = self._within = None
        datasets = {
            IdentityKind.MEMBERS: (members, self._members, where),
            IdentityKind.MAPPINGS: (mappings, self._mappings, elsewhere),
            IdentityKind.DELETED: (deleted, None, where),
        }
        for kind, (parts, pushes, related) in datasets.items():
            earlier = set() if pushes is None else pushes.keys()
            for part in parts:
                reader = IdentityReader(part.schema, kind, part.name)
                row = 0
                for batch in part.batches():
                    rows = reader.read(batch, row)
                    row += len(batch)
                    keys = self._nodes(where, rows.identities)
                    if pushes is None:
                        self._disabled.update(keys)
                        continue
                    self._disabled.difference_update(keys)
                    self._pushed.update(keys)
                    for key in earlier.intersection(keys):
                        pushes.replace(key, [], [])
                    earlier.difference_update(keys)
                    for name, lists in rows.lists.items():
                        granted = name == "wellKnowns"
                        others = self._nodes(where if granted else related, lists.named)
                        pushes.extend(keys, others, lists.lengths.tolist(), granted=granted)

    def key(self, identity: PermissionIdentity) -> Key:
        """Return what tells an identity apart."""
        provider = self._provider(identity.security_provider)
        return provider, identity.identity_type, self._folded(provider, identity.identity)

    def knows(self, identity: PermissionIdentity) -> bool:
        """
        Return whether an identity was pushed, or is named by one that was, and is not disabled.

        Users of the Email Security Provider need no push.
        """
        key = self.key(identity)
        if key in self._disabled:
            return False
        return key in self._keys or (key[0] == EMAIL_PROVIDER and key[1] is IdentityType.USER)

    def has(self, identity: PermissionIdentity) -> bool:
        """
        Return whether an item may name an identity: it was pushed itself, and is not disabled.

        One that is only named as a member is "in error" (docs 107). E-mail addresses of the
        Email Security Provider need no push.
        """
        key = self.key(identity)
        if key in self._disabled:
            return False
        if key[0] == EMAIL_PROVIDER:
            return key[1] is IdentityType.USER and "@" in identity.identity
        return key in self._pushed

    def resolve(self, user: User) -> Resolution:
        """
        Return all identities that a user resolves to, the nearest first.

        A disabled identity is left out, with all that is reached through it only.
        """
        if user is None:
            return NOBODY
        return self.resolve_key(self.key(self.named(user)))

    def resolve_key(self, start: Key) -> Resolution:
        """Return all identities that the identity with this key resolves to."""
        return Resolution(authenticated=True, origins=self._reached([start], self._outward()))

    def inside(self, identities: Iterable[Key]) -> Iterator[Key]:
        """Return identities and all in them: members of members, aliases; the nearest first."""
        return iter(self._reached(identities, self._inward()))

    def members(self, key: Key) -> list[Key]:
        """Return the members of an identity and its aliases, those that are not disabled."""
        if key in self._disabled:
            return []
        return [each for each in self._inward().get(key, ()) if each not in self._disabled]

    def is_disabled(self, key: Key) -> bool:
        """Return whether an identity is disabled."""
        return key in self._disabled

    def identity(self, key: Key) -> PermissionIdentity:
        """Return the identity with a key, spelled as it was first given."""
        provider = key[0] if key[0] != self.default_provider else None
        return PermissionIdentity(self._spelled.get(key, key[2]), key[1], provider)

    def named(
        self, user: PermissionIdentity | str, kind: IdentityType = IdentityType.USER
    ) -> PermissionIdentity:
        """Return an identity; a name alone is one of the default provider."""
        return PermissionIdentity(user, kind) if isinstance(user, str) else user

    def __len__(self) -> int:
        return len(self._keys)

    def _reached(self, starts: Iterable[Key], ways: Mapping[Key, list[Key]]) -> dict[Key, Key | None]:
        origins: dict[Key, Key | None] = dict.fromkeys(key for key in starts if key not in self._disabled)
        waiting = deque(origins)
        while waiting:
            key = waiting.popleft()
            for near in ways.get(key, ()):
                if near not in origins and near not in self._disabled:
                    origins[near] = key
                    waiting.append(near)
        return origins

    def _outward(self) -> dict[Key, list[Key]]:
        if self._around is None:
            self._around = {}
            for inner, outer in self._links():
                self._around.setdefault(inner, []).append(outer)
        return self._around

    def _inward(self) -> dict[Key, list[Key]]:
        if self._within is None:
            self._within = {}
            for inner, outer in self._links():
                self._within.setdefault(outer, []).append(inner)
        return self._within

    def _links(self) -> Iterator[tuple[Key, Key]]:
        """Return every membership, from whichever side it was said, and every alias in both directions."""
        for group, members in self._members.related.items():
            yield from ((member, group) for member in members)
        for pushes in (self._members, self._mappings):
            for key, granted in pushes.granted.items():
                yield from ((key, group) for group in granted)
        for key, aliases in self._mappings.related.items():
            for other in aliases:
                yield key, other
                yield other, key

    def _nodes(self, where: str, named: Any) -> list[Key]:
        providers = named.providers if named.providers is not None else [None] * len(named.names)
        return [
            self._intern(provider or where, IdentityType[kind], name)
            for name, kind, provider in zip(named.names, named.types, providers, strict=True)
        ]

    def _node(self, provider: str, identity: Identity) -> Key:
        return self._intern(provider, identity.type, identity.name)

    def _intern(self, provider: str, kind: IdentityType, name: str) -> Key:
        folded = self._folded(provider, name)
        new: Key = (provider, kind, folded)
        key = self._keys.setdefault(new, new)
        if key is new and folded != name:
            self._spelled[key] = name
        return key

    def _folded(self, provider: str, name: str) -> str:
        return name if provider in self._exact else name.lower()

    def _provider(self, provider: str | None) -> str:
        return self.default_provider if provider is None else provider


class _Pushes:
    """
    What pushes of one kind say of identities, each the last one of its identity.

    :param related: its members, or its aliases
    :param granted: the groups it was granted along with these
    """

    def __init__(self) -> None:
        self.related: dict[Key, list[Key]] = {}
        self.granted: dict[Key, list[Key]] = {}

    def keys(self) -> set[Key]:
        """Return the identities of which something is said."""
        return {*self.related, *self.granted}

    def replace(self, key: Key, related: list[Key], granted: list[Key]) -> None:
        """Put what a push says in place of what was said."""
        for lists, new in ((self.related, related), (self.granted, granted)):
            if new:
                lists[key] = new
            else:
                lists.pop(key, None)

    def extend(self, keys: list[Key], others: list[Key], lengths: list[int], *, granted: bool) -> None:
        """Add to what was said: to each identity as many of the others, in order, as its length."""
        lists = self.granted if granted else self.related
        start = 0
        for key, length in zip(keys, lengths, strict=True):
            if length:
                lists[key] = [*lists.get(key, ()), *others[start : start + length]]
                start += length

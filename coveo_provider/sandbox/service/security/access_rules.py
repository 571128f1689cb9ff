"""
Who may see an item: the published evaluation of permissions (docs 1526, 2007), on plain values.

No HTTP, no database, no clock: :func:`decide` answers for a model of permissions, a user and an organization
in the API's own JSON shapes; the sandbox's index uses the same two steps, :func:`resolve` (which identities
is this user?) and :func:`judge` (what do the levels say about them?). The steps, numbered, stand in
``docs/api-notes.md, "Permissions"``.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

EMAIL_PROVIDER = "Email Security Provider"
TYPES = ("USER", "GROUP", "VIRTUAL_GROUP", "UNKNOWN")
_BY_LETTERS = {name.replace("_", "").lower(): name for name in TYPES}


class Key(NamedTuple):
    """
    One identity.

    :param provider: id of its security provider, as spelled
    :param type: as identity bodies spell it: ``USER``, ``GROUP``, ``VIRTUAL_GROUP``, ``UNKNOWN``
    :param name: in lower case, unless the provider is case-sensitive
    """

    provider: str
    type: str
    name: str


class Relations(Protocol):
    """What is known of identities."""

    def disabled(self, key: Key) -> bool:
        """Say whether an identity is disabled: then it does not count, as itself or on the way to others."""

    def neighbours(self, key: Key) -> Iterable[Key]:
        """Give the groups that list it, what it was granted, its aliases and those it is an alias of."""


@dataclass(frozen=True)
class Verdict:
    """
    What the levels say.

    :param level: index of the level that decided; None when none did
    :param rule: ``denied`` (step 1), ``allowed`` (step 2), ``missing`` (step 4: named in some sets, not in
        all), ``unnamed`` (no level decided), ``anonymous`` (the user is unauthenticated)
    """

    allowed: bool
    level: int | None
    rule: str


def type_of(spelling: object) -> str | None:
    """Give a type as identity bodies spell it, from any case and with or without ``_``; None for no type."""
    return _BY_LETTERS.get(spelling.replace("_", "").lower()) if isinstance(spelling, str) else None


def fold(name: str, *, case_sensitive: bool) -> str:
    """Give a name as it is compared: ignoring case, unless the provider is case-sensitive (docs 85)."""
    return name if case_sensitive else name.lower()


def resolve(user: Key, relations: Relations) -> dict[Key, Key | None]:
    """
    Give every identity a user is: itself, and from each of these on its aliases, groups, granted identities.

    Each comes with the identity that led to it, on a shortest way; None for the user itself.

    The user itself counts even when nobody declared it. Cycles end; a disabled identity is not entered. An
    alias holds in both directions (docs 78: ``MysteryUserX`` is an alias of emitchell and allows her;
    docs 1336: an alias of the e-mail user lets that user in), and for groups as for users.
    """
    identities: dict[Key, Key | None] = {}
    waiting: deque[tuple[Key, Key | None]] = deque([(user, None)])
    while waiting:
        key, by = waiting.popleft()
        if key not in identities and not relations.disabled(key):
            identities[key] = by
            waiting.extend((other, key) for other in relations.neighbours(key))
    return identities


def levels(permissions: Sequence[Mapping[str, Any]]) -> list[list[dict[str, Any]]]:
    """Give the sets of each level, keys in lower case; the simplified model is one level."""
    entries = [_lowered(entry) for entry in permissions]
    if any("permissionsets" in entry for entry in entries):
        return [[_lowered(one) for one in entry.get("permissionsets") or ()] for entry in entries]
    return [entries] if entries else []


def judge(
    permissions: Sequence[Mapping[str, Any]],
    identities: Container[Key] | None,
    key_of: Callable[[Mapping[str, Any]], Key],
    lets_in: Callable[[Mapping[str, Any]], bool] = lambda entry: True,
) -> Verdict:
    """
    Read the levels in order, each by four steps.

    A level without sets decides nothing, and ``[]`` lets nobody in.

    :param identities: what :func:`resolve` gave; None for an unauthenticated user, for whom only the first
        level is read
    :param key_of: the identity an entry (keys in lower case) names
    :param lets_in: whether an entry may let anybody in; one whose identity is in error may not, though it denies
    """
    model = levels(permissions)
    if identities is None:
        public = bool(model and model[0]) and all(one.get("allowanonymous") is True for one in model[0])
        return Verdict(public, 0 if model else None, "anonymous")

    def names_user(one: Mapping[str, Any], side: str) -> Iterator[dict[str, Any]]:
        return (entry for entry in map(_lowered, one.get(side) or ()) if key_of(entry) in identities)

    for level, sets in enumerate(model):
        if any(any(names_user(one, "deniedpermissions")) for one in sets):
            return Verdict(False, level, "denied")
        named = [any(map(lets_in, names_user(one, "allowedpermissions"))) for one in sets]
        passed = [name or one.get("allowanonymous") is True for name, one in zip(named, sets, strict=True)]
        if sets and all(passed):
            return Verdict(True, level, "allowed")
        if any(named):
            return Verdict(False, level, "missing")
    return Verdict(False, None, "unnamed")


def decide(
    permissions: Sequence[Mapping[str, Any]],
    user: str | Mapping[str, Any] | None,
    identities: Mapping[str, Any],
) -> bool:
    """
    Say whether a user may see an item.

    :param permissions: the item's ``permissions``: sets (simplified) or levels with ``permissionSets``
        (complete), keys in any case. A missing ``identityType`` counts as ``UNKNOWN``
    :param user: ``{"name", "type"?, "provider"?}``; ``type`` is ``USER`` and ``provider`` the Email Security
        Provider when left out, and so for a bare name. None is the unauthenticated user
    :param identities: ``{"providers": [P, …], "default"?: id}``. A provider P is
        ``{"id", "caseSensitive"?: false, "cascadingSecurityProviders"?: {…}, "members"?: [IdentityBody],
        "mappings"?: [MappedIdentityBody], "deleted"?: [{"identity": {"name", "type"}}]}``: a
        ``BatchIdentityBody`` as it stands after all pushes. Of several bodies of one identity in ``members``
        (or ``mappings``) the last counts; what is in ``deleted`` is disabled whatever the rest says.
        ``default`` is the provider of entries without ``securityProvider`` (the first linked to the source);
        left out, it is the first of ``providers``, or the Email Security Provider when there is none. A
        mapping without ``provider`` goes to the one provider P cascades to, or to the Email Security
        Provider. Providers that are not listed compare without case

    Identities are compared by provider, type and name: a ``USER`` and a ``GROUP`` of one name are two.
    """
    graph = Organization(identities)
    if user is None:
        return judge(permissions, None, graph.key_of).allowed
    who = {"name": user} if isinstance(user, str) else _lowered(user)
    start = graph.key(who.get("provider") or EMAIL_PROVIDER, type_of(who.get("type")) or "USER", who["name"])
    return judge(permissions, resolve(start, graph), graph.key_of).allowed


class Organization:
    """The ``identities`` of :func:`decide`, as :class:`Relations`."""

    def __init__(self, identities: Mapping[str, Any]) -> None:
        providers = [_lowered(one) for one in identities.get("providers") or ()]
        self._case_sensitive = {one["id"] for one in providers if one.get("casesensitive") is True}
        self.default = identities.get("default") or (providers[0]["id"] if providers else EMAIL_PROVIDER)
        self._disabled: set[Key] = set()
        self._neighbours: defaultdict[Key, set[Key]] = defaultdict(set)
        for one in providers:
            self._add(one)

    def key(self, provider: str, kind: str, name: str) -> Key:
        """Give an identity's key."""
        return Key(provider, kind, fold(name, case_sensitive=provider in self._case_sensitive))

    def key_of(self, entry: Mapping[str, Any]) -> Key:
        """Give the key of a permission entry, whose keys are in lower case."""
        provider = entry.get("securityprovider") or self.default
        return self.key(provider, type_of(entry.get("identitytype")) or "UNKNOWN", entry["identity"])

    def disabled(self, key: Key) -> bool:
        """See :class:`Relations`."""
        return key in self._disabled

    def neighbours(self, key: Key) -> Iterable[Key]:
        """See :class:`Relations`."""
        return self._neighbours.get(key, ())

    def _add(self, provider: Mapping[str, Any]) -> None:
        own = provider["id"]
        cascades: list[Any] = [
            one.get("id") or one.get("name")
            for one in map(_lowered, (provider.get("cascadingsecurityproviders") or {}).values())
        ]
        target = cascades[0] if len(cascades) == 1 else EMAIL_PROVIDER
        for key, body in self._latest(own, provider.get("members")).items():
            self._grant(own, key, body)
            for member in body.get("members") or ():
                self._neighbours[self._named(own, member)].add(key)
        for key, body in self._latest(own, provider.get("mappings")).items():
            self._grant(own, key, body)
            for alias in body.get("mappings") or ():
                other = self._named(_lowered(alias).get("provider") or target, alias)
                self._neighbours[key].add(other)
                self._neighbours[other].add(key)
        for entry in provider.get("deleted") or ():
            self._disabled.add(self._named(own, _lowered(entry)["identity"]))

    def _latest(self, provider: str, bodies: Any) -> dict[Key, dict[str, Any]]:
        """Give the last body of each identity."""
        return {self._named(provider, body["identity"]): body for body in map(_lowered, bodies or ())}

    def _grant(self, provider: str, key: Key, body: Mapping[str, Any]) -> None:
        for granted in body.get("wellknowns") or ():
            self._neighbours[key].add(self._named(provider, granted))

    def _named(self, provider: str, who: Mapping[str, Any]) -> Key:
        who = _lowered(who)
        return self.key(provider, type_of(who.get("type")) or "UNKNOWN", who["name"])


def _lowered(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key.lower(): content for key, content in value.items()}

"""
Who may see an item: identities, permission sets and permission levels (push-api.md section 5).

The words are the API's. Python names are in snake case; the JSON has the API's own spelling, and is read in
any case. Imports nothing heavy.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from coveo_provider.errors import DataError

MAX_PERMISSIONS = 5_000
"""The most entries, allowed and denied ones, that an item may carry (push-api.md section 5.1)."""

EMAIL_PROVIDER = "Email Security Provider"
"""The provider that every organization has, and that aliases usually lead to (push-api.md section 6)."""

log = logging.getLogger(__name__)

IDENTITY_KEYS = {key.lower(): key for key in ("identity", "identityType", "securityProvider")}
SET_KEYS = {key.lower(): key for key in ("allowAnonymous", "allowedPermissions", "deniedPermissions")}
LEVEL_KEYS = {key.lower(): key for key in ("name", "permissionSets")}


class IdentityType(str, Enum):
    """
    What an identity is.

    The value is the spelling of items (``User``), the name that of identity bodies (``USER``). Any case is
    understood, with or without underscores: ``IdentityType("virtual_group")``.
    """

    USER = "User"
    GROUP = "Group"
    VIRTUAL_GROUP = "VirtualGroup"
    UNKNOWN = "Unknown"

    @classmethod
    def _missing_(cls, value: object) -> IdentityType | None:
        return _TYPES.get(value.replace("_", "").lower()) if isinstance(value, str) else None

    @classmethod
    def of(cls, value: object) -> IdentityType:
        """
        Return the type that a value spells.

        :raises DataError: it spells none
        """
        try:
            return cls(value)
        except ValueError:
            raise DataError(f"{value!r} is no type of identity: expected {TYPES_EXPECTED}") from None


_TYPES = {member.value.lower(): member for member in IdentityType}
TYPES_EXPECTED = "User, Group, VirtualGroup or Unknown"


@dataclass(frozen=True)
class PermissionIdentity:
    """
    An identity as an item names it.

    :param identity: its name, unique over the whole system: an email address in simple cases
    :param identity_type: ``User``, ``Group``, ``VirtualGroup`` or ``Unknown``
    :param security_provider: where it is defined; ``None`` or ``""`` is the source's first provider
    :raises DataError: the name is empty, or the type is none of the four
    """

    identity: str
    identity_type: IdentityType
    security_provider: str | None = None

    def __init__(
        self, identity: str, identity_type: IdentityType | str, security_provider: str | None = None
    ) -> None:
        check_identity(identity, security_provider)
        object.__setattr__(self, "identity", identity)
        object.__setattr__(self, "identity_type", IdentityType.of(identity_type))
        object.__setattr__(self, "security_provider", security_provider or None)

    @classmethod
    def user(cls, name: str, provider: str | None = None) -> PermissionIdentity:
        """Return a user."""
        return cls(name, IdentityType.USER, provider)

    @classmethod
    def group(cls, name: str, provider: str | None = None) -> PermissionIdentity:
        """Return a group."""
        return cls(name, IdentityType.GROUP, provider)

    def to_json(self) -> dict[str, Any]:
        """Return it as the API spells it."""
        body: dict[str, Any] = {"identity": self.identity, "identityType": self.identity_type.value}
        return (
            body if self.security_provider is None else {**body, "securityProvider": self.security_provider}
        )

    def __str__(self) -> str:
        where = "" if self.security_provider is None else f" of {self.security_provider}"
        return f"{self.identity_type.value} {self.identity}{where}"


@dataclass(frozen=True)
class PermissionSet:
    """
    Whom a set allows and denies; within a level, whoever is to see the item must be allowed by every set.

    :param allow_anonymous: whether the set allows everybody who is not denied; false unless said
    """

    allow_anonymous: bool = False
    allowed_permissions: tuple[PermissionIdentity, ...] = ()
    denied_permissions: tuple[PermissionIdentity, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.allow_anonymous, bool):
            raise DataError(f"allowAnonymous is {self.allow_anonymous!r}, expected true or false")
        for name in ("allowed_permissions", "denied_permissions"):
            object.__setattr__(self, name, _all(getattr(self, name), PermissionIdentity, name))

    def to_json(self) -> dict[str, Any]:
        """Return it as the API spells it; ``allowAnonymous`` is always said, the lists where not empty."""
        body: dict[str, Any] = {"allowAnonymous": self.allow_anonymous}
        if self.allowed_permissions:
            body["allowedPermissions"] = [entry.to_json() for entry in self.allowed_permissions]
        if self.denied_permissions:
            body["deniedPermissions"] = [entry.to_json() for entry in self.denied_permissions]
        return body


@dataclass(frozen=True)
class PermissionLevel:
    """
    A level of the complete model: it decides, unless none of its sets names the user.

    :param name: for people; may be empty
    :param permission_sets: one at least, as a level without any has no meaning
    """

    name: str = ""
    permission_sets: tuple[PermissionSet, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise DataError(f"name of a permission level is {self.name!r}, expected a text")
        object.__setattr__(
            self, "permission_sets", _all(self.permission_sets, PermissionSet, "permission_sets")
        )
        if not self.permission_sets:
            raise DataError(f"permission level {self.name!r} has no permissionSets")

    def to_json(self) -> dict[str, Any]:
        """Return it as the API spells it."""
        named = {"name": self.name} if self.name else {}
        return {**named, "permissionSets": [entry.to_json() for entry in self.permission_sets]}


@dataclass(frozen=True)
class Permissions:
    """
    The ``permissions`` of an item: sets (the simplified model) or levels (the complete one), never both.

    :param entries: none at all means that nobody sees the item
    :raises DataError: sets stand among levels, or there are more than 5,000 identities

    >>> Permissions([PermissionSet(allowed_permissions=[PermissionIdentity.group("AlphaTeam")])])
    """

    entries: tuple[PermissionSet, ...] | tuple[PermissionLevel, ...] = ()

    def __init__(self, entries: Iterable[PermissionSet] | Iterable[PermissionLevel] = ()) -> None:
        given = tuple(entries)
        kinds = {type(entry) for entry in given}
        if kinds - {PermissionSet, PermissionLevel}:
            raise DataError(
                "permissions hold something that is neither a PermissionSet nor a PermissionLevel"
            )
        if len(kinds) > 1:
            raise DataError(_MIXED)
        object.__setattr__(self, "entries", given)
        if self.count > MAX_PERMISSIONS:
            raise DataError(too_many(self.count))

    @classmethod
    def parse(cls, value: Any) -> Permissions:
        """
        Return permissions from JSON text, from its Python value, or from a list of sets or levels.

        :raises DataError: says what is wrong
        """
        if isinstance(value, Permissions):
            return value
        from coveo_provider.documents.values.json_values import permissions

        try:
            body = permissions(value)
        except ValueError as error:
            raise DataError(f"permissions: {error}") from None
        if not isinstance(body, list):
            raise DataError("permissions are absent, expected a list of permission sets or levels")
        return cls.of(body)

    @classmethod
    def of(cls, body: list[dict[str, Any]]) -> Permissions:
        """Return permissions from what :func:`normal` gave."""
        if body and "permissionSets" in body[0]:
            return cls(
                PermissionLevel(level.get("name", ""), tuple(map(_set_of, level["permissionSets"])))
                for level in body
            )
        return cls(map(_set_of, body))

    @property
    def levels(self) -> tuple[PermissionLevel, ...]:
        """The levels, first one first; the simplified model is one level."""
        levels = tuple(entry for entry in self.entries if isinstance(entry, PermissionLevel))
        sets = tuple(entry for entry in self.entries if isinstance(entry, PermissionSet))
        return (PermissionLevel(permission_sets=sets),) if sets else levels

    @property
    def count(self) -> int:
        """How many identities are allowed or denied."""
        return sum(
            len(each.allowed_permissions) + len(each.denied_permissions)
            for level in self.levels
            for each in level.permission_sets
        )

    @property
    def is_public(self) -> bool:
        """Whether somebody who is not logged in sees the item (push-api.md section 5.2)."""
        levels = self.levels
        return bool(levels) and all(each.allow_anonymous for each in levels[0].permission_sets)

    def to_json(self) -> list[dict[str, Any]]:
        """Return them as the API spells them."""
        return [entry.to_json() for entry in self.entries]


_MIXED = "permissions hold levels (with permissionSets) next to sets: expected all of one kind"


def too_many(count: int) -> str:
    """Return what to say of an item with more identities than the API takes."""
    return f"permissions hold {count:,} identities, more than the {MAX_PERMISSIONS:,} an item may; use groups"


def normal(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    Return permissions in the API's spelling, checked; what is absent stays absent.

    :param entries: JSON without nulls: sets or levels, with keys in any case
    :raises ValueError: names the key at fault
    """
    count = [0]
    levels = [any(key.lower() == "permissionsets" for key in entry) for entry in entries]
    if any(levels) and not all(levels):
        raise ValueError(_MIXED)
    result = [_normal_level(entry, count) if any(levels) else _normal_set(entry, count) for entry in entries]
    if count[0] > MAX_PERMISSIONS:
        raise ValueError(too_many(count[0]))
    return result


def _normal_level(entry: dict[str, Any], count: list[int]) -> dict[str, Any]:
    level = _spelled(entry, LEVEL_KEYS, "a permission level")
    if not isinstance(level.get("name", ""), str):
        raise ValueError(f"name of a permission level is {level['name']!r}, expected a text")
    sets = _objects(level["permissionSets"], "permissionSets")
    if not sets:
        raise ValueError(f"permission level {level.get('name', '')!r} has no permissionSets")
    level["permissionSets"] = [_normal_set(each, count) for each in sets]
    return level


def _normal_set(entry: dict[str, Any], count: list[int]) -> dict[str, Any]:
    body = _spelled(entry, SET_KEYS, "a permission set")
    if not isinstance(body.get("allowAnonymous", False), bool):
        raise ValueError(f"allowAnonymous is {body['allowAnonymous']!r}, expected true or false")
    for key in ("allowedPermissions", "deniedPermissions"):
        if key in body:
            body[key] = [_normal_identity(each) for each in _objects(body[key], key)]
            count[0] += len(body[key])
    return body


def _normal_identity(entry: dict[str, Any]) -> dict[str, Any]:
    body = _spelled(entry, IDENTITY_KEYS, "an identity")
    name, kind, provider = body.get("identity", ""), body.get("identityType"), body.get("securityProvider")
    if kind is None:
        raise ValueError(f"identity {name!r} has no identityType: expected {TYPES_EXPECTED}")
    check_identity(name, provider)
    named = {"identity": name, "identityType": IdentityType.of(kind).value}
    return {**named, "securityProvider": provider} if provider else named


def check_identity(name: Any, provider: Any) -> None:
    """
    Check the name of an identity and of its provider.

    :raises DataError: the name is empty, or one of them is no text
    """
    if not isinstance(name, str) or not name.strip():
        raise DataError(f"identity is {name!r}, expected the name of a user or a group")
    if provider is not None and not isinstance(provider, str):
        raise DataError(f"securityProvider is {provider!r}, expected a text")


def _objects(value: Any, key: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise ValueError(f"{key} is not a list of objects")
    return value


def _spelled(entry: Mapping[str, Any], keys: Mapping[str, str], what: str) -> dict[str, Any]:
    body: dict[str, Any] = {}
    for given, value in entry.items():
        key = keys.get(given.lower())
        if key is None:
            raise ValueError(f"{what} has unknown key {given!r}: expected {', '.join(keys.values())}")
        if key in body:
            raise ValueError(f"{what} has key {given!r} twice in one object")
        body[key] = value
    return body


def _set_of(body: dict[str, Any]) -> PermissionSet:
    allowed, denied = (
        tuple(
            PermissionIdentity(each["identity"], each["identityType"], each.get("securityProvider"))
            for each in body.get(key, ())
        )
        for key in ("allowedPermissions", "deniedPermissions")
    )
    return PermissionSet(body.get("allowAnonymous", False), allowed, denied)


def _all(values: Iterable[Any], kind: type, name: str) -> tuple[Any, ...]:
    given = tuple(values)
    for value in given:
        if not isinstance(value, kind):
            raise DataError(f"{name} holds {value!r}, expected a {kind.__name__}")
    return given


def needlessly_named(body: list[dict[str, Any]]) -> bool:
    """Return whether permissions allow somebody by name although everybody sees the item."""
    levels = [entry.get("permissionSets", [entry]) for entry in body]
    first = (levels[0] if "permissionSets" in body[0] else body) if body else []
    public = bool(first) and all(each.get("allowAnonymous", False) for each in first)
    return public and any(each.get("allowedPermissions") for sets in levels for each in sets)


def warn_of_public(document: str) -> None:
    """Say that an item which names allowed users is seen by everybody all the same."""
    log.warning(
        "document %s names allowed users and sets allowAnonymous as well: it is public. Leave allowAnonymous "
        "out if only they are to see it",
        document,
    )

"""
Who may see an item: identities, permission sets and permission levels (docs 107 and 25).

The words are the API's. Python names are in snake case; the JSON has the API's own spelling, and is read in
any case. Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from coveo_provider.documents.permissions.reading import read_permissions
from coveo_provider.documents.permissions.spelling import (
    MAX_PERMISSIONS,
    MIXED,
    IdentityType,
    check_identity,
    too_many,
)
from coveo_provider.errors import DataError

EMAIL_PROVIDER = "Email Security Provider"
"""The provider that every organization has, and that aliases usually lead to (docs 1336)."""


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
    allowed_permissions: Sequence[PermissionIdentity] = ()
    denied_permissions: Sequence[PermissionIdentity] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.allow_anonymous, bool):
            raise DataError(f"allowAnonymous is {self.allow_anonymous!r}, expected true or false")
        for name in ("allowed_permissions", "denied_permissions"):
            object.__setattr__(self, name, _all(getattr(self, name), name, PermissionIdentity))

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
    permission_sets: Sequence[PermissionSet] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise DataError(f"name of a permission level is {self.name!r}, expected a text")
        object.__setattr__(
            self, "permission_sets", _all(self.permission_sets, "permission_sets", PermissionSet)
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

    entries: Sequence[PermissionSet] | Sequence[PermissionLevel] = ()

    def __init__(self, entries: Iterable[PermissionSet] | Iterable[PermissionLevel] = ()) -> None:
        all_entries = _all(entries, "permissions", PermissionSet, PermissionLevel)
        kinds = {type(entry) for entry in all_entries}
        if len(kinds) > 1:
            raise DataError(MIXED)
        object.__setattr__(self, "entries", all_entries)
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
        try:
            body = read_permissions(value)
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
        """Whether somebody who is not logged in sees the item (docs 78, permission levels)."""
        levels = self.levels
        return bool(levels) and all(each.allow_anonymous for each in levels[0].permission_sets)

    def to_json(self) -> list[dict[str, Any]]:
        """Return them as the API spells them."""
        return [entry.to_json() for entry in self.entries]


def _set_of(body: dict[str, Any]) -> PermissionSet:
    allowed, denied = (
        tuple(
            PermissionIdentity(each["identity"], each["identityType"], each.get("securityProvider"))
            for each in body.get(key, ())
        )
        for key in ("allowedPermissions", "deniedPermissions")
    )
    return PermissionSet(body.get("allowAnonymous", False), allowed, denied)


def _all(values: Any, name: str, *kinds: type) -> tuple[Any, ...]:
    expected = " or ".join(kind.__name__ for kind in kinds)
    if not isinstance(values, Iterable):
        raise DataError(f"{name} is {values!r}, expected a list of {expected}")
    several: tuple[Any, ...] = tuple(values)
    for value in several:
        if not isinstance(value, kinds):
            raise DataError(f"{name} holds {value!r}, expected a {expected}")
    return several

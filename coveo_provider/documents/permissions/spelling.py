"""
How the API spells ``permissions``: their keys, the types of identities, and what a set or level may hold.

Keys and types are read in any case. Imports nothing heavy.
"""

from __future__ import annotations

import logging
from enum import Enum
from typing import Any

from coveo_provider.documents.values.keys import spelled
from coveo_provider.errors import DataError

MAX_PERMISSIONS = 5_000
"""The most entries, allowed and denied ones, that an item may carry (docs 63)."""

MIXED = "permissions hold levels (with permissionSets) next to sets: expected all of one kind"

_log = logging.getLogger(__name__)

IDENTITY_KEYS = {key.lower(): key for key in ("identity", "identityType", "securityProvider")}
SET_KEYS = {key.lower(): key for key in ("allowAnonymous", "allowedPermissions", "deniedPermissions")}
_LISTS = ("allowedPermissions", "deniedPermissions")
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


def too_many(count: int) -> str:
    """Return what to say of an item with more identities than the API takes."""
    return f"permissions hold {count:,} identities, more than the {MAX_PERMISSIONS:,} an item may; use groups"


def normal(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    Return permissions in the API's spelling, checked; what is absent stays absent.

    :param entries: JSON without nulls: sets or levels, with keys in any case
    :raises ValueError: names the key at fault
    """
    levels = [any(key.lower() == "permissionsets" for key in entry) for entry in entries]
    if any(levels) and not all(levels):
        raise ValueError(MIXED)
    result = [_normal_level(entry) if any(levels) else _normal_set(entry) for entry in entries]
    sets = [each for entry in result for each in entry.get("permissionSets", [entry])]
    count = sum(len(each.get(key, ())) for each in sets for key in _LISTS)
    if count > MAX_PERMISSIONS:
        raise ValueError(too_many(count))
    return result


def _normal_level(entry: dict[str, Any]) -> dict[str, Any]:
    level = spelled(entry, LEVEL_KEYS, "a permission level")
    if not isinstance(level.get("name", ""), str):
        raise ValueError(f"name of a permission level is {level['name']!r}, expected a text")
    sets = _objects(level["permissionSets"], "permissionSets")
    if not sets:
        raise ValueError(f"permission level {level.get('name', '')!r} has no permissionSets")
    level["permissionSets"] = [_normal_set(each) for each in sets]
    return level


def _normal_set(entry: dict[str, Any]) -> dict[str, Any]:
    body = spelled(entry, SET_KEYS, "a permission set")
    if not isinstance(body.get("allowAnonymous", False), bool):
        raise ValueError(f"allowAnonymous is {body['allowAnonymous']!r}, expected true or false")
    for key in _LISTS:
        if key in body:
            body[key] = [_normal_identity(each) for each in _objects(body[key], key)]
    return body


def _normal_identity(entry: dict[str, Any]) -> dict[str, Any]:
    body = spelled(entry, IDENTITY_KEYS, "an identity")
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


def needlessly_named(body: list[dict[str, Any]]) -> bool:
    """Return whether permissions allow somebody by name although everybody sees the item."""
    levels = [entry.get("permissionSets", [entry]) for entry in body]
    first = (levels[0] if "permissionSets" in body[0] else body) if body else []
    public = bool(first) and all(each.get("allowAnonymous", False) for each in first)
    return public and any(each.get("allowedPermissions") for sets in levels for each in sets)


def warn_of_public(document: str) -> None:
    """Say that an item which names allowed users is seen by everybody all the same."""
    _log.warning(
        "document %s names allowed users and sets allowAnonymous as well: it is public. Leave allowAnonymous "
        "out if only they are to see it",
        document,
    )

"""The form of an item's ``permissions`` (docs 78), and whom they name."""

from __future__ import annotations

from typing import Any, NamedTuple

from coveo_provider.sandbox.service import jsontext
from coveo_provider.sandbox.service.security.access_rules import type_of

_SIDES = ("allowedpermissions", "deniedpermissions")


class Named(NamedTuple):
    """
    An identity an item names.

    :param provider: None for the default one
    :param type: as identity bodies spell it (``USER``, …)
    """

    provider: str | None
    type: str
    name: str


class MalformedError(ValueError):
    """The value is no permission model."""


class TooManyError(ValueError):
    """More entries than an item may have (docs 63): accepted by HTTP, rejected in the pipeline."""


def read(permissions: Any, most: int) -> frozenset[Named]:
    """
    Check a permission model and give the identities it names.

    Harsher than some samples: ``identityType`` is required (docs 78; the published description marks nothing
    as required), a list holds levels or sets but not both, and a level has no permissions beside its sets.
    Types are taken in any case and with or without ``_``, as official clients differ.

    :param most: entries allowed
    :raises MalformedError: when it is no permission model
    :raises TooManyError: when it has more than ``most`` entries
    """
    named = [
        _read_named(_lowered(entry))
        for one in _sets(permissions)
        for side in _SIDES
        for entry in _array(one.get(side), "allowedPermissions and deniedPermissions are arrays")
    ]
    if len(named) > most:
        raise TooManyError(f"the item has {len(named)} permissions; the limit is {most}")
    return frozenset(named)


def _sets(permissions: Any) -> list[dict[str, Any]]:
    """Give the permission sets of all levels; the simplified model holds sets and no levels."""
    if type(permissions) is not list:
        raise MalformedError("permissions must be an array")
    entries = [_lowered(entry) for entry in permissions]
    levels = [one for one in entries if "permissionsets" in one]
    if levels and len(levels) != len(entries):
        raise MalformedError("permissions holds permission levels or permission sets, not both")
    for level in levels:
        _check_level(level)
    sets = [_lowered(one) for level in levels for one in level["permissionsets"]] if levels else entries
    if any(type(one.get("allowanonymous", False)) is not bool for one in sets):
        raise MalformedError("allowAnonymous is true or false")
    return sets


def _check_level(level: dict[str, Any]) -> None:
    if type(level.get("name", "")) is not str:
        raise MalformedError("the name of a permission level is a string")
    if any(key in level for key in (*_SIDES, "allowanonymous")):
        raise MalformedError("a permission level holds its permissions in permissionSets")
    if type(level["permissionsets"]) is not list:
        raise MalformedError("permissionSets must be an array")


def _read_named(entry: dict[str, Any]) -> Named:
    name, provider = entry.get("identity"), entry.get("securityprovider")
    if type(name) is not str or not name.strip() or not jsontext.is_unicode(name):
        raise MalformedError("a permission names an identity, a string")
    kind = type_of(entry.get("identitytype"))
    if kind is None:
        raise MalformedError(
            f"identityType of {name!r} is required and is User, Group, VirtualGroup or Unknown"
        )
    if provider is not None and type(provider) is not str:
        raise MalformedError("securityProvider is a string")
    # Coveo's older Python SDK sends an empty provider for the default one.
    return Named(provider or None, kind, name)


def _array(value: Any, problem: str) -> list[Any]:
    if value is None:
        return []
    if type(value) is not list:
        raise MalformedError(problem)
    return value


def _lowered(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise MalformedError("permissions holds objects")
    # Of keys that are equal but for case, which real clients send, the last counts (docs 95 is about metadata;
    # probe: permissions-case).
    return {key.lower(): content for key, content in value.items()}

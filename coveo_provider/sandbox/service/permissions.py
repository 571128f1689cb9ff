"""The form of an item's ``permissions`` (``push-api.md`` section 5.1), and whom they name."""

from __future__ import annotations

from typing import Any, NamedTuple

from coveo_provider.sandbox.service import jsontext
from coveo_provider.sandbox.service.access import type_of

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

    Harsher than some samples: ``identityType`` is required (seed 002; the swagger marks nothing as required),
    a list holds levels or sets but not both, and a level has no permissions beside its sets. Types are taken
    in any case and with or without ``_``, as official clients differ.

    :param most: entries allowed
    :raises MalformedError: when it is no permission model
    :raises TooManyError: when it has more than ``most`` entries
    """
    if type(permissions) is not list:
        raise MalformedError("permissions must be an array")
    entries = [_lowered(entry) for entry in permissions]
    complete = [one for one in entries if "permissionsets" in one]
    if complete and len(complete) != len(entries):
        raise MalformedError("permissions holds permission levels or permission sets, not both")
    found: list[Named] = []
    for level in complete:
        if type(level.get("name", "")) is not str:
            raise MalformedError("the name of a permission level is a string")
        if any(key in level for key in (*_SIDES, "allowanonymous")):
            raise MalformedError("a permission level holds its permissions in permissionSets")
        if type(level["permissionsets"]) is not list:
            raise MalformedError("permissionSets must be an array")
        for one in level["permissionsets"]:
            _read_set(_lowered(one), found)
    if not complete:
        for one in entries:
            _read_set(one, found)
    if len(found) > most:
        raise TooManyError(f"the item has {len(found)} permissions; the limit is {most}")
    return frozenset(found)


def _read_set(one: dict[str, Any], found: list[Named]) -> None:
    if type(one.get("allowanonymous", False)) is not bool:
        raise MalformedError("allowAnonymous is true or false")
    for side in _SIDES:
        named = one.get(side)
        if named is None:
            continue
        if type(named) is not list:
            raise MalformedError("allowedPermissions and deniedPermissions are arrays")
        for entry in map(_lowered, named):
            name, provider = entry.get("identity"), entry.get("securityprovider")
            kind = type_of(entry.get("identitytype"))
            if type(name) is not str or not name.strip() or not jsontext.is_unicode(name):
                raise MalformedError("a permission names an identity, a string")
            if kind is None:
                raise MalformedError(
                    f"identityType of {name!r} is required and is User, Group, VirtualGroup or Unknown"
                )
            if provider is not None and type(provider) is not str:
                raise MalformedError("securityProvider is a string")
            # The SDK of seed 000 sends an empty provider for the default one.
            found.append(Named(provider or None, kind, name))


def _lowered(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise MalformedError("permissions holds objects")
    lowered = {key.lower(): content for key, content in value.items()}
    if len(lowered) != len(value):
        raise MalformedError("two keys of permissions are equal but for case")
    return lowered

"""
What a pushed identity must be (docs 78).

The same rules serve the single calls, where a broken one is 400 ``INVALID_JSON``, and a container's entries,
where it is a log entry.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from coveo_provider.sandbox.service import jsontext
from coveo_provider.sandbox.service.security.access_rules import TYPES

# The published description and every example; the prose of docs 78 spells them as items do. The harsher reading.
_TYPES = frozenset(TYPES)
_GROUPS = ("GROUP", "VIRTUAL_GROUP")
_KEYS = ("identity", "members", "mappings", "wellKnowns", "name", "type", "provider", "additionalInfo")
_SPELLED: dict[str, str] = {key.lower(): key for key in _KEYS}
_KNOWN = frozenset(_KEYS)
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


class IdentityRefused(Exception):
    """An identity that is not taken; ``name`` is empty when it has none."""

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.message, self.name = message, name


class Who(NamedTuple):
    """
    An identity as named.

    :param provider: None for the provider that is pushed to
    :param info: JSON of ``additionalInfo``, None when there is none
    """

    name: str
    type: str
    provider: str | None = None
    info: bytes | None = None


@dataclass(frozen=True)
class Rules:
    """
    What is pushed to.

    :param provider: its id
    :param cascades: ids of the providers it cascades to
    """

    provider: str
    cascades: tuple[str, ...]


@dataclass(frozen=True)
class Pushed:
    """A checked body. ``members`` is empty for an alias, ``aliases`` for an identity."""

    who: Who
    members: Sequence[Who] = ()
    aliases: Sequence[Who] = ()
    granted: Sequence[Who] = ()


def is_email(name: str) -> bool:
    """Say whether the Email Security Provider knows a user of this name."""
    return _EMAIL.fullmatch(name) is not None


def read(text: bytes, section: str, rules: Rules) -> Pushed:
    """
    Check one body.

    :param section: where it stands in a ``BatchIdentityBody``: ``members``, ``mappings`` or ``deleted``
    :raises IdentityRefused: when a rule is broken
    """
    try:
        value = jsontext.parse(text)
    except jsontext.BadJsonError as error:
        raise IdentityRefused(f"invalid JSON: {error}") from None
    body = _keys(value)
    if "identity" not in body:
        # Also what Coveo's Java client sends to delete, the bare name and type: a defect of it.
        raise IdentityRefused("'identity' is required and is an object")
    who = _who(body["identity"], rules)
    try:
        if section == "deleted":
            return Pushed(who)
        granted = [_who(one, rules) for one in _list(body, "wellKnowns")]
        members, aliases = _list(body, "members"), _list(body, "mappings")
        if section == "members":
            return Pushed(who, _members(who, members, aliases, rules), granted=granted)
        if members:
            raise IdentityRefused("members belong to an identity, not to an alias")
        return Pushed(who, aliases=[_alias(one, rules) for one in aliases], granted=granted)
    except IdentityRefused as refused:
        raise IdentityRefused(refused.message, who.name) from None


def _members(who: Who, members: list[Any], aliases: list[Any], rules: Rules) -> list[Who]:
    if aliases:
        raise IdentityRefused("mappings belong to an alias, not to an identity")
    if members and who.type not in _GROUPS:
        raise IdentityRefused(f"only GROUP and VIRTUAL_GROUP have members, not {who.type}")
    return [_who(one, rules) for one in members]


def _who(value: Any, rules: Rules, *, alias: bool = False) -> Who:
    keys = _keys(value)
    name, kind = keys.get("name"), keys.get("type")
    if type(name) is not str or not name.strip():
        raise IdentityRefused("'name' is required and is a string")
    if not jsontext.is_unicode(name):
        raise IdentityRefused("'name' is not Unicode text")
    if type(kind) is not str or kind not in _TYPES:
        raise IdentityRefused(f"'type' of {name!r} must be one of {', '.join(TYPES)}", name)
    provider = keys.get("provider")
    if provider is not None and type(provider) is not str:
        raise IdentityRefused("'provider' is a string", name)
    if not alias and provider and provider != rules.provider:
        # The model has no such key; the old SDK sends it. Only an alias leads to another provider.
        raise IdentityRefused(f"{name!r} is of the provider {provider!r}, not of {rules.provider!r}", name)
    return Who(name, kind, provider, _info(keys.get("additionalInfo"), name))


def _info(value: Any, name: str) -> bytes | None:
    if value is None:
        return None
    if type(value) is not dict or not all(
        type(one) is str and jsontext.is_unicode(key + one) for key, one in value.items()
    ):
        raise IdentityRefused("'additionalInfo' is an object of strings", name)
    return jsontext.dumps(value) if value else None


def _alias(value: Any, rules: Rules) -> Who:
    """The provider must cascade to the alias's ``provider``, which may be left out when there is one."""
    who = _who(value, rules, alias=True)
    if not who.provider:
        if len(rules.cascades) != 1:
            raise IdentityRefused(
                f"'provider' of the alias {who.name!r} is required: {rules.provider!r} cascades to "
                f"{len(rules.cascades)} providers"
            )
        return who._replace(provider=rules.cascades[0])
    if who.provider not in rules.cascades:
        raise IdentityRefused(
            f"the alias {who.name!r} is in {who.provider!r}; {rules.provider!r} does not cascade to it"
        )
    return who


def _list(body: dict[str, Any], key: str) -> list[Any]:
    value = body.get(key, [])
    if type(value) is not list:
        raise IdentityRefused(f"{key!r} is an array")
    return value


def _keys(value: Any) -> dict[str, Any]:
    """
    Take keys in any case (docs 1336 sends ``Identity``, ``Name``, ``Mappings``).

    Of keys that are equal but for case, which real clients send, the last counts (docs 95 is about metadata).
    """
    if type(value) is not dict:
        raise IdentityRefused("an identity is a JSON object")
    keys: dict[str, Any] = value
    if keys.keys() <= _KNOWN:
        return keys
    return {_SPELLED.get(key.lower(), key): content for key, content in keys.items()}

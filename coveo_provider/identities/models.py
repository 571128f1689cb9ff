"""
Security identities: groups with their members, aliases, granted identities (docs 78).

The words are the API's; ``type`` is spelled ``USER`` here, ``User`` in items. Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from coveo_provider.documents.permissions.spelling import IdentityType
from coveo_provider.documents.values.json_values import dump
from coveo_provider.documents.values.keys import spelled
from coveo_provider.errors import DataError

GROUPS = frozenset({IdentityType.GROUP, IdentityType.VIRTUAL_GROUP})
UNLISTED = "a GROUP without members: a push replaces the list, so give all of it, [] if it is empty"
"""What to say of a group of which is not told who is in it."""

_KEYS = ("name", "type", "provider", "additionalInfo")


@dataclass(frozen=True)
class Identity:
    """
    An identity of a security provider.

    :param name: unique over the whole system: an email address in simple cases
    :param type: ``USER``, ``GROUP``, ``VIRTUAL_GROUP`` or ``UNKNOWN``, in any case
    :param additional_info: texts by name, shown where the identity is browsed
    :raises DataError: the name is empty, the type is none of the four, or its info holds other things
    """

    name: str
    type: IdentityType
    additional_info: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __init__(
        self, name: str, type: IdentityType | str, additional_info: Mapping[str, str] | None = None
    ) -> None:
        if not isinstance(name, str) or not name.strip():
            raise DataError(f"name of an identity is {name!r}, expected a text")
        info = dict(additional_info or {})
        if any(not isinstance(text, str) for pair in info.items() for text in pair):
            raise DataError(f"additionalInfo of identity {name!r} is {info!r}, expected texts by name")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "type", IdentityType.of(type))
        object.__setattr__(self, "additional_info", info)

    def to_json(self) -> dict[str, Any]:
        """Return it as the API spells it; empty ``additionalInfo`` is left out."""
        body: dict[str, Any] = {"name": self.name, "type": self.type.name}
        return {**body, "additionalInfo": dict(self.additional_info)} if self.additional_info else body

    @classmethod
    def from_json(cls, body: Any) -> Identity:
        """
        Return it from JSON, with keys in any case.

        :raises DataError: says what is wrong
        """
        values = _spelled(body, ("name", "type", "additionalInfo"), "an identity")
        return cls(values.get("name", ""), values.get("type", ""), _info(values))


@dataclass(frozen=True)
class MappedIdentity(Identity):
    """
    An alias: the same person in another provider.

    :param provider: where; ``None`` where the provider cascades to a single other one
    """

    provider: str | None = None

    def __init__(
        self,
        name: str,
        type: IdentityType | str,
        provider: str | None = None,
        additional_info: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(name, type, additional_info)
        if provider is not None and not isinstance(provider, str):
            raise DataError(f"provider of identity {name!r} is {provider!r}, expected a text")
        object.__setattr__(self, "provider", provider or None)

    def to_json(self) -> dict[str, Any]:
        """Return it as the API spells it."""
        body = super().to_json()
        return body if self.provider is None else {**body, "provider": self.provider}

    @classmethod
    def from_json(cls, body: Any) -> MappedIdentity:
        """
        Return it from JSON, with keys in any case.

        :raises DataError: says what is wrong
        """
        values = _spelled(body, _KEYS, "an alias")
        return cls(values.get("name", ""), values.get("type", ""), values.get("provider"), _info(values))


@dataclass(frozen=True)
class IdentityBody:
    """
    An identity to add or update, with all its members: a push replaces what was there.

    :param members: who is in it; only groups and virtual groups have any
    :param well_knowns: the granted identities it becomes a member of
    :raises DataError: a user or an unknown identity has members, as the service refuses it (docs 78)
    """

    identity: Identity
    members: Sequence[Identity] = ()
    well_knowns: Sequence[Identity] = ()

    def __post_init__(self) -> None:
        _require_identity(self.identity)
        object.__setattr__(self, "members", _distinct(self.members))
        object.__setattr__(self, "well_knowns", _distinct(self.well_knowns))
        if self.members and self.identity.type not in GROUPS:
            raise DataError(f"identity {self.identity.name!r}: {no_members(self.identity.type.name)}")

    def to_json(self) -> dict[str, Any]:
        """Return it as the API spells it; a group always says its members, also when it has none."""
        says_members = bool(self.members) or self.identity.type in GROUPS
        return _body(self.identity, {"members": self.members} if says_members else {}, self.well_knowns)

    @classmethod
    def from_json(cls, body: Any) -> IdentityBody:
        """
        Return it from JSON, with keys in any case.

        :raises DataError: says what is wrong
        """
        return cls(*_related(body, "members", Identity.from_json, "an identity body"))


@dataclass(frozen=True)
class MappedIdentityBody:
    """
    The aliases of an identity in other providers, and its granted identities.

    :param mappings: who it is elsewhere, usually in the Email Security Provider
    :param well_knowns: the granted identities it becomes a member of
    """

    identity: Identity
    mappings: Sequence[MappedIdentity] = ()
    well_knowns: Sequence[Identity] = ()

    def __post_init__(self) -> None:
        _require_identity(self.identity)
        object.__setattr__(self, "mappings", _distinct(self.mappings))
        object.__setattr__(self, "well_knowns", _distinct(self.well_knowns))

    def to_json(self) -> dict[str, Any]:
        """Return it as the API spells it; ``mappings`` are always said."""
        return _body(self.identity, {"mappings": self.mappings}, self.well_knowns)

    @classmethod
    def from_json(cls, body: Any) -> MappedIdentityBody:
        """
        Return it from JSON, with keys in any case.

        :raises DataError: says what is wrong
        """
        return cls(*_related(body, "mappings", MappedIdentity.from_json, "an alias body"))


@dataclass(frozen=True)
class DisabledIdentityBody:
    """An identity to disable: the API calls it deleted, and brings it back when it is pushed again."""

    identity: Identity

    def __post_init__(self) -> None:
        _require_identity(self.identity)

    def to_json(self) -> dict[str, Any]:
        """Return it as the API spells it: wrapped in ``identity``."""
        return {"identity": self.identity.to_json()}

    @classmethod
    def from_json(cls, body: Any) -> DisabledIdentityBody:
        """
        Return it from JSON, with keys in any case.

        :raises DataError: says what is wrong
        """
        values = _spelled(body, ("identity",), "an identity to disable")
        return cls(Identity.from_json(values.get("identity")))


_Related = TypeVar("_Related", bound=Identity)
Body: TypeAlias = "IdentityBody | MappedIdentityBody | DisabledIdentityBody"


@dataclass(frozen=True)
class BatchIdentityBody:
    """
    What a container of identities holds.

    :param members: identities to add or update
    :param mappings: aliases to add or update
    :param deleted: identities to disable
    """

    members: Sequence[IdentityBody] = ()
    mappings: Sequence[MappedIdentityBody] = ()
    deleted: Sequence[DisabledIdentityBody] = ()

    def to_json(self) -> dict[str, Any]:
        """Return it as the API spells it; empty arrays are left out."""
        arrays: dict[str, Sequence[Body]] = {
            "members": self.members,
            "mappings": self.mappings,
            "deleted": self.deleted,
        }
        return {key: [each.to_json() for each in bodies] for key, bodies in arrays.items() if bodies}

    @classmethod
    def from_json(cls, body: Any) -> BatchIdentityBody:
        """
        Return it from JSON, with keys in any case.

        :raises DataError: says what is wrong
        """
        values = _spelled(body, ("members", "mappings", "deleted"), "a batch of identities")
        return cls(
            tuple(map(IdentityBody.from_json, _list(values, "members"))),
            tuple(map(MappedIdentityBody.from_json, _list(values, "mappings"))),
            tuple(map(DisabledIdentityBody.from_json, _list(values, "deleted"))),
        )


def no_members(kind: str) -> str:
    """Return what to say of an identity with members that can have none."""
    return f"a {kind} has no members, only a GROUP or a VIRTUAL_GROUP has; other names of it are its mappings"


def encode_identity(body: Body | BatchIdentityBody) -> bytes:
    """
    Return the JSON of one identity, one alias, one to disable, or a batch of them.

    :raises DataError: a text cannot be UTF-8
    """
    try:
        return dump(body.to_json())
    except TypeError as error:
        raise DataError(f"identity cannot be JSON: {error}") from None


def _body(
    identity: Identity, related: Mapping[str, Sequence[Identity]], well_knowns: Sequence[Identity]
) -> dict[str, Any]:
    lists = {**related, "wellKnowns": well_knowns} if well_knowns else related
    return {
        "identity": identity.to_json(),
        **{key: [each.to_json() for each in several] for key, several in lists.items()},
    }


def _related(
    body: Any, key: str, read: Callable[[Any], _Related], what: str
) -> tuple[Identity, tuple[_Related, ...], tuple[Identity, ...]]:
    """Return an identity, those under a key that are related to it, and those granted with them."""
    values = _spelled(body, ("identity", key, "wellKnowns"), what)
    return (
        Identity.from_json(values.get("identity")),
        tuple(map(read, _list(values, key))),
        tuple(map(Identity.from_json, _list(values, "wellKnowns"))),
    )


def _require_identity(identity: Any) -> None:
    if not isinstance(identity, Identity):
        raise DataError(f"{identity!r} is no Identity")


def _distinct(identities: Any) -> tuple[Any, ...]:
    """Return each identity once; those that differ in case stay, as a provider may tell them apart."""
    if not isinstance(identities, Iterable):
        raise DataError(f"{identities!r} is no list of identities")
    firsts: dict[Any, Identity] = {}
    for each in identities:
        if not isinstance(each, Identity):
            raise DataError(f"{each!r} is no Identity")
        firsts.setdefault((each.name, each.type, getattr(each, "provider", None)), each)
    return tuple(firsts.values())


def _spelled(body: Any, keys: tuple[str, ...], what: str) -> dict[str, Any]:
    if not isinstance(body, Mapping):
        raise DataError(f"{what} is {body!r}, expected an object with {', '.join(keys)}")
    try:
        return spelled(body, {key.lower(): key for key in keys}, what)
    except ValueError as error:
        raise DataError(str(error)) from None


def _info(values: dict[str, Any]) -> Mapping[str, str]:
    info = values.get("additionalInfo")
    if info is not None and not isinstance(info, Mapping):
        raise DataError(f"additionalInfo of identity {values.get('name')!r} is {info!r}, expected an object")
    return info or {}


def _list(values: dict[str, Any], key: str) -> list[Any]:
    value = values.get(key, ())
    if not isinstance(value, (list, tuple)):
        raise DataError(f"{key} is {value!r}, expected a list, or no such key")
    return list(value)

"""What a field is to be: declared by a DAG, or derived from a dataset. Imports nothing heavy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from coveo_provider.errors import ConfigurationError

TYPES = ("LONG", "LONG_64", "DOUBLE", "DATE", "STRING", "VECTOR")
"""Of fields (description of fields): whole numbers of 32 and of 64 bits, decimals, moments, texts, vectors."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,254}")
_FLAGS = {
    "multi_value": "multiValueFacet",
    "facet": "facet",
    "sort": "sort",
    "dictionary": "keyValue",
    "free_text": "mergeWithLexicon",
}
_TEXTS_ONLY = ("multi_value", "free_text")
_NEVER_OFF = ("facet", "sort")


def can_be_field(key: str) -> bool:
    """Return whether metadata of a key can fill a field of its name, which is the key in lower case."""
    return _NAME.fullmatch(key.lower()) is not None


@dataclass(frozen=True)
class FieldSpec:
    """
    A field that there is to be. A flag that is ``None`` is not compared, and gets the service's default.

    :param name: small letters, digits and ``_``, a letter first; metadata fills the field of its key in lower case
    :param type: ``LONG``, ``LONG_64``, ``DOUBLE``, ``DATE``, ``STRING`` or ``VECTOR``; no field ever changes it
    :param multi_value: whether each value of a list is a facet value of its own; of ``STRING`` only
    :param facet: whether results can be grouped by it; other types than ``STRING`` always can
    :param sort: whether results can be sorted by it; other types than ``STRING`` always can
    :param dictionary: whether it takes an object of keys and values
    :param free_text: whether a search without a field looks into it; of ``STRING`` only
    :param description: for people; set when the field is made, and not compared
    :raises ConfigurationError: there is no such field

    >>> FieldSpec("ec_price", "DOUBLE")
    FieldSpec(name='ec_price', type='DOUBLE')
    """

    name: str
    type: str = "STRING"
    multi_value: bool | None = None
    facet: bool | None = None
    sort: bool | None = None
    dictionary: bool | None = None
    free_text: bool | None = None
    description: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            hint = ""
            if isinstance(self.name, str) and can_be_field(self.name):
                hint = f": write {self.name.lower()!r}, which metadata of the key {self.name!r} fills as well"
            raise ConfigurationError(
                f"field {self.name!r}: a name has small letters, digits and '_', and begins with a letter{hint}"
            )
        if self.type not in TYPES:
            raise ConfigurationError(
                f"field {self.name}: type is one of {', '.join(TYPES)}, not {self.type!r}"
            )
        for flag in _FLAGS:
            value = getattr(self, flag)
            if value is not None and not isinstance(value, bool):
                raise ConfigurationError(f"field {self.name}: {flag} is true or false, not {value!r}")
        if self.type != "STRING":
            for flag in _TEXTS_ONLY:
                if getattr(self, flag):
                    raise ConfigurationError(
                        f"field {self.name}: {flag} is for fields of type STRING, and this is of type {self.type}"
                    )
            for flag in _NEVER_OFF:
                if getattr(self, flag) is False:
                    raise ConfigurationError(
                        f"field {self.name}: {flag} cannot be turned off for a field of type {self.type}"
                    )

    def __repr__(self) -> str:
        given = {one.name: getattr(self, one.name) for one in fields(self)}
        return f"FieldSpec({', '.join(f'{name}={value!r}' for name, value in given.items() if value is not None)})"

    def flags(self) -> dict[str, bool]:
        """Return the flags that it says anything of."""
        return {flag: getattr(self, flag) for flag in _FLAGS if getattr(self, flag) is not None}

    def model(self) -> dict[str, Any]:
        """Return it as the API's ``FieldModel``, without what is left to the service."""
        model: dict[str, Any] = {"name": self.name, "type": self.type}
        model.update((_FLAGS[flag], value) for flag, value in self.flags().items())
        if self.description is not None:
            model["description"] = self.description
        return model

    def described(self) -> str:
        """Return it in words: ``ec_price DOUBLE``, ``color STRING multi_value``."""
        return " ".join([self.name, self.type, *(flag for flag, on in self.flags().items() if on)])


def flag_of(model: Mapping[str, Any], flag: str) -> bool:
    """Return a flag of a ``FieldModel`` by our name of it."""
    return model.get(_FLAGS[flag]) is True


def with_flags(model: Mapping[str, Any], flags: Mapping[str, bool]) -> dict[str, Any]:
    """Return a ``FieldModel`` in which some flags are changed."""
    return {**model, **{_FLAGS[flag]: value for flag, value in flags.items()}}


def declared(value: Any) -> list[FieldSpec]:
    """
    Return the fields that an argument declares.

    :param value: a list of :class:`FieldSpec`; or a mapping of names to a type, a mapping or a ``FieldSpec``
    :raises ConfigurationError: it is neither, or a field is declared twice
    """
    if isinstance(value, Mapping):
        specs = [_spec(name, one) for name, one in value.items()]
    elif isinstance(value, (list, tuple)):
        specs = [one if isinstance(one, FieldSpec) else _spec(None, one) for one in value]
    else:
        raise ConfigurationError(
            f"fields is a list of FieldSpec, or a mapping such as {{'price': 'DOUBLE'}}, not {value!r}"
        )
    names = [one.name for one in specs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigurationError(f"field {twice[0]} is declared twice")
    return specs


def _spec(name: Any, value: Any) -> FieldSpec:
    if isinstance(value, FieldSpec):
        if value.name != name:
            raise ConfigurationError(f"field {name!r} is declared as {value.name!r}")
        return value
    if isinstance(value, str) and name is not None:
        return FieldSpec(name, value)
    if isinstance(value, Mapping):
        given = value if name is None else {**value, "name": name}
        known = {one.name for one in fields(FieldSpec)}
        if odd := [one for one in given if one not in known]:
            raise ConfigurationError(
                f"field {given.get('name')!r}: {odd[0]!r} is none of {', '.join(sorted(known))}"
            )
        if "name" in given:
            return FieldSpec(**given)
    raise ConfigurationError(
        f"field {name or value!r}: expected a FieldSpec, a type such as 'DOUBLE', or a mapping, not {value!r}"
    )

"""
What the mapping stage keeps of an item's metadata, where the sandbox is strict about fields.

The platform drops metadata without a field of its name, and values that do not fit the field's type, without a
word (docs 115). Here each that is dropped is a WARNING in the item's log, so that a person or a test can see it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from coveo_provider.sandbox.service import jsontext
from coveo_provider.sandbox.service.indexing.item_rules import RESERVED, Warned

Filled = Mapping[str, Sequence[tuple[str, bool]]]

_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_SHOWN = 100  # characters of a value that is dropped
_BITS = {"LONG": 32, "LONG_64": 64}


def keep(
    text: bytes,
    models: Mapping[str, Mapping[str, Any]],
    *,
    mapped: Filled | None = None,
    only: Iterable[str] | None = None,
) -> tuple[bytes, tuple[Warned, ...]]:
    """
    Leave out the metadata that no field takes, and say why for each.

    :param text: the item's JSON
    :param models: the organization's fields by name, those of every organization among them
    :param mapped: keys, in lower case, that a mapping rule of the source reads, with the names of the fields that
        it fills, and whether by the key alone: they are kept as they came where these take them
    :param only: metadata keys to look at; all of them when left out
    """
    members = jsontext.members(text)
    looked_at = members.keys() if only is None else {key for key in only if key in members}
    warnings = {
        key: why
        for key in looked_at
        if key.lower() not in RESERVED
        and (why := _problem(key, members[key], models, (mapped or {}).get(key.lower(), ())))
    }
    if not warnings:
        return text, ()
    left = {key: value for key, value in members.items() if key not in warnings}
    return jsontext.join(left), tuple(("MAPPING", warnings[key]) for key in sorted(warnings))


def _problem(
    key: str, text: bytes, models: Mapping[str, Mapping[str, Any]], filled: Iterable[tuple[str, bool]]
) -> str:
    """Say why a metadata value reaches no field; empty when it does."""
    own = models.get(key.lower())
    found = [(own, True)] if own else [(models[name], alone) for name, alone in filled if name in models]
    if not found:
        return f"{key!r} is dropped: the organization has no field of this name"
    return next(filter(None, (_misfit(key, text, model) for model, alone in found if alone)), "")


def _misfit(key: str, text: bytes, model: Mapping[str, Any]) -> str:
    """Say why a field does not take a metadata value; empty when it does."""
    value, kind = jsontext.parse(text), model["type"]
    if type(value) is dict and not model.get("keyValue", False):
        return f"{key!r} is dropped: an object, and its field is no dictionary field"
    parts = list(value.values()) if type(value) is dict else value if type(value) is list else [value]
    if wrong := [part for part in parts if not _FITS[kind](part)]:
        return (
            f"{key!r} is dropped: {repr(wrong[0])[:_SHOWN]} does not fit its field, which is of type {kind}"
        )
    return ""


def _is_whole(bits: int) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        if type(value) is str and _WHOLE.fullmatch(value.strip()):
            value = int(value)
        return type(value) is int and -(1 << (bits - 1)) <= value < 1 << (bits - 1)

    return fits


def _is_number(value: Any) -> bool:
    if type(value) is str:
        return _DECIMAL.fullmatch(value.strip()) is not None
    return type(value) is not bool


def _is_date(value: Any) -> bool:
    """Whether a text is one of the spellings of docs 115; others may be taken by the platform as well."""
    if type(value) is not str:
        return False
    try:
        datetime.fromisoformat(value.strip().replace("/", "-").replace("Z", "+00:00"))
    except ValueError:
        return False
    return True


_FITS: dict[str, Callable[[Any], bool]] = {
    **{kind: _is_whole(bits) for kind, bits in _BITS.items()},
    "DOUBLE": _is_number,
    "VECTOR": lambda value: type(value) is not bool and type(value) is not str,
    "DATE": _is_date,
    "STRING": lambda value: True,
}

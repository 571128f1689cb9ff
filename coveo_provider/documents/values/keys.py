"""Keys of JSON objects, taken in any case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def spelled(body: Mapping[Any, Any], keys: Mapping[str, str], what: str) -> dict[str, Any]:
    """
    Return an object with its keys as the API spells them.

    :param keys: those that it may have, by their lower-case spelling
    :param what: what the object is, for the error: ``a permission set``
    :raises ValueError: a key is none of these, or stands twice
    """
    values: dict[str, Any] = {}
    for name, value in body.items():
        key = keys.get(str(name).lower())
        if key is None:
            raise ValueError(f"{what} has unknown key {name!r}: expected {', '.join(keys.values())}")
        if key in values:
            raise ValueError(f"{what} has key {name!r} twice in one object")
        values[key] = value
    return values

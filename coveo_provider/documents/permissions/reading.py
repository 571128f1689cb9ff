"""``permissions`` as a user hands them in → in the API's spelling, checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from coveo_provider.documents.permissions.spelling import normal
from coveo_provider.documents.values.json_values import ABSENT, dump, is_absent, json_value

_DEPTH = 8  # more than a list of levels, of sets, of identities takes
_OPTIONAL = frozenset({"name", "allowanonymous", "securityprovider"})


def read_permissions(value: Any) -> Any:
    """
    Return ``permissions`` in the API's spelling, checked; ``ABSENT`` of ``values/json_values.py`` for none.

    :param value: a list of permission sets or levels, the JSON text of one, or the models of either
    :raises ValueError: says what cannot be sent
    """
    if is_absent(value):
        return ABSENT
    cleaned = _whole(_without_models(_parsed(value) if isinstance(value, str) else value), "", _DEPTH)
    if not isinstance(cleaned, list) or not all(isinstance(entry, dict) for entry in cleaned):
        raise ValueError("is not a list of permission sets or levels")
    return normal(cleaned)


def permissions_text(value: Any) -> str | None:
    """
    Return ``permissions`` as JSON text, or ``None`` when they are absent.

    :raises ValueError: says what cannot be sent
    """
    cleaned = read_permissions(value)
    return None if cleaned is ABSENT else dump(cleaned).decode()


def _parsed(text: str) -> Any:
    try:
        value = json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("is nested deeper than the API takes") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON ({error}): expected a list of permission sets or levels") from None
    if value is None:
        raise ValueError("is null, expected a list of permission sets or levels")
    return value


def _whole(value: Any, path: str, depth: int) -> Any:
    """
    Return a value as JSON can hold it, of which nothing may be missing.

    What is left out of permissions can let more people see an item. Only an optional key may be null, which is as
    if it were not there.

    :param path: where it stands
    """
    if not isinstance(value, (list, tuple, Mapping)):
        cleaned = json_value(value, _DEPTH)
        if cleaned is ABSENT:
            raise ValueError(
                f"null stands at {path}, and whom it would allow or deny is not known: leave it out"
            )
        if not isinstance(cleaned, (list, dict)):
            return cleaned
        value = value.tolist()  # an array of numpy
    if depth <= 0:
        raise ValueError("is nested deeper than the API takes")
    if not isinstance(value, Mapping):
        return [_whole(each, f"{path}[{number}]", depth - 1) for number, each in enumerate(value)]
    if any(not isinstance(key, str) for key in value):
        raise ValueError("holds an object with a key that is no text")
    return {
        key: _whole(each, f"{path}.{key}" if path else key, depth - 1)
        for key, each in value.items()
        if not (key.lower() in _OPTIONAL and is_absent(each))
    }


def _without_models(value: Any) -> Any:
    if hasattr(value, "to_json"):
        return value.to_json()
    if isinstance(value, (list, tuple)):
        return [entry.to_json() if hasattr(entry, "to_json") else entry for entry in value]
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; one of two equal keys would be lost, and with it perhaps a denial."""
    keys = set()
    for key, _ in pairs:
        if key.lower() in keys:
            raise ValueError(f"has key {key!r} twice in one object")
        keys.add(key.lower())
    return dict(pairs)


def _no_number(text: str) -> None:
    raise ValueError(f"holds {text}, which is no JSON number")

"""``permissions`` as a user hands them in → in the API's spelling, checked."""

from __future__ import annotations

import json
from typing import Any

from coveo_provider.documents.permissions.spelling import normal
from coveo_provider.documents.values.json_values import ABSENT, dump, json_value

_DEPTH = 8  # more than a list of levels, of sets, of identities takes


def read_permissions(value: Any) -> Any:
    """
    Return ``permissions`` in the API's spelling, checked; ``ABSENT`` of ``values/json_values.py`` for none.

    :param value: a list of permission sets or levels, the JSON text of one, or the models of either
    :raises ValueError: says what cannot be sent
    """
    cleaned = json_value(_without_models(_parsed(value) if isinstance(value, str) else value), _DEPTH)
    if cleaned is ABSENT:
        return ABSENT
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

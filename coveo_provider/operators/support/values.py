"""Values of arguments that a template may have turned into text."""

from __future__ import annotations

from typing import Any

from coveo_provider.errors import ConfigurationError


def number(value: Any, kind: type[Any], name: str, default: Any) -> Any:
    """
    Return a number that a template may have turned into text; an empty text and None mean the default.

    :raises ConfigurationError: it is a text, and no number
    """
    if value is None or (isinstance(value, str) and value.strip() in {"", "None"}):
        return default
    if not isinstance(value, str):
        return value
    try:
        return kind(value)
    except ValueError:
        raise ConfigurationError(f"{name} must be a number, not {value!r}") from None


def truth(value: Any, name: str) -> bool:
    """
    Return a truth that a template may have turned into text.

    :raises ConfigurationError: it is neither true nor false
    """
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in {"true", "1", "yes"}:
        return True
    if text in {"false", "0", "no", "", "none"}:
        return False
    raise ConfigurationError(f"{name} must be true or false, not {value!r}")

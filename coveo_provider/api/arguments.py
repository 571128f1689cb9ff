"""Checks what callers pass, and spells it as the API wants it, before anything is sent."""

from __future__ import annotations

from coveo_provider.api.routes import percent_encoded
from coveo_provider.api.types import MARK_DIGITS
from coveo_provider.errors import ConfigurationError, DocumentError


def checked_ordering_id(value: object, name: str = "ordering_id") -> int:
    """
    Return ``value`` as an ``orderingId``, or as a moment of the same form.

    :param name: what it is called in the message
    :raises ConfigurationError: it is not a whole number of 13 digits
    """
    short = _is_short(value)
    text = str(value).strip() if short and not isinstance(value, (bool, float)) else ""
    if not (text.isascii() and text.isdigit() and len(text) == MARK_DIGITS and text[0] != "0"):
        shown = repr(value) if short else f"a very long {type(value).__name__}"
        raise ConfigurationError(
            f"{name} must be a whole number of {MARK_DIGITS} digits, milliseconds since the epoch, not "
            f"{shown}"
        )
    return int(text)


def ordering(ordering_id: int | None) -> dict[str, str]:
    """Return the query parameter ``orderingId``, if there is one."""
    return {} if ordering_id is None else {"orderingId": str(checked_ordering_id(ordering_id))}


def document(document_id: str) -> dict[str, str]:
    """
    Return the query parameter ``documentId``.

    :raises DocumentError: it is no text, or empty
    """
    if not isinstance(document_id, str) or not document_id.strip():
        raise DocumentError(repr(document_id), "a documentId is a text that is not empty")
    try:
        percent_encoded("documentId", document_id)
    except ConfigurationError:
        raise DocumentError(ascii(document_id[:200]), "its id is no Unicode text") from None
    return {"documentId": document_id}


def flag(value: bool) -> str:
    """Return a boolean as the API spells it."""
    return "true" if value else "false"


def minutes(queue_delay: int) -> str:
    """
    Return a delay.

    :raises ConfigurationError: it is not whole minutes, 0 or more
    """
    whole = isinstance(queue_delay, int) and not isinstance(queue_delay, bool)
    if not whole or not 0 <= queue_delay < 10**9:
        shown = repr(queue_delay) if _is_short(queue_delay) else "so many"
        raise ConfigurationError(f"queue_delay must be whole minutes, 0 or more, not {shown}")
    return str(queue_delay)


def _is_short(value: object) -> bool:
    """Whether ``value`` can be put into a message: Python refuses to print an integer of 5,000 digits."""
    if isinstance(value, int):
        return abs(value) < 10**50
    return not isinstance(value, (str, bytes)) or len(value) < 200

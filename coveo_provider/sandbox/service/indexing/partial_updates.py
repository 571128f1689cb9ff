"""
Partial updates: one entry changes one field of one existing item.

``docs/api-notes.md, "Updates and partial updates"`` has the operators, which no page describes in full.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from coveo_provider.sandbox.service import jsontext
from coveo_provider.sandbox.service.indexing import item_rules
from coveo_provider.sandbox.service.indexing.item_rules import ItemRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from coveo_provider.sandbox.service.limits import Limits


@dataclass(frozen=True)
class Change:
    """
    A checked entry of ``partialUpdate``.

    :param text: JSON text of ``value``; None when it was null or left out
    """

    uri: str
    operator: str
    field: str
    value: Any
    text: bytes | None

    def apply(self, body: bytes) -> bytes:
        """
        Give the item's JSON with the change made; every other value keeps its text.

        :raises ItemRefused: when the field holds something the operator cannot change
        """
        item = jsontext.members(body)
        key = next((key for key in item if key.lower() == self.field.lower()), self.field)
        changed = OPERATORS[self.operator](self, item.get(key))
        if changed is None:
            item.pop(key, None)
        else:
            item[key] = changed
        return jsontext.join(item)

    def _replace(self, stored: bytes | None) -> bytes | None:
        return self.text  # null or left out removes the field's value (probe: replace-null)

    def _append(self, stored: bytes | None) -> bytes:
        return _array(self._elements(stored) + jsontext.elements(self.text or b"[]"))

    def _remove(self, stored: bytes | None) -> bytes | None:
        if stored is None:
            return None
        gone = [_typed(value) for value in self.value]
        return _array([text for text in self._elements(stored) if _typed(jsontext.parse(text)) not in gone])

    def _put(self, stored: bytes | None) -> bytes:
        return jsontext.join({**self._pairs(stored), **jsontext.members(self.text or b"{}")})

    def _take(self, stored: bytes | None) -> bytes | None:
        if stored is None:
            return None
        gone = [self.value] if isinstance(self.value, str) else self.value
        return jsontext.join({key: text for key, text in self._pairs(stored).items() if key not in gone})

    def _elements(self, stored: bytes | None) -> list[bytes]:
        if stored is None:
            return []
        if not stored.startswith(b"["):
            raise self._mismatch("an array")
        return jsontext.elements(stored)

    def _pairs(self, stored: bytes | None) -> dict[str, bytes]:
        if stored is None:
            return {}
        if not stored.startswith(b"{"):
            raise self._mismatch("a dictionary")
        return jsontext.members(stored)

    def _mismatch(self, wanted: str) -> ItemRefused:
        return ItemRefused(
            f"{self.operator} needs {wanted} in {self.field!r}",
            result="WARNING",
            task="STREAMING_EXTENSION",
            uri=self.uri,
        )


OPERATORS: dict[str, Callable[[Change, bytes | None], bytes | None]] = {
    "fieldValueReplace": Change._replace,
    "arrayAppend": Change._append,
    "arrayRemove": Change._remove,
    "dictionaryPut": Change._put,
    "dictionaryRemove": Change._take,
}

_BY_LOWER_CASE = {name.lower(): name for name in OPERATORS}


def read_change(text: bytes, limits: Limits) -> Change:
    """
    Read and check one entry.

    The case of the operator does not matter: Coveo's Java client sends upper case (probe: operator-case).

    :raises ItemRefused: when it is not a change the service could make
    """
    entry = item_rules.entry(text)
    uri, operator, field = (entry.get(name) for name in ("documentid", "operator", "field"))
    if not isinstance(uri, str) or not uri:
        raise ItemRefused("documentId is required and is a string")
    operator = _BY_LOWER_CASE.get(operator.lower()) if isinstance(operator, str) else None
    if operator is None:
        raise ItemRefused(
            f"operator is one of {', '.join(OPERATORS)}, not {entry.get('operator')!r}", uri=uri
        )
    if not isinstance(field, str) or not field:
        raise ItemRefused("field is required and is a string", uri=uri)
    if field.lower() in item_rules.RESERVED:
        raise ItemRefused(f"{field} is not a field", uri=uri)
    value = entry.get("value")
    if problem := _value_problem(operator, value) or (
        value is not None and item_rules.metadata_problem(field, value, limits)
    ):
        raise ItemRefused(problem, uri=uri)
    texts = {key.lower(): one for key, one in jsontext.members(text).items()}
    return Change(uri, operator, field, value, None if value is None else texts["value"])


def _value_problem(operator: str, value: Any) -> str:
    if operator in ("arrayAppend", "arrayRemove") and not isinstance(value, list):
        return f"{operator} takes an array"
    if operator == "dictionaryPut" and not isinstance(value, dict):
        return "dictionaryPut takes an object"
    if operator == "dictionaryRemove" and not (
        isinstance(value, str) or (isinstance(value, list) and all(isinstance(one, str) for one in value))
    ):
        return "dictionaryRemove takes a key or an array of keys"
    return ""


def _typed(value: Any) -> tuple[bool, Any]:
    """Tell true from 1, which Python calls equal."""
    return isinstance(value, bool), value


def _array(texts: list[bytes]) -> bytes:
    return b"[" + b",".join(texts) + b"]"

"""Items that a person looks for, found in pieces: however many there are, an answer comes at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from coveo_provider.sandbox.service import jsontext

if TYPE_CHECKING:
    from coveo_provider.sandbox.service.indexing.item_store import ItemStore

SHOWN = 50
# Items that one request looks at before it answers with what it found; some tenths of a second.
LOOKED_AT = 50_000
_STEP = 1_000


@dataclass(frozen=True)
class Wanted:
    """
    What is looked for; all of it must hold.

    :param prefix: how the documentId starts
    :param text: stands somewhere in the item's JSON, in any case
    :param field: a metadata key, in any case; with ``value`` empty, an item that has it at all
    :param value: the field's value, one of its values, or one of its dictionary's, in any case
    """

    prefix: str = ""
    text: str = ""
    field: str = ""
    value: str = ""

    def matches(self, body: bytes) -> bool:
        """Say whether an item's JSON has the text and the field."""
        if not (self.text or self.field):
            return True
        item = jsontext.parse(body)
        if self.text and self.text.casefold() not in orjson.dumps(item, default=str).decode().casefold():
            return False
        held = [value for key, value in item.items() if key.lower() == self.field.lower()]
        if not self.field or (held and not self.value):
            return bool(held) or not self.field
        return any(one.casefold() == self.value.casefold() for value in held for one in _texts(value))


@dataclass(frozen=True)
class Found:
    """
    A page of items.

    :param rows: documentId, orderingId and JSON of each
    :param after: where to go on; None when there is no more
    :param looked_at: how many items were looked at
    """

    rows: list[tuple[str, int, bytes]]
    after: str | None
    looked_at: int


def find(store: ItemStore, source: int, wanted: Wanted, after: str) -> Found:
    """
    Look through the items of a source, in the order of their ids, until a page is full or enough were looked at.

    :param source: number of the source
    :param after: the id to go on after; empty for the start
    """
    rows: list[tuple[str, int, bytes]] = []
    looked_at = 0
    while looked_at < LOOKED_AT:
        piece = store.page(
            source, after, _STEP if wanted.text or wanted.field else SHOWN, prefix=wanted.prefix
        )
        for row in piece:
            looked_at, after = looked_at + 1, row[0]
            if wanted.matches(row[2]):
                rows.append(row)
                if len(rows) == SHOWN:
                    return Found(rows, after, looked_at)
        if not piece:
            return Found(rows, None, looked_at)
    return Found(rows, after, looked_at)


def _texts(value: Any) -> Iterator[str]:
    """Give the texts of a metadata value, booleans as JSON has them."""
    if isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))
    else:
        yield value if isinstance(value, str) else orjson.dumps(value, default=str).decode().strip('"')

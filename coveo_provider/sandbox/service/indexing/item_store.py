"""The items of the index, in the sandbox's database: documentId, orderingId and JSON of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from coveo_provider.sandbox.service.database import Database

_SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    source INTEGER NOT NULL, id TEXT NOT NULL, ordering INTEGER NOT NULL, body BLOB, PRIMARY KEY (source,
    id));
"""
# Greater than every id.
_LAST = "\U0010ffff" * 8


class ItemStore:
    """The table of items in ``database``; writers hold its transaction. ``source`` is a source's number."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.prepare(_SCHEMA)

    def orderings(self, source: int, ids: Sequence[str]) -> dict[str, tuple[int, bool]]:
        """Give the orderingId of each of ``ids`` that is known, and whether the item is there or was deleted."""
        known: dict[str, tuple[int, bool]] = {}
        for start in range(0, len(ids), 500):
            part = ids[start : start + 500]
            marks = ",".join("?" * len(part))
            known.update(
                (row[0], (row[1], bool(row[2])))
                for row in self._database.rows(
                    "SELECT id, ordering, body IS NOT NULL FROM items "  # noqa: S608 - only marks
                    f"WHERE source = ? AND id IN ({marks})",
                    source,
                    *part,
                )
            )
        return known

    def put(self, source: int, rows: Iterable[tuple[str, int, bytes | None]]) -> None:
        """Write items (id, ordering, body); a body of None marks the item as deleted at that ordering."""
        self._database.write(
            "INSERT INTO items VALUES (?, ?, ?, ?) ON CONFLICT (source, id) "
            "DO UPDATE SET ordering = excluded.ordering, body = excluded.body",
            ((source, *row) for row in rows),
        )

    def body(self, source: int, document_id: str) -> bytes | None:
        """Give an item's JSON, None when the index does not hold it."""
        rows = self._database.rows(
            "SELECT body FROM items WHERE source = ? AND id = ? AND body IS NOT NULL", source, document_id
        )
        return rows[0][0] if rows else None

    def under(self, source: int, prefix: str) -> list[tuple[str, int]]:
        """Give the items whose id starts with ``prefix``, and their orderings."""
        after = _after(prefix)
        return self._database.rows(
            "SELECT id, ordering FROM items "
            "WHERE source = ? AND id >= ? AND (? IS NULL OR id < ?) AND body IS NOT NULL",
            source,
            prefix,
            after,
            after,
        )

    def page(self, source: int, after: str, limit: int, *, prefix: str = "") -> list[tuple[str, int, bytes]]:
        """Give items in the order of their ids, from the first greater than ``after`` that starts so."""
        return self._database.rows(
            "SELECT id, ordering, body FROM items "
            "WHERE source = ? AND id >= ? AND id < ? AND id <> ? AND body IS NOT NULL ORDER BY id LIMIT ?",
            source,
            max(after, prefix),
            _after(prefix) or _LAST,
            after,
            limit,
        )

    def loads(self, source: int) -> list[tuple[int, int]]:
        """Give each orderingId that items have, lowest first, and how many have it; it reads them all."""
        return self._database.rows(
            "SELECT ordering, count(*) FROM items WHERE source = ? AND body IS NOT NULL "
            "GROUP BY ordering ORDER BY ordering",
            source,
        )

    def count(self, source: int, *, older_than: int = 2**62) -> int:
        """Count the items of a source, by reading them all; with ``older_than`` those of a lower orderingId."""
        sql = "SELECT count(*) FROM items WHERE source = ? AND ordering < ? AND body IS NOT NULL"
        return int(self._database.rows(sql, source, older_than)[0][0])

    def delete_older(self, source: int, ordering: int) -> None:
        """Drop the items with a lower orderingId, and what is known of deleted ones."""
        self._database.write("DELETE FROM items WHERE source = ? AND ordering < ?", [(source, ordering)])

    def forget(self, source: int) -> None:
        """Drop everything of a source."""
        self._database.write("DELETE FROM items WHERE source = ?", [(source,)])

    def clear(self) -> None:
        """Drop everything."""
        self._database.write("DELETE FROM items")


def _after(prefix: str) -> str | None:
    """Give the first string greater than all that start with ``prefix``; None when there is no such bound."""
    for at in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[at]) + 1
        if code <= 0x10FFFF:
            return prefix[:at] + chr(0xE000 if 0xD800 <= code < 0xE000 else code)
    return None

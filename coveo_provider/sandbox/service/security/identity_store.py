"""
Identities and how they belong together, in the sandbox's SQLite database.

An identity is a row; a membership, an alias or a grant is an edge between two rows, kept under the identity
whose push declares it, so that the next push of that identity replaces it. Five million edges stay on disk
and are followed by index: nothing here grows with their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from coveo_provider.sandbox.service.database import Database

_SCHEMA = """
CREATE TABLE IF NOT EXISTS providers (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, config BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS identities (
    id INTEGER PRIMARY KEY, provider INTEGER NOT NULL, folded TEXT NOT NULL, type INTEGER NOT NULL,
    name TEXT NOT NULL, state INTEGER NOT NULL, ordering INTEGER NOT NULL, updated_ms INTEGER NOT NULL,
    info BLOB, UNIQUE (provider, folded, type));
CREATE TABLE IF NOT EXISTS edges (
    owner INTEGER NOT NULL, kind INTEGER NOT NULL, other INTEGER NOT NULL,
    PRIMARY KEY (owner, kind, other)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS edges_back ON edges (other, kind);
CREATE TABLE IF NOT EXISTS identity_log (
    seq INTEGER PRIMARY KEY, time_ms INTEGER NOT NULL, provider INTEGER NOT NULL, id TEXT NOT NULL,
    operation TEXT NOT NULL, result TEXT NOT NULL, ordering INTEGER NOT NULL, error TEXT);
"""
# States: 0 when somebody named it only (as member, granted or alias), known when it was pushed.
KNOWN, DISABLED = 1, 2
# An edge leads from its owner to a member, an alias, or a granted identity (by either kind of push).
MEMBER, ALIAS, GRANTED, ALIAS_GRANTED = 0, 1, 2, 3
_COLUMNS = "id, provider, folded, type, name, state, ordering, updated_ms, info"


class IdentityRow(NamedTuple):
    """An identity as kept; ``provider`` is its provider's number, ``type`` an index of ``TYPES``."""

    id: int
    provider: int
    folded: str
    type: int
    name: str
    state: int
    ordering: int
    updated_ms: int
    info: bytes | None


class IdentityLogRow(NamedTuple):
    """A log entry; ``id`` is the identity's name, the container's id, or the provider's."""

    time_ms: int
    provider: int
    id: str
    operation: str
    result: str
    ordering: int
    error: str | None = None


Spot = tuple[int, str, int]
"""Where an identity is: provider number, folded name, index of its type."""


class IdentityStore:
    """The tables of identities in ``database``; writers hold its transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.prepare(_SCHEMA)

    # -- providers -------------------------------------------------------------------------------------------

    def save_provider(self, n: int, provider_id: str, config: bytes) -> None:
        """Keep a provider's settings."""
        sql = "INSERT INTO providers VALUES (?, ?, ?) ON CONFLICT (n) DO UPDATE SET config = excluded.config"
        self._database.write(sql, [(n, provider_id, config)])

    def providers(self) -> list[bytes]:
        """Settings of every provider, in the order they were made."""
        return [row[0] for row in self._database.rows("SELECT config FROM providers ORDER BY n")]

    def forget_provider(self, n: int) -> None:
        """Drop a provider with its identities."""
        with self._database.transaction():
            self._database.write("DELETE FROM providers WHERE n = ?", [(n,)])
            for end in ("owner", "other"):
                self._database.write(
                    f"DELETE FROM edges WHERE {end} IN (SELECT id FROM identities WHERE provider = ?)",  # noqa: S608
                    [(n,)],
                )
            self._database.write("DELETE FROM identities WHERE provider = ?", [(n,)])

    def clear(self) -> None:
        """Forget every identity and the log."""
        with self._database.transaction():
            for table in ("identities", "edges", "identity_log"):
                self._database.write(f"DELETE FROM {table}")  # noqa: S608 - own names

    # -- writing ---------------------------------------------------------------------------------------------

    def name(self, spots: Iterable[tuple[Spot, str]]) -> None:
        """Make rows for identities (and how they are spelled) that somebody names and that are not there."""
        self._database.write(
            "INSERT OR IGNORE INTO identities (provider, folded, type, name, state, ordering, updated_ms) "
            "VALUES (?, ?, ?, ?, 0, 0, 0)",
            ((*spot, name) for spot, name in spots),
        )

    def push(
        self, spot: Spot, name: str, ordering: int, now: int, info: bytes | None, *, keep_info: bool
    ) -> None:
        """Keep a pushed identity; without ``info`` the one there was goes, or stays with ``keep_info``."""
        self._database.write(
            "INSERT INTO identities (provider, folded, type, name, state, ordering, updated_ms, info) "
            "VALUES (?, ?, ?, ?, 1, ?, ?, ?) ON CONFLICT (provider, folded, type) DO UPDATE SET "
            "name = excluded.name, state = 1, ordering = excluded.ordering, "
            "updated_ms = excluded.updated_ms, info = coalesce(excluded.info, iif(?, info, NULL))",
            [(*spot, name, ordering, now, info, keep_info)],
        )

    def replace_edges(self, owner: int, kinds: Sequence[int], edges: Iterable[tuple[int, Spot]]) -> None:
        """Let an identity have these edges (kind, other end) of these kinds and no others."""
        self._database.write(
            "DELETE FROM edges WHERE owner = ? AND kind = ?", [(owner, kind) for kind in kinds]
        )
        self._database.write(
            "INSERT OR IGNORE INTO edges SELECT ?, ?, id FROM identities "
            "WHERE provider = ? AND folded = ? AND type = ?",
            ((owner, kind, *spot) for kind, spot in edges),
        )

    def disable(self, row_id: int, ordering: int, now: int) -> None:
        """Disable one identity."""
        self._database.write(
            "UPDATE identities SET state = 2, ordering = ?, updated_ms = ? WHERE id = ?",
            [(ordering, now, row_id)],
        )

    def disable_older(self, provider: int, ordering: int, now: int) -> int:
        """Disable what was pushed before an orderingId, and say how many there were."""
        return self._database.write(
            "UPDATE identities SET state = 2, updated_ms = ? "
            "WHERE provider = ? AND state = 1 AND ordering < ?",
            [(now, provider, ordering)],
        )

    def enable(self, provider: int | None, now: int) -> None:
        """Enable what is disabled, in one provider or in all."""
        self._database.write(
            "UPDATE identities SET state = 1, updated_ms = ? WHERE state = 2 AND (? IS NULL OR provider = ?)",
            [(now, provider, provider)],
        )

    # -- reading ---------------------------------------------------------------------------------------------

    def find(self, spot: Spot) -> IdentityRow | None:
        """Give the identity at a spot."""
        sql = f"SELECT {_COLUMNS} FROM identities WHERE provider = ? AND folded = ? AND type = ?"  # noqa: S608
        rows = self._database.rows(sql, *spot)
        return IdentityRow(*rows[0]) if rows else None

    def state(self, spot: Spot) -> int | None:
        """Give the state of the identity at a spot, None when there is none."""
        sql = "SELECT state FROM identities WHERE provider = ? AND folded = ? AND type = ?"
        rows = self._database.rows(sql, *spot)
        return int(rows[0][0]) if rows else None

    def row_and_ordering(self, spot: Spot) -> tuple[int, int] | None:
        """Give row id and orderingId of the identity at a spot, None when there is none."""
        sql = "SELECT id, ordering FROM identities WHERE provider = ? AND folded = ? AND type = ?"
        rows = self._database.rows(sql, *spot)
        return (rows[0][0], rows[0][1]) if rows else None

    def ends(self, spot: Spot, kinds: Sequence[int], *, back: bool = False) -> list[IdentityRow]:
        """Follow edges from an identity, or ``back`` to their owners."""
        here, there = ("other", "owner") if back else ("owner", "other")
        columns = ", ".join(f"far.{column.strip()}" for column in _COLUMNS.split(","))
        rows = self._database.rows(
            f"SELECT {columns} FROM identities near "  # noqa: S608 - own names
            f"JOIN edges ON edges.{here} = near.id AND edges.kind IN ({','.join(map(str, kinds))}) "
            f"JOIN identities far ON far.id = edges.{there} "
            "WHERE near.provider = ? AND near.folded = ? AND near.type = ? ORDER BY far.folded, far.id",
            *spot,
        )
        return [IdentityRow(*row) for row in rows]

    def page(
        self,
        providers: Sequence[int],
        *,
        types: Sequence[int] = (),
        pattern: str | None = None,
        offset: int = 0,
        limit: int = -1,
    ) -> tuple[list[IdentityRow], int]:
        """Identities of some providers by name, and how many match in all; ``pattern`` is LIKE's."""
        where = f"provider IN ({','.join(map(str, providers))})"
        if types:
            where += f" AND type IN ({','.join(map(str, types))})"
        values: list[object] = []
        if pattern is not None:
            where += " AND name LIKE ? ESCAPE '\\'"
            values.append(pattern)
        total = self._database.rows(f"SELECT count(*) FROM identities WHERE {where}", *values)[0][0]  # noqa: S608
        rows = self._database.rows(
            f"SELECT {_COLUMNS} FROM identities WHERE {where} ORDER BY folded, provider, type "  # noqa: S608
            "LIMIT ? OFFSET ?",
            *values,
            limit,
            offset,
        )
        return [IdentityRow(*row) for row in rows], int(total)

    def states(self, provider: int) -> dict[int, int]:
        """Count the identities of a provider by state."""
        sql = "SELECT state, count(*) FROM identities WHERE provider = ? GROUP BY state"
        return {row[0]: row[1] for row in self._database.rows(sql, provider)}

    # -- log -------------------------------------------------------------------------------------------------

    def log(self, rows: Iterable[IdentityLogRow]) -> None:
        """Append entries."""
        self._database.write(
            "INSERT INTO identity_log (time_ms, provider, id, operation, result, ordering, error) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            rows,
        )

    def read_log(self, provider: int, *, offset: int = 0, limit: int = -1) -> list[IdentityLogRow]:
        """Entries of a provider, oldest first."""
        sql = (
            "SELECT time_ms, provider, id, operation, result, ordering, error FROM identity_log "
            "WHERE provider = ? ORDER BY seq LIMIT ? OFFSET ?"
        )
        return [IdentityLogRow(*row) for row in self._database.rows(sql, provider, limit, offset)]

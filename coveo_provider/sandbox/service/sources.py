"""
Sources: what each may take, its pushed status and its activities.

A data collection is kept as a source of a kind of its own. No page but the published description of the Push
API knows the term (``docs/api-notes.md, "Data collections"``), so the harsher reading is taken: it is reached
by its six calls only, which reach nothing else, and neither the platform nor the Push API knows its id.
"""

from __future__ import annotations

import secrets
import threading
import uuid
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import orjson

from coveo_provider.sandbox.service.errors import ApiError, invalid_parameter, missing_parameter
from coveo_provider.sandbox.service.records import Activity

if TYPE_CHECKING:
    from collections.abc import Callable

    from coveo_provider.sandbox.service.clock import Clock
    from coveo_provider.sandbox.service.database import Database

DATA_COLLECTION = "DATA_COLLECTION"
SOURCE_KINDS = ("PUSH", "CATALOG")
KINDS = (*SOURCE_KINDS, DATA_COLLECTION)
VISIBILITIES = ("SHARED", "SECURED", "PRIVATE")
# docs 35. The 2017 pages call the values case-insensitive; the published description's enum, the harsher
# reading, does not.
OPERATIONS = {"REBUILD": "REBUILD", "REFRESH": "FULL_REFRESH", "INCREMENTAL": "INCREMENTAL_REFRESH"}
_SCHEMA = """
CREATE TABLE IF NOT EXISTS sources (n INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, config BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS activities (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, source INTEGER NOT NULL, operation TEXT NOT NULL,
    start_ms INTEGER NOT NULL, end_ms INTEGER);
"""


@dataclass
class Source:
    """
    One source. ``n`` is its number in the database; the rest is kept there as JSON.

    :param push_enabled: it takes the Push API's items and statuses, whatever its kind
    :param stream_enabled: it takes the Stream API's calls, whatever its kind
    :param status: last pushed status; None when none ever was
    :param floor: orderingIds below are rejected (docs 131)
    :param catalog_configuration: a catalog configuration uses it, which protects it from being emptied by a
        load
    :param mappings: its mapping rules, see :mod:`coveo_provider.sandbox.service.mappings`
    """

    n: int
    id: str
    name: str
    kind: str
    visibility: str = "SHARED"
    push_enabled: bool = False
    stream_enabled: bool = False
    catalog_configuration: bool = False
    created_ms: int = 0
    status: str | None = None
    status_ms: int = 0
    floor: int | None = None
    providers: list[str] = field(default_factory=list)
    mappings: list[dict[str, Any]] = field(default_factory=list)
    item_count: int = field(default=0, metadata={"transient": True})

    def config(self) -> bytes:
        """Give the settings as kept in the database."""
        kept = asdict(self)
        for one in fields(self):
            if one.metadata.get("transient"):
                del kept[one.name]
        return orjson.dumps(kept)


class Sources:
    """
    All sources of the organization, kept in ``database``.

    :param count_items: how many items the index holds of a source, by its number
    """

    def __init__(
        self, database: Database, clock: Clock, organization_id: str, count_items: Callable[[int], int]
    ) -> None:
        self._database, self._clock, self._organization_id = database, clock, organization_id
        self._lock = threading.Lock()
        self._by_id: dict[str, Source] = {}
        database.prepare(_SCHEMA)
        for (config,) in database.rows("SELECT config FROM sources ORDER BY n"):
            source = Source(**orjson.loads(config))
            source.item_count = count_items(source.n)
            self._by_id[source.id] = source

    def all(self) -> list[Source]:
        """List them, data collections among them, oldest first."""
        return list(self._by_id.values())

    def listed(self) -> list[Source]:
        """List those the platform knows, oldest first."""
        return [one for one in self.all() if one.kind in SOURCE_KINDS]

    def get(self, source_id: str) -> Source | None:
        """Find one, or a data collection, by its id."""
        return self._by_id.get(source_id)

    def by_number(self, n: int) -> Source | None:
        """Find one by its number in the database."""
        return next((one for one in self._by_id.values() if one.n == n), None)

    def require(self, source_id: str) -> Source:
        """
        Find one for a Push or Stream call.

        :raises ApiError: 412 ``SOURCE_DOES_NOT_EXIST``
        """
        source = self.get(source_id)
        if source is None or source.kind not in SOURCE_KINDS:
            raise ApiError(412, "SOURCE_DOES_NOT_EXIST", f"The source '{source_id}' does not exist.")
        return source

    def require_collection(self, collection_id: str) -> Source:
        """
        Find a data collection for one of its calls.

        :raises ApiError: 412 ``SOURCE_DOES_NOT_EXIST``; no page gives an errorCode of its own
        """
        collection = self.get(collection_id)
        if collection is None or collection.kind != DATA_COLLECTION:
            message = f"The data collection '{collection_id}' does not exist."
            raise ApiError(412, "SOURCE_DOES_NOT_EXIST", message)
        return collection

    def add(
        self,
        name: str,
        *,
        kind: str = "PUSH",
        visibility: str = "SHARED",
        catalog_configuration: bool = False,
        source_id: str | None = None,
        push_enabled: bool | None = None,
        stream_enabled: bool | None = None,
        providers: list[str] | None = None,
        unique: bool = False,
    ) -> Source:
        """
        Make a source; without ``source_id`` the service's kind of id is made up.

        :param unique: refuse a name that another source has
        :raises ValueError: for a kind or visibility that does not exist, or an id that is taken
        :raises ApiError: 412 ``INVALID_PARAMETER``: the name is taken
        """
        if kind not in KINDS:
            raise ValueError(f"a source's kind is one of {', '.join(KINDS)}, not {kind!r}")
        if visibility not in VISIBILITIES:
            raise ValueError(f"a source's visibility is one of {', '.join(VISIBILITIES)}, not {visibility!r}")
        if not name:
            raise ValueError("a source has a name")
        with self._lock:
            if unique and any(one.name == name for one in self.listed()):
                raise invalid_parameter("name", f"a source named '{name}' exists.")
            source_id = source_id or f"{secrets.token_hex(13)}-{self._organization_id}"
            if source_id in self._by_id:
                raise ValueError(f"the source {source_id!r} exists")
            source = Source(
                n=max((one.n for one in self._by_id.values()), default=0) + 1,
                id=source_id,
                name=name,
                kind=kind,
                visibility=visibility,
                push_enabled=kind == "PUSH" if push_enabled is None else push_enabled,
                stream_enabled=kind != "PUSH" if stream_enabled is None else stream_enabled,
                catalog_configuration=catalog_configuration,
                created_ms=self._clock.now_ms(),
                providers=providers or [],
            )
            self._write(source)
            self._by_id[source.id] = source
        return source

    def remove(self, source: Source) -> None:
        """Delete a source with its activities."""
        with self._lock:
            self._by_id.pop(source.id, None)
            self._database.write("DELETE FROM sources WHERE n = ?", [(source.n,)])
            self._database.write("DELETE FROM activities WHERE source = ?", [(source.n,)])

    def save(self, source: Source) -> None:
        """Keep what changed."""
        with self._lock:
            if source.id in self._by_id:
                self._write(source)

    def _write(self, source: Source) -> None:
        self._database.write(
            "INSERT INTO sources VALUES (?, ?, ?) ON CONFLICT (n) DO UPDATE SET config = excluded.config",
            [(source.n, source.id, source.config())],
        )

    def set_status(self, source: Source, status: str | None) -> None:
        """
        Take a pushed status: an active value opens an activity, ``IDLE`` ends what runs.

        An active value while another activity runs opens a second one (``docs/api-notes.md, "Source status"``;
        probe: status-twice).
        """
        if not status:
            raise missing_parameter("statusType")
        if status != "IDLE" and status not in OPERATIONS:
            raise invalid_parameter("statusType", f"'{status}' is none of {', '.join(OPERATIONS)}, IDLE.")
        now = self._clock.now_ms()
        if status == "IDLE":
            sql = "UPDATE activities SET end_ms = ? WHERE source = ? AND end_ms IS NULL"
            self._database.write(sql, [(now, source.n)])
        else:
            self._database.write(
                "INSERT INTO activities (id, source, operation, start_ms) VALUES (?, ?, ?, ?)",
                [(str(uuid.uuid4()), source.n, OPERATIONS[status], now)],
            )
        source.status, source.status_ms = status, now
        self.save(source)

    def raise_floor(self, source: Source, ordering: int) -> None:
        """Reject from now on what has a lower orderingId; a floor never comes down."""
        source.floor = max(ordering, source.floor or 0)
        self.save(source)

    def activities(self, source: Source | None = None) -> list[Activity]:
        """Activities of one source or all, oldest first."""
        ids = {one.n: one.id for one in self.all()}
        return [
            Activity(
                id=activity_id,
                source_id=ids[n],
                operation=operation,
                state="EXECUTING" if end_ms is None else "EXECUTED",
                start_ms=start_ms,
                end_ms=end_ms,
            )
            for activity_id, n, operation, start_ms, end_ms in self._database.rows(
                "SELECT id, source, operation, start_ms, end_ms FROM activities ORDER BY seq"
            )
            if n in ids and (source is None or n == source.n)
        ]

    def reset(self) -> None:
        """Forget what was sent to every source; its settings stay, also those that were changed."""
        self._database.write("DELETE FROM activities")
        for source in self.all():
            source.status, source.floor, source.item_count = None, None, 0
            self.save(source)

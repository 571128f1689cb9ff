"""
The service's quotas, off until asked for: how much of the API an organization may use.

``docs/api-notes.md, "Quotas"`` has the figures and the answers. Where the pages are silent, the harsher
reading that a caller can still recover from is taken:

* Every Stream call counts, also one that is answered 412, data collections included; so does every Push call
  on items, identities and statuses. Uploads to S3 do not, nor do Platform and Source Logs calls, and what a planned
  fault answers never arrived. ``POST /files`` serves both APIs and cannot say for which it is: it counts for
  both (uncertain).
* A call refused by a quota of calls counts for none of them: else a caller who knocks too early would never
  get in, and ``Retry-After`` would be untrue. Refused so, nothing was carried out: a container is not used up.
* Opening a stream is the LOAD (uncertain: no page says which of its calls is). A load that is never closed
  counts too, and the refusal comes before anything was uploaded.
* A day ends at midnight UTC, also that of the Push quotas (uncertain: stated for Stream only). Five minutes
  and the hour of "4 per hour" are any five minutes and any hour, and no midnight empties them.
* Only the answer to a burst brings ``Retry-After``, in seconds of the sandbox's clock like its every other
  time; docs lb4a0344 states it for no other quota. The others are looked at first, so the burst's word holds.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from coveo_provider.sandbox.service import jsontext
from coveo_provider.sandbox.service.errors import ApiError, too_many_requests
from coveo_provider.sandbox.service.records import QuotaUse

if TYPE_CHECKING:
    from pathlib import Path

    from coveo_provider.sandbox.service.clock import Clock
    from coveo_provider.sandbox.service.database import Database

_DAY_MS = 24 * 3600 * 1000
_WINDOWS = {"stream_requests_per_5_minutes": 5 * 60 * 1000, "loads_per_hour": 3600 * 1000}
_BURST = "stream_requests_per_5_minutes"
# The quotas that a call of each sort counts for; the burst is looked at last.
PUSH_CALL = ("push_calls_per_day",)
STREAM_CALL = ("stream_requests_per_day", _BURST)
LOAD_CALL = ("loads_per_day", "loads_per_hour", *STREAM_CALL)
FILE_CALL = (*PUSH_CALL, *STREAM_CALL)
_DOCUMENTS = "push_documents_per_day"
_ITEMS = "organization_items"
_ADDING, _OTHERS = ("addOrUpdate", "addOrMerge"), ("partialUpdate", "delete")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS quota_days (quota TEXT PRIMARY KEY, day INTEGER NOT NULL, used INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS quota_calls (quota TEXT NOT NULL, time_ms INTEGER NOT NULL);
"""


@dataclass(frozen=True)
class Quotas:
    """
    How much an organization may use; None is without bound, and not counted either.

    :param stream_requests_per_day: Stream calls until midnight UTC (docs lb4a0344)
    :param stream_requests_per_5_minutes: Stream calls in any five minutes, the burst (docs lb4a0344)
    :param loads_per_day: streams opened until midnight UTC (docs lb4a0344)
    :param loads_per_hour: streams opened in any hour (docs lb4a0344)
    :param push_calls_per_day: Push calls until midnight UTC; set by the license, no figure is published
    :param push_documents_per_day: items pushed and items deleted by Push calls until midnight UTC; set by the
        license (docs 63). Entries count when their call is accepted, so those the pipeline rejects do too
    :param organization_items: items all sources hold together, set by the license (docs 63). Once it is
        reached, Push calls and Stream updates and merges that add items are refused. Deletions and partial
        updates are not (uncertain), nor are loads, which replace what is there
    :raises ValueError: for a figure below 1
    """

    stream_requests_per_day: int | None = None
    stream_requests_per_5_minutes: int | None = None
    loads_per_day: int | None = None
    loads_per_hour: int | None = None
    push_calls_per_day: int | None = None
    push_documents_per_day: int | None = None
    organization_items: int | None = None

    def __post_init__(self) -> None:
        for one in fields(self):
            figure = getattr(self, one.name)
            if figure is not None and (type(figure) is not int or figure < 1):
                raise ValueError(f"{one.name} is a whole number from 1, or None, not {figure!r}")

    @classmethod
    def production(cls) -> Quotas:
        """Give the figures published for production organizations; licenses are not published."""
        return cls(15_000, 250, 96, 4)

    @classmethod
    def non_production(cls) -> Quotas:
        """Give the figures published for non-production organizations."""
        return cls(10_000, 150, 96, 4)


PRESETS: dict[str, Callable[[], Quotas]] = {
    "production": Quotas.production,
    "non-production": Quotas.non_production,
    "off": Quotas,
}
NAMES = tuple(one.name for one in fields(Quotas))


class Entries(NamedTuple):
    """How many entries a call brings: those that add or replace a whole item, and the others."""

    adding: int
    others: int = 0


class Meter:
    """
    What the quotas have counted; kept in the database, so that a restart does not forget.

    :ivar quotas: may be replaced at any time; what was counted stays, what was off starts at nothing
    :param count_items: gives the number of items of the organization
    """

    def __init__(
        self, database: Database, clock: Clock, quotas: Quotas | None, count_items: Callable[[], int]
    ) -> None:
        self.quotas = quotas or Quotas()
        self._database, self._clock, self._count_items = database, clock, count_items
        self._lock = threading.Lock()
        database.prepare(_SCHEMA)
        now = clock.now_ms()
        self._day = now // _DAY_MS
        with database.transaction():  # a run whose clock was moved ahead leaves times that have not come yet
            database.write("DELETE FROM quota_days WHERE day != ?", [(self._day,)])
            database.write("DELETE FROM quota_calls WHERE time_ms > ?", [(now,)])
        self._used: dict[str, int] = dict(database.rows("SELECT quota, used FROM quota_days"))
        self._times: dict[str, deque[int]] = {name: deque() for name in _WINDOWS}
        for name, time_ms in database.rows("SELECT quota, time_ms FROM quota_calls ORDER BY time_ms"):
            self._times[name].append(time_ms)

    # -- counting --------------------------------------------------------------------------------------------

    def take_call(self, names: Sequence[str]) -> None:
        """
        Count a call for the quotas of these names.

        :raises ApiError: 429 when a quota is used up; the call then counts for none
        """
        limits = {name: limit for name in names if (limit := _limit(self.quotas, name)) is not None}
        if not limits:
            return
        with self._lock:
            now = self._now()
            for name, limit in limits.items():
                if self._count(name) >= limit:
                    wait_ms = self._times[name][-limit] + _WINDOWS[name] - now if name == _BURST else None
                    raise too_many_requests(
                        f"The quota {name} of {limit} is used up.",
                        retry_after=None if wait_ms is None else -(-wait_ms // 1000),
                    )
            for name in limits:
                self._add(name, 1, now)
            self._save(limits, now)

    def take_entries(self, count: Callable[[], Entries], *, push: bool) -> None:
        """
        Count what a call brings; ``count`` is called only when a quota needs to know.

        A container is read for that at once, in the call that submits it, and is refused whole when it brings
        more than is left of the day (uncertain: the service may count only as it processes). The call has
        been counted, the entries are not.

        :param push: it is a Push call, whose entries count for the day
        :raises ApiError: 412 ``DOCUMENT_LIMIT_EXCEEDED``, or 429 ``TOO_MANY_DOCUMENTS_DAILY``
        """
        quotas = self.quotas
        most, daily = quotas.organization_items, quotas.push_documents_per_day if push else None
        full = most is not None and self._count_items() >= most
        if not full and daily is None:
            return
        entries = count()
        if full and entries.adding:
            # "has reached its item limit" (docs 95): the last call under it may lead beyond.
            raise ApiError(412, "DOCUMENT_LIMIT_EXCEEDED", f"The organization has reached its {most} items.")
        if daily is None:
            return
        with self._lock:
            now = self._now()
            left, brought = daily - self._count(_DOCUMENTS), sum(entries)
            if brought > left:
                raise too_many_requests(
                    f"The call brings {brought} items; {max(0, left)} of {daily} are left of the day.",
                    code="TOO_MANY_DOCUMENTS_DAILY",
                )
            self._add(_DOCUMENTS, brought, now)
            self._save((_DOCUMENTS,), now)

    # -- looking ---------------------------------------------------------------------------------------------

    def use(self) -> dict[str, QuotaUse | None]:
        """Say what is used and left of each quota, None for one that is off."""
        quotas = self.quotas
        use: dict[str, QuotaUse | None] = {}
        with self._lock:
            self._now()
            for name in NAMES:
                limit = _limit(quotas, name)
                if limit is None:
                    use[name] = None
                    continue
                used = self._count_items() if name == _ITEMS else self._count(name)
                resets = None
                if name in _WINDOWS and used:
                    resets = self._times[name][0] + _WINDOWS[name]
                elif name not in _WINDOWS and name != _ITEMS:
                    resets = (self._day + 1) * _DAY_MS
                use[name] = QuotaUse(limit, used, max(0, limit - used), resets)
        return use

    def reset(self) -> None:
        """Start counting anew; the quotas stay as they are."""
        with self._lock:
            self._used.clear()
            for times in self._times.values():
                times.clear()
            with self._database.transaction():
                self._database.write("DELETE FROM quota_days")
                self._database.write("DELETE FROM quota_calls")

    # -- inside the lock -------------------------------------------------------------------------------------

    def _now(self) -> int:
        """Give the time, with what is over forgotten."""
        now = self._clock.now_ms()
        if now // _DAY_MS != self._day:
            self._day = now // _DAY_MS
            self._used.clear()
        for name, times in self._times.items():
            while times and times[0] <= now - _WINDOWS[name]:
                times.popleft()
        return now

    def _count(self, name: str) -> int:
        return len(self._times[name]) if name in _WINDOWS else self._used.get(name, 0)

    def _add(self, name: str, number: int, now: int) -> None:
        if name in _WINDOWS:
            self._times[name].append(now)
        else:
            self._used[name] = self._used.get(name, 0) + number

    def _save(self, names: Collection[str], now: int) -> None:
        windows = [name for name in names if name in _WINDOWS]
        days = [(name, self._day, self._used[name]) for name in names if name not in _WINDOWS]
        with self._database.transaction():
            self._database.write("INSERT OR REPLACE INTO quota_days VALUES (?, ?, ?)", days)
            self._database.write("INSERT INTO quota_calls VALUES (?, ?)", [(name, now) for name in windows])
            self._database.write(
                "DELETE FROM quota_calls WHERE quota = ? AND time_ms <= ?",
                [(name, now - _WINDOWS[name]) for name in windows],
            )


def entries_of(path: Path) -> Entries:
    """Count a container's entries; one nobody can read brings none, and the log will say so."""
    try:
        with path.open("rb") as file:
            arrays, _ = jsontext.container(file.fileno(), (*_ADDING, *_OTHERS))
    except jsontext.BadJsonError:
        return Entries(0)
    adding, others = (sum(len(arrays.get(name, ())) for name in names) for names in (_ADDING, _OTHERS))
    return Entries(adding, others)


def read_quotas(value: dict[str, Any], current: Quotas) -> Quotas:
    """
    Read quotas from JSON: figures to set over a ``preset``, or over the current ones without it.

    :raises ValueError: when it names what does not exist, or a figure is none
    """
    figures = dict(value)
    if "preset" in figures:
        preset = figures.pop("preset")
        if not isinstance(preset, str) or preset not in PRESETS:
            raise ValueError(f"preset is one of {', '.join(PRESETS)}")
        current = PRESETS[preset]()
    if unknown := figures.keys() - set(NAMES):
        raise ValueError(f"there is no quota {', '.join(sorted(unknown))}")
    return replace(current, **figures)


def _limit(quotas: Quotas, name: str) -> int | None:
    limit: int | None = getattr(quotas, name)
    return limit

"""
The calls of the Source Logs API: what became of items in the indexing pipeline, after a call was accepted.

What is uncertain about it stands in ``docs/api-notes.md``, "Source logs": the name of the filter by source,
of which both spellings are sent, and whether it counted, which is looked at again here.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

from coveo_provider.api import arguments, routes
from coveo_provider.api.answers import Answer
from coveo_provider.api.caller import Caller
from coveo_provider.api.routes import Route
from coveo_provider.api.types import MARK_DIGITS, LogCounts, LogEntry
from coveo_provider.errors import AccessDenied, ConfigurationError, PrivilegeMissing, UnexpectedAnswer

T = TypeVar("T")

WINDOW_MS = 7 * 86_400_000
"""The most that may lie between the two ends of a query."""

PER_PAGE = 1_000
"""Entries asked for at a time; no page gives the most there may be."""

REMEMBERED = 100_000
"""How many entries are remembered to recognise one that comes again: some 20 MB."""

_STALE_PAGES = 100  # pages in a row without anything new, after which a listing is taken to have no end
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,12}))?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


@dataclass(frozen=True)
class _Filter:
    """Which entries are wanted; of what is left empty, all."""

    source_id: str
    since_ms: int
    until_ms: int
    results: Sequence[str]
    operations: Sequence[str]
    tasks: Sequence[str]
    document_id: str | None

    def body(self) -> bytes:
        """Return the filters that go into the body of a query."""
        filters: dict[str, list[str]] = {"sourcesIds": [self.source_id], "sourceIds": [self.source_id]}
        for name in ("results", "operations", "tasks"):
            if values := list(getattr(self, name)):
                filters[name] = values
        return json.dumps(filters).encode()

    def query(self, since_ms: int, until_ms: int) -> dict[str, str]:
        """Return the parameters of a query about a part of the time."""
        return {
            "from": _written(since_ms),
            "to": _written(until_ms),
            **({} if self.document_id is None else arguments.document(self.document_id)),
        }

    def windows(self) -> Iterator[tuple[int, int]]:
        """Return the time in pieces of at most seven days, each of which begins with the end of the one before."""
        start = self.since_ms
        while True:
            end = min(start + WINDOW_MS, self.until_ms)
            yield start, end
            if end >= self.until_ms:
                return
            start = end

    def wants(self, entry: LogEntry, source_id: object) -> bool:
        """Return whether an entry is wanted, should the service have overlooked a filter."""
        return (
            source_id in {None, self.source_id}
            and self.since_ms <= entry.time_ms <= self.until_ms
            and (not self.results or entry.result in self.results)
            and (not self.operations or entry.operation in self.operations)
            and (not self.tasks or entry.task in self.tasks)
            and self.document_id in {None, entry.document_id}
        )


class SourceLogCalls(Caller):
    """The log of a source."""

    def source_logs(
        self,
        source_id: str,
        since_ms: int,
        until_ms: int | None = None,
        *,
        results: Sequence[str] = (),
        operations: Sequence[str] = (),
        tasks: Sequence[str] = (),
        document_id: str | None = None,
    ) -> Iterator[LogEntry]:
        """
        Return what the pipeline did with items of a source, page by page, in the order of the service.

        An entry that comes twice is left out by its guid, as long as it is one of the last 100,000. Entries may be
        minutes late; they are kept for some days only.

        :param since_ms: the first moment, in ms since the epoch
        :param until_ms: the last moment; now, by the server's clock, when left out
        :param results: only these, such as ``ERROR``
        :param operations: only these, such as ``ADD``
        :param tasks: only these stages, such as ``INDEXING``
        :param document_id: only those of this item
        :raises PrivilegeMissing: the key may not read the log; a load can do without
        :raises ConfigurationError: the time ends before it begins
        """
        wanted = self._wanted(source_id, since_ms, until_ms, results, operations, tasks, document_id)
        return self._entries(wanted)

    def source_log_counts(
        self,
        source_id: str,
        since_ms: int,
        until_ms: int | None = None,
        *,
        results: Sequence[str] = (),
        operations: Sequence[str] = (),
        tasks: Sequence[str] = (),
    ) -> LogCounts:
        """
        Return how many entries there are by operation, by result and by task: one call a week, however many.

        The counts are the service's; should it count an entry twice, so do they. The filters narrow what is
        counted: with ``tasks=["INDEXING"]`` and ``results=["COMPLETED"]`` the counts by operation are those
        of indexed items.

        :param since_ms: the first moment, in ms since the epoch
        :param until_ms: the last moment; now, by the server's clock, when left out
        :param results: only these
        :param operations: only these
        :param tasks: only these stages
        :raises PrivilegeMissing: the key may not read the log; a load can do without
        :raises ConfigurationError: the time ends before it begins
        """
        wanted = self._wanted(source_id, since_ms, until_ms, results, operations, tasks, None)
        names = ("operations", "results", "tasks")
        counts: dict[str, Counter[str]] = {name: Counter() for name in names}
        for start, end in wanted.windows():
            # An entry on the border of two windows counts once.
            query = wanted.query(start if start == wanted.since_ms else start + 1, end)
            facets = self._ask_log(routes.COUNT_LOGS, _facets, query, wanted.body())
            if facets["operations"] and set(facets["sourceIds"]) != {source_id}:
                return self._counted(wanted)  # the filter by source was overlooked
            for name in names:
                counts[name].update(facets[name])
        return LogCounts(**{name: dict(counts[name]) for name in names})

    def _wanted(
        self,
        source_id: str,
        since_ms: int,
        until_ms: int | None,
        results: Sequence[str],
        operations: Sequence[str],
        tasks: Sequence[str],
        document_id: str | None,
    ) -> _Filter:
        routes.segment("source_id", source_id)
        if until_ms is None:
            until_ms = self.server_time_ms(source_id) + 1_000  # a Date has whole seconds, rounded down
        since_ms = arguments.checked_ordering_id(since_ms, "since_ms")
        until_ms = arguments.checked_ordering_id(until_ms, "until_ms")
        if until_ms < since_ms:
            raise ConfigurationError(
                f"source {source_id}: its log cannot be read from {_written(since_ms)} to {_written(until_ms)}"
            )
        for values in (results, operations, tasks):
            if isinstance(values, str):
                raise ConfigurationError(f"results, operations and tasks are lists of names, not {values!r}")
        return _Filter(source_id, since_ms, until_ms, results, operations, tasks, document_id)

    def _ask_log(self, route: Route, read: Callable[[Answer], T], query: Mapping[str, str], body: bytes) -> T:
        try:
            return self._ask(route, read, query, body=body)
        except AccessDenied as error:
            raise PrivilegeMissing(
                error.status, error.route, error.code, error.detail, error.request_id, route.privileges
            ) from None

    def _entries(self, wanted: _Filter) -> Iterator[LogEntry]:
        """Return the wanted entries, each once. While entries arrive the pages shift, and some come again."""
        seen: dict[object, None] = {}
        for start, end in wanted.windows():
            page = stale = 0
            more = True
            while more:
                query = {**wanted.query(start, end), "page": str(page), "perPage": str(PER_PAGE)}
                entries, more = self._ask_log(routes.READ_LOGS, _page, query, wanted.body())
                page, stale = page + 1, stale + 1
                for entry, source_id in entries:
                    key = entry.guid or entry
                    if key in seen:
                        continue
                    stale = 0
                    seen[key] = None
                    if len(seen) > REMEMBERED:
                        del seen[next(iter(seen))]
                    if wanted.wants(entry, source_id):
                        yield entry
                if more and (stale >= _STALE_PAGES or not entries):
                    raise UnexpectedAnswer(
                        f"POST /logs/v1/organizations/{self.organization_id}", f"new entries on page {page}"
                    )

    def _counted(self, wanted: _Filter) -> LogCounts:
        operations, results, tasks = Counter[str](), Counter[str](), Counter[str]()
        for entry in self._entries(wanted):
            operations[entry.operation] += 1
            results[entry.result] += 1
            tasks[entry.task] += 1
        return LogCounts(dict(operations), dict(results), dict(tasks))


def _page(answer: Answer) -> tuple[list[tuple[LogEntry, object]], bool]:
    """
    Return the entries of a page, each with its source, and whether there is another page.

    :raises UnexpectedAnswer: it is no page of the log
    """
    fields = answer.fields()
    entries, more = fields.get("documentLogEntries"), fields.get("hasNextPage")
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise UnexpectedAnswer(answer.route, "documentLogEntries")
    if not isinstance(more, bool):
        raise UnexpectedAnswer(answer.route, "hasNextPage")
    return [(_entry(answer, entry), entry.get("sourceId")) for entry in entries], more


def _entry(answer: Answer, entry: Mapping[str, Any]) -> LogEntry:
    time_ms = _moment_ms(entry.get("datetime"))
    if time_ms is None:
        raise UnexpectedAnswer(answer.route, "the datetime of each entry")
    meta = entry.get("meta")
    meta = meta if isinstance(meta, dict) else {}
    return LogEntry(
        time_ms=time_ms,
        guid=_text(entry.get("guid")),
        document_id=_text(entry.get("id")),
        operation=_text(entry.get("operation")),
        result=_text(entry.get("result")),
        task=_text(entry.get("task")),
        ordering_id=_ordering_id(meta.get("orderingid")),
        error=_text(meta.get("error")),
    )


def _facets(answer: Answer) -> dict[str, dict[str, int]]:
    """
    Return the counts of each facet.

    :raises UnexpectedAnswer: they are no counts
    """
    fields = answer.fields()
    facets = {}
    for name in ("operations", "results", "tasks", "sourceIds"):
        counts = fields.get(name)
        if not isinstance(counts, dict) or not all(
            isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts.values()
        ):
            raise UnexpectedAnswer(answer.route, f"counts of {name}")
        facets[name] = counts
    return facets


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _ordering_id(value: object) -> int | None:
    text = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    return int(text) if len(text) == MARK_DIGITS and text.isascii() and text.isdigit() else None


def _moment_ms(value: object) -> int | None:
    """Return an ISO date-time in ms since the epoch; one without a zone is UTC."""
    parts = _MOMENT.fullmatch(value) if isinstance(value, str) else None
    if parts is None:
        return None
    try:
        moment = datetime.fromisoformat(parts[1] + (parts[3] or "Z").replace("Z", "+00:00"))
        return (moment - _EPOCH) // timedelta(milliseconds=1) + int((parts[2] or "")[:3].ljust(3, "0"))
    except (ValueError, OverflowError):
        return None


def _written(time_ms: int) -> str:
    """Return a moment as the API writes it."""
    moment = _EPOCH + timedelta(milliseconds=time_ms)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_ms % 1000:03d}Z"

"""
One look at what became of a load: in the source's log, item by item where it must be, and in its item count.

A success of the API means "accepted". What was indexed and what was refused stands in the log only, minutes
later, and in any order (docs/api-notes.md, "Source logs").
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

from coveo_provider.api.types import LogCounts, LogEntry
from coveo_provider.verification.tally import DELETIONS, REFUSALS, REMOVALS, Fate, Ids, Tally

_ON_ITEMS = ("ADD", "ADD_BY_REFERENCE", "UPDATE", *sorted(DELETIONS))
_PAGE = 1_000
_SHOWN = 5
_MOST_REASONS = 100
_SLACK_MS = 60_000
"""The log's moments may lie a little before those that the API's answers told."""
_WEEK_MS = 7 * 24 * 3_600_000


class Log(Protocol):
    """What of the client a look needs."""

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
        """Return entries of the source's log."""
        ...

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
        """Return how many entries there are."""
        ...


def _none() -> Iterable[Sequence[str]]:
    return ()


@dataclass(frozen=True)
class Sent:
    """
    What a load sent, and so what the index has to show of it.

    :param source_id: the source
    :param since: nothing of the load has an ordering id below this, in milliseconds since the epoch
    :param certain: whether the service told that ordering id, rather than a clock
    :param documents: ids of the items added, updated or merged
    :param changes: ids of the items of partial updates
    :param deletions: ids of the items deleted by id
    """

    source_id: str
    since: int
    certain: bool
    documents: Ids = _none
    changes: Ids = _none
    deletions: Ids = _none


@dataclass(frozen=True)
class Reason:
    """
    Why items were refused.

    :param stage: the stage of the indexing pipeline: ``CONSUMING``, ``INDEXING`` …
    :param reason: what the log says
    :param count: entries
    :param first: the ids of some of the items
    """

    stage: str
    reason: str
    count: int
    first: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """
    What a look found.

    :param indexed: items that were indexed
    :param deleted: items that were deleted by id
    :param refused: items that were refused
    :param unknown: items of which the log says nothing yet
    :param first_unknown: the ids of some of them
    :param held: how many items the source holds; ``None`` where that is not known or does not matter
    :param wanted: how many it has to hold; ``None`` likewise
    :param reasons: why items were refused
    """

    indexed: int = 0
    deleted: int = 0
    refused: int = 0
    unknown: int = 0
    first_unknown: tuple[str, ...] = ()
    held: int | None = None
    wanted: tuple[int, int] | None = None
    reasons: tuple[Reason, ...] = ()

    @property
    def settled(self) -> bool:
        """Whether everything that was sent is indexed, refused or gone."""
        return self.unknown == 0 and self.counted

    def counted_against(self, wanted: tuple[int, int] | None, held: int | None) -> Finding:
        """Return it with how many items the source has to hold, and holds."""
        return replace(self, wanted=wanted, held=held)

    @property
    def counted(self) -> bool:
        """Whether the source holds as many items as it has to, as far as that is known."""
        if self.held is None or self.wanted is None:
            return True
        fewest, most = self.wanted
        return fewest <= self.held <= most


class Look:
    """
    Looks at the same load again and again, until it is settled.

    :param log: the client
    :param sent: the load
    :param seed: chooses the documents that are followed one by one
    :param sample: how many these are
    """

    def __init__(self, log: Log, sent: Sent, *, seed: str, sample: int = 5) -> None:
        self._log, self._sent = log, sent
        self._documents = Tally(sent.documents)
        self._changes = Tally(sent.changes, warnings_refuse=True)
        self._deletions = Tally(sent.deletions)
        self._sample = _sampled(sent.documents, seed, sample)

    def __len__(self) -> int:
        """Return how many items the load sent or deleted by id."""
        return len(self._documents) + len(self._changes) + len(self._deletions)

    def by_counts(self) -> Finding | None:
        """
        Look at the numbers of entries only; ``None`` when these leave a doubt, and each item has to be looked at.

        They tell that the load is still on its way, when there are fewer than it sent. They leave no doubt when
        there are as many, all of them indexed, and each document of a sample, which every run chooses anew, is
        among these. A load of which something was sent twice, refused or deleted leaves doubt.
        """
        refused = self._counted(results=sorted(REFUSALS | {"WARNING"} if len(self._changes) else REFUSALS))
        done = self._counted(results=["COMPLETED", "SKIPPED"], tasks=["INDEXING"], operations=_ON_ITEMS)
        missing = len(self) - done - refused
        if missing > 0:
            return Finding(indexed=done, unknown=missing)
        simple = self._sent.certain and not refused and not len(self._changes) and not len(self._deletions)
        if not simple or missing or not all(map(self._was_indexed, self._sample)):
            return None
        return Finding(indexed=done)

    def by_items(self) -> Finding:
        """Look at each item of the load."""
        for entries in self._pages():
            removed = [entry for entry in entries if entry.operation in DELETIONS]
            kept = [entry for entry in entries if entry.operation not in REMOVALS]
            self._documents.add(kept)
            self._changes.add(kept)
            self._deletions.add(removed)
        tallies = (self._documents, self._changes, self._deletions)
        unknown = sum(tally.unknown for tally in tallies)
        first = islice(
            (name for tally in tallies for name in tally.named(Fate.UNKNOWN)), _SHOWN if unknown else 0
        )
        refused = sum(tally.refused for tally in tallies)
        return Finding(
            indexed=self._documents.done + self._changes.done,
            deleted=self._deletions.done,
            refused=refused,
            unknown=unknown,
            first_unknown=tuple(first),
            reasons=self._reasons() if refused else (),
        )

    def refusals(self) -> Iterator[LogEntry]:
        """Return an entry for each item that was refused, after :meth:`by_items`; an item may come twice."""
        refused = REFUSALS if not len(self._changes) else REFUSALS | {"WARNING"}
        for entries in self._pages(results=sorted(refused)):
            removed = self._deletions.fates([entry.document_id for entry in entries])
            documents = self._documents.fates([entry.document_id for entry in entries])
            changes = self._changes.fates([entry.document_id for entry in entries])
            for entry, *fates in zip(entries, removed, documents, changes, strict=True):
                if entry.operation in DELETIONS:
                    mine = fates[0] is Fate.REFUSED
                elif entry.result == "WARNING":
                    mine = fates[2] is Fate.REFUSED
                else:
                    mine = Fate.REFUSED in fates[1:]
                if mine:
                    yield entry

    def _reasons(self) -> tuple[Reason, ...]:
        """Return why items were refused, the commonest reason first."""
        counts: Counter[tuple[str, str]] = Counter()
        first: dict[tuple[str, str], list[str]] = {}
        for entry in self.refusals():
            key = (entry.task, entry.error or entry.result)
            if key not in counts and len(counts) >= _MOST_REASONS:
                key = (entry.task, "for other reasons")
            counts[key] += 1
            names = first.setdefault(key, [])
            if len(names) < _SHOWN and entry.document_id not in names:
                names.append(entry.document_id)
        return tuple(Reason(*key, count, tuple(first[key])) for key, count in counts.most_common())

    def _pages(self, results: Sequence[str] = ()) -> Iterator[list[LogEntry]]:
        """Return the load's entries; those of earlier loads are told apart by their ordering ids."""
        sent = self._sent
        entries = self._log.source_logs(sent.source_id, *self._window, results=results)
        ours = (
            entry
            for entry in entries
            if (sent.since if entry.ordering_id is not None else sent.since - _SLACK_MS)
            <= (entry.ordering_id if entry.ordering_id is not None else entry.time_ms)
        )
        while page := list(islice(ours, _PAGE)):
            yield page

    @property
    def _window(self) -> tuple[int, int]:
        """The period to look at, from before the load to the longest that one query may ask for."""
        start = self._sent.since - _SLACK_MS
        return start, start + _WEEK_MS

    def _counted(
        self, results: Sequence[str], tasks: Sequence[str] = (), operations: Sequence[str] = ()
    ) -> int:
        """Return how many entries of the log there are."""
        counts = self._log.source_log_counts(
            self._sent.source_id, *self._window, results=results, tasks=tasks, operations=operations
        )
        return sum(counts.results.values())

    def _was_indexed(self, document_id: str) -> bool:
        sent = self._sent
        entries = self._log.source_logs(sent.source_id, *self._window, document_id=document_id)
        one = Tally(lambda: [[document_id]])
        one.add(
            [
                entry
                for entry in entries
                if entry.operation not in REMOVALS and (entry.ordering_id or sent.since) >= sent.since
            ]
        )
        return one.done == 1


def _sampled(ids: Ids, seed: str, size: int) -> list[str]:
    """Return some ids, each as likely as any other: by reservoir sampling."""
    chance = random.Random(seed)
    chosen: list[str] = []
    for number, one in enumerate(one for batch in ids() for one in batch):
        if number < size:
            chosen.append(one)
        elif (at := chance.randrange(number + 1)) < size:
            chosen[at] = one
    return chosen

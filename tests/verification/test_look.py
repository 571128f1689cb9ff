"""A look at a load never says that it is settled unless each item's latest entry does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from coveo_provider.api.types import LogCounts, LogEntry
from coveo_provider.verification.look import Look, Sent
from coveo_provider.verification.tally import DELETIONS, Fate
from tests.verification.test_tally import entry, fate

SINCE = 1_000_000_000_000
ADDED, CHANGED, DELETED = (
    [f"{kind}://{n}" for n in range(count)] for kind, count in (("add", 4), ("change", 2), ("delete", 2))
)


class PlainLog:
    """A source's log in a list."""

    def __init__(self, entries: Sequence[LogEntry]) -> None:
        self.entries = entries
        self.asked = 0

    def source_logs(
        self, source_id: str, since_ms: int, until_ms: int | None = None, **filters: Any
    ) -> Iterator[LogEntry]:
        self.asked += 1
        return iter(list(self._matching(since_ms, until_ms, **filters)))

    def source_log_counts(
        self, source_id: str, since_ms: int, until_ms: int | None = None, **filters: Any
    ) -> LogCounts:
        found = Counter(one.result for one in self._matching(since_ms, until_ms, **filters))
        values: dict[str, Any] = {"results": dict(found), "operations": {}, "tasks": {}}
        return LogCounts(**{key: values.get(key, {}) for key in LogCounts.__dataclass_fields__})

    def _matching(
        self,
        since: int,
        until: int | None,
        results: Sequence[str] = (),
        operations: Sequence[str] = (),
        tasks: Sequence[str] = (),
        document_id: str | None = None,
    ) -> Iterator[LogEntry]:
        for one in self.entries:
            if (
                since <= one.time_ms <= (until or SINCE * 2)
                and (not results or one.result in results)
                and (not operations or one.operation in operations)
                and (not tasks or one.task in tasks)
                and document_id in (None, one.document_id)
            ):
                yield one


def logged(name: str, result: str, off: int, task: str) -> LogEntry:
    operation = {"add": "ADD", "change": "UPDATE", "delete": "DELETE"}[name.split(":", maxsplit=1)[0]]
    return entry(name, result, SINCE + off, task=task, operation=operation, time_ms=SINCE + max(0, off))


logs = st.lists(
    st.builds(
        logged,
        st.sampled_from(ADDED + CHANGED + DELETED),
        st.sampled_from(["COMPLETED", "COMPLETED", "COMPLETED", "WARNING", "REJECTED"]),
        st.integers(-3, 3),
        st.sampled_from(["INDEXING", "INDEXING", "CONSUMING"]),
    ),
    max_size=30,
)


def look_at(log: Sequence[LogEntry], *, changes: bool, deletions: bool, certain: bool = True) -> Look:
    sent = Sent(
        "files",
        SINCE,
        certain,
        lambda: [ADDED],
        lambda: [CHANGED] if changes else [],
        lambda: [DELETED] if deletions else [],
    )
    return Look(PlainLog(log), sent, seed="run", sample=2)


@settings(max_examples=300)
@given(log=logs, changes=st.booleans(), deletions=st.booleans())
def test_a_look_at_each_item_agrees_with_the_log(log: list[LogEntry], changes: bool, deletions: bool) -> None:
    """Entries of an earlier load, by their ordering ids, do not count."""
    ours = [one for one in log if (one.ordering_id or 0) >= SINCE]
    kept = [one for one in ours if one.operation not in DELETIONS]
    removed = [one for one in ours if one.operation in DELETIONS]
    added = [fate(name, kept, warnings_refuse=False) for name in ADDED]
    changed = [fate(name, kept, warnings_refuse=True) for name in CHANGED] if changes else []
    deleted = [fate(name, removed, warnings_refuse=False) for name in DELETED] if deletions else []

    finding = look_at(log, changes=changes, deletions=deletions).by_items()

    every = added + changed + deleted
    assert finding.indexed == (added + changed).count(Fate.DONE)
    assert finding.deleted == deleted.count(Fate.DONE)
    assert (finding.refused, finding.unknown) == (every.count(Fate.REFUSED), every.count(Fate.UNKNOWN))
    assert bool(finding.reasons) == bool(finding.refused)
    assert finding.settled == (finding.unknown == 0)


@settings(max_examples=300)
@given(log=logs, twice=st.booleans())
def test_numbers_alone_never_settle_a_load_with_a_refused_item(log: list[LogEntry], twice: bool) -> None:
    """Where they do settle it, as many entries as items are there, and none of them is a refusal."""
    log = log + log if twice else log
    finding = look_at(log, changes=False, deletions=False).by_counts()

    if finding is not None and finding.settled:
        assert not [one for one in log if one.result in {"ERROR", "REJECTED"}]
        done = [one for one in log if one.task == "INDEXING" and one.result == "COMPLETED"]
        assert len(done) == len(ADDED)


def test_numbers_settle_a_load_that_went_through() -> None:
    """One entry for each item; then no page of the log is read but those of the sample."""
    log = [logged(name, "COMPLETED", 1, "INDEXING") for name in ADDED]

    finding = look_at(log, changes=False, deletions=False).by_counts()

    assert finding is not None
    assert (finding.settled, finding.indexed) == (True, 4)


def test_numbers_do_not_settle_what_clocks_do_not_tell() -> None:
    """Without a certain mark, entries of an earlier load may be among those counted."""
    log = [logged(name, "COMPLETED", 1, "INDEXING") for name in ADDED]

    assert look_at(log, changes=False, deletions=False, certain=False).by_counts() is None


def test_a_number_that_is_right_by_chance_does_not_pass() -> None:
    """Two entries of one item and none of another make four; the sample finds it out, sooner or later."""
    names = [ADDED[0], ADDED[0], ADDED[0], ADDED[0]]
    log = [logged(name, "COMPLETED", 1, "INDEXING") for name in names]

    finding = look_at(log, changes=False, deletions=False).by_counts()

    assert finding is None

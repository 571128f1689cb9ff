"""The mark of a load is never later than what any of its tasks sent, whatever clocks say."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coveo_provider.api.types import LogEntry
from coveo_provider.errors import PrivilegeMissing, SafetyStop
from coveo_provider.marks import Moment
from coveo_provider.operators.support.load_marks import mark_of
from coveo_provider.report import Report
from tests.verification.test_tally import entry

NOW = 1_795_000_000_000
HOURS_12 = 12 * 3600
SECOND = 1_000


class PlainClient:
    """A source's log, which shows an entry after so many waits, or may not be read."""

    def __init__(self, entries: dict[str, list[int]], *, late: int = 0, readable: bool = True) -> None:
        self.entries, self.late, self.readable = entries, late, readable
        self.waits: list[float] = []
        self.policy = SimpleNamespace(sleep=self.waits.append)

    def source_logs(
        self, source_id: str, since_ms: int, until_ms: int | None = None, *, document_id: str, **_: Any
    ) -> Iterator[LogEntry]:
        if not self.readable:
            raise PrivilegeMissing(403, "POST /logs", "ACCESS_DENIED", "it may not", "", "Logs (View)")
        for one in self.entries[document_id]:
            fresh = one > NOW - 60_000
            if since_ms <= one <= (until_ms or NOW * 2) and (not fresh or len(self.waits) >= self.late):
                yield entry(document_id, ordering=one)


def mark(client: PlainClient, reports: list[Report], given_mark: int | None = None) -> Any:
    operator: Any = SimpleNamespace(source_id="files", log=logging.getLogger("marks"), client=client)
    return mark_of(operator, reports, given_mark)


def report(number: int, ordering: int, api: int, storage: int, worker: int) -> Report:
    """Return what a task says that was given an ordering id, by clocks that are so many seconds off."""
    start = ordering - 300  # ms, when the container was asked for

    def date(off: int) -> int:
        return (start + off * SECOND) // SECOND * SECOND

    moment = Moment(date(api), date(storage) + 100, start + worker * SECOND, uploaded=100, took=400)
    return Report(
        documents=1,
        parts=[f"part-{number}"],
        first=f"doc://{number}",
        mark=moment.mark,
        moment=moment.as_json(),
        api="push",
    )


off = st.integers(-HOURS_12, HOURS_12)


@settings(max_examples=300)
@given(
    begun=st.lists(st.integers(0, 30_000), min_size=1, max_size=4),
    api=off,
    storage=off,
    worker=st.one_of(st.just(0), off),
    late=st.integers(0, 8),
    before=st.lists(st.integers(-86_400, -61), max_size=3),
)
def test_with_the_log_no_clock_makes_the_mark_later_than_a_part(
    begun: list[int], api: int, storage: int, worker: int, late: int, before: list[int]
) -> None:
    """
    Clocks off by up to twelve hours, each its own way, and one of the three at least is right.

    The log shows what was sent after a while, and what earlier loads sent of the same documents at once.
    """
    storage = 0 if api and worker else storage
    orders = [NOW + one for one in begun]
    reports = [report(n, order, api, storage, worker) for n, order in enumerate(orders)]
    if any(one.clocks.agrees for one in reports if one.clocks):  # then the log is asked once
        late = 0
    log = {f"doc://{n}": [order, *(NOW + 1000 * one for one in before)] for n, order in enumerate(orders)}

    found = mark(PlainClient(log, late=late), reports)

    assert found.ordering_id <= min(orders)


@settings(max_examples=300)
@given(
    begun=st.lists(st.integers(0, 30_000), min_size=1, max_size=4),
    wrong=off,
    which=st.sampled_from(["api", "storage", "worker"]),
)
def test_without_the_log_one_clock_that_is_wrong_makes_the_mark_no_later_than_a_part(
    begun: list[int], wrong: int, which: str
) -> None:
    """A key may not read the log: the earlier of the service's two clocks is taken, so items stay at worst."""
    clocks = {"api": 0, "storage": 0, "worker": 0, which: wrong}
    orders = [NOW + one for one in begun]
    reports = [report(n, order, **clocks) for n, order in enumerate(orders)]

    found = mark(PlainClient({}, readable=False), reports)

    assert found.ordering_id <= min(orders)
    assert found.certain == (
        reports[0].clocks is not None and all(r.clocks.agrees for r in reports if r.clocks)
    )


def test_the_smallest_of_all_parts_counts() -> None:
    """Whatever was run again later: a mark of the last part would delete what the others sent."""
    reports = [Report(documents=1, mark=NOW + n, ordering_ids=[NOW + n], api="stream") for n in (7, 3, 9)]

    assert mark(PlainClient({}), reports).ordering_id == NOW + 3
    assert mark(PlainClient({}), reports, NOW + 1).ordering_id == NOW + 1
    assert mark(PlainClient({}), reports, NOW + 8).ordering_id == NOW + 3


def test_a_task_that_sent_nothing_has_no_say() -> None:
    """Its report has no mark, and needs none."""
    reports = [Report(), Report(documents=1, mark=NOW, ordering_ids=[NOW], api="stream")]

    assert mark(PlainClient({}), reports).ordering_id == NOW


def test_a_report_without_a_mark_is_refused() -> None:
    """It sent something and does not say when."""
    with pytest.raises(SafetyStop, match=r"part-1 .*does not say when"):
        mark(PlainClient({}), [Report(documents=1, parts=["part-1"])])


def test_the_log_is_not_waited_for_where_clocks_agree() -> None:
    """It is asked once: an answer that is late costs nothing, and the clocks will do."""
    client = PlainClient({"doc://0": [NOW]}, late=5)

    found = mark(client, [report(0, NOW, 0, 0, 0)])

    assert (client.waits, found.certain) == ([], True)
    assert NOW - 2_000 <= found.ordering_id <= NOW


def test_a_second_or_two_on_both_clocks_does_not_delete_what_was_sent() -> None:
    """A proxy that writes its own ``Date`` on both hosts, and a log that shows entries later."""
    reports = [report(0, NOW, 2, 1, 0)]

    assert mark(PlainClient({"doc://0": [NOW]}, late=1), reports).ordering_id <= NOW

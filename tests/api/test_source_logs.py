"""The client of the Source Logs API: pages, windows, filters, entries that come late or twice, and who may read."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coveo_provider.api import source_logs
from coveo_provider.api.client import CoveoClient
from coveo_provider.api.types import LogCounts, LogEntry
from coveo_provider.errors import ConfigurationError, PrivilegeMissing, UnexpectedAnswer
from coveo_provider.sandbox import Sandbox
from tests.api.conftest import ClientMaker
from tests.api.scripted import DATE_MS, Got, Scripted, http

DAY = 86_400_000


def push(client: CoveoClient, *uris: str, source: str = "files") -> None:
    for uri in uris:
        client.put_item(source, uri, b'{"data":"text"}')


def entry(n: int, **changes: Any) -> dict[str, Any]:
    return {
        "datetime": "2026-01-01T00:00:00.000Z",
        "guid": f"guid-{n}",
        "id": f"file://{n}",
        "operation": "ADD",
        "result": "COMPLETED",
        "task": "INDEXING",
        "sourceId": "files",
        "meta": {"orderingid": str(DATE_MS)},
        **changes,
    }


def page(*entries: dict[str, Any], more: bool = False) -> bytes:
    return http(200, json.dumps({"documentLogEntries": entries, "hasNextPage": more}))


def query(got: Got) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(got.target).query).items()}


def read(client: CoveoClient, since_ms: int = DATE_MS, until_ms: int | None = DATE_MS, **filters: Any) -> Any:
    return list(client.source_logs("files", since_ms, until_ms, **filters))


# Against the sandbox


def test_what_became_of_each_item_is_told(client: CoveoClient, sandbox: Sandbox) -> None:
    """
    Each stage of each item, typed, with its orderingId and the reason of a refusal; other sources are left
    out.
    """
    since = client.server_time_ms("files")
    push(client, "file://a", "no URI at all")
    stream = client.open_stream("products")
    client.close_stream("products", stream.stream_id)
    sandbox.settle()

    entries = list(client.source_logs("files", since))
    assert {(one.document_id, one.task, one.result) for one in entries} == {
        ("file://a", "CONSUMING", "COMPLETED"),
        ("file://a", "INDEXING", "COMPLETED"),
        ("no URI at all", "CONSUMING", "REJECTED"),
    }
    assert len({one.guid for one in entries}) == 3
    (rejected,) = (one for one in entries if one.result == "REJECTED")
    assert "scheme" in rejected.error
    assert rejected.operation == "ADD"
    assert rejected.ordering_id is not None
    assert since <= rejected.ordering_id
    assert since <= rejected.time_ms <= sandbox.clock.now_ms()


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, 7),
        ({"results": ["REJECTED", "ERROR"]}, 1),
        ({"tasks": ["INDEXING"]}, 3),
        ({"operations": ["DELETE"]}, 2),
        ({"operations": ["DELETE"], "tasks": ["INDEXING"]}, 1),
        ({"document_id": "file://a"}, 4),
        ({"document_id": "file://a", "tasks": ["INDEXING"], "results": ["COMPLETED"]}, 2),
        ({"document_id": "file://none"}, 0),
    ],
)
def test_the_log_is_filtered_and_counted(
    client: CoveoClient, sandbox: Sandbox, filters: dict[str, Any], expected: int
) -> None:
    """What is listed is what is counted, for every filter the two share."""
    since = client.server_time_ms("files")
    push(client, "file://a", "file://b", "no URI")
    sandbox.settle()
    client.delete_item("files", "file://a")
    sandbox.settle()
    entries = list(client.source_logs("files", since, **filters))
    assert len(entries) == expected
    if "document_id" not in filters:
        assert client.source_log_counts("files", since, **filters) == LogCounts(
            operations=Counter(one.operation for one in entries),
            results=Counter(one.result for one in entries),
            tasks=Counter(one.task for one in entries),
        )


def test_every_page_is_read(client: CoveoClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until there is no next one; entries that arrive meanwhile shift the pages, and none comes twice."""
    monkeypatch.setattr(source_logs, "PER_PAGE", 7)
    since = client.server_time_ms("files")
    push(client, *(f"file://{n}" for n in range(10)))
    sandbox.settle()
    until = sandbox.clock.now_ms() + 60_000
    seen = []
    for n, one in enumerate(client.source_logs("files", since, until)):
        seen.append(one.guid)
        if n == 5:
            push(client, "file://new")
            sandbox.settle()
    assert len(seen) == len(set(seen)) >= 20
    assert len([call for call in sandbox.calls if call.path.startswith("/logs/")]) >= 4


def test_entries_may_come_late_and_twice(client: CoveoClient, sandbox: Sandbox) -> None:
    """What is late is there later; what comes twice is given once, and counted as often as the service says."""
    since = client.server_time_ms("files")
    sandbox.log_delivery.delay, sandbox.log_delivery.repeat = 120.0, True
    push(client, "file://a")
    sandbox.settle()
    assert list(client.source_logs("files", since)) == []

    sandbox.clock.advance(seconds=180)
    assert [one.task for one in client.source_logs("files", since)] == ["INDEXING", "CONSUMING"]
    assert client.source_log_counts("files", since).tasks == {"CONSUMING": 2, "INDEXING": 2}


def test_weeks_are_read_by_the_week(client: CoveoClient, sandbox: Sandbox) -> None:
    """The service takes seven days at most; what lies on a border is given and counted once."""
    since = client.server_time_ms("files")
    for n in range(4):
        push(client, f"file://{n}")
        sandbox.settle()
        sandbox.clock.advance(seconds=6 * DAY / 1_000)
    sandbox.clear_calls()
    assert len(list(client.source_logs("files", since, tasks=["INDEXING"]))) == 4
    assert client.source_log_counts("files", since, tasks=["INDEXING"]).results == {"COMPLETED": 4}
    asked = [call.path.rpartition("/")[2] for call in sandbox.calls if call.path.startswith("/logs/")]
    assert asked == ["sandbox"] * 4 + ["facetsStats"] * 4


@pytest.mark.parametrize("privileges", [{"ORGANIZATION:VIEW", "SOURCE:EDIT"}, {"SOURCE:EDIT"}])
def test_a_missing_privilege_is_known(
    sandbox: Sandbox, make_client: ClientMaker, privileges: set[str]
) -> None:
    """Who verifies can tell it from a failure, and say which privilege it takes."""
    sandbox.add_key("push-key", privileges=privileges)
    client = make_client(sandbox.url, key="push-key", organization_id=sandbox.organization_id)
    for call in (
        lambda: list(client.source_logs("files", DATE_MS, DATE_MS)),
        lambda: client.source_log_counts("files", DATE_MS, DATE_MS),
    ):
        with pytest.raises(PrivilegeMissing, match=r"The call needs Organization \(View\)") as caught:
            call()
        assert caught.value.privileges == "Organization (View) and Sources (View)"
        assert not caught.value.transient


# Against answers that the sandbox does not give


def test_both_spellings_of_the_filter_are_sent(server: Scripted, scripted_client: CoveoClient) -> None:
    """Nothing tells which one counts; times are UTC with milliseconds."""
    server.reply(page())
    read(scripted_client, DATE_MS, DATE_MS + 1, results=("ERROR",), document_id="file://a b")
    assert json.loads(server.got[0].body) == {
        "sourcesIds": ["files"],
        "sourceIds": ["files"],
        "results": ["ERROR"],
    }
    assert server.got[0].target.startswith("/logs/v1/organizations/acme?")
    assert query(server.got[0]) == {
        "from": "2026-01-01T00:00:00.000Z",
        "to": "2026-01-01T00:00:00.001Z",
        "documentId": "file://a b",
        "page": "0",
        "perPage": "1000",
    }


def test_a_filter_that_was_overlooked_is_made_good(server: Scripted, scripted_client: CoveoClient) -> None:
    """Entries of other sources, kinds, items and times are left out here as well."""
    server.reply(
        page(
            entry(0, sourceId="other"),
            entry(1, result="ERROR"),
            entry(2, task="CONSUMING"),
            entry(3, operation="DELETE"),
            entry(4, datetime="2025-12-31T23:59:59.999Z"),
            entry(5, datetime="2026-01-01T00:00:00.001Z"),
            entry(6),
            entry(7),
            entry(8, id="file://7", sourceId=None),
        )
    )
    filters: dict[str, Any] = {"results": ["COMPLETED"], "tasks": ["INDEXING"], "operations": ["ADD"]}
    assert [one.guid for one in read(scripted_client, **filters)] == ["guid-6", "guid-7", "guid-8"]
    assert [one.guid for one in read(scripted_client, document_id="file://7", **filters)] == [
        "guid-7",
        "guid-8",
    ]


def test_counts_of_other_sources_are_not_taken(server: Scripted, scripted_client: CoveoClient) -> None:
    """When the filter was overlooked, the entries of this source are counted one by one."""
    overlooked = {
        "operations": {"ADD": 9},
        "results": {"ERROR": 9},
        "tasks": {"INDEXING": 9},
        "sourceIds": {"files": 2, "other": 7},
    }
    for counts in (overlooked, {**overlooked, "sourceIds": {}}):
        listed = page(entry(1), entry(2, sourceId="other"), entry(1), entry(3, result="ERROR"))
        server.reply(http(200, json.dumps(counts)), listed)
        assert scripted_client.source_log_counts("files", DATE_MS, DATE_MS) == LogCounts(
            {"ADD": 2}, {"COMPLETED": 1, "ERROR": 1}, {"INDEXING": 2}
        )


def test_until_now_is_the_servers_now(server: Scripted, scripted_client: CoveoClient) -> None:
    """Left out, the end is the second of the server's Date, whole."""
    server.reply(http(200, '{"id":"files"}'), page())
    read(scripted_client, DATE_MS - 5_000, None)
    assert query(server.got[1])["to"] == "2026-01-01T00:00:01.000Z"


def test_the_time_is_cut_into_weeks(server: Scripted, scripted_client: CoveoClient) -> None:
    """Each begins with the end of the one before; to count, a millisecond later."""
    server.reply(page(entry(1)))
    assert len(read(scripted_client, DATE_MS - 15 * DAY, DATE_MS)) == 1
    times = [(query(got)["from"][:10], query(got)["to"][:10]) for got in server.got]
    assert times == [("2025-12-17", "2025-12-24"), ("2025-12-24", "2025-12-31"), ("2025-12-31", "2026-01-01")]

    server.got.clear()
    counts = {"operations": {"ADD": 1}, "results": {}, "tasks": {}, "sourceIds": {"files": 1}}
    server.reply(http(200, json.dumps(counts)))
    assert scripted_client.source_log_counts("files", DATE_MS - 14 * DAY, DATE_MS).operations == {"ADD": 2}
    assert [query(got)["from"][10:] for got in server.got] == ["T00:00:00.000Z", "T00:00:00.001Z"]


@pytest.mark.parametrize(
    ("datetime", "time_ms"),
    [
        ("2026-01-01T00:00:00Z", DATE_MS),
        ("2026-01-01T00:00:00", DATE_MS),
        ("2026-01-01T01:00:00.5+01:00", DATE_MS + 500),
        ("2026-01-01T00:00:00.123456789Z", DATE_MS + 123),
        ("2025-12-31T19:30:00.120-04:30", DATE_MS + 120),
    ],
)
def test_each_spelling_of_a_time_is_read(
    server: Scripted, scripted_client: CoveoClient, datetime: str, time_ms: int
) -> None:
    """With or without a fraction and a zone."""
    server.reply(page(entry(1, datetime=datetime)))
    assert [one.time_ms for one in read(scripted_client, DATE_MS, DATE_MS + 1_000)] == [time_ms]


def test_what_an_entry_does_not_say_is_empty(server: Scripted, scripted_client: CoveoClient) -> None:
    """Never the text None, and never a guess."""
    server.reply(page({"datetime": "2026-01-01T00:00:00Z", "meta": None, "id": None}))
    assert read(scripted_client) == [LogEntry(DATE_MS, "", "", "", "", "", None, "")]
    metas: tuple[Any, ...] = (
        {"orderingid": 5},
        {"orderingid": "abc"},
        {"orderingid": True},
        [],
        "x",
        {"error": 5},
    )
    for meta in metas:
        server.reply(page(entry(1, meta=meta)))
        assert [(one.ordering_id, one.error) for one in read(scripted_client)] == [(None, "")]
    server.reply(page(entry(1, meta={"orderingid": DATE_MS, "error": "No."})))
    assert [(one.ordering_id, one.error) for one in read(scripted_client)] == [(DATE_MS, "No.")]


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"documentLogEntries":[]}',
        '{"documentLogEntries":{},"hasNextPage":false}',
        '{"documentLogEntries":[5],"hasNextPage":false}',
        '{"documentLogEntries":[{}],"hasNextPage":false}',
        '{"documentLogEntries":[{"datetime":"yesterday"}],"hasNextPage":false}',
        '{"documentLogEntries":[{"datetime":"2026-13-01T00:00:00Z"}],"hasNextPage":false}',
        '{"documentLogEntries":[],"hasNextPage":"no"}',
        '{"documentLogEntries":[],"hasNextPage":true}',
    ],
)
def test_what_is_no_page_is_no_answer(server: Scripted, make_client: ClientMaker, body: str) -> None:
    """An empty log must be said to be empty; a page without entries has no next one."""
    server.reply(http(200, body))
    with pytest.raises(UnexpectedAnswer):
        read(make_client(server.url, attempts=2))


@pytest.mark.parametrize(
    "counts",
    [
        {},
        {"operations": {}, "results": {}, "tasks": {}},
        {"operations": {"ADD": -1}, "results": {}, "tasks": {}, "sourceIds": {}},
        {"operations": {"ADD": True}, "results": {}, "tasks": {}, "sourceIds": {}},
        {"operations": {"ADD": "5"}, "results": {}, "tasks": {}, "sourceIds": {}},
        {"operations": ["ADD"], "results": [], "tasks": [], "sourceIds": []},
    ],
)
def test_what_is_no_count_is_no_answer(server: Scripted, make_client: ClientMaker, counts: Any) -> None:
    """No errors counted is not the same as not counted."""
    server.reply(http(200, json.dumps(counts)))
    with pytest.raises(UnexpectedAnswer, match="counts of"):
        make_client(server.url, attempts=1).source_log_counts("files", DATE_MS, DATE_MS)


def test_a_log_without_an_end_is_given_up(server: Scripted, make_client: ClientMaker) -> None:
    """A service that gives the same page for ever is asked a hundred times."""
    server.reply(page(entry(1), more=True))
    with pytest.raises(UnexpectedAnswer, match="new entries on page 101"):
        read(make_client(server.url))
    assert len(server.got) == 101


def test_memory_is_bounded_however_long_the_log_is(
    server: Scripted, make_client: ClientMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the last entries are remembered: one that comes again after them is given again."""
    monkeypatch.setattr(source_logs, "REMEMBERED", 50)
    pages = [page(*(entry(100 * n + i) for i in range(100)), more=True) for n in range(20)]
    server.reply(*pages, page(entry(1_999), entry(0)))
    client = make_client(server.url)
    tracemalloc.start()
    try:
        count, last = 0, None
        for one in client.source_logs("files", DATE_MS, DATE_MS):
            count, last = count + 1, one
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (count, last and last.guid) == (2_001, "guid-0")
    assert peak < 3_000_000


@pytest.mark.parametrize(
    ("arguments", "named", "words"),
    [
        (("files", DATE_MS, DATE_MS - 1), {}, "from 2026-01-01T00:00:00.000Z to 2025-12-31T23:59:59.999Z"),
        (("files", 0), {}, "since_ms must be a whole number of 13 digits"),
        (("files", DATE_MS, "soon"), {}, "until_ms must be"),
        (("", DATE_MS, DATE_MS), {}, "source_id"),
        (("files", DATE_MS, DATE_MS), {"results": "ERROR"}, "lists of names"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_sent(
    client: CoveoClient, sandbox: Sandbox, arguments: Any, named: Any, words: str
) -> None:
    """At the call, not when the first entry is asked for."""
    for call in (client.source_logs, client.source_log_counts):
        with pytest.raises(ConfigurationError, match=words):
            call(*arguments, **named)
    assert not [made for made in sandbox.calls if made.path.startswith("/logs/")]


@given(st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=8), min_size=1, max_size=6))
def test_however_pages_shift_each_entry_comes_once(numbers: list[list[int]]) -> None:
    """Whatever stands on which page, in whatever order and how often."""
    server = Scripted()
    pages = [
        page(*(entry(n) for n in on_page), more=i + 1 < len(numbers)) for i, on_page in enumerate(numbers)
    ]
    server.reply(*pages)
    with CoveoClient("acme", "key", base_url=server.url) as client:
        guids = [one.guid for one in read(client)]
    server.stop()
    assert guids == list(dict.fromkeys(f"guid-{n}" for on_page in numbers for n in on_page))

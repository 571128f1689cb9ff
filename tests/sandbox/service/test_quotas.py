"""The quotas at their edges, over the socket, on the sandbox's clock: nothing sleeps."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from coveo_provider.sandbox import Clock, Limits, Quotas, QuotaUse, Sandbox
from coveo_provider.sandbox.service.database import Database
from coveo_provider.sandbox.service.errors import ApiError
from coveo_provider.sandbox.service.quotas import NAMES, STREAM_CALL, Meter
from tests.sandbox.caller import Caller, items, refusal

MIDNIGHT_MS = 20_000 * 86_400_000
USED_UP = (429, "TOO_MANY_REQUESTS")
TOO_MANY_DOCUMENTS = (429, "TOO_MANY_DOCUMENTS_DAILY")


@contextmanager
def limited(
    quotas: Quotas, *, at: str = "12:00:00", database: Path | None = None, limits: Limits | None = None
) -> Iterator[Caller]:
    """A caller of a sandbox under quotas, whose clock stands at this time of a day."""
    hours, minutes, seconds = map(int, at.split(":"))
    clock = Clock(scale=0, start_ms=MIDNIGHT_MS + (hours * 3600 + minutes * 60 + seconds) * 1000)
    file = str(database) if database else None
    with Sandbox.start(quotas=quotas, clock=clock, database=file, limits=limits) as sandbox:
        yield Caller(sandbox)


def advance(caller: Caller, seconds: float) -> None:
    caller.sandbox.clock.advance(seconds=seconds)


def use(caller: Caller, name: str) -> QuotaUse:
    found = caller.sandbox.meter.use()[name]
    assert found is not None
    return found


def stream(caller: Caller, source: str = "products") -> requests.Response:
    """A Stream call that is no load and has an answer of its own: 412, as it names no container."""
    return caller.push("PUT", f"/sources/{source}/stream/update")


def opened(caller: Caller) -> requests.Response:
    return caller.push("POST", "/sources/products/stream/open")


# -- the burst ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("preset", "most"), [(Quotas.production(), 250), (Quotas.non_production(), 150)])
def test_a_burst_waits_as_long_as_it_is_told(preset: Quotas, most: int) -> None:
    """One call over the burst is 429, and Retry-After is to the second when a call is let in again."""
    with limited(preset) as caller:
        for _ in range(most):
            assert stream(caller).status_code == 412
            advance(caller, 0.25)

        refused = stream(caller)

        assert refusal(refused) == USED_UP
        wait = int(refused.headers["Retry-After"])
        assert wait == -(-(300 - most / 4) // 1)
        advance(caller, wait - 1)
        assert stream(caller).headers["Retry-After"] == "1"
        advance(caller, 1)
        assert stream(caller).status_code == 412


def test_every_stream_call_counts_and_an_upload_does_not() -> None:
    """Opening, chunks, close, containers, updates, merges and delete-older count, whatever their answer."""
    with limited(replace(Quotas.production(), stream_requests_per_5_minutes=10)) as caller:
        made = opened(caller).json()
        for path in ("chunk", "close", "close"):
            caller.push("POST", f"/sources/products/stream/{made['streamId']}/{path}")
        assert caller.update(items("product://1")).status_code == 202
        assert caller.push("PUT", "/sources/products/stream/merge").status_code == 412
        assert caller.push("POST", "/sources/nothing/stream/open").status_code == 412
        assert caller.push("POST", "/sources/products/stream/deleteolderthan/1").status_code == 412
        assert use(caller, "stream_requests_per_5_minutes").used == 9
        assert use(caller, "loads_per_day").used == 2
        caller.sandbox.add_source("lake", kind="DATA_COLLECTION")
        assert caller.push("POST", "/data-collections/lake/stream/open").status_code == 201
        assert refusal(caller.push("POST", "/files")) == USED_UP


def test_what_is_no_stream_call_does_not_count() -> None:
    """Neither platform nor logs, nor a key that is not let in, nor a planned fault, nor an unknown path."""
    with limited(Quotas.production()) as caller:
        assert caller.rest("GET", "/sources").ok
        assert stream(Caller(caller.sandbox, key="wrong")).status_code == 401
        caller.sandbox.add_key("reader", privileges=["SOURCE:VIEW"])
        assert stream(Caller(caller.sandbox, key="reader")).status_code == 403
        assert caller.push("GET", "/sources/products/stream/open").status_code == 405
        assert caller.put("file://a").status_code == 202
        assert use(caller, "stream_requests_per_day").used == 0


def test_a_refused_call_counts_for_nothing() -> None:
    """Knocking too early, however often, does not move the moment of Retry-After; the day is spared too."""
    with limited(replace(Quotas.production(), stream_requests_per_5_minutes=2, loads_per_hour=2)) as caller:
        assert [opened(caller).status_code for _ in range(2)] == [201, 201]
        advance(caller, 100)
        assert [opened(caller).status_code for _ in range(20)] == [429] * 20
        assert stream(caller).headers["Retry-After"] == "200"
        assert use(caller, "loads_per_hour") == QuotaUse(2, 2, 0, MIDNIGHT_MS + 13 * 3_600_000)
        assert use(caller, "stream_requests_per_day").used == 2


def test_midnight_does_not_empty_the_burst() -> None:
    """Five minutes are any five minutes."""
    with limited(Quotas(stream_requests_per_5_minutes=1), at="23:59:59") as caller:
        stream(caller)
        advance(caller, 2)
        assert stream(caller).headers["Retry-After"] == "298"


@given(
    limit=st.integers(1, 4),
    steps=st.lists(st.integers(0, 200_000) | st.sampled_from([0, 299_999, 300_000, 1]), max_size=40),
)
def test_the_window_slides_as_a_naive_one_does(limit: int, steps: Sequence[int]) -> None:
    """A call is let in when fewer than the limit were within five minutes; Retry-After is the first second."""
    clock, database, accepted = Clock(scale=0, start_ms=MIDNIGHT_MS), Database(), list[int]()
    meter = Meter(database, clock, Quotas(stream_requests_per_5_minutes=limit), lambda: 0)

    def fits(now: int) -> bool:
        return sum(now - 300_000 < one <= now for one in accepted) < limit

    for step in steps:
        clock.advance(seconds=step / 1000)
        now = clock.now_ms()
        if fits(now):
            meter.take_call(STREAM_CALL)
            accepted.append(now)
            continue
        with pytest.raises(ApiError) as refused:
            meter.take_call(STREAM_CALL)
        (wait,) = (int(value) for name, value in refused.value.headers if name == "Retry-After")
        assert fits(now + wait * 1000)
        assert not fits(now + (wait - 1) * 1000)
    database.close()


# -- days and loads -----------------------------------------------------------------------------------------


def test_a_day_ends_at_midnight_utc() -> None:
    """Over the day's calls: 429 that says nothing of a wait, until midnight and not a second earlier."""
    with limited(Quotas(stream_requests_per_day=3, stream_requests_per_5_minutes=3)) as caller:
        for _ in range(3):
            assert stream(caller).status_code == 412
        refused = stream(caller)  # the burst is used up as well, but its wait would be in vain
        assert refusal(refused) == USED_UP
        assert "Retry-After" not in refused.headers
        advance(caller, 12 * 3600 - 1)
        assert stream(caller).status_code == 429
        assert use(caller, "stream_requests_per_day") == QuotaUse(3, 3, 0, MIDNIGHT_MS + 86_400_000)
        advance(caller, 1)
        assert stream(caller).status_code == 412
        assert use(caller, "stream_requests_per_day").left == 2


def test_the_fifth_load_in_an_hour_is_refused_when_it_opens() -> None:
    """Nothing was uploaded for it yet, a load under way ends, and any hour is an hour."""
    with limited(Quotas.production(), at="23:30:00") as caller:
        made = [opened(caller).json() for _ in range(4)]
        refused = opened(caller)
        assert refusal(refused) == USED_UP
        assert "Retry-After" not in refused.headers
        for one in made:
            assert caller.close(one["streamId"]).status_code == 200
        assert caller.update(items("product://1")).status_code == 202
        advance(caller, 3599)
        assert opened(caller).status_code == 429
        advance(caller, 1)
        assert opened(caller).status_code == 201


def test_the_ninety_seventh_load_of_a_day_is_refused() -> None:
    """One load every quarter of an hour is within the hour's and the day's; one more waits for midnight."""
    with limited(Quotas.production(), at="00:00:00") as caller:
        for quarter in range(96):
            advance(caller, 900 if quarter else 0)
            assert opened(caller).status_code == 201
        advance(caller, 899)
        refused = opened(caller)
        assert refusal(refused) == USED_UP
        assert "loads_per_day" in refused.json()["message"]
        assert stream(caller).status_code == 412
        advance(caller, 1)
        assert opened(caller).status_code == 201


def test_a_load_over_its_quota_is_not_told_the_wait_of_the_burst() -> None:
    """When both are used up the burst's wait would be in vain; other Stream calls are told it."""
    with limited(Quotas(stream_requests_per_5_minutes=1, loads_per_hour=1)) as caller:
        assert opened(caller).status_code == 201
        assert "Retry-After" not in opened(caller).headers
        assert stream(caller).headers["Retry-After"] == "300"


# -- Push ---------------------------------------------------------------------------------------------------


def test_stream_and_push_are_counted_apart() -> None:
    """Each API goes on when the other's day is used up; the call both need counts for both."""
    with limited(Quotas(stream_requests_per_day=2, push_calls_per_day=3)) as caller:
        assert caller.push("POST", "/files").status_code == 201
        assert stream(caller).status_code == 412
        assert stream(caller).status_code == 429
        assert caller.put("file://a").status_code == 202
        assert caller.push("POST", "/sources/files/status", params={"statusType": "IDLE"}).ok
        assert refusal(caller.push("DELETE", "/providers/x/permissions")) == USED_UP
        assert refusal(caller.push("POST", "/files")) == USED_UP
        assert caller.rest("GET", "/sources").ok


def test_items_are_counted_by_the_day() -> None:
    """What a call brings is counted when it is accepted, by entries; a batch over what is left is refused."""
    with limited(Quotas(push_documents_per_day=5)) as caller:
        caller.put("file://a")
        caller.push("DELETE", "/sources/files/documents", params={"documentId": "file://b"})
        assert caller.batch({**items("file://c"), "delete": [{"documentId": "file://a"}]}).status_code == 202
        assert use(caller, "push_documents_per_day").left == 1
        file_id = caller.container(items("file://d", "file://e"))

        refused = caller.push("PUT", "/sources/files/documents/batch", params={"fileId": file_id})

        assert refusal(refused) == TOO_MANY_DOCUMENTS
        assert "Retry-After" not in refused.headers
        assert "2 items; 1 of 5" in refused.json()["message"]
        assert caller.put("file://f").status_code == 202
        assert refusal(caller.put("file://g")) == TOO_MANY_DOCUMENTS
        assert caller.update(items("product://1")).status_code == 202
        caller.sandbox.settle()
        assert sorted(caller.sandbox.items("files")) == ["file://c", "file://f"]


def test_a_refused_container_is_not_used_up() -> None:
    """It takes its items after midnight, if it lives until then."""
    with limited(Quotas(push_documents_per_day=2), at="23:50:00") as caller:
        caller.put("file://a")
        file_id = caller.container(items("file://b", "file://c"))
        batch = {"fileId": file_id}
        for _ in range(2):
            response = caller.push("PUT", "/sources/files/documents/batch", params=batch)
            assert refusal(response) == TOO_MANY_DOCUMENTS
        advance(caller, 600)
        assert caller.push("PUT", "/sources/files/documents/batch", params=batch).status_code == 202
        caller.sandbox.settle()
        assert caller.sandbox.count("files") == 3


def test_what_is_not_accepted_brings_no_items() -> None:
    """A call refused for something else counts none; a container nobody can read is for the log."""
    with limited(Quotas(push_documents_per_day=1)) as caller:
        assert caller.put("file://a", {"data": 1}).status_code == 400
        assert caller.batch(b"{").status_code == 202
        assert caller.put("file://a").status_code == 202
        assert caller.batch({"addOrUpdate": []}).status_code == 202
        caller.sandbox.settle()
        files = [one.result for one in caller.sandbox.logs("files") if one.operation == "BATCH_FILE"]
        assert files == ["ERROR", "COMPLETED"]


# -- items held and sizes -----------------------------------------------------------------------------------


def test_a_full_organization_takes_no_items() -> None:
    """At the license's items every call that adds is 412, in both APIs; deletions let others in again."""
    with limited(Quotas(organization_items=2)) as caller:
        caller.put("file://a")
        caller.load(items("product://1"))
        caller.sandbox.drain()
        full = (412, "DOCUMENT_LIMIT_EXCEEDED")
        assert refusal(caller.put("file://a")) == full
        assert refusal(caller.batch(items("file://b"))) == full
        assert refusal(caller.update(items("product://2"))) == full
        assert refusal(caller.merge({"addOrMerge": [{"documentId": "product://1"}]})) == full
        change = {"documentId": "product://1", "operator": "fieldValueReplace", "field": "x", "value": 1}
        assert caller.update({"partialUpdate": [change]}).status_code == 202
        assert caller.load(items("product://2")).status_code == 200
        assert use(caller, "organization_items").left == 0
        assert caller.batch({"delete": [{"documentId": "file://a"}]}).status_code == 202
        caller.sandbox.settle()
        assert use(caller, "organization_items") == QuotaUse(2, 1, 1, None)
        assert caller.put("file://b").status_code == 202


def test_a_container_over_its_size_is_413_in_every_call() -> None:
    """Push, Stream and identities answer as docs lb4a0344 says: 413 for a large file container."""
    with limited(Quotas.production(), limits=Limits(container_bytes=1000)) as caller:
        caller.sandbox.add_security_provider("people")
        made = caller.push("POST", "/files").json()
        assert caller.upload(made, b" " * 1001).status_code == 400
        for path in (
            "/sources/files/documents/batch",
            "/sources/products/stream/update",
            "/sources/products/stream/merge",
            "/providers/people/permissions/batch",
        ):
            response = caller.push("PUT", path, params={"fileId": made["fileId"]})
            assert refusal(response) == (413, "REQUEST_ENTITY_TOO_LARGE")


# -- turning it on, and looking -----------------------------------------------------------------------------


def test_the_presets_are_the_published_figures() -> None:
    """The figures of docs lb4a0344; what a license sets is left to the user."""
    assert Quotas.production() == Quotas(15_000, 250, 96, 4)
    assert Quotas.non_production() == Quotas(10_000, 150, 96, 4)


@pytest.mark.parametrize("figure", [0, -1, 1.5, True, "4"])
def test_a_quota_is_a_whole_number(figure: Any) -> None:
    """Anything else is refused when it is made."""
    with pytest.raises(ValueError, match="loads_per_day"):
        Quotas(loads_per_day=figure)


def test_without_quotas_nothing_is_refused_or_counted(sandbox: Sandbox, caller: Caller) -> None:
    """The default."""
    assert {opened(caller).status_code for _ in range(300)} == {201}
    assert sandbox.meter.use() == dict.fromkeys(NAMES)


def test_quotas_change_while_it_runs() -> None:
    """What was counted stays, also over a lower figure; reset forgets the counts and keeps the quotas."""
    with limited(Quotas(stream_requests_per_5_minutes=100)) as caller:
        for _ in range(5):
            stream(caller)
            advance(caller, 10)
        caller.sandbox.meter.quotas = Quotas(stream_requests_per_5_minutes=2, loads_per_day=1)
        assert stream(caller).headers["Retry-After"] == str(300 - 50 + 30)
        caller.sandbox.reset()
        assert [opened(caller).status_code for _ in range(2)] == [201, 429]


def test_the_control_page() -> None:
    """What is used and left, quotas set over a preset or over what is, and counts started anew."""
    with limited(Quotas.production()) as caller:
        opened(caller)
        page = caller.call("GET", "/_sandbox/quotas").json()
        assert set(page) == {*NAMES}
        assert page["stream_requests_per_5_minutes"] == {
            **{"limit": 250, "used": 1, "left": 249},
            "resets_ms": caller.sandbox.clock.now_ms() + 300_000,
        }
        assert page["push_calls_per_day"] is None
        assert caller.call("POST", "/_sandbox/quotas", json={"loads_per_day": 1}).ok
        assert caller.sandbox.meter.quotas == replace(Quotas.production(), loads_per_day=1)
        assert opened(caller).status_code == 429
        assert caller.call("POST", "/_sandbox/quotas/reset").ok
        assert opened(caller).status_code == 201
        preset = {"preset": "non-production", "loads_per_hour": None, "push_calls_per_day": 7}
        assert caller.call("POST", "/_sandbox/quotas", json=preset).ok
        assert caller.sandbox.meter.quotas == Quotas(10_000, 150, 96, push_calls_per_day=7)


@pytest.mark.parametrize(
    "wrong",
    [{"preset": "trial"}, {"preset": 1}, {"loads": 1}, {"loads_per_day": 0}, {"loads_per_day": "1"}],
)
def test_quotas_over_http_are_checked(caller: Caller, wrong: object) -> None:
    """A quota that makes no sense is 400 and changes nothing."""
    assert refusal(caller.call("POST", "/_sandbox/quotas", json=wrong)) == (400, "INVALID_JSON")
    assert caller.sandbox.meter.quotas == Quotas()


def test_a_restart_does_not_forget(tmp_path: Path) -> None:
    """In a database the counts stay; a clock that starts earlier again drops what has not come yet."""
    quotas, database = Quotas(stream_requests_per_day=9, stream_requests_per_5_minutes=2), tmp_path / "s.db"
    with limited(quotas, database=database) as caller:
        stream(caller)
        stream(caller)
    with limited(quotas, at="12:04:00", database=database) as caller:
        assert stream(caller).headers["Retry-After"] == "60"
        assert use(caller, "stream_requests_per_day").used == 2
        advance(caller, 86_400)
        stream(caller)
    with limited(quotas, at="12:06:00", database=database) as caller:
        assert use(caller, "stream_requests_per_day").used == 0
        assert use(caller, "stream_requests_per_5_minutes").used == 0
        stream(caller)
        caller.sandbox.meter.reset()
    with limited(quotas, at="12:06:00", database=database) as caller:
        assert use(caller, "stream_requests_per_day").used == 0
        assert use(caller, "stream_requests_per_5_minutes").used == 0


def test_the_command_line_takes_a_preset() -> None:
    """``--quotas production`` enforces its figures."""
    command = [sys.executable, "-m", "coveo_provider.sandbox.cli", "--port", "0", "--quotas", "production"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        (url,) = re.findall(r"http:\S+", program.stdout.readline())
        page = requests.get(f"{url}/_sandbox/quotas", timeout=30).json()
        assert page["stream_requests_per_5_minutes"]["limit"] == 250
        program.send_signal(signal.SIGTERM)
        assert program.wait(30) == 0


def test_concurrent_calls_share_one_quota() -> None:
    """However many call at once, no more than the quota are let in."""
    with limited(Quotas(stream_requests_per_5_minutes=20)) as caller, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: stream(Caller(caller.sandbox)).status_code, range(40)))
        assert (answers.count(412), answers.count(429)) == (20, 20)

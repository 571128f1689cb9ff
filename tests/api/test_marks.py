"""Marks: by which clock they are taken, and that they part what was sent before from what is sent after."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest

from coveo_provider.api.client import CoveoClient
from coveo_provider.api.retries import RetryPolicy
from coveo_provider.marks import Moment
from coveo_provider.sandbox import Answer, Sandbox
from tests.api.conftest import KEY, ClientMaker
from tests.api.scripted import DATE_MS, Scripted, http


class Hours:
    """A worker's monotonic clock, and its sleep, which passes in the sandbox at once."""

    def __init__(self, sandbox: Sandbox | None = None, *, awake: float = 1.0) -> None:
        self._sandbox, self._awake = sandbox, awake
        self.seconds = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds * self._awake
        if self._sandbox:
            self._sandbox.clock.advance(seconds=seconds)

    def clock(self) -> float:
        return self.seconds

    def policy(self) -> RetryPolicy:
        return RetryPolicy(sleep=self.sleep, clock=self.clock)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """One whose clock stands still but for what is slept, at .900 of a second."""
    with Sandbox.start(sources={"files": "PUSH"}, api_key=KEY, scale=0) as sandbox:
        sandbox.clock.advance_to((sandbox.clock.now_ms() // 1_000 + 60) * 1_000 + 900)
        sandbox.add_security_provider("people", sources=["files"])
        yield sandbox


@pytest.fixture
def hours(sandbox: Sandbox) -> Hours:
    return Hours(sandbox)


@pytest.fixture
def client(sandbox: Sandbox, hours: Hours) -> Iterator[CoveoClient]:
    policy = hours.policy()
    with CoveoClient(sandbox.organization_id, KEY, base_url=sandbox.url, policy=policy) as client:
        yield client


def rebuild(client: CoveoClient, *uris: str) -> int:
    """Push items by a batch, delete what is older than the mark, and return it."""
    mark = client.set_source_status("files", "REBUILD")
    body = json.dumps({"addOrUpdate": [{"documentId": uri, "data": "x"} for uri in uris]}).encode()
    container = client.create_file_container()
    stored_at = client.upload(container, io.BytesIO(body), len(body))
    client.push_batch("files", container.file_id)
    assert container.asked_at is not None
    assert stored_at is not None
    assert mark <= container.asked_at <= stored_at
    moment = Moment(container.asked_at, stored_at, stored_at)
    assert (moment.mark, moment.agrees) == (container.asked_at, True)
    client.delete_items_older_than("files", mark, queue_delay=0)
    client.set_source_status("files", "IDLE")
    return mark


def test_two_rebuilds_within_a_second_leave_nothing_that_is_gone(
    client: CoveoClient, sandbox: Sandbox, hours: Hours
) -> None:
    """The second deletes what the first pushed and it did not, however soon it comes."""
    first = rebuild(client, "file://stays", "file://goes")
    second = rebuild(client, "file://stays", "file://new")
    sandbox.settle()
    assert set(sandbox.items("files")) == {"file://new", "file://stays"}
    assert (second - first, hours.slept) == (1_000, [1.0, 1.0])


def test_two_expansions_within_a_second_leave_nobody_who_is_gone(
    client: CoveoClient, sandbox: Sandbox
) -> None:
    """The same for identities."""

    def expand(*names: str) -> None:
        mark = client.identity_mark("people")
        for name in names:
            client.put_identity("people", json.dumps({"identity": {"name": name, "type": "USER"}}).encode())
        client.disable_identities_older_than("people", mark, queue_delay=0)

    expand("ann", "bob")
    expand("ann")
    sandbox.settle()
    states = {identity.name: identity.state for identity in sandbox.identities("people")}
    assert states == {"ann": "UP_TO_DATE", "bob": "DISABLED"}


def test_idle_waits_for_nothing(client: CoveoClient, sandbox: Sandbox, hours: Hours) -> None:
    """With it nothing begins; it tells the time all the same."""
    now = sandbox.clock.now_ms()
    assert client.set_source_status("files", "IDLE") == now // 1_000 * 1_000
    assert hours.slept == []


@pytest.mark.parametrize("awake", [0.0, 0.5])
def test_a_mark_is_early_when_the_second_was_not_waited_out(sandbox: Sandbox, awake: float) -> None:
    """A sleep that ends early leaves the mark at the second of the answer: nothing that follows is older."""
    hours = Hours(sandbox, awake=awake)
    now = sandbox.clock.now_ms()
    with CoveoClient(sandbox.organization_id, KEY, base_url=sandbox.url, policy=hours.policy()) as client:
        assert client.set_source_status("files", "REBUILD") == now // 1_000 * 1_000


def test_a_mark_is_early_when_the_servers_clock_stands(sandbox: Sandbox) -> None:
    """A second that has not begun there is no mark yet."""
    now = sandbox.clock.now_ms()
    with CoveoClient(sandbox.organization_id, KEY, base_url=sandbox.url, policy=Hours().policy()) as client:
        assert client.set_source_status("files", "REBUILD") == now // 1_000 * 1_000


@pytest.mark.parametrize("status", [502, 429, 200])
def test_a_mark_is_early_when_the_platform_tells_no_time(sandbox: Sandbox, status: int) -> None:
    """The status was set; that nobody tells how late it is now does not fail the load."""
    page = Answer(status, "<html>no</html>", content_type="text/html")
    sandbox.faults.add(action=page, route="platform.source.get", times=100)
    now = sandbox.clock.now_ms()
    policy = Hours(sandbox).policy()
    with CoveoClient(sandbox.organization_id, KEY, base_url=sandbox.url, policy=policy) as client:
        assert client.set_source_status("files", "REBUILD") == now // 1_000 * 1_000
    assert [call.route for call in sandbox.calls] == ["source.status", "platform.source.get"]


def test_a_mark_comes_from_the_answer_that_counted(server: Scripted, make_client: ClientMaker) -> None:
    """Of a page with another Date nothing is taken."""
    server.reply(http(200, "<html>", date="Thu, 01 Jan 2032 00:00:00 GMT"), http(201, "{}"))
    assert make_client(server.url).set_source_status("s", "IDLE") == DATE_MS

"""What is sent again, how long it waits, and when it gives up."""

from __future__ import annotations

import io
import logging

import pytest

from coveo_provider.api.client import CoveoClient
from coveo_provider.api.retries import RetryPolicy
from coveo_provider.errors import (
    AccessDenied,
    CloseUnknown,
    CoveoError,
    ServerError,
    Throttled,
    UnexpectedAnswer,
    Unreachable,
)
from coveo_provider.sandbox import Answer, Cut, Sandbox, Truncate
from tests.api.conftest import ClientMaker
from tests.api.scripted import DATE, DATE_MS, Reply, Scripted, hang, http, reset, then

OPENED = (
    b'{"streamId":"s1","fileId":"f1","requiredHeaders":{},'
    b'"uploadUri":"http://127.0.0.1:9/f1?X-Amz-Signature=abcdef0123456789"}'
)


def test_seconds_of_retry_after_are_waited(sandbox: Sandbox, client: CoveoClient, waits: list[float]) -> None:
    """A throttled call waits as long as it was told, and is sent again."""
    sandbox.faults.add(action=Answer.throttled(7), route="stream.open")
    stream = client.open_stream("products")
    assert sandbox.source("products").open_stream == stream.stream_id
    assert [call.status for call in sandbox.calls] == [429, 201]
    assert len(waits) == 1
    assert 7 <= waits[0] <= 7.5


def test_a_date_of_retry_after_is_measured_by_the_servers_clock(
    server: Scripted, scripted_client: CoveoClient, waits: list[float]
) -> None:
    """Half a minute after the answer's own Date is half a minute, whatever year the worker is in."""
    server.reply(http(429, Retry_After="Thu, 01 Jan 2026 00:00:30 GMT", date=DATE), http(201, OPENED))
    scripted_client.open_stream("x")
    assert 30 <= waits[0] <= 30.5


@pytest.mark.parametrize("wait", [61, 3_600, "Thu, 01 Jan 2026 01:00:00 GMT", "1e300"])
def test_a_long_wait_is_not_slept_through(
    server: Scripted, scripted_client: CoveoClient, waits: list[float], wait: object
) -> None:
    """Beyond max_block_seconds the error comes at once, and says how long the API asked to wait."""
    server.reply(http(429, Retry_After=str(wait)))
    with pytest.raises(Throttled) as caught:
        scripted_client.open_stream("x")
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 60
    assert waits == []
    assert len(server.got) == 1


@pytest.mark.parametrize("wait", ["nonsense", "nan", "", "Thu, 99 Jan 2026 00:00:00 GMT"])
def test_a_wait_that_cannot_be_read_backs_off(
    server: Scripted, scripted_client: CoveoClient, waits: list[float], wait: str
) -> None:
    """Without a readable Retry-After the pauses grow, up to a bound, with jitter."""
    server.reply(http(429, Retry_After=wait))
    with pytest.raises(Throttled) as caught:
        scripted_client.open_stream("x")
    assert caught.value.retry_after is None
    assert len(server.got) == 6
    assert all(0 < pause <= 2**n + 0.1 for n, pause in enumerate(waits))


def test_the_pause_has_a_bound_whatever_the_attempt() -> None:
    """Attempt 2,000 waits no longer than max_wait."""
    waits: list[float] = []

    def fail() -> None:
        raise Unreachable("GET /x", "no connection could be made", sent=False)

    policy = RetryPolicy(attempts=2_000, max_wait=5.0, sleep=waits.append)
    with pytest.raises(Unreachable):
        policy.run(fail, lambda error: error.transient)
    assert len(waits) == 1_999
    assert max(waits) <= 5.1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_fault_of_the_service_is_sent_again(sandbox: Sandbox, client: CoveoClient, status: int) -> None:
    """Twice a 5xx, then success: the caller sees only the success."""
    sandbox.faults.add(action=Answer(status, '{"message":"gateway"}'), times=2)
    client.put_item("files", "file://a", b'{"data":"text"}')
    sandbox.settle()
    assert list(sandbox.items("files")) == ["file://a"]
    assert [call.status for call in sandbox.calls] == [status, status, 202]


def test_a_5xx_may_ask_to_wait(server: Scripted, scripted_client: CoveoClient, waits: list[float]) -> None:
    """Retry-After counts on a 503 too, and its own bound with it."""
    server.reply(http(503, Retry_After="9"), http(201, OPENED))
    scripted_client.open_stream("x")
    assert 9 <= waits[0] <= 9.5
    server.reply(http(503, Retry_After="900"))
    with pytest.raises(ServerError) as caught:
        scripted_client.open_stream("x")
    assert caught.value.retry_after == 900


@pytest.mark.parametrize("fault", [Cut("before"), Cut("during"), Cut("after"), Truncate(keep=1)])
def test_a_broken_connection_is_made_again(
    sandbox: Sandbox, client: CoveoClient, fault: Cut | Truncate
) -> None:
    """Whenever it breaks, a call that may be repeated is."""
    sandbox.faults.add(action=fault, route="stream.open")
    stream = client.open_stream("products")
    assert stream.stream_id in sandbox.source("products").open_streams
    sandbox.faults.add(action=fault, route="item.put")
    client.put_item("files", "file://a", b'{"data":"text"}')
    sandbox.settle()
    assert list(sandbox.items("files")) == ["file://a"]


def test_no_connection_at_all(make_client: ClientMaker, waits: list[float]) -> None:
    """A refused connection is tried six times, and was certainly not carried out."""
    closed = Scripted()
    closed.stop()
    with pytest.raises(Unreachable, match=r"no connection could be made.*was not carried out") as caught:
        make_client(closed.url).push_batch("files", "f1")
    assert caught.value.sent is False
    assert len(waits) == 5


def test_an_unknown_host_is_unreachable(make_client: ClientMaker) -> None:
    """A name that does not resolve is told without the address."""
    client = make_client("https://nowhere.invalid", attempts=1)
    with pytest.raises(Unreachable, match="no connection could be made"):
        client.open_stream("x")


@pytest.mark.parametrize(
    "reply",
    [
        reset,
        lambda connection: None,
        then(b"HTTP/1.1 200 OK\r\nContent-Le", reset),
        then(http(201, Content_Length="500") + b'{"streamId":', lambda connection: None),
        then(http(201, Transfer_Encoding="chunked") + b"5\r\n{", reset),
        b"not HTTP at all\r\n\r\n",
    ],
    ids=["reset", "closed", "half a header", "half a body", "half a chunk", "no HTTP"],
)
def test_half_an_answer_is_no_answer(server: Scripted, make_client: ClientMaker, reply: Reply) -> None:
    """It may have been carried out, and the error says so."""
    server.reply(reply)
    with pytest.raises(Unreachable, match="may have been carried out") as caught:
        make_client(server.url, attempts=2).open_stream("x")
    assert caught.value.sent is True
    assert len(server.got) == 2


@pytest.mark.parametrize(
    "reply", [hang, then(http(201, Content_Length="500") + b'{"streamId":', hang)], ids=["head", "body"]
)
def test_silence_ends_in_a_timeout(server: Scripted, make_client: ClientMaker, reply: Reply) -> None:
    """The timeout holds before the answer and within it."""
    server.reply(reply)
    with pytest.raises(Unreachable, match="the answer took too long"):
        make_client(server.url, attempts=1, timeout=0.05).open_stream("x")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 412, 413, 415])
def test_a_hopeless_refusal_is_sent_once(server: Scripted, scripted_client: CoveoClient, status: int) -> None:
    """Nothing that the same request cannot mend is repeated."""
    server.reply(http(status, '{"errorCode":"X","message":"Y"}'))
    with pytest.raises(CoveoError):
        scripted_client.open_stream("x")
    assert len(server.got) == 1


# Calls that submit a container


SUBMISSIONS = ("push_batch", "update_stream", "merge_stream")


@pytest.mark.parametrize(
    ("method", "reply"),
    [
        *[(method, reply) for method in SUBMISSIONS for reply in (http(500), http(503), reset, hang)],
        *[(method, http(202, '{"orderingId":')) for method in SUBMISSIONS[1:]],
    ],
)
def test_a_submission_whose_answer_was_lost_is_not_replayed(
    server: Scripted, make_client: ClientMaker, method: str, reply: Reply
) -> None:
    """Its container may be gone already: the caller uploads again instead."""
    server.reply(reply)
    client = make_client(server.url, timeout=0.2)
    with pytest.raises((ServerError, Unreachable, UnexpectedAnswer)):
        getattr(client, method)("source", "f1")
    assert len(server.got) == 1


def test_a_throttled_submission_is_sent_again(sandbox: Sandbox, client: CoveoClient) -> None:
    """A 429 left the container untouched."""
    sandbox.faults.add(action=Answer.throttled(1), route="batch.put", times=2)
    container = client.create_file_container()
    client.upload(container, io.BytesIO(b'{"addOrUpdate":[]}'), 18)
    client.push_batch("files", container.file_id)
    assert [call.status for call in sandbox.calls if call.route == "batch.put"] == [429, 429, 202]


# What an answer must hold


def test_a_success_that_is_not_understood_is_asked_again(
    server: Scripted, scripted_client: CoveoClient
) -> None:
    """A proxy's page with status 200 counts as a lost answer."""
    server.reply(http(200, "<html>Please log in</html>"), http(201, OPENED))
    assert scripted_client.open_stream("x").stream_id == "s1"


def test_no_mark_without_the_servers_date(server: Scripted, make_client: ClientMaker) -> None:
    """A status that was set without telling the time gives no mark."""
    server.reply(http(201, date=None))
    with pytest.raises(UnexpectedAnswer, match="Date header"):
        make_client(server.url, attempts=2).set_source_status("x", "REBUILD")


def test_the_mark_is_that_of_the_answer_that_counted(server: Scripted, scripted_client: CoveoClient) -> None:
    """Of several attempts the last one's Date is taken."""
    server.reply(http(500, date="Thu, 01 Jan 2025 00:00:00 GMT"), http(201))
    assert scripted_client.set_source_status("x", "REBUILD") == DATE_MS


@pytest.mark.parametrize(
    "body", ["{}", "[]", '{"orderingId":true}', '{"orderingId":"12"}', '{"orderingId":null}', ""]
)
def test_an_ordering_id_is_expected(server: Scripted, make_client: ClientMaker, body: str) -> None:
    """Stream answers without thirteen digits are no answers."""
    server.reply(http(200, body))
    client = make_client(server.url, attempts=1)
    for call, error in ((client.close_stream, CloseUnknown), (client.update_stream, UnexpectedAnswer)):
        with pytest.raises(error, match=r"without (an orderingId|a JSON object)"):
            call("x", "y")


@pytest.mark.parametrize(
    "body", ["{}", '{"totalEntries":true}', '{"totalEntries":-1}', '{"totalEntries":"5"}']
)
def test_a_count_of_sources_is_expected(server: Scripted, make_client: ClientMaker, body: str) -> None:
    """Some other server's JSON is no proof of key and organization."""
    server.reply(http(200, body))
    with pytest.raises(UnexpectedAnswer, match="totalEntries"):
        make_client(server.url, attempts=1).count_sources()


@pytest.mark.parametrize(
    ("body", "count"),
    [('{"id":"X"}', None), ('{"id":"x","information":{"numberOfDocuments":7}}', 7)]
    + [
        (f'{{"id":"x","information":{{"numberOfDocuments":{n}}}}}', None)
        for n in ("-1", "true", "null", '"7"')
    ],
)
def test_a_source_may_not_say_its_count(
    server: Scripted, scripted_client: CoveoClient, body: str, count: int | None
) -> None:
    """Then the count is None, never a guess."""
    server.reply(http(200, body))
    assert scripted_client.get_source("x").document_count == count


def test_an_answer_without_request_id(server: Scripted, scripted_client: CoveoClient) -> None:
    """A missing requestId is an empty one, not the text None."""
    server.reply(http(200, '{"orderingId":1767225600000,"requestId":null}'))
    assert scripted_client.close_stream("x", "y").request_id == ""


def test_a_refusal_with_a_broken_body_is_still_one(server: Scripted, scripted_client: CoveoClient) -> None:
    """The status says enough; a key that is refused is not tried six times."""
    server.reply(then(http(403, Content_Length="500") + b'{"errorCode":', lambda connection: None))
    with pytest.raises(AccessDenied):
        scripted_client.open_stream("x")
    assert len(server.got) == 1


def test_each_repetition_is_logged(
    sandbox: Sandbox, client: CoveoClient, caplog: pytest.LogCaptureFixture
) -> None:
    """One line: what happened, how long it waits, which attempt comes."""
    sandbox.faults.add(action=Answer.throttled(3), route="stream.open")
    with caplog.at_level(logging.WARNING):
        client.open_stream("products")
    assert "answered 429 TOO_MANY_REQUESTS" in caplog.text
    assert "sending again in 3." in caplog.text
    assert "(attempt 2)" in caplog.text

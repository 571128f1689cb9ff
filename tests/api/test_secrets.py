"""Neither the key nor a pre-signed address is ever told, whatever goes wrong and whoever logs."""

from __future__ import annotations

import contextlib
import html
import io
import json
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from coveo_provider.api.client import CoveoClient
from coveo_provider.api.types import FileContainer
from coveo_provider.errors import CoveoError
from coveo_provider.sandbox import Answer, Cut, ExpireUpload, Sandbox, Truncate
from tests.api.conftest import KEY, ClientMaker
from tests.api.scripted import Reply, Scripted, hang, http, reset, then

SIGNATURE = "5f2b0c9e+7d/41a8=signature"
QUERY = f"X-Amz-Credential=AKIAEXAMPLEKEY&X-Amz-Signature={quote(SIGNATURE, safe='')}"


def texts(error: BaseException) -> Iterator[str]:
    """Everything an exception and what hangs on it can say."""
    yield "".join(traceback.format_exception(error))
    seen: list[BaseException] = []
    pending: list[BaseException | None] = [error]
    while pending:
        one = pending.pop()
        if one is None or one in seen:
            continue
        seen.append(one)
        yield from (str(one), repr(one), repr(one.args), repr(vars(one)), repr(pickle.dumps(one)))
        pending += [one.__cause__, one.__context__]


def assert_silent(said: str, *secrets: str) -> None:
    for secret in (KEY, *secrets):
        assert secret not in said


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """Every record of every logger, from DEBUG."""
    caplog.set_level(logging.DEBUG)
    for name in ("urllib3", "urllib3.connectionpool", "requests", "coveo_provider"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def records(caplog: pytest.LogCaptureFixture) -> str:
    return caplog.text + repr([(record.msg, record.args, record.__dict__) for record in caplog.records])


REPLIES: list[Reply] = [
    http(403, f"<h1>Forbidden</h1> {KEY} PUT /bucket/f1?{QUERY}"),
    http(403, f"<p>/bucket/f1?{html.escape(QUERY)} signature {SIGNATURE}</p>"),
    http(403, f"<Error><Code>SignatureDoesNotMatch</Code><Message>{SIGNATURE}</Message></Error>"),
    http(400, json.dumps({"errorCode": KEY, "message": f"{KEY} {QUERY}"}), X_Request_ID=KEY),
    http(500, json.dumps({"message": "x" * 490 + KEY})),
    http(302, Location=f"http://127.0.0.1:1/?{QUERY}&key={KEY}"),
    http(302, Location="http://[broken"),
    http(200, f"<html>{KEY} {QUERY}</html>"),
    reset,
    hang,
    then(http(200, Content_Length="9"), reset),
    b"nonsense\r\n\r\n",
    http(200, b"x", Content_Encoding="gzip"),
]


@pytest.mark.parametrize("reply", REPLIES)
def test_nothing_a_server_does_makes_a_call_tell(
    server: Scripted, make_client: ClientMaker, logged: pytest.LogCaptureFixture, reply: Reply
) -> None:
    """Messages, arguments, tracebacks, causes and logs of API calls are free of the key."""
    server.reply(reply)
    client = make_client(server.url, attempts=2, timeout=0.1)
    calls: list[Callable[[], Any]] = [
        lambda: client.open_stream("x"),
        lambda: client.close_stream("x", "y"),
        lambda: client.push_batch("x", "f1"),
        client.count_sources,
    ]
    for call in calls:
        with contextlib.suppress(CoveoError):
            call()
        try:
            call()
        except CoveoError as error:
            for said in texts(error):
                assert_silent(said)
    assert_silent(records(logged))


@pytest.mark.parametrize("reply", REPLIES)
def test_nothing_a_storage_does_makes_an_upload_tell(
    server: Scripted, make_client: ClientMaker, logged: pytest.LogCaptureFixture, reply: Reply
) -> None:
    """Nor the address, its query, or a signature in it, however a page spells them."""
    server.reply(reply)
    client = make_client(server.url, attempts=2, timeout=0.1)
    container = FileContainer("f1", f"{server.url}/bucket/f1?{QUERY}", {})
    try:
        client.upload(container, io.BytesIO(b"{}"), 2)
    except CoveoError as error:
        for said in texts(error):
            if KEY in said:  # the storage never learns the key; a page that has it made it up
                said = said.replace(KEY, "")
            assert_silent(said, QUERY, html.escape(QUERY), SIGNATURE, quote(SIGNATURE, safe=""))
    assert_silent(records(logged).replace(KEY, ""), QUERY, SIGNATURE, quote(SIGNATURE, safe=""))


def test_an_address_that_cannot_be_reached_is_not_told(
    make_client: ClientMaker, logged: pytest.LogCaptureFixture
) -> None:
    """What the HTTP library raises quotes the address; none of it travels along."""
    closed = Scripted()
    closed.stop()
    client = make_client(closed.url, attempts=2)
    container = FileContainer("f1", f"{closed.url}/bucket/f1?{QUERY}", {})
    with pytest.raises(CoveoError) as caught:
        client.upload(container, io.BytesIO(b"{}"), 2)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    for said in texts(caught.value):
        assert_silent(said, QUERY, SIGNATURE)
    assert_silent(records(logged), QUERY, SIGNATURE)


FAULTS: list[Any] = [
    Cut("before"),
    Cut("during"),
    Cut("after"),
    Truncate(1),
    Answer(500),
    Answer.storage_denied(),
]


@pytest.mark.parametrize("route", ["stream.open", "stream.chunk", "upload", "stream.close", None])
def test_a_fault_at_each_stage_tells_nothing(
    sandbox: Sandbox, make_client: ClientMaker, logged: pytest.LogCaptureFixture, route: str | None
) -> None:
    """A load with every kind of fault at every stage leaves neither key nor address in logs or errors."""
    addresses: list[str] = []
    client = make_client(
        sandbox.url,
        organization_id=sandbox.organization_id,
        attempts=2,
        register_secret=addresses.append,
    )

    def load() -> None:
        stream = client.open_stream("products")
        chunk = client.request_chunk("products", stream.stream_id)
        client.upload(chunk, io.BytesIO(b'{"addOrUpdate":[]}'), 18)
        client.close_stream("products", stream.stream_id)

    for fault in [*FAULTS, ExpireUpload()] if route in {None, "upload"} else FAULTS:
        sandbox.faults.clear()
        sandbox.faults.add(action=fault, route=route, times=2, skip=0 if route else 2)
        try:
            load()
        except CoveoError as error:
            for said in texts(error):
                assert_silent(said, *addresses, "X-Amz-Signature")
    sandbox.faults.clear()
    load()
    assert addresses
    assert_silent(records(logged), *addresses, "X-Amz-Signature")


def test_what_urllib3_logs_has_no_query(client: CoveoClient, logged: pytest.LogCaptureFixture) -> None:
    """Its DEBUG lines are kept, so that a worker can be debugged, without what follows the question mark."""
    made = client.create_file_container()
    client.upload(made, io.BytesIO(b"{}"), 2)
    lines = [record.getMessage() for record in logged.records if record.name == "urllib3.connectionpool"]
    assert any('"PUT /_s3/' in line and "?…" in line for line in lines)
    assert not any("X-Amz" in line for line in lines)


def test_what_urllib3_logs_for_others_stays(sandbox: Sandbox, logged: pytest.LogCaptureFixture) -> None:
    """Another client in the same process keeps its own lines."""
    import requests

    requests.get(f"{sandbox.url}/?theirs=1", timeout=5)
    assert "/?theirs=1" in logged.text


def test_representations_are_silent(client: CoveoClient, sandbox: Sandbox) -> None:
    """Client, transport and containers can be printed."""
    stream = client.open_stream("products")
    said = repr([client, vars(client), stream, stream.container, client.policy, client.endpoints])
    assert_silent(said, stream.container.upload_uri, "X-Amz-Signature")
    assert "FileContainer(file_id=" in said
    assert repr(client) == f"CoveoClient('sandbox', push_url='{sandbox.url}')"

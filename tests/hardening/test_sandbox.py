"""
Requests nobody should send: the sandbox answers 4xx, goes on, and keeps nothing of them.

What ``tests/sandbox/calls/test_refusals.py`` sends already is not sent again.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coveo_provider.sandbox import Sandbox
from coveo_provider.sandbox.http import server
from coveo_provider.sandbox.http.routing import ROUTES
from tests.sandbox.caller import Caller, items

HOME = b"Host: 127.0.0.1\r\n"
SIGNED = HOME + b"Authorization: Bearer sandbox-key\r\nContent-Type: application/json\r\n"
FILES = b"POST /push/v1/organizations/sandbox/files HTTP/1.1\r\n" + SIGNED
CHUNKED = FILES + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    """One sandbox for all tests of this module that leave nothing in it."""
    with Sandbox.start(sources={"products": "CATALOG", "files": "PUSH"}) as sandbox:
        yield sandbox


def send(sandbox: Sandbox, *data: bytes, ends: bool = True) -> bytes:
    """Send bytes and return all that is answered until the sandbox closes, or the sender's end is seen."""
    with socket.create_connection(("127.0.0.1", urlsplit(sandbox.url).port or 0), timeout=30) as connection:
        for part in data:
            connection.sendall(part)
        if ends:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(1 << 16):
            answer += part
    return answer


def statuses(answer: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", answer)]


def assert_well(sandbox: Sandbox) -> None:
    """No defect was noted, and no upload lies about."""
    assert sandbox.state.errors == []
    assert list(sandbox.state.folder.glob("upload-*")) == []
    assert Caller(sandbox).rest("GET", "/sources/files").status_code == 200


BROKEN = {
    "a chunk size in Python's spelling": CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n",
    "a chunk size with a sign": CHUNKED + b"+2\r\n{}\r\n0\r\n\r\n",
    "a chunk size with an underscore": CHUNKED + b"0_2\r\n{}\r\n0\r\n\r\n",
    "a negative chunk size": CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n",
    "a chunk size beyond all disks": CHUNKED + b"f" * 400 + b"\r\n",
    "a chunk longer than it says": CHUNKED + b"2\r\n{}and more\r\n0\r\n\r\n",
    "trailers without end": CHUNKED + b"2\r\n{}\r\n0\r\n" + b"X: y\r\n" * 20_000,
    "equal lengths twice": FILES + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "a length with a sign": FILES + b"Content-Length: +2\r\n\r\n{}",
    "a length of other digits": FILES + "Content-Length: ²\r\n\r\n{}".encode(),
    "a length in two numbers": FILES + b"Content-Length: 2, 2\r\n\r\n{}",
    "a blank before the colon": FILES + b"Content-Length : 2\r\n\r\n{}",
    "a header that is none": FILES + b"Injected\r\nContent-Length: 2\r\n\r\n{}",
    "chunked twice": FILES + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
    "a body for a page": b"POST / HTTP/1.1\r\n" + HOME + b"Content-Length: 2\r\n\r\n{}",
    "a method of 60 kB": b"A" * 60_000 + b" / HTTP/1.1\r\n\r\n",
    "control characters": b"GET /a\x01\x7f HTTP/1.1\r\n" + HOME + b"\r\n",
    "a line end in a name": b"GET /_sandbox/sources/%0d%0aSet-Cookie:%20a=b/items HTTP/1.1\r\n" + HOME + b"\r\n",
    "a NUL in a name": b"GET /_sandbox/sources/%00/items HTTP/1.1\r\n" + HOME + b"\r\n",
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_http_is_refused_and_not_guessed_at(running: Sandbox, case: str) -> None:
    """One 4xx, then the end: nothing behind a broken request is taken for a request of its own."""
    answer = send(running, BROKEN[case] + b"GET /_sandbox/ HTTP/1.1\r\n" * 3)
    assert 400 <= statuses(answer)[0] < 500
    assert all(400 <= status < 500 for status in statuses(answer))
    assert b"Set-Cookie" not in answer.partition(b"\r\n\r\n")[0]
    assert_well(running)


def test_requests_in_one_go_are_answered_in_order(running: Sandbox) -> None:
    """Pipelined requests each get their answer, a body that looks like a request included."""
    inner = b"POST /_sandbox/reset HTTP/1.1\r\nHost: evil\r\n\r\n"
    hidden = b"GET /nowhere HTTP/1.1\r\n" + SIGNED + b"Content-Length: %d\r\n\r\n%s" % (len(inner), inner)
    answer = send(
        running, FILES + b"Content-Length: 2\r\n\r\n{}" + hidden + FILES + b"\r\n" + BROKEN["two hosts"]
    )
    assert statuses(answer) == [201, 404, 201, 400]


@pytest.mark.parametrize("length", [b"300000000", b"99999999999", b"999999999999999"])
def test_a_length_is_not_memory(running: Sandbox, length: bytes) -> None:
    """A body of a declared length beyond the limit is refused before it comes."""
    made = Caller(running).push("POST", "/files").json()
    target = made["uploadUri"].removeprefix(running.url).encode()
    headers = b"".join(f"{name}: {value}\r\n".encode() for name, value in made["requiredHeaders"].items())
    head = b"PUT " + target + b" HTTP/1.1\r\n" + HOME + headers + b"Content-Length: " + length + b"\r\n\r\n"
    assert statuses(send(running, head)) == [400]
    document = b"PUT /push/v1/organizations/sandbox/sources/files/documents?documentId=a:b HTTP/1.1\r\n"
    assert statuses(send(running, document + SIGNED + b"Content-Length: " + length + b"\r\n\r\n")) == [413]
    assert_well(running)


def test_a_sender_that_stops_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a request holds one thread until the timeout, and nobody else; then nothing is left of it."""
    monkeypatch.setattr(server._Exchange, "timeout", 0.3)
    with Sandbox.start(sources={"files": "PUSH"}) as sandbox:
        before = threading.active_count()
        port = urlsplit(sandbox.url).port or 0
        halves = (
            b"GET / HT",
            FILES + b"X-A: b\r\n",
            FILES + b"Content-Length: 9\r\n\r\n{",
            CHUNKED + b"5\r\nab",
        )
        slow = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(24)]
        for number, connection in enumerate(slow):
            connection.sendall(halves[number % len(halves)])
        assert Caller(sandbox).push("POST", "/files").status_code == 201
        for connection in slow:
            assert connection.recv(1 << 16) == b""
            connection.close()
        for thread in threading.enumerate():
            if "process_request_thread" in thread.name:
                thread.join(10)
        assert threading.active_count() <= before
        assert len(sandbox._server._connections) == 0
        assert_well(sandbox)


# Who may call: this machine only, and none of its web pages


FOREIGN = ["evil.example", "evil.example:8040", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1",
           "127.0.0.1@evil.example", "evil@127.0.0.1", "localhost/evil", "localhost#x", "localhost, evil", "[::2]",
           "0.0.0.0", "2130706433", ""]  # fmt: skip


@pytest.mark.parametrize("host", FOREIGN)
def test_a_name_that_was_bound_to_this_machine_is_refused(running: Sandbox, host: str) -> None:
    """A web page whose own name leads to 127.0.0.1 reads nothing, with the well-known key neither."""
    made = Caller(running).push("POST", "/files").json()
    calls = [
        ("GET", "/"),
        ("GET", "/_sandbox/"),
        ("POST", "/_sandbox/reset"),
        ("POST", "/push/v1/organizations/sandbox/files"),
        ("GET", "/rest/organizations/sandbox/sources"),
        ("PUT", made["uploadUri"].removeprefix(running.url)),
    ]
    for method, target in calls:
        head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n".encode()
        assert statuses(send(running, head + SIGNED.removeprefix(HOME) + b"\r\n")) == [403], target
        if re.fullmatch(r"[^/#, ]+", host):
            head = f"{method} http://{host}{target} HTTP/1.1\r\n".encode()
            assert statuses(send(running, head + SIGNED + b"\r\n")) == [403], target


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8040", "127.0.0.1:1", "127.9.9.9", "[::1]:80"])
def test_this_machine_has_several_names(running: Sandbox, host: str) -> None:
    """Whatever leads here by a forwarded port is this machine."""
    assert Caller(running).call("GET", "/_sandbox/", headers={"Host": host}).status_code == 200


def test_no_origin_is_let_in(running: Sandbox) -> None:
    """A preflight gets no permission, and no answer names an origin."""
    caller, asking = (
        Caller(running),
        {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"},
    )
    for path in ("/push/v1/organizations/sandbox/files", "/_sandbox/reset", "/"):
        for method in ("OPTIONS", "GET", "POST"):
            response = caller.call(method, path, headers=asking)
            assert not [name for name in response.headers if name.lower().startswith("access-control")]
        assert caller.call("OPTIONS", path, headers=asking).status_code in (403, 404, 405)


# Names are names: none of them is a path, none of them is HTML


SEGMENTS = ["..", ".", "%2e%2e", "..%2f..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "..%5c..%5cwindows", "%00",
            "upload-x", "file:%2f%2f%2fetc%2fpasswd", "%e2%80%ae", "%F0%9F%92%A5", "a" * 5_000, "~root", "CON",
            "%25%32%65", "__proto__", "';DROP%20TABLE%20items;--", "%3Cscript%3E", "bodies", "-1"]  # fmt: skip
_PATTERNS = [(route.method, route.pattern) for route in ROUTES]
_PATTERNS += [
    ("GET", ("_sandbox", "sources", "{a}", tail)) for tail in ("items", "item", "logs", "who", "{b}")
]
_PATTERNS += [("GET", ("_sandbox", "providers", "{a}", "{b}")), ("PUT", ("_s3", "{a}", "{b}", "{c}"))]
_PATTERNS += [("PUT", ("_s3", "coveo-sandbox-customerdata", "proda", "blobstore", "sandbox", "{a}"))]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_segment_of_a_path_leads_to_a_file(running: Sandbox, data: st.DataObject) -> None:
    """Every place of every path takes every name, and answers without a defect or a file's content."""
    method, pattern = data.draw(st.sampled_from(_PATTERNS))
    hostile = st.sampled_from(SEGMENTS)
    parts = [
        "sandbox" if part == "{org}" else data.draw(hostile) if part.startswith("{") else part
        for part in pattern
    ]
    place = data.draw(st.integers(0, len(parts)))
    if data.draw(st.booleans()):
        parts.insert(place, data.draw(hostile))
    query = data.draw(
        st.sampled_from(["", "?documentId=..%2f..%2fetc%2fpasswd", "?X-Amz-Signature=%00", "?fileId=.."])
    )
    target = f"/{'/'.join(parts)}{query}".encode()
    answer = send(
        running, method.encode() + b" " + target + b" HTTP/1.1\r\n" + SIGNED + b"Content-Length: 0\r\n\r\n"
    )
    (status,) = statuses(answer)
    assert status < 500
    assert b"root:" not in answer
    assert running.state.errors == []


IDS = [
    *("file:///etc/passwd", "file:///../../../../etc/passwd", "product://../../x", "a:/" + "../" * 40 + "tmp/x"),
    *("a:con\u202etxt.exe", "a:b?c=d#e&f%2e%2e%00", "a:<script>alert(1)</script>", "cmd:=cmd()|'/c calc'!A0"),
    *("a:\x01\x7f", "a:" + "x" * 20_000, "a:'; DROP TABLE items; --", "a:\x00b", "javascript:alert(1)"),
]  # fmt: skip


@pytest.mark.parametrize(
    "source", ["../../escaped", "<img src=x onerror=alert(1)>", "a'b\"c;--", "\u202efiles"]
)
def test_no_id_decides_where_a_content_lies(tmp_path: Path, source: str) -> None:
    """Contents lie under hashes in one folder, whatever documents and sources are called, and come back whole."""
    database = tmp_path / "kept" / "index.sqlite"
    database.parent.mkdir()
    with Sandbox.start(database=str(database)) as sandbox:
        sandbox.add_source(source, kind="PUSH")
        caller = Caller(sandbox)
        entries = [
            {
                "documentId": uri,
                "compressedBinaryDataFileId": caller.container(uri.encode()),
                "compressionType": "ZLIB",
            }
            for uri in IDS
        ]
        fileid = caller.container({"addOrUpdate": entries})
        quoted = Path("/push/v1/organizations/sandbox/sources") / source.replace("/", "%2F")
        answer = caller.call("PUT", f"{quoted}/documents/batch", params={"fileId": fileid})
        assert answer.status_code == 202
        sandbox.settle()
        held = sandbox.items(source)
        assert set(held) == {uri for uri in IDS if uri in held}
        assert len(held) >= len(IDS) - 1
        for uri in held:
            assert sandbox.file_content(source, uri) == uri.encode()
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert {
        name
        for name in found
        if not re.fullmatch(r"kept/index\.sqlite(\.bodies/body-\d+-[0-9a-f]{64})?", name)
    } == set()
    assert not (tmp_path.parent / "escaped").exists()


def test_pages_of_the_sandbox_run_no_script() -> None:
    """What users named comes as JSON, or escaped: a browser that looks at it runs nothing of it."""
    script = "</code><script>alert(1)</script>"
    with Sandbox.start(organization_id=script) as sandbox:
        sandbox.add_source(script, kind="PUSH")
        caller = Caller(sandbox)
        front = caller.call("GET", "/")
        assert "<script" not in front.text
        assert "&lt;script&gt;" in front.text
        quoted = script.replace("/", "%2F")
        for path in (
            "",
            f"sources/{quoted}",
            f"sources/{quoted}/items",
            "calls",
            f"sources/{quoted}%22/logs",
            script,
        ):
            response = caller.call("GET", f"/_sandbox/{path}")
            assert response.headers["Content-Type"] == "application/json"
            json.loads(response.text)
        for path in (f"/{script}", f"/_s3/{script}/{script}"):
            response = caller.call("PUT", path)
            assert response.status_code in (403, 404)
            assert response.headers["Content-Type"] in ("application/json", "application/xml")
            assert (
                "<script" not in response.text.replace(json.dumps(script)[1:-1], "")
                or "json" in response.headers["Content-Type"]
            )


def test_many_broken_requests_leave_nothing(running: Sandbox) -> None:
    """Neither connections nor threads nor files pile up."""
    for number in range(300):
        send(running, list(BROKEN.values())[number % len(BROKEN)])
    send(running, FILES + b"Content-Length: 2\r\n\r\n{}")
    for thread in threading.enumerate():
        if "process_request_thread" in thread.name:
            thread.join(10)
    assert len(running._server._connections) == 0
    assert_well(running)


@pytest.mark.parametrize(
    "content", [b"[" * 200_000, b'{"a":' * 100_000, b'{"addOrUpdate":[' + b"[" * 100_000]
)
@pytest.mark.parametrize("call", ["batch", "update"])
def test_a_container_nested_beyond_reason_is_logged(call: str, content: bytes) -> None:
    """Deep nesting in a container ends in the log, in the body of a call in a 400."""
    with Sandbox.start(sources={"products": "CATALOG", "files": "PUSH"}) as sandbox:
        caller = Caller(sandbox)
        answer: Any = getattr(caller, call)(content)
        assert answer.status_code in (202, 400, 412)
        body = {"data": content, "headers": {"Content-Type": "application/json"}}
        assert (
            caller.push("PUT", "/sources/files/documents", params={"documentId": "a:b"}, **body).status_code
            == 400
        )
        sandbox.settle()
        assert caller.batch(items("a:b")).status_code == 202
        sandbox.settle()
        assert set(sandbox.items("files")) == {"a:b"}

"""Documented refusals, and requests nobody should send (docs 95)."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coveo_provider.sandbox import Sandbox
from tests.sandbox.caller import Caller, items, refusal

NOW = "1700000000000"


@pytest.mark.parametrize(
    "header", [None, "", "sandbox-key", "Basic sandbox-key", "Bearer", "Bearer a b", "Bearer \xff"]
)
def test_without_a_bearer_token(sandbox: Sandbox, header: str | None) -> None:
    """A missing or malformed Authorization header is 401 UNAUTHORIZED."""
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    url = f"{sandbox.url}/push/v1/organizations/sandbox/files"
    assert refusal(requests.post(url, headers=headers, timeout=30)) == (401, "UNAUTHORIZED")


def test_with_a_wrong_token(sandbox: Sandbox) -> None:
    """An unknown key is 401 INVALID_TOKEN."""
    assert refusal(Caller(sandbox, key="other").push("POST", "/files")) == (401, "INVALID_TOKEN")


def test_privileges(sandbox: Sandbox) -> None:
    """A key does what its privileges say and gets 403 ACCESS_DENIED, naming the missing one, elsewhere."""
    sandbox.add_key("limited", privileges={"ORGANIZATION:VIEW", "SOURCE:EDIT"})
    limited = Caller(sandbox, key="limited")
    assert limited.put("file://a").status_code == 202
    response = limited.rest("GET", "/sources/files")
    assert refusal(response) == (403, "ACCESS_DENIED")
    assert "SOURCE:VIEW" in response.json()["message"]
    with pytest.raises(ValueError, match="PUSH:ALL"):
        sandbox.add_key("odd", privileges={"PUSH:ALL"})


@pytest.mark.parametrize("kind", ["multipart/form-data; boundary=x", "multipart/form-data"])
def test_a_form_is_http_all_the_same(sandbox: Sandbox, kind: str) -> None:
    """A well-formed request of another type is 415, not something that is no HTTP."""
    body = b'--x\r\nContent-Disposition: form-data; name="token"\r\n\r\nt\r\n--x--\r\n'
    headers = {"Authorization": f"Bearer {sandbox.api_key}", "Content-Type": kind}
    url = f"{sandbox.url}/push/v1/organizations/sandbox/files"
    answer = requests.post(url, data=body, headers=headers, timeout=30)
    assert refusal(answer) == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_unknown_places(sandbox: Sandbox, caller: Caller) -> None:
    """Organization, source, kind of source, path and method are each refused in their own way."""
    other = Caller(sandbox, organization="elsewhere")
    assert refusal(other.push("POST", "/files")) == (404, "ORGANIZATION_NOT_FOUND")
    assert refusal(caller.put("file://a", source="none")) == (412, "SOURCE_DOES_NOT_EXIST")
    assert refusal(caller.put("file://a", source="products")) == (412, "INVALID_SOURCE_ID")
    assert refusal(caller.push("POST", "/sources/files/stream/open")) == (412, "INVALID_SOURCE_ID")
    assert refusal(caller.push("POST", "/sources/none/stream/open")) == (412, "SOURCE_DOES_NOT_EXIST")
    assert caller.push("POST", "/nowhere").status_code == 404
    response = caller.push("GET", "/files")
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize(
    ("method", "path", "query", "expected"),
    [
        ("PUT", "/documents", {}, "MISSING_PARAMETER"),
        ("DELETE", "/documents", {}, "MISSING_PARAMETER"),
        ("DELETE", "/documents", {"documentId": "a:b", "deleteChildren": "yes"}, "INVALID_PARAMETER"),
        ("PUT", "/documents", {"documentId": "a:b", "compressionType": "zip"}, "INVALID_PARAMETER"),
        ("PUT", "/documents", {"documentId": "a:b", "orderingId": "170000000000"}, "INVALID_PARAMETER"),
        ("PUT", "/documents", {"documentId": "a:b", "orderingId": "17000000000000"}, "INVALID_PARAMETER"),
        ("PUT", "/documents", {"documentId": "a:b", "orderingId": "1700000000.00"}, "INVALID_PARAMETER"),
        ("PUT", "/documents", {"documentId": "a:b", "orderingId": "\u0661" * 13}, "INVALID_PARAMETER"),
        ("PUT", "/documents/batch", {}, "MISSING_PARAMETER"),
        ("DELETE", "/documents/olderthan", {}, "MISSING_PARAMETER"),
        ("DELETE", "/documents/olderthan", {"orderingId": "soon"}, "INVALID_PARAMETER"),
        ("DELETE", "/documents/olderthan", {"orderingId": NOW, "queueDelay": "-1"}, "INVALID_PARAMETER"),
        ("DELETE", "/documents/olderthan", {"orderingId": NOW, "queueDelay": "1441"}, "INVALID_PARAMETER"),
        ("DELETE", "/documents/olderthan", {"orderingId": NOW, "queueDelay": "9" * 99}, "INVALID_PARAMETER"),
        ("POST", "/status", {}, "MISSING_PARAMETER"),
    ],
)
def test_parameters(caller: Caller, method: str, path: str, query: dict[str, str], expected: str) -> None:
    """A missing or bad parameter is 412."""
    response = caller.push(method, f"/sources/files{path}", params=query, json={})
    assert refusal(response) == (412, expected)


def test_a_stream_mark_has_thirteen_digits(caller: Caller) -> None:
    """The moment in the path is checked like an orderingId."""
    response = caller.push("POST", "/sources/products/stream/deleteolderthan/1700000000")
    assert refusal(response) == (412, "INVALID_PARAMETER")


def test_media_types(caller: Caller) -> None:
    """A body of another type is 415; without a body no type is asked for."""
    response = caller.push("POST", "/files", data="{}", headers={"Content-Type": "text/plain"})
    assert refusal(response) == (415, "UNSUPPORTED_MEDIA_TYPE")
    assert caller.push("POST", "/files", data="{}").status_code == 415
    assert caller.push("POST", "/files").status_code == 201
    json_with_charset = {"Content-Type": "application/json; charset=utf-8"}
    assert caller.push("POST", "/files", data="{}", headers=json_with_charset).status_code == 201


def test_a_body_that_is_not_asked_for_is_json_all_the_same(caller: Caller) -> None:
    """Where ``{}`` is expected, something that is not JSON is 400."""
    headers = {"Content-Type": "application/json"}
    assert refusal(caller.push("POST", "/files", data="{", headers=headers)) == (400, "INVALID_JSON")


def test_a_chunked_body_is_read(sandbox: Sandbox, caller: Caller) -> None:
    """API calls may come with chunked transfer; only the upload may not."""
    response = caller.push(
        "PUT",
        "/sources/files/documents",
        params={"documentId": "file://a"},
        data=iter([b'{"data"', b': "x"}']),
        headers={"Content-Type": "application/json"},
    )
    sandbox.settle()
    assert response.status_code == 202
    assert sandbox.items("files")["file://a"]["data"] == "x"


RAW = [
    b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /_s3/../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n",
    b"PUT /_s3/%2e%2e/%2e%2e HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    b"GET /%ff%fe HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /?q=%ff HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET //[ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
    b"BREW /pot HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET / " + b"x" * 70_000 + b"\r\n\r\n",
    b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    b"POST /push/v1/organizations/sandbox/files HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    b"POST /push/v1/organizations/sandbox/files HTTP/1.1\r\nContent-Length: 1e3\r\n\r\n",
    b"POST /push/v1/organizations/sandbox/files HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 9000,
    b"GET /_sandbox/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    b"GET /_sandbox/ HTTP/1.1\r\n\r\n",
    b"GET /push/v1/organizations//files HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /?" + b"a=1&" * 500 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
]


@pytest.mark.parametrize("request_bytes", RAW, ids=range(len(RAW)))
def test_hostile_requests_get_a_clean_refusal(sandbox: Sandbox, caller: Caller, request_bytes: bytes) -> None:
    """Whatever comes in, the answer is a 4xx or 505 and the next call works."""
    host, port = sandbox.url[7:].split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(request_bytes)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    status = int(answer.split(b" ", 2)[1])
    assert 400 <= status < 500 or status == 505
    assert b"root:" not in answer
    assert caller.push("POST", "/files").status_code == 201


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=12,
    )
)
def test_any_json_is_answered(sandbox: Sandbox, caller: Caller, value: Any) -> None:
    """No body makes the sandbox fail: an item is taken or refused, a container logged."""
    response = caller.push(
        "PUT",
        "/sources/files/documents",
        params={"documentId": "file://a"},
        data=json.dumps(value),
        headers={"Content-Type": "application/json"},
    )
    assert response.status_code in (202, 400)
    assert caller.batch({"addOrUpdate": [value], "delete": [value]}).status_code == 202
    assert caller.update({"partialUpdate": [value], "delete": value}).status_code == 202
    sandbox.drain()


def test_many_callers_at_once(sandbox: Sandbox) -> None:
    """Calls on many connections are all carried out."""

    def work(number: int) -> None:
        caller = Caller(sandbox)
        for part in range(10):
            assert caller.batch(items(f"file://{number}/{part}")).status_code == 202

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sandbox.settle()
    assert sandbox.count("files") == 80


def test_connections_are_kept_open(sandbox: Sandbox) -> None:
    """One connection carries many calls, refused ones with a body included."""
    connection = http.client.HTTPConnection(sandbox.url[7:], timeout=30)
    connection.connect()
    first = connection.sock
    for path, body in (("/nowhere", b"{some body}"), ("/", None), ("/_s3/x/y", b"x" * 100_000)):
        connection.request("POST" if body else "GET", path, body)
        assert connection.getresponse().read()
        assert connection.sock is first
    connection.close()

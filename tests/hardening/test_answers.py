"""
Answers nobody should give: every method of the client returns what it promises or raises a CoveoError.

In bounded time and memory, and without the key in anything it says, whatever the other side sends.
"""

from __future__ import annotations

import gzip
import inspect
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coveo_provider.api.client import CoveoClient
from coveo_provider.api.retries import RetryPolicy
from coveo_provider.api.types import (
    Accepted,
    FileContainer,
    IndexedIdentity,
    LogCounts,
    MappingRule,
    OpenStream,
    Source,
    SourceKind,
    SourceVisibility,
)
from coveo_provider.errors import CoveoError
from tests.api.conftest import KEY
from tests.api.scripted import DATE, DATE_MS, Scripted, then
from tests.api.test_secrets import QUERY, SIGNATURE, assert_silent, texts

MARK = DATE_MS - 1
NONE = type(None)


def upload(client: CoveoClient) -> None:
    address = f"{client.endpoints.push_url}/bucket/f1?{QUERY}"
    client.upload(FileContainer("f1", address, {}), io.BytesIO(b"{}"), 2)


CALLS: dict[str, tuple[Callable[[CoveoClient], Any], tuple[type, ...]]] = {
    "create_file_container": (lambda client: client.create_file_container(), (FileContainer,)),
    "upload": (upload, (int, NONE)),
    "server_time_ms": (lambda client: client.server_time_ms("s"), (int,)),
    "set_source_status": (lambda client: client.set_source_status("s", "IDLE"), (int,)),
    "put_item": (lambda client: client.put_item("s", "a:b", b"{}"), (NONE,)),
    "delete_item": (lambda client: client.delete_item("s", "a:b"), (NONE,)),
    "push_batch": (lambda client: client.push_batch("s", "f"), (NONE,)),
    "delete_items_older_than": (lambda client: client.delete_items_older_than("s", MARK), (NONE,)),
    "open_stream": (lambda client: client.open_stream("s"), (OpenStream,)),
    "request_chunk": (lambda client: client.request_chunk("s", "t"), (FileContainer,)),
    "close_stream": (lambda client: client.close_stream("s", "t"), (Accepted,)),
    "update_stream": (lambda client: client.update_stream("s", "f"), (Accepted,)),
    "merge_stream": (lambda client: client.merge_stream("s", "f"), (Accepted,)),
    "delete_stream_items_older_than": (
        lambda client: client.delete_stream_items_older_than("s", MARK),
        (Accepted,),
    ),
    "open_collection_stream": (lambda client: client.open_collection_stream("c"), (OpenStream,)),
    "request_collection_chunk": (lambda client: client.request_collection_chunk("c", "t"), (FileContainer,)),
    "close_collection_stream": (lambda client: client.close_collection_stream("c", "t"), (Accepted,)),
    "update_collection": (lambda client: client.update_collection("c", "f"), (Accepted,)),
    "merge_collection": (lambda client: client.merge_collection("c", "f"), (Accepted,)),
    "delete_collection_items_older_than": (
        lambda client: client.delete_collection_items_older_than("c", MARK),
        (Accepted,),
    ),
    "get_source": (lambda client: client.get_source("s"), (Source,)),
    "source_logs": (lambda client: list(client.source_logs("s", MARK - 1, MARK)), (list,)),
    "source_log_counts": (lambda client: client.source_log_counts("s", MARK - 1), (LogCounts,)),
    "count_sources": (lambda client: client.count_sources(), (int,)),
    "field_names": (lambda client: client.field_names(), (set,)),
    "fields": (lambda client: client.fields(), (dict,)),
    "list_sources": (lambda client: client.list_sources(), (list,)),
    "has_privilege": (lambda client: client.has_privilege("SOURCE", "VIEW"), (bool,)),
    "item_permissions": (lambda client: client.item_permissions("a:b"), (list,)),
    "item_access": (lambda client: client.item_access("a:b", "ann", "p"), (tuple,)),
    "identity_parents": (
        lambda client: client.identity_parents(IndexedIdentity("ann", "User", "p")),
        (list,),
    ),
    "find_sources": (lambda client: client.find_sources("s"), (list,)),
    "create_source": (
        lambda client: client.create_source("s", SourceKind.PUSH, SourceVisibility.SHARED),
        (str,),
    ),
    "add_mapping_rule": (lambda client: client.add_mapping_rule("s", MappingRule("a", ("%[b]",))), (NONE,)),
    "create_fields": (lambda client: client.create_fields([{"name": "a"}]), (dict,)),
    "update_fields": (lambda client: client.update_fields([{"name": "a"}]), (dict,)),
    "put_identity": (lambda client: client.put_identity("p", b"{}"), (NONE,)),
    "put_alias": (lambda client: client.put_alias("p", b"{}"), (NONE,)),
    "disable_identity": (lambda client: client.disable_identity("p", b"{}"), (NONE,)),
    "push_identities": (lambda client: client.push_identities("p", "f"), (NONE,)),
    "disable_identities_older_than": (
        lambda client: client.disable_identities_older_than("p", MARK),
        (NONE,),
    ),
    "identity_mark": (lambda client: client.identity_mark("p"), (int,)),
    "get_security_provider": (lambda client: client.get_security_provider("p"), (dict,)),
    "count_identities": (lambda client: client.count_identities("p"), (int, NONE)),
    "create_security_provider": (lambda client: client.create_security_provider({}), (NONE,)),
    "update_security_provider": (lambda client: client.update_security_provider("p", {}), (NONE,)),
    "ensure_security_provider": (
        lambda client: client.ensure_security_provider("p", source_ids=["s"]),
        (bool,),
    ),
}


@dataclass
class Line:
    """A client, the server at its other end, and the seconds the client would have slept."""

    client: CoveoClient
    server: Scripted
    waits: list[float]


@pytest.fixture(scope="module")
def line() -> Iterator[Line]:
    server, waits = Scripted(), list[float]()
    policy = RetryPolicy(attempts=2, sleep=waits.append)
    with CoveoClient("acme", KEY, base_url=server.url, policy=policy, timeout=5) as client:
        yield Line(client, server, waits)
    server.stop()


def call(line: Line, name: str, *answers: bytes) -> None:
    """Make a call that gets ``answers``, each on a connection that ends with it, and judge what comes of it."""
    line.waits.clear()
    line.server.reply(*(then(answer, lambda _: None) for answer in answers))
    make, promised = CALLS[name]
    raised: CoveoError | None = None
    try:
        assert type(make(line.client)) in promised
    except CoveoError as error:
        raised = error
    if raised is not None:
        assert len(str(raised)) < 2_500
        assert str(raised).isprintable()
        for text in texts(raised):
            assert_silent(text, QUERY, SIGNATURE)
    assert sum(line.waits) < 130


def test_no_method_is_left_out() -> None:
    """What is added to the client is fuzzed, too."""
    public = {
        name for name, _ in inspect.getmembers(CoveoClient, inspect.isfunction) if not name.startswith("_")
    }
    assert public - {"close"} == set(CALLS)


# Answers that look like the API's, with anything in any place


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        [
            KEY,
            "\ud800",
            "x" * 5_000,
            "\x00\x1b[31m",
            "..",
            "1767225599000",
            1767225599000,
            10**400,
            "",
            "http://169.254.169.254/latest",
            "file:///etc/passwd",
            "https://s3.test/b?" + QUERY,
            "//[",
            "٣" * 13,
        ]
    ),
)
_ANYTHING = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
_GOOD: dict[str, Any] = {
    "uploadUri": "https://s3.test/b?X-Amz-Signature=0123456789",
    "fileId": "f1",
    "streamId": "t1",
    "requiredHeaders": {"Content-Type": "x"},
    "orderingId": MARK,
    "requestId": "r1",
    "totalEntries": 3,
    "id": "s",
    "name": "n",
    "sourceType": "PUSH",
    "pushEnabled": True,
    "information": {"numberOfDocuments": 5},
    "statistics": {"numberOfEntitiesByState": {"UP_TO_DATE": 4}},
    "referencedBy": [{"id": "s", "type": "SOURCE"}],
    "cascadingSecurityProviders": {"Email": {"id": "e", "name": "Email", "type": "EMAIL"}},
    "documentLogEntries": [
        {
            "datetime": "2025-12-31T23:59:59.999Z",
            "guid": "g",
            "id": "a:b",
            "meta": {"orderingid": "1767225599999"},
        }
    ],
    "hasNextPage": False,
    "operations": {"ADD": 1},
    "results": {"COMPLETED": 1},
    "tasks": {"INDEXING": 1},
    "sourceIds": {"s": 1},
    "errorCode": "SOME_CODE",
    "message": "Words.",
}


@st.composite
def nearly(draw: st.DrawFn) -> bytes:
    """Return the JSON of a good answer in which one to three places hold something else."""
    model = json.loads(json.dumps(_GOOD))
    for _ in range(draw(st.integers(1, 3))):
        place: Any = model
        key: Any = draw(st.sampled_from(sorted(_GOOD)))
        while isinstance(place.get(key), dict) and place[key] and draw(st.booleans()):
            place = place[key]
            key = draw(st.sampled_from(sorted(place)))
        place[key] = draw(_ANYTHING)
    return json.dumps(model).encode()


_BODIES = st.one_of(
    nearly(),
    st.binary(max_size=200),
    _ANYTHING.map(lambda value: json.dumps(value).encode()),
    st.sampled_from(
        [
            *(
                b"[" * 100_000,
                b'{"a":' * 60_000 + b"1" + b"}" * 60_000,
                b'{"name":' + b"[" * 990 + b"]" * 990 + b"}",
            ),
            *(
                b'{"orderingId":' + b"9" * 50_000 + b"}",
                b'{"uploadUri":"\xff\xfe"}',
                b"\xef\xbb\xbf{}",
                b"\x1f\x8b\x08",
            ),
            *(
                b'{"a":1}{"a":2}',
                b'{"orderingId":NaN}',
                json.dumps(_GOOD).encode("utf-16"),
                f"<b>{KEY}</b>".encode(),
            ),
            *(json.dumps(_GOOD).encode(), json.dumps(_GOOD).encode()[:-1], b"<" * 20_000, b"x" * 300_000),
        ]
    ),
)
_DATES = st.sampled_from(
    [
        DATE,
        "",
        "yesterday",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Thu, 01 Jan 0001 00:00:00 GMT",
        "0",
        "\xff",
        KEY,
        "Thu, 01 Jan 2026 00:00:00 +9999",
        "Thu, 01 Jan 2026 99:99:99 GMT",
        "Sun, 20 Nov 2286 17:46:39 GMT",
        "9" * 5_000,
    ]
)
_WAITS = st.sampled_from(
    [
        "0",
        "-1",
        "1e400",
        "nan",
        "inf",
        "-inf",
        "soon",
        "9" * 5_000,
        "1_0",
        "٣",
        "0x10",
        "1,2",
        " ",
        "59.9",
        "Thu, 01 Jan 2026 00:00:30 GMT",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Thu, 01 Jan 0001 00:00:00 GMT",
        KEY,
    ]
)
_ODD = st.sampled_from(
    [
        "X-Request-ID: " + KEY,
        "X-Request-ID: " + "r" * 20_000,
        "X-Request-ID: \x00\x1b[0m",
        "Location: //[",
        "no colon",
        "Location: http://127.0.0.1:1/?" + QUERY,
        "Content-Encoding: gzip",
        "Content-Encoding: br, deflate, gzip, zstd",
        "Content-Type: \xff",
        "Content-Type: application/json; charset=utf-99",
        "Content-Length: -1",
        "Content-Length: 1e3",
        "Content-Length: 99999999999999999999",
        "Content-Length: 7",
        "Transfer-Encoding: chunked",
        "Set-Cookie: " + "a" * 9_000,
        " folded",
        ": empty",
        "Connection: " + "x," * 3_000,
        "WWW-Authenticate: Basic realm=" + KEY,
        "X: " + "y" * 70_000,
    ]
)
_STATUSES = st.sampled_from(
    [
        *(
            200,
            200,
            200,
            201,
            202,
            204,
            206,
            101,
            103,
            199,
            299,
            300,
            302,
            304,
            307,
            400,
            401,
            403,
            404,
            405,
            408,
        ),
        *(412, 413, 415, 418, 429, 429, 500, 502, 503, 599, 600, 999, "OK", 20, "2 0 0", "-200"),
    ]
)


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """Return an answer as it comes over the wire."""
    lines = [f"HTTP/1.1 {draw(_STATUSES)} {draw(st.sampled_from(['OK', '', KEY, 'x' * 1_000]))}"]
    lines += [f"Date: {draw(_DATES)}"] if draw(st.booleans()) else [f"Date: {DATE}"]
    lines += [f"Retry-After: {draw(_WAITS)}"] if draw(st.booleans()) else []
    lines += draw(st.lists(_ODD, max_size=2))
    head = "\r\n".join([*lines, "", ""]).encode("utf-8", "replace")
    whole = head + draw(_BODIES)
    return whole if draw(st.integers(0, 4)) else whole[: draw(st.integers(0, min(len(whole), 600)))]


def said(status: int, body: bytes = b"{}", **headers: str) -> bytes:
    lines = [
        f"HTTP/1.1 {status} x",
        *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


LAST_DAY = "Fri, 31 Dec 9999 23:59:59 GMT"


@settings(max_examples=400, deadline=None)
@given(name=st.sampled_from(sorted(CALLS)), first=answers(), second=answers())
@example(name="open_stream", first=said(429, Date=LAST_DAY, Retry_After="9"), second=said(200))
@example(name="open_stream", first=said(503, Date=LAST_DAY, Retry_After=LAST_DAY), second=said(200))
@example(name="delete_item", first=said(101), second=said(101))
def test_whatever_is_answered(line: Line, name: str, first: bytes, second: bytes) -> None:
    """One answer, then another to whatever is asked next: a typed value, or a CoveoError that says no secret."""
    call(line, name, first, second)


@settings(max_examples=150, deadline=None)
@given(name=st.sampled_from(sorted(CALLS)), raw=st.binary(max_size=300))
def test_whatever_bytes_come(line: Line, name: str, raw: bytes) -> None:
    """Nor does what is no HTTP at all make another exception."""
    call(line, name, raw)


@settings(max_examples=200, deadline=None)
@given(name=st.sampled_from(sorted(CALLS)), body=nearly())
@example(name="ensure_security_provider", body=b'{"referencedBy":[{"id":[],"type":"SOURCE"}]}')
@example(name="ensure_security_provider", body=b'{"referencedBy":[{"id":"s","type":{}}]}')
@example(name="ensure_security_provider", body=b'{"cascadingSecurityProviders":{"a":5,"b":{"id":[1]}}}')
@example(name="count_identities", body=b'{"statistics":{"numberOfEntitiesByState":{"A":true,"B":-1}}}')
@example(name="get_source", body=b'{"name":' + b"[" * 900 + b"]" * 900 + b"}")
def test_a_success_that_means_something_else(line: Line, name: str, body: bytes) -> None:
    """Successes whose fields have other types."""
    call(line, name, said(200, body, Date=DATE, Content_Type="application/json"))


@pytest.mark.parametrize("status", [100, 101, 103, 199])
def test_an_interim_answer_is_no_success(line: Line, status: int) -> None:
    """A 1xx that is the last word has carried nothing out."""
    line.server.reply(then(said(status, Date=DATE), lambda _: None))
    with pytest.raises(CoveoError):
        line.client.delete_item("s", "a:b")
    with pytest.raises(CoveoError):
        upload(line.client)


@pytest.mark.parametrize("file_id", ["\ud800", "a\udfffb"])
def test_an_id_that_is_no_text_is_no_answer(line: Line, file_id: str) -> None:
    """It could not be sent back, and is refused where it comes from."""
    body = json.dumps({**_GOOD, "fileId": file_id, "streamId": file_id}).encode()
    line.server.reply(then(said(200, body, Date=DATE), lambda _: None))
    for make in (line.client.create_file_container, lambda: line.client.open_stream("s")):
        with pytest.raises(CoveoError, match=r"without (fileId|streamId|uploadUri)"):
            make()
    with pytest.raises(CoveoError):
        line.client.push_batch("s", file_id)


BOMB = gzip.compress(b'{"name":"' + b"0" * 200_000_000 + b'"}', compresslevel=1)


@pytest.mark.parametrize("name", ["open_stream", "get_source", "upload", "put_item"])
@pytest.mark.parametrize("status", [200, 500])
def test_a_bomb_is_not_unpacked(line: Line, name: str, status: int) -> None:
    """200 MB packed into one are read up to the most an answer may have."""
    bomb = said(status, BOMB, Date=DATE, Content_Encoding="gzip", Content_Length=str(len(BOMB)))
    tracemalloc.start()
    try:
        call(line, name, bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000_000

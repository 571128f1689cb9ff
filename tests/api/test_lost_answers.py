"""Answers that cannot be the API's or the storage's: they count as lost, whatever their status says."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coveo_provider.api.client import CoveoClient
from coveo_provider.api.retries import RetryPolicy, may_have_been_carried_out
from coveo_provider.api.types import FileContainer, MappingRule, SourceKind, SourceVisibility
from coveo_provider.errors import (
    AccessDenied,
    ApiError,
    AuthenticationError,
    CloseUnknown,
    CoveoError,
    NotFound,
    PayloadTooLarge,
    ServerError,
    SourceRefused,
    Throttled,
    UnexpectedAnswer,
    UploadRefused,
)
from coveo_provider.sandbox import Answer, Cut, Sandbox
from tests.api.conftest import KEY, ClientMaker
from tests.api.scripted import DATE_MS, Scripted, http
from tests.api.test_client import items, load, upload

Call = Callable[[CoveoClient], Any]

LOGIN = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Your session has ended</body></html>"
JSON = "application/json"
MARK = DATE_MS - 1_000
CONTAINER = {"uploadUri": "https://s3.test/b?X-Amz-Signature=0123456789abcdef", "fileId": "f1"}
ACCEPTED = {"orderingId": str(DATE_MS), "requestId": "r1"}
LOG = {"documentLogEntries": [], "hasNextPage": False}
COUNTS: dict[str, Any] = {"operations": {}, "results": {}, "tasks": {}, "sourceIds": {}}

# name → the call, and what its success promises
PROMISED: dict[str, tuple[Call, dict[str, Any]]] = {
    "create_file_container": (lambda client: client.create_file_container(), CONTAINER),
    "open_stream": (lambda client: client.open_stream("s"), {"streamId": "t1", **CONTAINER}),
    "request_chunk": (lambda client: client.request_chunk("s", "t1"), CONTAINER),
    "close_stream": (lambda client: client.close_stream("s", "t1"), ACCEPTED),
    "update_stream": (lambda client: client.update_stream("s", "f1"), ACCEPTED),
    "merge_stream": (lambda client: client.merge_stream("s", "f1"), ACCEPTED),
    "delete_stream_items_older_than": (
        lambda client: client.delete_stream_items_older_than("s", MARK),
        ACCEPTED,
    ),
    "open_collection_stream": (
        lambda client: client.open_collection_stream("c"),
        {"streamId": "t1", **CONTAINER},
    ),
    "close_collection_stream": (lambda client: client.close_collection_stream("c", "t1"), ACCEPTED),
    "update_collection": (lambda client: client.update_collection("c", "f1"), ACCEPTED),
    "get_source": (lambda client: client.get_source("s"), {"id": "s"}),
    "count_sources": (lambda client: client.count_sources(), {"totalEntries": 1}),
    "get_security_provider": (lambda client: client.get_security_provider("p"), {"id": "p"}),
    "find_sources": (lambda client: client.find_sources("s"), {"sourceModels": [], "totalPages": 1}),
    "create_source": (
        lambda client: client.create_source("s", SourceKind.PUSH, SourceVisibility.SHARED),
        {"id": "s"},
    ),
    "fields": (lambda client: client.fields(), {"items": [], "totalPages": 1}),
    "create_fields": (
        lambda client: client.create_fields([{"name": "a"}]),
        {"batchOperationResourcesStatus": []},
    ),
    "update_fields": (
        lambda client: client.update_fields([{"name": "a"}]),
        {"batchOperationResourcesStatus": []},
    ),
    "source_logs": (lambda client: list(client.source_logs("s", MARK, MARK)), LOG),
    "source_log_counts": (lambda client: client.source_log_counts("s", MARK, MARK), COUNTS),
}
# name → a call whose success says nothing
SILENT: dict[str, Call] = {
    "set_source_status": lambda client: client.set_source_status("s", "IDLE"),
    "put_item": lambda client: client.put_item("s", "a:b", b"{}"),
    "delete_item": lambda client: client.delete_item("s", "a:b"),
    "push_batch": lambda client: client.push_batch("s", "f1"),
    "delete_items_older_than": lambda client: client.delete_items_older_than("s", MARK),
    "put_identity": lambda client: client.put_identity("p", b"{}"),
    "put_alias": lambda client: client.put_alias("p", b"{}"),
    "disable_identity": lambda client: client.disable_identity("p", b"{}"),
    "push_identities": lambda client: client.push_identities("p", "f1"),
    "disable_identities_older_than": lambda client: client.disable_identities_older_than("p", MARK),
    "add_mapping_rule": lambda client: client.add_mapping_rule("s", MappingRule("a", ("%[b]",))),
    "create_security_provider": lambda client: client.create_security_provider({}),
    "update_security_provider": lambda client: client.update_security_provider("p", {}),
}
EVERY: dict[str, Call] = {**{name: call for name, (call, _) in PROMISED.items()}, **SILENT}
SENT_ONCE = {
    *("push_batch", "push_identities", "update_stream", "merge_stream", "update_collection"),
    *("create_source", "add_mapping_rule"),
}
CLOSES = {"close_stream", "close_collection_stream"}

PAGES = {
    "a login page": http(200, LOGIN, Content_Type="text/html"),
    "a login page that claims to be JSON": http(200, LOGIN, Content_Type=JSON),
    "a login page as 201": http(201, LOGIN, Content_Type="text/html"),
    "a login page as 202": http(202, LOGIN, Content_Type="text/html; charset=utf-8"),
    "text": http(200, "OK", Content_Type="text/plain"),
    "half JSON": http(200, '{"streamId":', Content_Type=JSON),
    "a JSON text": http(200, '"welcome"', Content_Type=JSON),
    "a JSON list": http(200, "[]", Content_Type=JSON),
    "XML": http(200, "<?xml version='1.0'?><ok/>", Content_Type="application/xml"),
    "an error with success": http(200, '{"errorCode":"INVALID_TOKEN","message":"No."}', Content_Type=JSON),
    "a status that says it was changed": http(203, "{}", Content_Type=JSON),
    "a part": http(206, "{}", Content_Type=JSON),
}


def time_told(name: str) -> list[bytes]:
    """The answer that tells the time, which deletions ask for first."""
    return [http(200, '{"id":"x"}')] if "older_than" in name else []


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("name", EVERY)
def test_a_page_with_success_is_not_taken_for_done(
    server: Scripted, make_client: ClientMaker, name: str, page: str
) -> None:
    """The call fails and says what came instead; nobody knows whether it was carried out."""
    server.reply(*time_told(name), PAGES[page])
    with pytest.raises(CoveoError, match="nobody knows whether") as caught:
        EVERY[name](make_client(server.url, attempts=2))
    assert isinstance(caught.value, CloseUnknown if name in CLOSES else UnexpectedAnswer)
    assert caught.value.transient
    sent = len(server.got) - len(time_told(name))
    assert sent == (1 if name in SENT_ONCE else 2)
    assert KEY not in str(caught.value)
    if "login page" in page:
        assert 'HTML, "Sign in Your session has ended"' in str(caught.value)
        assert "a proxy's login page" in str(caught.value)


@pytest.mark.parametrize("name", EVERY)
def test_after_a_page_the_api_is_asked_again(server: Scripted, make_client: ClientMaker, name: str) -> None:
    """Where that is safe; what submits a container is for the loader to send anew."""
    good = http(200, json.dumps(PROMISED[name][1]) if name in PROMISED else "{}")
    server.reply(*time_told(name), PAGES["a login page"], good)
    client = make_client(server.url)
    if name in SENT_ONCE:
        with pytest.raises(UnexpectedAnswer) as caught:
            EVERY[name](client)
        assert may_have_been_carried_out(caught.value)
    else:
        EVERY[name](client)


@pytest.mark.parametrize("status", [200, 201, 202, 204])
@pytest.mark.parametrize("name", SILENT)
def test_any_status_of_success_is_taken(
    server: Scripted, scripted_client: CoveoClient, name: str, status: int
) -> None:
    """The pages disagree on which it is; the body is empty, {} or null, and its Content-Type may be missing."""
    bodies = [""] if status == 204 else ["", "{}", "null", " \n"]
    for body in bodies:
        for headers in ({}, {"Content_Type": "text/html"}, {"Content_Type": JSON}):
            server.reply(*time_told(name), http(status, body, **headers))
            SILENT[name](scripted_client)


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize("name", PROMISED)
def test_a_success_holds_what_the_call_promises(
    server: Scripted, make_client: ClientMaker, name: str, status: int
) -> None:
    """All keys make an answer, whichever Content-Type a gateway gave it; without one of them there is none."""
    call, promised = PROMISED[name]
    client = make_client(server.url, attempts=1)
    for headers in ({}, {"Content_Type": "text/html"}, {"Content_Type": JSON}):
        server.reply(*time_told(name), http(status, json.dumps(promised), **headers))
        call(client)
    for missing in promised.keys() - {"requestId"}:
        some = {key: value for key, value in promised.items() if key != missing}
        server.reply(*time_told(name), http(status, json.dumps(some)))
        with pytest.raises(CoveoError, match="nobody knows whether") as caught:
            call(client)
        assert missing in str(caught.value) or missing == "id"
    for empty in (http(204), http(status)):
        server.reply(*time_told(name), empty)
        with pytest.raises(CoveoError, match="with an empty body"):
            call(client)


# Pages with an error status

WORDS = {401: AuthenticationError, 403: AccessDenied, 404: NotFound, 412: SourceRefused}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 407, 408, 410, 412, 415, 418, 451])
def test_a_page_with_an_error_status_is_not_the_apis_word(
    server: Scripted, make_client: ClientMaker, status: int
) -> None:
    """A proxy's 404 is no unknown source, its 403 no wrong key: it is asked again, and the API may answer."""
    page = http(status, f"<html><h1>{status}</h1><hr>nginx</html>", Content_Type="text/html")
    client = make_client(server.url, attempts=3)
    server.reply(page, page, http(200, json.dumps({"id": "s"})))
    assert client.get_source("s").source_id == "s"

    server.reply(page)
    with pytest.raises(UnexpectedAnswer, match=rf'it was {status} with HTML, "{status} nginx"') as caught:
        client.get_source("s")
    assert caught.value.transient

    server.reply(http(status, '{"errorCode":"X","message":"Y"}', Content_Type="text/html"))
    server.got.clear()
    with pytest.raises(ApiError, match=f"answered {status} X: Y") as refused:
        client.get_source("s")
    assert type(refused.value) is WORDS.get(status, ApiError)
    assert len(server.got) == 1


@pytest.mark.parametrize(
    ("status", "kind"), [(429, Throttled), (413, PayloadTooLarge), (502, ServerError), (503, ServerError)]
)
def test_what_holds_whoever_says_it(
    server: Scripted, make_client: ClientMaker, status: int, kind: type[ApiError]
) -> None:
    """A gateway may throttle, find a body too large, or have no service behind it."""
    server.reply(http(status, "<html>no</html>", Content_Type="text/html"))
    with pytest.raises(kind):
        make_client(server.url, attempts=1).put_item("s", "a:b", b"{}")


def test_a_page_creates_no_provider(server: Scripted, make_client: ClientMaker) -> None:
    """Only the API's own word that a provider is not there is a reason to create one."""
    client = make_client(server.url, attempts=2)
    for missing in (http(404, "<html>404</html>"), http(404), http(404, '{"message":"no route"}')):
        server.reply(missing)
        server.got.clear()
        with pytest.raises(CoveoError):
            client.ensure_security_provider("p")
        assert {got.method for got in server.got} == {"GET"}


def test_a_page_tells_no_time(server: Scripted, make_client: ClientMaker) -> None:
    """Its Date is the proxy's; a refusal of the API tells the time."""
    client = make_client(server.url, attempts=2)
    for page in (http(200, LOGIN), http(403, LOGIN), http(502, LOGIN)):
        server.reply(page)
        with pytest.raises(UnexpectedAnswer, match="Sign in"):
            client.server_time_ms("s")
    server.reply(http(403, '{"errorCode":"ACCESS_DENIED"}'))
    assert client.server_time_ms("s") == DATE_MS


_NO_JSON = st.one_of(
    st.sampled_from(
        [LOGIN, "OK", "<p>no", "\ufeff<html>", "undefined", "{'a': 1}", "{}}", "[{}]", "0", '"{}"']
    ),
    st.text(min_size=1).filter(lambda text: text.strip() and not text.strip().startswith(("{", "null"))),
)


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(sorted(EVERY)),
    status=st.sampled_from([200, 201, 202, 203, 206, 301, 302, 307, 400, 401, 403, 404, 412, 500, 502]),
    content_type=st.sampled_from([JSON, "text/html", "text/plain", ""]),
    body=_NO_JSON,
)
def test_whatever_is_no_json_is_never_done(
    server: Scripted, name: str, status: int, content_type: str, body: str
) -> None:
    """Any status, Content-Type and body: what is no JSON object is neither a success nor the API's refusal."""
    with CoveoClient("acme", KEY, base_url=server.url, policy=RetryPolicy(attempts=1)) as client:
        server.reply(*time_told(name), http(status, body, Content_Type=content_type))
        with pytest.raises(CoveoError) as caught:
            EVERY[name](client)
    assert not isinstance(caught.value, (AuthenticationError, AccessDenied, NotFound, SourceRefused))
    assert caught.value.transient or 300 <= status < 400


# The storage


def put(client: CoveoClient, server: Scripted) -> int | None:
    container = FileContainer("f1", f"{server.url}/bucket/f1?X-Amz-Signature=0123456789abcdef", {})
    return client.upload(container, io.BytesIO(b"{}"), 2)


def test_an_upload_tells_the_storages_time(server: Scripted, scripted_client: CoveoClient) -> None:
    """By its Date, in whole seconds; without one there is none, and the upload is good all the same."""
    server.reply(http(200, ETag='"0123"'))
    assert put(scripted_client, server) == DATE_MS
    server.reply(http(200, ETag="0123", date=None))
    assert put(scripted_client, server) is None
    server.reply(http(200, ETag="0123", date="yesterday"))
    assert put(scripted_client, server) is None


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (http(200, LOGIN, Content_Type="text/html"), "200 with HTML"),
        (http(200, LOGIN, Content_Type="text/html", ETag='"page"'), "200 with HTML"),
        (http(200, LOGIN, Content_Type=JSON, ETag='"page"'), "200 with HTML"),
        (http(200, " \n<HTML>"), "200 with HTML"),
        (http(200, "<title>Sign in</title>", ETag='"page"'), '200 with HTML, "Sign in"'),
        (http(200, "<Error><Code>InternalError</Code></Error>", ETag='"page"'), "InternalError"),
        (http(200), "200 with an empty body"),
        (http(200, ETag=""), "200 with an empty body"),
        (http(201, ETag='"0123"'), "201 with"),
        (http(202), "202 with"),
        (http(204, ETag='"0123"'), "204 with"),
        (http(206, ETag='"0123"'), "206 with"),
    ],
)
def test_an_upload_that_no_storage_confirms_is_not_done(
    server: Scripted, scripted_client: CoveoClient, reply: bytes, words: str
) -> None:
    """S3 confirms with 200 and an ETag; whoever stands in for it learns what is missing."""
    server.reply(reply)
    with pytest.raises(UnexpectedAnswer, match=f"status 200 and the ETag .*{words}") as caught:
        put(scripted_client, server)
    assert caught.value.transient
    assert "0123456789abcdef" not in str(caught.value)


@pytest.mark.parametrize("status", [301, 302, 307])
def test_an_upload_is_not_redirected(server: Scripted, scripted_client: CoveoClient, status: int) -> None:
    """Neither followed nor taken for done."""
    server.reply(http(status, ETag='"0123"', Location=f"{server.url}/elsewhere"))
    with pytest.raises(UploadRefused, match=str(status)):
        put(scripted_client, server)
    assert len(server.got) == 1


def test_a_container_tells_when_it_was_asked_for(server: Scripted, scripted_client: CoveoClient) -> None:
    """By the Date of the answer that handed it out: no later than what is submitted in it."""
    for call in (
        scripted_client.create_file_container,
        lambda: scripted_client.request_chunk("s", "t1"),
        lambda: scripted_client.open_stream("s").container,
    ):
        server.reply(http(201, json.dumps({"streamId": "t1", **CONTAINER})))
        assert call().asked_at == DATE_MS
        server.reply(http(201, json.dumps({"streamId": "t1", **CONTAINER}), date=None))
        assert call().asked_at is None


# Closing a stream


def page(status: int) -> Answer:
    return Answer(status, f"<html><h1>{status}</h1></html>", content_type="text/html")


def refused(status: int, code: str) -> Answer:
    return Answer(status, json.dumps({"errorCode": code, "message": "No."}))


NOT_CLOSED = {
    "502, then a page": [Answer(502), page(404)],
    "reset, then a page": [Cut("before"), page(404)],
    "page 404 for ever": [page(404)],
    "page 200 for ever": [page(200)],
    "502, then a parameter": [Answer(502), refused(412, "INVALID_PARAMETER")],
    "reset, then a parameter": [Cut("before"), refused(412, "INVALID_PARAMETER")],
    "502, then no code": [Answer(502), Answer(404, '{"message": "Not Found"}')],
    "502, then nothing": [Answer(502), Answer(404)],
    "502, then no organization": [Answer(502), refused(404, "ORGANIZATION_NOT_FOUND")],
    "502, then no key": [Answer(502), refused(401, "INVALID_TOKEN")],
    "502, then a redirect": [Answer(502), Answer(302, "moved")],
    "503 for ever": [Answer(503)],
    "reset for ever": [Cut("before")],
}


@pytest.mark.parametrize("faults", NOT_CLOSED.values(), ids=NOT_CLOSED)
def test_a_close_that_never_happened_does_not_count_as_closed(
    client: CoveoClient, sandbox: Sandbox, faults: list[Any]
) -> None:
    """
    Nobody knows, it says so, and it says where to look; a later try closes the stream, which is open in
    truth.
    """
    load(client, items("product://old"))
    sandbox.settle()
    stream = client.open_stream("products").stream_id
    upload(client, client.request_chunk("products", stream), items("product://new"))
    for fault in faults[:-1]:
        sandbox.faults.add(action=fault, route="stream.close")
    sandbox.faults.add(action=faults[-1], route="stream.close", times=100)

    with pytest.raises(
        CloseUnknown, match=rf"whether stream {stream} of source products was closed"
    ) as caught:
        client.close_stream("products", stream)
    assert caught.value.transient
    assert "Log Browser" in str(caught.value)
    sandbox.settle()
    assert list(sandbox.items("products")) == ["product://old"]
    assert sandbox.source("products").open_streams == (stream,)

    sandbox.faults.clear()
    assert client.close_stream("products", stream, sent_before=True).ordering_id is not None
    sandbox.settle()
    assert list(sandbox.items("products")) == ["product://new"]


@pytest.mark.parametrize("fault", [Answer(502), page(404), page(200), Cut("before")])
def test_after_a_lost_answer_an_open_stream_is_closed(
    client: CoveoClient, sandbox: Sandbox, fault: Any
) -> None:
    """The next attempt reaches the API, which closes it."""
    sandbox.faults.add(action=fault, route="stream.close")
    assert load(client, items("product://1")).ordering_id is not None


@pytest.mark.parametrize("sent_before", [False, True])
def test_only_the_apis_word_that_a_stream_is_not_open_counts(
    server: Scripted, make_client: ClientMaker, sent_before: bool
) -> None:
    """And it counts only after a close whose answer was lost."""
    gone = http(412, '{"errorCode":"INVALID_STREAM_ID","message":"The stream is not open."}')
    client = make_client(server.url)
    server.reply(*([] if sent_before else [http(502)]), gone)
    assert client.close_stream("s", "t1", sent_before=sent_before).ordering_id is None
    server.reply(gone)
    with pytest.raises(SourceRefused, match="start the load again"):
        client.close_stream("s", "t1")


def test_a_throttled_close_may_be_waited_for(server: Scripted, make_client: ClientMaker) -> None:
    """It is no lost answer, and who waits for it knows that an earlier one was."""
    server.reply(http(502), http(429, Retry_After="900"))
    with pytest.raises(Throttled) as caught:
        make_client(server.url).close_stream("s", "t1")
    assert caught.value.after_lost_answer

"""Error bodies, waits and dates in all their shapes."""

from __future__ import annotations

import json
import pickle
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coveo_provider import errors
from coveo_provider.api.answers import SUCCESSES, Answer, explain, http_date, retry_after
from coveo_provider.api.refusals import refusal
from coveo_provider.api.routes import StreamRoutes
from tests.api.scripted import DATE, DATE_MS

OPEN_STREAM = StreamRoutes.of_source("x").open
ROUTE = "POST /push/v1/organizations/acme/sources/x/stream/open"


def answer(status: int, body: bytes | str = b"", **headers: str) -> Answer:
    content = body.encode() if isinstance(body, str) else body
    return Answer(status, ROUTE, {name.replace("_", "-"): value for name, value in headers.items()}, content)


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ('{"errorCode":"INVALID_TOKEN","message":"No."}', "INVALID_TOKEN", "No."),
        ('{"message":"Endpoint request timed out"}', "", "Endpoint request timed out"),
        ('{"status":404,"title":"Not found","detail":"No such thing"}', "", "No such thing"),
        ('{"title":"Not found"}', "", "Not found"),
        (
            '<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Expired</Message></Error>',
            "AccessDenied",
            "Expired",
        ),
        ("<Error><Code>SlowDown</Code></Error>", "SlowDown", ""),
        ("<html><style>p{}</style><h1>502</h1>\n<p>Bad   Gateway</p>", "", "502 Bad Gateway"),
        ("plain words", "", "plain words"),
        ('"a JSON text"', "", '"a JSON text"'),
        ("[1, 2]", "", "[1, 2]"),
        ("{}", "", ""),
        ("null", "", "null"),
        ("", "", ""),
        ('{"errorCode":5,"message":{"a":1},"detail":["b"]}', "", ""),
        ('{"errorCode":"A","message":null,"detail":"second"}', "A", "second"),
        (b"\xff\xfe\x00broken \xc3", "", "�� broken �"),
        ("line\r\nbreak\x1b[31m\u202eright", "", "line break [31m right"),
        ('{"message":"\\ud800 half"}', "", "half"),
    ],
)
def test_every_shape_of_a_refusal(body: bytes | str, code: str, message: str) -> None:
    """Code and message are found whatever the shape, on one printable line."""
    assert explain(body.encode() if isinstance(body, str) else body) == (code, message)


def test_a_long_message_is_cut() -> None:
    """500 characters of a refusal are enough for a log."""
    _, message = explain(json.dumps({"message": "x" * 100_000}).encode())
    assert len(message) == 501
    assert message.endswith("…")


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"a":' * 100_000, b"<script" * 3_000, b"<" * 20_000, b'{"message":' + b"9" * 10_000],
    ids=["nested lists", "nested objects", "scripts", "tags", "a long number"],
)
def test_hostile_bodies_are_survived(body: bytes) -> None:
    """Deep nesting and endless tags end in a short text."""
    code, message = explain(body)
    assert code == ""
    assert len(message) <= 501


@settings(deadline=None)
@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_any_bytes_can_be_explained(body: bytes) -> None:
    """Whatever a proxy sends, there is a printable line and no exception."""
    code, message = explain(body)
    assert (code + message).isprintable()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["errorCode", "message", "x"]), inner),
)


@settings(deadline=None)
@given(
    st.integers(300, 999), _JSON.filter(lambda body: isinstance(body, dict)), st.sampled_from(["", "5", "x"])
)
def test_any_refusal_becomes_an_api_error(status: int, body: Any, wait: str) -> None:
    """Every status from 300 on and every JSON object gives an ApiError that says route and status."""
    headers = {"retry-after": wait} if wait else {}
    error = refusal(Answer(status, ROUTE, headers, json.dumps(body).encode()), OPEN_STREAM)
    assert isinstance(error, errors.ApiError)
    assert str(error).startswith(f"{ROUTE} answered {status}")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


_PAGES = st.sampled_from(
    [
        b"<html><h1>404 Not Found</h1>nginx</html>",
        b"  <!DOCTYPE html><title>Sign in</title>",
        b"<?xml version='1.0'?><e/>",
        *(b"Forbidden", b"[1, 2]", b'"a JSON text"', b"null", b"5", b"{not JSON}", b"\xff\xfe"),
    ]
)
_ANY_STATUS = st.integers(0, 299) | st.integers(300, 999)


@settings(deadline=None)
@given(_ANY_STATUS.filter(lambda status: status not in SUCCESSES), _PAGES)
def test_a_page_is_never_the_apis_word(status: int, body: bytes) -> None:
    """What is no JSON says nothing of key, organization or source: a later try may meet the API."""
    error = refusal(Answer(status, ROUTE, {"content-type": "application/json"}, body), OPEN_STREAM)
    if 300 <= status < 400 or status == 413:
        assert type(error) in {errors.ApiError, errors.PayloadTooLarge}
    else:
        assert error.transient
    named = (errors.AuthenticationError, errors.AccessDenied, errors.NotFound, errors.SourceRefused)
    assert not isinstance(error, named)
    assert str(status) in str(error)


@settings(deadline=None)
@given(st.sampled_from([203, 205, 206, 207, 226, 299, 100, 102, 199, 0]), _JSON)
def test_a_status_the_api_never_gives_is_no_success(status: int, body: Any) -> None:
    """Nor is it one with JSON: 203 says that somebody changed the answer on its way."""
    error = refusal(Answer(status, ROUTE, {}, json.dumps(body).encode()), OPEN_STREAM)
    assert isinstance(error, errors.UnexpectedAnswer)
    assert f"it was {status} with" in str(error)


@pytest.mark.parametrize(
    ("status", "kind", "transient"),
    [
        (302, errors.ApiError, False),
        (400, errors.ApiError, False),
        (401, errors.AuthenticationError, False),
        (403, errors.AccessDenied, False),
        (404, errors.NotFound, False),
        (412, errors.SourceRefused, False),
        (413, errors.PayloadTooLarge, False),
        (415, errors.ApiError, False),
        (429, errors.Throttled, True),
        (500, errors.ServerError, True),
        (502, errors.ServerError, True),
        (503, errors.ServerError, True),
        (504, errors.ServerError, True),
    ],
)
def test_a_status_has_its_exception(status: int, kind: type[errors.ApiError], transient: bool) -> None:
    """The documented statuses, each with its class, and whether a later try can succeed."""
    error = refusal(answer(status, '{"errorCode":"SOME_CODE","message":"Words."}'), OPEN_STREAM)
    assert type(error) is kind
    assert isinstance(error, errors.ApiError)
    assert error.transient is transient
    assert (error.status, error.route, error.code) == (status, ROUTE, "SOME_CODE")


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (400, "INVALID_JSON", "a key that stands twice"),
        (400, "ORGANIZATION_IS_PAUSED", "Administration Console"),
        (401, "UNAUTHORIZED", "connection's password"),
        (401, "INVALID_TOKEN", "IP allow-list"),
        (401, "", "IP allow-list"),
        (403, "ACCESS_DENIED", r"Organization \(View\) and Sources \(Edit\)"),
        (404, "ORGANIZATION_NOT_FOUND", "organization id"),
        (404, "", "URL override"),
        (412, "SOURCE_DOES_NOT_EXIST", "ten minutes"),
        (412, "INVALID_SOURCE_ID", "Push or Catalog"),
        (412, "DOCUMENT_LIMIT_EXCEEDED", "raise the license"),
        (429, "TOO_MANY_DOCUMENTS_DAILY", "next day"),
        (307, "", "Redirects are not followed"),
    ],
)
def test_a_refusal_says_what_to_do(status: int, code: str, remedy: str) -> None:
    """The remedies of the documented codes."""
    error = refusal(answer(status, json.dumps({"errorCode": code, "message": "M."})), OPEN_STREAM)
    assert str(error).startswith(f"{ROUTE} answered {status} {code}".rstrip() + ": M. ")
    assert isinstance(error, errors.ApiError)
    assert re.search(remedy, error.detail)


def test_an_empty_refusal_says_so() -> None:
    """A body without words and a status without a remedy still make a sentence."""
    assert str(refusal(answer(500), OPEN_STREAM)) == f"{ROUTE} answered 500: the answer gives no reason."


@pytest.mark.parametrize("header", ["x-request-id", "x-amzn-requestid", "x-amz-request-id"])
def test_the_request_id_is_kept(header: str) -> None:
    """It stands at the end of the message, whichever header brought it."""
    error = refusal(Answer(500, ROUTE, {header: "abc-123\x1b"}, b""), OPEN_STREAM)
    assert isinstance(error, errors.ApiError)
    assert error.request_id == "abc-123"
    assert str(error).endswith("(request abc-123)")


@pytest.mark.parametrize("body", ["key xx-secret!", '{"message":"xx-secret"}', '{"errorCode":"xx-secret"}'])
def test_a_secret_is_not_repeated(body: str) -> None:
    """A body that quotes the key is cleaned, before anything is cut off."""
    assert "xx-secret" not in str(explain(body.encode(), ["xx-secret"]))
    cut = json.dumps({"message": "a" * 496 + "xx-secret"}).encode()
    assert "xx-s" not in explain(cut, ["xx-secret"])[1]


# Waits


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 1.5 ", 1.5),
        ("-3", 0.0),
        ("1e300", 31 * 86_400.0),
        ("inf", 31 * 86_400.0),
        ("nan", None),
        ("soon", None),
        ("", None),
        ("Thu, 01 Jan 2026 00:01:30 GMT", 90.0),
        ("Wed, 31 Dec 2025 23:59:00 GMT", 0.0),
        ("Fri, 01 Jan 9999 00:00:00 GMT", 31 * 86_400.0),
        ("Thu, 99 Jan 2026 00:00:00 GMT", None),
    ],
)
def test_retry_after(text: str, seconds: float | None) -> None:
    """Seconds or a date, which is measured against the answer's own date; nonsense is no wait."""
    assert retry_after({"retry-after": text, "date": DATE}) == seconds


def test_a_date_without_a_date_to_measure_by_is_no_wait() -> None:
    """The worker's own clock is never asked."""
    assert retry_after({"retry-after": "Thu, 01 Jan 2026 00:01:30 GMT"}) is None


@given(st.text(), st.text())
def test_any_header_is_a_bounded_wait_or_none(text: str, date: str) -> None:
    """No header can make the client wait for ever, or fail."""
    wait = retry_after({"retry-after": text, "date": date})
    assert wait is None or 0 <= wait <= 31 * 86_400


# Successes


def test_the_servers_time() -> None:
    """Milliseconds of the Date header."""
    assert answer(200, date=DATE).server_time_ms == DATE_MS
    assert http_date(DATE) == DATE_MS / 1000


@pytest.mark.parametrize(
    "date",
    ["", "yesterday", "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"],
)
def test_no_time_without_a_believable_date(date: str) -> None:
    """Without a Date that makes 13 digits there is no mark."""
    with pytest.raises(errors.UnexpectedAnswer, match="without a Date header"):
        _ = answer(200, date=date).server_time_ms


@pytest.mark.parametrize("body", ["", "[]", "<html>", '{"streamId":5}', '{"streamId":""}', '{"other":"x"}'])
def test_a_success_must_hold_what_it_is_for(body: str) -> None:
    """Otherwise it is an UnexpectedAnswer that suspects a proxy's page."""
    with pytest.raises(errors.UnexpectedAnswer, match="proxy's login page"):
        answer(200, body).fields("streamId")


@pytest.mark.parametrize("body", ["", "  \r\n", "null", "{}", '{"anything":1}', b"\xef\xbb\xbf{}"])
@pytest.mark.parametrize("content_type", ["application/json", "text/html", "text/plain; charset=x", "", None])
def test_a_success_is_known_by_its_body(body: bytes | str, content_type: str | None) -> None:
    """Nothing or a JSON object is the API's, whatever a gateway made of the Content-Type."""
    headers = {} if content_type is None else {"content-type": content_type}
    answer(200, body, **headers).check_success()


@settings(deadline=None)
@given(_PAGES.filter(lambda body: body != b"null"), st.sampled_from(["application/json", "text/html"]))
def test_a_page_is_no_success(body: bytes, content_type: str) -> None:
    """Not even if it claims to be JSON."""
    with pytest.raises(errors.UnexpectedAnswer, match="a JSON object or an empty body"):
        Answer(200, ROUTE, {"content-type": content_type}, body).check_success()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "200 with an empty body"),
        ("<html><title>Sign in</title><script>x()</script></html>", '200 with HTML, "Sign in"'),
        ("OK", '200 with text, "OK"'),
        ("[1, 2]", '200 with JSON, "[1, 2]"'),
        ('{"message":"No."}', '200 with JSON, "No."'),
        ('{"uploadUri":"https://s3/?X-Amz-Signature=0","b":1}', "200 with JSON, of the keys: uploadUri, b"),
        ("{}", "200 with JSON, of the keys: none"),
        ("the xx-secret is quoted", '200 with text, "the *** is quoted"'),
    ],
)
def test_what_came_is_described_in_a_few_words(body: str, words: str) -> None:
    """Enough to recognise a page by, without a secret and without a value, which may be an address."""
    assert answer(200, body).described(["xx-secret"]) == words


@settings(deadline=None)
@given(st.binary() | _JSON.map(lambda body: json.dumps(body).encode()))
def test_anything_can_be_described(body: bytes) -> None:
    """On one short printable line."""
    words = Answer(200, ROUTE, {}, body).described(["xx-secret"])
    assert words.isprintable()
    assert len(words) < 300

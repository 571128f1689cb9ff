"""
Reads answers: what a success holds, why a refusal was given, how long to wait, and what time it is there.

A refusal's body has one of these shapes: ``{errorCode, message}``, ``{message}``, ``{status, title, detail}``, S3's
XML, HTML, or nothing at all (``docs/api-notes.md``, "Errors and retries").
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any

from coveo_provider import errors
from coveo_provider.api.routes import Route
from coveo_provider.api.types import MARK_DIGITS

_TEXT_LIMIT = 500  # characters of a refusal worth repeating in a log
_DAY = 86_400.0  # seconds
_LAST_MOMENT = 253_402_300_800.0  # seconds since the epoch; the year 10000, which no calendar here has
_MAX_WAIT = 31 * _DAY  # seconds; abuse is throttled "for up to a week" (docs/api-notes.md, "Quotas")
_TAG = re.compile(r"<[^>]{0,1000}>")
_STYLE = re.compile(r"<(script|style)\b.*?</\1>", re.DOTALL | re.IGNORECASE)
_XML_CODE = re.compile(r"<Code>([^<]{1,200})</Code>")
_XML_MESSAGE = re.compile(r"<Message>([^<]{0,2000})</Message>")

NO_REASON = "the answer gives no reason."

DAILY_ITEMS = "TOO_MANY_DOCUMENTS_DAILY"
"""The code of a day's quota; that a day ends at midnight UTC is stated for the Stream API only (uncertain)."""

_REMEDIES = {
    "INVALID_JSON": "Look for a key that stands twice (Title and title), or an object as value.",
    "ORGANIZATION_IS_PAUSED": "Log in to the Administration Console to wake the organization.",
    "UNAUTHORIZED": "Put an API key into the connection's password.",
    "INVALID_TOKEN": "Check the API key, that it is enabled, its IP allow-list, and the connection's region.",
    "ORGANIZATION_NOT_FOUND": "Check the organization id (the connection's login) and its region.",
    "SOURCE_DOES_NOT_EXIST": "Check source_id; a new organization's first source needs some ten minutes.",
    "INVALID_SOURCE_ID": "Check source_id, and that the source's kind suits the call: Push or Catalog.",
    "INVALID_STREAM_ID": "Of a stream that was not closed nothing is applied: start the load again, from its open.",
    "DOCUMENT_LIMIT_EXCEEDED": "The organization's item limit is reached: delete items or raise the license.",
    DAILY_ITEMS: "The license's items per day are used up; the next day (UTC) brings new ones.",
}


@dataclass(frozen=True)
class Answer:
    """
    One answer of the API, read to its end.

    :param route: method and path, without host and query
    :param headers: with names in lower case
    """

    status: int
    route: str
    headers: Mapping[str, str]
    body: bytes

    def fields(self, *names: str) -> dict[str, Any]:
        """
        Return the JSON object of the body, which must hold ``names`` as non-empty strings.

        :raises UnexpectedAnswer: it does not
        """
        parsed = parse_json(self.body)
        if not isinstance(parsed, dict):
            raise errors.UnexpectedAnswer(self.route, "a JSON object")
        for name in names:
            if not isinstance(parsed.get(name), str) or not parsed[name] or not _is_text(parsed[name]):
                raise errors.UnexpectedAnswer(self.route, name)
        return parsed

    @property
    def server_time_ms(self) -> int:
        """
        The server's clock in milliseconds since the epoch, rounded down to its second.

        :raises UnexpectedAnswer: the answer has no readable ``Date`` header
        """
        seconds = http_date(self.headers.get("date", ""))
        now = None if seconds is None else int(seconds) * 1000
        if now is None or len(str(now)) != MARK_DIGITS or now < 0:
            raise errors.UnexpectedAnswer(self.route, "a Date header to take the server's time from")
        return now

    def request_id(self, secrets: Sequence[str] = ()) -> str:
        """Return the id to quote to Coveo's support, or to the storage's; empty when there is none."""
        names = ("x-request-id", "x-amzn-requestid", "x-amz-request-id")
        return next(
            (_clean(self.headers[name], secrets, 100) for name in names if self.headers.get(name)), ""
        )


def _is_text(value: str) -> bool:
    """Return whether a string can be sent back: an escape in JSON can make half a character of it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def parse_json(body: bytes) -> Any:
    """Return the parsed body, or ``None`` when it is not JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def http_date(text: str) -> float | None:
    """Return an HTTP date as seconds since the epoch, or ``None``."""
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """
    Return the seconds a ``Retry-After`` header asks for, 31 days at most, or ``None``.

    A date is measured against the answer's own ``Date``: the worker's clock may be wrong.
    """
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        until, now = http_date(text), http_date(headers.get("date", ""))
        if until is None or now is None:
            return None
        seconds = until - now
    return None if math.isnan(seconds) else min(max(seconds, 0.0), _MAX_WAIT)


def refusal(answer: Answer, route: Route, *, secrets: Sequence[str] = ()) -> errors.ApiError:
    """Return the exception for an answer that is no success."""
    code, message = explain(answer.body, secrets)
    status, request_id = answer.status, answer.request_id(secrets)
    detail = " ".join(filter(None, (message, _remedy(status, code, route)))) or NO_REASON
    if status == 429:
        return _throttled(answer, code, detail, request_id)
    if status >= 500:
        return errors.ServerError(status, answer.route, code, detail, request_id, retry_after(answer.headers))
    kind = {
        401: errors.AuthenticationError,
        403: errors.AccessDenied,
        404: errors.NotFound,
        412: errors.SourceRefused,
        413: errors.PayloadTooLarge,
    }.get(status, errors.ApiError)
    return kind(status, answer.route, code, detail, request_id)


def _throttled(answer: Answer, code: str, detail: str, request_id: str) -> errors.Throttled:
    """
    Return the exception for a 429, which says when to go on as far as that is known.

    A burst comes with ``Retry-After``; without it, it is a day's quota, or a gateway's (docs 95).
    """
    now, wait = http_date(answer.headers.get("date", "")), retry_after(answer.headers)
    day_left = None if now is None else _DAY - now % _DAY
    kind = errors.QuotaExhausted if code == DAILY_ITEMS else errors.Throttled
    if wait is None and kind is errors.QuotaExhausted:
        wait = day_left
    if wait is None:
        detail += (
            " It does not say for how long: a burst passes in five minutes, a day's quota at midnight UTC."
        )
    elif now is not None and now + wait < _LAST_MOMENT:
        moment = datetime.fromtimestamp(now + wait, timezone.utc)
        detail += f" It works again after {moment:%Y-%m-%d %H:%M:%S} UTC."
    error = kind(answer.status, answer.route, code, detail, request_id, wait)
    error.day_left = day_left
    return error


def _remedy(status: int, code: str, route: Route) -> str:
    if status == 403:
        return (
            f"The call needs {route.privileges}: check the key's privileges, the organization and the source."
        )
    if code in _REMEDIES:
        return _REMEDIES[code]
    if status == 401:
        return _REMEDIES["INVALID_TOKEN"]
    if status == 404:
        return "Check the organization id, its region, and any URL override of the connection."
    if 300 <= status < 400:
        return (
            "Redirects are not followed, as they would carry the key elsewhere: check the connection's URL."
        )
    return ""


def explain(body: bytes, secrets: Sequence[str] = ()) -> tuple[str, str]:
    """
    Return error code and message of a refusal, each possibly empty, whatever the body's shape.

    :param secrets: what must not be repeated, should the body quote it
    """
    parsed = parse_json(body)
    if isinstance(parsed, dict):
        code = parsed.get("errorCode")
        texts = (parsed.get(name) for name in ("message", "detail", "title"))
        message = next((text for text in texts if isinstance(text, str)), "")
        return _clean(code, secrets, 100) if isinstance(code, str) else "", _clean(message, secrets)
    text = _redacted(body.decode("utf-8", "replace"), secrets)[:20_000]
    if code_match := _XML_CODE.search(text):
        message_match = _XML_MESSAGE.search(text)
        return _clean(code_match[1], secrets, 100), _clean(message_match[1] if message_match else "", secrets)
    return "", _clean(_TAG.sub(" ", _STYLE.sub(" ", text)), secrets)


def _clean(text: str, secrets: Sequence[str], limit: int = _TEXT_LIMIT) -> str:
    """Return ``text`` on one line, printable, short and without secrets: it ends up in logs and web pages."""
    head = _redacted(text, secrets)[: 10 * limit]
    line = " ".join("".join(c if c.isprintable() else " " for c in head).split())
    return line if len(line) <= limit else f"{line[:limit]}…"


def _redacted(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return text

"""
Reads answers: whether they can be the API's at all, what they hold, what time it is there and how long to wait.

What cannot be the API's is a proxy's login page, a gateway's error page, or another service's answer. Nobody knows
whether the call behind it was carried out.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import Any

from coveo_provider.api.redaction import unsigned
from coveo_provider.api.types import MARK_DIGITS
from coveo_provider.errors import UnexpectedAnswer

SUCCESSES = frozenset({200, 201, 202, 204})
"""
What a call that was accepted is answered with; pages differ on which (``docs/api-notes.md``, "Success
answers").
"""

_TEXT_LIMIT = 500  # characters of a refusal worth repeating in a log
_EXCERPT_LIMIT = 100  # characters of what is no answer, enough to recognise a page by
_MAX_WAIT = 31 * 86_400.0  # seconds; abuse is throttled "for up to a week" (docs/api-notes.md, "Quotas")
_TAG = re.compile(r"<[^>]{0,1000}>")
_STYLE = re.compile(r"<(script|style)\b.*?</\1>", re.DOTALL | re.IGNORECASE)
_XML_CODE = re.compile(r"<Code>([^<]{1,200})</Code>")
_XML_MESSAGE = re.compile(r"<Message>([^<]{0,2000})</Message>")


@dataclass(frozen=True)
class Answer:
    """
    One answer, read to its end.

    :param route: method and path, without host and query
    :param headers: with names in lower case
    :param complete: whether the body is whole; of a refusal a part will do, since its status says enough
    """

    status: int
    route: str
    headers: Mapping[str, str]
    body: bytes
    complete: bool = True

    @property
    def succeeded(self) -> bool:
        """Whether the status says that the call was accepted."""
        return self.status in SUCCESSES

    @property
    def speaks_json(self) -> bool:
        """
        Whether the body can be the API's: nothing, or a JSON object, as far as it came. A page never is.

        The ``Content-Type`` does not count: gateways drop or rewrite it, and a login page may well claim to
        be JSON.
        """
        start = self.body.strip()[:1]
        return not start or isinstance(parse_json(self.body), dict) or (start == b"{" and not self.complete)

    def check_success(self) -> None:
        """
        Make sure that a success can be the API's: nothing, ``null``, or a JSON object.

        :raises UnexpectedAnswer: it cannot
        """
        if not self.body.strip():
            return
        try:
            content = json.loads(self.body)
        except (ValueError, RecursionError):
            content = ""
        if not (content is None or isinstance(content, dict)):
            raise UnexpectedAnswer(self.route, "a JSON object or an empty body")

    def fields(self, *names: str) -> dict[str, Any]:
        """
        Return the JSON object of the body, which must hold ``names`` as non-empty strings.

        :raises UnexpectedAnswer: it does not
        """
        parsed = parse_json(self.body)
        if not isinstance(parsed, dict):
            raise UnexpectedAnswer(self.route, "a JSON object")
        for name in names:
            if not isinstance(parsed.get(name), str) or not parsed[name] or not _is_text(parsed[name]):
                raise UnexpectedAnswer(self.route, name)
        return parsed

    @property
    def date_ms(self) -> int | None:
        """
        The ``Date`` header in milliseconds since the epoch, ``None`` when there is none to believe.

        It has whole seconds, rounded down, so the moment of the answer is never earlier.
        """
        seconds = http_date(self.headers.get("date", ""))
        time_ms = None if seconds is None else int(seconds) * 1000
        if time_ms is None or time_ms < 0 or len(str(time_ms)) != MARK_DIGITS:
            return None
        return time_ms

    @property
    def server_time_ms(self) -> int:
        """
        The same as :attr:`date_ms`, where it must be there.

        :raises UnexpectedAnswer: the answer has no readable ``Date`` header
        """
        time_ms = self.date_ms
        if time_ms is None:
            raise UnexpectedAnswer(self.route, "a Date header to take the server's time from")
        return time_ms

    def request_id(self, secrets: Sequence[str] = ()) -> str:
        """Return the id to quote to Coveo's support, or to the storage's; empty when there is none."""
        names = ("x-request-id", "x-amzn-requestid", "x-amz-request-id")
        return next(
            (_clean(self.headers[name], secrets, 100) for name in names if self.headers.get(name)), ""
        )

    def described(self, secrets: Sequence[str] = ()) -> str:
        """
        Return in a few words what came, to recognise a proxy's page by. No value of a JSON object is repeated.

        :param secrets: what must not be repeated, should the body quote it
        """
        parsed = parse_json(self.body)
        if not self.body.strip():
            return f"{self.status} with an empty body"
        if isinstance(parsed, dict):
            code, message = explain(self.body, secrets)
            keys = ", ".join(_clean(str(key), secrets, 40) for key in list(parsed)[:5])
            excerpt = _clean(f"{code} {message}", secrets, _EXCERPT_LIMIT)
            return f"{self.status} with JSON, " + (
                f'"{excerpt}"' if excerpt else f"of the keys: {keys or 'none'}"
            )
        text = self.body[:20_000].decode("utf-8", "replace")
        kind = "HTML" if _is_html(self.body) else "JSON" if parsed is not None else "text"
        excerpt = _clean(_without_tags(_redacted(text, secrets)), secrets, _EXCERPT_LIMIT)
        return f'{self.status} with {kind}, "{excerpt}"'


def _is_html(body: bytes) -> bool:
    """Return whether a body is a page for people, and not the storage's XML."""
    head = body[:1_000].lower()
    return any(tag in head for tag in (b"<!doctype html", b"<html", b"<head", b"<body", b"<title"))


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


def explain(body: bytes, secrets: Sequence[str] = ()) -> tuple[str, str]:
    """
    Return error code and message of a refusal, each possibly empty, whatever the body's shape.

    The shapes: ``{errorCode, message}``, ``{message}``, ``{status, title, detail}``, S3's XML, HTML, and nothing at
    all (``docs/api-notes.md``, "Errors and retries").

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
    return "", _clean(_without_tags(text), secrets)


def _without_tags(text: str) -> str:
    return _TAG.sub(" ", _STYLE.sub(" ", text))


def _clean(text: str, secrets: Sequence[str], limit: int = _TEXT_LIMIT) -> str:
    """Return ``text`` on one line, printable, short and without secrets: it ends up in logs and web pages."""
    head = _redacted(text, secrets)[: 10 * limit]
    line = " ".join("".join(c if c.isprintable() else " " for c in head).split())
    return line if len(line) <= limit else f"{line[:limit]}…"


def _redacted(text: str, secrets: Sequence[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    return unsigned(text)

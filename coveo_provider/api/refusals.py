"""Makes an exception of an answer that is no success, and says in it what to do."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timezone

from coveo_provider import errors
from coveo_provider.api.answers import Answer, explain, http_date, retry_after
from coveo_provider.api.routes import Route

_DAY = 86_400.0  # seconds
_LAST_MOMENT = 253_402_300_800.0  # seconds since the epoch; the year 10000, which no calendar here has

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


def refusal(answer: Answer, route: Route, *, secrets: Sequence[str] = ()) -> errors.CoveoError:
    """
    Return the exception for an answer that is no success.

    A page is not the API's word, whatever its status: a proxy's 404 does not say that a source is unknown,
    nor its 403 that the key is wrong. It is a lost answer. What holds whoever says it stays what it is: a
    redirect, a body that is too large (413), too many calls (429), and a fault on the other side (5xx).
    """
    code, message = explain(answer.body, secrets)
    status, request_id = answer.status, answer.request_id(secrets)
    detail = " ".join(filter(None, (message, _remedy(status, code, route)))) or NO_REASON
    if status < 300:
        return errors.UnexpectedAnswer(answer.route, "a status that the API gives", answer.described(secrets))
    if 400 <= status < 500 and status not in {413, 429} and not answer.speaks_json:
        return errors.UnexpectedAnswer(
            answer.route, "a reason in JSON, as the API gives it", answer.described(secrets)
        )
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

"""Keeps pre-signed addresses out of messages and out of the log of the HTTP library."""

from __future__ import annotations

import html
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from urllib.parse import parse_qsl, unquote, urlsplit

_MIN_SECRET = 8  # characters of an upload address's parameter that are worth hiding
_QUERY = re.compile(r"\?[^\s\"'<>]+")
_SIGNED = re.compile(r"(?i)\b(x-amz-[a-z-]+|awsaccesskeyid|googleaccessid|signature|sig)=[^\s\"'<>&;]+")
_sending: ContextVar[bool] = ContextVar("coveo_provider_sending", default=False)


@contextmanager
def queries_unlogged() -> Iterator[None]:
    """
    Cut the query out of every address the HTTP library logs meanwhile in this thread.

    urllib3 logs each path with its query at DEBUG, and the query of an upload address is its signature. What
    it logs for others in this process stays as it is.
    """
    token = _sending.set(True)
    try:
        yield
    finally:
        _sending.reset(token)


class _QueryRedactor(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        if _sending.get():
            record.msg, record.args = _QUERY.sub("?…", record.getMessage()), ()
        return True


_redactor = _QueryRedactor()
for _name in ("connectionpool", "connection", "poolmanager", "response", "util.retry"):
    logging.getLogger(f"urllib3.{_name}").addFilter(_redactor)


def unsigned(text: str) -> str:
    """Return a text without the values that sign an address, should it quote one nobody here knows."""
    return _SIGNED.sub(r"\1=***", text)


def signature_of(address: str) -> str:
    """Return what makes an upload address a credential: its signature, else its query, else all of it."""
    query = urlsplit(address).query
    signatures = [
        value for name, value in parse_qsl(query) if name.lower() in {"x-amz-signature", "signature"}
    ]
    return next((value for value in signatures if len(value) >= _MIN_SECRET), query or address)


def secrets_of(address: str) -> list[str]:
    """Return what an answer must not quote of an upload address, in the spellings a page may use."""
    query = urlsplit(address).query
    values = [pair.partition("=")[2] for pair in query.split("&")] + [value for _, value in parse_qsl(query)]
    secrets = [address, query, *sorted(values, key=len, reverse=True)]
    secrets += [html.escape(one) for one in secrets] + [unquote(one) for one in secrets]
    return [one for one in dict.fromkeys(secrets) if len(one) >= _MIN_SECRET]

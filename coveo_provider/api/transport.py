"""
Sends one request over HTTP, and returns the answer or raises what happened instead.

This is the one file that names the HTTP library. No exception or log line that leaves it holds a key, a query
string or a pre-signed address.
"""

from __future__ import annotations

import html
import os
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, NewConnectionError, ReadTimeoutError

from coveo_provider import __version__
from coveo_provider.api.answers import SUCCESSES, Answer
from coveo_provider.api.endpoints import is_loopback
from coveo_provider.api.redaction import queries_unlogged
from coveo_provider.errors import ConfigurationError, CoveoError, UnexpectedAnswer, Unreachable

USER_AGENT = f"airflow-provider-coveo/{__version__}"
MAX_ANSWER_BYTES = 16 * 1024 * 1024  # no documented answer comes near; memory stays bounded whatever answers

# Bytes a socket write: the default of 16 KiB costs a core at loopback speed, and the timeout is for each.
UPLOAD_BLOCK = 256 * 1024
_READ_BLOCK = 64 * 1024

# The session's own headers, left out: the storage gets what the API asks for and nothing of ours but a name.
_BARE = {"Accept": None, "Accept-Encoding": None, "Connection": None}


class Transport:
    """
    Sends one request at a time; whether to send it again is the caller's to decide.

    :param api_key: an API key or OAuth2 access token
    :param timeout: seconds to wait for a connection (10 at most), for each read, and for each block of an
        upload to be taken
    :param verify: whether to verify certificates, or the path of a CA bundle
    :raises ConfigurationError: ``verify`` is neither
    """

    def __init__(self, api_key: str, *, timeout: float, verify: bool | str) -> None:
        self._auth = _Bearer(api_key)
        self.secrets = tuple(dict.fromkeys((api_key, quote(api_key, safe=""), html.escape(api_key))))
        self._timeout = timeout
        self._verify = _checked_verify(verify)
        self._session = _Session()

    def close(self) -> None:
        """Give the connections back."""
        self._session.close()

    def ask(self, method: str, url: str, query: Mapping[str, str] | None, body: bytes) -> Answer:
        """
        Send a request with the key, and return the answer, be it a success or a refusal.

        :param url: the full URL, without query
        :param query: parameters, not yet percent-encoded
        :param body: JSON; a GET goes without, as some gateways refuse one
        :raises Unreachable: no answer came
        :raises UnexpectedAnswer: a success is larger than any the API gives
        :raises ConfigurationError: the request cannot be made with this connection
        """
        try:
            parameters = f"?{urlencode(query, quote_via=quote, safe='')}" if query else ""
        except UnicodeEncodeError:
            raise ConfigurationError(f"one of {', '.join(query or ())} is no Unicode text") from None
        return self._send(
            method,
            f"{method} {urlsplit(url).path}",
            f"{url}{parameters}",
            headers={"Content-Type": "application/json"},
            body=None if method == "GET" else body,
            auth=self._auth,
            connect_timeout=min(10.0, self._timeout),
        )

    def put(self, name: str, url: str, headers: Mapping[str, str], body: bytes | Iterable[bytes]) -> Answer:
        """
        Send a file without the key, and return the answer, be it a success or a refusal.

        :param name: what errors call the address, which is a secret
        :param body: bytes, or what has a length and is read block by block
        :raises Unreachable: no answer came
        :raises UnexpectedAnswer: a success is larger than any that a storage gives
        :raises ConfigurationError: the request cannot be made with this connection
        """
        return self._send(
            "PUT",
            name,
            url,
            headers={**_BARE, **headers},
            body=body,
            auth=_no_auth,
            connect_timeout=self._timeout,  # urllib3 sends under the connection's timeout, not the read's
        )

    def _send(
        self,
        method: str,
        name: str,
        url: str,
        *,
        headers: Mapping[str, str | None],
        body: bytes | Iterable[bytes] | None,
        auth: Callable[[requests.PreparedRequest], requests.PreparedRequest],
        connect_timeout: float,
    ) -> Answer:
        response = None
        try:
            with queries_unlogged():
                response = self._session.request(
                    method,
                    url,
                    data=body,
                    headers=headers,
                    auth=auth,
                    timeout=(connect_timeout, self._timeout),
                    verify=self._verify,
                    allow_redirects=False,
                    stream=True,
                )
                with closing(response):
                    return _read(name, response)
        except CoveoError:
            raise
        except (requests.exceptions.RequestException, HTTPError, HTTPException, OSError, ValueError) as error:
            failure = _no_answer(name, url, error) if response is None else _half_answer(name, error)
        # Raised out here, as what requests raises quotes the address and holds the request with its key: as
        # `__context__` it would travel along.
        raise failure


class _Bearer(requests.auth.AuthBase):
    """Sets the key itself, so that a ``~/.netrc`` entry for the host cannot replace it."""

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._api_key}"
        return request


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep every credential, ``~/.netrc`` included, from the storage (``docs/api-notes.md``, "File containers")."""
    return request


class _WideAdapter(HTTPAdapter):
    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: object
    ) -> None:
        super().init_poolmanager(connections, maxsize, block, **pool_kwargs, blocksize=UPLOAD_BLOCK)


class _Session(requests.Session):
    """Follows no redirect, keeps no cookie, and sends nothing meant for this machine to a proxy."""

    def __init__(self) -> None:
        super().__init__()
        self.headers.update({"User-Agent": USER_AGENT, "Accept": "application/json"})
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        for scheme in ("https://", "http://"):
            self.mount(scheme, _WideAdapter(max_retries=0))

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return none; requests would read the whole body of a redirect, even of one it does not follow."""

    def merge_environment_settings(self, url: Any, *args: Any, **kwargs: Any) -> Any:
        """Take proxies and CA bundle from the environment, but no proxy where a key may travel in clear."""
        settings = super().merge_environment_settings(url, *args, **kwargs)
        if is_loopback(urlsplit(url).hostname or ""):
            settings["proxies"] = {}
        return settings


def _read(name: str, response: requests.Response) -> Answer:
    """Return the whole answer; of a refusal as much as there is, since its status says enough."""
    content = bytearray()
    refused = response.status_code not in SUCCESSES
    complete = True
    try:
        while len(content) <= MAX_ANSWER_BYTES:
            block = response.raw.read(_READ_BLOCK, decode_content=True)
            if not block:
                break
            content += block
    except (HTTPError, HTTPException, OSError, ValueError):
        if not refused:
            raise
        complete = False
    if len(content) > MAX_ANSWER_BYTES:
        if not refused:
            raise UnexpectedAnswer(name, f"keeping to {MAX_ANSWER_BYTES:,} bytes")
        complete = False
    headers = {key.lower(): value for key, value in response.headers.items()}
    return Answer(response.status_code, name, headers, bytes(content), complete)


def _half_answer(name: str, error: Exception) -> Unreachable:
    """Return the exception for an answer that began and did not end."""
    slow = any(isinstance(cause, (ReadTimeoutError, TimeoutError)) for cause in _causes(error))
    return Unreachable(
        name, "the answer took too long" if slow else f"the answer broke off: {_kind(error)}", True
    )


def _no_answer(name: str, url: str, error: Exception) -> CoveoError:
    """Return what happened, without any address, and whether the request may have been carried out."""
    causes = list(_causes(error))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return ConfigurationError(
            f"{name}: the certificate of {urlsplit(url).hostname} could not be verified. Set the "
            "connection's `verify` to the path of your CA bundle"
        )
    if any(getattr(cause, "reason", None) == "WRONG_VERSION_NUMBER" for cause in causes):
        return ConfigurationError(
            f"{name}: {urlsplit(url).hostname} does not speak TLS. Check the connection's URL, and the "
            "proxies in the worker's environment"
        )
    of_http = isinstance(error, (requests.exceptions.RequestException, HTTPError, HTTPException))
    if not of_http or isinstance(
        error, ValueError
    ):  # of what requests raises, its complaints about arguments
        return ConfigurationError(
            f"{name}: the request could not be made ({_kind(error)}). Check the connection's URLs, and "
            "proxies and CA bundle in the worker's environment"
        )
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return Unreachable(name, f"the connection to {_place(url)} timed out", False)
    if isinstance(error, requests.exceptions.ProxyError):
        return Unreachable(name, "the proxy refused", False)
    if any(isinstance(cause, NewConnectionError) for cause in causes):
        local = is_loopback(urlsplit(url).hostname or "")
        asked = ", where nothing listens. Is coveo-sandbox running?" if local else ""
        return Unreachable(name, f"no connection could be made to {_place(url)}{asked}", False)
    if isinstance(error, requests.exceptions.ReadTimeout):
        return Unreachable(name, "the answer took too long", True)
    return Unreachable(name, f"the connection broke: {_kind(causes[-1])}", True)


def _place(url: str) -> str:
    """Return host and port: which address does not answer, without its path and signature."""
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"


def _causes(error: BaseException, depth: int = 0) -> Iterator[BaseException]:
    """Return an error and what it wraps: the libraries put it into ``args`` or ``reason``, layer by layer."""
    yield error
    for cause in (*error.args, getattr(error, "reason", None)):
        if isinstance(cause, BaseException) and depth < 8:
            yield from _causes(cause, depth + 1)


def _kind(error: BaseException) -> str:
    return type(error).__name__


def _checked_verify(verify: bool | str) -> bool | str:
    if isinstance(verify, bool):
        return verify
    if not isinstance(verify, str) or not verify.strip():
        raise ConfigurationError(f"verify must be true, false or the path of a CA bundle, not {verify!r}")
    try:
        folder = os.path.isdir(verify)
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(
            cafile=None if folder else verify, capath=verify if folder else None
        )
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"verify: {verify} is no CA bundle: {_kind(error)}") from None
    return verify

"""
The one file that names the HTTP library: connections, timeouts, retries and redaction.

No exception or log line that leaves this file holds a key, a query string or a pre-signed address.
"""

from __future__ import annotations

import html
import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from http.client import HTTPException
from http.cookiejar import DefaultCookiePolicy
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, NewConnectionError, ReadTimeoutError

from coveo_provider import __version__
from coveo_provider.api.answers import NO_REASON, Answer, explain, refusal
from coveo_provider.api.endpoints import is_loopback
from coveo_provider.api.redaction import queries_unlogged, secrets_of
from coveo_provider.api.retries import RetryPolicy, may_have_been_carried_out
from coveo_provider.api.routes import Route
from coveo_provider.errors import (
    ApiError,
    ConfigurationError,
    CoveoError,
    DataError,
    PayloadTooLarge,
    UnexpectedAnswer,
    Unreachable,
    UploadRefused,
)

T = TypeVar("T")

USER_AGENT = f"airflow-provider-coveo/{__version__}"
MAX_ANSWER_BYTES = 16 * 1024 * 1024  # no documented answer comes near; memory stays bounded whatever answers
UPLOAD = "PUT (upload address)"

# Bytes a socket write: the default of 16 KiB costs a core at loopback speed, and the timeout is for each.
_UPLOAD_BLOCK = 256 * 1024
_READ_BLOCK = 64 * 1024

# The session's own headers, left out: the storage gets what the API asks for and nothing of ours but a name.
_BARE = {"Accept": None, "Accept-Encoding": None, "Connection": None}


class _Bearer(requests.auth.AuthBase):
    """Sets the key itself, so that a ``~/.netrc`` entry for the host cannot replace it."""

    def __init__(self, api_key: str) -> None:
        self._api_key = api_key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._api_key}"
        return request


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep every credential, ``~/.netrc`` included, from the storage host (push-api.md section 3, 2a)."""
    return request


class _WideAdapter(HTTPAdapter):
    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: object
    ) -> None:
        super().init_poolmanager(connections, maxsize, block, **pool_kwargs, blocksize=_UPLOAD_BLOCK)


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


class Transport:
    """
    Sends one request at a time and turns what comes back into an :class:`Answer` or an exception.

    :param api_key: an API key or OAuth2 access token
    :param timeout: seconds to wait for a connection (10 at most), for each read, and for each block of an
        upload to be taken
    :param verify: whether to verify certificates, or the path of a CA bundle
    :param policy: what is sent again, and when
    :raises ConfigurationError: ``verify`` is neither
    """

    def __init__(self, api_key: str, *, timeout: float, verify: bool | str, policy: RetryPolicy) -> None:
        self._auth = _Bearer(api_key)
        self._secrets = tuple(dict.fromkeys((api_key, quote(api_key, safe=""), html.escape(api_key))))
        self._timeout = timeout
        self._verify = _checked_verify(verify)
        self.policy = policy
        self._session = _Session()

    def close(self) -> None:
        """Give the connections back."""
        self._session.close()

    def call(
        self,
        route: Route,
        url: str,
        read: Callable[[Answer], T],
        *,
        query: Mapping[str, str] | None = None,
        body: bytes = b"{}",
    ) -> T:
        """
        Make one call, sending it again where that is safe, and return what ``read`` makes of its success.

        :param url: the full URL, without query
        :param read: an :class:`UnexpectedAnswer` from it counts as a lost answer
        :param query: parameters, not yet percent-encoded
        :param body: JSON; operations without a model take ``{}``
        :raises ApiError: the API refused. ``after_lost_answer`` is true on it when an earlier attempt may
            have been carried out
        :raises Unreachable: no answer came
        """
        lost = False

        def attempt() -> T:
            nonlocal lost
            try:
                answer = self._exchange(route, url, query, body)
                if not _is_success(answer.status):
                    raise refusal(answer, route, secrets=self._secrets)
                return read(answer)
            except CoveoError as error:
                if isinstance(error, ApiError):
                    error.after_lost_answer = lost
                lost = lost or may_have_been_carried_out(error)
                raise

        def may_retry(error: CoveoError) -> bool:
            return error.transient and (route.replay or not may_have_been_carried_out(error))

        return self.policy.run(attempt, may_retry)

    def probe(self, route: Route, url: str) -> Answer:
        """Make one call and return its answer, a refusal too; only a missing answer raises."""
        return self.policy.run(lambda: self._exchange(route, url, None, b""), lambda error: error.transient)

    def upload(self, url: str, headers: Mapping[str, str], file: BinaryIO, size: int) -> None:
        """
        PUT ``size`` bytes of ``file``, from where it stands, to a pre-signed address. Never repeated here.

        :raises PayloadTooLarge: the storage does not take that many bytes
        :raises UploadRefused: the storage refused; a fresh container may be accepted
        :raises Unreachable: no answer came
        :raises DataError: ``file`` has fewer than ``size`` bytes
        """
        answer = self._send(
            "PUT",
            UPLOAD,
            url,
            headers={**_BARE, **headers, "Content-Length": str(size)},
            body=_Exactly(file, size) if size else b"",
            auth=_no_auth,
            connect_timeout=self._timeout,  # urllib3 sends under the connection's timeout, not the read's
        )
        if _is_success(answer.status):
            return
        secrets = [*self._secrets, *secrets_of(url)]
        code, message = explain(answer.body, secrets)
        if answer.status == 413 or code == "EntityTooLarge":
            kind: type[ApiError] = PayloadTooLarge
            remedy = f"{size:,} bytes are too many for one container: lower max_chunk_bytes."
        else:
            kind = UploadRefused
            remedy = "The address may have expired, or a proxy altered the upload's headers."
        detail = f"{message or NO_REASON} {remedy}"
        raise kind(answer.status, UPLOAD, code, detail, answer.request_id(secrets))

    def _exchange(self, route: Route, url: str, query: Mapping[str, str] | None, body: bytes) -> Answer:
        try:
            parameters = f"?{urlencode(query, quote_via=quote, safe='')}" if query else ""
        except UnicodeEncodeError:
            raise ConfigurationError(f"one of {', '.join(query or ())} is no Unicode text") from None
        # A GET has no body, and some gateways refuse one.
        return self._send(
            route.method,
            f"{route.method} {urlsplit(url).path}",
            f"{url}{parameters}",
            headers={"Content-Type": "application/json"},
            body=None if route.method == "GET" else body,
            auth=self._auth,
            connect_timeout=min(10.0, self._timeout),
        )

    def _send(
        self,
        method: str,
        name: str,
        url: str,
        *,
        headers: Mapping[str, str | None],
        body: bytes | _Exactly | None,
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
            failure = _failure(name, url, error, answered=response is not None)
        # Raised out here, as what requests raises quotes the address and holds the request with its key: as
        # `__context__` it would travel along.
        raise failure


class _Exactly:
    """The next ``size`` bytes of a file, no more and no fewer."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._size, self._left = file, size, size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(_UPLOAD_BLOCK), b"")

    def read(self, size: int = -1, /) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._file.read(wanted) if wanted else b""
        if wanted and not data:
            raise DataError(f"the file to upload ended {self._left:,} bytes before its {self._size:,}")
        self._left -= len(data)
        return data


def _is_success(status: int) -> bool:
    return 200 <= status < 300  # a 1xx as the last word has carried nothing out


def _read(name: str, response: requests.Response) -> Answer:
    """Return the whole answer; of a refusal as much as there is, since its status says enough."""
    content = bytearray()
    refused = not _is_success(response.status_code)
    try:
        while len(content) <= MAX_ANSWER_BYTES:
            block = response.raw.read(_READ_BLOCK, decode_content=True)
            if not block:
                break
            content += block
    except (HTTPError, HTTPException, OSError, ValueError):
        if not refused:
            raise
    if len(content) > MAX_ANSWER_BYTES and not refused:
        raise UnexpectedAnswer(name, f"keeping to {MAX_ANSWER_BYTES:,} bytes")
    headers = {key.lower(): value for key, value in response.headers.items()}
    return Answer(response.status_code, name, headers, bytes(content))


def _failure(name: str, url: str, error: Exception, *, answered: bool) -> CoveoError:
    """Return what happened, without any address, and whether the request may have been carried out."""
    causes = list(_causes(error))
    if answered:
        slow = any(isinstance(cause, (ReadTimeoutError, TimeoutError)) for cause in causes)
        return Unreachable(
            name, "the answer took too long" if slow else f"the answer broke off: {_kind(error)}", True
        )
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
    known = isinstance(error, (requests.exceptions.RequestException, HTTPError, HTTPException))
    if not known or isinstance(error, ValueError):  # of what requests raises, its complaints about arguments
        return ConfigurationError(
            f"{name}: the request could not be made ({_kind(error)}). Check the connection's URLs, and "
            "proxies and CA bundle in the worker's environment"
        )
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return Unreachable(name, f"the connection to {_place(url)} timed out", False)
    if isinstance(error, requests.exceptions.ProxyError):
        return Unreachable(name, "the proxy refused", False)
    if any(isinstance(cause, NewConnectionError) for cause in causes):
        return Unreachable(name, f"no connection could be made to {_place(url)}", False)
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

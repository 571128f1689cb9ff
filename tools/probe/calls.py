"""HTTP to the service or to the sandbox, with a key that shows nowhere."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import requests

SECONDS = 120  # of silence, after which a call has failed
_ATTEMPTS = 5
_MOST_RETRY_AFTER = 300  # seconds; the burst quota is counted over five minutes


class CallFailed(Exception):
    """A call that got no answer, named without its address: that of an upload is a secret."""


class NotObservable(Exception):
    """What cannot be known in this place, and why."""


@dataclass(frozen=True)
class Clock:
    """The time: ``now`` in seconds from any moment on, ``sleep`` waits for so many seconds."""

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Calls:
    """
    Makes calls with a key.

    :param api: address of the Push, Stream and Source Logs APIs, without a slash at its end
    :param platform: address of the platform
    :param key: an API key; it goes to these two addresses only, and is taken out of every text by :meth:`hide`
    """

    def __init__(self, api: str, platform: str, organization: str, key: str, clock: Clock) -> None:
        self.api, self.platform, self.organization = api, platform, organization
        self.now_ms = 0
        self._key, self._clock = key, clock
        self._session = requests.Session()
        self._session.trust_env = not api.startswith("http://127.0.0.1")
        self._session.auth = self._authorize

    def _authorize(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # As a function, so that no .netrc replaces it; a call that brings a made-up key keeps that.
        request.headers.setdefault("Authorization", f"Bearer {self._key}")
        return request

    def hide(self, text: object) -> str:
        """Give a text with the key taken out."""
        return str(text).replace(self._key, "***")

    def push(self, method: str, path: str, **options: Any) -> requests.Response:
        """Make a call of the Push or Stream API; see :meth:`call`."""
        return self.call(method, f"{self.api}/push/v1/organizations/{self.organization}{path}", **options)

    def rest(self, method: str, path: str, **options: Any) -> requests.Response:
        """Make a call of the platform on the organization; see :meth:`call`."""
        return self.call(method, f"{self.platform}/rest/organizations/{self.organization}{path}", **options)

    def logs(self, **options: Any) -> requests.Response:
        """Make a query of the source logs; see :meth:`call`."""
        return self.call("POST", f"{self.api}/logs/v1/organizations/{self.organization}", **options)

    def call(self, method: str, url: str, **options: Any) -> requests.Response:
        """
        Make a call, again after a 429 that says to wait five minutes at most.

        :param options: as ``requests`` takes them
        :raises CallFailed: when there is no answer
        :raises NotObservable: when a quota is used up
        """
        for _ in range(_ATTEMPTS):
            response = self._send(method, url, **options)
            if response.status_code != 429:
                return response
            wait = response.headers.get("Retry-After", "")
            if not wait.isdigit() or int(wait) > _MOST_RETRY_AFTER:
                break
            self._clock.sleep(int(wait))
        raise NotObservable("a quota is used up (429): ask again later with --only")

    def _send(self, method: str, url: str, **options: Any) -> requests.Response:
        try:
            response = self._session.request(method, url, timeout=SECONDS, allow_redirects=False, **options)
        except (requests.RequestException, ValueError) as error:
            path = url.removeprefix(self.api).removeprefix(self.platform)
            raise CallFailed(f"{method} {self.hide(path)}: {type(error).__name__}") from None
        if date := response.headers.get("Date"):
            self.now_ms = int(parsedate_to_datetime(date).timestamp() * 1000)
        return response

    def upload(self, container: dict[str, Any], content: object, **headers: str) -> requests.Response:
        """
        Upload to a container's address, without the key.

        :param content: bytes, or a value that is sent as JSON
        :param headers: more than the container asks for
        :raises CallFailed: when there is no answer
        """
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        with requests.Session() as session:
            session.trust_env = self._session.trust_env
            session.auth = lambda request: request
            try:
                return session.put(
                    str(container["uploadUri"]).removeprefix("link:"),
                    data=data,
                    headers={**container["requiredHeaders"], **headers},
                    timeout=SECONDS,
                )
            except (requests.RequestException, ValueError) as error:
                raise CallFailed(f"the upload: {type(error).__name__}") from None


def said(response: requests.Response) -> str:
    """Give the status of an answer, and the errorCode of a refusal."""
    if response.ok:
        return str(response.status_code)
    body = parsed(response)
    code = body.get("errorCode") if isinstance(body, dict) else None
    return f"{response.status_code} {code or 'without an errorCode'}"


def parsed(response: requests.Response) -> Any:
    """Give the JSON of an answer, None where it is none."""
    try:
        return response.json()
    except ValueError:
        return None

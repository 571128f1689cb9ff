"""Every refusal of the sandbox, of every call, against Coveo's published description."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import requests

from coveo_provider.sandbox import Answer, Limits, Sandbox
from coveo_provider.sandbox.http.app import App
from tests.contract.conftest import SOURCES
from tests.contract.descriptions import push
from tests.contract.recorder import Recorder
from tests.contract.samples import WRONG_REQUESTS
from tests.contract.uses import PROVIDER

CALLS = sorted(push().calls)
MARK = "1700000000000"
PARAMETERS = {"fileId": "f", "orderingId": MARK, "documentId": "file://a", "statusType": "IDLE"}
BOUND = 1_000  # bytes of a request's body, low enough to be exceeded by every call


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox that takes small requests only."""
    with Sandbox.start(sources=SOURCES, limits=Limits(request_bytes=BOUND, inline_bytes=BOUND)) as running:
        running.add_security_provider(PROVIDER)
        running.add_key("powerless", privileges=())
        yield running


@dataclass
class Request:
    """A request that a call takes, to be made wrong in one place."""

    method: str
    path: str
    names: dict[str, str]
    query: dict[str, str]
    body: str = "{}"
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def right(cls, method: str, path: str, key: str) -> Request:
        """Return one that has every required parameter."""
        operation = push().calls[method, path]
        source = "products" if "/stream/" in path else "files"
        names = {"organizationId": "sandbox", "sourceId": source, "dataCollectionId": "stock"}
        names |= {"providerId": PROVIDER.replace(" ", "%20"), "streamId": "s", "epochMilliseconds": MARK}
        needed = [
            one["name"] for one in operation["parameters"] if one["in"] == "query" and one.get("required")
        ]
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        return cls(method, path, names, {name: PARAMETERS[name] for name in needed}, headers=headers)

    def send(self, url: str) -> int:
        path = f"{push().base}{self.path.format(**self.names)}"
        with requests.Session() as session:
            session.trust_env = False
            answer = session.request(
                self.method, url + path, params=self.query, data=self.body, headers=self.headers, timeout=30
            )
        return answer.status_code


def _without_key(request: Request, sandbox: Sandbox) -> None:
    del request.headers["Authorization"]


def _wrong_key(request: Request, sandbox: Sandbox) -> None:
    request.headers["Authorization"] = "Bearer other"


def _powerless(request: Request, sandbox: Sandbox) -> None:
    request.headers["Authorization"] = "Bearer powerless"


def _elsewhere(request: Request, sandbox: Sandbox) -> None:
    request.names["organizationId"] = "elsewhere"


def _no_json(request: Request, sandbox: Sandbox) -> None:
    request.body = '{"data": '


def _plain_text(request: Request, sandbox: Sandbox) -> None:
    request.headers["Content-Type"] = "text/plain"


def _large(request: Request, sandbox: Sandbox) -> None:
    request.body = '{"data": "' + "x" * BOUND + '"}'


def _throttled(request: Request, sandbox: Sandbox) -> None:
    sandbox.faults.add(action=Answer.throttled(5))


Spoil = Callable[[Request, Sandbox], None]
REFUSALS: dict[Spoil, int] = {
    _without_key: 401,
    _wrong_key: 401,
    _powerless: 403,
    _elsewhere: 404,
    _no_json: 400,
    _plain_text: 415,
    _large: 413,
    _throttled: 429,
}


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_every_refusal_is_as_described(sandbox: Sandbox, recorder: Recorder, method: str, path: str) -> None:
    """Whatever is wrong with a call, status and body are those the description has for it."""
    for spoil, status in REFUSALS.items():
        request = Request.right(method, path, sandbox.api_key)
        spoil(request, sandbox)
        assert request.send(recorder.url) == status, spoil
        assert push().answer_errors(recorder.exchanges[-1]) == [], spoil


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_a_bad_parameter_is_refused_as_described(
    sandbox: Sandbox, recorder: Recorder, method: str, path: str
) -> None:
    """Each required parameter missing, and each one that can be wrong with a wrong value, is a 412."""
    operation = push().calls[method, path]
    for parameter in operation["parameters"]:
        name, kind = parameter["name"], parameter["schema"]
        request = Request.right(method, path, sandbox.api_key)
        if name in {"sourceId", "dataCollectionId", "epochMilliseconds"}:
            request.names[name] = "none"
        elif name in request.query:
            del request.query[name]
        elif kind["type"] != "string" or "enum" in kind or "pattern" in kind:
            request.query[name] = "-1"
        else:
            continue
        assert request.send(recorder.url) == 412, name
        assert push().answer_errors(recorder.exchanges[-1]) == [], name


def test_a_closed_stream_is_refused_as_described(sandbox: Sandbox, recorder: Recorder) -> None:
    """A stream that is not open, of a source and of a data collection."""
    for method, path in CALLS:
        if "{streamId}" in path:
            assert Request.right(method, path, sandbox.api_key).send(recorder.url) == 412
            assert push().answer_errors(recorder.exchanges[-1]) == []


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_a_failure_is_as_described(
    sandbox: Sandbox, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    """A defect of the sandbox itself is a 500 with an error's body."""

    def fail(*_: Any) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(App, "_authorize", fail)
    assert Request.right(method, path, sandbox.api_key).send(recorder.url) == 500
    assert push().answer_errors(recorder.exchanges[-1]) == []
    sandbox.state.errors.clear()


# What the description forbids, as read strictly here, and the sandbox takes, with the reason.
LENIENT = {
    "an unknown parameter": "no page says that one is refused",
    "a parameter twice": "no page says so",
    "a body where none is": "clients send all sorts where {} is expected",
    "a permission of an unknown type": "official clients spell it USER",
    "an unknown key of a permission": "no page says so",
    "an unknown key": "no page says so",
}


@pytest.mark.parametrize("name", WRONG_REQUESTS)
def test_the_sandbox_refuses_what_the_description_forbids(
    sandbox: Sandbox, recorder: Recorder, name: str
) -> None:
    """A request that is invalid gets no success, but for those whose leniency is told above."""
    wrong = WRONG_REQUESTS[name]
    target = wrong.target.replace("/files/stream/", "/products/stream/").replace("/p/", "/My%20Directory/")
    headers = {key: value.replace("Bearer key", f"Bearer {sandbox.api_key}") for key, value in wrong.headers}
    with requests.Session() as session:
        session.trust_env = False
        answer = session.request(
            wrong.method, recorder.url + target, data=wrong.body, headers=headers, timeout=30
        )
    assert (answer.status_code < 300) is (name in LENIENT), answer.text

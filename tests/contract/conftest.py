"""A sandbox, a recorder in front of it, and a client and a connection that go through the recorder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coveo_provider.api.client import CoveoClient
from coveo_provider.api.retries import RetryPolicy
from coveo_provider.sandbox import Sandbox
from tests.conftest import Connect
from tests.contract.recorder import Recorder, recording
from tests.contract.uses import PROVIDER

SOURCES = {"products": "CATALOG", "files": "PUSH", "stock": "DATA_COLLECTION"}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox with a source of every kind, and a secured one with its provider."""
    with Sandbox.start(sources=SOURCES) as running:
        running.add_source("hr", kind="PUSH", visibility="SECURED")
        running.add_security_provider(PROVIDER, sources=["hr"])
        yield running


@pytest.fixture
def recorder(sandbox: Sandbox, connect: Connect) -> Iterator[Recorder]:
    """Between the sandbox and whoever uses ``client`` or the connection ``coveo_default``."""
    with recording(sandbox.url) as recorder:
        sandbox.state.base_url = recorder.url  # so that uploads come through as well
        connect(sandbox, host=recorder.url)
        yield recorder


@pytest.fixture
def client(sandbox: Sandbox, recorder: Recorder) -> Iterator[CoveoClient]:
    policy = RetryPolicy(attempts=1, sleep=lambda _: None)
    with CoveoClient(
        sandbox.organization_id, sandbox.api_key, base_url=recorder.url, policy=policy
    ) as client:
        yield client

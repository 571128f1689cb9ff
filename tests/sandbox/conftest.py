"""A fresh sandbox per test, and somebody to call it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from coveo_provider.sandbox import Sandbox
from tests.sandbox.caller import Caller


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start() as sandbox:
        yield sandbox


@pytest.fixture
def caller(sandbox: Sandbox) -> Caller:
    return Caller(sandbox)

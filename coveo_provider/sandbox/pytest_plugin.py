"""Pytest fixtures that come with the package; importing this is light, the sandbox loads on use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coveo_provider.sandbox import Sandbox


@pytest.fixture
def coveo_sandbox() -> Iterator[Sandbox]:
    """
    Give a fresh sandbox with the sources ``products`` (CATALOG) and ``files`` (PUSH).

    Stopped after the test, which fails when the sandbox had an error of its own.
    """
    from coveo_provider.sandbox import Sandbox

    sandbox = Sandbox.start()
    yield sandbox
    sandbox.stop()

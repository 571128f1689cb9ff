"""Running one operator as a task does, and a source that is kept night after night."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from airflow.sdk import BaseOperator, ObjectStoragePath
from airflow.sdk.io import attach

from coveo_provider.sandbox import Sandbox
from tests.operators.nights import Nights
from tests.operators.staging import Staging


def run(operator: BaseOperator) -> Any:
    """Execute an operator outside of any DAG run."""
    return operator.execute({})


@pytest.fixture
def nights(connected: Sandbox, tmp_path: Path) -> Nights:
    return Nights(tmp_path.as_uri(), connected)


@pytest.fixture
def remote_nights(connected: Sandbox) -> Iterator[Nights]:
    storage = fsspec.filesystem("memory")
    attach("memory", fs=storage)
    yield Nights("memory://shop", connected)
    storage.rm("/shop", recursive=True)


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(ObjectStoragePath(tmp_path.as_uri()))


@pytest.fixture
def remote() -> Iterator[Staging]:
    """A storage of another machine, as far as anyone can tell."""
    storage = fsspec.filesystem("memory")
    attach("memory", fs=storage)
    yield Staging(ObjectStoragePath("memory://bucket/staging"))
    storage.rm("/bucket", recursive=True)

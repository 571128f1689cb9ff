"""
A share and a state on ``gs://``, with the emulator gcp-storage-emulator.

Google's provider does not go with what the tests' environment pins, so ``tests/test_extras.py`` runs this file in
an environment of its own.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from airflow.sdk import ObjectStoragePath

from coveo_provider.sandbox import Sandbox
from tests.operators.cloud_shares import Bucket, followed_share, staged_load
from tools.cluster.services import Component, free_port, listens, wait_for

PAGE = 50  # of the service it is 1,000; the emulator gives all objects in one answer
# Of the library: it would ask by gRPC what kind a bucket is of, which the emulator does not speak.
os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server."""
    port = free_port()
    words = ["-m", "gcp_storage_emulator", "start", "-H", "127.0.0.1", "--port", str(port), "-q", "-M"]
    log = tmp_path_factory.mktemp("emulator") / "emulator.log"
    server = Component("emulator", [sys.executable, *words], dict(os.environ), log)
    server.start()
    try:
        wait_for("the emulator", lambda: listens(port), 60, [server])
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()


@pytest.fixture
def bucket(emulator: str, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    extra = {"project": "test", "is_anonymous": True, "gcs.endpoint": emulator}
    monkeypatch.setenv(
        "AIRFLOW_CONN_SHARE", json.dumps({"conn_type": "google_cloud_platform", "extra": extra})
    )
    requests.post(f"{emulator}/storage/v1/b", json={"name": "share"}, timeout=30)
    storage = ObjectStoragePath("gs://share@share").fs
    return Bucket(
        "gs",
        lambda name, data: storage.pipe_file(f"share/{name}", data),
        lambda name: storage.rm_file(f"share/{name}"),
        page=PAGE,
    )


def test_a_bucket_is_followed(bucket: Bucket, connected: Sandbox, tmp_path: Path) -> None:
    followed_share(bucket, connected, tmp_path)


def test_a_load_is_staged_in_a_bucket(bucket: Bucket, connected: Sandbox) -> None:
    staged_load(bucket, connected)

"""A share and a state on ``abfs://``: Azurite, the emulator of Microsoft, run by Node.js."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
from collections.abc import Iterator
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from coveo_provider.sandbox import Sandbox
from tests.operators.cloud_shares import Bucket, followed_share, staged_load
from tests.sandbox.test_javascript_client import command, need_node
from tools.cluster.services import Component, free_port, listens, wait_for

VERSION = "3.37.0"
PAGE = 50  # the service itself gives 5,000 in one answer
ACCOUNT = "devstoreaccount1"
# Of the account that every Azurite has; it is published, and no secret.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

pytestmark = [
    pytest.mark.long,
    pytest.mark.xdist_group("azure"),
    pytest.mark.skipif(
        importlib.util.find_spec("adlfs") is None and not os.environ.get("CI"),
        reason="make test-long installs adlfs",
    ),
]


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The connection string of an account."""
    need_node()
    home = tmp_path_factory.mktemp("azurite")
    options = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock")
    command("npm", "install", *options, f"azurite@{VERSION}", at=home)
    port = free_port()
    words = ["--blobPort", str(port), "--inMemoryPersistence", "--disableTelemetry", "--skipApiVersionCheck"]
    program = str(home / "node_modules/.bin/azurite-blob")
    server = Component("azurite", [program, *words, "--silent"], dict(os.environ), home / "azurite.log")
    server.start()
    try:
        wait_for("Azurite", lambda: listens(port), 60, [server])
        yield (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
            f"BlobEndpoint=http://127.0.0.1:{port}/{ACCOUNT};"
        )
    finally:
        server.stop()


@pytest.fixture
def bucket(azurite: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    from azure.storage.blob import BlobServiceClient
    from azure.storage.blob.aio import ContainerClient

    logging.getLogger("azure").setLevel(logging.WARNING)  # it tells of each request
    monkeypatch.setattr(
        ContainerClient, "walk_blobs", partialmethod(ContainerClient.walk_blobs, results_per_page=PAGE)
    )
    connection = {"conn_type": "wasb", "extra": {"connection_string": azurite}}
    monkeypatch.setenv("AIRFLOW_CONN_SHARE", json.dumps(connection))
    with BlobServiceClient.from_connection_string(azurite) as service:
        container = service.create_container("share")
        yield Bucket(
            "abfs",
            lambda name, data: container.upload_blob(name, data, overwrite=True),
            container.delete_blob,
            page=PAGE,
        )
        container.delete_container()


def test_a_container_is_followed(bucket: Bucket, connected: Sandbox, tmp_path: Path) -> None:
    """Of folders whose files the library's own list leaves out, too."""
    followed_share(bucket, connected, tmp_path)


def test_a_load_is_staged_in_a_container(bucket: Bucket, connected: Sandbox) -> None:
    staged_load(bucket, connected)


def test_an_account_and_its_key_make_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library wants the account's name in the connection's extra as well."""
    fields: dict[str, Any] = {"conn_type": "wasb", "login": ACCOUNT, "password": KEY}
    monkeypatch.setenv("AIRFLOW_CONN_ACCOUNT", json.dumps({**fields, "extra": {"account_name": ACCOUNT}}))
    storage: Any = ObjectStoragePath("abfs://account@share/docs").fs

    assert (storage.account_name, storage.account_key) == (ACCOUNT, KEY)

    monkeypatch.setenv("AIRFLOW_CONN_NAMELESS", json.dumps(fields))
    with pytest.raises(ValueError, match="account_name"):
        _ = ObjectStoragePath("abfs://nameless@share/docs").fs

"""Somebody else's client works unchanged but for its host."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from push_api_clientpy import DocumentBuilder, Source
from push_api_clientpy.platformclient import BatchDelete
from push_api_clientpy.source import BatchUpdate

from coveo_provider.sandbox import Sandbox


class Rehost(requests.Session):
    """Sends what is meant for Coveo's hosts to the sandbox; nothing else is changed."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__()
        self.trust_env = False
        self._url = sandbox.url

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        assert isinstance(url, str)
        for host in ("https://api.cloud.coveo.com", "https://platform.cloud.coveo.com"):
            url = url.replace(host, self._url)
        return super().request(method, url, *args, **kwargs)


@pytest.fixture
def client(sandbox: Sandbox) -> Source:
    source = Source(sandbox.api_key, sandbox.organization_id)
    source.client.session = Rehost(sandbox)
    return source


def document(name: str) -> DocumentBuilder:
    return DocumentBuilder(f"https://example.com/{name}", name).withMetadata({"tags": ["a", "b"], "size": 3})


def test_the_python_client_pushes(sandbox: Sandbox, client: Source) -> None:
    """coveo-push-api-client.py creates a source, pushes one item and a batch, and deletes."""
    source_id = client.create("from the client", "SECURED").json()["id"]
    assert client.addOrUpdateDocument(source_id, document("one").withData("text")).status_code == 202
    compressed = document("two").withCompressedBinaryData("eJwrBgAAdAB0", "ZLIB")
    batch = BatchUpdate(
        addOrUpdate=[document("three").withData("text"), compressed],
        delete=[BatchDelete("https://example.com/one", False)],
    )
    assert client.batchUpdateDocuments(source_id, batch).status_code == 202
    sandbox.settle()
    held = sandbox.items(source_id)
    assert sorted(held) == ["https://example.com/three", "https://example.com/two"]
    assert held["https://example.com/two"]["compressionType"] == "ZLIB"
    assert held["https://example.com/three"]["tags"] == ["a", "b"]
    assert client.client.deleteDocument(source_id, "https://example.com/", True).status_code == 202
    sandbox.settle()
    assert sandbox.count(source_id) == 0

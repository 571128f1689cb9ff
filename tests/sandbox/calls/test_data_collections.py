"""Data collections: the six calls of the published description that no other page knows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from coveo_provider.sandbox import Answer, Sandbox
from coveo_provider.sandbox.cli import parser
from tests.sandbox.caller import Caller, items, refusal

NOW = "1700000000000"
CALLS = [
    ("POST", "open"),
    ("POST", "some-stream/chunk"),
    ("POST", "some-stream/close"),
    ("PUT", "update"),
    ("PUT", "merge"),
    ("POST", f"deleteolderthan/{NOW}"),
]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start(sources={"stock": "DATA_COLLECTION", "products": "CATALOG"}) as running:
        yield running


class Collection(Caller):
    """A caller of one data collection."""

    def stream(self, method: str, path: str, **query: Any) -> requests.Response:
        return self.push(method, f"/data-collections/stock/stream/{path}", params=query)

    def submit(self, call: str, content: object) -> requests.Response:
        return self.stream("PUT", call, fileId=self.container(content))


@pytest.fixture
def stock(sandbox: Sandbox) -> Collection:
    return Collection(sandbox)


def test_a_load_replaces_it(sandbox: Sandbox, stock: Collection) -> None:
    """Open, chunk and close do on a data collection what they do on a stream source."""
    stock.submit("update", items("stock://old"))
    stream = stock.stream("POST", "open")
    stream_id = stream.json()["streamId"]
    chunk = stock.stream("POST", f"{stream_id}/chunk")
    stock.upload(chunk.json(), items("stock://1"))
    closed = stock.stream("POST", f"{stream_id}/close")
    sandbox.settle()
    assert [one.status_code for one in (stream, chunk, closed)] == [201, 200, 200]
    assert sandbox.ordering_id("stock", "stock://1") == int(closed.json()["orderingId"])
    assert list(sandbox.items("stock")) == ["stock://1"]


def test_updates_merges_and_the_end_of_a_refresh(sandbox: Sandbox, stock: Collection) -> None:
    """Update, merge and deleteolderthan likewise."""
    stock.submit("update", items("stock://1", "stock://old", left=5, place="A"))
    sandbox.settle()
    merged = stock.submit("merge", {"addOrMerge": [{"documentId": "stock://1", "left": 4}]})
    older = stock.stream("POST", f"deleteolderthan/{merged.json()['orderingId']}", queueDelay=0)
    sandbox.settle()
    assert (merged.status_code, older.status_code) == (202, 201)
    assert sandbox.items("stock") == {"stock://1": {"documentId": "stock://1", "left": 4, "place": "A"}}


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_a_source_is_no_data_collection_and_the_other_way_round(
    caller: Caller, method: str, path: str
) -> None:
    """Neither kind is reached by the other's calls; both say 412, as for an id that does not exist."""
    for place in ("/data-collections/products", "/data-collections/none", "/sources/stock"):
        refused = caller.push(method, f"{place}/stream/{path}", params={"fileId": "x"})
        assert refusal(refused) == (412, "SOURCE_DOES_NOT_EXIST"), place


def test_nothing_else_knows_it(sandbox: Sandbox, caller: Caller) -> None:
    """The Push API does not take its id, the platform neither lists nor describes nor links it."""
    refused = caller.put("stock://1", source="stock")
    assert refusal(refused) == (412, "SOURCE_DOES_NOT_EXIST")
    refused = caller.push("POST", "/sources/stock/status", params={"statusType": "REBUILD"})
    assert refusal(refused) == (412, "SOURCE_DOES_NOT_EXIST")
    assert [one["id"] for one in caller.rest("GET", "/sources").json()] == ["products"]
    assert caller.rest("GET", "/sources/pages").json()["totalEntries"] == 1
    assert refusal(caller.rest("GET", "/sources/stock"))[0] == 404
    assert refusal(caller.rest("DELETE", "/sources/stock"))[0] == 404
    body = {"name": "New", "sourceType": "DATA_COLLECTION"}
    assert refusal(caller.rest("POST", "/sources", json=body)) == (400, "INVALID_JSON")
    with pytest.raises(ValueError, match="no source 'stock'"):
        sandbox.add_security_provider("Directory", sources=["stock"])


def test_a_fault_can_be_for_it_alone(sandbox: Sandbox, stock: Collection) -> None:
    """The routes have the names of the Stream API's, and a part of the path tells them apart."""
    sandbox.faults.add(action=Answer(503), route="stream.open", path="/data-collections/")
    assert stock.push("POST", "/sources/products/stream/open").status_code == 201
    assert stock.stream("POST", "open").status_code == 503


def test_it_outlives_the_sandbox(tmp_path: Any) -> None:
    """A database keeps it for what it is, and the command line takes it by its kind."""
    options = parser().parse_args(["--source", "stock:data_collection"])
    assert options.source == [("stock", "DATA_COLLECTION:SHARED")]
    database = str(tmp_path / "kept.sqlite")
    for calls in (1, 2):
        with Sandbox.start(database=database, sources=dict(options.source)) as running:
            Collection(running).submit("update", items(f"stock://{calls}"))
            running.settle()
            assert running.source("stock").kind == "DATA_COLLECTION"
            assert running.count("stock") == calls

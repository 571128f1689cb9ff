"""The client's calls on data collections, against the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from coveo_provider.api.client import CoveoClient
from coveo_provider.api.types import Accepted
from coveo_provider.errors import ConfigurationError, SourceRefused
from coveo_provider.sandbox import Cut, Sandbox, Truncate
from tests.api.conftest import KEY
from tests.api.test_client import HOUR, items, upload


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start(sources={"stock": "DATA_COLLECTION"}, api_key=KEY) as sandbox:
        yield sandbox


def load(client: CoveoClient, content: Any) -> Accepted:
    stream = client.open_collection_stream("stock")
    upload(client, client.request_collection_chunk("stock", stream.stream_id), content)
    return client.close_collection_stream("stock", stream.stream_id)


def test_a_load_replaces_the_collection(client: CoveoClient, sandbox: Sandbox) -> None:
    """Open, chunk, close: what the stream did not bring is gone."""
    load(client, items("stock://1", "stock://2"))
    sandbox.settle()
    accepted = load(client, items("stock://2"))
    sandbox.settle()
    assert list(sandbox.items("stock")) == ["stock://2"]
    assert accepted.ordering_id == sandbox.ordering_id("stock", "stock://2")


def test_update_and_merge(client: CoveoClient, sandbox: Sandbox) -> None:
    """Both submit a container and tell their orderingId."""
    first = client.update_collection(
        "stock", upload(client, client.create_file_container(), items("stock://1", left=5, place="A"))
    )
    merge = {"addOrMerge": [{"documentId": "stock://1", "left": 4}]}
    second = client.merge_collection("stock", upload(client, client.create_file_container(), merge))
    sandbox.settle()
    assert sandbox.items("stock")["stock://1"] == {"documentId": "stock://1", "left": 4, "place": "A"}
    assert first.ordering_id
    assert second.ordering_id
    assert first.ordering_id < second.ordering_id


def test_a_refresh_deletes_the_rest(client: CoveoClient, sandbox: Sandbox) -> None:
    """The orderingId of the first update is the mark; the server tells the time, though by a refusal."""
    load(client, items("stock://old"))
    sandbox.settle()
    accepted = client.update_collection(
        "stock", upload(client, client.create_file_container(), items("stock://new"))
    )
    assert accepted.ordering_id
    client.delete_collection_items_older_than("stock", accepted.ordering_id, queue_delay=0)
    sandbox.settle()
    assert list(sandbox.items("stock")) == ["stock://new"]


def test_a_mark_in_the_future_is_not_sent(client: CoveoClient, sandbox: Sandbox) -> None:
    """The error names the collection; nothing but the time was asked for."""
    mark = client.server_time_ms("stock") + HOUR
    with pytest.raises(
        ConfigurationError, match=r"data collection stock: the mark \d{13} lies 3,\d+ s ahead"
    ):
        client.delete_collection_items_older_than("stock", mark)
    assert {call.route for call in sandbox.calls} == {"platform.source.get"}
    assert sandbox.source("stock").floor is None


@pytest.mark.parametrize("fault", [Cut("after"), Truncate(keep=3)])
def test_a_lost_answer_to_close_is_recognised(client: CoveoClient, sandbox: Sandbox, fault: Any) -> None:
    """As for a stream of a source."""
    sandbox.faults.add(action=fault, route="stream.close")
    assert load(client, items("stock://1")) == Accepted(None, "")
    sandbox.settle()
    assert list(sandbox.items("stock")) == ["stock://1"]


def test_a_collection_that_is_none_is_refused(client: CoveoClient, sandbox: Sandbox) -> None:
    """The ids of sources and of data collections are not interchangeable."""
    sandbox.add_source("products", kind="CATALOG")
    with pytest.raises(SourceRefused, match="/data-collections/products/stream/open answered 412"):
        client.open_collection_stream("products")
    with pytest.raises(SourceRefused, match="/sources/stock/stream/open answered 412"):
        client.open_stream("stock")

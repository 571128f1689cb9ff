"""Stream sources: loads, updates, merges, delete-older (docs lb4a0344, p4eb0129)."""

from __future__ import annotations

from pathlib import Path

import pytest

from coveo_provider.sandbox import Limits, Sandbox
from tests.sandbox.caller import Caller, items, problems, refusal


def test_a_load_brings_all_chunks_at_close(sandbox: Sandbox, caller: Caller) -> None:
    """Nothing of a stream is applied before its close, then everything at once."""
    stream = caller.open()
    for uri in ("product://1", "product://2"):
        caller.upload(caller.chunk(stream["streamId"]).json(), items(uri))
    sandbox.settle()
    assert sandbox.count("products") == 0
    assert sandbox.source("products").open_stream == stream["streamId"]

    response = caller.close(stream["streamId"])

    sandbox.drain()
    assert sorted(sandbox.items("products")) == ["product://1", "product://2"]
    assert response.status_code == 200
    answer = response.json()
    assert set(answer) == {"orderingId", "requestId"}
    assert len(answer["orderingId"]) == 13
    assert sandbox.ordering_id("products", "product://1") == int(answer["orderingId"])
    assert sandbox.source("products").open_streams == ()


def test_the_container_of_open_may_be_used_or_not(sandbox: Sandbox, caller: Caller) -> None:
    """Official clients leave it unused, the documentation uses it, and a last chunk may stay empty."""
    stream = caller.open()
    caller.upload(stream, items("product://1"))
    caller.chunk(stream["streamId"])
    caller.close(stream["streamId"])
    sandbox.settle()
    assert list(sandbox.items("products")) == ["product://1"]


def test_a_load_removes_absent_items_fifteen_minutes_later(sandbox: Sandbox, caller: Caller) -> None:
    """What a load did not bring stays for 15 minutes, then goes."""
    caller.load(items("product://old", "product://kept"))
    sandbox.settle()
    caller.load(items("product://kept", "product://new"))
    sandbox.drain()
    assert sorted(sandbox.items("products")) == ["product://kept", "product://new", "product://old"]
    sandbox.clock.advance(seconds=899)
    sandbox.drain()
    assert sandbox.count("products") == 3
    sandbox.clock.advance(seconds=2)
    sandbox.drain()
    assert sorted(sandbox.items("products")) == ["product://kept", "product://new"]


def test_an_item_updated_after_the_close_survives(sandbox: Sandbox, caller: Caller) -> None:
    """The late deletion of a load spares what was updated in between."""
    caller.load(items("product://old"))
    sandbox.settle()
    caller.load(items("product://new"))
    caller.update(items("product://old"))
    sandbox.settle()
    assert sorted(sandbox.items("products")) == ["product://new", "product://old"]


def test_an_empty_load_empties_the_source(sandbox: Sandbox, caller: Caller) -> None:
    """A stream closed without content deletes everything."""
    caller.load(items("product://1"))
    sandbox.settle()
    caller.load()
    sandbox.settle()
    assert sandbox.items("products") == {}


def test_a_catalog_configuration_protects_from_an_empty_load(sandbox: Sandbox, caller: Caller) -> None:
    """With a catalog configuration the deletion of everything is skipped, and the log says so."""
    sandbox.add_source("shop", kind="CATALOG", catalog_configuration=True)
    caller.load(items("product://1"), source="shop")
    sandbox.settle()
    caller.load(source="shop")
    sandbox.settle()
    assert list(sandbox.items("shop")) == ["product://1"]
    assert problems(sandbox, "shop") == [("CONSUMING", "DELETE_OLDER_THAN", "SKIPPED", "shop")]


def test_a_catalog_configuration_still_loses_some(sandbox: Sandbox, caller: Caller) -> None:
    """The protection is against losing all, not against losing most."""
    sandbox.add_source("shop", kind="CATALOG", catalog_configuration=True)
    caller.load(items("product://1", "product://2"), source="shop")
    sandbox.settle()
    caller.load(items("product://2", "product://3"), source="shop")
    sandbox.settle()
    assert sorted(sandbox.items("shop")) == ["product://2", "product://3"]


@pytest.mark.parametrize("brought", [(), ("product://3",)])
@pytest.mark.parametrize("later", [(), ("product://1",), ("product://4",), ("product://1", "product://4")])
def test_what_comes_after_a_close_does_not_end_the_protection(
    sandbox: Sandbox, caller: Caller, brought: tuple[str, ...], later: tuple[str, ...]
) -> None:
    """What counts is all that existed at the close; neither new items of the load nor later ones matter."""
    sandbox.add_source("shop", kind="CATALOG", catalog_configuration=True)
    caller.load(items("product://1", "product://2"), source="shop")
    sandbox.settle()
    caller.load(items(*brought), source="shop")
    if later:
        caller.update(items(*later, size=2), source="shop")
    sandbox.settle()
    assert set(sandbox.items("shop")) == {"product://1", "product://2", *brought, *later}
    assert ("CONSUMING", "DELETE_OLDER_THAN", "SKIPPED", "shop") in problems(sandbox, "shop")


def test_half_a_load_removes_nothing(tmp_path: Path) -> None:
    """A load that was accepted and is lost with the sandbox takes nothing along when it starts again."""
    database = str(tmp_path / "kept.sqlite")
    with Sandbox.start(database=database) as sandbox:
        caller = Caller(sandbox)
        caller.load(items("product://1"))
        sandbox.settle()
        pipeline = sandbox.state.pipeline

        def waits_for_the_stop() -> None:
            with pipeline._changed:
                pipeline._changed.wait_for(lambda: pipeline.stopped, 30)

        pipeline.submit(waits_for_the_stop)
        caller.load(items("product://2"))
    with Sandbox.start(database=database) as again:
        again.settle()
        assert list(again.items("products")) == ["product://1"]


@pytest.mark.parametrize("call", ["chunk", "close"])
def test_a_stream_closes_once(sandbox: Sandbox, caller: Caller, call: str) -> None:
    """A closed stream takes neither chunk nor close, nor does one that never was."""
    stream_id = caller.open()["streamId"]
    caller.close(stream_id)
    assert refusal(getattr(caller, call)(stream_id)) == (412, "INVALID_STREAM_ID")
    assert refusal(getattr(caller, call)("nothing")) == (412, "INVALID_STREAM_ID")


def test_a_stream_belongs_to_its_source(sandbox: Sandbox, caller: Caller) -> None:
    """A stream of one source cannot be closed on another."""
    sandbox.add_source("shop", kind="CATALOG")
    assert refusal(caller.close(caller.open()["streamId"], "shop")) == (412, "INVALID_STREAM_ID")


def test_a_bad_chunk_is_only_in_the_log(sandbox: Sandbox, caller: Caller) -> None:
    """A chunk that is no JSON gets 2xx on every call, an error in the log, and its items are missing."""
    assert caller.load(items("product://1"), b'{"addOrUpdate": [').status_code == 200
    sandbox.settle()
    assert list(sandbox.items("products")) == ["product://1"]
    assert [one[:3] for one in problems(sandbox, "products")] == [("STREAMING", "BATCH_FILE", "ERROR")]


def test_an_update_replaces_whole_items(sandbox: Sandbox, caller: Caller) -> None:
    """Metadata left out of a full update disappears; other items stay."""
    caller.load(items("product://1", "product://2", color="red", size=1))
    response = caller.update(
        {
            "AddOrUpdate": [{"DocumentId": "product://1", "color": "blue"}],
            "delete": [{"documentId": "product://2"}],
        }
    )
    sandbox.settle()
    assert response.status_code == 202
    assert set(response.json()) == {"orderingId", "requestId"}
    assert sandbox.items("products") == {"product://1": {"documentId": "product://1", "color": "blue"}}


def test_a_merge_keeps_what_it_does_not_name(sandbox: Sandbox, caller: Caller) -> None:
    """Merged fields replace stored ones whole, whatever their case; others stay; unknown items are made."""
    caller.load(items("product://1", Color="red", sizes=[1, 2]))
    response = caller.merge(
        {
            "addOrMerge": [
                {"documentId": "product://1", "color": "blue", "sizes": [3]},
                {"documentId": "product://2", "color": "green"},
            ]
        }
    )
    sandbox.settle()
    assert response.status_code == 202
    assert sandbox.items("products") == {
        "product://1": {"documentId": "product://1", "Color": "blue", "sizes": [3]},
        "product://2": {"documentId": "product://2", "color": "green"},
    }


@pytest.mark.parametrize(("call", "key"), [("update", "addOrMerge"), ("merge", "addOrUpdate")])
def test_update_and_merge_read_their_own_arrays(
    sandbox: Sandbox, caller: Caller, call: str, key: str
) -> None:
    """A container of the other kind is an error in the log."""
    getattr(caller, call)({key: [{"documentId": "product://1"}]})
    sandbox.settle()
    assert sandbox.count("products") == 0
    assert [one[:3] for one in problems(sandbox, "products")] == [
        ("STREAMING_EXTENSION", "BATCH_FILE", "ERROR")
    ]


def test_delete_older_ends_a_refresh_by_updates(sandbox: Sandbox, caller: Caller) -> None:
    """With the first update's orderingId, deleteolderthan leaves what the refresh brought."""
    caller.load(items("product://gone", "product://kept"))
    sandbox.settle()
    first = caller.update(items("product://kept")).json()["orderingId"]
    caller.update(items("product://new"))
    response = caller.push("POST", f"/sources/products/stream/deleteolderthan/{first}")
    assert response.status_code == 201
    sandbox.drain()
    assert sandbox.count("products") == 3
    sandbox.settle()
    assert sorted(sandbox.items("products")) == ["product://kept", "product://new"]


def test_ordering_ids_of_the_server_go_up(sandbox: Sandbox, caller: Caller) -> None:
    """No two calls get the same orderingId, however fast they come."""
    ids = [int(caller.update(items("product://1")).json()["orderingId"]) for _ in range(10)]
    assert ids == sorted(set(ids))


def test_stream_limits(caller: Caller) -> None:
    """An item over its size, or over the number of a source, is rejected by itself; the rest is indexed."""
    with Sandbox.start(limits=Limits(stream_items=2, stream_item_bytes=100)) as small:
        one = Caller(small)
        one.load(items("product://1", "product://2", "product://3"))
        one.update(items("product://1", text="x" * 100))
        small.settle()
        assert sorted(small.items("products")) == ["product://1", "product://2"]
        assert problems(small, "products") == [
            ("CONSUMING", "ADD", "REJECTED", "product://3"),
            ("CONSUMING", "ADD", "REJECTED", "product://1"),
        ]
        one.load(items("product://5"), items("product://6", "product://5"), items("product://7"))
        small.settle()
        assert sorted(small.items("products")) == ["product://5", "product://6"]


def test_a_load_ignores_delete(sandbox: Sandbox, caller: Caller) -> None:
    """``delete`` in a load does nothing but a warning: its effect is documented nowhere."""
    caller.load({**items("product://1"), "delete": [{"documentId": "product://1"}]})
    sandbox.settle()
    assert list(sandbox.items("products")) == ["product://1"]
    assert [one[2] for one in problems(sandbox, "products")] == ["WARNING"]


def test_the_flags_of_a_source_say_what_it_takes(sandbox: Sandbox, caller: Caller) -> None:
    """A Catalog source that is push-enabled takes items and statuses, a stream-enabled Push source streams."""
    sandbox.add_source("shop", kind="CATALOG", push_enabled=True)
    sandbox.add_source("feed", kind="PUSH", stream_enabled=True)
    sandbox.add_source("closed", kind="PUSH", push_enabled=False)
    for source in ("shop", "feed"):
        status = caller.push("POST", f"/sources/{source}/status", params={"statusType": "REBUILD"})
        assert status.status_code == 201
        assert caller.put("file://single", source=source).status_code == 202
        assert caller.batch(items("file://batch"), source).status_code == 202
        assert caller.update(items("product://1"), source).status_code == 202
        assert (
            caller.merge({"addOrMerge": [{"documentId": "product://1", "a": 1}]}, source).status_code == 202
        )
        sandbox.settle()
        assert sorted(sandbox.items(source)) == ["file://batch", "file://single", "product://1"]
        assert caller.load(items("product://2"), source=source).status_code == 200
        sandbox.settle()
        assert list(sandbox.items(source)) == ["product://2"]
        model = caller.rest("GET", f"/sources/{source}").json()
        assert (model["pushEnabled"], model["streamEnabled"]) == (True, True)
    # An item by a Push call is held to the rules of items, whatever the source is called.
    assert ("PROCESSING", "ADD", "WARNING", "file://batch") in problems(sandbox, "shop")
    assert ("PROCESSING", "ADD", "WARNING", "product://1") not in problems(sandbox, "shop")
    assert refusal(caller.put("file://a", source="closed")) == (412, "INVALID_SOURCE_ID")
    assert refusal(caller.update(items("product://1"), "closed")) == (412, "INVALID_SOURCE_ID")
    body = {"sourceType": "CATALOG", "name": "New", "pushEnabled": True, "streamEnabled": True}
    made = caller.rest("POST", "/sources", json={**body, "sourceVisibility": "SHARED"}).json()["id"]
    assert caller.put("file://a", source=made).status_code == 202
    assert caller.call("POST", "/_sandbox/sources", json={"id": "other", "stream_enabled": True}).ok
    assert caller.update(items("product://1"), "other").status_code == 202
    assert caller.call("POST", "/_sandbox/sources", json={"id": "x", "push_enabled": 1}).status_code == 400

"""Every method of the client against the sandbox, by what the index holds afterwards."""

from __future__ import annotations

import io
import json
import time
from typing import Any

import pytest

from coveo_provider.api.client import CoveoClient
from coveo_provider.api.types import Accepted, FileContainer, SourceStatus
from coveo_provider.errors import (
    AccessDenied,
    AuthenticationError,
    CloseUnknown,
    ConfigurationError,
    DocumentError,
    NotFound,
    SourceRefused,
)
from coveo_provider.sandbox import Answer, Cut, Sandbox, Truncate
from tests.api.conftest import ClientMaker

HOUR = 3_600_000


def upload(client: CoveoClient, container: FileContainer, content: Any) -> str:
    body = json.dumps(content).encode()
    client.upload(container, io.BytesIO(body), len(body))
    return container.file_id


def items(*uris: str, **metadata: Any) -> dict[str, Any]:
    return {"addOrUpdate": [{"documentId": uri, **metadata} for uri in uris]}


def load(client: CoveoClient, *chunks: Any, source: str = "products") -> Accepted:
    stream = client.open_stream(source)
    for chunk in chunks:
        upload(client, client.request_chunk(source, stream.stream_id), chunk)
    return client.close_stream(source, stream.stream_id)


# Push


def test_one_item_is_put_and_deleted(client: CoveoClient, sandbox: Sandbox) -> None:
    """put_item makes an item, delete_item takes it away and leaves the others."""
    client.put_item("files", "file://a", b'{"data":"text","title":"A"}')
    client.put_item("files", "file://b", b'{"data":"text"}')
    sandbox.settle()
    assert sandbox.items("files")["file://a"]["title"] == "A"

    client.delete_item("files", "file://a")
    sandbox.settle()
    assert list(sandbox.items("files")) == ["file://b"]


def test_children_go_only_when_asked(client: CoveoClient, sandbox: Sandbox) -> None:
    """delete_children takes along whatever starts with the id."""
    for uri in ("file://a", "file://a/1", "file://b"):
        client.put_item("files", uri, b'{"data":"text"}')
    client.delete_item("files", "file://b/none", delete_children=False)
    client.delete_item("files", "file://a", delete_children=True)
    sandbox.settle()
    assert list(sandbox.items("files")) == ["file://b"]


@pytest.mark.parametrize(
    "uri",
    [
        "https://example.com/?a=1&b=2#part",
        "file://with space/and+plus/100%25",
        "file://Zürich/東京/🙂",
        "file://semi;colon,comma='quote'",
    ],
)
def test_an_id_arrives_as_it_is(client: CoveoClient, sandbox: Sandbox, uri: str) -> None:
    """Nothing in a documentId breaks out of the query, or is decoded twice."""
    client.put_item("files", uri, b'{"data":"text"}')
    assert sandbox.calls[-1].query == {"documentId": uri}
    assert sandbox.calls[-1].status == 202


@pytest.mark.parametrize("uri", ["", "  ", None, 5, "file://\ud800"])
def test_an_id_that_is_none_is_refused_before_the_call(
    client: CoveoClient, sandbox: Sandbox, uri: Any
) -> None:
    """An empty id, or one that is no text, is a DocumentError and no call."""
    with pytest.raises(DocumentError):
        client.put_item("files", uri, b"{}")
    with pytest.raises(DocumentError):
        client.delete_item("files", uri, delete_children=True)
    assert sandbox.calls == []


def test_a_compression_is_spelled_as_the_api_wants_it(client: CoveoClient, sandbox: Sandbox) -> None:
    """Any case is taken and upper case sent; an unknown one is refused here."""
    client.put_item(
        "files", "file://a", b'{"compressedBinaryData":"aGVsbG8="}', compression_type="uncompressed"
    )
    assert sandbox.calls[-1].query["compressionType"] == "UNCOMPRESSED"
    with pytest.raises(ConfigurationError, match="expected one of UNCOMPRESSED"):
        client.put_item("files", "file://a", b"{}", compression_type="zip")
    assert len(sandbox.calls) == 1


def test_a_batch_adds_and_deletes(client: CoveoClient, sandbox: Sandbox) -> None:
    """push_batch submits a container of both."""
    client.push_batch("files", upload(client, client.create_file_container(), items("file://a", "file://b")))
    batch = {**items("file://c"), "delete": [{"documentId": "file://a"}]}
    client.push_batch("files", upload(client, client.create_file_container(), batch))
    sandbox.settle()
    assert sorted(sandbox.items("files")) == ["file://b", "file://c"]


def test_an_ordering_id_travels_along(client: CoveoClient, sandbox: Sandbox) -> None:
    """The items get the orderingId that was given; an older one changes nothing."""
    now = client.server_time_ms("files")
    client.put_item("files", "file://a", b'{"data":"new"}', ordering_id=now - 5_000)
    client.push_batch(
        "files",
        upload(client, client.create_file_container(), items("file://a", data="old")),
        ordering_id=now - 6_000,
    )
    client.delete_item("files", "file://a", ordering_id=now - 7_000)
    sandbox.settle()
    assert sandbox.items("files")["file://a"]["data"] == "new"
    assert sandbox.ordering_id("files", "file://a") == now - 5_000


@pytest.mark.parametrize("status", list(SourceStatus))
def test_the_status_is_set(client: CoveoClient, sandbox: Sandbox, status: SourceStatus) -> None:
    """Every status is taken, as member and as text in any case."""
    client.set_source_status("files", status)
    assert sandbox.source("files").status == status.value
    client.set_source_status("files", status.value.lower())
    assert sandbox.calls[-1].query == {"statusType": status.value}


def test_an_unknown_status_names_rescan(client: CoveoClient, sandbox: Sandbox) -> None:
    """The console's word Rescan is explained, and nothing is sent."""
    with pytest.raises(ConfigurationError, match=r"'RESCAN'.*IDLE.*Rescan is REFRESH"):
        client.set_source_status("files", "RESCAN")
    assert sandbox.calls == []


def test_a_rebuild_leaves_what_was_pushed_after_the_mark(client: CoveoClient, sandbox: Sandbox) -> None:
    """The mark of set_source_status deletes the old items and keeps every new one."""
    client.put_item("files", "file://old", b'{"data":"text"}')
    sandbox.settle()
    sandbox.clock.advance(seconds=60)
    mark = client.set_source_status("files", "REBUILD")
    client.put_item("files", "file://new", b'{"data":"text"}')
    client.delete_items_older_than("files", mark)
    sandbox.settle()
    assert list(sandbox.items("files")) == ["file://new"]


def test_the_delay_is_the_services_own_limit(client: CoveoClient, sandbox: Sandbox) -> None:
    """0 and a day are taken; beyond that the service refuses, and says so."""
    mark = client.set_source_status("files", "REBUILD")
    for delay in (0, 1_440):
        client.delete_items_older_than("files", mark, queue_delay=delay)
        assert sandbox.calls[-1].query == {"orderingId": str(mark), "queueDelay": str(delay)}
    with pytest.raises(SourceRefused) as caught:
        client.delete_items_older_than("files", mark, queue_delay=1_441)
    assert caught.value.code == "INVALID_PARAMETER"


@pytest.mark.parametrize("delay", [-1, True, 1.5, "15", None, pytest.param(10**5000, id="huge")])
def test_a_delay_that_is_none_is_refused(client: CoveoClient, sandbox: Sandbox, delay: Any) -> None:
    """A delay is whole minutes, 0 or more."""
    with pytest.raises(ConfigurationError, match="queue_delay"):
        client.delete_items_older_than("files", 1_767_225_600_000, queue_delay=delay)
    with pytest.raises(ConfigurationError, match="queue_delay"):
        client.delete_stream_items_older_than("products", 1_767_225_600_000, queue_delay=delay)
    assert sandbox.calls == []


# Stream


def test_a_load_replaces_the_source(client: CoveoClient, sandbox: Sandbox) -> None:
    """What the chunks of a closed stream do not hold is gone."""
    load(client, items("product://1", "product://2"))
    sandbox.settle()
    accepted = load(client, items("product://2"), items("product://3"))
    sandbox.settle()
    assert sorted(sandbox.items("products")) == ["product://2", "product://3"]
    assert accepted.ordering_id == sandbox.ordering_id("products", "product://3")
    assert accepted.request_id


def test_the_container_of_open_can_be_used(client: CoveoClient, sandbox: Sandbox) -> None:
    """open_stream hands out a stream and a first container of it."""
    stream = client.open_stream("products")
    upload(client, stream.container, items("product://1"))
    client.close_stream("products", stream.stream_id)
    sandbox.settle()
    assert list(sandbox.items("products")) == ["product://1"]


def test_update_and_merge(client: CoveoClient, sandbox: Sandbox) -> None:
    """update_stream replaces items, merge_stream their named fields; both say their orderingId."""
    first = client.update_stream(
        "products",
        upload(client, client.create_file_container(), items("product://1", colour="red", size=1)),
    )
    second = client.merge_stream(
        "products",
        upload(
            client,
            client.create_file_container(),
            {"addOrMerge": [{"documentId": "product://1", "size": 2}]},
        ),
    )
    sandbox.settle()
    item = sandbox.items("products")["product://1"]
    assert (item["colour"], item["size"]) == ("red", 2)
    assert first.ordering_id is not None
    assert second.ordering_id is not None
    assert first.ordering_id < second.ordering_id


def test_a_refresh_by_updates_deletes_the_rest(client: CoveoClient, sandbox: Sandbox) -> None:
    """The orderingId of the first update is the mark for delete_stream_items_older_than."""
    load(client, items("product://old"))
    sandbox.settle()
    accepted = client.update_stream(
        "products", upload(client, client.create_file_container(), items("product://new"))
    )
    assert accepted.ordering_id is not None
    answer = client.delete_stream_items_older_than("products", accepted.ordering_id, queue_delay=0)
    sandbox.settle()
    assert list(sandbox.items("products")) == ["product://new"]
    assert answer.ordering_id is not None


# The platform


def test_a_source_is_described(client: CoveoClient, sandbox: Sandbox) -> None:
    """get_source tells kind, switches and the number of items."""
    load(client, items("product://1", "product://2"))
    sandbox.settle()
    source = client.get_source("products")
    assert (source.source_id, source.kind, source.document_count) == ("products", "CATALOG", 2)
    assert source.stream_enabled
    assert client.get_source("files").push_enabled


def test_sources_are_counted(client: CoveoClient) -> None:
    """count_sources asks for one entry and returns the total."""
    assert client.count_sources() == 2


# Marks


def test_the_mark_is_the_servers_time(
    client: CoveoClient, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker whose clock is hours off gets the same mark, and the same deletion."""
    client.put_item("files", "file://old", b'{"data":"text"}')
    sandbox.settle()
    sandbox.clock.advance(seconds=60)
    real = time.time
    for hours in (-7, 7):
        monkeypatch.setattr(time, "time", lambda shift=hours: real() + shift * 3600)
        mark = client.set_source_status("files", "REBUILD")
        assert 0 <= sandbox.clock.now_ms() - mark < 30_000
    client.put_item("files", "file://new", b'{"data":"text"}')
    client.delete_items_older_than("files", mark, queue_delay=0)
    sandbox.settle()
    assert list(sandbox.items("files")) == ["file://new"]


@pytest.mark.parametrize("hours", [1, 24, 24 * 365 * 100])
def test_a_mark_in_the_future_is_not_sent(client: CoveoClient, sandbox: Sandbox, hours: int) -> None:
    """It would make the source reject every push until then; the error says by how much it is ahead."""
    mark = client.server_time_ms("files") + hours * HOUR
    sandbox.clear_calls()
    with pytest.raises(ConfigurationError, match=r"source files: the mark \d{13} lies [\d,]+ s ahead"):
        client.delete_items_older_than("files", mark)
    with pytest.raises(ConfigurationError, match="source products: the mark"):
        client.delete_stream_items_older_than("products", mark)
    assert {call.route for call in sandbox.calls} == {"platform.source.get"}
    assert sandbox.source("files").floor is None


@pytest.mark.parametrize(
    "mark",
    [
        *(0, 1, -1_767_225_600_000, 1_767_225_600, 17_672_256_000_000, 1_767_225_600_000.0, True, None, ""),
        *("abc", "0767225600000", "١٧٦٧٢٢٥٦٠٠٠٠٠", b"1767225600000"),
        pytest.param(10**5000, id="5,000 digits"),
        pytest.param("9" * 10**6, id="a long text"),
    ],
)
def test_a_mark_has_thirteen_digits(client: CoveoClient, sandbox: Sandbox, mark: Any) -> None:
    """Anything else is refused without a call."""
    with pytest.raises(ConfigurationError, match="13 digits") as caught:
        client.delete_items_older_than("files", mark)
    assert len(str(caught.value)) < 500
    with pytest.raises(ConfigurationError, match="13 digits"):
        client.delete_stream_items_older_than("products", mark)
    assert sandbox.calls == []


def test_the_time_is_told_by_a_refusal_too(sandbox: Sandbox, make_client: ClientMaker) -> None:
    """A key that may only push cannot read sources, and still learns the server's time."""
    sandbox.add_key("push-only-key", privileges=("ORGANIZATION:VIEW", "SOURCE:EDIT"))
    client = make_client(sandbox.url, key="push-only-key", organization_id=sandbox.organization_id)
    with pytest.raises(AccessDenied, match=r"needs Sources \(View\)"):
        client.get_source("files")
    mark = client.set_source_status("files", "REBUILD")
    client.delete_items_older_than("files", mark, queue_delay=0)
    assert sandbox.calls[-1].status == 202


# Refusals


def test_a_wrong_key_is_an_authentication_error(sandbox: Sandbox, make_client: ClientMaker) -> None:
    """401 is not repeated, and says what to check."""
    client = make_client(sandbox.url, key="wrong-key", organization_id=sandbox.organization_id)
    with pytest.raises(AuthenticationError, match="IP allow-list") as caught:
        client.open_stream("products")
    assert caught.value.code == "INVALID_TOKEN"
    assert [call.status for call in sandbox.calls] == [401]


def test_a_missing_privilege_is_named(sandbox: Sandbox, make_client: ClientMaker) -> None:
    """403 says which privileges the call needs."""
    sandbox.add_key("view-key", privileges=("ORGANIZATION:VIEW",))
    client = make_client(sandbox.url, key="view-key", organization_id=sandbox.organization_id)
    with pytest.raises(AccessDenied, match=r"Organization \(View\) and Sources \(Edit\)"):
        client.open_stream("products")


def test_an_unknown_organization_and_source(sandbox: Sandbox, make_client: ClientMaker) -> None:
    """404 and 412 name what to check, and the route says which source it was."""
    with pytest.raises(NotFound, match=r"organization id .* and its region"):
        make_client(sandbox.url, organization_id="elsewhere").open_stream("products")
    client = make_client(sandbox.url, organization_id=sandbox.organization_id)
    with pytest.raises(SourceRefused, match="/sources/nowhere/stream/open answered 412"):
        client.open_stream("nowhere")
    with pytest.raises(SourceRefused, match="Push or Catalog"):
        client.open_stream("files")


def test_a_refusal_carries_the_request_id(client: CoveoClient, sandbox: Sandbox) -> None:
    """What Coveo's support asks for is on the error and in its message."""
    with pytest.raises(SourceRefused) as caught:
        client.open_stream("nowhere")
    assert caught.value.request_id
    assert caught.value.request_id in str(caught.value)
    assert sandbox.source("products").open_streams == ()


# A close whose answer is lost


@pytest.mark.parametrize("fault", [Cut("after"), Truncate(keep=3)])
def test_a_lost_answer_to_close_is_recognised(client: CoveoClient, sandbox: Sandbox, fault: Any) -> None:
    """The second close is refused as the stream is closed: that is the success of the first."""
    sandbox.faults.add(action=fault, route="stream.close")
    accepted = load(client, items("product://1"))
    sandbox.settle()
    assert accepted == Accepted(None, "")
    assert list(sandbox.items("products")) == ["product://1"]


def test_a_close_that_was_not_lost_is_refused(client: CoveoClient, sandbox: Sandbox) -> None:
    """Closing a stream that is not open is an error when no answer was lost."""
    stream = client.open_stream("products")
    client.close_stream("products", stream.stream_id)
    with pytest.raises(SourceRefused) as caught:
        client.close_stream("products", stream.stream_id)
    assert caught.value.after_lost_answer is False


def test_throttling_before_a_refused_close_is_no_lost_answer(client: CoveoClient, sandbox: Sandbox) -> None:
    """A 429 was certainly not carried out, so the refusal that follows is an error."""
    sandbox.faults.add(action=Answer.throttled(0), route="stream.close")
    with pytest.raises(SourceRefused):
        client.close_stream("products", "never-opened")


@pytest.mark.parametrize("sent_before", [False, True])
def test_a_source_that_is_gone_does_not_say_that_a_stream_was_closed(
    client: CoveoClient, sandbox: Sandbox, sent_before: bool
) -> None:
    """After a lost answer, a refusal that speaks of the source instead of the stream leaves it open."""
    if not sent_before:
        sandbox.faults.add(action=Answer(500), route="stream.close")
    with pytest.raises(CloseUnknown, match=r"stream some-stream of source nowhere.*SOURCE_DOES_NOT_EXIST"):
        client.close_stream("nowhere", "some-stream", sent_before=sent_before)


def test_a_close_that_did_not_happen_is_sent_again(client: CoveoClient, sandbox: Sandbox) -> None:
    """A cut before the close leaves the stream open, and the second attempt closes it."""
    sandbox.faults.add(action=Cut("before"), route="stream.close")
    accepted = load(client, items("product://1"))
    assert accepted.ordering_id is not None

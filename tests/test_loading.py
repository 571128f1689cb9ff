"""Spool and deliver: real Parquet parts into the sandbox, and what happens when it does not go well."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coveo_provider.api.client import CoveoClient
from coveo_provider.api.retries import RetryPolicy
from coveo_provider.api.types import FileContainer
from coveo_provider.documents.contract import STREAM_ITEM_BYTES, Section
from coveo_provider.documents.dataset.tables import Part
from coveo_provider.documents.encoding.chunks import Chunk, ChunkWriter
from coveo_provider.errors import (
    AccessDenied,
    CoveoError,
    DataError,
    DocumentError,
    PayloadTooLarge,
    Throttled,
    Unreachable,
    UploadRefused,
)
from coveo_provider.loading.deliveries import Delivery, deliver
from coveo_provider.loading.spooling import check, spool
from coveo_provider.report import Report
from coveo_provider.sandbox import Answer, Cut, ExpireUpload, Limits, Sandbox, Truncate

log = logging.getLogger(__name__)

PartMaker = Callable[..., Part]
S3_FAULT = Answer(503, "<Error><Code>SlowDown</Code></Error>", content_type="application/xml")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start(sources={"products": "CATALOG", "files": "PUSH"}) as sandbox:
        yield sandbox


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def client(sandbox: Sandbox, waits: list[float]) -> Iterator[CoveoClient]:
    policy = RetryPolicy(sleep=waits.append)
    with CoveoClient(sandbox.organization_id, sandbox.api_key, base_url=sandbox.url, policy=policy) as client:
        yield client


@pytest.fixture
def part(tmp_path: Path) -> Iterator[PartMaker]:
    with ExitStack() as stack:

        def make(name: str, **columns: list[Any]) -> Part:
            path = tmp_path / f"{name}.parquet"
            pq.write_table(pa.table(columns), path)
            return Part(stack.enter_context(path.open("rb")), name)

        yield make


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[ChunkWriter]:
    spools = tmp_path / "spools"
    spools.mkdir()
    with ChunkWriter(1_000, str(spools)) as writer:
        yield writer
    assert list(spools.iterdir()) == []


def uris(start: int, stop: int) -> list[str]:
    return [f"file://{n:04d}" for n in range(start, stop)]


def push(client: CoveoClient, chunk: Chunk) -> Delivery[None]:
    return deliver(
        client,
        chunk,
        container=client.create_file_container,
        submit=lambda file_id: client.push_batch("files", file_id),
        log=log.info,
    )


def one_chunk(writer: ChunkWriter, part: PartMaker, rows: int = 3) -> Chunk:
    documents = [part("one", documentId=uris(0, rows), data=["text"] * rows)]
    (chunk,) = spool(writer, {Section.ADD_OR_UPDATE: documents}, item_limit=STREAM_ITEM_BYTES, log=log.info)
    return chunk


def routes(sandbox: Sandbox) -> list[tuple[str, int]]:
    return [(call.route, call.status) for call in sandbox.calls]


# The happy path


def test_parts_become_chunks_become_items(
    client: CoveoClient, sandbox: Sandbox, writer: ChunkWriter, part: PartMaker
) -> None:
    """Two parts and deletions, in as many containers as they need; the index holds exactly the new set."""
    client.put_item("files", "file://gone", b'{"data":"text"}')
    client.put_item("files", "file://kept", b'{"data":"text"}')
    documents = [
        part("a", documentId=uris(0, 40), data=["text é"] * 40, size=list(range(40))),
        part("b", documentId=uris(40, 60), title=["T"] * 20),
    ]
    deletions = [part("gone", documentId=["file://gone"])]
    sandbox.clear_calls()

    chunks = spool(
        writer,
        {Section.ADD_OR_UPDATE: documents, Section.DELETE: deletions},
        item_limit=STREAM_ITEM_BYTES,
        log=log.info,
    )
    assert sandbox.calls == []
    report = Report(parts=["a", "b", "gone"])
    for chunk in chunks:
        delivery = push(client, chunk)
        report.count(chunk, None, delivery.moment)
    sandbox.settle()

    assert sorted(sandbox.items("files")) == [*uris(0, 60), "file://kept"]
    assert sandbox.items("files")["file://0007"]["size"] == 7
    assert len(chunks) > 2
    assert all(chunk.size <= 1_000 and chunk.size == chunk.path.stat().st_size for chunk in chunks)
    uploads = [call for call in sandbox.calls if call.route == "upload"]
    assert [call.content_length for call in uploads] == [chunk.size for chunk in chunks]
    assert report.mark is not None
    assert report.mark <= (sandbox.ordering_id("files", "file://0000") or 0)
    assert report.first == "file://0000"
    rest = {
        name: value for name, value in report.as_json().items() if name not in {"mark", "moment", "first"}
    }
    assert rest == {
        "parts": ["a", "b", "gone"],
        "documents": 60,
        "partial_updates": 0,
        "deletions": 1,
        "bytes": sum(chunk.size for chunk in chunks),
        "chunks": len(chunks),
        "ordering_ids": [],
        "api": "",
    }
    assert json.loads(json.dumps(report.as_json())) == report.as_json()


def test_chunks_of_a_stream_replace_the_source(
    client: CoveoClient, sandbox: Sandbox, writer: ChunkWriter, part: PartMaker
) -> None:
    """The same with containers of an open stream."""
    stream = client.open_stream("products")
    documents = [part("a", documentId=uris(0, 50))]
    for chunk in spool(
        writer, {Section.ADD_OR_UPDATE: documents}, item_limit=STREAM_ITEM_BYTES, log=log.info
    ):
        deliver(
            client,
            chunk,
            container=lambda: client.request_chunk("products", stream.stream_id),
            submit=lambda _: None,
            log=log.info,
        )
    client.close_stream("products", stream.stream_id)
    sandbox.settle()
    assert sorted(sandbox.items("products")) == uris(0, 50)


def test_what_submit_returns_is_returned(client: CoveoClient, writer: ChunkWriter, part: PartMaker) -> None:
    """The ordering id of an update reaches the caller."""
    accepted = deliver(
        client,
        one_chunk(writer, part),
        container=client.create_file_container,
        submit=lambda file_id: client.update_stream("products", file_id),
        log=log.info,
    ).answer
    assert accepted.ordering_id is not None


def test_no_parts_are_no_chunks(writer: ChunkWriter) -> None:
    """Nothing to send is nothing sent."""
    assert spool(writer, {}, item_limit=100, log=log.info) == []


# Before the first byte


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"documentId": [*uris(0, 200), "no uri"]}, "a URI such as"),
        ({"documentId": [*uris(0, 200), None]}, "documentId"),
        ({"documentId": [*uris(0, 200), "file://0007"]}, r"file://0007'? 2 times"),
        ({"documentId": uris(0, 200), "data": ["x"] * 199 + ["y" * 5_000]}, "over the limit of 3,000 bytes"),
    ],
    ids=["no URI", "no id", "twice", "too large"],
)
def test_an_error_in_the_last_row_comes_before_the_first_call(
    sandbox: Sandbox, writer: ChunkWriter, part: PartMaker, columns: dict[str, Any], text: str
) -> None:
    """Whole parts are checked before anything is sent."""
    with pytest.raises(DataError, match=text):
        spool(writer, {Section.ADD_OR_UPDATE: [part("a", **columns)]}, item_limit=3_000, log=log.info)
    assert sandbox.calls == []


def test_an_error_in_the_last_part_comes_before_the_first_call(
    sandbox: Sandbox, writer: ChunkWriter, part: PartMaker
) -> None:
    """Also what is wrong among the deletions, or stands in both."""
    good, bad = part("good", documentId=uris(0, 99)), part("bad", documentId=["no uri"])
    with pytest.raises(DocumentError):
        spool(writer, {Section.ADD_OR_UPDATE: [good], Section.DELETE: [bad]}, item_limit=3_000, log=log.info)
    both = part("both", documentId=uris(98, 99))
    with pytest.raises(DataError, match="good and both"):
        spool(writer, {Section.ADD_OR_UPDATE: [good], Section.DELETE: [both]}, item_limit=3_000, log=log.info)
    assert sandbox.calls == []


def test_check_counts_and_keeps_nothing(part: PartMaker) -> None:
    """The rows of all parts, encoded and forgotten."""
    parts = [part("a", documentId=uris(0, 30)), part("b", documentId=uris(30, 50))]
    gone = [part("gone", documentId=uris(50, 55))]
    assert check({Section.ADD_OR_UPDATE: parts, Section.DELETE: gone}, item_limit=3_000, log=log.info) == 55
    with pytest.raises(DataError):
        check(
            {Section.ADD_OR_UPDATE: [*parts, part("c", documentId=uris(0, 1))]},
            item_limit=3_000,
            log=log.info,
        )


@pytest.mark.parametrize("fails", [False, True])
def test_the_spool_is_removed(tmp_path: Path, part: PartMaker, fails: bool) -> None:
    """Whether the load succeeds or not, its folder is gone afterwards."""

    def run() -> None:
        with ChunkWriter(1_000, str(tmp_path / "spools")) as writer:
            names = uris(0, 60) + (["no uri"] if fails else [])
            spool(
                writer, {Section.ADD_OR_UPDATE: [part("a", documentId=names)]}, item_limit=3_000, log=log.info
            )
            assert len(list((tmp_path / "spools").rglob("*.json"))) > 1

    (tmp_path / "spools").mkdir()
    if fails:
        with pytest.raises(DocumentError):
            run()
    else:
        run()
    assert list((tmp_path / "spools").iterdir()) == []


# A fresh container


@pytest.mark.parametrize(
    "fault",
    [Answer.storage_denied(), S3_FAULT, ExpireUpload(), Cut("before"), Cut("during"), Cut("after")],
    ids=["403", "503", "expired", "cut before", "cut during", "cut after"],
)
def test_a_failed_upload_starts_anew_in_a_fresh_container(
    client: CoveoClient, sandbox: Sandbox, writer: ChunkWriter, part: PartMaker, fault: Any
) -> None:
    """The whole file from its start, into a container that was not used before."""
    chunk = one_chunk(writer, part)
    sandbox.faults.add(action=fault, route="upload")
    push(client, chunk)
    sandbox.settle()
    assert sorted(sandbox.items("files")) == uris(0, 3)
    steps = [route for route, _ in routes(sandbox)]
    assert steps == ["file.create", "upload", "file.create", "upload", "batch.put"]
    last = [call for call in sandbox.calls if call.route == "upload"][-1]
    assert last.content_length == last.request_bytes == chunk.size


@pytest.mark.parametrize("fault", [Cut("before"), Cut("after"), Answer(500), Answer(503)])
def test_a_lost_submission_is_uploaded_again(
    client: CoveoClient, sandbox: Sandbox, writer: ChunkWriter, part: PartMaker, fault: Any
) -> None:
    """The old container may be gone, so the same items go into a new one; the index is the same."""
    sandbox.faults.add(action=fault, route="batch.put")
    push(client, one_chunk(writer, part))
    sandbox.settle()
    assert sorted(sandbox.items("files")) == uris(0, 3)
    steps = [route for route, _ in routes(sandbox)]
    assert steps == ["file.create", "upload", "batch.put"] * 2
    used = [call.query["fileId"] for call in sandbox.calls if call.route == "batch.put"]
    assert len(set(used)) == 2


def test_a_lost_update_is_uploaded_again(
    client: CoveoClient, sandbox: Sandbox, writer: ChunkWriter, part: PartMaker
) -> None:
    """An answer whose end is missing does not tell the orderingId, so the update is made again."""
    sandbox.faults.add(action=Truncate(5), route="stream.update")
    accepted = deliver(
        client,
        one_chunk(writer, part),
        container=client.create_file_container,
        submit=lambda file_id: client.update_stream("products", file_id),
        log=log.info,
    ).answer
    sandbox.settle()
    assert sorted(sandbox.items("products")) == uris(0, 3)
    assert accepted.ordering_id == sandbox.ordering_id("products", "file://0000")


def test_a_container_that_expired_is_replaced(
    client: CoveoClient, sandbox: Sandbox, writer: ChunkWriter, part: PartMaker
) -> None:
    """An hour between asking and uploading costs one more container, not the load."""
    made: list[FileContainer] = []

    def container() -> FileContainer:
        made.append(client.create_file_container())
        if len(made) == 1:
            sandbox.clock.advance(seconds=3_700)
        return made[-1]

    deliver(
        client,
        one_chunk(writer, part),
        container=container,
        submit=lambda file_id: client.push_batch("files", file_id),
        log=log.info,
    )
    sandbox.settle()
    assert sorted(sandbox.items("files")) == uris(0, 3)
    assert len(made) == 2


def test_a_storage_that_keeps_refusing_is_given_up(
    client: CoveoClient, sandbox: Sandbox, writer: ChunkWriter, part: PartMaker, waits: list[float]
) -> None:
    """Six containers, and the last refusal is raised; nothing was submitted."""
    sandbox.faults.add(action=Answer.storage_denied(), route="upload", times=99)
    with pytest.raises(UploadRefused, match="AccessDenied"):
        push(client, one_chunk(writer, part))
    assert routes(sandbox) == [("file.create", 201), ("upload", 403)] * 6
    assert len(waits) == 5


def test_a_chunk_too_large_is_sent_once(waits: list[float], writer: ChunkWriter, part: PartMaker) -> None:
    """A fresh container would be as small."""
    with Sandbox.start(limits=Limits(container_bytes=50)) as sandbox:
        policy = RetryPolicy(sleep=waits.append)
        client = CoveoClient("sandbox", sandbox.api_key, base_url=sandbox.url, policy=policy)
        with client, pytest.raises(PayloadTooLarge, match="lower max_chunk_bytes"):
            push(client, one_chunk(writer, part))
        assert [route for route, _ in routes(sandbox)] == ["file.create", "upload"]
        assert waits == []


@pytest.mark.parametrize(
    ("route", "fault", "expected"),
    [
        ("file.create", Answer(403, '{"message":"no"}'), AccessDenied),
        ("batch.put", Answer(403, '{"message":"no"}'), AccessDenied),
        ("batch.put", Answer.throttled(3_600), Throttled),
        ("file.create", Answer.throttled(3_600), Throttled),
    ],
)
def test_what_a_fresh_container_cannot_mend_is_raised(
    client: CoveoClient,
    sandbox: Sandbox,
    writer: ChunkWriter,
    part: PartMaker,
    waits: list[float],
    route: str,
    fault: Answer,
    expected: type[CoveoError],
) -> None:
    """A refusal, or a wait longer than a task should block for, is the caller's to see at once."""
    sandbox.faults.add(action=fault, route=route, times=99)
    with pytest.raises(expected):
        push(client, one_chunk(writer, part))
    assert [name for name, _ in routes(sandbox)].count(route) == 1
    assert waits == []


def test_containers_that_cannot_be_had_are_not_asked_for_36_times(
    client: CoveoClient, sandbox: Sandbox, writer: ChunkWriter, part: PartMaker
) -> None:
    """The transport's attempts are enough; delivering adds none of its own to them."""
    sandbox.faults.add(action=Cut("before"), route="file.create", times=99)
    with pytest.raises(Unreachable):
        push(client, one_chunk(writer, part))
    assert len(sandbox.calls) == 6


def test_a_chunk_that_vanished_is_an_error(client: CoveoClient, writer: ChunkWriter, part: PartMaker) -> None:
    """A spool that somebody shortened is never sent as if it were whole."""
    chunk = one_chunk(writer, part)
    chunk.path.write_bytes(chunk.path.read_bytes()[:-5])
    with pytest.raises(DataError, match="ended 5 bytes before"):
        push(client, chunk)


def test_a_load_logs_its_progress(
    client: CoveoClient,
    writer: ChunkWriter,
    part: PartMaker,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Encoding and uploading say how far they are, when they take long."""
    from coveo_provider.loading import progress

    monkeypatch.setattr(progress, "PROGRESS_SECONDS", 0.0)
    lines: list[str] = []

    def note(message: str, *args: object) -> None:
        lines.append(message % args)

    documents = [part("a", documentId=uris(0, 5))]
    (chunk,) = spool(writer, {Section.ADD_OR_UPDATE: documents}, item_limit=3_000, log=note)
    deliver(
        client,
        chunk,
        container=client.create_file_container,
        submit=lambda file_id: client.push_batch("files", file_id),
        log=note,
    )
    assert [line.split()[0] for line in lines] == ["Encoded", "Uploaded"]

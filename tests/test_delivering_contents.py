"""Contents in containers of their own: into the sandbox, and what happens when it does not go well."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from coveo_provider.api.client import CoveoClient
from coveo_provider.api.retries import RetryPolicy
from coveo_provider.api.types import FileContainer
from coveo_provider.documents.contents.files import ContentSpool
from coveo_provider.documents.contract import COMPRESSION_TYPES, Section
from coveo_provider.documents.encoding.chunks import Chunk, ChunkWriter
from coveo_provider.documents.encoding.items import Item, encode_item
from coveo_provider.documents.encoding.rows import Rows
from coveo_provider.errors import (
    AccessDenied,
    ContainerExpired,
    DatasetError,
    DocumentError,
    UnexpectedAnswer,
    UploadRefused,
)
from coveo_provider.loading.deliveries import deliver
from coveo_provider.loading.single_items import push_item
from coveo_provider.loading.spooling import check, spool
from coveo_provider.sandbox import Answer, Cut, ExpireUpload, Sandbox
from tests.contents import content_of, errors_in

log = logging.getLogger(__name__)
ITEM_LIMIT = 3_000  # what is larger takes a container of its own
MINUTE = 60.0


class Clock:
    """Monotonic seconds of the worker, and the sandbox's time along with them."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox, self.now = sandbox, 0.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds
        self.sandbox.clock.advance(seconds=seconds)


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[CoveoClient]:
    policy = RetryPolicy(sleep=lambda _: None)
    with CoveoClient(sandbox.organization_id, sandbox.api_key, base_url=sandbox.url, policy=policy) as client:
        yield client


@pytest.fixture
def clock(sandbox: Sandbox) -> Clock:
    return Clock(sandbox)


@pytest.fixture
def contents(tmp_path: Path) -> Iterator[ContentSpool]:
    @contextmanager
    def open_file(uri: str, roots: tuple[str, ...]) -> Iterator[IO[bytes]]:
        with (tmp_path / uri).open("rb") as file:
            yield file

    with ContentSpool(open_file) as spool:
        yield spool


SIZES = {"small.html": 100, "one.pdf": 10_000, "two.pdf": 20_000, "three.docx": 5_000}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    """One that goes inline, three that do not."""
    made = {name: os.urandom(size) for name, size in SIZES.items()}
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
    return made


@pytest.fixture
def chunk(contents: ContentSpool, files: dict[str, bytes]) -> Iterator[Chunk]:
    """A chunk of a document without a file and one for each file."""
    rows: list[dict[str, Any]] = [
        {"documentId": "file://none", "data": "text"},
        *({"documentId": f"file://{name}", "contentUri": name, "title": name} for name in files),
    ]
    with ChunkWriter() as writer:
        load = {Section.ADD_OR_UPDATE: [Rows(rows, "documents")]}
        (chunk,) = spool(writer, load, item_limit=ITEM_LIMIT, log=log.info, contents=contents)
        assert len(chunk.attachments) == 3
        yield chunk


def push(client: CoveoClient, chunk: Chunk, clock: Callable[[], float] = lambda: 0.0, **options: Any) -> None:
    deliver(
        client,
        chunk,
        container=options.pop("container", client.create_file_container),
        submit=options.pop("submit", lambda file_id: client.push_batch("files", file_id)),
        log=log.info,
        clock=clock,
    )


def check_index(sandbox: Sandbox, files: dict[str, bytes], source: str = "files") -> None:
    sandbox.settle()
    assert set(sandbox.items(source)) == {"file://none", *(f"file://{name}" for name in files)}
    for name, data in files.items():
        assert content_of(sandbox, source, f"file://{name}") == data
        assert sandbox.items(source)[f"file://{name}"]["fileExtension"] == Path(name).suffix
    assert errors_in(sandbox, source) == []


def steps(sandbox: Sandbox) -> list[str]:
    return [call.route for call in sandbox.calls]


def test_contents_arrive_before_the_chunk_that_names_them(
    client: CoveoClient, sandbox: Sandbox, chunk: Chunk, files: dict[str, bytes]
) -> None:
    """Each in a container of its own, asked for right before its upload; the chunk's size stays as it was."""
    push(client, chunk)

    assert chunk.path.stat().st_size == chunk.size
    assert sorted(steps(sandbox)[:6]) == ["file.create"] * 3 + ["upload"] * 3
    assert steps(sandbox)[6:] == ["file.create", "upload", "batch.put"]
    check_index(sandbox, files)


@pytest.mark.parametrize(
    "fault",
    [Answer.storage_denied(), Answer(503), ExpireUpload(), Cut("before"), Cut("during"), Cut("after")],
    ids=["403", "503", "expired", "cut before", "cut during", "cut after"],
)
@pytest.mark.parametrize("which", range(4))
def test_a_failed_upload_is_made_again_into_a_fresh_container(
    client: CoveoClient, sandbox: Sandbox, chunk: Chunk, files: dict[str, bytes], fault: Any, which: int
) -> None:
    """Of a content or of the chunk; what was uploaded well is not uploaded again."""
    sandbox.faults.add(action=fault, route="upload", skip=which)

    push(client, chunk)

    assert steps(sandbox).count("upload") == steps(sandbox).count("file.create") == 5
    assert steps(sandbox).count("batch.put") == 1
    check_index(sandbox, files)


@pytest.mark.parametrize("fault", [Cut("before"), Cut("after"), Answer(500), Answer(503)])
def test_after_a_lost_submission_every_container_is_fresh(
    client: CoveoClient, sandbox: Sandbox, chunk: Chunk, files: dict[str, bytes], fault: Any
) -> None:
    """Those of the first attempt may have been used up."""
    sandbox.faults.add(action=fault, route="batch.put")

    push(client, chunk)

    assert steps(sandbox).count("upload") == 8
    check_index(sandbox, files)


@pytest.mark.parametrize(("minutes", "uploads"), [(40, 5), (50, 8)])
def test_old_containers_are_replaced_when_the_chunk_is_uploaded_again(
    client: CoveoClient,
    sandbox: Sandbox,
    chunk: Chunk,
    files: dict[str, bytes],
    clock: Clock,
    minutes: int,
    uploads: int,
) -> None:
    """Young ones are kept; there must be time left to use them."""
    asked = 0

    def container() -> FileContainer:
        nonlocal asked
        asked += 1
        if asked == 1:
            clock.advance(minutes * MINUTE)
        return client.create_file_container()

    sandbox.faults.add(action=Answer(503), route="upload", skip=3)
    push(client, chunk, clock, container=container)

    assert steps(sandbox).count("upload") == uploads
    check_index(sandbox, files)


def test_containers_that_expired_meanwhile_are_not_named(
    client: CoveoClient, sandbox: Sandbox, chunk: Chunk, files: dict[str, bytes], clock: Clock
) -> None:
    """The service would accept the batch, and its items would fail in the log."""
    asked = 0

    def container() -> FileContainer:
        nonlocal asked
        asked += 1
        if asked == 1:
            clock.advance(61 * MINUTE)
        return client.create_file_container()

    push(client, chunk, clock, container=container)

    assert steps(sandbox).count("upload") == 8
    check_index(sandbox, files)


def test_a_network_that_is_too_slow_is_told(
    client: CoveoClient, sandbox: Sandbox, chunk: Chunk, clock: Clock
) -> None:
    """Nothing is submitted, and the sentence says what to do."""

    def container() -> FileContainer:
        clock.advance(61 * MINUTE)
        return client.create_file_container()

    with pytest.raises(ContainerExpired, match=r"took 61 minutes.*Lower max_chunk_bytes"):
        push(client, chunk, clock, container=container)
    assert "batch.put" not in steps(sandbox)


def test_a_refusal_is_final(client: CoveoClient, sandbox: Sandbox, chunk: Chunk) -> None:
    """A key that may not is told at once; the batch is not submitted."""
    sandbox.faults.add(action=Answer(403, '{"errorCode":"ACCESS_DENIED"}'), route="file.create", skip=1)
    with pytest.raises(AccessDenied):
        push(client, chunk)
    assert "batch.put" not in steps(sandbox)


def test_an_upload_that_never_succeeds_is_given_up(
    client: CoveoClient, sandbox: Sandbox, chunk: Chunk
) -> None:
    """After the attempts of the policy."""
    sandbox.faults.add(action=Answer.storage_denied(), route="upload", times=1_000)
    with pytest.raises(UploadRefused):
        push(client, chunk)
    assert "batch.put" not in steps(sandbox)


def test_an_id_that_is_too_long_is_not_the_services(
    client: CoveoClient, sandbox: Sandbox, chunk: Chunk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is submitted."""
    create = client.create_file_container

    def long_ids() -> FileContainer:
        made = create()
        return FileContainer("x" * 63, made.upload_uri, made.required_headers)

    monkeypatch.setattr(client, "create_file_container", long_ids)
    with pytest.raises(UnexpectedAnswer, match="fileId of at most 62 characters"):
        push(client, chunk, container=create)
    assert "batch.put" not in steps(sandbox)


@pytest.mark.parametrize(
    "fault", [None, Answer.storage_denied(), Cut("after")], ids=["none", "403", "cut after"]
)
def test_contents_of_a_stream(
    client: CoveoClient,
    sandbox: Sandbox,
    chunk: Chunk,
    files: dict[str, bytes],
    fault: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """An upload that may have joined the stream used the containers it names, so a second gets others."""
    stream = client.open_stream("products")
    if fault:
        sandbox.faults.add(action=fault, route="upload", skip=3)
    deliver(
        client,
        chunk,
        container=lambda: client.request_chunk("products", stream.stream_id),
        submit=lambda _: None,
        log=log.info,
        joins_on_upload=True,
    )
    client.close_stream("products", stream.stream_id)

    check_index(sandbox, files, "products")
    assert steps(sandbox).count("file.create") == (6 if fault == Cut("after") else 3)
    assert "close it within the hour" in caplog.text


def test_contents_of_an_update_and_a_merge(
    client: CoveoClient, sandbox: Sandbox, contents: ContentSpool, files: dict[str, bytes]
) -> None:
    """The same with the Stream API's calls."""
    for name, section, submit in (
        ("one.pdf", Section.ADD_OR_UPDATE, client.update_stream),
        ("two.pdf", Section.ADD_OR_MERGE, client.merge_stream),
    ):
        rows = Rows([{"documentId": f"file://{name}", "contentUri": name}], "documents")
        with ChunkWriter() as writer:
            (chunk,) = spool(
                writer, {section: [rows]}, item_limit=ITEM_LIMIT, log=log.info, contents=contents
            )
            push(client, chunk, submit=lambda file_id, submit=submit: submit("products", file_id))
        sandbox.settle()
        assert content_of(sandbox, "products", f"file://{name}") == files[name]


def test_without_a_reader_names_of_files_are_refused(files: dict[str, bytes]) -> None:
    """They would be sent as metadata."""
    load = {Section.ADD_OR_UPDATE: [Rows([{"documentId": "file://a", "contentUri": "one.pdf"}], "documents")]}
    with ChunkWriter() as writer, pytest.raises(DatasetError, match="contentUri"):
        spool(writer, load, item_limit=ITEM_LIMIT, log=log.info)


def test_checking_looks_for_every_file(contents: ContentSpool, files: dict[str, bytes]) -> None:
    """Without compressing any."""
    rows = [{"documentId": f"file://{name}", "contentUri": name} for name in files]
    load = {Section.ADD_OR_UPDATE: [Rows(rows, "documents")]}
    assert check(load, item_limit=ITEM_LIMIT, log=log.info, contents=contents) == 4

    rows.append({"documentId": "file://gone", "contentUri": "gone.pdf"})
    load = {Section.ADD_OR_UPDATE: [Rows(rows, "documents")]}
    with pytest.raises(DocumentError, match=r"file://gone: its content gone\.pdf is missing"):
        check(load, item_limit=ITEM_LIMIT, log=log.info, contents=contents)


def test_reading_logs_its_progress(
    contents: ContentSpool, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading thousands of files takes longer than encoding."""
    from coveo_provider.loading import progress

    monkeypatch.setattr(progress, "PROGRESS_SECONDS", 0.0)
    lines: list[str] = []
    rows = Rows([{"documentId": f"file://{name}", "contentUri": name} for name in files], "documents")
    with ChunkWriter() as writer:
        spool(
            writer,
            {Section.ADD_OR_UPDATE: [rows]},
            item_limit=ITEM_LIMIT,
            log=lambda message, *args: lines.append(message % args),
            contents=contents,
        )
    assert [line.split()[0] for line in lines] == ["Encoded", "Read"]


# One item by a call of its own


def item(contents: ContentSpool, name: str, monkeypatch: pytest.MonkeyPatch, **keys: Any) -> Item:
    monkeypatch.setattr("coveo_provider.documents.encoding.items.PUSH_ITEM_BYTES", ITEM_LIMIT)
    return encode_item({"documentId": f"file://{name}", "contentUri": name, **keys}, contents)


@pytest.mark.parametrize("compression", COMPRESSION_TYPES)
@pytest.mark.parametrize("name", ["small.html", "one.pdf"], ids=["inline", "container"])
def test_one_item_with_its_content(
    client: CoveoClient,
    sandbox: Sandbox,
    contents: ContentSpool,
    files: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    compression: str,
) -> None:
    """Its type travels in the query, and the index holds what the file holds."""
    push_item(client, "files", item(contents, name, monkeypatch, compressionType=compression))
    sandbox.settle()

    assert content_of(sandbox, "files", f"file://{name}") == files[name]
    assert errors_in(sandbox, "files") == []
    assert sandbox.calls[-1].query["compressionType"] == compression
    assert steps(sandbox) == (["item.put"] if name == "small.html" else ["file.create", "upload", "item.put"])


@pytest.mark.parametrize("fault", [Cut("before"), Cut("after"), Answer(500)])
def test_one_item_whose_answer_was_lost_goes_again_with_a_fresh_container(
    client: CoveoClient,
    sandbox: Sandbox,
    contents: ContentSpool,
    files: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    fault: Any,
) -> None:
    """The first container may have been used up."""
    sandbox.faults.add(action=fault, route="item.put")
    push_item(client, "files", item(contents, "one.pdf", monkeypatch))
    sandbox.settle()

    assert content_of(sandbox, "files", "file://one.pdf") == files["one.pdf"]
    assert errors_in(sandbox, "files") == []
    assert steps(sandbox) == ["file.create", "upload", "item.put"] * 2

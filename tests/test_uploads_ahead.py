"""Chunks are uploaded while others are encoded, and nothing of a load counts before all of it was checked."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coveo_provider._compat import AirflowFailException
from coveo_provider.api.client import CoveoClient
from coveo_provider.api.files import KEPT_SECONDS
from coveo_provider.api.retries import RetryPolicy
from coveo_provider.documents.contract import STREAM_ITEM_BYTES, Section
from coveo_provider.documents.dataset.tables import Part
from coveo_provider.documents.encoding.chunks import Chunk, ChunkWriter
from coveo_provider.errors import Throttled
from coveo_provider.loading.deliveries import deliver
from coveo_provider.loading.spooling import spool
from coveo_provider.loading.uploads import UploadsAhead
from coveo_provider.operators import (
    CoveoCloseStreamOperator,
    CoveoOpenStreamOperator,
    CoveoPushBatchOperator,
    CoveoUpdateStreamOperator,
    CoveoUploadChunkOperator,
)
from coveo_provider.sandbox import Answer, Cut, ExpireUpload, Sandbox
from tests.conftest import WritePart, products
from tests.operators.conftest import run

log = logging.getLogger(__name__)

ROWS = 20_000  # several batches, of which only the last is bad
CHUNK = 100_000  # bytes


def rows(count: int = ROWS, **last: Any) -> list[dict[str, Any]]:
    found = [{"documentId": f"product://{n}", "title": "x" * 20} for n in range(count)]
    return [*found[:-1], {**found[-1], **last}]


def routes(sandbox: Sandbox) -> list[str]:
    return [call.route for call in sandbox.calls]


# Operators


def test_a_bad_last_row_of_a_push_changes_nothing(connected: Sandbox, write_part: WritePart) -> None:
    """Chunks before it lie in containers that nobody submits."""
    run(CoveoPushBatchOperator(task_id="first", source_id="files", documents=[{"documentId": "file://kept"}]))
    connected.clear_calls()

    with pytest.raises(AirflowFailException, match=r"not a URI.*row 19,999"):
        run(
            CoveoPushBatchOperator(
                task_id="push",
                source_id="files",
                documents=write_part(rows(documentId="no uri")),
                max_chunk_bytes=CHUNK,
            )
        )

    assert "upload" in routes(connected)
    assert "batch.put" not in routes(connected)
    connected.settle()
    assert list(connected.items("files")) == ["file://kept"]


def test_a_part_that_is_mended_may_go_into_the_same_stream(connected: Sandbox, write_part: WritePart) -> None:
    """Nothing of what was wrong with it is in the stream: a chunk belongs to it once it is uploaded."""
    stream = run(CoveoOpenStreamOperator(task_id="open", source_id="products"))
    upload = partial(
        CoveoUploadChunkOperator,
        task_id="upload",
        source_id="products",
        stream_id=stream,
        max_chunk_bytes=CHUNK,
    )
    with pytest.raises(AirflowFailException, match="documentId must be unique"):
        run(upload(documents=write_part(rows(documentId="product://0"))))
    assert "upload" not in routes(connected)

    report = run(upload(documents=write_part(rows(10))))
    run(CoveoCloseStreamOperator(task_id="close", source_id="products", stream_id=stream, reports=report))

    connected.settle()
    assert connected.count("products") == 10


def test_there_are_no_more_calls_than_one_by_one(connected: Sandbox, write_part: WritePart) -> None:
    """Two for a container, of which the second in the order of the chunks, and one upload."""
    report = run(
        CoveoPushBatchOperator(
            task_id="push", source_id="files", documents=write_part(rows()), max_chunk_bytes=CHUNK
        )
    )

    chunks = report["chunks"]
    assert chunks > 10
    for route in ("file.create", "upload", "batch.put"):
        assert routes(connected).count(route) == chunks
    asked = ["fields.search", "platform.source.get"]  # about metadata without a field
    assert len([route for route in routes(connected) if route not in asked]) == 3 * chunks
    assert max(map(routes(connected).count, asked)) == 1
    connected.settle()
    assert connected.count("files") == ROWS


@pytest.mark.parametrize("size", [1_000, 100_000])
def test_parts_of_every_kind_share_containers(connected: Sandbox, write_part: WritePart, size: int) -> None:
    """Up to the chunk's size, over all parts of a task."""
    found = products(60)
    parts = [write_part(found[n : n + 10], f"{n}.parquet") for n in range(0, 50, 10)]
    change = {
        "documentId": found[55]["documentId"],
        "operator": "fieldValueReplace",
        "field": "n",
        "value": "1",
    }

    report = run(
        CoveoUpdateStreamOperator(
            task_id="update",
            source_id="products",
            documents=parts,
            partial_updates=write_part([change], "changes.parquet"),
            deletions=write_part([{"documentId": found[59]["documentId"]}], "gone.parquet"),
            max_chunk_bytes=size,
        )
    )

    chunks = report["chunks"]
    assert [routes(connected).count(one) for one in ("file.create", "upload", "stream.update")] == [
        chunks
    ] * 3
    assert chunks == 1 if size == 100_000 else 1 < chunks <= report["bytes"] // 800 + 1


# Threads and faults


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[CoveoClient]:
    policy = RetryPolicy(sleep=lambda _: None)
    with CoveoClient(sandbox.organization_id, sandbox.api_key, base_url=sandbox.url, policy=policy) as client:
        yield client


class Clock:
    """Monotonic seconds that stand still."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def push(client: CoveoClient, path: Path, chunk_bytes: int, clock: Clock, late: float = 0.0) -> list[Chunk]:
    """Push a part; ``late`` seconds pass between its uploads and their submission."""
    with ExitStack() as stack:
        part = Part(stack.enter_context(path.open("rb")), "part")
        ahead = stack.enter_context(
            UploadsAhead(client, client.create_file_container, log=log.info, clock=clock)
        )
        writer = stack.enter_context(ChunkWriter(chunk_bytes, sealed=ahead.add))
        chunks = spool(writer, {Section.ADD_OR_UPDATE: [part]}, item_limit=STREAM_ITEM_BYTES, log=log.info)
        clock.seconds += late
        for chunk in chunks:
            deliver(
                client,
                chunk,
                container=client.create_file_container,
                submit=lambda file_id: client.push_batch("files", file_id),
                log=log.info,
                ahead=ahead.taken(chunk),
                clock=clock,
            )
    return chunks


def written(tmp_path: Path, count: int) -> Path:
    path = tmp_path / f"{count}.parquet"
    pq.write_table(pa.Table.from_pylist(rows(count)), path)
    return path


FAULTS = st.sampled_from(
    [
        ("upload", Answer(503, "<Error><Code>SlowDown</Code></Error>", content_type="application/xml")),
        ("upload", Answer(403, "<Error><Code>AccessDenied</Code></Error>", content_type="application/xml")),
        ("upload", Answer(200, "<html>login</html>", content_type="text/html")),
        ("upload", Cut("before")),
        ("upload", Cut("during")),
        ("upload", Cut("after")),
        ("file.create", Answer(503)),
        ("file.create", Cut("after")),
        ("file.create", ExpireUpload()),
        ("batch.put", Cut("after")),
        ("batch.put", Answer(500)),
    ]
)


@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(
    st.integers(1, 300), st.integers(1_000, 5_000), st.lists(st.tuples(st.integers(0, 9), FAULTS), max_size=3)
)
def test_the_index_holds_the_part_whatever_fails_on_the_way(
    tmp_path_factory: pytest.TempPathFactory, count: int, chunk_bytes: int, faults: list[tuple[int, Any]]
) -> None:
    with (
        Sandbox.start(sources={"files": "PUSH"}) as sandbox,
        CoveoClient(
            sandbox.organization_id,
            sandbox.api_key,
            base_url=sandbox.url,
            policy=RetryPolicy(sleep=lambda _: None),
        ) as client,
    ):
        for after, (route, action) in faults:
            sandbox.faults.add(route=route, action=action, skip=after)

        push(client, written(tmp_path_factory.mktemp("part"), count), chunk_bytes, Clock())

        sandbox.settle()
        assert set(sandbox.items("files")) == {f"product://{n}" for n in range(count)}


def test_a_container_that_waited_too_long_is_not_submitted(
    sandbox: Sandbox, client: CoveoClient, tmp_path: Path
) -> None:
    """It may be gone when its turn comes: the chunk goes into a fresh one."""
    chunks = push(client, written(tmp_path, 200), 2_000, Clock(), late=KEPT_SECONDS)

    sandbox.settle()
    assert sandbox.count("files") == 200
    uploads = routes(sandbox).count("upload")
    assert len(chunks) < uploads <= 2 * len(chunks)


def test_the_last_refusal_of_a_container_is_the_chunk_s(
    sandbox: Sandbox, client: CoveoClient, tmp_path: Path
) -> None:
    """Chunks before it are submitted, and the service is not asked again meanwhile."""
    sandbox.faults.add(route="file.create", action=Answer.throttled(20_000), skip=2)

    with pytest.raises(Throttled):
        push(client, written(tmp_path, 200), 2_000, Clock())

    assert routes(sandbox).count("batch.put") == 2
    assert routes(sandbox).count("file.create") == 3

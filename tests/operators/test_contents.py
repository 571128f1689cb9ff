"""Documents that name files: what the index holds after every operator that sends documents."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

import fsspec
import pytest
from airflow.sdk.io import attach

from coveo_provider._compat import AirflowFailException
from coveo_provider.documents.contract import COMPRESSION_TYPES
from coveo_provider.errors import ContentUnavailable
from coveo_provider.operators import (
    CoveoCheckDatasetOperator,
    CoveoCloseStreamOperator,
    CoveoMergeStreamOperator,
    CoveoOpenStreamOperator,
    CoveoPushBatchOperator,
    CoveoUpdateStreamOperator,
    CoveoUploadChunkOperator,
)
from coveo_provider.operators.support import sending as _sending
from coveo_provider.sandbox import Cut, Sandbox
from tests.conftest import WritePart
from tests.contents import content_of, errors_in
from tests.operators.conftest import run

SMALL, LARGE = 20_000, 6_000_000  # bytes, of noise: inline, and not


@pytest.fixture
def library(tmp_path: Path) -> dict[str, str]:
    """A small and a large file, by URI."""
    uris = {}
    for name, size in (("small.PDF", SMALL), ("large.docx", LARGE)):
        (tmp_path / name).write_bytes(os.urandom(size))
        uris[name] = (tmp_path / name).as_uri()
    return uris


def push(documents: str, source: str) -> Any:
    return run(CoveoPushBatchOperator(task_id="push", source_id=source, documents=documents))


def update(documents: str, source: str) -> Any:
    return run(CoveoUpdateStreamOperator(task_id="update", source_id=source, documents=documents))


def merge(documents: str, source: str) -> Any:
    return run(CoveoMergeStreamOperator(task_id="merge", source_id=source, documents=documents))


def stream(documents: str, source: str) -> Any:
    stream_id = run(CoveoOpenStreamOperator(task_id="open", source_id=source))
    load = {"source_id": source, "stream_id": stream_id}
    report = run(CoveoUploadChunkOperator(task_id="upload", documents=documents, **load))
    run(CoveoCloseStreamOperator(task_id="close", reports=report, **load))
    return report


@pytest.mark.slow
@pytest.mark.parametrize(
    ("send", "source"), [(push, "files"), (update, "products"), (merge, "products"), (stream, "products")]
)
def test_the_index_holds_what_the_files_hold(
    connected: Sandbox,
    write_part: WritePart,
    library: dict[str, str],
    send: Callable[[str, str], dict[str, Any]],
    source: str,
) -> None:
    """In every compression there is, inline below the limit and in a container of its own beyond it."""
    rows = [
        {
            "documentId": f"file://{compression}/{name}",
            "contentUri": uri,
            "compressionType": compression,
            "title": name,
        }
        for compression in (*COMPRESSION_TYPES, None)
        for name, uri in library.items()
    ]

    report = send(write_part([*rows, {"documentId": "file://none"}]), source)
    connected.settle()

    assert connected.count(source) == len(rows) + 1
    for row in rows:
        item = connected.items(source)[str(row["documentId"])]
        name = str(row["title"])
        assert content_of(connected, source, str(row["documentId"])) == Path(library[name][7:]).read_bytes()
        assert item["compressionType"] == (row["compressionType"] or "ZLIB")
        assert item["fileExtension"] == {"small.PDF": ".pdf", "large.docx": ".docx"}[name]
        assert ("compressedBinaryData" in item) == (name == "small.PDF")
        assert "contentUri" not in item
    problems = [entry for entry in errors_in(connected, source) if entry.result != "WARNING"]
    assert problems == []
    assert report["documents"] == len(rows) + 1
    assert report["bytes"] > 6 * LARGE
    assert report["chunks"] == 1


def test_a_thousand_small_files(connected: Sandbox, write_part: WritePart, tmp_path: Path) -> None:
    """All inline: not a single container beyond the batch's own."""
    folder = tmp_path / "library"
    folder.mkdir()
    rows = []
    for n in range(1_000):
        (folder / f"{n}.txt").write_text(f"Text {n} " * n)
        rows.append({"documentId": f"file://{n}", "contentUri": f"{folder.as_uri()}/{n}.txt"})

    push(write_part(rows), "files")
    connected.settle()

    assert [call.route for call in connected.calls] == ["file.create", "upload", "batch.put"]
    assert connected.count("files") == 1_000
    for n in range(0, 1_000, 37):
        assert content_of(connected, "files", f"file://{n}") == (f"Text {n} " * n).encode()


def test_a_lost_answer_to_a_batch_leaves_the_contents_whole(
    connected: Sandbox, write_part: WritePart, library: dict[str, str], waits: list[float]
) -> None:
    """The service uses a container once, so the second attempt has others."""
    connected.faults.add(route="batch.put", action=Cut("after"))

    push(write_part([{"documentId": "file://a", "contentUri": library["large.docx"]}]), "files")
    connected.settle()

    assert content_of(connected, "files", "file://a") == Path(library["large.docx"][7:]).read_bytes()
    assert errors_in(connected, "files") == []
    assert [call.route for call in connected.calls].count("file.create") == 4


@pytest.fixture
def in_memory() -> Iterator[Any]:
    """Another storage than this machine's disk."""
    storage = attach("memory", fs=fsspec.filesystem("memory")).fs
    yield storage
    storage.rm("/", recursive=True)


def test_a_file_lies_on_any_storage(connected: Sandbox, write_part: WritePart, in_memory: Any) -> None:
    """Whatever ObjectStoragePath reads."""
    in_memory.pipe("/library/a.html", b"<p>text</p>")

    push(write_part([{"documentId": "file://a", "contentUri": "memory://library/a.html"}]), "files")
    connected.settle()

    assert content_of(connected, "files", "file://a") == b"<p>text</p>"
    assert connected.items("files")["file://a"]["fileExtension"] == ".html"


@pytest.mark.parametrize("which", ["check", "push"])
@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("gone.pdf", ["gone.pdf is missing"]),
        ("", ["contentUri is empty"]),
        ("dataset", ["dataset is a folder"]),
        ("unknown://x/y.pdf", ["unknown://x/y.pdf cannot be read"]),
    ],
)
def test_a_file_that_is_not_there_stops_everything(
    connected: Sandbox,
    write_part: WritePart,
    library: dict[str, str],
    tmp_path: Path,
    uri: str,
    words: list[str],
    which: str,
) -> None:
    """Before the first call, with document and file in the message; no retry would help."""
    uri = uri if not uri or "://" in uri else f"{tmp_path.as_uri()}/{uri}"
    part = write_part(
        [
            {"documentId": "file://good", "contentUri": library["small.PDF"]},
            {"documentId": "file://bad", "contentUri": uri},
        ]
    )
    operator = (
        CoveoCheckDatasetOperator(task_id="check", documents=part)
        if which == "check"
        else CoveoPushBatchOperator(task_id="push", source_id="files", documents=part)
    )
    with pytest.raises(AirflowFailException) as raised:
        run(operator)

    assert all(word in str(raised.value) for word in ["file://bad", *words]), raised.value
    assert connected.calls == []


def test_a_good_dataset_is_checked_without_a_call(
    connected: Sandbox, write_part: WritePart, library: dict[str, str]
) -> None:
    """The files are there."""
    part = write_part([{"documentId": f"file://{name}", "contentUri": uri} for name, uri in library.items()])
    assert run(CoveoCheckDatasetOperator(task_id="check", documents=part)) == [part]
    assert connected.calls == []


def test_a_storage_that_does_not_answer_is_for_airflow_to_retry(
    connected: Sandbox, write_part: WritePart, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no fault of the data."""

    def broken(uri: str, roots: tuple[str, ...]) -> AbstractContextManager[IO[bytes]]:
        raise TimeoutError(f"{uri} timed out")

    monkeypatch.setattr(_sending, "open_content", broken)
    with pytest.raises(ContentUnavailable, match=r"file://a: its content s3://aws@bucket/a\.pdf could not"):
        push(write_part([{"documentId": "file://a", "contentUri": "s3://aws@bucket/a.pdf"}]), "files")
    assert connected.calls == []


def test_no_file_is_left_behind(
    connected: Sandbox,
    write_part: WritePart,
    library: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither chunks nor contents."""
    spool = tmp_path / "spool"
    spool.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(spool))

    push(
        write_part([{"documentId": f"file://{name}", "contentUri": uri} for name, uri in library.items()]),
        "files",
    )

    assert list(spool.iterdir()) == []

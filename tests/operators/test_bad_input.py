"""Bad input gets a clear error that names the thing, and nothing in the index changes."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from airflow.sdk import BaseOperator

from coveo_provider._compat import AirflowFailException
from coveo_provider.operators import (
    CoveoCheckDatasetOperator,
    CoveoOpenStreamOperator,
    CoveoPushBatchOperator,
    CoveoSetSourceStatusOperator,
    CoveoUploadChunkOperator,
)
from coveo_provider.sandbox import Sandbox
from tests.conftest import Connect, WritePart, products
from tests.operators.conftest import run

ROW = {"documentId": "file://1", "title": "One"}
BAD_ROWS: dict[str, tuple[list[dict[str, Any]] | pa.Table, list[str]]] = {
    "no id column": ([{"title": "One"}], ["documentId", "missing", "title"]),
    "missing id": ([ROW, {**ROW, "documentId": None}], ["row 1", "documentId"]),
    "duplicate id": ([ROW, ROW], ["file://1", "2 times"]),
    "not a URI": ([{**ROW, "documentId": "one"}], ["'one'", "URI"]),
    "equal but for case": ([{**ROW, "Title": "Two"}], ["'title'", "'Title'"]),
    "reserved key of a wrong type": ([{**ROW, "data": 7}], ["data", "int64", "strings"]),
    "two bodies": (
        [{**ROW, "data": "x", "compressedBinaryData": "eA=="}],
        ["file://1", "more than one", "data"],
    ),
    "over the limit": ([{**ROW, "data": "x" * 5_300_000}], ["file://1", "5,300,0", "5,242,879"]),
    "infinity": ([{**ROW, "price": float("inf")}], ["file://1", "price", "infinity"]),
    "no rows": (pa.table({"documentId": pa.array([], pa.string())}), ["part-0.parquet", "no rows"]),
}


def operators(source: str, documents: Any) -> list[BaseOperator]:
    return [
        CoveoCheckDatasetOperator(task_id="check", documents=documents),
        CoveoPushBatchOperator(task_id="push", source_id=source, documents=documents),
        CoveoUploadChunkOperator(task_id="up", source_id=source, stream_id="stream", documents=documents),
    ]


@pytest.mark.parametrize("case", BAD_ROWS)
@pytest.mark.parametrize("which", [0, 1, 2], ids=["check", "push", "upload"])
def test_bad_rows_are_refused_before_the_first_call(
    connected: Sandbox, write_part: WritePart, case: str, which: int
) -> None:
    """Every operator that reads documents names what is wrong, and has not called the API by then."""
    rows, words = BAD_ROWS[case]
    if which == 2 and case == "over the limit":
        words = ["file://1", "3,000,000"]

    with pytest.raises(AirflowFailException) as raised:
        run(operators("files", write_part(rows))[which])

    assert all(word in str(raised.value) for word in words), str(raised.value)
    assert connected.calls == []


@pytest.mark.parametrize("which", [0, 1, 2], ids=["check", "push", "upload"])
@pytest.mark.parametrize(
    ("documents", "words"),
    [
        ("file:///nowhere/part.parquet", ["/nowhere/part.parquet", "missing"]),
        (["file:///nowhere/a.parquet"], ["/nowhere/a.parquet", "missing"]),
        ([], ["empty"]),
        ("", ["URI"]),
        (7, ["URI", "7"]),
    ],
)
def test_a_dataset_that_is_not_there_is_named(
    connected: Sandbox, documents: Any, words: list[str], which: int
) -> None:
    """A missing part is not an empty one."""
    with pytest.raises(AirflowFailException) as raised:
        run(operators("files", documents)[which])

    assert all(word in str(raised.value) for word in words)
    assert connected.calls == []


def test_a_part_that_is_not_parquet_is_named(connected: Sandbox, tmp_path: Any) -> None:
    """A CSV in Parquet's clothes is refused by name."""
    (tmp_path / "part.parquet").write_text("documentId,title\nfile://1,One\n")

    with pytest.raises(AirflowFailException, match=r"part\.parquet.*not a Parquet file"):
        run(operators("files", (tmp_path / "part.parquet").as_uri())[1])


def test_a_stranger_in_a_folder_is_named(connected: Sandbox, write_part: WritePart, tmp_path: Any) -> None:
    """A file that would be left out silently stops the run."""
    folder = write_part([ROW]).rsplit("/", 1)[0]
    (tmp_path / "dataset" / "part-1.csv").write_text("documentId\n")

    with pytest.raises(AirflowFailException, match=r"part-1\.csv is not a \.parquet file"):
        run(operators("files", folder)[0])


def test_the_check_sees_what_no_single_part_shows(connected: Sandbox, write_part: WritePart) -> None:
    """An id that stands in two parts is found before either is sent."""
    folder = write_part(products(3), "a.parquet").rsplit("/", 1)[0]
    write_part(products(3, start=2), "b.parquet")

    with pytest.raises(AirflowFailException, match=r"product://2.*a\.parquet and .*b\.parquet"):
        run(CoveoCheckDatasetOperator(task_id="check", documents=folder))


def test_the_check_returns_the_parts_to_map_over(write_part: WritePart) -> None:
    """A good dataset comes back as the list of its parts, in order."""
    parts = [write_part(products(1, n), f"{n}.parquet") for n in (1, 0)]

    folder = parts[0].rsplit("/", 1)[0]

    assert run(CoveoCheckDatasetOperator(task_id="check", documents=folder)) == sorted(parts)


@pytest.mark.parametrize("size", [0, 999, 256 * 1024 * 1024 + 1, "250MB"])
def test_a_chunk_bound_beyond_the_api_is_refused(
    connected: Sandbox, write_part: WritePart, size: Any
) -> None:
    """A container takes 256 MB at most."""
    operator = CoveoPushBatchOperator(
        task_id="push", source_id="files", documents=write_part([ROW]), max_chunk_bytes=size
    )
    with pytest.raises(AirflowFailException, match="max_chunk_bytes"):
        run(operator)


@pytest.mark.parametrize(
    ("fields", "source", "words"),
    [
        ({"password": "wrong-key"}, "files", ["401", "API key"]),
        ({"login": "nobody"}, "files", ["404", "organization"]),
        ({"password": "view-key"}, "files", ["403", "Sources (Edit)"]),
        ({}, "nothing", ["412", "source_id", "nothing"]),
        ({}, "products", ["412", "Push or Catalog"]),
        ({"extra": {"region": "moon"}}, "files", ["region", "moon", "us, ca, eu, au"]),
        ({"host": "http://example.com"}, "files", ["http://example.com", "clear"]),
        ({}, "", ["source_id"]),
        ({}, "..", ["source_id"]),
    ],
)
def test_a_wrong_connection_or_source_says_what_to_check(
    sandbox: Sandbox,
    connect: Connect,
    write_part: WritePart,
    fields: dict[str, Any],
    source: str,
    words: list[str],
) -> None:
    """The task fails at once, without a retry, and no key is in its message."""
    sandbox.add_key("view-key", privileges={"ORGANIZATION:VIEW"})
    connect(sandbox, **fields)
    operator = CoveoSetSourceStatusOperator(task_id="s", source_id=source, status="REBUILD")

    with pytest.raises(AirflowFailException) as raised:
        run(operator)

    assert all(word in str(raised.value) for word in words), str(raised.value)
    assert "-key" not in str(raised.value)
    assert sandbox.source("files").status == "PUSH_READY"


def test_a_push_source_cannot_be_streamed_to(connected: Sandbox) -> None:
    """The Stream API serves Catalog sources."""
    with pytest.raises(AirflowFailException, match="Push or Catalog"):
        run(CoveoOpenStreamOperator(task_id="open", source_id="files"))


def test_a_push_needs_something_to_push(connected: Sandbox) -> None:
    """Neither documents nor deletions is a mistake."""
    with pytest.raises(AirflowFailException, match=r"nothing to send\. Name one of documents, deletions"):
        run(CoveoPushBatchOperator(task_id="push", source_id="files"))


def test_a_dataset_of_documents_is_no_dataset_of_deletions(connected: Sandbox, write_part: WritePart) -> None:
    """Swapped arguments delete nothing."""
    with pytest.raises(AirflowFailException, match=r"'ec_name'.*no place in a deletion"):
        run(CoveoPushBatchOperator(task_id="push", source_id="files", deletions=write_part(products(3))))

    assert connected.calls == []

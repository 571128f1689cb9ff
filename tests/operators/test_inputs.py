"""What users hand over: DataFrames, rows, ids to delete, URIs; each works, or is refused by name."""

from __future__ import annotations

import sys
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk import ObjectStoragePath, dag, task

from coveo_provider._compat import AirflowFailException
from coveo_provider.documents import DocumentMapping
from coveo_provider.operators import (
    CoveoCheckDatasetOperator,
    CoveoDiffOperator,
    CoveoPushBatchOperator,
    CoveoSecurityExpansionOperator,
    CoveoTransformOperator,
    CoveoUpdateStreamOperator,
)
from coveo_provider.sandbox import Sandbox
from tests.conftest import WritePart
from tests.dags.conftest import ran
from tests.operators.conftest import run

ROWS: list[dict[str, Any]] = [
    {"documentId": "product://1", "name": "One", "price": 1.5, "size": 42},
    {"documentId": "product://2", "name": "Two", "price": None, "size": 7},
]
HELD = {row["documentId"]: {key: value for key, value in row.items() if value is not None} for row in ROWS}


class OurFrame(pd.DataFrame):
    """A DataFrame of a library that extends pandas."""


FRAMES: dict[str, Any] = {
    "pandas": pd.DataFrame(ROWS),
    "pandas, filtered": pd.DataFrame([ROWS[0], {"documentId": "x"}, ROWS[1]])
    .loc[[0, 2]]
    .astype({"size": int}),
    "of a library over pandas": OurFrame(ROWS),
    "polars": pl.DataFrame(ROWS),
    "Arrow": pa.Table.from_pylist(ROWS),
    "with an index that is a column": pd.DataFrame(ROWS).set_index("documentId", drop=False),
    "sparse": pd.DataFrame(ROWS).astype({"size": "Sparse[int]"}),
    "rows in a generator": (dict(row) for row in ROWS),
    "a list of them": [pd.DataFrame(ROWS[:1]), pl.DataFrame(ROWS[1:])],
}


def push(**options: Any) -> dict[str, Any]:
    report: dict[str, Any] = run(CoveoPushBatchOperator(task_id="push", source_id="files", **options))
    return report


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_is_pushed_as_a_part_is(connected: Sandbox, name: str) -> None:
    """Its values arrive as they stand, its index does not, and the report names what was sent."""
    report = push(documents=FRAMES[name])
    connected.settle()

    assert connected.items("files") == HELD
    assert report["ids"] == {"addOrUpdate": list(HELD)}
    assert (report["documents"], report["parts"]) == (2, [])


def test_a_frame_comes_through_xcom(connected: Sandbox, airflow_database: None) -> None:
    """As a `@task` returns it, with numbers that miss one and moments, which no JSON could hold."""

    @dag(schedule=None)
    def frames() -> None:
        @task
        def extract() -> Any:
            changed = [pd.Timestamp("2026-01-02T03:04:05.678Z"), pd.NaT]
            return pd.DataFrame(ROWS).assign(changed=changed)

        @task
        def removed() -> list[str]:
            return ["product://3"]

        CoveoPushBatchOperator(task_id="push", source_id="files", documents=extract(), deletions=removed())

    push(documents=[{"documentId": "product://3"}])
    state, _ = ran(frames())
    connected.settle()

    assert state == "success"
    changed = {"product://1": {**HELD["product://1"], "changed": "2026-01-02T03:04:05.678Z"}}
    assert connected.items("files") == {**HELD, **changed}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"documentId": "one"}], ["document 'one'", "URI"]),
        (
            [{"documentId": "product://1", "x": [1]}, {"documentId": "product://2", "x": "a"}],
            ["'x'", "no common"],
        ),
        ([{"name": "One"}], ["documents given as a DataFrame", "documentId", "missing"]),
        ([], ["no rows"]),
    ],
)
def test_a_bad_frame_is_refused_before_the_first_call(
    connected: Sandbox, rows: list[dict[str, Any]], words: list[str]
) -> None:
    """As a bad part is."""
    with pytest.raises(AirflowFailException) as raised:
        push(documents=pd.DataFrame(rows))

    assert all(word in str(raised.value) for word in words), str(raised.value)
    assert connected.calls == []


@pytest.mark.parametrize(
    "operator",
    [
        lambda frame: CoveoCheckDatasetOperator(task_id="t", documents=frame),
        lambda frame: CoveoDiffOperator(
            task_id="t", source_id="files", documents=frame, state="memory://state"
        ),
    ],
)
def test_where_a_dataset_is_needed_the_lines_that_make_one_are_told(
    connected: Sandbox, operator: Any
) -> None:
    """A dataset is what is mapped over, or compared."""
    with pytest.raises(AirflowFailException, match=r"documents is a DataFrame.*\n.*import write_documents\n"):
        run(operator(pd.DataFrame(ROWS)))


def test_identities_are_told_the_lines_that_write_them(connected: Sandbox, tmp_path: Any) -> None:
    """And these do work."""
    operator = CoveoSecurityExpansionOperator(
        task_id="t", provider_id="acme", members=pd.DataFrame({"name": ["ann"], "type": ["USER"]})
    )
    with pytest.raises(AirflowFailException, match=r"members is a DataFrame.*") as raised:
        run(operator)

    given, written, returned = str(raised.value).split("\n")
    assert "expected the URI" in given
    names: dict[str, Any] = {"folder": ObjectStoragePath(tmp_path.as_uri()), "frame": pd.DataFrame(ROWS)}
    exec(written, names)
    assert pq.read_table(tmp_path / "members.parquet").num_rows == 2
    assert eval(returned.removeprefix("return "), names) == str(names["folder"] / "members.parquet")


@pytest.mark.parametrize(
    "ids",
    [
        ["product://1"],
        "product://1",
        [["product://1"], []],
        [{"documentId": "product://1"}],
        pd.DataFrame({"documentId": ["product://1"]}),
        {"product://1"},
        (one for one in ["product://1"]),
        pd.Series(["product://1"]),
        pl.Series(["product://1"]),
        pd.Index(["product://1"]),
        pd.Series(["product://1"]).to_numpy(),
    ],
    ids=[
        "list",
        "text",
        "lists of mapped tasks",
        "rows",
        "frame",
        "set",
        "generator",
        "column",
        "column of polars",
        "index",
        "array",
    ],
)
def test_ids_are_taken_as_ids(connected: Sandbox, ids: Any) -> None:
    """In `deletions`, however they are given; of a web page, too, which nobody fetches."""
    push(documents=ROWS)
    assert push(deletions=ids)["ids"] == {"delete": ["product://1"]}
    connected.settle()

    assert list(connected.items("files")) == ["product://2"]


@pytest.mark.parametrize(
    "name", ["https://example.com/a?b=c", "HTTP://example.com", "urn:isbn:1", "mailto:a@b"]
)
def test_any_id_is_taken_that_cannot_be_a_file(connected: Sandbox, name: str) -> None:
    """By its scheme."""
    push(documents=[{"documentId": name}, *ROWS])
    push(deletions=[name])
    connected.settle()

    assert connected.items("files") == HELD


def test_deletions_may_be_a_dataset_as_ever(connected: Sandbox, write_part: WritePart) -> None:
    """A file or a folder of them."""
    push(documents=ROWS)
    push(deletions=write_part([{"documentId": "product://1"}]))
    connected.settle()

    assert list(connected.items("files")) == ["product://2"]


@pytest.mark.parametrize(
    ("deletions", "words"),
    [
        (["file://share/a.pdf"], ["file://share/a.pdf", "names the host", "[{'documentId'"]),
        (["s3://bucket/a.html"], ["s3://bucket/a.html", "[{'documentId'"]),
        (["https://example.com/gone.parquet"], ["gone.parquet", "may be the id", "[{'documentId'"]),
        (["product://1", "file:///data/gone/"], ["product://1", "file:///data/gone/", "one kind"]),
        ([{"documentId": "product://1"}, "product://2"], ["rows", "URIs", "one kind"]),
        ([7], ["deletions must hold URIs, found 7"]),
    ],
)
def test_what_may_be_id_or_file_is_refused(
    connected: Sandbox, monkeypatch: pytest.MonkeyPatch, deletions: Any, words: list[str]
) -> None:
    """With the way to say which; nothing was sent."""
    monkeypatch.setitem(sys.modules, "s3fs", None)  # where it is installed, S3 itself would be asked
    with pytest.raises(AirflowFailException) as raised:
        push(deletions=deletions)

    assert all(word in str(raised.value) for word in words), str(raised.value)
    assert connected.calls == []


def test_a_file_that_is_an_id_is_not_read_as_deletions(connected: Sandbox, tmp_path: Any) -> None:
    """A document's file that lies on this machine."""
    (tmp_path / "a.pdf").write_bytes(b"%PDF-")

    with pytest.raises(AirflowFailException, match=r"a\.pdf.*not a Parquet file.*\[\{'documentId'"):
        push(deletions=[(tmp_path / "a.pdf").as_uri()])


@pytest.mark.parametrize("argument", ["documents", "partial_updates"])
def test_an_id_where_a_dataset_is_meant_is_said_to_be_one(connected: Sandbox, argument: str) -> None:
    """Instead of a storage that nobody knows."""
    options: dict[str, Any] = {argument: ["product://1"]}
    with pytest.raises(AirflowFailException, match=r"product://1 is no URI of a file.*rows: "):
        run(CoveoUpdateStreamOperator(task_id="t", source_id="products", **options))


@pytest.mark.parametrize("name", [name for name in FRAMES if "rows" not in name])
def test_a_frame_is_made_into_a_dataset(connected: Sandbox, tmp_path: Any, name: str) -> None:
    """By the transform, with a mapping, in as many batches as it takes."""
    parts = run(
        CoveoTransformOperator(
            task_id="t",
            source=FRAMES[name],
            output=(tmp_path / "documents").as_uri(),
            mapping=DocumentMapping("{documentId}", {"title": "name"}, keep="*"),
            batch_rows=1,
        )
    )
    push(documents=parts)
    connected.settle()

    assert connected.items("files") == {
        key: {("title" if field == "name" else field): value for field, value in item.items()}
        for key, item in HELD.items()
    }


def test_a_frame_that_cannot_be_a_dataset_is_refused_by_name(connected: Sandbox, tmp_path: Any) -> None:
    """As a file is."""
    frame = pd.DataFrame({"documentId": ["product://1", "two"], "x": [1, 2]})
    with pytest.raises(AirflowFailException, match=r"document 'two': documentId is not a URI"):
        run(CoveoTransformOperator(task_id="t", source=frame, output=(tmp_path / "x").as_uri()))


@pytest.mark.parametrize("argument", ["documents", "deletions"])
def test_the_text_that_a_template_makes_of_a_list_is_told_as_such(connected: Sandbox, argument: str) -> None:
    """As `"{{ ti.xcom_pull('transform') }}"` gives it."""
    with pytest.raises(AirflowFailException, match=r"is the text of a list, .*render_template_as_native_obj"):
        push(**{argument: "['file:///data/part-0.parquet', 'file:///data/part-1.parquet']"})


def test_nothing_to_delete_is_nothing(connected: Sandbox) -> None:
    """A quiet night is no fault, beside documents and alone; a load without documents is."""
    assert push(documents=ROWS, deletions=[])["documents"] == 2
    assert push(deletions=[])["deletions"] == 0
    connected.settle()
    assert connected.items("files") == HELD
    with pytest.raises(AirflowFailException, match="the list of parts is empty"):
        push(documents=[])


@pytest.mark.parametrize("index", ["documentId", ["documentId", "name"]])
def test_ids_in_the_index_of_a_frame_are_told(connected: Sandbox, index: Any) -> None:
    """An index is not sent, and this one is needed."""
    with pytest.raises(AirflowFailException, match=r"documentId is the index .*frame\.reset_index\(\)"):
        push(documents=pd.DataFrame(ROWS).set_index(index))


def test_an_index_with_a_name_is_left_out_by_name(
    connected: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """It may have been meant."""
    push(documents=pd.DataFrame(ROWS).set_index("size"))
    assert "the index 'size' is not sent" in caplog.text


def test_empty_permissions_need_no_other_row_to_be_known(connected: Sandbox) -> None:
    """Arrow makes lists of nulls of them, whose nulls are refused all the same."""
    frame = pd.DataFrame([{"documentId": "product://1", "permissions": []}])
    push(documents=frame, visibility="unchecked")
    connected.settle()
    assert connected.items("files")["product://1"]["permissions"] == []
    with pytest.raises(AirflowFailException, match=r"null stands at \[0\]"):
        push(documents=frame.assign(permissions=[[None]]), visibility="unchecked")

"""One item, pushed and deleted: what the index holds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, literal, task

from coveo_provider._compat import AirflowFailException
from coveo_provider.errors import Unreachable
from coveo_provider.operators import CoveoDeleteItemOperator, CoveoPushItemOperator
from coveo_provider.sandbox import Answer, Cut, Sandbox
from tests.contents import content_of, errors_in
from tests.dags.conftest import make_known
from tests.operators.conftest import run


def push(document: Any, source: str = "files", **options: Any) -> dict[str, Any]:
    report: dict[str, Any] = run(
        CoveoPushItemOperator(task_id="push", source_id=source, document=document, **options)
    )
    return report


def delete(document_id: Any, **options: Any) -> dict[str, Any]:
    report: dict[str, Any] = run(
        CoveoDeleteItemOperator(task_id="delete", source_id="files", document_id=document_id, **options)
    )
    return report


def test_an_item_is_pushed_and_deleted(connected: Sandbox) -> None:
    """With what the other operators report."""
    document = {"documentId": "https://example.com/a?b=1", "data": "text", "title": "Größe", "n": [1, 2]}

    pushed = push(document, fields="off")
    connected.settle()
    assert connected.items("files") == {"https://example.com/a?b=1": document}

    deleted = delete("https://example.com/a?b=1")
    connected.settle()
    assert connected.items("files") == {}
    assert [call.route for call in connected.calls] == ["item.put", "item.delete"]
    assert (pushed["documents"], pushed["deletions"], pushed["chunks"]) == (1, 0, 0)
    assert pushed["bytes"] == connected.calls[0].content_length
    assert (deleted["documents"], deleted["deletions"], deleted["bytes"]) == (0, 1, 0)


@pytest.mark.parametrize(("size", "routes"), [(1_000, 1), (6_000_000, 3)])
def test_an_item_with_a_file(connected: Sandbox, tmp_path: Path, size: int, routes: int) -> None:
    """Inline below 5 MiB, else in a container of its own; its type goes to the query."""
    (tmp_path / "a.PDF").write_bytes(os.urandom(size))
    report = push(
        {
            "documentId": "file://a",
            "contentUri": (tmp_path / "a.PDF").as_uri(),
            "compressionType": "gzip",
            "title": "A",
        },
        fields="off",
    )
    connected.settle()

    assert content_of(connected, "files", "file://a") == (tmp_path / "a.PDF").read_bytes()
    item = connected.items("files")["file://a"]
    assert (item["fileExtension"], item["title"], item["compressionType"]) == (".pdf", "A", "GZIP")
    assert connected.calls[-1].query["compressionType"] == "GZIP"
    assert len(connected.calls) == routes
    assert report["bytes"] > size
    assert errors_in(connected, "files") == []


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"documentId": "file://a", "data": "x", "contentUri": "file:///x"}, ["file://a", "contentUri and data"]),
        ({"documentId": "file://a", "contentUri": "file:///no/a.pdf"}, ["file://a", "/no/a.pdf is missing"]),
        ({"documentId": "one", "data": "x"}, ["'one'", "URI"]),
        ({"data": "x"}, ["documentId is missing"]),
        ({"documentId": "file://a", "data": "x" * 5_300_000}, ["file://a", "5,242,879"]),
        ("text", ["str", "mapping"]),
        (None, ["NoneType", "mapping"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_before_the_call(connected: Sandbox, document: Any, words: list[str]) -> None:
    """The task fails at once, as no retry would help."""
    with pytest.raises(AirflowFailException) as raised:
        push(document)
    assert all(word in str(raised.value) for word in words), raised.value
    assert connected.calls == []


@pytest.mark.parametrize("fault", [Cut("after"), Answer(503), Answer.throttled(1)])
def test_passing_faults_are_retried(connected: Sandbox, waits: list[float], fault: Any) -> None:
    """By the client, for both calls."""
    connected.faults.add(action=fault)
    push({"documentId": "file://a", "data": "text"})
    connected.settle()
    assert set(connected.items("files")) == {"file://a"}

    connected.faults.add(action=fault)
    delete("file://a")
    connected.settle()
    assert connected.items("files") == {}


def test_what_does_not_pass_is_for_airflow_to_retry(connected: Sandbox, waits: list[float]) -> None:
    """As the task says."""
    connected.faults.add(action=Cut("before"), times=100)
    with pytest.raises(Unreachable):
        delete("file://a")


@pytest.mark.parametrize(
    ("document_id", "left", "warned"),
    [
        ("file://a", {"file://b"}, True),
        ("file://a/", {"file://a", "file://ab", "file://b"}, False),
    ],
)
def test_children_go_with_their_parent_when_asked(
    connected: Sandbox, capsys: pytest.CaptureFixture[str], document_id: str, left: set[str], warned: bool
) -> None:
    """What the API takes for a child is any id with the same beginning; the log says so."""
    for name in ("file://a", "file://a/1", "file://ab", "file://b"):
        push({"documentId": name, "data": "text"})

    delete(document_id, delete_children=True)

    connected.settle()
    assert set(connected.items("files")) == left
    assert ("file://a-sibling" in capsys.readouterr().out) == warned


@pytest.mark.parametrize("document_id", ["", " ", None, 7])
@pytest.mark.parametrize("children", [False, True])
def test_deleting_nothing_is_refused(connected: Sandbox, document_id: Any, children: bool) -> None:
    """An empty id that takes children along would take all."""
    with pytest.raises(AirflowFailException, match="documentId"):
        delete(document_id, delete_children=children)
    assert connected.calls == []


def test_where_a_document_comes_from(connected: Sandbox, airflow_database: None) -> None:
    """From a task it is taken as it is; a literal is rendered, unless it says that it is literal."""

    @task
    def made() -> dict[str, Any]:
        return {"documentId": "file://made", "data": "{{ ds }}"}

    with DAG(dag_id="items", schedule=None) as dag:
        for name, document in (
            ("made", made()),
            ("rendered", {"documentId": "file://rendered", "data": "{{ 6 * 7 }}"}),
            ("literal", literal({"documentId": "file://literal", "data": "{{ 6 * 7 }}"})),
        ):
            CoveoPushItemOperator(task_id=f"push_{name}", source_id="files", document=document)
    make_known(dag)
    dag.test()
    connected.settle()

    assert {name: item["data"] for name, item in connected.items("files").items()} == {
        "file://made": "{{ ds }}",
        "file://rendered": "42",
        "file://literal": "{{ 6 * 7 }}",
    }

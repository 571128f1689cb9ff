"""A source that is declared in the DAG that loads it: made, loaded by each group, and all of its metadata kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, chain

from coveo_provider.documents import DocumentMapping
from coveo_provider.errors import ConfigurationError
from coveo_provider.operators import (
    CoveoCheckDatasetOperator,
    CoveoEnsureSourceOperator,
    CoveoTransformOperator,
    CoveoUpdateStreamOperator,
)
from coveo_provider.sandbox import Sandbox
from coveo_provider.task_groups import (
    catalog_load,
    catalog_refresh,
    incremental_push,
    push_rebuild,
    secured_push,
)
from tests.conftest import ROOT, Connect, WritePart
from tests.dags.conftest import ran
from tests.test_docs import run_blocks

ROWS = [{"sku": f"{n}", "Color": "red", "price": n + 0.25, "stock": n, "data": "x"} for n in range(5)]
MAPPING = DocumentMapping(document_id="product://{sku}", keep=("Color", "price", "stock", "data"))
EXPECTED = {
    f"product://{row['sku']}": {
        "documentId": f"product://{row['sku']}",
        **{key: row[key] for key in ("Color", "price", "stock", "data")},
    }
    for row in ROWS
}

pytestmark = pytest.mark.usefixtures("airflow_database", "nothing_remembered")


@pytest.fixture
def sandbox(connect: Connect) -> Iterator[Sandbox]:
    """A sandbox that drops metadata without a field, as the platform does."""
    with Sandbox.start(strict_fields=True) as running:
        connect(running)
        yield running


def transform(folder: Path, rows: list[dict[str, Any]] | None = None) -> CoveoTransformOperator:
    raw = folder / "rows.ndjson"
    raw.write_text("\n".join(map(json.dumps, ROWS if rows is None else rows)))
    return CoveoTransformOperator(
        task_id="transform", source=raw.as_uri(), output=(folder / "out").as_uri(), mapping=MAPPING
    )


@pytest.mark.parametrize(
    ("group", "kind", "more"),
    [
        (catalog_refresh, "CATALOG", {"state": "state"}),
        pytest.param(incremental_push, "PUSH", {"state": "state"}, marks=pytest.mark.long),
        pytest.param(incremental_push, "PUSH", {}, marks=pytest.mark.long),
        pytest.param(catalog_refresh, "CATALOG", {}, marks=pytest.mark.long),
        pytest.param(catalog_load, "CATALOG", {}, marks=pytest.mark.long),
        pytest.param(push_rebuild, "PUSH", {}, marks=pytest.mark.long),
        pytest.param(
            secured_push, "PUSH", {"provider_id": "My Directory", "members": True}, marks=pytest.mark.long
        ),
    ],
)
@pytest.mark.parametrize("how", ["ensure", pytest.param("fields", marks=pytest.mark.long)])
def test_a_source_is_made_and_loaded_with_all_of_its_metadata(
    *,
    sandbox: Sandbox,
    write_part: WritePart,
    tmp_path: Path,
    group: Any,
    kind: str,
    more: dict[str, Any],
    how: str,
) -> None:
    """Its id comes from the task that made it; the fields from a task in the group, or from the check."""
    staff = {"name": "staff", "type": "GROUP", "members": [{"name": "ann", "type": "USER"}]}
    if "members" in more:
        more = {**more, "members": write_part([staff], "members.parquet")}
    options = {name: (tmp_path / one).as_uri() if name == "state" else one for name, one in more.items()}
    with DAG("as_code", schedule=None, default_args={"retries": 0}) as dag:
        made: Any = CoveoEnsureSourceOperator(
            task_id="source", source="Shoes", kind=kind, visibility="SHARED"
        ).output
        wanted = {"ensure": True} if how == "ensure" else {"fields": "create"}
        group(source_id=made["source_id"], documents=transform(tmp_path).output, **wanted, **options)

    state, states = ran(dag)

    assert state == "success", states
    assert ("ensure" in states) is (how == "ensure")
    sandbox.settle()
    [source] = [one for one in sandbox.state.sources.listed() if one.name == "Shoes"]
    assert sandbox.items(source.id) == EXPECTED
    assert [one for one in sandbox.logs(source.id) if one.result == "WARNING" and one.task == "MAPPING"] == []
    searches = [call for call in sandbox.calls if call.route == "fields.search"]
    assert len(searches) == 2  # of the source's own task, and of the group


def test_the_page(sandbox: Sandbox, tmp_path: Path) -> None:
    """Its example runs as it is printed: all metadata is kept, and the second run changes nothing."""
    lines = ["sku,name,price,color,Prix €", '1,Boot,9.5,red,"12.5"', '2,Clog,5.25,blue,"7.0"']
    (tmp_path / "shoes.csv").write_text("\n".join(lines))
    for _ in range(2):
        _, dag = run_blocks(ROOT / "docs" / "sources-as-code.md", tmp_path)
        state, states = ran(dag)
        assert state == "success", states

    sandbox.settle()
    [source] = [one for one in sandbox.state.sources.listed() if one.name == "Shoes"]
    fields = {one["name"]: (one["type"], one["facet"]) for one in sandbox.state.fields.all()}
    assert fields == {"color": ("STRING", True), "prix": ("DOUBLE", True), "price": ("DOUBLE", True)}
    assert sandbox.items(source.id)["product://1"] == {
        "documentId": "product://1",
        "title": "Boot",
        "price": 9.5,
        "color": "red",
        "Prix €": 12.5,
    }


def test_what_does_not_fit_stops_the_run_before_anything_is_sent(sandbox: Sandbox, tmp_path: Path) -> None:
    """Text in a number, refused by the task that checks; nothing was sent."""
    sandbox.state.fields.create([{"name": name, "type": "DOUBLE"} for name in ("price", "stock", "color")])
    with DAG("as_code", schedule=None, default_args={"retries": 0}) as dag:
        push_rebuild(source_id="files", documents=transform(tmp_path).output, fields="fail")

    state, states = ran(dag)

    assert (state, states["check"], states["push"]) == ("failed", "failed", "upstream_failed")
    assert {call.method for call in sandbox.calls if call.route != "fields.search"} <= {"GET"}


@pytest.mark.parametrize("what", ["its own choice", "partial updates", "rows"])
def test_a_task_after_one_that_checked_still_looks_at_what_that_one_did_not(
    sandbox: Sandbox, tmp_path: Path, what: str
) -> None:
    """The check warns of the dataset only: what is stricter, or sends something else, asks itself."""
    change = {"documentId": "product://9", "operator": "fieldValueReplace", "field": "shade", "value": "dark"}
    options: dict[str, dict[str, Any]] = {
        "its own choice": {"fields": "fail"},
        "partial updates": {"partial_updates": [change]},
        "rows": {},
    }
    with DAG("as_code", schedule=None, default_args={"retries": 0}) as dag:
        documents = transform(tmp_path).output
        check = CoveoCheckDatasetOperator(
            task_id="check", source_id="products", documents=documents, stream=True, exclusive=False
        )
        send = CoveoUpdateStreamOperator.partial(task_id="send", source_id="products", **options[what])
        if what == "rows":
            chain(check, send.expand(documents=[[{"documentId": "a:b", "shade": "dark"}]]))
        else:
            send.expand(documents=check.output)

    state, _ = ran(dag)

    assert state == ("failed" if what == "its own choice" else "success")
    assert [call.route for call in sandbox.calls].count("fields.search") == 2
    sandbox.settle()
    assert sandbox.count("products") == {"its own choice": 0, "partial updates": len(ROWS), "rows": 1}[what]


@pytest.mark.parametrize(
    ("ensure", "why"),
    [
        ("{{ params.ensure }}", "cannot be templated"),
        ({"source": "Shoes"}, "put CoveoEnsureSourceOperator before the group"),
        ({"source_id": "files"}, "which the group says itself"),
    ],
)
def test_a_group_refuses_what_ensure_cannot_be(ensure: Any, why: str) -> None:
    with (
        DAG("as_code", schedule=None),
        pytest.raises(ConfigurationError, match=why),
    ):
        push_rebuild(source_id="files", documents="/data", ensure=ensure)

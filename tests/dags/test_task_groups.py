"""The ready-made groups, run in DAGs of a few lines; then each step is broken in turn, and the index looked at."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from coveo_provider.documents import DocumentMapping
from coveo_provider.errors import ConfigurationError
from coveo_provider.operators import CoveoTransformOperator
from coveo_provider.sandbox import Answer, Cut, Sandbox
from coveo_provider.task_groups import catalog_load, catalog_refresh, incremental_push, push_rebuild
from tests.conftest import WritePart, products
from tests.dags.conftest import ran

Rows = dict[str, dict[str, Any]]
FAIL = Answer(500, body='{"message": "Internal error"}')
MAPPING = DocumentMapping(document_id="product://{sku}", fields={"ec_name": "name"}, keep=("price", "data"))


class Shop:
    """A shop whose rows are kept equal to a source, one run of a DAG after the other."""

    def __init__(self, sandbox: Sandbox, folder: Path, group: Callable[..., Any], source: str) -> None:
        self.sandbox, self.folder, self.group, self.source = sandbox, folder, group, source
        self.runs = 0
        self.rows: dict[str, dict[str, Any]] = {}
        self.mapping = MAPPING

    def put(self, count: int, start: int = 0, **values: Any) -> None:
        for n in range(start, start + count):
            self.rows[f"{n:04d}"] = {
                "sku": f"{n:04d}",
                "name": f"Shoe {n}",
                "price": n,
                "data": "x",
                **values,
            }

    def run(self, names: dict[str, str] | None = None, **options: Any) -> tuple[str, dict[str, str]]:
        """Run a DAG that makes the source equal to the rows; ``names`` is that of :func:`ran`."""
        self.runs += 1
        raw = self.folder / f"run-{self.runs}.ndjson"
        raw.write_text("\n".join(map(json.dumps, self.rows.values())))
        with DAG(f"shop_{self.source}", schedule=None, default_args={"retries": 0}) as dag:
            transform = CoveoTransformOperator(
                task_id="transform",
                source=raw.as_uri(),
                output=(self.folder / f"run-{self.runs}").as_uri(),
                mapping=self.mapping,
            )
            self.group(
                source_id=self.source,
                documents=transform.output,
                state=(self.folder / "state").as_uri(),
                **options,
            )
        return ran(dag, names)

    def expected(self) -> Rows:
        return {
            f"product://{row['sku']}": {
                "documentId": f"product://{row['sku']}",
                "ec_name": row["name"],
                "price": row["price"],
                "data": row["data"],
            }
            for row in self.rows.values()
        }

    def held(self) -> Rows:
        self.sandbox.settle()
        return self.sandbox.items(self.source)


@pytest.fixture(params=["products", "files"])
def shop(
    request: pytest.FixtureRequest,
    connected: Sandbox,
    tmp_path: Path,
    waits: list[float],
    airflow_database: None,
) -> Shop:
    """A Catalog source kept by catalog_refresh, and a Push source kept by incremental_push."""
    group = {"products": catalog_refresh, "files": incremental_push}[request.param]
    return Shop(connected, tmp_path, group, request.param)


def test_only_what_changed_is_sent_and_what_is_gone_is_deleted_by_id(shop: Shop) -> None:
    """A first run sends everything; the second the difference; the third, of nothing, is skipped."""
    shop.put(40)
    assert shop.run()[0] == "success"
    assert shop.held() == shop.expected()
    uploaded = shop.sandbox.count(shop.source)

    shop.put(2, start=3, price=99)
    shop.put(1, start=70)
    for gone in ("0010", "0011"):
        del shop.rows[gone]
    before = len(shop.sandbox.calls)
    state, states = shop.run()
    calls = [call for call in shop.sandbox.calls[before:] if call.route == "upload"]

    assert (state, states["finalize"]) == ("success", "success")
    assert shop.held() == shop.expected()
    assert uploaded == 40
    assert len(calls) == 2  # one of documents, one of deletions
    assert sum(call.content_length or 0 for call in calls) < 600
    assert not [call for call in shop.sandbox.calls[before:] if "older" in call.route]

    before = len(shop.sandbox.calls)
    state, states = shop.run()
    assert state == "success"
    assert {states["diff"], states["finalize"]} == {"skipped"}
    assert [call.route for call in shop.sandbox.calls[before:]] == ["platform.source.get"]  # its count


def test_a_mapped_task_goes_by_its_part_in_the_ui(shop: Shop) -> None:
    """With what it sent of it, documents and deletions."""
    names: dict[str, str] = {}
    shop.put(40)
    shop.run(names)
    assert list(names.values()) == ["part-00000.parquet: 40 documents"]

    shop.put(1, start=3, price=99)
    del shop.rows["0010"]
    names.clear()
    shop.run(names)
    assert sorted(text.partition(": ")[2] for text in names.values()) == ["1 deletion", "1 document"]


def test_a_run_that_failed_half_way_is_made_good_by_the_next(shop: Shop) -> None:
    """What it may have sent is sent again, though the rows are back at what they were before it."""
    shop.put(20)
    shop.run()
    good = {key: dict(row) for key, row in shop.rows.items()}
    shop.put(5, price=77)  # reaches the index …
    shop.put(1, start=50)
    step = {"products": "stream.update", "files": "batch.put"}[shop.source]
    shop.sandbox.faults.add(route=step, action=Cut("after"), times=6)  # … and nobody is told

    state, states = shop.run()
    assert (state, states["finalize"]) == ("failed", "upstream_failed")
    assert shop.held() != shop.expected() or shop.held()["product://0000"]["price"] == 77

    shop.sandbox.faults.clear()
    shop.rows = good
    assert shop.run()[0] == "success"
    assert shop.held() == shop.expected()
    assert shop.sandbox.source(shop.source).status in {"IDLE", "PUSH_READY", None, ""}


def test_an_extract_that_lost_its_rows_deletes_nothing(shop: Shop) -> None:
    """The shrink is seen before anything is sent."""
    shop.put(20)
    shop.run()
    held = shop.held()
    before = len(shop.sandbox.calls)
    for gone in list(shop.rows)[3:]:
        del shop.rows[gone]

    state, states = shop.run(max_shrink=0.5)

    assert (state, states["diff"]) == ("failed", "failed")
    assert [call.route for call in shop.sandbox.calls[before:]] == ["platform.source.get"]  # its count
    assert shop.held() == held


@pytest.mark.slow
def test_a_changed_mapping_sends_everything_and_deletes_by_age(shop: Shop) -> None:
    """And so does a lost state, and the wish for a full run."""
    shop.put(12)
    shop.run()
    shop.sandbox.settle()
    shop.mapping = DocumentMapping(
        document_id="product://{sku}", fields={"ec_name": "name", "brand": "name"}, keep=("price", "data")
    )
    del shop.rows["0003"]
    before = len(shop.sandbox.calls)
    assert shop.run()[0] == "success"
    assert [call for call in shop.sandbox.calls[before:] if "older" in call.route]
    held = shop.held()
    assert sorted(held) == sorted(shop.expected())
    assert {item["brand"] == item["ec_name"] for item in held.values()} == {True}

    shop.put(1, price=5)
    before = len(shop.sandbox.calls)
    assert shop.run(full=True)[0] == "success"
    assert [call for call in shop.sandbox.calls[before:] if "older" in call.route]


def test_a_refresh_without_state_sends_all_and_deletes_by_age(
    connected: Sandbox, write_part: WritePart
) -> None:
    """The mark is the first update's orderingId."""
    for parts in ([(5, 0), (5, 5)], [(3, 0), (3, 6)]):
        uris = [write_part(products(*part), f"{part[1]}.parquet") for part in parts]
        with DAG("plain_refresh", schedule=None, default_args={"retries": 0}) as dag:
            catalog_refresh(source_id="products", documents=uris)
        assert ran(dag)[0] == "success"
        connected.settle()
    assert sorted(connected.items("products")) == [f"product://{n}" for n in (0, 1, 2, 6, 7, 8)]


def test_changes_of_a_feed_are_pushed_as_they_are(connected: Sandbox, write_part: WritePart) -> None:
    """Documents and deletions, between INCREMENTAL and IDLE; nothing is deleted for its age."""
    for number, gone in enumerate([None, [{"documentId": "product://1"}]]):
        with DAG("feed", schedule=None, default_args={"retries": 0}) as dag:
            incremental_push(
                source_id="files",
                documents=write_part(products(3, 3 * number), f"{number}.parquet"),
                deletions=gone,
            )
        assert ran(dag)[0] == "success"
    connected.settle()
    assert sorted(connected.items("files")) == [f"product://{n}" for n in (0, 2, 3, 4, 5)]
    assert [activity.operation for activity in connected.activities("files")] == ["INCREMENTAL_REFRESH"] * 2
    assert connected.source("files").status == "IDLE"


@pytest.mark.parametrize(
    "given", [{}, {"state": "file:///s", "documents": "d", "deletions": "x"}, {"state": "file:///s"}]
)
def test_a_group_that_makes_no_sense_is_refused_when_the_dag_is_parsed(given: dict[str, Any]) -> None:
    """The message names what to give."""
    with DAG("senseless", schedule=None), pytest.raises(ConfigurationError, match="documents"):
        incremental_push(source_id="files", **given)


def test_groups_stand_side_by_side(connected: Sandbox, write_part: WritePart) -> None:
    """Two of a kind in one DAG, under names of their own."""
    part = write_part([{**row, "data": "x"} for row in products(4)])
    with DAG("two", schedule=None, default_args={"retries": 0}) as dag:
        first = catalog_load(source_id="products", documents=part, group_id="first")
        second = push_rebuild(source_id="files", documents=part, group_id="second")
        first >> second
    assert ran(dag)[0] == "success"
    connected.settle()
    assert connected.count("products") == connected.count("files") == 4

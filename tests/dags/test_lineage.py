"""What OpenLineage is told by real runs: its own listener and client write the events to a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from airflow.sdk import DAG

from coveo_provider.documents import DocumentMapping
from coveo_provider.operators import (
    CoveoDeleteItemOperator,
    CoveoPushBatchOperator,
    CoveoPushItemOperator,
    CoveoTransformOperator,
)
from coveo_provider.sandbox import Answer, Sandbox
from coveo_provider.task_groups import catalog_load, catalog_refresh, push_rebuild
from tests.conftest import WritePart, products
from tests.dags.conftest import ran
from tests.listening import openlineage

MAPPING = DocumentMapping(document_id="product://{sku}", fields={"ec_name": "name"}, keep=("price", "data"))
COLUMNS = {"documentId": "string", "ec_name": "string", "price": "int64", "data": "string"}


class Told:
    """
    What one event tells of datasets.

    :param event: as it is sent, in JSON
    """

    def __init__(self, event: dict[str, Any]) -> None:
        self.inputs, self.outputs = (
            [self._plain(one) for one in event[side]] for side in ("inputs", "outputs")
        )

    @staticmethod
    def _plain(data: dict[str, Any]) -> dict[str, Any]:
        """Return name, columns and counts of a dataset, without what has nothing to say."""
        special = {**data.get("inputFacets", {}), **data.get("outputFacets", {})}
        counts = {**special.get("inputStatistics", {}), **special.get("outputStatistics", {})}
        found = {
            "at": (data["namespace"], data["name"]),
            "columns": {
                one["name"]: one["type"] for one in data["facets"].get("schema", {}).get("fields", [])
            },
            "rows": counts.get("rowCount"),
            "bytes": counts.get("size"),
            "files": counts.get("fileCount"),
            "parts": special.get("subset", {}).get("inputCondition", {}).get("locations"),
        }
        return {name: value for name, value in found.items() if value not in (None, {})}


Events = Callable[..., list[Told]]


@pytest.fixture
def listening(tmp_path: Path, airflow_database: None) -> Iterator[Path]:
    """OpenLineage's own listener, as its plugin adds it, and the file that its client writes to."""
    from airflow.providers.openlineage.plugins.listener import OpenLineageListener
    from airflow.sdk.execution_time import task_runner

    manager: Any = vars(task_runner)["get_listener_manager"]()
    file = tmp_path / "events.ndjson"
    with openlineage(file):
        listener = OpenLineageListener()  # type: ignore[no-untyped-call]
        manager.add_listener(listener)
        yield file
        manager.pm.unregister(listener)


@pytest.fixture
def events(listening: Path) -> Events:
    """What the events of a kind tell, of all instances of a task in turn."""

    def of(task: str, kind: str = "COMPLETE") -> list[Told]:
        found = [json.loads(line) for line in listening.read_text().splitlines()]
        return [
            Told(event)
            for event in found
            if event["eventType"] == kind and event["job"]["name"].rpartition(".")[2] == task
        ]

    return of


def transformed(folder: Path, name: str, rows: list[dict[str, Any]]) -> CoveoTransformOperator:
    """Return a task that makes a dataset of rows, in parts of 1 MiB."""
    raw = folder / f"{name}.ndjson"
    raw.write_text("\n".join(map(json.dumps, rows)))
    return CoveoTransformOperator(
        task_id="transform",
        source=raw.as_uri(),
        output=(folder / name).as_uri(),
        mapping=MAPPING,
        stream=True,
        part_bytes=1 << 20,
    )


def shoes(count: int, size: int = 1) -> list[dict[str, Any]]:
    return [{"sku": f"{n:04}", "name": f"Shoe {n}", "price": n, "data": "x" * size} for n in range(count)]


def size_of(folder: Path) -> int:
    return sum(part.stat().st_size for part in folder.glob("*.parquet"))


def test_a_load_is_told_from_its_extract_to_its_source(
    connected: Sandbox, events: Events, tmp_path: Path
) -> None:
    """Each task that is mapped tells its own part of the dataset; those at the end all of what was sent."""
    with DAG("lineage_load", schedule=None, default_args={"retries": 0}) as dag:
        catalog_load(source_id="products", documents=transformed(tmp_path, "shoes", shoes(2_500, 900)).output)

    assert ran(dag)[0] == "success"

    extract, dataset = ("file", str(tmp_path / "shoes.ndjson")), ("file", str(tmp_path / "shoes"))
    parts = sorted((tmp_path / "shoes").glob("*.parquet"))
    rows = [pq.read_metadata(part).num_rows for part in parts]
    [made], [planned] = events("transform"), events("transform", "START")
    assert len(parts) == 3
    assert made.inputs == planned.inputs == [{"at": extract}]
    assert planned.outputs == [{"at": dataset}]
    assert made.outputs == [
        {"at": dataset, "columns": COLUMNS, "rows": 2_500, "bytes": size_of(tmp_path / "shoes"), "files": 3}
    ]
    [checked] = events("check")
    uris = [part.as_uri() for part in parts]
    assert checked.inputs == [{"at": dataset, "columns": COLUMNS, "rows": 2_500, "parts": uris}]
    uploads = sorted(events("upload"), key=lambda one: one.inputs[0]["parts"])
    assert [one.inputs for one in uploads] == [
        [{"at": dataset, "columns": COLUMNS, "rows": count, "parts": [uri]}]
        for count, uri in zip(rows, uris, strict=True)
    ]
    source = {"at": ("coveo://sandbox", "products"), "columns": COLUMNS}
    assert [one.outputs for one in uploads] == [
        [{**source, "rows": count, "bytes": one.outputs[0]["bytes"]}]
        for count, one in zip(rows, uploads, strict=True)
    ]
    sizes = [call.content_length or 0 for call in connected.calls if call.route == "upload"]
    assert sorted(one.outputs[0]["bytes"] for one in uploads) == sorted(sizes)
    whole = [{**source, "rows": 2_500, "bytes": sum(sizes)}]
    assert [(one.inputs, one.outputs) for task in ("close", "verify") for one in events(task)] == [
        ([], whole)
    ] * 2


@pytest.mark.slow  # each event forks a process
def test_a_refresh_is_told_by_way_of_what_changed(connected: Sandbox, events: Events, tmp_path: Path) -> None:
    """The first night the dataset is sent; the second, what the diff wrote: documents, and ids to delete."""
    for night, rows in enumerate([shoes(20), [{**one, "price": one["price"] // 3} for one in shoes(18)]]):
        with DAG("lineage_refresh", schedule=None, default_args={"retries": 0}) as dag:
            catalog_refresh(
                source_id="products",
                documents=transformed(tmp_path, f"night-{night}", rows).output,
                state=(tmp_path / "state").as_uri(),
            )
        assert ran(dag)[0] == "success"

    first, second = ({"at": ("file", str(tmp_path / f"night-{night}"))} for night in (0, 1))
    everything, difference = events("diff")
    assert (everything.inputs[0]["at"], everything.outputs) == (first["at"], [])
    assert [one["at"] for one in difference.inputs] == [second["at"]]
    changed, gone = difference.outputs
    assert (changed["rows"], changed["columns"], changed["files"]) == (17, COLUMNS, 1)
    assert (gone["rows"], gone["columns"]) == (2, {"documentId": "string"})
    whole, update, removal = sorted(events("update"), key=lambda one: -one.outputs[0]["rows"])
    assert [one["at"] for one in whole.inputs] == [first["at"]]
    assert [one["at"] for one in update.inputs + removal.inputs] == [changed["at"], gone["at"]]
    source = ("coveo://sandbox", "products")
    assert [(one.outputs[0]["at"], one.outputs[0]["rows"]) for one in (whole, update, removal)] == [
        (source, 20),
        (source, 17),
        (source, 0),
    ]
    for task in ("delete_older", "finalize"):
        ends = [one.outputs[0] for one in events(task)]
        assert [(one["at"], one["rows"]) for one in ends] == [(source, 20), (source, 17)]
    assert [one.outputs[0]["columns"] for one in events("finalize")] == [COLUMNS] * 2


@pytest.mark.long
def test_what_a_failed_task_had_sent_is_told(
    connected: Sandbox, events: Events, write_part: WritePart
) -> None:
    """The first of its chunks was accepted, the second refused."""
    part = write_part([{**row, "data": "x" * 600} for row in products(10)])
    connected.faults.add(route="batch.put", action=Answer(500), skip=1, times=20)
    with DAG("lineage_fails", schedule=None, default_args={"retries": 0}) as dag:
        CoveoPushBatchOperator(task_id="push", source_id="files", documents=part, max_chunk_bytes=6_000)

    assert ran(dag)[0] == "failed"

    [told] = events("push", "FAIL")
    [lone] = told.inputs
    assert (lone["at"], lone["rows"]) == (("file", part.removeprefix("file://")), 10)
    assert "parts" not in lone  # it is of no dataset of ours: the file is named itself
    [source] = told.outputs
    assert source["at"] == ("coveo://sandbox", "files")
    assert 0 < source["rows"] < 10


@pytest.mark.long
def test_single_items_and_rows_given_inline_come_from_nowhere(connected: Sandbox, events: Events) -> None:
    """The source is told with what it was sent; of a deletion there is no row to tell."""
    with DAG("lineage_items", schedule=None, default_args={"retries": 0}) as dag:
        document = {"documentId": "https://x.test/1", "data": "x"}
        CoveoPushItemOperator(task_id="push", source_id="files", document=document)
        CoveoPushBatchOperator(task_id="batch", source_id="files", documents=products(4))
        CoveoDeleteItemOperator(task_id="delete", source_id="files", document_id="https://x.test/1")

    assert ran(dag)[0] == "success"

    at = {"at": ("coveo://sandbox", "files")}
    [pushed], [batch], [deleted] = events("push"), events("batch"), events("delete")
    assert [*pushed.inputs, *batch.inputs, *deleted.inputs] == []
    assert pushed.outputs == [{**at, "rows": 1, "bytes": pushed.outputs[0]["bytes"]}]
    assert [call.content_length for call in connected.calls if call.route == "upload"] == [
        batch.outputs[0]["bytes"]
    ]
    assert batch.outputs[0]["rows"] == 4
    assert deleted.outputs == [at]


def test_the_asset_of_a_source_has_the_same_name(events: Events, listening: Path) -> None:
    """A task of anybody's that names it as its outlet tells the dataset that the operators tell."""
    from airflow.providers.common.compat.openlineage.utils.utils import translate_airflow_asset

    from coveo_provider.assets import coveo_asset

    data = translate_airflow_asset(coveo_asset("MyOrg", "a source"), None)

    assert data is not None
    assert (data.namespace, data.name) == ("coveo://myorg", "a%20source")


def test_a_failure_in_it_fails_no_task(
    connected: Sandbox,
    events: Events,
    write_part: WritePart,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Nor is it told more of than its kind, nor at the level of an error."""

    def fails(*_: Any, **__: Any) -> Any:
        raise LookupError("of sig=s3cr3t")

    monkeypatch.setattr("coveo_provider.operators.support.sending.data_of_source", fails)
    monkeypatch.setattr("coveo_provider.operators.support.ending.data_of_source", fails)
    with DAG("lineage_breaks", schedule=None, default_args={"retries": 0}) as dag:
        push_rebuild(source_id="files", documents=write_part([{**row, "data": "x"} for row in products(3)]))

    assert ran(dag)[0] == "success"

    connected.settle()
    assert connected.count("files") == 3
    printed = "".join(capfd.readouterr())
    assert printed.count("OpenLineage is told nothing of this task, because of LookupError") == 3
    # Airflow 3.1 calls a Variable that is not there yet an error.
    lines = [line for line in printed.splitlines() if "Variable not found" not in line]
    assert [line for line in lines if any(word in line for word in ("s3cr3t", "Traceback", "[error"))] == []

"""The sample DAGs, run; then each step is broken in turn, and the index is looked at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import sample_rows

from coveo_provider.sandbox import Answer, Cut, Sandbox
from tests.dags.conftest import RunDag

Run = Callable[..., tuple[str, dict[str, str]]]
SAMPLES = [
    "coveo_catalog_load",
    "coveo_catalog_refresh",
    "coveo_end_stale_loads",
    "coveo_file_share",
    "coveo_incremental_push",
    "coveo_push_rebuild",
    "coveo_refused_items",
    "coveo_roll_back",
    "coveo_secured_push",
    "coveo_table_refresh",
    "coveo_taskflow",
]
FAIL = Answer(500, body='{"message": "Internal error"}')


@pytest.fixture(autouse=True)
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the extracts small: the first rows of each kind, read once."""
    for name in ("installed_distributions", "python_topics", "python_modules"):
        rows = [{**row, "files": row["files"][:5]} if "files" in row else row for row in ROWS[name]]
        monkeypatch.setattr(sample_rows, name, lambda rows=rows: rows)


ROWS: dict[str, list[dict[str, Any]]] = {
    "installed_distributions": sample_rows.installed_distributions()[:120],
    "python_topics": sample_rows.python_topics()[:30],
    "python_modules": sample_rows.python_modules()[:30],
}


@pytest.fixture
def run(run_dag: RunDag, connected: Sandbox, tmp_path: Path, waits: list[float]) -> Run:
    """Run a sample DAG against the sandbox, staging below a temporary folder."""

    def run_into(name: str, **conf: Any) -> tuple[str, dict[str, str]]:
        return run_dag(name, staging=tmp_path.as_uri(), **conf)

    return run_into


def dataset(folder: Path) -> dict[str, dict[str, Any]]:
    """Return the documents of the newest run's dataset, absent values left out."""
    newest = max((path for path in folder.iterdir()), key=lambda path: path.stat().st_mtime_ns)
    rows = (row for part in newest.rglob("documents/*.parquet") for row in pq.read_table(part).to_pylist())
    return {row["documentId"]: {k: v for k, v in row.items() if v is not None} for row in rows}


def test_the_samples_can_be_parsed(airflow_database: None) -> None:
    """Airflow finds every sample in the folder, and no error."""
    from airflow.models import DagBag

    bag = DagBag(dag_folder=str(Path(sample_rows.__file__).parent))

    assert bag.import_errors == {}
    assert set(bag.dag_ids) == set(SAMPLES)
    assert all(dag.doc_md for dag in bag.dags.values())  # what it does is said on its page in Airflow's UI


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_serializes_the_same_each_time(name: str) -> None:
    """A DAG whose arguments change with each parse would be a new version each time."""
    from importlib import import_module

    from airflow.serialization import serialized_objects

    name_of_3_1 = "SerializedDAG"
    serializer = getattr(serialized_objects, "DagSerialization", None) or getattr(
        serialized_objects, name_of_3_1
    )
    build = getattr(import_module(name), name)

    assert serializer.to_dict(build()) == serializer.to_dict(build())


def test_the_catalog_holds_exactly_the_dataset_each_time(
    run: Run, connected: Sandbox, tmp_path: Path
) -> None:
    """A full run, then one with fewer inputs: each leaves exactly its documents in the index."""
    for limit in (None, 40):
        state, _ = run("coveo_catalog_load", limit=limit)
        connected.settle()
        assert state == "success"
        expected = dataset(tmp_path / "coveo_catalog_load")
        assert connected.items("products") == expected
        kinds = [item["objecttype"] for item in expected.values()]
        assert kinds.count("Product") == (limit or len(ROWS["installed_distributions"]))
        assert "Variant" in kinds
    parts = list((tmp_path / "coveo_catalog_load").rglob("documents/*.parquet"))
    assert len(parts) == 3 + 1


def test_a_frame_reaches_the_index(run: Run, connected: Sandbox) -> None:
    """The topics of the sample, and one of them gone again with the next run."""
    assert run("coveo_taskflow", source_id="files")[0] == "success"
    held = {f"python://{row['path']}": row["text"] for row in ROWS["python_topics"]}
    assert {name: item["data"] for name, item in connected.items("files").items()} == held

    gone = "python://topic/assignment"
    assert run("coveo_taskflow", source_id="files", limit=1, gone=[gone])[0] == "success"
    assert connected.items("files").keys() == held.keys() - {gone}


def test_the_push_source_holds_exactly_the_dataset_each_time(
    run: Run, connected: Sandbox, tmp_path: Path
) -> None:
    """A full rebuild, then one with fewer inputs: each leaves exactly its documents, and the source IDLE."""
    for limit in (None, 7):
        connected.clock.advance(seconds=60)
        state, _ = run("coveo_push_rebuild", limit=limit)
        connected.settle()
        assert state == "success"
        assert connected.items("files") == dataset(tmp_path / "coveo_push_rebuild")
        assert connected.source("files").status == "IDLE"
    children = [item for item in connected.items("files").values() if "parentId" in item]
    assert children
    assert all(child["parentId"] in connected.items("files") for child in children)


@pytest.mark.parametrize(
    ("route", "task"),
    [
        ("stream.open", "open"),
        ("stream.chunk", "upload"),
        ("upload", "upload"),
        ("stream.close", "close"),
    ],
)
def test_a_broken_step_leaves_the_catalog_as_it_was(
    run: Run, connected: Sandbox, route: str, task: str
) -> None:
    """Whichever step of a load fails, the index is still that of the load before."""
    run("coveo_catalog_load")
    connected.settle()
    before = connected.items("products")
    connected.faults.add(route=route, action=FAIL, times=6)

    state, states = run("coveo_catalog_load", limit=60)

    connected.faults.clear()
    connected.settle()
    assert state == "failed"
    assert "failed" in {result for name, result in states.items() if name.startswith(task)}
    assert connected.items("products") == before


def test_one_failed_part_of_a_load_keeps_it_from_being_closed(run: Run, connected: Sandbox) -> None:
    """The parts that went through are not applied without the one that did not."""
    connected.faults.add(route="upload", action=FAIL, skip=1, times=6)

    state, states = run("coveo_catalog_load")

    connected.settle()
    assert state == "failed"
    assert sorted(states[f"upload[{n}]"] for n in range(3)) == ["failed", "success", "success"]
    assert states["close"] == "upstream_failed"
    assert connected.count("products") == 0


@pytest.mark.slow
@pytest.mark.parametrize("route", ["stream.close", "stream.chunk", "upload", "stream.open"])
def test_a_lost_answer_does_no_harm_to_a_load(
    run: Run, connected: Sandbox, tmp_path: Path, route: str
) -> None:
    """An answer that is lost after the call was carried out is met with a retry, and the index is right."""
    connected.faults.add(route=route, action=Cut("after"))

    state, _ = run("coveo_catalog_load", limit=60)

    connected.settle()
    assert state == "success"
    assert connected.items("products") == dataset(tmp_path / "coveo_catalog_load")


@pytest.mark.slow
@pytest.mark.parametrize("route", ["file.create", "upload", "batch.put", "items.delete_older"])
def test_a_broken_step_of_a_rebuild_deletes_nothing(run: Run, connected: Sandbox, route: str) -> None:
    """When a part fails, no item is deleted and the source is IDLE again."""
    run("coveo_push_rebuild")
    connected.settle()
    connected.clock.advance(seconds=60)
    before = connected.items("files")
    connected.faults.add(route=route, action=FAIL, times=6)

    state, states = run("coveo_push_rebuild", limit=7)

    connected.faults.clear()
    connected.settle()
    assert state == "failed"
    assert states["delete_older"] in {"failed", "upstream_failed"}
    assert states["idle"] == "success"
    assert connected.items("files") == before
    assert connected.source("files").status == "IDLE"


@pytest.mark.parametrize("fault", [FAIL, Cut("after")], ids=["refused", "answer lost"])
def test_a_failed_rebuild_status_pushes_nothing_and_leaves_nothing_open(
    run: Run, connected: Sandbox, fault: Answer | Cut
) -> None:
    """Without a mark there is no rebuild, and the source does not stay in REBUILD."""
    connected.faults.add(route="source.status", action=fault, times=6)

    state, states = run("coveo_push_rebuild", limit=7)

    connected.settle()
    assert state == "failed"
    assert states["rebuild"] == "failed"
    assert connected.count("files") == 0
    assert connected.source("files").status in {"IDLE", "PUSH_READY"}


def test_a_failed_teardown_is_a_failed_task(run: Run, connected: Sandbox) -> None:
    """A source that stays in REBUILD shows as a red task; the refresh itself went through."""
    connected.faults.add(route="source.status", action=FAIL, skip=1, times=6)

    _, states = run("coveo_push_rebuild", limit=7)

    assert (states["delete_older"], states["idle"]) == ("success", "failed")


def test_bad_data_stops_a_rebuild_before_it_starts(
    run: Run, connected: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A document that stands in two parts is found by the check: not one call is made."""
    monkeypatch.setattr(sample_rows, "python_modules", lambda: ROWS["python_topics"])

    state, states = run("coveo_push_rebuild")

    assert state == "failed"
    assert states["check"] == "failed"
    assert connected.calls == []


def test_a_shrink_beyond_the_bound_is_refused(run: Run, connected: Sandbox) -> None:
    """The sample's max_shrink stops a load that lost most of its rows."""
    run("coveo_catalog_load")
    connected.settle()
    before = connected.items("products")

    state, states = run("coveo_catalog_load", limit=10, max_shrink=0.5)

    connected.settle()
    assert (state, states["close"]) == ("failed", "failed")
    assert connected.items("products") == before


def test_a_catalog_goes_back_to_its_first_load(run: Run, connected: Sandbox, tmp_path: Path) -> None:
    """The sample of a roll-back finds the loads of the sample that refreshes, without being asked."""
    for limit in (None, 20):
        connected.clock.advance(seconds=60)
        assert run("coveo_catalog_refresh", source_id="products", limit=limit)[0] == "success"
    connected.settle()
    assert connected.count("products") == 20

    connected.clock.advance(seconds=60)
    state = f"file://{tmp_path}/coveo_catalog_refresh/state"
    ended, _ = run("coveo_roll_back", source_id="products", state=state, load="previous", approve="never")

    connected.settle()
    assert ended == "success"
    assert connected.count("products") == len(ROWS["installed_distributions"])

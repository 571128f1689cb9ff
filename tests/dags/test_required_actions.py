"""Questions and answers between the real services of an Airflow, whichever version it is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coveo_provider.sandbox import Sandbox
from tests.dags.small_airflow import SmallAirflow

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("required_actions")]

SECONDS = 240.0
DAG_FILE = """
from airflow.sdk import DAG
from coveo_provider.task_groups import catalog_load, push_rebuild

with DAG("nightly", schedule=None):
    guards = {"documents": "FOLDER/{{ dag_run.conf['night'] }}", "max_shrink": 0.5, "on_doubt": "ask"}
    push_rebuild(source_id="files", queue_delay=0, **guards)
    catalog_load(source_id="products", **guards)
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start(sources={"files": "PUSH", "products": "CATALOG"}) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def small_airflow(sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallAirflow]:
    home = tmp_path_factory.mktemp("airflow")
    for night, count in (("good", 10), ("short", 3)):
        rows = [{"documentId": f"doc://{n}", "data": "x", "night": night} for n in range(count)]
        (home / night).mkdir()
        pq.write_table(pa.Table.from_pylist(rows), home / night / "part-0.parquet")
    (home / "dags").mkdir()
    (home / "dags" / "nightly.py").write_text(DAG_FILE.replace("FOLDER", home.as_uri()))
    with SmallAirflow(home, sandbox) as small:
        small.wait_for("the DAG", lambda: small.call("GET", "dags/nightly"), SECONDS)
        yield small


def begin(small: SmallAirflow, night: str) -> str:
    """Begin a run, and return the path of its resource."""
    run = small.call("POST", "dags/nightly/dagRuns", json={"logical_date": None, "conf": {"night": night}})
    return f"dags/nightly/dagRuns/{run['dag_run_id']}"


def end(small: SmallAirflow, run: str) -> str:
    """Wait for the end of a run, and return its state."""
    small.wait_for("the end", lambda: small.call("GET", run)["state"] in ("success", "failed"), SECONDS)
    return str(small.call("GET", run)["state"])


def waiting(small: SmallAirflow, run: str) -> dict[str, Any]:
    """Return the tasks that wait for an answer, and what they ask."""
    tasks = small.call("GET", f"{run}/taskInstances")["task_instances"]
    asking = {one["task_id"] for one in tasks if one["state"] in ("deferred", "awaiting_input")}
    details = small.call("GET", f"{run}/hitlDetails")["hitl_details"]
    asked = {one["task_instance"]["task_id"]: one for one in details if not one["response_received"]}
    return {name: asked[name] for name in asking & asked.keys()}


def is_seen(small: SmallAirflow, run: str, task: str) -> bool:
    """
    Return whether the scheduler took note that a task ended to wait.

    Where an answer comes before that, quicker than any person's, it takes the task to have died and fails it.
    """
    event = (
        f"task instance TaskInstanceKey(dag_id='nightly', task_id='{task}', run_id='{run.rpartition('/')[2]}'"
    )
    lines = (small.home / "scheduler.log").read_text(errors="replace").splitlines()
    return any("Received executor event" in line and event in line for line in lines)


def answer(small: SmallAirflow, run: str, task: str, option: str) -> None:
    path = f"{run}/taskInstances/{task}/-1/hitlDetails"
    assert small.call("PATCH", path, json={"chosen_options": [option], "params_input": {}})


def test_two_tasks_ask_and_each_does_as_it_is_told(small_airflow: SmallAirflow, sandbox: Sandbox) -> None:
    """They hold no worker meanwhile, and a triggerer that dies loses no question."""
    small = small_airflow
    assert end(small, begin(small, "good")) == "success"
    sandbox.settle()

    run = begin(small, "short")

    small.wait_for("both questions", lambda: len(waiting(small, run)) == 2, SECONDS)
    asked = waiting(small, run)
    assert set(asked) == {"push_rebuild.delete_older", "catalog_load.close"}
    assert "3 documents, 10 held" in asked["catalog_load.close"]["subject"]
    small.wait_for("the scheduler", lambda: all(is_seen(small, run, name) for name in asked), SECONDS)
    pool = small.call("GET", "pools/default_pool")
    assert (pool["running_slots"], pool["queued_slots"]) == (0, 0)

    small.components["triggerer"].kill()
    answer(small, run, "push_rebuild.delete_older", "Apply")
    small.components["triggerer"].start()
    answer(small, run, "catalog_load.close", "Stop")

    assert end(small, run) == "failed"
    tasks = small.call("GET", f"{run}/taskInstances")["task_instances"]
    states = {one["task_id"]: one["state"] for one in tasks}
    done = {
        name: states[name]
        for name in ("push_rebuild.delete_older", "push_rebuild.verify", "catalog_load.close")
    }
    assert list(done.values()) == ["success", "success", "failed"], (done, small.said("delete_older"))
    sandbox.settle()
    assert sorted(sandbox.items("files")) == [f"doc://{n}" for n in range(3)]
    assert {item["night"] for item in sandbox.items("products").values()} == {"good"}
    kept = small.call(
        "GET", f"{run}/taskInstances/push_rebuild.delete_older/xcomEntries/coveo_approvals?deserialize=true"
    )
    assert [(one["answer"], bool(one["by"])) for one in kept["value"]] == [("Apply", True)]

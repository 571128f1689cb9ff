"""Runs whose tasks pass plans and reports on, in Airflow's database, and the pages behind Airflow's own login."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.dags.conftest import make_known
from tests.plugin import samples

Look = Callable[..., Any]


def run_load(dag_id: str, plan: Any = None, report: Any = None) -> str:
    """Run a DAG of two tasks, which leave a plan and a report; return the run's id."""
    from airflow.sdk import DAG, task

    with DAG(dag_id=dag_id, schedule=None) as dag:

        @task
        def plan_it() -> None:
            """Would compare two datasets."""

        @task
        def verify() -> None:
            """Would read the source's log."""

        plan_it() >> verify()
    make_known(dag)
    run = dag.test()
    assert run.state == "success"
    run_id = str(run.run_id)
    if plan is not None:
        leave(dag_id, run_id, coveo_plan=plan)
    if report is not None:
        leave(dag_id, run_id, "verify", coveo_report=report)
    return run_id


def leave(dag_id: str, run_id: str, task_id: str = "plan_it", **values: Any) -> None:
    """Write what a task pushes into the database, over what stands there."""
    from airflow.models.xcom import XComModel

    for key, value in values.items():
        XComModel.set(key, value, dag_id=dag_id, run_id=run_id, task_id=task_id)


def write_variable(source_id: str, dag_id: str, run_id: str, since: str) -> None:
    """Leave what a load leaves of a source."""
    from airflow.models.variable import Variable

    record = {"number": 3, "dag_id": dag_id, "run_id": run_id, "since": since, "ended": True}
    name = f"coveo_source__{source_id}"
    said = f"Source {source_id} of {samples.ORGANIZATION} was loaded last by DAG {dag_id}"
    Variable.set(name, json.dumps(record), description=said)


class Filled:
    """What stands in the database: the runs of the DAGs by name, and the folders of their data."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.runs = folder, dict[str, str]()
        self.state = folder / "state"
        self.refused = folder / "_refused-run.parquet"

    def fill(self) -> None:
        """Three loads of shoes with a state, one of salaries, one of two sources, two of none."""
        self.state.mkdir()
        there = self.folder / "shoes"
        there.mkdir()
        (there / "_manifest.json").write_text("{}")
        places = {"state": self.state.as_uri(), "dataset": there.as_uri()}
        manifests = [f"{there.as_uri()}/_manifest.json"]
        plan = samples.plan(state=places["state"], manifests=manifests)
        short = {key: value for key, value in plan.items() if key != "sample"}
        for day, (before, after) in enumerate(((900, 940), (940, 990)), 24):
            value = samples.report(**places, plan=short, source={"before": before, "after": after})
            value["finished_at"] = f"2026-11-{day}T09:31:00Z"
            self.runs[f"shoes {day}"] = run_load("shoes", report=value)
        value = samples.report(**places, plan=short)
        value["outcome"]["refused_file"] = self.refused.as_uri()
        self.runs["shoes"] = run_load("shoes", plan, value)
        self._write_state(manifests[0])
        self._write_refused()
        self.runs["salaries"] = run_load("salaries", samples.plan("hr", doubts=[]))
        self.runs["two"] = run_load("two", samples.plan("boots"))
        leave("two", self.runs["two"], "verify", coveo_plan=samples.plan("clogs"))
        self.runs["none"] = run_load("none")
        self.runs["odd"] = run_load("odd")
        write_variable("old", "shoes", "gone_run", "2026-01-01T00:00:00+00:00")
        write_variable("hr-old", "salaries", self.runs["salaries"], "2026-01-01T00:00:00+00:00")

    def _write_state(self, manifest: str) -> None:
        gone = f"{self.folder.as_uri()}/gone/_manifest.json"
        last = samples.state(
            samples.load(self.runs["shoes"], "2026-11-27T09:31:00Z", 1000, manifest),
            samples.load("scheduled__2026-11-23T00:00:00+00:00", "2026-11-23T09:31:00Z", 870, gone),
            {**samples.load("secret", "2026-11-22T09:31:00Z", 1, gone), "dag_id": "salaries"},
        )
        (self.state / "last.json").write_text(json.dumps(last))

    def _write_refused(self) -> None:
        rows = [
            {
                "documentId": f"product://{number:03}",
                "operation": "ADD",
                "stage": "CONSUMING",
                "result": "ERROR",
                "reason": samples.SCRIPT if number == 7 else "The document is too large.",
                "orderingId": 1_700_000_000_000,
            }
            for number in range(250)
        ]
        pq.write_table(pa.Table.from_pylist(rows), self.refused)


@pytest.fixture(scope="session")
def filled(airflow_database: None, tmp_path_factory: pytest.TempPathFactory) -> Filled:
    made = Filled(tmp_path_factory.mktemp("loads"))
    made.fill()
    return made


@pytest.fixture(scope="session")
def served() -> Iterator[Any]:
    """The pages where Airflow mounts them, with its manager of users; nobody is logged in."""
    from airflow.api_fastapi import app as airflow_app
    from fastapi import FastAPI
    from fastapi.testclient import TestClient

    from coveo_provider.plugin.plugin import CoveoPlugin

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__AUTH_MANAGER", "tests.plugin.auth.ChoosyAuthManager")
        patch.setenv(
            "AIRFLOW__API_AUTH__JWT_SECRET",
            "of this test alone, and long enough to sign with: sixty-four bytes or more",
        )
        airflow_app.purge_cached_app()
        root = FastAPI()
        for one in CoveoPlugin.fastapi_apps:
            root.mount(one["url_prefix"], one["app"])
        airflow_app.init_auth_manager(root)
        yield TestClient(root, raise_server_exceptions=True)
        airflow_app.purge_cached_app()


@pytest.fixture
def look(served: Any, filled: Filled) -> Look:
    """Ask for a page as a user, by the cookie that Airflow sets."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    def get(path: str, user: str | None = "ann") -> Any:
        served.cookies.clear()
        if user is not None:
            token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=user, role="viewer"))
            served.cookies.set("_token", token)
        return served.get(f"/coveo{path}")

    return get

"""Running whole DAGs in this process, as `airflow dags test` does."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from importlib import import_module, reload
from typing import Any, cast

import pytest

RunDag = Callable[..., tuple[str, dict[str, str]]]


def make_known(dag: Any) -> None:
    """Write a DAG into the database: `dag.test()` only runs DAGs of a configured bundle."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.utils.session import create_session

    try:
        from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    except ImportError:  # 3.1
        from airflow.models.dagbag import DagBag, sync_bag_to_db  # type: ignore[no-redef]
    with create_session() as session:
        cast("Any", DagBundlesManager)().sync_bundles_to_db(session=session)
    bag = DagBag(dag_folder=os.devnull)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, "dags-folder", None)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> None:
    """Let nobody wait: a claim is looked at as soon as it is written, as there is no other process."""
    monkeypatch.setattr("coveo_provider.operators.support.claims.PAUSE", 0)


@pytest.fixture
def run_dag(airflow_database: None) -> RunDag:
    """Run a sample DAG and return its state, and that of each task: ``task`` or ``task[index]``."""

    def run(name: str, **conf: Any) -> tuple[str, dict[str, str]]:
        module = import_module(name)
        dag = getattr(reload(module), name)()
        return ran(dag, **conf)

    return run


def claims() -> dict[str, dict[str, Any]]:
    """Return what runs hold a source, by the name of the Variable; those of runs that failed stay."""
    from airflow.models.variable import Variable
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.scalars(select(Variable).where(Variable.key.startswith("coveo_load")))
        return {variable.key: json.loads(variable.val or "{}") for variable in found}


def ran(dag: Any, names: dict[str, str] | None = None, **conf: Any) -> tuple[str, dict[str, str]]:
    """
    Run a DAG and return its state, and that of each task, named without its group.

    :param names: takes what each mapped task goes by in Airflow's UI
    """
    make_known(dag)
    before = claims()
    sleep = time.sleep
    with pytest.MonkeyPatch.context() as patch:
        # `dag.test()` sleeps for a second before it sees that a task failed with those before it.
        patch.setattr(time, "sleep", lambda seconds: sleep(min(seconds, 0.01)))
        dag_run = dag.test(run_conf=conf)
    states = {}
    for ti in dag_run.get_task_instances():
        name = ti.task_id.rpartition(".")[2]
        states[name if ti.map_index < 0 else f"{name}[{ti.map_index}]"] = str(ti.state)
        if names is not None and ti.map_index >= 0:
            names[f"{name}[{ti.map_index}]"] = str(ti.rendered_map_index)
    if dag_run.state == "success" and "failed" not in states.values():
        assert claims().keys() <= before.keys(), "a claim was left behind"
    return str(dag_run.state), states


@pytest.fixture
def nothing_remembered(airflow_database: None) -> None:
    """No Variable of another test says that a source is loaded, or whose it is."""
    from airflow.models.variable import Variable
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    with create_session() as session:
        session.execute(delete(Variable).where(Variable.key.startswith("coveo_")))

"""The sample that looks after sources between loads, with Airflow's own Variables and runs."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest

from coveo_provider.api.types import SourceStatus
from coveo_provider.hooks.coveo import CoveoHook
from tests.dags.conftest import RunDag
from tests.dags.test_claims import Airflow, airflow  # noqa: F401  a fixture


@pytest.mark.parametrize("state", ["failed", "success", "queued", "running"])
def test_only_what_a_dead_run_left_is_ended(run_dag: RunDag, airflow: Airflow, state: str) -> None:  # noqa: F811
    """Whether the run that opened the status is alive is what Airflow says of it."""
    from airflow.models.variable import Variable

    for source in ("texts", "intranet"):
        airflow.sandbox.add_source(source, kind="PUSH")
    run_id = airflow.other_run(state)
    CoveoHook().client.set_source_status("files", SourceStatus.REBUILD)
    since = datetime.now(timezone.utc).isoformat()
    claim = {"dag_id": "other", "run_id": run_id, "source_id": "files", "since": since, "status": "REBUILD"}
    Variable.set(airflow.name("files"), json.dumps(claim))

    ended, states = run_dag("coveo_end_stale_loads")

    alive = state in {"queued", "running"}
    assert (ended, states) == ("success", {"end_stale_loads": "success"})
    assert airflow.sandbox.source("files").status == ("REBUILD" if alive else "IDLE")
    assert set(airflow.claims()) == ({airflow.name("files")} if alive else set())

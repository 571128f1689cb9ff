"""Two runs on one source: the second waits its turn, before it has touched anything."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk import DAG, task

from coveo_provider.documents import DocumentMapping
from coveo_provider.hooks.coveo import CoveoHook
from coveo_provider.operators import (
    CoveoCloseStreamOperator,
    CoveoDeleteOlderOperator,
    CoveoFinalizeOperator,
    CoveoOpenStreamOperator,
    CoveoSetSourceStatusOperator,
    CoveoTransformOperator,
)
from coveo_provider.operators.support.load_records import variable_name
from coveo_provider.sandbox import Answer, Sandbox
from coveo_provider.task_groups import (
    catalog_load,
    catalog_refresh,
    incremental_push,
    push_rebuild,
    secured_push,
)
from tests.dags.clicking import each
from tests.dags.conftest import claims, ran

FAIL = Answer(500, body='{"message": "Internal error"}')
MAPPING = DocumentMapping(document_id="product://{n}", keep=("n", "data", "permissions"))


class Airflow:
    """What of Airflow's database the claims live on."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.made: list[str] = []

    def name(self, source: str) -> str:
        push_url = CoveoHook().client.endpoints.push_url
        return variable_name(push_url, self.sandbox.organization_id, source)

    def claims(self) -> dict[str, dict[str, Any]]:
        """The claims that stand, by the name of the Variable."""
        return claims()

    def other_run(self, state: str) -> str:
        """Add a run of the DAG ``other``, and return its id."""
        from airflow.models.dagrun import DagRun
        from airflow.utils.session import create_session

        run_id = f"{state}-{len(self.made)}"
        now = datetime.now(timezone.utc)
        with create_session() as session:
            session.add(
                DagRun(dag_id="other", run_id=run_id, run_type="manual", state=state, run_after=now)  # type: ignore[arg-type]
            )
        self.made.append(run_id)
        return run_id

    def claimed(self, source: str, run_id: str, *, age: timedelta = timedelta()) -> None:
        """Let a run of the DAG ``other`` hold a source."""
        from airflow.models.variable import Variable

        since = (datetime.now(timezone.utc) - age).isoformat()
        claim = {"dag_id": "other", "run_id": run_id, "source_id": source, "since": since, "status": ""}
        Variable.set(self.name(source), json.dumps(claim))
        last = {"number": 7, "dag_id": "other", "run_id": run_id, "since": since}
        Variable.set(self.name(source).replace("coveo_load", "coveo_source"), json.dumps(last))

    def set_state(self, state: str) -> None:
        """Let all runs of the DAG ``other`` come to a state."""
        from airflow.models.dagrun import DagRun
        from airflow.utils.session import create_session
        from sqlalchemy import update

        with create_session() as session:
            session.execute(update(DagRun).where(DagRun.dag_id == "other").values(state=state))


@pytest.fixture
def airflow(connected: Sandbox, airflow_database: None) -> Iterator[Airflow]:
    from airflow.models.dagrun import DagRun
    from airflow.models.variable import Variable
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    def cleared() -> None:
        with create_session() as session:
            session.execute(delete(DagRun).where(DagRun.dag_id == "other"))
            session.execute(delete(Variable).where(Variable.key.startswith("coveo_")))

    cleared()  # of what runs that other tests let fail left behind
    yield Airflow(connected)
    cleared()


class Shop:
    """A dataset of ten documents, and a DAG of one group that loads it."""

    def __init__(self, group: Callable[..., Any], source: str, **options: Any) -> None:
        self.group, self.source, self.options = group, source, options

    def run(self, args: dict[str, Any] | None = None, **options: Any) -> tuple[str, dict[str, str]]:
        """Run it; ``args`` are the defaults of all tasks."""
        with DAG("shop", schedule=None, default_args={"retries": 0, "retry_delay": 0, **(args or {})}) as dag:
            self.group(source_id=self.source, **{**self.options, **options})
        return ran(dag)


GROUPS: dict[str, tuple[Callable[..., Any], str, bool]] = {
    "catalog_load": (catalog_load, "products", False),
    "catalog_refresh": (catalog_refresh, "products", False),
    "catalog_refresh, changes": (catalog_refresh, "products", True),
    "push_rebuild": (push_rebuild, "files", False),
    "incremental_push": (incremental_push, "files", False),
    "incremental_push, changes": (incremental_push, "files", True),
    "secured_push": (secured_push, "intranet", False),
}
FIRST = {"check", "diff", "incremental"}


@pytest.fixture(params=each(GROUPS))
def shop(request: pytest.FixtureRequest, airflow: Airflow, tmp_path: Path, waits: list[float]) -> Shop:
    """Each task group in turn."""
    group, source, compares = GROUPS[request.param]
    everybody = json.dumps([{"allowAnonymous": True}])
    rows = [{"n": n, "data": "x", "permissions": everybody} for n in range(10)]
    options: dict[str, Any] = {}
    if compares:
        raw = tmp_path / "raw.ndjson"
        raw.write_text("\n".join(map(json.dumps, rows)))
        given: dict[str, Any] = {"source": raw.as_uri(), "output": (tmp_path / "documents").as_uri()}
        CoveoTransformOperator(task_id="transform", mapping=MAPPING, **given).execute({})
        options = {"documents": given["output"], "state": (tmp_path / "state").as_uri()}
    else:
        documents = [{"documentId": f"product://{row['n']}", **row} for row in rows]
        options["documents"] = _parquet(documents, tmp_path / "documents.parquet")
    if group is secured_push:
        airflow.sandbox.add_source("intranet", kind="PUSH", visibility="SECURED")
        people = [{"name": f"{name}@acme.example", "type": "USER"} for name in ("ann", "bob")]
        members = _parquet(
            [{"name": "team", "type": "GROUP", "members": people}], tmp_path / "members.parquet"
        )
        options.update(provider_id="people", members=members)
    return Shop(group, source, **options)


def _parquet(rows: list[dict[str, Any]], path: Path) -> str:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path.as_uri()


def test_a_second_run_is_refused_and_touches_nothing(shop: Shop, airflow: Airflow) -> None:
    """No API call is made, the index is as it was, and the other run's claim stands; then the source is free."""
    other = airflow.other_run("running")
    airflow.claimed(shop.source, other)
    before = airflow.claims()

    state, states = shop.run()

    assert state == "failed"
    assert [task for task in states if states[task] == "failed"] in [[task] for task in FIRST]
    assert airflow.sandbox.calls == []
    assert airflow.claims() == before

    airflow.set_state("failed")
    assert shop.run()[0] == "success"
    airflow.sandbox.settle()
    assert airflow.sandbox.count(shop.source) == 10
    assert airflow.claims() == {}


def test_a_run_that_failed_half_way_is_no_obstacle(shop: Shop, airflow: Airflow) -> None:
    """Its own next run, with whatever it left behind, goes through and leaves no claim."""
    route = "stream.chunk" if shop.group is catalog_load else "file.create"
    airflow.sandbox.faults.add(route=route, action=FAIL, times=6)
    assert shop.run()[0] == "failed"
    assert {call.status for call in airflow.sandbox.calls if call.route == route} == {500}
    if shop.source != "products":  # the teardown
        assert airflow.claims() == {}
    else:
        assert set(airflow.claims()) == {airflow.name(shop.source)}

    airflow.sandbox.faults.clear()
    assert shop.run()[0] == "success"
    assert airflow.claims() == {}


def test_a_retry_waits_until_the_other_run_has_ended(shop: Shop, airflow: Airflow) -> None:
    """Airflow's retries queue the second run; and the tries after the first pass the run's own claim."""
    airflow.claimed(shop.source, airflow.other_run("queued"))
    airflow.sandbox.faults.add(route="file.create", action=FAIL, times=6)

    state, _ = shop.run({"retries": 3, "on_retry_callback": lambda _: airflow.set_state("success")})

    assert state == "success"
    airflow.sandbox.settle()
    assert airflow.sandbox.count(shop.source) == 10
    assert airflow.claims() == {}


def test_it_can_be_switched_off(shop: Shop, airflow: Airflow) -> None:
    """The group's ``default_args`` reach all its tasks, mapped ones too; the other run's claim stands."""
    airflow.claimed(shop.source, airflow.other_run("running"))
    before = airflow.claims()

    state, _ = shop.run(default_args={"exclusive": False})

    assert (state, airflow.claims()) == ("success", before)


@pytest.mark.parametrize("wins", [True, False], ids=["runs", "ended since"])
@pytest.mark.parametrize("end", ["close", "delete_older", "finalize"])
def test_another_load_begun_meanwhile_is_seen_before_anything_is_removed(
    airflow: Airflow, tmp_path: Path, end: str, wins: bool
) -> None:
    """However it came to be, e.g. because a person deleted the claim: nothing is removed, and IDLE left to it."""
    sandbox = airflow.sandbox
    reports = {"documents": 3, "deletions": 0}

    @task
    def intrude() -> None:
        airflow.claimed(source, airflow.other_run("running" if wins else "success"))

    source = "products" if end == "close" else "files"
    with DAG("loses", schedule=None, default_args={"retries": 0}) as dag:
        if end == "close":
            first: Any = CoveoOpenStreamOperator(task_id="open", source_id=source)
            last: Any = CoveoCloseStreamOperator(
                task_id="close", source_id=source, stream_id=first.output, reports=reports
            )
        else:
            first = CoveoSetSourceStatusOperator(task_id="rebuild", source_id=source, status="REBUILD")
            idle = CoveoSetSourceStatusOperator(task_id="idle", source_id=source, status="IDLE")
            if end == "delete_older":
                last = CoveoDeleteOlderOperator(
                    task_id="delete_older", source_id=source, ordering_id=first.output, reports=reports
                )
            else:
                manifest = (tmp_path / "_manifest.json").as_uri()
                last = CoveoFinalizeOperator(
                    task_id="finalize",
                    source_id=source,
                    reports=reports,
                    state=tmp_path.as_uri(),
                    manifest=manifest,
                )
            last >> idle.as_teardown(setups=first)
        first >> intrude() >> last
    state, states = ran(dag)

    assert (state, states[end]) == ("failed", "failed")
    assert not [call for call in sandbox.calls if "older" in call.route or "close" in call.route]
    if end != "close":
        assert states["idle"] == ("skipped" if wins else "success")
        assert sandbox.source(source).status == ("REBUILD" if wins else "IDLE")
    [claim] = airflow.claims().values()
    assert claim["dag_id"] == "other"

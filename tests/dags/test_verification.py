"""Green means equal: a run ends with a look at what was indexed, and says what was not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.parquet as pq
import pytest
from airflow.sdk import DAG

from coveo_provider.operators import CoveoUpdateStreamOperator, CoveoVerifyOperator
from coveo_provider.sandbox import Answer, Sandbox
from coveo_provider.task_groups import catalog_load, catalog_refresh, incremental_push, push_rebuild
from tests.conftest import Connect
from tests.dags.clicking import Nightly, Run, started

pytestmark = pytest.mark.usefixtures("nothing_remembered")

EVERYBODY = '[{"allowAnonymous": true}]'


@pytest.fixture(autouse=True)
def one_clock(connected: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's clock goes with the service's, which is hastened where a delay is waited for."""
    clock = SimpleNamespace(time_ns=lambda: connected.clock.now_ms() * 1_000_000, monotonic=time.monotonic)
    monkeypatch.setattr("coveo_provider.loading.deliveries.time", clock)
    monkeypatch.setattr("coveo_provider.triggers.wait.asyncio", _Hasty(), raising=False)


class _Hasty:
    """``asyncio`` whose sleep takes no time."""

    def __getattr__(self, name: str) -> Any:
        import asyncio

        return getattr(asyncio, name)

    async def sleep(self, seconds: float) -> None:
        pass


@pytest.fixture
def secured(connected: Sandbox, tmp_path: Path, waits: list[float]) -> Nightly:
    """A secured source, which refuses items without permissions, or with ones that cannot be read."""
    connected.add_source("intranet", kind="PUSH", visibility="SECURED")
    nightly = Nightly(connected, tmp_path / "shop", push_rebuild, "intranet")
    nightly.every = {"permissions": EVERYBODY}
    return nightly


def refuse(nightly: Nightly, *numbers: int) -> None:
    """Let some documents be of a kind that the service takes, and refuses to index: without permissions."""
    for n in numbers:
        nightly.rows[n]["permissions"] = None


def refused_files(nightly: Nightly) -> list[dict[str, Any]]:
    """Return what the files beside the datasets say of items that were refused."""
    paths = sorted(nightly.folder.rglob("_refused-*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def test_a_run_in_which_items_are_refused_fails_and_names_them(secured: Nightly) -> None:
    """Stage, reason, number and first ids stand in the message, and all of them in a file beside the dataset."""
    secured.put(16)
    refuse(secured, 3, 4, 9)

    run = secured.night()

    assert (run.state, run.states()["verify"], run.states()["idle"]) == ("failed", "failed", "success")
    assert "3 refused (3 at " in secured.error
    assert "doc://3" in secured.error
    assert "max_rejected=0" in secured.error
    [file] = secured.folder.rglob("_refused-*.parquet")
    assert file.as_uri() in secured.error
    listed = refused_files(secured)
    assert {row["documentId"] for row in listed} == {"doc://3", "doc://4", "doc://9"}
    assert {row["result"] for row in listed} <= {"REJECTED", "ERROR"}
    assert all(row["reason"] and row["stage"] in secured.error for row in listed)
    assert secured.held().keys() == secured.wanted().keys() - {"doc://3", "doc://4", "doc://9"}


@pytest.mark.parametrize(
    ("most", "state"), [(3, "success"), (0.2, "success"), (2, "failed"), (0.1, "failed")]
)
def test_so_many_may_be_refused(secured: Nightly, most: float, state: str, caplog: Any) -> None:
    """As a number or as a share of what was sent; the run says so, and the file is there all the same."""
    secured.put(16)
    refuse(secured, 3, 4, 9)

    run = secured.night(max_rejected=most)

    assert run.state == state
    assert len(refused_files(secured)) == 3
    if state == "success":
        report = returned(run, "verify")
        assert (report["refused"], report["indexed"], report["held"]) == (3, 13, 13)
        assert [reason["count"] for reason in report["reasons"]] == [3]
        assert Path(report["refused_file"].removeprefix("file://")).exists()


def returned(run: Run, task: str) -> dict[str, Any]:
    """Return what a task of a run returned."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    chosen = select(XComModel).where(
        XComModel.run_id == run.run_id,
        XComModel.dag_id == run.dag.dag_id,
        XComModel.task_id.endswith(task),
        XComModel.key == "return_value",
    )
    with create_session() as session:
        [row] = session.scalars(chosen)
        found: dict[str, Any] = XComModel.deserialize_value(row)
        return found


@pytest.fixture
def rebuild(connected: Sandbox, tmp_path: Path, waits: list[float]) -> Nightly:
    return Nightly(connected, tmp_path / "shop", push_rebuild, "files")


@pytest.mark.parametrize(("verify", "state"), [("auto", "success"), (True, "failed"), (False, "success")])
def test_a_key_that_may_not_read_the_log(rebuild: Nightly, connect: Connect, verify: Any, state: str) -> None:
    """``auto`` says that nothing was verified; ``True`` fails and names the privilege; ``False`` does not ask."""
    rebuild.put(16)
    rebuild.sandbox.faults.add(route="logs", action=Answer.denied(), times=1_000)
    routes = {call.route for call in rebuild.sandbox.calls}
    rebuild.sandbox.add_key("writer", privileges=["SOURCE:EDIT", "ORGANIZATION:VIEW"])
    connect(rebuild.sandbox, password="writer")

    run = rebuild.night(verify=verify)

    assert (run.state, run.states()["verify"]) == (state, state), routes
    if state == "success":
        assert returned(run, "verify")["verified"] == "nothing"
    else:
        assert "rivilege" in rebuild.error or "may not" in rebuild.error
    assert rebuild.held() == rebuild.wanted()


def test_entries_that_come_late_and_twice_are_waited_for(rebuild: Nightly) -> None:
    """The log shows an entry after a minute, and some entries twice: neither is taken for an item."""
    rebuild.sandbox.log_delivery.delay = 60.0
    rebuild.sandbox.log_delivery.repeat = True
    rebuild.put(16)

    run = rebuild.night()

    assert run.state == "success", rebuild.errors
    report = returned(run, "verify")
    assert (report["verified"] in {"items", "counts"}, report["indexed"], report["held"]) == (True, 16, 16)


def test_a_deletion_that_did_not_happen_is_seen(
    connected: Sandbox, tmp_path: Path, waits: list[float]
) -> None:
    """A catalog configuration protects a source from a deletion by age; the source holds more than it has to."""
    connected.add_source("shop", kind="CATALOG")
    nightly = Nightly(connected, tmp_path / "shop", catalog_refresh, "shop")
    nightly.put(16)
    assert nightly.night().state == "success"
    for n in range(8, 16):
        del nightly.rows[n]
    gone = Answer(202, '{"orderingId": 1795663448076, "requestId": "x"}')
    connected.faults.add(route="stream.delete_older", action=gone, times=1)
    connected.clock.advance(seconds=3600)

    run = nightly.night()

    assert (run.state, run.states()["verify"]) == ("failed", "failed")
    assert "does not hold what it has to" in nightly.error
    assert "16 items held, 8 expected" in nightly.error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("group", "source", "route"),
    [
        (push_rebuild, "files", "batch.put"),
        (catalog_refresh, "products", "stream.update"),
    ],
)
def test_a_part_that_was_accepted_and_lost_is_seen(
    connected: Sandbox,
    tmp_path: Path,
    waits: list[float],
    group: Callable[..., Any],
    source: str,
    route: str,
) -> None:
    """The API said 202 and never did it: the log knows nothing of the part; the run is red and names some ids."""
    nightly = Nightly(connected, tmp_path / "shop", group, source)
    nightly.put(16)
    lost = Answer(202, json.dumps({"orderingId": connected.clock.now_ms(), "requestId": "x"}))
    connected.faults.add(route=route, action=lost, skip=1, times=1)

    run = nightly.night()

    assert run.state == "failed"
    assert "4 items neither indexed nor refused" in nightly.error
    assert "doc://" in nightly.error


def test_deletions_by_id_are_verified(connected: Sandbox, tmp_path: Path, waits: list[float]) -> None:
    """A run of changes adds, changes and deletes by id; its report tells of each."""
    nightly = Nightly(connected, tmp_path / "shop", incremental_push, "files", compares=True)
    nightly.put(16)
    assert nightly.night().state == "success"
    nightly.put(3, version=2)
    del nightly.rows[10], nightly.rows[11]

    run = nightly.night()

    assert run.state == "success", nightly.errors
    report = returned(run, "finalize")
    assert (report["verified"], report["indexed"], report["deleted"]) == ("items", 3, 2)
    assert (report["documents"], report["deletions"], report["held"]) == (3, 2, 14)
    assert nightly.held() == nightly.wanted()


def test_partial_updates_of_an_item_that_is_not_there_are_refused_by_name(
    connected: Sandbox, tmp_path: Path, waits: list[float]
) -> None:
    """The service warns and changes nothing; that is a refusal."""
    nightly = Nightly(connected, tmp_path / "shop", catalog_load, "products")
    nightly.put(8)
    assert nightly.night().state == "success"
    errors: list[str] = []
    changes = [
        {"documentId": f"doc://{n}", "operator": "fieldValueReplace", "field": "version", "value": 9}
        for n in (1, 2, 99)
    ]
    default = {"retries": 0, "on_failure_callback": lambda context: errors.append(str(context["exception"]))}
    with DAG(f"partial_{tmp_path.name}", schedule=None, default_args=default) as dag:
        update = CoveoUpdateStreamOperator(task_id="update", source_id="products", partial_updates=changes)
        CoveoVerifyOperator(task_id="verify", source_id="products", reports=update.output)

    run = started(dag)

    assert (run.state, run.states()["verify"]) == ("failed", "failed")
    assert "1 refused" in errors[-1]
    assert "doc://99" in errors[-1]
    assert "doc://1," not in errors[-1]
    assert nightly.held() == {**nightly.wanted(), "doc://1": 9, "doc://2": 9}


def test_a_feed_is_verified(connected: Sandbox, tmp_path: Path, waits: list[float]) -> None:
    """Changes that are given as such: rows inline, and deletions; the run is green when each is done."""
    nightly = Nightly(connected, tmp_path / "shop", push_rebuild, "files")
    nightly.put(8)
    assert nightly.night().state == "success"
    connected.clock.advance(seconds=60)
    rows = [{"documentId": f"doc://{n}", "n": n, "data": "x", "version": 2} for n in (1, 20)]
    with DAG(f"feed_{tmp_path.name}", schedule=None, default_args={"retries": 0}) as dag:
        incremental_push(source_id="files", documents=rows, deletions=[{"documentId": "doc://3"}])

    run = started(dag)

    assert run.state == "success"
    report = returned(run, "verify")
    assert (report["verified"], report["indexed"], report["deleted"]) == ("items", 2, 1)
    held = nightly.held()
    assert (held["doc://1"], held["doc://20"], "doc://3" in held) == (2, 2, False)


def test_a_feed_of_which_an_item_is_refused_fails(
    connected: Sandbox, tmp_path: Path, waits: list[float]
) -> None:
    """Rows given inline have no dataset to lay a file beside; the message names them."""
    connected.add_source("intranet", kind="PUSH", visibility="SECURED")
    errors: list[str] = []
    default = {"retries": 0, "on_failure_callback": lambda context: errors.append(str(context["exception"]))}
    rows = [
        {"documentId": "doc://1", "data": "x", "permissions": EVERYBODY},
        {"documentId": "doc://2", "data": "x"},
    ]
    with DAG(f"feed_{tmp_path.name}", schedule=None, default_args=default) as dag:
        incremental_push(source_id="intranet", documents=rows)

    run = started(dag)

    assert (run.state, run.states()["verify"], run.states()["idle"]) == ("failed", "failed", "success")
    assert "doc://2" in errors[-1]
    connected.settle()
    assert set(connected.items("intranet")) == {"doc://1"}

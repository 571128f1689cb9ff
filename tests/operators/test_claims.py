"""A run's claim on a source, by the rules of Airflow's Variables: no lock, and maybe not even a write."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import DAG

from coveo_provider._compat import AirflowFailException, AirflowSkipException, TaskDeferred
from coveo_provider.errors import SourceBusy
from coveo_provider.operators import (
    CoveoCloseStreamOperator,
    CoveoDeleteOlderOperator,
    CoveoFinalizeOperator,
    CoveoOpenStreamOperator,
    CoveoPushBatchOperator,
    CoveoSetSourceStatusOperator,
)
from coveo_provider.operators.support import claims as _claims
from coveo_provider.operators.support.base import CoveoOperator
from coveo_provider.operators.support.load_records import variable_name
from coveo_provider.sandbox import Answer, Sandbox
from tests.conftest import products
from tests.operators.conftest import run

NOW = datetime.now(timezone.utc)


class Cluster:
    """Airflow's Variables and its runs, without Airflow."""

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}  # the claims
        self.records: dict[str, str] = {}  # what stays known of a source
        self.active = {("shop", "monday"), ("shop", "tuesday")}
        self.readable = self.writable = self.asked = True
        self.meanwhile: Callable[[], None] = lambda: None

    def get(self, key: str, default: Any = None) -> Any:
        if not self.readable:
            raise PermissionError("the vault is sealed")
        return self._of(key).get(key, default)

    def set(self, key: str, value: str, description: str) -> None:
        assert "products" in description or "files" in description
        if self.writable:  # Airflow 3.1 and 3.2 log what went wrong, and say nothing
            self._of(key)[key] = value

    def delete(self, key: str) -> None:
        del self._of(key)[key]

    def _of(self, key: str) -> dict[str, str]:
        return self.records if key.startswith("coveo_source__") else self.variables

    def monotonic(self) -> float:
        return 0.0

    def get_dr_count(self, dag_id: str, *, run_ids: list[str], states: list[str]) -> int:
        if not self.asked:
            raise ConnectionError("no answer")
        assert states == ["queued", "running"]
        return sum((dag_id, run_id) in self.active for run_id in run_ids)

    def sleep(self, seconds: float) -> None:
        assert 0 < seconds < 10
        self.meanwhile()

    def context(self, run_id: str = "monday", began: datetime = NOW) -> Any:
        """What Airflow hands to a task of a run."""
        return {"dag_run": SimpleNamespace(dag_id="shop", run_id=run_id, start_date=began), "ti": self}

    @property
    def holders(self) -> list[str]:
        return [json.loads(value)["run_id"] for value in self.variables.values()]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()
    monkeypatch.setattr(_claims, "Variable", made)
    monkeypatch.setattr(_claims, "time", made)
    monkeypatch.setattr(CoveoOperator, "log", logging.getLogger("claims"))
    return made


def opening(cluster: Cluster, run_id: str = "monday", **options: Any) -> str:
    operator = CoveoOpenStreamOperator(task_id="open", source_id="products", **options)
    stream: str = operator.execute(cluster.context(run_id))
    return stream


def closing(cluster: Cluster, stream: str, run_id: str = "monday", began: datetime = NOW) -> None:
    operator = CoveoCloseStreamOperator(
        task_id="close", source_id="products", stream_id=stream, reports={"documents": 3}
    )
    operator.execute(cluster.context(run_id, began))


def status(cluster: Cluster, status: str, run_id: str = "monday") -> Any:
    operator = CoveoSetSourceStatusOperator(task_id="status", source_id="files", status=status)
    return operator.execute(cluster.context(run_id))


def test_the_second_run_is_told_whom_it_waits_for(connected: Sandbox, cluster: Cluster) -> None:
    """And what to do about it; the failure is one that a retry may outlast."""
    opening(cluster)
    [(name, claim)] = cluster.variables.items()
    calls = list(connected.calls)

    with pytest.raises(SourceBusy) as refused:
        opening(cluster, "tuesday")

    assert refused.value.transient
    for word in ("products", "DAG shop", "run monday", "max_active_runs=1", "retries", name):
        assert word in str(refused.value)
    assert (connected.calls, cluster.holders) == (calls, ["monday"])
    assert connected.api_key not in name + claim
    assert set(json.loads(claim)) == {"dag_id", "run_id", "source_id", "since", "status", "closing"}


def test_a_deferrable_task_waits_without_a_worker(connected: Sandbox, cluster: Cluster) -> None:
    """The triggerer waits, the task looks again, and gives up after half a day."""
    opening(cluster)
    operator = CoveoOpenStreamOperator(task_id="open", source_id="products", deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(cluster.context("tuesday"))
    checkpoint = deferred.value.trigger.serialize()[1]["checkpoint"]
    with pytest.raises(TaskDeferred):
        operator.resume(cluster.context("tuesday"), {"checkpoint": checkpoint})
    with pytest.raises(SourceBusy):
        operator.resume(cluster.context("tuesday"), {"checkpoint": {"turns": 12 * 60}})

    cluster.active.remove(("shop", "monday"))
    assert operator.resume(cluster.context("tuesday"), {"checkpoint": checkpoint})
    assert cluster.holders == ["tuesday"]


def test_a_run_that_ended_is_no_obstacle(
    connected: Sandbox, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """Its claim is taken over, and the log says from whom."""
    opening(cluster)
    cluster.active.remove(("shop", "monday"))

    with caplog.at_level(logging.INFO):
        stream = opening(cluster, "tuesday")

    assert "run monday, ended without giving source products back" in caplog.text
    closing(cluster, stream, "tuesday")
    assert cluster.holders == []


def test_of_two_that_begin_at_once_one_goes_on(connected: Sandbox, cluster: Cluster) -> None:
    """Both find the source free and write; who is overwritten sees it, before any call."""

    def overtaken() -> None:
        cluster.meanwhile = lambda: None
        opening(cluster, "tuesday")

    def written() -> None:
        [name] = cluster.variables
        del cluster.variables[name]  # what tuesday saw: nothing yet
        overtaken()

    cluster.meanwhile = written
    with pytest.raises(SourceBusy, match="run tuesday"):
        opening(cluster)

    assert [call.route for call in connected.calls] == ["stream.open"]
    assert cluster.holders == ["tuesday"]


def test_on_doubt_the_other_run_is_alive(connected: Sandbox, cluster: Cluster) -> None:
    """When Airflow does not say whether it still runs, its load is not disturbed."""
    opening(cluster)
    cluster.asked = False
    with pytest.raises(SourceBusy, match="run monday"):
        opening(cluster, "tuesday")


@pytest.mark.parametrize("broken", ["readable", "writable"])
def test_without_variables_the_load_goes_on_with_a_warning(
    connected: Sandbox, cluster: Cluster, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A secrets backend that is read-only or sealed keeps nobody from loading."""
    setattr(cluster, broken, False)
    stream = opening(cluster)
    closing(cluster, stream)
    assert "not guarded against other runs" in caplog.text
    assert cluster.variables == {}


def test_what_is_no_claim_is_replaced(connected: Sandbox, cluster: Cluster) -> None:
    """A person may have written anything."""
    for text in ("", "no", "[1]", '{"dag_id": 1}'):
        stream = opening(cluster)
        cluster.variables = dict.fromkeys(cluster.variables, text)
        stream = opening(cluster)
        assert cluster.holders == ["monday"]
        cluster.variables.clear()
    assert stream


def test_a_load_that_did_not_begin_leaves_no_claim(
    connected: Sandbox, cluster: Cluster, waits: list[float]
) -> None:
    """The source is free for others until the retry."""
    connected.faults.add(route="stream.open", action=Answer(500), times=6)
    with pytest.raises(Exception, match="500"):
        opening(cluster)
    assert cluster.variables == {}

    with pytest.raises(AirflowFailException, match="no_such"):
        CoveoOpenStreamOperator(task_id="open", source_id="no_such").execute(cluster.context())
    assert cluster.variables == {}


def test_a_status_is_ended_by_idle_only(connected: Sandbox, cluster: Cluster) -> None:
    """The deletion of older items does not give the source back before the teardown."""
    mark = status(cluster, "REBUILD")
    connected.clock.advance(seconds=60)
    older: dict[str, Any] = {"task_id": "older", "source_id": "files", "reports": {"documents": 1}}
    CoveoDeleteOlderOperator(ordering_id=mark, **older).execute(cluster.context())
    assert cluster.holders == ["monday"]

    status(cluster, "IDLE")
    assert cluster.holders == []


def test_idle_of_one_run_is_not_set_into_the_load_of_another(connected: Sandbox, cluster: Cluster) -> None:
    """A teardown after a refused start is skipped."""
    status(cluster, "REBUILD", "tuesday")
    with pytest.raises(SourceBusy):
        status(cluster, "REBUILD")
    with pytest.raises(AirflowSkipException, match="run tuesday"):
        status(cluster, "IDLE")
    assert connected.source("files").status == "REBUILD"


def test_the_last_tasks_of_an_old_run_can_be_cleared(connected: Sandbox, cluster: Cluster) -> None:
    """As long as no other run began to load the source; then only from the task that begins the load."""
    mark = status(cluster, "REBUILD")
    connected.clock.advance(seconds=60)
    older: dict[str, Any] = {"task_id": "older", "source_id": "files", "reports": {"documents": 1}}
    with DAG("shop", schedule=None):
        operator = CoveoDeleteOlderOperator(ordering_id=mark, **older)
        CoveoSetSourceStatusOperator(task_id="rebuild", source_id="files", status="REBUILD") >> operator
    cluster.variables.clear()
    operator.execute(cluster.context())
    assert cluster.holders == []

    status(cluster, "REBUILD", "tuesday")
    cluster.active.remove(("shop", "tuesday"))
    before = len(connected.calls)
    for began in (NOW - timedelta(hours=1), NOW + timedelta(hours=1)):
        with pytest.raises(AirflowFailException, match=r"SafetyStop.*run tuesday"):
            operator.execute(cluster.context(began=began))
    assert connected.calls[before:] == []
    status(cluster, "REBUILD")
    operator.execute(cluster.context())
    status(cluster, "IDLE")
    assert cluster.holders == []


def test_a_feed_may_push_beside_a_load(connected: Sandbox, cluster: Cluster) -> None:
    """Unless it is asked not to."""
    status(cluster, "REBUILD", "tuesday")
    given: dict[str, Any] = {"task_id": "push", "source_id": "files", "documents": products(2)}

    assert CoveoPushBatchOperator(**given).execute(cluster.context())["documents"] == 2

    with pytest.raises(SourceBusy):
        CoveoPushBatchOperator(exclusive=True, **given).execute(cluster.context())
    assert cluster.holders == ["tuesday"]


@pytest.mark.parametrize(("source", "waits"), [("files", True), ("other", False)])
def test_what_belongs_to_a_load_waits_for_its_turn(
    connected: Sandbox, cluster: Cluster, source: str, waits: bool
) -> None:
    """A task that another follows which ends the load of the same source is no feed; mapped or not."""
    status(cluster, "REBUILD", "tuesday")
    with DAG("shop", schedule=None):
        push = CoveoPushBatchOperator(task_id="push", source_id="files", documents=products(2))
        mapped = CoveoPushBatchOperator.partial(task_id="mapped", source_id="files").expand(documents=["a"])
        end = CoveoFinalizeOperator(task_id="end", source_id=source, reports=push.output)
        [push, mapped] >> end

    for operator in (push, mapped.unmap({"documents": products(2)})):
        if waits:
            with pytest.raises(SourceBusy):
                operator.execute(cluster.context())
        else:
            assert operator.execute(cluster.context())["documents"] == 2


def test_outside_of_a_run_there_are_no_claims(connected: Sandbox, cluster: Cluster) -> None:
    """Nor where they are switched off: not one Variable is looked at."""
    cluster.readable = False
    run(CoveoOpenStreamOperator(task_id="open", source_id="products"))
    opening(cluster, exclusive=False)


def test_sources_and_organizations_do_not_share_a_claim() -> None:
    """The case of an organization does not matter, that of a source does, and nothing runs into one."""
    names = [
        variable_name(*key)
        for key in (
            ("https://a", "acme", "files"),
            ("https://a", "acme", "Files"),
            ("https://b", "acme", "files"),
            ("https://a", "acmef", "iles"),
        )
    ]
    assert len(set(names)) == 4
    assert variable_name("https://a", "ACME", "files") == names[0]
    assert all(len(name) < 60 for name in names)

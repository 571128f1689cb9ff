"""A source that a dead run left in the middle of its activity becomes IDLE; one that is being loaded stays."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from coveo_provider._compat import AirflowFailException
from coveo_provider.operators import CoveoEndStaleLoadsOperator, CoveoSetSourceStatusOperator
from coveo_provider.operators.support import claims as _claims
from coveo_provider.operators.support.base import CoveoOperator
from coveo_provider.sandbox import Answer, Sandbox
from tests.operators.conftest import run
from tests.operators.test_claims import Cluster, status


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()
    monkeypatch.setattr(_claims, "Variable", made)
    monkeypatch.setattr(_claims, "time", made)
    monkeypatch.setattr(CoveoOperator, "log", logging.getLogger("upkeep"))
    return made


@pytest.fixture
def other(connected: Sandbox) -> str:
    connected.add_source("more_files", kind="PUSH")
    return "more_files"


def end(cluster: Cluster, *source_ids: str, run_id: str = "upkeep") -> list[str]:
    cluster.active.add(("shop", run_id))
    operator = CoveoEndStaleLoadsOperator(task_id="end", source_ids=list(source_ids))
    ended: list[str] = operator.execute(cluster.context(run_id))
    return ended


def dies(cluster: Cluster, run_id: str = "monday") -> None:
    """The run is marked as failed: none of its tasks runs any more, the teardown neither."""
    cluster.active.discard(("shop", run_id))


def record(cluster: Cluster) -> dict[str, Any]:
    [value] = cluster.records.values()
    loaded: dict[str, Any] = json.loads(value)
    return loaded


@pytest.mark.parametrize("left", ["REBUILD", "REFRESH", "INCREMENTAL"])
def test_what_a_dead_run_left_open_is_ended(
    connected: Sandbox,
    cluster: Cluster,
    left: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The source is IDLE, its claim gone, its load ended; and the log says whose that was."""
    status(cluster, left)
    before = record(cluster)
    dies(cluster)

    with caplog.at_level(logging.INFO):
        assert end(cluster, "files") == ["files"]

    assert connected.source("files").status == "IDLE"
    assert cluster.variables == {}
    assert record(cluster) == {
        **before,
        "ended": True,
    }  # a run that is cleared is still the last that loaded it
    for word in ("files", left, "DAG shop", "run monday"):
        assert word in caplog.text

    assert end(cluster, "files") == []  # once


def test_what_is_being_loaded_is_left_alone(
    connected: Sandbox,
    cluster: Cluster,
    other: str,
) -> None:
    """Nor is one whose load has ended well, or was never begun, touched; not one call is made."""
    status(cluster, "REBUILD")
    claims = dict(cluster.variables)
    CoveoSetSourceStatusOperator(task_id="s", source_id=other, status="REBUILD").execute(
        context := cluster.context("tuesday")
    )
    CoveoSetSourceStatusOperator(task_id="s", source_id=other, status="IDLE").execute(context)
    calls = list(connected.calls)

    assert end(cluster, "files", other, "never_loaded") == []

    assert connected.source("files").status == "REBUILD"
    assert (connected.calls, cluster.variables) == (calls, claims)


def test_where_it_is_not_known_whether_a_run_is_alive_it_is(connected: Sandbox, cluster: Cluster) -> None:
    """A load is not disturbed for want of an answer."""
    status(cluster, "REBUILD")
    dies(cluster)
    cluster.asked = False

    assert end(cluster, "files") == []
    assert connected.source("files").status == "REBUILD"


def test_a_load_that_begins_meanwhile_goes_on(connected: Sandbox, cluster: Cluster) -> None:
    """It claims the source while this task waits to see whether its own claim stands."""
    status(cluster, "REBUILD")
    dies(cluster)

    def begins() -> None:
        cluster.meanwhile = lambda: None
        [name] = cluster.variables
        cluster.variables[name] = json.dumps({**json.loads(cluster.variables[name]), "run_id": "monday"})
        status(cluster, "INCREMENTAL", "tuesday")  # it saw the dead run's claim

    cluster.meanwhile = begins
    assert end(cluster, "files") == []

    assert connected.source("files").status == "INCREMENTAL"
    assert cluster.holders == ["tuesday"]


def test_a_load_that_had_begun_when_its_claim_was_overwritten_goes_on(
    connected: Sandbox,
    cluster: Cluster,
) -> None:
    """Its record stands, so this task takes its claim away again; the load takes it anew."""
    status(cluster, "REBUILD")
    dies(cluster)

    def begins() -> None:
        cluster.meanwhile = lambda: None
        [(name, written)] = cluster.variables.items()
        cluster.variables[name] = json.dumps({**json.loads(written), "run_id": "monday"})
        status(cluster, "INCREMENTAL", "tuesday")
        cluster.variables[name] = written

    cluster.meanwhile = begins
    assert end(cluster, "files") == []

    assert connected.source("files").status == "INCREMENTAL"
    assert cluster.holders == []
    status(cluster, "IDLE", "tuesday")
    assert connected.source("files").status == "IDLE"


def test_while_it_ends_a_load_no_other_begins(
    connected: Sandbox,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run that comes meanwhile waits its turn: else it would load under IDLE."""
    status(cluster, "REBUILD")
    dies(cluster)
    operator: Any = CoveoEndStaleLoadsOperator(task_id="end", source_ids=["files"])
    cluster.active.add(("shop", "upkeep"))
    client = operator.client
    set_status = client.set_source_status

    def late(*args: Any) -> Any:
        with pytest.raises(Exception, match="run upkeep"):
            status(cluster, "REBUILD", "tuesday")
        return set_status(*args)

    monkeypatch.setattr(client, "set_source_status", late)
    assert operator.execute(cluster.context("upkeep")) == ["files"]
    assert connected.source("files").status == "IDLE"


def test_what_fails_at_one_source_keeps_no_other_waiting(
    connected: Sandbox,
    cluster: Cluster,
    other: str,
    waits: list[float],
) -> None:
    """The task fails in the end, and the next one finds what it could not end."""
    status(cluster, "REBUILD")
    CoveoSetSourceStatusOperator(task_id="s", source_id=other, status="REBUILD").execute(
        cluster.context("monday")
    )
    dies(cluster)
    connected.faults.add(route="source.status", action=Answer(500), times=6)

    with pytest.raises(Exception, match="500"):
        end(cluster, "files", other)

    assert (connected.source("files").status, connected.source(other).status) == ("REBUILD", "IDLE")
    assert cluster.holders == ["monday"]
    assert end(cluster, "files", other, run_id="a quarter later") == ["files"]
    assert connected.source("files").status == "IDLE"


@pytest.mark.parametrize("broken", ["readable", "writable"])
def test_without_variables_it_says_so(connected: Sandbox, cluster: Cluster, broken: str) -> None:
    """Green would mean that somebody looked."""
    status(cluster, "REBUILD")
    dies(cluster)
    setattr(cluster, broken, False)

    with pytest.raises(AirflowFailException, match=r"files.*Variables.*cannot be used.*Nothing was changed"):
        end(cluster, "files")
    assert connected.source("files").status == "REBUILD"


@pytest.mark.parametrize("wrong", ["files", [1], [""], None])
def test_sources_are_a_list(connected: Sandbox, wrong: Any) -> None:
    """A text would be taken for its letters."""
    with pytest.raises(AirflowFailException, match="source_ids must be a list"):
        run(CoveoEndStaleLoadsOperator(task_id="end", source_ids=wrong))

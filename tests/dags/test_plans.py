"""A plan tells what a load would change, before anything is sent; what is applied is what was planned."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coveo_provider._compat import TaskAwaitingInput
from coveo_provider.errors import ConfigurationError
from coveo_provider.hooks.coveo import CoveoHook
from coveo_provider.operators import CoveoDiffOperator, CoveoPlanOperator
from coveo_provider.sandbox import Sandbox
from coveo_provider.task_groups import catalog_refresh, incremental_push
from tests.dags.clicking import Nightly, Run
from tests.dags.conftest import claims
from tests.dags.test_clicks import FAIL, ROUTES

pytestmark = pytest.mark.usefixtures("nothing_remembered")

GROUPS: dict[str, tuple[Callable[..., Any], str, str]] = {
    "incremental_push": (incremental_push, "files", "push"),
    "catalog_refresh": (catalog_refresh, "products", "update"),
}
Shop = Callable[..., Nightly]


@pytest.fixture
def shop(connected: Sandbox, tmp_path: Path, waits: list[float]) -> Shop:
    """Return a nightly DAG of a task group, by its name, with ten documents loaded."""

    def made(name: str, **options: Any) -> Nightly:
        group, source, _ = GROUPS[name]
        nightly = Nightly(
            connected, tmp_path / "shop", group, source, compares=True, parts=2, plan=True, **options
        )
        nightly.put(10)
        assert nightly.night(approve="never", plan_only=False).state == "success"
        assert nightly.held() == nightly.wanted()
        return nightly

    return made


def changed(nightly: Nightly) -> None:
    """Let two documents change, one be new and three be gone."""
    nightly.put(2, version=2)
    nightly.put(1, start=10)
    for n in (7, 8, 9):
        del nightly.rows[n]


def diff_of(nightly: Nightly, **options: Any) -> CoveoDiffOperator:
    """Return what compares the dataset of the last night."""
    values = {
        "documents": (nightly.folder / f"night-{nightly.nights}").as_uri(),
        "state": (nightly.folder / "state").as_uri(),
        "source_id": "files",
        **options,
    }
    return CoveoDiffOperator(task_id="diff", **values)


def plan_of(run: Run) -> dict[str, Any]:
    plan: dict[str, Any] = run.xcom("plan", "coveo_plan")
    if run.state == "success":
        assert run.xcom("plan", "return_value") == plan
    return plan


@pytest.mark.parametrize("name", GROUPS)
def test_a_plan_tells_of_items_that_somebody_else_deleted(shop: Shop, name: str) -> None:
    """It is a plan to send everything, and what follows agrees, also where no row changed."""
    nightly = shop(name)
    hook, gone = CoveoHook(), sorted(nightly.held())[:2]
    _ = hook.delete(gone, "files") if name == "incremental_push" else hook.update("products", deletions=gone)
    assert len(nightly.held()) == 8

    run = nightly.night(approve="never", plan_only=False)

    assert run.state == "success"
    assert nightly.held() == nightly.wanted()


@pytest.mark.parametrize("name", GROUPS)
def test_a_plan_tells_what_the_load_then_does(shop: Shop, name: str, connected: Sandbox) -> None:
    """Its counts are those of the load, and the index equals the dataset in the end."""
    nightly = shop(name)
    changed(nightly)

    run = nightly.night()

    assert run.state == "success"
    assert nightly.held() == nightly.wanted()
    plan = plan_of(run)
    assert plan["documents"] == {
        "now": 8, "before": 10, "new": 1, "changed": 2, "unchanged": 5, "gone": 3, "again": 0,
    }  # fmt: skip
    assert (plan["everything"], plan["reason"], plan["held"], plan["former"]) == (False, "", 10, "there")
    assert plan["fields"] == {
        "looked_at": 2,
        "of": 2,
        "counts": [{"field": "version", "changed": 2, "added": 0, "removed": 0}],
        "more": 0,
    }
    documents = {one["documentId"]: one["changes"] for one in plan["sample"]["documents"]}
    assert documents == {f"doc://{n}": [{"field": "version", "before": "1", "after": "2"}] for n in (0, 1)}
    assert plan["sample"]["new"] == ["doc://10"]
    assert sorted(plan["sample"]["gone"]) == ["doc://7", "doc://8", "doc://9"]
    assert plan["without_field"] == {"names": ["n", "version"], "more": 0}
    assert plan["access"] is None
    assert plan["rollback"] is None
    assert plan["doubts"] == []
    assert plan["sends"]["deletions"] == 3
    assert len(json.dumps(plan)) < 10_000


@pytest.mark.slow
@pytest.mark.parametrize("name", GROUPS)
def test_a_dry_run_ends_green_and_sends_nothing(
    shop: Shop, name: str, connected: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    """With ``plan_only`` what follows is skipped, no call changes anything, and no run is kept away."""
    nightly = shop(name)
    before = nightly.held()
    changed(nightly)
    connected.clear_calls()

    capfd.readouterr()
    run = nightly.night(plan_only=True)

    assert run.state == "success"
    assert "DownstreamTasksSkipped" not in "".join(capfd.readouterr())
    states = run.states()
    assert states["plan"] == "success"
    assert set(states.values()) == {"success", "skipped"}
    assert {name for name, state in states.items() if state == "success"} == {"transform", "plan"}
    assert nightly.held() == before
    assert {call.route for call in connected.calls} <= {"platform.source.get", "fields.search"}
    assert plan_of(run)["documents"]["gone"] == 3
    assert not claims()
    assert nightly.night().state == "success"
    assert nightly.held() == nightly.wanted()


def test_a_bound_stops_the_run_before_anything_is_sent(shop: Shop) -> None:
    """More documents change than may: the plan says so, and the index stays."""
    nightly = shop("incremental_push", max_changed=0.5)
    before = nightly.held()
    nightly.put(6, version=2)

    run = nightly.night()

    assert run.state == "failed"
    assert nightly.held() == before
    assert "of 10 documents of the last load 6 change, 60.0%, over max_changed=0.5" in nightly.error
    [doubt] = plan_of(run)["doubts"]
    assert doubt["guard"] == "max_changed"
    assert not claims()


@pytest.mark.slow
def test_a_plan_that_nothing_holds_any_more_is_not_applied(shop: Shop) -> None:
    """A load between plan and diff changes what is remembered: the run stops, and the index is that load's."""
    nightly = shop("incremental_push")
    nightly.put(2, version=2)
    run = nightly.night()
    plan = plan_of(run)
    nightly.put(2, version=3)
    assert nightly.night().state == "success"

    with pytest.raises(Exception, match="since the plan was made"):
        diff_of(nightly, plan=plan).execute({})
    assert nightly.held() == nightly.wanted()


@pytest.mark.slow
@pytest.mark.parametrize("first", ["transform", "plan", "diff"])
def test_a_load_that_failed_is_planned_anew(shop: Shop, first: str) -> None:
    """What the run itself announced is no load of another: cleared from any task on, it comes to its end."""
    nightly = shop("incremental_push")
    changed(nightly)
    nightly.sandbox.faults.add(route=ROUTES["push"], action=FAIL, times=6)
    run = nightly.night()
    assert run.state == "failed"
    nightly.sandbox.faults.clear()
    nightly.sandbox.clock.advance(seconds=600)

    run.clear(first)

    assert run.go_on() == "success", nightly.error
    assert nightly.held() == nightly.wanted()


def test_a_dry_run_stays_one_when_what_follows_is_cleared(shop: Shop) -> None:
    """What ``plan_only`` skipped is skipped again, whichever task is cleared."""
    nightly = shop("incremental_push")
    before = nightly.held()
    changed(nightly)
    run = nightly.night(plan_only=True)

    for task in ("diff", "plan"):
        run.clear(task)
        assert run.go_on() == "success"
        assert run.states()["diff"] == "skipped"
    assert nightly.held() == before


def test_an_answer_is_for_the_plan_that_was_shown(shop: Shop) -> None:
    """The dataset is written again while the plan waits, with as many changes in other documents: it stops."""
    nightly = shop("incremental_push", approve="always")
    before = nightly.held()
    nightly.put(2, version=2)
    run = nightly.night()
    assert run.states()["plan"] == "awaiting_input"
    nightly.put(2)
    nightly.put(2, start=3, version=9)
    raw = nightly.folder / f"raw-{nightly.nights}.ndjson"
    raw.write_text("\n".join(map(json.dumps, nightly.rows.values())))
    transform: Any = run.dag.task_dict["transform"]
    transform.execute({})

    run.answer("plan", "Apply")

    assert run.go_on() == "failed"
    assert nightly.held() == before


def test_what_is_no_plan_is_not_passed_over(shop: Shop) -> None:
    """A diff that is to follow a plan sends nothing without one, such as when its task returned nothing."""
    nightly = shop("incremental_push")
    values: list[Any] = [None, {}, "yes", {"documents": {}}]
    for plan in values:
        diff = diff_of(nightly, plan={"basis": ""})
        diff.plan = plan
        with pytest.raises(Exception, match="plan must be what CoveoPlanOperator returned"):
            diff.execute({})


def test_a_plan_of_changes_is_not_applied_to_everything(shop: Shop) -> None:
    """Neither because the diff is told to, nor because what is remembered was damaged since."""
    nightly = shop("incremental_push")
    changed(nightly)
    plan = plan_of(nightly.night(plan_only=True))

    with pytest.raises(Exception, match=r"the plan, made at .* tells otherwise: everything has to be sent"):
        diff_of(nightly, plan=plan, full=True).execute({})
    shutil.rmtree(nightly.folder / "state" / "hashes")
    with pytest.raises(Exception, match=r"tells otherwise: everything has to be sent now .*missing"):
        diff_of(nightly, plan=plan).execute({})


def test_a_plan_of_another_source_is_not_applied(shop: Shop) -> None:
    """Though dataset and state are the same."""
    nightly = shop("incremental_push")
    plan = plan_of(nightly.night(plan_only=True))
    nightly.sandbox.add_source("others", kind="PUSH")

    with pytest.raises(Exception, match="since the plan was made"):
        diff_of(nightly, plan=plan, source_id="others").execute({})


@pytest.mark.parametrize(
    "options", [{"approve": "allways"}, {"sample": -1}, {"sample": 10**6}, {"sample": "5"}]
)
def test_a_wrong_argument_is_refused_when_the_dag_is_parsed(options: dict[str, Any]) -> None:
    """Before any run: a bad word, or a sample that no XCom holds."""
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        CoveoPlanOperator(
            task_id="plan", documents="file:///x", state="file:///y", source_id="files", **options
        )


def test_the_former_dataset_may_be_gone(shop: Shop) -> None:
    """The counts are the same, and what cannot be known is said to be so."""
    nightly = shop("incremental_push")
    former = nightly.folder / f"night-{nightly.nights}"
    for path in sorted(former.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    changed(nightly)

    run = nightly.night()

    assert run.state == "success"
    assert nightly.held() == nightly.wanted()
    plan = plan_of(run)
    assert (plan["documents"]["changed"], plan["documents"]["new"], plan["documents"]["gone"]) == (2, 1, 3)
    assert (plan["former"], plan["fields"], plan["sample"]["documents"]) == ("gone", None, [])


@pytest.mark.skipif(TaskAwaitingInput is None, reason="a trigger answers before 3.3")
@pytest.mark.parametrize(("answer", "state"), [("Apply", "success"), ("Stop", "failed")])
def test_a_plan_may_wait_for_a_yes(shop: Shop, answer: str, state: str) -> None:
    """With ``approve="always"`` nothing is sent before somebody answers, who then is named."""
    nightly = shop("catalog_refresh", approve="always")
    before = nightly.held()
    changed(nightly)

    run = nightly.night()

    assert run.states()["plan"] == "awaiting_input"
    subject, body = run.question("plan")
    assert "2 changed" in subject
    assert "| new |" in body or " new " in body
    assert nightly.held() == before
    run.answer("plan", answer)
    assert run.go_on() == state
    assert nightly.held() == (nightly.wanted() if answer == "Apply" else before)
    [approval] = run.xcom("plan", "coveo_approvals")
    assert (approval["guard"], approval["answer"], approval["by"]) == ("plan", answer, "ann")
    assert not claims()


@pytest.mark.slow
@pytest.mark.skipif(TaskAwaitingInput is None, reason="a trigger answers before 3.3")
@pytest.mark.parametrize("options", [{"approve": "always"}, {"max_shrink": 0.1, "on_doubt": "ask"}])
def test_an_approved_plan_is_of_the_documents_that_were_shown(shop: Shop, options: dict[str, Any]) -> None:
    """Another load, while it waits, lets the same numbers be those of other documents: these stay."""
    nightly = shop("catalog_refresh", **options)
    shown = {n: nightly.rows.pop(n) for n in (7, 8, 9)}
    run = nightly.night()
    assert run.states()["plan"] == "awaiting_input"
    nightly.put(3, start=20)
    assert nightly.night(approve="never", on_doubt="ask", max_shrink=None).state == "success"
    held = nightly.held()
    assert len(held) == len(nightly.rows) == 7 + len(shown)

    run.answer("plan", "Apply")

    assert run.go_on() == "failed"
    assert "other documents than those shown would change" in nightly.error
    assert nightly.held() == held
    assert not claims()


@pytest.mark.slow
@pytest.mark.skipif(TaskAwaitingInput is None, reason="a trigger answers before 3.3")
def test_what_the_plan_asked_is_not_asked_again(shop: Shop) -> None:
    """One answer is enough for plan, diff and deletion."""
    nightly = shop("catalog_refresh", max_shrink=0.1, on_doubt="ask")
    changed(nightly)

    run = nightly.night()

    assert run.states()["plan"] == "awaiting_input"
    run.answer("plan", "Apply")
    assert run.go_on() == "success"
    assert nightly.held() == nightly.wanted()
    assert [run.xcom(task, "coveo_approvals") for task in ("diff", "delete_older")] == [None, None]


def test_a_plan_needs_a_state(tmp_path: Path) -> None:
    """Without one there is nothing to compare with, and the DAG file says so."""
    from airflow.sdk import DAG

    with DAG("planned", schedule=None), pytest.raises(ConfigurationError, match="give the group a state"):
        catalog_refresh(source_id="products", documents="file:///x", plan_only=True)
    with (
        DAG("planned", schedule=None),
        pytest.raises(ConfigurationError, match="max_new_public needs a plan"),
    ):
        incremental_push(source_id="files", documents="file:///x", max_new_public=0)

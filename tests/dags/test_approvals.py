"""What a guard finds doubtful is asked of a person in Required Actions, and done or left as answered."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk import DAG

from coveo_provider._compat import AirflowFailException, TaskAwaitingInput
from coveo_provider.errors import ConfigurationError
from coveo_provider.hooks.coveo import CoveoHook
from coveo_provider.operators import (
    CoveoDeleteOlderOperator,
    CoveoEndStaleLoadsOperator,
    CoveoSecurityExpansionOperator,
)
from coveo_provider.operators.support.approvals import AskingOperator, Question, ask
from coveo_provider.operators.support.claims import SourceOperator
from coveo_provider.planning.summary import summary_of
from coveo_provider.sandbox import Answer, Sandbox
from coveo_provider.task_groups import (
    catalog_load,
    catalog_refresh,
    incremental_push,
    push_rebuild,
    secured_push,
)
from tests.dags.clicking import Nightly, Run, each, started
from tests.dags.conftest import claims

pytestmark = [
    pytest.mark.usefixtures("nothing_remembered"),
    pytest.mark.skipif(
        TaskAwaitingInput is None, reason="a trigger answers before 3.3, which needs a triggerer beside"
    ),
]

FAIL = Answer(500, body='{"message": "Internal error"}')
# the group, its source, the task that asks, whether it has a state
GROUPS: dict[str, tuple[Callable[..., Any], str, str, bool]] = {
    "push_rebuild": (push_rebuild, "files", "delete_older", False),
    "secured_push": (secured_push, "intranet", "delete_older", False),
    "incremental_push": (incremental_push, "files", "diff", True),
    "catalog_refresh": (catalog_refresh, "products", "delete_older", False),
    "catalog_refresh, state": (catalog_refresh, "products", "diff", True),
    "catalog_load": (catalog_load, "products", "close", False),
}


class Shop:
    """A nightly DAG that asks when more than half of the items would go."""

    def __init__(self, sandbox: Sandbox, folder: Path, name: str, **options: Any) -> None:
        group, self.source, self.asks, compares = GROUPS[name]
        every = {}
        if group is secured_push:
            sandbox.add_source(self.source, kind="PUSH", visibility="SECURED")
            people = [{"name": "ann@acme.example", "type": "USER"}]
            members = folder / "members.parquet"
            pq.write_table(
                pa.Table.from_pylist([{"name": "team", "type": "GROUP", "members": people}]), members
            )
            options = {"provider_id": "people", "members": members.as_uri(), **options}
            every = {"permissions": '[{"allowAnonymous": true}]'}
        guards = {"max_shrink": 0.5, "on_doubt": "ask", **options}
        self.nightly = Nightly(
            sandbox, folder / "shop", group, self.source, compares=compares, parts=2, **guards
        )
        self.nightly.every = every
        self.before: dict[str, int] = {}

    def shrunk(self, left: int = 3, **options: Any) -> Run:
        """Load ten documents, and begin a night with so many of them, which waits for an answer."""
        self.nightly.put(10)
        assert self.nightly.night().state == "success"
        self.before = self.nightly.held()
        assert len(self.before) == 10
        self.keep(left)
        return self.nightly.night(**options)

    def push_beside(self, count: int) -> None:
        """Let somebody else put items into the source, so that it holds 50 of them."""
        for n in range(count):
            CoveoHook().client.put_item(self.source, f"other://{n}", b'{"data": "x"}')
        self.nightly.sandbox.settle()

    def keep(self, left: int) -> None:
        """Let there be so many rows."""
        for n in [n for n in self.nightly.rows if n >= left]:
            del self.nightly.rows[n]


@pytest.fixture
def open_shop(connected: Sandbox, tmp_path: Path, waits: list[float]) -> Callable[..., Shop]:
    def opened(name: str, **options: Any) -> Shop:
        return Shop(connected, tmp_path, name, **options)

    return opened


@pytest.mark.parametrize("name", each(GROUPS))
def test_it_goes_on_once_it_is_approved(open_shop: Callable[..., Shop], name: str) -> None:
    """Both numbers are shown, the index equals the dataset in the end, and who said so is kept."""
    shop = open_shop(name)

    run = shop.shrunk()

    assert run.states()[shop.asks] == "awaiting_input"
    subject, body = run.question(shop.asks)
    assert subject.startswith(f"Source {shop.source}: 3 documents, 10 held")
    assert "max_shrink=0.5" in body
    assert shop.nightly.held().keys() == shop.before.keys()
    run.answer(shop.asks, "Apply", by="ann")
    assert run.go_on() == "success"
    assert shop.nightly.held() == shop.nightly.wanted()
    [approval] = run.xcom(shop.asks, "coveo_approvals")
    assert (approval["guard"], approval["answer"], approval["by"]) == ("max_shrink", "Apply", "ann")
    assert (approval["numbers"]["documents"], approval["numbers"]["held"]) == (3, 10)
    assert not claims()


@pytest.mark.parametrize("name", each(GROUPS))
def test_it_stops_when_that_is_the_answer(open_shop: Callable[..., Shop], name: str) -> None:
    """The index holds what it held, but for what a rebuild has renewed, and the failure says who stopped it."""
    shop = open_shop(name)
    run = shop.shrunk()

    run.answer(shop.asks, "Stop", by="bob")

    assert run.go_on() == "failed"
    assert run.states()[shop.asks] == "failed"
    assert "bob answered Stop" in shop.nightly.error
    assert shop.nightly.held().keys() == shop.before.keys()
    [refusal] = run.xcom(shop.asks, "coveo_approvals")
    assert (refusal["answer"], refusal["by"]) == ("Stop", "bob")


@pytest.mark.parametrize("name", each(["push_rebuild", "catalog_refresh, state", "catalog_load"]))
def test_it_stops_when_nobody_answers(open_shop: Callable[..., Shop], name: str) -> None:
    """The scheduler ends the wait; a stream is not kept open for longer than it is of use."""
    shop = open_shop(name, answer_within=timedelta(hours=2))
    run = shop.shrunk()
    within = timedelta(minutes=45) if name == "catalog_load" else timedelta(hours=2)

    run.let_wait(shop.asks, longer_than=within - timedelta(minutes=5))
    assert run.states()[shop.asks] == "awaiting_input"
    run.let_wait(shop.asks, longer_than=timedelta(minutes=5))

    assert run.go_on() == "failed"
    assert "nobody answered within" in shop.nightly.error
    assert shop.nightly.held().keys() == shop.before.keys()


def test_an_approval_is_for_its_numbers_only(open_shop: Callable[..., Shop]) -> None:
    """Airflow shows a task's first question for the whole run, so other numbers are not asked, and stop it."""
    shop = open_shop("push_rebuild")
    run = shop.shrunk()
    shop.push_beside(40)

    run.answer("delete_older", "Apply")

    assert run.go_on() == "failed"
    assert "the source 50 items" in shop.nightly.error
    assert "Start a new run" in shop.nightly.error
    assert shop.nightly.sandbox.count(shop.source) == 50


def test_to_lose_fewer_than_were_approved_is_approved(open_shop: Callable[..., Shop]) -> None:
    """Somebody deletes items while the task waits: less is removed than a person said yes to."""
    shop = open_shop("push_rebuild")
    run = shop.shrunk()
    CoveoHook().client.delete_item(shop.source, "doc://9")
    assert len(shop.nightly.held()) == 9

    run.answer("delete_older", "Apply")

    assert run.go_on() == "success"
    assert shop.nightly.held() == shop.nightly.wanted()


def test_what_was_approved_is_not_asked_again_later_in_the_run(open_shop: Callable[..., Shop]) -> None:
    """When everything is sent, the diff asks about the last run's documents, and the deletion finds the same."""
    shop = open_shop("catalog_refresh, state")
    run = shop.shrunk(full=True)
    assert run.states()["diff"] == "awaiting_input"

    run.answer("diff", "Apply")

    assert run.go_on() == "success"
    assert run.xcom("delete_older", "coveo_approvals") is None
    assert shop.nightly.held() == shop.nightly.wanted()


@pytest.mark.slow
def test_a_later_task_that_would_remove_more_asks_itself(open_shop: Callable[..., Shop]) -> None:
    """Nobody said yes to what the source holds besides what the last run sent."""
    shop = open_shop("incremental_push")
    run = shop.shrunk(full=True)
    shop.push_beside(40)
    run.answer("diff", "Apply")

    assert run.go_on() == "running"

    assert run.states()["delete_older"] == "awaiting_input"
    assert "3 documents, 50 held" in run.question("delete_older")[0]
    run.answer("delete_older", "Apply")
    assert run.go_on() == "success"
    assert shop.nightly.held() == shop.nightly.wanted()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "route"), [("push_rebuild", "items.delete_older"), ("catalog_load", "stream.close")]
)
def test_a_retry_after_an_approval_does_not_ask_again(
    open_shop: Callable[..., Shop], name: str, route: str
) -> None:
    """The service fails for a while just then: the next try goes by the answer of the first."""
    shop = open_shop(name, default_args={"retries": 1, "retry_delay": timedelta(0)})
    run = shop.shrunk()
    shop.nightly.sandbox.faults.add(route=route, action=FAIL, times=6)

    run.answer(shop.asks, "Apply", by="ann")

    assert run.go_on() == "success"
    assert run.tries(shop.asks) == 2
    assert shop.nightly.held() == shop.nightly.wanted()
    assert [one["by"] for one in run.xcom(shop.asks, "coveo_approvals")] == ["ann"]


def test_an_approval_outlives_a_wait_for_a_quota(
    open_shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task gives its worker back once more, and goes on without a second question."""

    async def passed(seconds: float) -> None:
        waited.append(seconds)

    waited: list[float] = []
    monkeypatch.setattr("coveo_provider.triggers.wait.asyncio", SimpleNamespace(sleep=passed))
    shop = open_shop("catalog_refresh", default_args={"deferrable": True, "max_block_seconds": 0})
    run = shop.shrunk()
    busy = Answer(429, body='{"message": "Too many"}', headers=(("Retry-After", "900"),))
    shop.nightly.sandbox.faults.add(route="stream.delete_older", action=busy, times=1)

    run.answer("delete_older", "Apply")

    assert run.go_on() == "success"
    assert waited == [900]
    assert shop.nightly.held() == shop.nightly.wanted()


@pytest.mark.slow
def test_a_task_that_is_cleared_asks_again(open_shop: Callable[..., Shop]) -> None:
    """While it waits, and after it was approved and came to nothing."""
    shop = open_shop("push_rebuild")
    run = shop.shrunk()
    asked = run.question("delete_older")

    run.clear("delete_older")
    assert run.go_on() == "running"
    assert run.question("delete_older") == asked

    shop.nightly.sandbox.faults.add(route="items.delete_older", action=FAIL, times=6)
    run.answer("delete_older", "Apply")
    assert run.go_on() == "failed"
    run.clear("delete_older")
    assert run.go_on() == "running"
    assert run.states()["delete_older"] == "awaiting_input"
    run.answer("delete_older", "Apply")
    assert run.go_on() == "success"
    assert shop.nightly.held() == shop.nightly.wanted()


@pytest.mark.parametrize("name", each(["push_rebuild", "catalog_load", "catalog_refresh, state"]))
def test_a_waiting_task_that_is_marked_as_success_has_done_nothing(
    open_shop: Callable[..., Shop], name: str
) -> None:
    """What follows finds no report, or nothing to map over; nothing is removed."""
    shop = open_shop(name)
    run = shop.shrunk()

    run.mark_success(shop.asks)
    state = run.go_on()

    states = run.states()
    assert shop.nightly.held().keys() == shop.before.keys()
    assert state == "failed" or states["finalize"] == "skipped", states


@pytest.mark.slow
def test_a_cleared_task_that_finds_other_numbers_stops(open_shop: Callable[..., Shop]) -> None:
    """Airflow would show the numbers of before, and a person say yes to what is not so."""
    shop = open_shop("push_rebuild")
    run = shop.shrunk()
    shop.push_beside(40)

    run.clear("delete_older", downstream=False)

    assert run.go_on() == "failed"
    assert "Start a new run" in shop.nightly.error
    assert shop.nightly.sandbox.count(shop.source) == 50


@pytest.mark.slow
@pytest.mark.parametrize("name", each(["push_rebuild", "catalog_load", "catalog_refresh, state"]))
def test_a_run_that_waits_keeps_the_source(open_shop: Callable[..., Shop], tmp_path: Path, name: str) -> None:
    """Another run finds it busy, and its status is not taken for one that a dead run left."""
    shop = open_shop(name)
    run = shop.shrunk()
    [held] = claims().values()
    assert (run.state, held["run_id"]) == ("running", run.run_id)
    group, source, _, compares = GROUPS[name]
    other = Nightly(
        shop.nightly.sandbox, tmp_path / "other", group, source, compares=compares, content_owner="other"
    )
    other.put(5)

    assert other.night().state == "failed"
    assert "SourceBusy" in other.errors[0] or "being loaded" in other.errors[0]
    with DAG("upkeep_beside", schedule=None) as upkeep:
        CoveoEndStaleLoadsOperator(task_id="end", source_ids=[source])
    assert started(upkeep).state == "success"

    if name == "push_rebuild":
        assert shop.nightly.sandbox.source(source).status == "REBUILD"
    run.answer(shop.asks, "Apply")
    assert run.go_on() == "success"
    assert shop.nightly.held() == shop.nightly.wanted()


def test_two_guards_are_one_question(open_shop: Callable[..., Shop]) -> None:
    """A task has one question only: it is about all that is doubtful."""
    shop = open_shop("incremental_push", min_documents=5)
    run = shop.shrunk()
    body = run.question("diff")[1]
    assert "min_documents=5" in body
    assert "max_shrink=0.5" in body

    run.answer("diff", "Apply")

    assert run.go_on() == "success"
    assert {one["guard"] for one in run.xcom("diff", "coveo_approvals")} == {"min_documents", "max_shrink"}
    assert shop.nightly.held() == shop.nightly.wanted()


@pytest.mark.slow
def test_two_tasks_wait_at_once(connected: Sandbox, tmp_path: Path, waits: list[float]) -> None:
    """Each answer is for its own task, in whichever order they come."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one = Shop(connected, tmp_path / "one", "push_rebuild")
    two = Shop(connected, tmp_path / "two", "catalog_load")
    first, second = one.shrunk(), two.shrunk()

    second.answer("close", "Stop")
    first.answer("delete_older", "Apply")

    assert (first.go_on(), second.go_on()) == ("success", "failed")
    assert one.nightly.held() == one.nightly.wanted()
    assert two.nightly.held().keys() == two.before.keys()


def test_identities_are_asked_about_before_the_first_is_pushed(connected: Sandbox, tmp_path: Path) -> None:
    """A provider is asked about as a source is."""
    connected.add_security_provider("people")
    people = [{"name": f"{one}@acme.example", "type": "USER"} for one in ("ann", "bob")]
    members = tmp_path / "members.parquet"
    pq.write_table(pa.Table.from_pylist([{"name": "team", "type": "GROUP", "members": people}]), members)
    with DAG("identities_asked", schedule=None) as dag:
        CoveoSecurityExpansionOperator(
            task_id="identities",
            provider_id="people",
            members=members.as_uri(),
            delete_older=True,
            min_identities=5,
            on_doubt="ask",
        )
    run = started(dag)
    assert run.question("identities")[0].startswith("Provider people: 1 identities")
    assert not [call for call in connected.calls if "permissions" in call.path and call.method != "GET"]

    run.answer("identities", "Apply")

    assert run.go_on() == "success"


class Planning(SourceOperator):
    """A task that plans, as far as a question is concerned."""

    plans = True

    def __init__(self, *, source_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source_id = source_id

    def act(self, context: Any) -> None:
        documents = {"now": 3, "before": 10, "new": 0, "changed": 1, "unchanged": 2, "gone": 7, "again": None}
        context["ti"].xcom_push("coveo_plan", {"version": 1, "documents": documents})


def planned(*, source_id: str, **options: Any) -> None:
    """Make a task group with a plan before it."""
    plan = Planning(task_id="plan", source_id=source_id)
    plan >> catalog_refresh(source_id=source_id, **options)


def test_the_plan_is_part_of_the_question(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop("catalog_refresh, state")
    shop.nightly.group = planned

    run = shop.shrunk()

    _, body = run.question("diff")
    assert "| now | before | new | changed | unchanged | gone |" in body
    assert "| 3 | 10 | 0 | 1 | 2 | 7 |" in body


class Choosing(AskingOperator):
    """A task that lets a person choose, as one does that goes back to an earlier load."""

    def act(self, context: Any) -> str:
        loads = [Question("load", {"loads": 2}, "Which load is to be restored?")]
        return ask(
            self, context, loads, subject="Go back?", body="Two loads.", options=("mon", "tue", "Stop")
        )


def test_a_plan_is_shown_as_far_as_it_is_known() -> None:
    """What is null is left out, and so is what a later version writes otherwise."""
    plan = {
        "everything": True,
        "reason": "it was asked for",
        "by": {"column": "type", "values": [{"value": "Shoe", "new": 1_200, "changed": 2, "gone": None}]},
        "access": {"new_public": 3, "no_longer_public": 0, "permissions_changed": 5},
    }
    assert summary_of(plan).splitlines() == [
        "Everything is sent: it was asked for.",
        "",
        "- type **Shoe**: 1,200 new, 2 changed",
        "",
        "Who may see what: 3 new public, 0 no longer public, 5 permissions changed",
    ]
    assert summary_of(None) == summary_of({"documents": None, "by": None, "access": None}) == ""


@pytest.mark.parametrize(("option", "state"), [("tue", "success"), ("Stop", "failed")])
def test_a_person_chooses_among_options(connected: Sandbox, option: str, state: str) -> None:
    with DAG(f"choosing_{option}", schedule=None) as dag:
        Choosing(task_id="choose")
    run = started(dag)
    assert run.states() == {"choose": "awaiting_input"}

    run.answer("choose", option)

    assert run.go_on() == state
    assert run.xcom("choose", "return_value") == (option if state == "success" else None)


def test_outside_of_a_run_nobody_can_be_asked(connected: Sandbox) -> None:
    """The stop says so."""
    report = {"parts": [], "documents": 0, "source_id": "files"}
    operator = CoveoDeleteOlderOperator(task_id="gone", source_id="files", reports=[report], on_doubt="ask")
    with pytest.raises(AirflowFailException, match="runs outside of one"):
        operator.execute({})


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"on_doubt": "perhaps"}, 'on_doubt must be "fail" or "ask"'),
        ({"answer_within": 3_600}, "answer_within must be a timedelta"),
        ({"answer_within": timedelta(0)}, "answer_within must be a timedelta"),
    ],
)
def test_what_is_no_choice_is_refused_when_the_dag_is_parsed(options: dict[str, Any], problem: str) -> None:
    for group, source, _, compares in GROUPS.values():
        values = {"state": "file:///tmp/state"} if compares else {}
        values |= {"provider_id": "people"} if group is secured_push else {}
        with DAG("parsed", schedule=None), pytest.raises(ConfigurationError, match=problem):
            group(source_id=source, documents="file:///tmp/x", **values, **options)

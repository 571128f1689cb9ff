"""How the task groups are put together: what must not change without a test that turns red."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from airflow.sdk import DAG

from coveo_provider.operators import (
    CoveoCloseStreamOperator,
    CoveoDeleteOlderOperator,
    CoveoFinalizeOperator,
    CoveoVerifyOperator,
)
from coveo_provider.operators.support.ending import EndingOperator
from coveo_provider.task_groups import (
    catalog_load,
    catalog_refresh,
    incremental_push,
    push_rebuild,
    secured_push,
)

Tasks = dict[str, Any]
STATE = "file:///state"
GROUPS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "catalog_load": (catalog_load, {"documents": "file:///documents"}),
    "catalog_refresh": (catalog_refresh, {"documents": "file:///documents"}),
    "catalog_refresh, state": (catalog_refresh, {"documents": "file:///documents", "state": STATE}),
    "push_rebuild": (push_rebuild, {"documents": "file:///documents"}),
    "incremental_push": (incremental_push, {"documents": "file:///documents"}),
    "incremental_push, state": (incremental_push, {"documents": "file:///documents", "state": STATE}),
    "secured_push": (secured_push, {"documents": "file:///documents", "provider_id": "people"}),
}
ORDER = {
    "catalog_load": ["check", "open", "upload", "close", "verify"],
    "catalog_refresh": ["check", "update", "delete_older", "verify"],
    "catalog_refresh, state": ["diff", "update", "delete_older", "finalize"],
    "push_rebuild": ["check", "rebuild", "push", "delete_older", "verify", "idle"],
    "incremental_push": ["incremental", "push", "verify", "idle"],
    "incremental_push, state": ["diff", "incremental", "push", "delete_older", "finalize", "idle"],
    "secured_push": [
        *("check", "check_access", "rebuild", "provider", "identities", "push"),
        *("delete_older", "verify", "idle"),
    ],
}


def tasks_of(name: str, **options: Any) -> Tasks:
    """Return the tasks of a group, by their names within it."""
    group, arguments = GROUPS[name]
    with DAG("wiring", schedule=None) as dag:
        group(source_id="source", **{**arguments, **options})
    return {task_id.rpartition(".")[2]: task for task_id, task in dag.task_dict.items()}


def argument(task: Any, name: str) -> Any:
    """Return what a task, mapped or not, is given by a name."""
    if (mapped := getattr(task, "partial_kwargs", None)) is not None and name in mapped:
        return mapped[name]
    return getattr(task, name, None)


def source_of(value: Any) -> tuple[str, str]:
    """Return the task and the key that an argument comes from."""
    return value.operator.task_id.rpartition(".")[2], value.key


@pytest.fixture(params=GROUPS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_each_task_follows_the_one_before_it(name: str) -> None:
    """Each is downstream of the one before, so none runs unless that succeeded; and there are no others."""
    tasks = tasks_of(name)

    assert set(tasks) == set(ORDER[name])
    for before, after in zip(ORDER[name], ORDER[name][1:], strict=False):
        following = {
            task.task_id.rpartition(".")[2] for task in tasks[before].get_flat_relatives(upstream=False)
        }
        assert after in following, f"{after} does not follow {before}"


def test_the_last_task_alone_ends_the_load(name: str) -> None:
    """One event, and one place where the claim is freed: a task that verifies, after all that send or delete."""
    tasks = tasks_of(name)
    ending = [one for one in ORDER[name] if isinstance(tasks[one], EndingOperator)]
    [last] = [one for one in ending if tasks[one].verifies]

    assert last == ending[-1]
    assert isinstance(tasks[last], CoveoFinalizeOperator if name.endswith("state") else CoveoVerifyOperator)
    senders = [one for one in ORDER[name] if one in {"push", "update", "upload"}]
    assert all(ORDER[name].index(one) < ORDER[name].index(last) for one in [*senders, *ending[:-1]])


def test_what_removes_items_is_told_of_every_part(name: str) -> None:
    """``parts`` come from what the parts were mapped over, and ``reports`` from the tasks that sent them."""
    tasks = tasks_of(name)
    for key, task in tasks.items():
        if isinstance(task, CoveoDeleteOlderOperator | CoveoCloseStreamOperator):
            sender = {"catalog_load": "upload"}.get(name, "update" if "catalog" in name else "push")
            assert source_of(task.reports) == (sender, "return_value")
            assert source_of(task.parts) == ("diff" if name.endswith("state") else "check", "return_value")
            assert task.trigger_rule == "all_success", key


def test_what_is_verified_is_what_came_before(name: str) -> None:
    """The report of the task that removes, and of a feed those of the push."""
    tasks = tasks_of(name)
    last = tasks[ORDER[name][-1 if "idle" not in tasks else -2]]
    before = ORDER[name][ORDER[name].index(last.task_id.rpartition(".")[2]) - 1]

    assert source_of(last.reports) == (before, "return_value")
    assert last.whole is not (name == "incremental_push" or name.endswith("state"))
    if name.endswith("state"):
        assert source_of(last.manifest) == ("diff", "manifest")
        assert (last.state, tasks["diff"].state) == (STATE, STATE)
        assert source_of(tasks["delete_older"].full) == ("diff", "full")


def test_what_a_group_is_given_reaches_the_tasks_that_need_it(name: str) -> None:
    """The guards reach what removes, the verification's arguments what verifies, source and connection all."""
    values: dict[str, Any] = {"min_documents": 7, "max_shrink": 0.3, "content_owner": "me"}
    verified = {"verify": True, "max_rejected": 5}
    tasks = tasks_of(name, coveo_conn_id="other", **values, **verified)
    for key, task in tasks.items():
        assert key == "check_access" or argument(task, "coveo_conn_id") == "other", key
        if isinstance(task, CoveoDeleteOlderOperator | CoveoCloseStreamOperator):
            assert {one: getattr(task, one) for one in values} == values
        if isinstance(task, CoveoVerifyOperator):
            assert {one: getattr(task, one) for one in verified} == verified
        if key in {"check", "diff", "open", "update", "upload", "push", "rebuild", "incremental", "idle"}:
            assert argument(task, "source_id") == "source", key


def test_a_source_is_idle_again_whatever_happened(name: str) -> None:
    """``idle`` is the teardown of what set the status, and does not decide the run."""
    tasks = tasks_of(name)
    if "idle" in tasks:
        start = tasks["rebuild" if "rebuild" in tasks else "incremental"]
        assert (start.is_setup, tasks["idle"].is_teardown) == (True, True)
        assert tasks["idle"].on_failure_fail_dagrun is False
        assert start.task_id in tasks["idle"].upstream_task_ids
        assert (start.status, tasks["idle"].status) == (
            "REBUILD" if "rebuild" in tasks else "INCREMENTAL",
            "IDLE",
        )


def test_a_state_is_the_owner_of_the_content() -> None:
    """So a second folder is refused, and the same folder in another DAG is not."""
    for name in ("catalog_refresh, state", "incremental_push, state"):
        tasks = tasks_of(name)
        assert tasks["diff"].content_owner == tasks["delete_older"].content_owner == f"the state in {STATE}"


def test_a_secured_push_disables_identities_that_are_gone() -> None:
    """Else people whose access was revoked keep it; and identities come before the items that name them."""
    tasks = tasks_of("secured_push", visibility="unchecked", members="file:///m", mappings="file:///a")

    assert tasks["identities"].delete_older is True
    assert (tasks["identities"].provider_id, tasks["provider"].provider_id) == ("people", "people")
    assert list(tasks["provider"].source_ids) == ["source"]
    assert argument(tasks["push"], "visibility") == tasks["check"].visibility == "unchecked"
    for key in ("check_access", "identities"):
        assert (tasks[key].members, tasks[key].mappings) == ("file:///m", "file:///a")
    checked = tasks_of("secured_push")
    assert argument(checked["push"], "visibility") == checked["check"].visibility == "checked"

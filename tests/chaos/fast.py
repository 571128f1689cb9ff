"""
A DAG run outside Airflow, for volume: the same operators under Airflow's rules.

Mapped tasks are expanded over XComs; a task is tried again unless it failed for good; what depends on a failed
task is not run, what depends on a skipped one is skipped; a teardown runs when its setup did. That it ends as
`dag.test()` does is tested.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from random import Random
from types import SimpleNamespace
from typing import Any

from airflow.sdk import DAG, BaseOperator, XComArg
from airflow.sdk.definitions.mappedoperator import MappedOperator

from coveo_provider._compat import AirflowFailException, AirflowSkipException

TRIES = 3

XComs = dict[str, Any]
"""Values by ``task|map index|key``."""


@dataclass
class Job:
    """One try of one task instance; it travels to another process as JSON."""

    run_id: str
    task_id: str
    map_index: int
    try_number: int
    xcoms: XComs


@dataclass
class Result:
    """``success``, ``skipped``, ``failed`` for good, or ``up_for_retry``; with what was pushed."""

    state: str
    pushed: dict[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass
class _Instance:
    """The task instance, as far as the operators look at it."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    pushed: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = json.loads(json.dumps(value))

    def get_dr_count(self, dag_id: str, *, run_ids: list[str], states: list[str]) -> int:
        return run_ids.count(self.run_id)  # one run at a time: any other has ended


def perform(dag: DAG, job: Job) -> Result:
    """Execute one try of a task."""
    task: Any = dag.get_task(job.task_id)
    if isinstance(task, MappedOperator):
        task = task.unmap(_expanded(task, job.xcoms)[job.map_index])
    else:
        task = task.prepare_for_execution()
    for name in task.template_fields:
        setattr(task, name, _resolved(getattr(task, name), job.xcoms))
    instance = _Instance(str(dag.dag_id), job.run_id, job.task_id, job.map_index, job.try_number)
    try:
        run = SimpleNamespace(
            dag_id=instance.dag_id, run_id=job.run_id, start_date=datetime.now(timezone.utc)
        )
        instance.xcom_push("return_value", task.execute({"ti": instance, "dag_run": run}))
    except AirflowSkipException as skipped:
        return Result("skipped", error=str(skipped))
    except AirflowFailException as error:
        return Result("failed", error=str(error))
    except Exception as error:  # noqa: BLE001  as Airflow does
        return Result("up_for_retry", error=f"{type(error).__name__}: {error}")
    return Result("success", instance.pushed)


def _expanded(task: MappedOperator, xcoms: XComs) -> list[dict[str, Any]]:
    value: Any = task._get_specified_expand_input().value
    if isinstance(value, XComArg):
        return list(_resolved(value, xcoms))
    ((name, values),) = value.items()
    return [{name: one} for one in _resolved(values, xcoms)]


def _resolved(value: Any, xcoms: XComs) -> Any:
    if isinstance(value, XComArg):
        argument: Any = value
        task = argument.operator.task_id
        if not isinstance(argument.operator, MappedOperator):
            return xcoms[f"{task}|-1|{argument.key}"]
        names = [name.split("|") for name in xcoms]
        indexes = sorted(int(at) for of, at, key in names if (of, key) == (task, argument.key))
        return [xcoms[f"{task}|{at}|{argument.key}"] for at in indexes]
    if isinstance(value, (list, tuple)):
        return [_resolved(one, xcoms) for one in value]
    return value


class FastRun:
    """
    One run of a DAG.

    :param execute: executes one try of a task
    :param random: the order in which the instances of a mapped task run
    """

    def __init__(self, dag: DAG, run_id: str, execute: Callable[[Job], Result], random: Random) -> None:
        self.dag, self.run_id, self.execute, self.random = dag, run_id, execute, random
        self.xcoms: XComs = {}
        self.states: dict[str, dict[int, str]] = {}
        self.errors: list[str] = []

    def run(self) -> tuple[str, dict[str, str]]:
        """Run all tasks, and return the state of the run and of each task, named without its group."""
        for task in self._in_order():
            verdict = self._verdict(task)
            indexes = [-1]
            if verdict is None and isinstance(task, MappedOperator):
                indexes = list(range(len(_expanded(task, self.xcoms))))
                self.random.shuffle(indexes)
                if not indexes:
                    verdict, indexes = "skipped", [-1]
            outcomes = dict.fromkeys(indexes, verdict) if verdict else self._tried(task.task_id, indexes)
            self.states[task.task_id] = dict(sorted(outcomes.items()))
        bad = {"failed", "upstream_failed"}
        teardowns = {task.task_id for task in self.dag.tasks if task.is_teardown}
        failed = any(
            bad & {*outcomes.values()} for name, outcomes in self.states.items() if name not in teardowns
        )
        named = {
            (name if at < 0 else f"{name}[{at}]"): state
            for task_id, outcomes in self.states.items()
            for name in [task_id.rpartition(".")[2]]
            for at, state in outcomes.items()
        }
        return "failed" if failed else "success", named

    def _in_order(self) -> Iterator[Any]:
        left: dict[str, Any] = dict(self.dag.task_dict)
        while left:
            ready = next(name for name, task in left.items() if not left.keys() & task.upstream_task_ids)
            yield left.pop(ready)

    def _verdict(self, task: BaseOperator) -> str | None:
        """Return the state a task gets without being run, if so."""
        if task.is_teardown:
            setups = [name for name in task.upstream_task_ids if self.dag.get_task(name).is_setup]
            outcomes = [state for name in setups for state in self.states[name].values()]
            if "success" in outcomes:
                return None
            return "skipped" if {*outcomes} == {"skipped"} else "upstream_failed"
        outcomes = [state for name in task.upstream_task_ids for state in self.states[name].values()]
        if {"failed", "upstream_failed"} & {*outcomes}:
            return "upstream_failed"
        return "skipped" if "skipped" in outcomes else None

    def _tried(self, task_id: str, indexes: Sequence[int]) -> dict[int, str]:
        """Try the instances of a task, one round after the other, as Airflow does where nothing waits."""
        outcomes: dict[int, str] = {}
        for number in range(1, TRIES + 1):
            for at in [at for at in indexes if outcomes.get(at, "up_for_retry") == "up_for_retry"]:
                result = self.execute(Job(self.run_id, task_id, at, number, self.xcoms))
                outcomes[at] = result.state
                if result.error:
                    self.errors.append(f"{task_id} {at} try {number}: {result.state}: {result.error}")
                self.xcoms.update({f"{task_id}|{at}|{key}": value for key, value in result.pushed.items()})
        return {at: "failed" if state == "up_for_retry" else state for at, state in outcomes.items()}

"""
A DAG run outside Airflow, for volume: the same operators under Airflow's rules.

Mapped tasks are expanded over XComs; a task is tried again unless it failed for good, and goes on after a
deferral; what depends on a failed task is not run, what depends on a skipped one is skipped; a teardown runs when
its setup did. Instances may be cleared, or marked as success, and the run goes on. That it ends as `dag.test()`
does is tested.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from random import Random
from types import SimpleNamespace
from typing import Any

from airflow.sdk import DAG, BaseOperator, XComArg
from airflow.sdk.definitions.mappedoperator import MappedOperator

from coveo_provider._compat import AirflowFailException, AirflowSkipException, TaskDeferred
from tests.chaos.interrupts import RunTimedOut, TaskTimedOut, interruptible

TRIES = 3
FAILED = frozenset({"failed", "upstream_failed"})
_RETURNED = "return_value"

XComs = dict[str, Any]
"""Values by ``task|map index|key``."""


@dataclass
class Job:
    """
    One try of one task instance, or how it goes on after a deferral; it travels to another process as JSON.

    :param run_after: the run's place in time, in ISO 8601
    :param instances: how many instances each task has by now
    :param event: of the trigger, after a deferral
    """

    run_id: str
    task_id: str
    map_index: int
    try_number: int
    xcoms: XComs
    run_after: str = ""
    instances: dict[str, int] = field(default_factory=dict)
    event: dict[str, Any] | None = None


@dataclass
class Result:
    """
    What became of a try.

    :param state: ``success``, ``skipped``, ``failed`` for good, ``up_for_retry``, ``deferred``, or ``run_over``
        when the run ended before the task
    :param seconds: how long the trigger waits, of a deferral
    :param event: what it tells then
    """

    state: str
    pushed: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0
    event: dict[str, Any] = field(default_factory=dict)


@dataclass
class _Instance:
    """The task instance, as far as the operators look at it."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    instances: dict[str, int]
    pushed: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        self.pushed[key] = json.loads(json.dumps(value))

    def get_dr_count(self, dag_id: str, *, run_ids: list[str], states: list[str]) -> int:
        return run_ids.count(self.run_id)  # one run at a time: any other has ended

    def get_ti_count(self, dag_id: str, *, task_ids: list[str], run_ids: list[str]) -> int:
        return sum(self.instances.get(name, 0) for name in task_ids)


def perform(dag: DAG, job: Job) -> Result:
    """Execute one try of a task, up to its end or a deferral."""
    instance = _Instance(
        str(dag.dag_id), job.run_id, job.task_id, job.map_index, job.try_number, dict(job.instances)
    )
    try:
        task = _rendered(dag, job)
        run = SimpleNamespace(
            dag_id=instance.dag_id,
            run_id=job.run_id,
            start_date=datetime.now(timezone.utc),
            run_after=datetime.fromisoformat(job.run_after) if job.run_after else None,
        )
        context = {"ti": instance, "dag_run": run}
        with interruptible():
            value = task.execute(context) if job.event is None else task.resume(context, job.event)
        instance.xcom_push(_RETURNED, value)
    except TaskDeferred as deferred:
        if deferred.method_name != "resume":
            raise AssertionError(f"it goes on with {deferred.method_name}, not with resume") from None
        trigger: Any = deferred.trigger
        event = json.loads(json.dumps({"checkpoint": trigger.checkpoint}))
        return Result("deferred", instance.pushed, seconds=trigger.seconds, event=event)
    except AirflowSkipException as skipped:
        return Result("skipped", error=str(skipped))
    except AirflowFailException as error:
        return Result("failed", error=str(error))
    except TaskTimedOut:
        return Result("up_for_retry", error="timed out")
    except RunTimedOut:
        return Result("run_over", error="the run timed out")
    except Exception as error:  # noqa: BLE001  as Airflow does
        return Result("up_for_retry", error=f"{type(error).__name__}: {error}")
    return Result("success", instance.pushed)


def _rendered(dag: DAG, job: Job) -> Any:
    task: Any = dag.get_task(job.task_id)
    if isinstance(task, MappedOperator):
        task = task.unmap(_expanded(task, job.xcoms)[job.map_index])
    else:
        task = task.prepare_for_execution()
    for name in task.template_fields:
        setattr(task, name, _resolved(getattr(task, name), job.xcoms))
    return task


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
            name = f"{task}|-1|{argument.key}"
            return xcoms.get(name) if argument.key == _RETURNED else xcoms[name]
        names = [name.split("|") for name in xcoms]
        indexes = sorted(int(at) for of, at, key in names if (of, key) == (task, argument.key))
        return [xcoms[f"{task}|{at}|{argument.key}"] for at in indexes]
    if isinstance(value, (list, tuple)):
        return [_resolved(one, xcoms) for one in value]
    return value


class FastRun:
    """
    One run of a DAG.

    :param number: its place among the runs
    :param execute: executes one try of a task
    :param random: the order in which the instances of a mapped task run
    :param wait: lets so many seconds pass

    :ivar executed: the tasks of which an instance was executed since the run was started, or went on
    """

    def __init__(
        self,
        dag: DAG,
        number: int,
        execute: Callable[[Job], Result],
        random: Random,
        wait: Callable[[float], None],
    ) -> None:
        self.dag, self.run_id, self.execute, self.random = dag, f"run-{number}", execute, random
        self.wait = wait
        day = datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(days=number)
        self.run_after = day.isoformat()
        self.xcoms: XComs = {}
        self.states: dict[str, dict[int, str]] = {}
        self.errors: list[str] = []
        self.executed: set[str] = set()
        self.is_over = False
        self._tries: dict[tuple[str, int], int] = {}

    def run(self) -> tuple[str, dict[str, str]]:
        """Run what has no state yet; return the state of the run, and of each task, named without its group."""
        self.executed, self.is_over = set(), False
        for task in self._in_order():
            self._run_task(task)
        return self.state, self.named

    @property
    def state(self) -> str:
        """The state of the run: that of the tasks that nothing follows, but for teardowns."""
        if self.is_over:
            return "failed"
        leaves = [
            task.task_id
            for task in self.dag.tasks
            if not task.is_teardown and all(one.is_teardown for one in task.downstream_list)
        ]
        outcomes = {state for name in leaves for state in self.states.get(name, {}).values()}
        return "failed" if FAILED & outcomes else "success"

    @property
    def named(self) -> dict[str, str]:
        """The state of each instance."""
        return {
            (name if at < 0 else f"{name}[{at}]"): state
            for task_id, outcomes in self.states.items()
            for name in [task_id.rpartition(".")[2]]
            for at, state in outcomes.items()
        }

    def instances(self, states: Iterable[str] | None = None) -> list[tuple[str, int]]:
        """Return the instances that there are, or those in some states."""
        return [
            (name, at)
            for name, outcomes in self.states.items()
            for at, state in outcomes.items()
            if states is None or state in states
        ]

    def clear(
        self, instance: tuple[str, int], *, downstream: bool, upstream: bool, only_failed: bool
    ) -> list[str]:
        """
        Clear an instance as Airflow's UI does, so that the run goes on there; return which tasks that concerned.

        With what follows, or comes before, Airflow clears the setup of every teardown in the selection along.

        :param only_failed: of these, clear those only that failed
        """
        task_id, at = instance
        task: Any = self.dag.get_task(task_id)
        cleared: dict[str, int | None] = {task_id: at if at >= 0 else None}
        if downstream:
            for relative in task.get_flat_relatives(upstream=False):
                cleared[relative.task_id] = None
                if not relative.is_setup and not relative.is_teardown:
                    for one in relative.get_upstreams_only_setups_and_teardowns():
                        cleared[one.task_id] = None
        if upstream:
            for one in task.get_upstreams_follow_setups():
                cleared[one.task_id] = None
        elif downstream and not task.is_setup and not task.is_teardown:
            for one in task.get_upstreams_only_setups_and_teardowns():
                cleared[one.task_id] = None
        return self._clear(cleared, only_failed=only_failed)

    def clear_all(self, *, only_failed: bool) -> list[str]:
        """Clear the run."""
        return self._clear(dict.fromkeys(self.dag.task_ids), only_failed=only_failed)

    def mark_success(self, instance: tuple[str, int]) -> None:
        """Give an instance that state as the UI does: it leaves no XCom, and what failed after it is cleared."""
        task_id, at = instance
        self.states[task_id][at] = "success"
        for name in [name for name in self.xcoms if name.startswith(f"{task_id}|{at}|")]:
            del self.xcoms[name]
        followers: Any = self.dag.get_task(task_id).get_flat_relatives(upstream=False)
        followed: dict[str, int | None] = {}
        for one in followers:
            followed[one.task_id] = None
            followed.update(dict.fromkeys(s.task_id for s in one.get_upstreams_only_setups_and_teardowns()))
        followed.pop(task_id, None)
        self._clear(followed, only_failed=True)

    def _clear(self, cleared: dict[str, int | None], *, only_failed: bool) -> list[str]:
        concerned = []
        for name, at in cleared.items():
            outcomes = self.states.get(name, {})
            for one in [one for one in outcomes if at is None or one == at]:
                if not only_failed or outcomes[one] in FAILED:
                    outcomes[one] = "none"
                    concerned.append(name)
        return list(dict.fromkeys(concerned))

    def _in_order(self) -> Iterator[Any]:
        left: dict[str, Any] = dict(self.dag.task_dict)
        while left:
            ready = next(name for name, task in left.items() if not left.keys() & task.upstream_task_ids)
            yield left.pop(ready)

    def _run_task(self, task: Any) -> None:
        outcomes = self.states.setdefault(task.task_id, {-1: "none"})
        if "none" not in outcomes.values():
            return
        if self.is_over:
            outcomes.update({at: "skipped" for at, state in outcomes.items() if state == "none"})
            return
        verdict = self._verdict(task)
        if verdict is None and isinstance(task, MappedOperator):
            try:
                count = len(_expanded(task, self.xcoms))
            except (KeyError, TypeError):  # what it is mapped over was never told
                count = 0
            if count:
                outcomes = {at: outcomes.get(at, "none") for at in range(count)}
            else:
                verdict = "skipped"
        indexes = [at for at, state in outcomes.items() if state == "none"]
        self.states[task.task_id] = outcomes
        if verdict is not None:
            outcomes.update(dict.fromkeys(indexes, verdict))
            return
        if len(outcomes) > 1 or -1 not in outcomes:
            self.random.shuffle(indexes)
        outcomes.update(self._tried(task.task_id, indexes))

    def _verdict(self, task: BaseOperator) -> str | None:
        """Return the state a task gets without being run, if so."""
        if task.is_teardown:
            setups = [name for name in task.upstream_task_ids if self.dag.get_task(name).is_setup]
            outcomes = [state for name in setups for state in self.states[name].values()]
            if "success" in outcomes:
                return None
            return "skipped" if {*outcomes} == {"skipped"} else "upstream_failed"
        outcomes = [state for name in task.upstream_task_ids for state in self.states[name].values()]
        if FAILED & {*outcomes}:
            return "upstream_failed"
        return "skipped" if "skipped" in outcomes else None

    def _tried(self, task_id: str, indexes: Sequence[int]) -> dict[int, str]:
        """Try the instances of a task, one round after the other, as Airflow does where nothing waits."""
        outcomes: dict[int, str] = {}
        self.executed.add(task_id)
        for number in range(1, TRIES + 1):
            for at in [at for at in indexes if outcomes.get(at, "up_for_retry") == "up_for_retry"]:
                result = self._try(task_id, at)
                if result.state == "run_over":
                    self.is_over = True
                    return {one: outcomes.get(one, "skipped") for one in indexes} | {at: "failed"}
                outcomes[at] = result.state
                if result.error:
                    self.errors.append(f"{task_id} {at} try {number}: {result.state}: {result.error}")
        return {at: "failed" if state == "up_for_retry" else state for at, state in outcomes.items()}

    def _try(self, task_id: str, at: int) -> Result:
        """Execute one try of an instance, deferrals included; what the last one told is forgotten."""
        number = self._tries[task_id, at] = self._tries.get((task_id, at), 0) + 1
        for name in [name for name in self.xcoms if name.startswith(f"{task_id}|{at}|")]:
            del self.xcoms[name]
        event = None
        while True:
            counts = {name: len(outcomes) for name, outcomes in self.states.items()}
            job = Job(self.run_id, task_id, at, number, self.xcoms, self.run_after, counts, event)
            result = self.execute(job)
            self.xcoms.update({f"{task_id}|{at}|{key}": value for key, value in result.pushed.items()})
            if result.state != "deferred":
                return result
            self.wait(result.seconds)
            event = result.event

"""One seed: runs without faults, with them, and without; after each the index is compared with the input."""

from __future__ import annotations

import json
import os
import random as global_random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from time import time_ns
from typing import Any, Protocol
from unittest.mock import patch

from airflow.sdk import DAG

from coveo_provider.sandbox import Sandbox
from coveo_provider.sandbox.service.clock import Clock
from tests.chaos.fast import FastRun, Job, Result, perform
from tests.chaos.recipes import PEOPLE, SOURCE, Shop, address, build, is_catalog, keeps_state, small_parts
from tests.chaos.schedule import RECIPES, Schedule, drawn
from tests.chaos.scheduled_faults import ScheduledFaults
from tests.chaos.variables import Variables

CONNECTION = "AIRFLOW_CONN_COVEO_DEFAULT"


class Performer(Protocol):
    """Executes tries of tasks in a process of its own, which can be killed."""

    def perform(
        self, job: Job, *, recipe: str, folder: Path, number: int, faults: ScheduledFaults, hours: float
    ) -> Result:
        """Execute one try; a death counts as one that failed."""


RunDag = Callable[[DAG], tuple[str, dict[str, str]]]


@dataclass
class Outcome:
    """What became of a seed."""

    seed: int
    runner: str
    recipe: str
    schedule: str
    state: str = ""
    states: dict[str, str] = field(default_factory=dict)
    runs: int = 0
    decided: bool = False
    injected: Counter[str] = field(default_factory=Counter)
    mismatches: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def replay(self) -> str:
        """The command that does it again."""
        runner = "" if self.runner == "fast" else f" RUNNER={self.runner}"
        return f"make chaos SEED={self.seed}{runner}"

    def __str__(self) -> str:
        lines = [f"seed {self.seed}, {self.recipe}, {self.runner}: the run with faults: {self.state}"]
        lines += [
            self.schedule,
            "  happened: " + (", ".join(f"{n} {k}" for k, n in self.injected.items()) or "-"),
        ]
        lines += [f"  tasks: {self.states}"]
        lines += [f"  {error[:400]}" for error in self.errors]
        lines += [f"  MISMATCH {one}" for one in self.mismatches]
        return "\n".join([*lines, f"  again: {self.replay}"])


class Trial:
    """
    :param run_dag: runs a DAG with Airflow; outside of it when left out
    :param performer: executes tasks in a process of its own
    """

    def __init__(
        self,
        seed: int,
        *,
        run_dag: RunDag | None = None,
        performer: Performer | None = None,
    ) -> None:
        self.order = Random(f"order {seed}")
        self.seed, self.run_dag, self.performer = seed, run_dag, performer
        self.recipe = RECIPES[seed % len(RECIPES)]
        self.schedule: Schedule = drawn(seed, self.recipe, kills=performer is not None)
        runner = "airflow" if run_dag else "worker" if performer else "fast"
        self.outcome = Outcome(seed, runner, self.recipe, str(self.schedule))
        self.random = Random(f"trial {seed}")
        self.tries = 0

    def run(self) -> Outcome:
        """Run the three runs of the seed, and return what became of it."""
        start_ms = time_ns() // 1_000_000 + round(self.schedule.server_hours * 3_600_000)
        with ExitStack() as stack:
            self.folder = Path(tempfile.mkdtemp(prefix="coveo-chaos-"))
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            kind = "CATALOG" if is_catalog(self.recipe) else "PUSH"
            self.sandbox = stack.enter_context(Sandbox.start(clock=Clock(start_ms=start_ms), sources={}))
            visibility = "SECURED" if self.recipe == "secured_push" else "SHARED"
            self.sandbox.add_source(SOURCE, kind=kind, visibility=visibility)
            stack.enter_context(_at_hand(self))
            self._run_all()
        return self.outcome

    def waited(self, seconds: float) -> None:
        """Let the time pass that a client would have waited."""
        self.sandbox.clock.advance(seconds=max(seconds, 0.0))

    def _run_all(self) -> None:
        self.shop = Shop(self.recipe, self.folder, self.random)
        self._run_without_faults("the first run")
        before = self.shop.items()
        rows = {sku: dict(row) for sku, row in self.shop.rows.items()}
        self.sandbox.clock.advance(seconds=self.random.choice([20, 3_600, 86_400]))
        self.shop.change()
        faults = ScheduledFaults(self.sandbox, self.schedule.faults)
        outcome = self.outcome
        outcome.state, outcome.states = self._run(faults, self.schedule.timeout)
        outcome.decided = faults.decided
        outcome.injected = faults.injected
        self._check_faulted(before)
        self.sandbox.clock.advance(seconds=self.random.choice([20, 3_600, 86_400]))
        after = self.random.choice(["same", "same", "other", "back"])
        if after == "other":
            self.shop.change()
        elif after == "back":
            self.shop.rows = rows
        self._run_without_faults("the next run")

    def _run_without_faults(self, name: str) -> None:
        state, states = self._run(ScheduledFaults(self.sandbox), 30.0)
        if state != "success":
            self.outcome.mismatches.append(f"{name} without any fault: {state}, {states}")
        self._check_exact(name)
        status = self.sandbox.source(SOURCE).status
        if not is_catalog(self.recipe) and status not in {"IDLE", "PUSH_READY"}:
            self.outcome.mismatches.append(f"{name} left the source in {status}")

    def _run(self, faults: ScheduledFaults, timeout: float) -> tuple[str, dict[str, str]]:
        self.outcome.runs += 1
        number = self.shop.write()
        os.environ[CONNECTION] = json.dumps(
            {
                "conn_type": "coveo",
                "host": self.sandbox.url,
                "login": self.sandbox.organization_id,
                "password": self.sandbox.api_key,
                "extra": {"timeout": timeout},
            }
        )
        dag = build(self.recipe, self.folder, number)
        if self.run_dag is not None:
            return self.run_dag(dag)
        planned = bool(faults.planned)  # where nothing is, no process has to be killed
        execute = (
            partial(perform, dag)
            if self.performer is None or not planned
            else partial(self._elsewhere, faults, number)
        )
        run = FastRun(dag, f"run-{number}", execute, self.order)
        ended = run.run()
        self.outcome.errors += run.errors
        return ended

    def _elsewhere(self, faults: ScheduledFaults, number: int, job: Job) -> Result:
        assert self.performer is not None
        hours = self.schedule.worker_hours
        self.tries += 1
        if hours[self.tries % len(hours)]:
            faults.injected["worker clock off"] += 1
        return self.performer.perform(
            job,
            recipe=self.recipe,
            folder=self.folder,
            number=number,
            faults=faults,
            hours=hours[self.tries % len(hours)],
        )

    def _check_exact(self, name: str) -> None:
        self.sandbox.settle()
        indexed, wanted = self._indexed(), self.shop.items()
        if indexed != wanted:
            self.outcome.mismatches.append(f"{name}: the index is not the input: {_unlike(indexed, wanted)}")
        if self.recipe == "secured_push":
            for document, people in self.shop.viewers().items():
                seen = {
                    person
                    for person in PEOPLE
                    if document in indexed and self.sandbox.can_see(SOURCE, document, address(person))
                }
                if seen != people:
                    self.outcome.mismatches.append(
                        f"{name}: {document} is seen by {sorted(seen)}, not {sorted(people)}"
                    )

    def _check_faulted(self, before: dict[str, Any]) -> None:
        name = f"the run with faults, {self.outcome.state}"
        if self.outcome.state == "success":
            self._check_exact(name)
            return
        self.sandbox.settle()
        indexed, wanted = self._indexed(), self.shop.items()
        if self.outcome.decided and indexed == wanted:
            return  # all was done, though no task knows it
        if self.recipe == "catalog_load":
            if indexed != before:
                self.outcome.mismatches.append(f"{name}: the index changed: {_unlike(indexed, before)}")
            return
        gone = set() if not keeps_state(self.recipe) else before.keys() - wanted.keys()
        wrong = sorted(before.keys() - indexed.keys() - gone)
        if wrong:
            self.outcome.mismatches.append(f"{name}: deleted {wrong}")
        wrong = [
            key for key, item in indexed.items() if item not in (before.get(key), wanted.get(key))
        ]  # fmt: skip
        if wrong:
            self.outcome.mismatches.append(f"{name}: neither old nor new: {[indexed[key] for key in wrong]}")

    def _indexed(self) -> dict[str, Any]:
        return {
            key: {name: value for name, value in item.items() if name != "permissions"}
            for key, item in self.sandbox.items(SOURCE).items()
        }


@contextmanager
def _at_hand(trial: Trial) -> Iterator[None]:
    """Small parts, waits that pass at once, and the same luck each time."""
    from coveo_provider.api import caller, retries
    from coveo_provider.operators.support import claims

    patient = partial(retries.RetryPolicy, sleep=trial.waited)
    luck, connection = global_random.getstate(), os.environ.get(CONNECTION)
    with ExitStack() as stack:
        stack.enter_context(small_parts())
        stack.enter_context(patch.object(caller, "RetryPolicy", patient))
        stack.enter_context(patch.object(retries, "RetryPolicy", patient))
        stack.enter_context(patch.object(claims, "PAUSE", 0))
        if trial.run_dag is None:
            stack.enter_context(patch.object(claims, "Variable", Variables(trial.folder)))
        global_random.seed(trial.seed)
        try:
            yield
        finally:
            global_random.setstate(luck)
            os.environ.pop(CONNECTION, None)
            if connection is not None:
                os.environ[CONNECTION] = connection


def _unlike(indexed: dict[str, Any], wanted: dict[str, Any]) -> str:
    differing = sorted(key for key in indexed.keys() & wanted.keys() if indexed[key] != wanted[key])
    return (
        f"missing {sorted(wanted.keys() - indexed.keys())}, not removed {sorted(indexed.keys() - wanted.keys())}, "
        f"differing {differing}"
    )


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Return what is counted of it, as plain JSON types."""
    return {**asdict(outcome), "injected": dict(outcome.injected)}

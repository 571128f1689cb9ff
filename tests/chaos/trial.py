"""One seed: runs without faults, with them, and without; after each the index is compared with the input."""

from __future__ import annotations

import json
import os
import random as global_random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from random import Random
from time import time_ns
from types import SimpleNamespace
from typing import Any, Protocol, cast
from unittest.mock import patch

from airflow.sdk import DAG

from coveo_provider.sandbox import Sandbox
from coveo_provider.sandbox.http.faults import Answer
from coveo_provider.sandbox.service.clock import Clock
from tests.chaos.fast import FastRun, Job, Result, perform
from tests.chaos.interrupts import interrupts
from tests.chaos.recipes import PEOPLE, SOURCE, Shop, address, build, is_catalog, keeps_state, small_parts
from tests.chaos.schedule import RECIPES, Click, PlannedFault, Schedule, drawn
from tests.chaos.scheduled_faults import ScheduledFaults
from tests.chaos.variables import Variables

CONNECTION = "AIRFLOW_CONN_COVEO_DEFAULT"
_WRITES_ONLY = "xx-a-key-that-cannot-read-the-log"
_MARKABLE = frozenset({"delete_older", "close", "verify", "finalize"})
"""Tasks, besides mapped ones, after which a run goes on though they told nothing."""


class Performer(Protocol):
    """Executes tries of tasks in a process of its own, which can be killed."""

    def perform(
        self, job: Job, *, recipe: str, folder: Path, number: int, faults: ScheduledFaults, hours: float
    ) -> Result:
        """Execute one try; a death counts as one that failed."""


RunDag = Callable[[DAG], tuple[str, dict[str, str]]]


@dataclass(frozen=True)
class Wanted:
    """What the index has to hold, and who has to see it."""

    items: dict[str, Any]
    viewers: dict[str, set[str]]
    of_faulted: bool = False


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
    unverified: int = 0
    by_hand: int = 0
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
    :param clicks: whether runs are stopped, and their tasks cleared, outside of Airflow
    """

    def __init__(
        self,
        seed: int,
        *,
        run_dag: RunDag | None = None,
        performer: Performer | None = None,
        clicks: bool = True,
    ) -> None:
        self.seed, self.run_dag, self.performer = seed, run_dag, performer
        self.recipe = RECIPES[seed % len(RECIPES)]
        self.order = Random(f"order {seed}")
        self.schedule: Schedule = drawn(
            seed, self.recipe, kills=performer is not None, clicks=clicks and run_dag is None
        )
        runner = "airflow" if run_dag else "worker" if performer else "fast"
        self.outcome = Outcome(seed, runner, self.recipe, str(self.schedule))
        self.random = Random(f"trial {seed}")
        self.tries = 0

    def run(self) -> Outcome:
        """Run the runs of the seed, and return what became of it."""
        start_ms = time_ns() // 1_000_000 + round(self.schedule.server_hours * 3_600_000)
        with ExitStack() as stack:
            self.folder = Path(tempfile.mkdtemp(prefix="coveo-chaos-"))
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            kind = "CATALOG" if is_catalog(self.recipe) else "PUSH"
            clock = Clock(start_ms=start_ms)
            self.sandbox = stack.enter_context(
                Sandbox.start(clock=clock, sources={}, hasten=not self.schedule.real_delays)
            )
            visibility = "SECURED" if self.recipe == "secured_push" else "SHARED"
            self.sandbox.add_source(SOURCE, kind=kind, visibility=visibility)
            self.sandbox.add_key(_WRITES_ONLY, privileges=["ORGANIZATION:VIEW", "SOURCE:EDIT"])
            stack.enter_context(_at_hand(self))
            self._run_all()
        return self.outcome

    def waited(self, seconds: float) -> None:
        """Let the time pass that a client would have waited."""
        self.sandbox.clock.advance(seconds=max(seconds, 0.0))

    def _run_all(self) -> None:
        schedule, outcome, clock = self.schedule, self.outcome, self.sandbox.clock
        self.shop = Shop(self.recipe, self.folder, self.random)
        self._run_without_faults("the first run")
        before = self.shop.items()
        rows = {sku: dict(row) for sku, row in self.shop.rows.items()}
        clock.advance(seconds=self.random.choice([20, 3_600, 86_400]))
        self.shop.change()
        changed = Wanted(self.shop.items(), self.shop.viewers(), of_faulted=True)
        faults = ScheduledFaults(self.sandbox, self._planned())
        self._disturb(faults)
        run = self._new_run(faults)
        outcome.state, outcome.states = self._ended(run, schedule.timeout)
        self._check_faulted(run, before, changed, faults, "the run with faults")
        for click in schedule.clicks:
            clock.advance(seconds=self.random.choice([20, 600, 3_000]))
            if done := self._clicked(run, click, faults):
                outcome.state, outcome.states = self._ended(run, schedule.timeout)
                self._check_faulted(run, before, changed, faults, f"the run after {done}")
        outcome.decided, outcome.injected = faults.decided, faults.injected
        self._calm()
        clock.advance(seconds=self.random.choice([20, 3_600, 86_400]) + self._until_marks_pass())
        after = self.random.choice(["same", "same", "other", "back"])
        if after == "other":
            self.shop.change()
        elif after == "back":
            self.shop.rows = rows
        self._run_without_faults("the next run")
        late = [self._clicked_late(run, click, changed, faults) for click in schedule.late_clicks]
        if any(late):
            clock.advance(seconds=20)
            if self.random.random() < 0.5:
                self.shop.change()
            self._run_without_faults("the run after that")

    def _planned(self) -> list[PlannedFault]:
        """Return the faults in calls; a key for secured items has to see the source, so its log is denied."""
        planned = list(self.schedule.faults)
        if self.schedule.log_denied and self.recipe == "secured_push":
            denied = [
                PlannedFault("log denied", Answer.denied(), name, times=10**6)
                for name in ("logs", "logs.facets")
            ]
            planned = [*denied, *planned]
        return planned

    def _disturb(self, faults: ScheduledFaults) -> None:
        """Let be wrong what is wrong as long as the run lasts."""
        schedule, sandbox = self.schedule, self.sandbox
        sandbox.dates.api, sandbox.dates.storage = schedule.dates
        sandbox.log_delivery.delay, sandbox.log_delivery.repeat = schedule.log_delay, schedule.log_repeat
        source = sandbox.state.sources.get(SOURCE)
        assert source is not None
        if schedule.shared:
            source.visibility = "SHARED"
        happened = {
            "Date off, API": bool(schedule.dates[0]),
            "Date off, storage": bool(schedule.dates[1]),
            "log late": bool(schedule.log_delay),
            "log doubled": schedule.log_repeat,
            "log denied": schedule.log_denied,
            "source shared": schedule.shared,
        }
        faults.injected.update({name: 1 for name, is_so in happened.items() if is_so})

    def _calm(self) -> None:
        """Let all be right again."""
        self.sandbox.dates.reset()
        self.sandbox.log_delivery.delay, self.sandbox.log_delivery.repeat = 0.0, False
        source = self.sandbox.state.sources.get(SOURCE)
        assert source is not None
        if self.schedule.shared:
            source.visibility = "SECURED"

    @property
    def _clocks_wrong(self) -> bool:
        """
        Whether a load that cannot read the log has no clock to go by.

        By one that is behind, items stay; where both are ahead, some of the load may go.
        """
        api, storage = self.schedule.dates
        return self.schedule.log_denied and (min(api, storage) < 0 or min(api, storage) > 0)

    def _until_marks_pass(self) -> float:
        """Return how long a mark that no clock could tell lies ahead: the service takes nothing until then."""
        if self._clocks_wrong or self._identities_unclear:
            return max(0.0, *self.schedule.dates)
        return 0.0

    @property
    def _identities_unclear(self) -> bool:
        """Whether identities just pushed may be disabled: no log tells when that was, and both clocks are ahead."""
        return self.recipe == "secured_push" and min(self.schedule.dates) > 0

    def _clicked(self, run: Any, click: Click, faults: ScheduledFaults) -> str:
        """Do to a run what somebody does, and return that in words; empty when there is nothing to do it to."""
        if not isinstance(run, FastRun):
            return ""
        done = _click(run, click)
        if done:
            kind, said = done
            faults.injected[kind] += 1
            self.outcome.errors.append(f"CLICK {said}")
            return said
        return ""

    def _clicked_late(self, run: Any, click: Click, changed: Wanted, faults: ScheduledFaults) -> bool:
        """Do it after a later run loaded the source: what is older goes over it as a whole, or not at all."""
        self.sandbox.settle()
        newer, held = self.shop.items(), self._indexed()
        if not (done := self._clicked(run, click, faults)):
            return False
        faults.injected["on an older run"] += 1
        ScheduledFaults(self.sandbox)
        state, states = self._ended(run, 30.0)
        name = f"the older run after {done}, {state}"
        if state == "success" and self._ending(run) in run.executed and self._verified(run):
            self._check_exact(name, changed)
        else:
            self._check_loss(name, newer, changed.items, gone_too=True)
        began = {one for one in run.executed if getattr(_class_of(run.dag.get_task(one)), "begins", False)}
        if not began:
            self.sandbox.settle()
            if (now := self._indexed()) != held:
                self.outcome.mismatches.append(
                    f"{name}: it changed the index: {_unlike(now, held)}; {states}"
                )
        return True

    def _run_without_faults(self, name: str) -> None:
        run = self._new_run(ScheduledFaults(self.sandbox))
        state, states = self._ended(run, 30.0)
        if state != "success":
            self.outcome.mismatches.append(f"{name} without any fault: {state}, {states}")
        self._check_exact(name, Wanted(self.shop.items(), self.shop.viewers()))
        status = self.sandbox.source(SOURCE).status
        if not is_catalog(self.recipe) and status not in {"IDLE", "PUSH_READY"}:
            self.outcome.mismatches.append(f"{name} left the source in {status}")

    def _new_run(self, faults: ScheduledFaults) -> FastRun | Callable[[], tuple[str, dict[str, str]]]:
        self.outcome.runs += 1
        number = self.shop.write()
        dag = build(self.recipe, self.folder, number)
        if self.run_dag is not None:
            return partial(self.run_dag, dag)
        planned = bool(faults.planned)  # where nothing is, no process has to be killed
        execute = (
            partial(perform, dag)
            if self.performer is None or not planned
            else partial(self._elsewhere, faults, number)
        )
        return FastRun(dag, number, execute, self.order, self.waited)

    def _ended(self, run: Any, timeout: float) -> tuple[str, dict[str, str]]:
        """Let a run go to its end, and return its state and that of each task."""
        disturbed = self.sandbox.faults.planned if isinstance(self.sandbox.faults, ScheduledFaults) else ()
        writes_only = bool(disturbed) and self.schedule.log_denied and self.recipe != "secured_push"
        os.environ[CONNECTION] = json.dumps(
            {
                "conn_type": "coveo",
                "host": self.sandbox.url,
                "login": self.sandbox.organization_id,
                "password": _WRITES_ONLY if writes_only else self.sandbox.api_key,
                "extra": {"timeout": timeout},
            }
        )
        if not isinstance(run, FastRun):
            ended: tuple[str, dict[str, str]] = run()
            return ended
        known = len(run.errors)
        states = run.run()
        self.outcome.errors += run.errors[known:]
        return states

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

    def _check_exact(self, name: str, wanted: Wanted) -> None:
        self.sandbox.settle()
        indexed = self._indexed()
        if indexed != wanted.items:
            self.outcome.mismatches.append(
                f"{name}: the index is not the input: {_unlike(indexed, wanted.items)}"
            )
        if self.recipe == "secured_push" and not (wanted.of_faulted and self._identities_unclear):
            for document, people in wanted.viewers.items():
                seen = {
                    person
                    for person in PEOPLE
                    if document in indexed and self.sandbox.can_see(SOURCE, document, address(person))
                }
                if seen != people:
                    self.outcome.mismatches.append(
                        f"{name}: {document} is seen by {sorted(seen)}, not {sorted(people)}"
                    )

    def _check_faulted(
        self, run: Any, before: dict[str, Any], changed: Wanted, faults: ScheduledFaults, name: str
    ) -> None:
        """A run that is green and verified made the index the input; any other lost and invented nothing."""
        name = f"{name}, {self.outcome.state}"
        if self.schedule.shared:
            self.sandbox.settle()
            if (indexed := self._indexed()) != before or self.outcome.state == "success":
                self.outcome.mismatches.append(
                    f"{name}: everybody sees what has permissions: {_unlike(indexed, before)}"
                )
            return
        if self.outcome.state == "success" and self._is_said_verified(run):
            self._check_exact(name, changed)
            return
        if self.outcome.state == "success" and not self._clocks_wrong and self._verified(run) == "nothing":
            self._check_exact(f"{name}, though nothing was verified", changed)
            return
        if self._clocks_wrong:
            return  # nothing can tell what was sent when
        self._check_loss(name, before, changed.items, gone_too=faults.decided or keeps_state(self.recipe))

    def _is_said_verified(self, run: Any) -> bool:
        """Whether a green run has nothing to hide; what it says besides is counted."""
        verified = self._verified(run)
        if verified == "nothing":
            self.outcome.unverified += 1
        elif not verified and isinstance(run, FastRun):
            ending = self._ending(run)
            marked = "success" in run.states[ending].values()
            begun = [one for task in _first_of(run) for one in run.states[task].values()]
            if marked or "skipped" not in begun:
                self.outcome.by_hand += 1  # somebody said that it succeeded, or left it out
                return False
        return verified != "nothing"

    def _verified(self, run: Any) -> str:
        """Return what the last task of a load says that it verified."""
        if not isinstance(run, FastRun):
            return "nothing" if self.schedule.log_denied else "items"
        name = self._ending(run)
        report = run.xcoms.get(f"{name}|-1|return_value")
        is_done = run.states[name].get(-1) == "success"
        return str(report["verified"]) if is_done and report else ""

    @staticmethod
    def _ending(run: FastRun) -> str:
        return next(name for name in run.dag.task_ids if name.rpartition(".")[2] in {"verify", "finalize"})

    def _check_loss(
        self, name: str, before: dict[str, Any], wanted: dict[str, Any], *, gone_too: bool
    ) -> None:
        """
        Nothing is held that was never in either, and nothing lost that is in both.

        :param gone_too: whether what is not wanted any more may be gone
        """
        self.sandbox.settle()
        indexed = self._indexed()
        if self.recipe == "catalog_load":
            if indexed != before and not (gone_too and indexed == wanted):
                self.outcome.mismatches.append(f"{name}: the index changed: {_unlike(indexed, before)}")
            return
        wrong = sorted(
            before.keys() - indexed.keys() - (before.keys() - wanted.keys() if gone_too else set())
        )
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


def _click(run: FastRun, click: Click) -> tuple[str, str] | None:
    """Do to a run what somebody does; return what it is counted as, and in words what was done."""
    if click.what == "clear run":
        cleared = run.clear_all(only_failed=click.only_failed)
        words = "the failed tasks of the run" if click.only_failed else "the whole run"
        return ("clear run", f"clear of {words}") if cleared else None
    failed = run.instances({"failed"})
    if click.what == "mark success":
        if not failed:
            return None
        instance = failed[int(click.pick * len(failed))]
        if instance[1] < 0 and instance[0].rpartition(".")[2] not in _MARKABLE:
            return None
        run.mark_success(instance)
        return "mark success", f"mark success of {instance}"
    choice = failed if failed and click.failed else run.instances()
    instance = choice[int(click.pick * len(choice))]
    cleared = run.clear(
        instance, downstream=click.downstream, upstream=click.upstream, only_failed=click.only_failed
    )
    options = [name for name in ("downstream", "upstream", "only_failed") if getattr(click, name)]
    words = f"clear {'with ' + ' '.join(options) if options else 'alone'}"
    return (words, f"{words} of {instance}: {cleared}") if cleared else None


def _first_of(run: FastRun) -> list[str]:
    """Return the tasks that decide whether there is anything to load."""
    return [name for name in run.dag.task_ids if name.rpartition(".")[2] in {"diff", "check"}]


def _class_of(task: Any) -> type[Any]:
    return getattr(task, "operator_class", type(task))


@contextmanager
def _at_hand(trial: Trial) -> Iterator[None]:
    """Small parts, waits that pass at once, and the same luck each time."""
    from coveo_provider.api import caller, retries
    from coveo_provider.loading import deliveries, uploads
    from coveo_provider.operators.support import claims
    from coveo_provider.triggers import wait

    patient = partial(retries.RetryPolicy, sleep=trial.waited)

    async def passed(seconds: float) -> None:
        trial.waited(seconds)

    luck, connection = global_random.getstate(), os.environ.get(CONNECTION)
    with ExitStack() as stack:
        stack.enter_context(small_parts())
        stack.enter_context(patch.object(caller, "RetryPolicy", patient))
        stack.enter_context(patch.object(retries, "RetryPolicy", patient))
        stack.enter_context(patch.object(claims, "PAUSE", 0))
        stack.enter_context(patch.object(wait, "asyncio", SimpleNamespace(sleep=passed)))
        stack.enter_context(interrupts())
        if trial.schedule.clocks_agree:
            clock = trial.sandbox.clock
            here = SimpleNamespace(time_ns=lambda: clock.now_ms() * 10**6, monotonic=time.monotonic)
            stack.enter_context(patch.object(uploads, "time", here))
            seconds = {"clock": lambda: clock.now_ms() / 1_000}
            for one in (uploads.UploadsAhead.__init__, deliveries.deliver):
                stack.enter_context(patch.dict(cast("Any", one).__kwdefaults__, seconds))
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

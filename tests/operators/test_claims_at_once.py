"""
Several runs that begin a load at once, over Variables that are slow: simulated in a time of its own, from
seeds.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coveo_provider.errors import SourceBusy
from coveo_provider.operators.support import claims


class Simulation:
    """Threads of which one runs at a time, woken in the order of a time that only they make pass."""

    def __init__(self) -> None:
        self.now = 0.0
        self._asleep: list[tuple[float, int, threading.Semaphore]] = []
        self._numbers = itertools.count()
        self._idle = threading.Semaphore(0)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        mine = threading.Semaphore(0)
        heapq.heappush(self._asleep, (self.now + max(seconds, 0.0), next(self._numbers), mine))
        self._idle.release()
        mine.acquire()

    def run(self, tasks: list[Callable[[], None]]) -> None:
        """Run tasks side by side until all have ended."""

        def body(task: Callable[[], None]) -> None:
            self.sleep(0)
            try:
                task()
            finally:
                self._idle.release()

        threads = [threading.Thread(target=body, args=(task,), daemon=True) for task in tasks]
        for thread in threads:
            thread.start()
            self._idle.acquire()
        while self._asleep:
            self.now, _, waiting = heapq.heappop(self._asleep)
            waiting.release()
            self._idle.acquire()
        for thread in threads:
            thread.join(10)
            assert not thread.is_alive()


class SlowVariables:
    """Variables that take up to so many seconds to read or write; the effect is somewhere in between."""

    def __init__(self, simulation: Simulation, random: Random, slowest: float) -> None:
        self.values: dict[str, str] = {}
        self._simulation, self._random, self._slowest = simulation, random, slowest

    def get(self, key: str, default: Any = None) -> Any:
        self._take()
        value = self.values.get(key, default)
        self._take()
        return value

    def set(self, key: str, value: str, description: str) -> None:
        self._take()
        self.values[key] = value
        self._take()

    def delete(self, key: str) -> None:
        self._take()
        self.values.pop(key, None)
        self._take()

    def _take(self) -> None:
        self._simulation.sleep(self._random.uniform(0, self._slowest / 2))


def _operator() -> Any:
    endpoints = SimpleNamespace(push_url="https://api.example.com")
    client = SimpleNamespace(organization_id="acme", endpoints=endpoints)
    return SimpleNamespace(
        log=logging.getLogger("claims"),
        source_id="files",
        exclusive=True,
        client=client,
        is_exclusive=lambda context: True,
        get_flat_relatives=lambda upstream: (),
    )


@given(seed=st.integers(0, 10**9), runs=st.integers(2, 4), slowest=st.sampled_from([0.01, 0.5, 3.0]))
@settings(max_examples=300, deadline=None)
def test_however_slow_variables_are_one_run_at_a_time_loads(seed: int, runs: int, slowest: float) -> None:
    """Each tries until it had its turn; two are never at it together, and none is left waiting for ever."""
    random, simulation = Random(seed), Simulation()
    variables = SlowVariables(simulation, random, slowest)
    inside: list[str] = []
    done: list[str] = []

    def context(run_id: str) -> Any:
        run = SimpleNamespace(dag_id="shop", run_id=run_id, run_after=datetime.now(timezone.utc))
        active = SimpleNamespace(
            get_dr_count=lambda dag_id, run_ids, states: sum(one not in done for one in run_ids)
        )
        return {"dag_run": run, "ti": active}

    def load(run_id: str, start: float) -> None:
        simulation.sleep(start)
        for _ in range(200):
            claim = claims.Claim(_operator(), context(run_id))
            try:
                with claim.begun("loading it"):
                    inside.append(run_id)
                    assert inside == [run_id], f"{inside} load at once"
                    simulation.sleep(random.uniform(0, 120))
                    inside.remove(run_id)
                claim.release()
            except SourceBusy:
                simulation.sleep(random.uniform(30, 90))
                continue
            done.append(run_id)
            return

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(claims, "Variable", variables)
        patched.setattr(claims, "time", simulation)
        failures: list[BaseException] = []

        def guarded(run_id: str, start: float) -> Callable[[], None]:
            def body() -> None:
                try:
                    load(run_id, start)
                except BaseException as error:  # noqa: BLE001  told by the test's own thread
                    failures.append(error)

            return body

        simulation.run([guarded(f"run-{n}", random.uniform(0, slowest * 2)) for n in range(runs)])
    assert not failures, failures
    assert sorted(done) == [f"run-{n}" for n in range(runs)]

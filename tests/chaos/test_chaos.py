"""After any fault schedule the index is the input, or nothing is lost and the next run makes it the input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.chaos.runners import RunSeed, runner
from tests.chaos.schedule import RECIPES
from tests.chaos.tally import Tally
from tests.chaos.trial import Outcome, Trial

pytestmark = pytest.mark.slow

EACH = len(RECIPES)
FAST = [range(start, start + 3 * EACH) for start in range(0, 51 * EACH, 3 * EACH)]
AIRFLOW = [range(start, start + EACH) for start in range(1_000, 1_000 + 5 * EACH, EACH)]
KILLED = [range(start, start + EACH) for start in range(2_000, 2_000 + 4 * EACH, EACH)]


def some(ranges: list[range], count: int) -> list[Any]:
    """Return ranges of seeds as parameters, those beyond a count for before a release."""
    return [
        pytest.param(one, marks=() if n < count else pytest.mark.long, id=f"{one[0]}-{one[-1]}")
        for n, one in enumerate(ranges)
    ]


Live = Callable[[RunSeed, range], Tally]


@pytest.fixture
def live(record_property: Callable[[str, object], None]) -> Live:
    """Run seeds, count them for the summary at the end, and fail with all that went wrong."""

    def all_of(run: RunSeed, seeds: range) -> Tally:
        tally = Tally()
        wrong: list[Outcome] = []
        for seed in seeds:
            outcome = run(seed)
            tally.add(outcome)
            if outcome.mismatches:
                wrong.append(outcome)
        print(tally)
        record_property("chaos", tally.as_json())
        assert not wrong, "\n\n".join(map(str, wrong))
        return tally

    return all_of


@pytest.fixture(scope="session")
def killed() -> Iterator[RunSeed]:
    """A worker per process of the tests: it takes seconds to start."""
    with runner("worker") as run:
        yield run


@pytest.mark.parametrize("seeds", some(FAST, 4))
def test_the_index_is_right_after_any_faults(live: Live, seeds: range) -> None:
    """In calls, clocks and logs; tasks and runs that are stopped; and what people click afterwards."""
    with runner("fast") as run:
        tally = live(run, seeds)
    assert tally.runs >= 3 * len(seeds)
    assert tally.injected


@pytest.mark.parametrize("seeds", some(AIRFLOW, 2))
def test_the_index_is_right_after_any_faults_over_airflow(
    live: Live, seeds: range, airflow_database: None
) -> None:
    """The same with Airflow's own retries, mapping and teardowns."""
    with runner("airflow", database=False) as run:
        live(run, seeds)


@pytest.mark.parametrize("seeds", some(KILLED, 2))
def test_the_index_is_right_though_workers_are_killed(live: Live, killed: RunSeed, seeds: range) -> None:
    """Before a call is carried out, after it, and after the last one; on workers whose clocks are hours off."""
    tally = live(killed, seeds)
    assert [kind for kind in tally.injected if kind.startswith("kill")]
    assert tally.injected["worker clock off"]


@pytest.mark.parametrize("seed", range(1_500, 1_500 + EACH))
def test_the_fast_runner_ends_as_airflow_does(seed: int, airflow_database: None) -> None:
    """Every task in the same state, and the same things gone wrong."""
    with runner("airflow", database=False) as run:
        real = run(seed)
    fast = Trial(seed, clicks=False).run()
    assert not real.mismatches, str(real)
    assert (fast.state, counted(fast.states)) == (real.state, counted(real.states))
    assert fast.injected == real.injected


def counted(states: dict[str, str]) -> dict[str, list[str]]:
    """Count the states of a mapped task: which of its instances runs first, and meets the fault, is chance."""
    counts: dict[str, list[str]] = {}
    for name, state in states.items():
        counts.setdefault(name.partition("[")[0], []).append(state)
    return {name: sorted(all_of) for name, all_of in counts.items()}


def test_a_seed_does_the_same_again() -> None:
    """What is replayed is what went wrong."""
    first, second = Trial(7).run(), Trial(7).run()
    assert (first.state, first.states, first.injected) == (second.state, second.states, second.injected)
    assert str(first) == str(second) or first.errors  # errors name ids that are drawn anew

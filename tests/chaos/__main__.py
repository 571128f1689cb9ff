"""
One seed again, or many: ``python -m tests.chaos --seed 123``, ``--runner airflow`` or ``worker``, ``--seeds 0:60``.

Ends with 1 when the index was not what it had to be.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from contextlib import ExitStack
from pathlib import Path

import coveo_provider
import tests.conftest  # noqa: F401  gives Airflow a home of its own, before it is imported


def main() -> int:
    """Run the seeds, print each that went wrong, or the one that was asked for, and the sums."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="one seed, with all that happened in it")
    parser.add_argument("--seeds", default="0:120", help="from:to")
    parser.add_argument("--runner", choices=["fast", "airflow", "worker"], default="fast")
    parser.add_argument("--first", action="store_true", help="stop at the first seed that went wrong")
    parser.add_argument("--verbose", action="store_true", help="with the logs of the tasks")
    options = parser.parse_args()
    first, _, end = options.seeds.partition(":")
    seeds = range(int(first), int(end)) if options.seed is None else [options.seed]
    if not options.verbose:
        os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "CRITICAL"

    from tests.chaos.runners import runner
    from tests.chaos.tally import Tally

    if not options.verbose:
        logging.disable(logging.CRITICAL)
    print(f"the package is {Path(coveo_provider.__file__).parent.resolve()}")
    tally = Tally()
    with ExitStack() as stack:
        trial = stack.enter_context(runner(options.runner))
        for seed in seeds:
            outcome = trial(seed)
            tally.add(outcome)
            if outcome.mismatches or options.seed is not None:
                print(outcome, flush=True)
            if outcome.mismatches and options.first:
                break
    print(tally)
    return 1 if tally.mismatches else 0


if __name__ == "__main__":
    sys.exit(main())

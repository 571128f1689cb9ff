"""
`make cluster`: a load of many parts over two Celery workers; exit code 0 only if the index equals the input.

Everything runs on this machine and is stopped in the end. First a share of the parts is sent by one worker alone,
to have something to compare with. Then all parts are sent by both; `FAULTS=1` kills one of the workers in the
middle of that, and starts scheduler and triggerer anew.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

from coveo_provider.sandbox import Sandbox
from tools.cluster.airflow_cluster import WORKERS, Cluster
from tools.cluster.load import SOURCE, Sent, differences, pushing_in, sent, store
from tools.cluster.services import CannotStart

_RUN_SECONDS = 3_600.0
_ALONE = 8  # one part in so many is sent by one worker alone


def disturb(cluster: Cluster, run: str) -> None:
    """Once parts were sent and others are being sent, kill a worker, and start scheduler and triggerer anew."""
    while not (pushing_in(tasks := cluster.tasks(run), "success") and pushing_in(tasks, "running")):
        if cluster.state(run) in {"success", "failed"}:
            return
        time.sleep(0.2)
    victim = pushing_in(tasks, "running")[0]
    components = cluster.components
    components[victim].kill()
    for name in ("scheduler", "triggerer"):
        components[name].kill()
        components[name].start()
    components[victim].start()
    print(f"Killed       {victim} with its tasks, scheduler and triggerer; all were started again")


def show(label: str, done: Sent, documents: int, parts: int) -> float:
    """Print what a run took, and return its documents a second."""
    rate = documents / done.seconds
    print(f"{label:<12} {documents:,} documents in {done.seconds:,.0f} s of pushes, {rate:,.0f} documents/s")
    for worker, count in sorted(done.parts.items()):
        print(f"  {worker:<10} {count:,} parts, some {count * documents // parts:,} documents")
    for task, tries in done.tries.items():
        print(f"  tried again {tries} times: {task}")
    return rate


def load(cluster: Cluster, sandbox: Sandbox, parts: int, documents: int, *, faults: bool) -> bool:
    """Run both loads, and return whether the index equals the input in the end."""
    few, of_few = max(parts // _ALONE, 1), max(documents // _ALONE, 1)
    store(cluster, "few", few, of_few)
    store(cluster, "all", parts, documents)
    cluster.components[WORKERS[1]].stop()
    run = cluster.begin("few")
    if cluster.wait(run, _RUN_SECONDS) != "success":
        print("THE LOAD BY ONE WORKER FAILED")
        return False
    alone = show("One worker", sent(cluster.tasks(run)), of_few, few)
    cluster.components[WORKERS[1]].start()
    # An hour between loads: the log is asked by the minute, and two in one are told apart entry by entry.
    sandbox.settle()
    sandbox.clock.advance(seconds=3_600)
    run = cluster.begin("all")
    if faults:
        disturb(cluster, run)
    state = cluster.wait(run, _RUN_SECONDS)
    both = show("Both", sent(cluster.tasks(run)), documents, parts)
    print(
        f"Speed-up     {both / alone:.2f} on {os.cpu_count()} cores, which workers, servers and sandbox share"
    )
    wrong = differences(sandbox, documents)
    print(f"Run          {state}")
    print(
        f"Index        {sandbox.count(SOURCE):,} items, "
        + (f"{wrong:,} WRONG" if wrong else "equal to the input")
    )
    return state == "success" and not wrong


def main() -> int:
    """Start the cluster, run the loads, print what they took, and stop all."""
    parser = argparse.ArgumentParser(
        description="A load of many parts over two Celery workers on this machine."
    )
    parser.add_argument("--parts", type=int, default=200)
    parser.add_argument("--documents", type=int, default=2_000_000)
    parser.add_argument(
        "--slots", type=int, default=max((os.cpu_count() or 2) // 2, 2), help="tasks at once a worker"
    )
    parser.add_argument("--faults", action="store_true", help="kill a worker and others in the middle")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # otherwise all that was started would stay
    started = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="coveo-cluster-") as name,
        Sandbox.start(sources={SOURCE: "PUSH"}) as sandbox,
    ):
        home = Path(name)
        home.chmod(0o755)  # PostgreSQL has a user of its own where it is started by root
        try:
            with Cluster(home, sandbox, slots=options.slots) as cluster:
                names = ", ".join(cluster.components)
                print(f"Cluster      postgres, {names}: {time.monotonic() - started:.0f} s to start")
                equal = load(cluster, sandbox, options.parts, options.documents, faults=options.faults)
        except CannotStart as error:
            print(f"Cluster      cannot start: {error}")
            return 1
    print(f"Time         {time.monotonic() - started:.0f} s; all of it is stopped")
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())

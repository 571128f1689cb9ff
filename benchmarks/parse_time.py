"""
What a DAG file pays for the operators and the task groups, beside what it pays for Airflow alone.

Each figure is CPU time, the median of fresh processes. In each, Airflow comes first, and what ours adds is timed by
itself: the import of Airflow varies by more than that. The byte code is cached first: without a cache
(``PYTHONDONTWRITEBYTECODE``) Python compiles every module anew in each process, which costs more than all the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.table import Table

ROOT = Path(__file__).parent.parent
IMPORT = ("import airflow.sdk", "import coveo_provider.operators, coveo_provider.task_groups")
PARSE = (
    "from airflow.sdk import DAG\nwith DAG('empty'):\n    pass",
    """
from coveo_provider.task_groups import catalog_load, catalog_refresh, incremental_push, push_rebuild, secured_push
with DAG('groups'):
    catalog_load(source_id='a', documents='s3://staging/a')
    catalog_refresh(source_id='b', documents='s3://staging/b', state='s3://staging/state-b')
    incremental_push(source_id='c', documents='s3://staging/c', state='s3://staging/state-c')
    push_rebuild(source_id='d', documents='s3://staging/d')
    secured_push(source_id='e', documents='s3://staging/e', provider_id='p', members='s3://staging/members')
""",
)


def cpu_ms(baseline: str, added: str, cache: str) -> tuple[float, float]:
    """Return the CPU milliseconds that a fresh process takes for the baseline, and then for what is added."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    clock = "clock.append(time.process_time() * 1000)"
    code = f"import json, time\nclock = []\n{baseline}\n{clock}\n{added}\n{clock}\nprint(json.dumps(clock))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    first, last = json.loads(done.stdout.splitlines()[-1])
    return first, last - first


def measure(times: int = 5) -> dict[str, tuple[float, float]]:
    """Return the CPU milliseconds of Airflow and of what is added, by what is added: medians of fresh processes."""
    found = {}
    with tempfile.TemporaryDirectory() as cache:
        for name, codes in (
            ("import all operators and task groups", IMPORT),
            ("a DAG of all five groups", PARSE),
        ):
            cpu_ms(*codes, cache)  # fills the cache
            taken = [cpu_ms(*codes, cache) for _ in range(times)]
            airflow, added = (statistics.median(column) for column in zip(*taken, strict=True))
            found[name] = (airflow, added)
    return found


def table(found: dict[str, tuple[float, float]]) -> Table:
    """Return what was found, for people."""
    return Table(
        "Parse",
        ["what", "Airflow alone, ms", "added, ms"],
        [[name, *(f"{one:.0f}" for one in figures)] for name, figures in found.items()],
        "CPU time, median of fresh processes, byte code cached.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0] if __doc__ else "")
    parser.add_argument("--times", type=int, default=5, help="processes for each figure")
    print(table(measure(parser.parse_args().times)).as_markdown())


if __name__ == "__main__":
    main()

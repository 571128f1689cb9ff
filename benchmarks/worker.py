"""
A worker in a process of its own: runs an operator that sends a part as a task does, and tells time and peak memory.

``python -m benchmarks.worker idle`` only imports what every worker has imported that could run the task.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def run(mode: str, url: str = "", part: str = "") -> dict[str, Any]:
    """
    Start a worker and return what it measured.

    :return: ``started`` (Unix time), ``seconds``, ``peak_mb`` (10^6 bytes), and the operator's report
    """
    connection = {"conn_type": "coveo", "host": url, "login": "bench", "password": "bench-key"}
    environment = {
        **os.environ,
        "AIRFLOW_CONN_COVEO_DEFAULT": json.dumps(connection),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.worker", mode, part],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _work(mode: str, part: str) -> dict[str, Any]:
    from coveo_provider.hooks.coveo import CoveoHook
    from coveo_provider.operators import CoveoPushBatchOperator, CoveoUploadChunkOperator

    CoveoHook().get_connection("coveo_default")
    result: dict[str, Any] = {"started": time.time()}
    start = time.perf_counter()
    if mode == "upload":
        operator = CoveoUploadChunkOperator(
            task_id="upload", source_id="products", stream_id="stream", documents=part
        )
        result["report"] = operator.execute({})
    if mode == "push":
        result["report"] = CoveoPushBatchOperator(task_id="push", source_id="files", documents=part).execute(
            {}
        )
    result["seconds"] = time.perf_counter() - start
    # Not ru_maxrss: that of a new process starts at its parent's.
    status = Path("/proc/self/status").read_text()
    result["peak_mb"] = int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    return result


if __name__ == "__main__":
    print(json.dumps(_work(sys.argv[1], sys.argv[2])))

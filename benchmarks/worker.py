"""
A worker in a process of its own: does one piece of work as a task does, and tells its time and memory.

Nothing of a task's libraries is imported before its work begins, as in a worker that Airflow starts for it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any


@dataclass(frozen=True)
class Measured:
    """
    What a piece of work took.

    :param started: Unix time, in seconds
    :param seconds: without the start of the process and the import of Airflow
    :param peak_mb: the most memory it held, in 10^6 bytes, pages of libraries that processes share included
    :param private_mb: the most of it that no other process shares
    :param result: what the work returned
    """

    started: float
    seconds: float
    peak_mb: float
    private_mb: float
    result: Any

    def over(self, idle: Measured) -> tuple[float, float]:
        """Return the memory over an idle worker in 10^6 bytes: all of it, and what is private."""
        return self.peak_mb - idle.peak_mb, self.private_mb - idle.private_mb


def run(work: str, *, url: str = "", **arguments: Any) -> Measured:
    """
    Do one of :data:`WORK` in a new process, and return what it took.

    :param url: what stands for Coveo's cloud
    :param arguments: those of the function, which JSON can carry
    """
    connection = {"conn_type": "coveo", "host": url, "login": "bench", "password": "bench-key"}
    environment = {
        **os.environ,
        "AIRFLOW_CONN_COVEO_DEFAULT": json.dumps(connection),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    command = [sys.executable, "-m", "benchmarks.worker", work, json.dumps(arguments)]
    private = 0
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, env=environment, stdout=output)
        while process.poll() is None:
            private = max(private, _bytes_of(process.pid, "RssAnon"))
            time.sleep(0.02)
        output.seek(0)
        lines = output.read().splitlines()
    if process.returncode:
        raise RuntimeError(f"{work} ended with {process.returncode}")
    done = json.loads(lines[-1])
    return Measured(private_mb=private / 1e6, **done)


def _bytes_of(process: int | str, key: str) -> int:
    try:
        status = Path(f"/proc/{process}/status").read_text()
        return int(status.split(f"{key}:")[1].split()[0]) * 1024
    except (OSError, IndexError):  # it ended meanwhile
        return 0


def _idle() -> None:
    """Do nothing."""


def _upload(part: str, warm: str = "") -> dict[str, Any]:
    from coveo_provider.operators import CoveoUploadChunkOperator

    return _execute(CoveoUploadChunkOperator, warm, part, source_id="products", stream_id="stream")


def _push(part: str, warm: str = "") -> dict[str, Any]:
    from coveo_provider.operators import CoveoPushBatchOperator

    return _execute(CoveoPushBatchOperator, warm, part, source_id="files")


def _execute(operator: Any, warm: str, part: str, **arguments: Any) -> dict[str, Any]:
    """Send a part, after another one where libraries are to be there already; say when that was done."""
    if warm:
        operator(task_id="warm", documents=warm, **arguments).execute({})
    start = time.perf_counter()
    report: dict[str, Any] = operator(task_id="send", documents=part, **arguments).execute({})
    report["seconds"] = time.perf_counter() - start
    report["started"] = time.time() - report["seconds"]
    return report


def _transform(source: str, output: str) -> int:
    from coveo_provider.documents import Constant, DocumentMapping
    from coveo_provider.operators import CoveoTransformOperator

    mapping = DocumentMapping(
        document_id="{documentId}", fields={"kind": Constant("row")}, keep=("title", "n")
    )
    operator = CoveoTransformOperator(task_id="transform", source=source, output=output, mapping=mapping)
    return len(operator.execute({}))


def _expand(members: str, duplicates: str) -> dict[str, Any]:
    from coveo_provider.operators import CoveoSecurityExpansionOperator

    operator = CoveoSecurityExpansionOperator(
        task_id="expand", provider_id="groups", members=members, duplicates=duplicates
    )
    report: dict[str, Any] = operator.execute({})
    return report


def _diff(folder: str, rows: int, digests: tuple[str, str]) -> dict[str, int]:
    """Compare the hashes of two loads as the diff does; return how many documents changed and are gone."""
    from coveo_provider.documents.changes.comparison import Comparison
    from coveo_provider.documents.extracts.source_files import SourceFile

    def opened(path: Path) -> IO[bytes]:
        return path.open("rb")

    def files(side: str) -> list[SourceFile]:
        return [SourceFile(str(path), partial(opened, path)) for path in sorted(Path(folder, side).iterdir())]

    with tempfile.TemporaryDirectory() as scratch:
        comparison = Comparison(Path(scratch), rows=rows)
        comparison.add_current(files("current"), digests[1])
        comparison.add_former(files("former"), digests[0])
        found = comparison.result()
    return {"changed": found.changed, "gone": found.gone}


def _polars_diff(folder: str) -> dict[str, int]:
    """Count the same by polars' own join, in its streaming engine."""
    import polars as pl

    current, former = (pl.scan_parquet(Path(folder, side, "*.parquet")) for side in ("current", "former"))
    both = current.join(former, on="documentId", how="full", coalesce=True)
    changed = (pl.col("content") != pl.col("content_right")).fill_null(True)
    counts = both.select(
        changed=(pl.col("content").is_not_null() & changed).sum(), gone=pl.col("content").is_null().sum()
    )
    found: dict[str, int] = counts.collect(engine="streaming").row(0, named=True)
    return found


WORK: dict[str, Callable[..., Any]] = {
    "idle": _idle,
    "upload": _upload,
    "push": _push,
    "transform": _transform,
    "expand": _expand,
    "diff": _diff,
    "polars diff": _polars_diff,
}


def _main(work: str, arguments: dict[str, Any]) -> dict[str, Any]:
    from coveo_provider.hooks.coveo import CoveoHook

    CoveoHook().get_connection("coveo_default")
    started, start = time.time(), time.perf_counter()
    result = WORK[work](**arguments)
    seconds = time.perf_counter() - start
    # Not ru_maxrss: that of a new process starts at its parent's.
    peak = _bytes_of("self", "VmHWM") / 1e6
    return {"started": started, "seconds": seconds, "peak_mb": peak, "result": result}


if __name__ == "__main__":
    print(json.dumps(_main(sys.argv[1], json.loads(sys.argv[2]))))

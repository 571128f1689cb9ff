"""The side of the one who kills: tasks are executed in processes, and a process that dies is a try that failed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.chaos.fast import Job, Result
from tests.chaos.scheduled_faults import ScheduledFaults

ROOT = Path(__file__).parent.parent.parent
_ENVIRONMENT = ("AIRFLOW_CONN_COVEO_DEFAULT",)


class Worker:
    """A worker that stays, whose processes may be killed. A context manager."""

    def __init__(self) -> None:
        self.log = open(os.devnull, "w")  # noqa: SIM115  as long as the worker lives
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.worker"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
        )
        assert self._read()["ready"]

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
        self.log.close()

    def perform(
        self, job: Job, *, recipe: str, folder: Path, number: int, faults: ScheduledFaults, hours: float
    ) -> Result:
        """Execute one try of a task in a process of its own."""
        answer = folder / "result.json"
        answer.unlink(missing_ok=True)
        self._write(
            {
                "job": vars(job),
                "recipe": recipe,
                "folder": str(folder),
                "number": number,
                "hours": hours,
                "dies": faults.dies_at_the_end(),
                "seed": f"{job.task_id} {job.map_index} {job.try_number}",
                "environment": {name: os.environ[name] for name in _ENVIRONMENT},
                "result": str(answer),
            }
        )
        faults.working(self._read()["pid"])
        self._write({})
        ended = self._read()
        faults.working(None)
        if ended["killed"]:
            return Result("up_for_retry", error="killed")
        if not answer.exists():
            raise RuntimeError(
                f"the process of {job.task_id} ended with {ended['status']}, and nobody killed it"
            )
        return Result(**json.loads(answer.read_text()))

    def _write(self, value: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(value) + "\n")
        self._process.stdin.flush()

    def _read(self) -> dict[str, Any]:
        """Return what the worker says next; other lines on its output are Airflow's."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("@"):
                message: dict[str, Any] = json.loads(line[1:])
                return message
        raise RuntimeError(f"the worker ended with {self._process.wait()}")

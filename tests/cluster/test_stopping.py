"""Whatever ends a cluster, nothing that it started is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.cluster.test_cluster import needs_packages
from tools.airflow_home import ROOT
from tools.cluster.services import Component

LEAVES_A_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
"""
SECONDS = 120.0


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_what_a_component_started_is_stopped_when_the_component_has_ended_before(tmp_path: Path) -> None:
    log = tmp_path / "log"
    component = Component("ends", [sys.executable, "-c", LEAVES_A_CHILD], dict(os.environ), log)
    component.start()
    assert component.process is not None
    component.process.wait(SECONDS)
    child = psutil.Process(int(log.read_text()))

    component.stop()

    assert psutil.wait_procs([child], timeout=SECONDS)[1] == []


@pytest.mark.slow
@pytest.mark.xdist_group("cluster")
@needs_packages
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: str(number.name))
def test_a_signal_stops_all_that_the_command_started(number: signal.Signals) -> None:
    with tempfile.TemporaryDirectory(prefix="coveo-stopping-") as name:
        Path(name).chmod(0o755)  # PostgreSQL has a user of its own where it is started by root

        def started() -> dict[psutil.Process, str]:
            """Whatever has the folder among its arguments or its variables, with its arguments."""
            found = {}
            for process in psutil.process_iter():
                try:
                    command = " ".join(process.cmdline())
                    if name in " ".join([command, *process.environ().values()]):
                        found[process] = command
                except (psutil.NoSuchProcess, psutil.AccessDenied):
                    continue
            return found

        command = [sys.executable, "-m", "tools.cluster", "--parts", "1", "--documents", "1"]
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "TMPDIR": name}, start_new_session=True
        )
        try:
            wait_until(lambda: any("celery" in command for command in started().values()))
            all_of_it = started()
            process.send_signal(number)
            assert process.wait(SECONDS) != 0
        finally:
            process.kill()

        assert len(all_of_it) > 5
        wait_until(lambda: not started())

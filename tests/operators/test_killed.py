"""A task that is ended while it works sends nothing more, and leaves nothing on the worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coveo_provider.operators import CoveoPushBatchOperator
from coveo_provider.sandbox import Sandbox, Stall
from coveo_provider.scratch import ScratchFolder, remove_left
from tests.conftest import ROOT, Connect, WritePart, products
from tests.operators.conftest import run
from tests.operators.staging import SHOES, Staging, at, ndjson

# As Airflow's task runner: a signal calls `on_kill`, and the task goes on when that returns.
TASK = """
import signal, sys
from coveo_provider.operators import CoveoPushBatchOperator
task = CoveoPushBatchOperator(task_id="push", source_id="files", documents=sys.argv[1], max_chunk_bytes=2_000)
signal.signal(signal.SIGTERM, lambda *_: task.on_kill())
task.execute({})
"""
HOUR = 3_600


def scratch_in(folder: Path) -> list[Path]:
    return sorted(folder.glob("coveo-*"))


@contextmanager
def stalled_task(
    sandbox: Sandbox, documents: str, scratch: Path, route: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A push in a process of its own, at the moment when a call of it is not answered."""
    scratch.mkdir()
    sandbox.faults.add(route=route, action=Stall(600))
    connection = {"conn_type": "coveo", "host": sandbox.url, "login": sandbox.organization_id}
    variables = {
        **os.environ,
        "AIRFLOW_CONN_COVEO_DEFAULT": json.dumps({**connection, "password": sandbox.api_key}),
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(scratch),
    }
    task = subprocess.Popen([sys.executable, "-c", TASK, documents], env=variables)
    try:
        wait_until(lambda: sandbox.faults.pending() == 0)
        yield task
    finally:
        task.kill()
        task.wait()


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("route", ["upload", "batch.put"])
def test_a_signal_ends_what_is_being_sent(
    sandbox: Sandbox, write_part: WritePart, tmp_path: Path, route: str
) -> None:
    """Without waiting for the answer that does not come; the chunks on disk are deleted."""
    documents, scratch = write_part(products(200)), tmp_path / "scratch"
    with stalled_task(sandbox, documents, scratch, route) as task:
        assert scratch_in(scratch)
        task.send_signal(signal.SIGTERM)
        assert task.wait(30) == 128 + signal.SIGTERM
    assert scratch_in(scratch) == []
    assert not any(call.route == "batch.put" for call in sandbox.calls if route == "upload")
    sandbox.settle()
    assert sandbox.items("files") == {}


def test_the_next_task_removes_what_a_killed_one_left(
    sandbox: Sandbox, connect: Connect, write_part: WritePart, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can clean up after SIGKILL but somebody else; what a living task holds stays."""
    documents, scratch = write_part(products(200)), tmp_path / "scratch"
    with stalled_task(sandbox, documents, scratch, "upload") as task:
        held = scratch_in(scratch)
        assert held
        age(held)
        remove_left(str(scratch))
        assert scratch_in(scratch) == held
        task.kill()
        task.wait()
    assert scratch_in(scratch) == held
    age(held)  # again: the task may have written to them since

    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    connect(sandbox)
    run(CoveoPushBatchOperator(task_id="again", source_id="files", documents=documents))
    assert scratch_in(scratch) == []
    sandbox.settle()
    assert len(sandbox.items("files")) == 200


def age(folders: list[Path]) -> None:
    """Let folders be an hour old."""
    for folder in folders:
        os.utime(folder, (time.time() - HOUR,) * 2)


def test_only_old_folders_of_dead_tasks_are_removed(tmp_path: Path) -> None:
    """Not one that was just made, not a link, not what others call alike, not a file."""
    for name in ("coveo-task-chunks-young", "coveo-task-chunks-old", "coveo-chunks-other", "target"):
        (tmp_path / name / "below").mkdir(parents=True)
    (tmp_path / "coveo-task-link").symlink_to(tmp_path / "target")
    (tmp_path / "coveo-task-file").write_text("x")
    age([tmp_path / "coveo-task-chunks-old", tmp_path / "coveo-chunks-other", tmp_path / "target"])

    with ScratchFolder("chunks", str(tmp_path)) as own:
        age([Path(own)])
        with ScratchFolder("chunks", str(tmp_path)) as other:
            names = {one.name for one in tmp_path.iterdir()}
    assert names == {
        *("coveo-task-chunks-young", "coveo-chunks-other", "target", "coveo-task-link", "coveo-task-file"),
        Path(own).name,
        Path(other).name,
    }
    assert (tmp_path / "target" / "below").is_dir()


@pytest.mark.parametrize("name", ["._manifest.json-ab_c01xy", "._report-manual__2026.json-ab_c01xy"])
def test_half_a_file_of_a_killed_task_does_not_stop_the_next(staging: Staging, name: str) -> None:
    """It was to be moved to its place, and its task was killed before that."""
    source = staging.put("a.ndjson", ndjson(SHOES))
    staging.make(source)
    (at(staging.output) / name).write_bytes(b"{")

    assert len(staging.make(source)) == 1
    assert not (at(staging.output) / name).exists()


def test_after_a_timeout_the_timeout_is_what_failed() -> None:
    """Airflow calls ``on_kill`` then too, and hands on its own exception afterwards."""
    from coveo_provider._compat import AirflowTaskTimeout

    task = CoveoPushBatchOperator(task_id="push", source_id="files", documents=[])
    try:
        raise AirflowTaskTimeout
    except AirflowTaskTimeout:
        task.on_kill()
    with pytest.raises(SystemExit):
        task.on_kill()

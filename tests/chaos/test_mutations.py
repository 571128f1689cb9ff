"""The fault schedules find what they are there to find: each known-bad change of the package is caught."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent
PATCHES = sorted((Path(__file__).parent / "mutations").glob("*.patch"))
# A seed that shows the change, and what is then printed.
CAUGHT = {
    "close_after_a_failed_chunk": (18, "MISMATCH the run with faults, success"),
    # Closed as far as the task knows; where the log may be read, the verification would find it out.
    "close_taken_for_done": (1038, "MISMATCH the run with faults, success, though nothing was verified"),
    "date_as_it_stands": (201, "MISMATCH the run with faults, success, though nothing was verified"),
    # What it deletes is pushed again when nothing fails; a failed push, or a jump of the clock, makes it a loss.
    "delete_older_before_the_pushes": (10, "MISMATCH the run with faults, failed: deleted"),
    # By a clock that is behind what is gone stays; where the log may be read, it tells better.
    "local_clock_as_mark": (837, "MISMATCH the run with faults, success, though nothing was verified"),
    # A part fails, somebody clears it, and its siblings are deleted.
    "mark_of_the_status_task": (59, "MISMATCH the run with faults, failed: deleted"),
    "missing_part_not_missed": (1555, "MISMATCH the run after mark success of"),
    "older_run_not_refused": (832, "MISMATCH the run after that"),
    "page_counts_as_done": (52, "MISMATCH the run with faults, success, though nothing was verified"),
    "permissions_on_a_shared_source": (17, "everybody sees what has permissions"),
}


def test_every_mutation_is_known() -> None:
    """Each has a seed that shows it."""
    assert {patch.stem for patch in PATCHES} == CAUGHT.keys()


@pytest.mark.long
@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.stem)
def test_a_known_bad_change_is_caught(patch: Path, tmp_path: Path) -> None:
    """In a copy of the package; the runs print which mismatch they found."""
    for name in ("coveo_provider", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "dags").mkdir()
    _apply(patch, tmp_path)
    seed, said = CAUGHT[patch.stem]

    ended = _chaos(tmp_path, seed)

    assert f"the package is {tmp_path}" in ended.stdout
    assert ended.returncode == 1, f"{patch.stem} was not caught by seed {seed}:\n{ended.stdout[-3000:]}"
    mismatches = [line for line in ended.stdout.splitlines() if "MISMATCH" in line]
    print(f"{patch.stem}:", *mismatches, sep="\n")
    assert said in ended.stdout, mismatches
    good = not [line for line in mismatches if "the first run" in line]
    assert good, f"the copy does not even work without faults: {mismatches}"


def _apply(patch: Path, folder: Path) -> None:
    """Change the copy; a patch is kept in step with the package by hand."""
    command = ["git", "apply", "-C1", str(patch)]
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    applied = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)
    if applied.returncode:
        pytest.fail(
            f"{patch.relative_to(ROOT)} no longer applies to the package:\n{applied.stderr}Write the same mistake "
            "into the package as it is now, and save `diff -U1` of it there"
        )


def _chaos(folder: Path, seed: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.chaos", "--seed", str(seed)]
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTEST", "COV"))
    }
    environment["PYTHONPATH"] = str(folder)
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment, timeout=400)

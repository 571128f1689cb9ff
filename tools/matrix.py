"""
`make matrix`: the packages as they are released, installed beside each supported Airflow, and used there.

Wheel and sdist are built once. Each row is an empty environment of another Python, with one of both and nothing of
this checkout: its metadata are checked, Airflow has to know the provider, and tests of what differs between
versions run against the installed package: hook and form, operators, sample DAGs, deferral, required actions.

Airflow's own constraints lie where an index of packages does not reach; the libraries of the day each version came
out stand in for them. It needs such an index, some gigabytes of disk, and a Python of each version; what is not
there is skipped, and the table says so.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parent.parent
UV = (sys.executable, "-m", "uv")


@dataclass(frozen=True)
class Row:
    """
    One environment.

    :param python: version of the interpreter
    :param airflow: version of Airflow
    :param as_of: no library newer than this day is installed; empty for the newest
    :param packed: what is installed: ``wheel`` or ``sdist``
    :param libraries: versions of others that it has to be installed beside
    """

    python: str
    airflow: str
    as_of: str = ""
    packed: str = "wheel"
    libraries: tuple[str, ...] = ()


# The polars that Airflow 3.1's constraints pin, and pandas 2, which many still have.
OLD = ("polars==1.36.1", "pandas<3")
ROWS = {
    "3.1": Row("3.10", "3.1.8", "2026-03-15", "sdist", OLD),
    "3.2": Row("3.12", "3.2.2", "2026-06-15", libraries=OLD),
    "3.3": Row("3.13", "3.3.*"),
}
TOOLS = (
    "aiosmtpd",
    "pytest",
    "pytest-xdist",
    "hypothesis",
    "jsonschema",
    "pyyaml",
    "openapi-core",
    "requests",
)
SAMPLES = "tests/dags/test_sample_dags.py::test_"
# Hook and form, operators, deferral, retries, kills, triggers, notifier, groups, and sample DAGs that are run.
TESTS = (
    "tests/documents/encoding",
    "tests/hooks/test_coveo.py",
    "tests/hooks/test_connection_form.py",
    "tests/operators/test_stream.py",
    "tests/operators/test_push.py",
    "tests/operators/test_quotas.py",
    "tests/operators/test_retries.py",
    "tests/operators/test_killed.py",
    "tests/triggers",
    "tests/dags/test_wiring.py",
    "tests/dags/test_notifications.py",
    f"{SAMPLES}the_samples_can_be_parsed",
    f"{SAMPLES}the_catalog_holds_exactly_the_dataset_each_time",
    f"{SAMPLES}the_push_source_holds_exactly_the_dataset_each_time",
    f"{SAMPLES}a_frame_reaches_the_index",
    f"{SAMPLES}a_catalog_goes_back_to_its_first_load",
    "tests/test_provider_info.py",
)
# Between the services of a real Airflow: how a task waits for a person, and what a callback of a DAG is given.
SLOW = ("tests/dags/test_required_actions.py", "tests/dags/test_events.py")
# What tests read, beside the package.
COPIED = ("tests", "dags", "docs", "tools", "benchmarks", "README.md", "CHANGELOG.md", "pyproject.toml")
ROW_SECONDS = 480.0  # that a row is taken to need, as long as none was tried


class Clock:
    """How much time there is, and how much a row needs."""

    def __init__(self, within: float | None) -> None:
        self._end = None if within is None else time.monotonic() + within
        self._took: list[float] = []

    def left(self) -> float | None:
        """Return the seconds that are left; ``None`` for as many as it takes."""
        return None if self._end is None else max(self._end - time.monotonic(), 1.0)

    def is_enough(self) -> bool:
        """Return whether a row as slow as the slowest would end in time."""
        left = self.left()
        return left is None or left >= max(self._took, default=ROW_SECONDS)

    def add(self, seconds: float) -> None:
        """Learn how long a row took."""
        self._took.append(seconds)


class RowSkipped(Exception):
    """Why a row could not be tried here."""


class RowFailed(Exception):
    """What went wrong in a row."""


def find_python(version: str) -> Path | None:
    """Return an interpreter of a version: one that uv finds, or one beside this one, as pyenv keeps them."""
    found = subprocess.run(
        [*UV, "python", "find", "--quiet", "--no-python-downloads", version],
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode == 0:
        return Path(found.stdout.strip())
    return min(Path(sys.base_prefix).parent.glob(f"{version}.*/bin/python{version}"), default=None)


def build(folder: Path) -> dict[str, Path]:
    """Build the packages into a folder, and return them by kind."""
    subprocess.run([*UV, "build", "--quiet", "--out-dir", str(folder), str(ROOT)], check=True)
    return {"wheel": next(folder.glob("*.whl")), "sdist": next(folder.glob("*.tar.gz"))}


def run(what: str, command: Sequence[str], folder: Path, clock: Clock, **environment: str) -> None:
    """
    Run a command.

    :raises RowFailed: it ended otherwise than with 0
    :raises RowSkipped: there is no time left for it
    """
    settings = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | environment
    process = subprocess.Popen(command, cwd=folder, env=settings)
    try:
        code = process.wait(clock.left())
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)  # tests stop what they started
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        raise RowSkipped(f"no time was left for {what}") from None
    if code:
        raise RowFailed(what)


def try_row(row: Row, packages: dict[str, Path], folder: Path, clock: Clock) -> None:
    """
    Make an environment, install the package in it, and use it.

    :raises RowFailed: with the step that failed
    :raises RowSkipped: with what is not there for it
    """
    interpreter = find_python(row.python)
    if interpreter is None:
        raise RowSkipped(f"there is no Python {row.python} here")
    environment, checkout = folder / "environment", folder / "checkout"
    checkout.mkdir()
    for name in COPIED:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, checkout / name)
    python = environment / "bin" / "python"
    day = ("--exclude-newer", row.as_of) if row.as_of else ()
    pip = (*UV, "pip", "install", "--quiet", "--python", str(python))
    step = partial(run, folder=folder, clock=clock)
    step("environment", [*UV, "venv", "--quiet", "--python", str(interpreter), str(environment)])
    airflow = (f"apache-airflow=={row.airflow}", *row.libraries)
    try:
        step("Airflow", [*pip, *day, *airflow])
    except RowFailed:
        raise RowSkipped(f"Airflow {row.airflow} cannot be installed here") from None
    step("install", [*pip, *day, str(packages[row.packed]), *airflow])
    step("pip check", [*UV, "pip", "check", "--python", str(python)])
    known = [str(environment / "bin" / "airflow"), "providers", "get", "airflow-provider-coveo"]
    home = str(folder / "home")
    step("airflow providers get", known, AIRFLOW_HOME=home, AIRFLOW__LOGGING__LOGGING_LEVEL="WARNING")
    step("install of pytest", [*pip, *TOOLS])
    pytest = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", "-W", "ignore"]
    run("tests", [*pytest, "-n", "2", *TESTS], checkout, clock)
    run("slow tests", [*pytest, "-m", "slow", *SLOW], checkout, clock)


def outcome_of(row: Row, packages: dict[str, Path], clock: Clock) -> str:
    """Try a row, and return what became of it."""
    if not clock.is_enough():
        return "skipped: there is not enough time left"
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="coveo-matrix-") as folder:
        try:
            try_row(row, packages, Path(folder), clock)
        except RowFailed as error:
            return f"failed: {error}"
        except RowSkipped as error:
            return f"skipped: {error}"
    clock.add(time.monotonic() - begun)
    return "passed"


def main() -> int:
    """Try the rows, print a table, and return 1 if one of them failed."""
    parser = argparse.ArgumentParser(
        description="Use the built packages with each supported version of Airflow."
    )
    parser.add_argument(
        "--only", choices=ROWS, action="append", help="a version of Airflow; all if none is named"
    )
    parser.add_argument("--within", type=float, help="seconds there are; rows that do not fit are skipped")
    given = parser.parse_args()
    clock = Clock(given.within)
    table = []
    with tempfile.TemporaryDirectory(prefix="coveo-packages-") as built:
        packages = build(Path(built))
        for version in given.only or ROWS:
            begun = time.monotonic()
            outcome = outcome_of(ROWS[version], packages, clock)
            table.append((ROWS[version], outcome, time.monotonic() - begun))
    print(f"{'Airflow':10}{'Python':8}{'package':9}{'seconds':>8}  outcome")
    for row, outcome, seconds in table:
        print(f"{row.airflow:10}{row.python:8}{row.packed:9}{seconds:8.0f}  {outcome}")
    return int(any(outcome.startswith("failed") for _, outcome, _ in table))


if __name__ == "__main__":
    sys.exit(main())

"""
`make matrix`: tests with each version of Airflow that is supported, and libraries as old as its users have them.

Each row is an environment of its own, made anew in a temporary folder; `--only 3.1` takes one. A package that
cannot be installed, and a test that fails, fail the whole. It is no part of `make test-slow`: it needs an index of
packages, some gigabytes of disk and several minutes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
# The polars that Airflow 3.1's constraints pin, and pandas 2, which many still have.
OLD = ("polars==1.36.1", "pandas<3")
ROWS = {
    "3.1": ("apache-airflow==3.1.*", *OLD),
    # With newer ones its services end at once: it finds no discriminator in a model of its own.
    "3.2": ("apache-airflow==3.2.*", "cadwyn<7", "fastapi<0.137", "pydantic<2.13", *OLD),
    "3.3": ("apache-airflow==3.3.*",),
}
TOOLS = ("pytest", "pytest-xdist", "hypothesis", "pyyaml", "openapi-core", "hatchling", "editables")
TESTS = (
    "tests/documents/encoding",
    "tests/hooks",
    "tests/operators/test_stream.py",
    "tests/dags/test_wiring.py",
    "tests/dags/test_sample_dags.py::test_the_samples_can_be_parsed",
)
# Between the services of a real Airflow: how a task waits for a person differs between versions.
SLOW = ("tests/dags/test_required_actions.py",)


def run_row(packages: tuple[str, ...], folder: Path) -> str:
    """Make the environment and run the tests in it; return ``passed``, or what went wrong."""
    uv = [sys.executable, "-m", "uv"]
    python = folder / "bin" / "python"
    made = (
        [*uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
        [*uv, "pip", "install", "--quiet", "--python", str(python), *packages, *TOOLS, "-e", str(ROOT)],
    )
    for command in made:
        if subprocess.run(command, cwd=ROOT, check=False).returncode:
            return "not installed"
    # The code of this checkout, whatever an environment around this one names.
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    pytest = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    runs = ([*pytest, "-n", "2", *TESTS], [*pytest, "-m", "slow", *SLOW])
    codes = [subprocess.run(run, cwd=ROOT, env=environment, check=False).returncode for run in runs]
    return "failed" if any(codes) else "passed"


def main() -> int:
    """Run the rows, print a table, and return 1 unless all of them passed."""
    parser = argparse.ArgumentParser(description="Run the tests with each supported version of Airflow.")
    parser.add_argument(
        "--only", choices=ROWS, action="append", help="a version of Airflow; all if none is named"
    )
    chosen = parser.parse_args().only or list(ROWS)
    table = []
    for version in chosen:
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="matrix-") as folder:
            outcome = run_row(ROWS[version], Path(folder))
        table.append((version, outcome, time.monotonic() - begun))
    print(f"{'Airflow':10}{'outcome':16}{'seconds':>8}")
    for version, outcome, seconds in table:
        print(f"{version:10}{outcome:16}{seconds:8.0f}")
    return int(any(outcome != "passed" for _, outcome, _ in table))


if __name__ == "__main__":
    sys.exit(main())

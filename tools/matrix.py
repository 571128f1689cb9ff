"""
`make matrix`: the packages as they are released, installed beside each supported Airflow, and used there.

Wheel and sdist are built once. Each row is an empty environment of another Python, with one of both and nothing of
this checkout: its metadata are checked, Airflow has to know the provider, and tests of what differs between
versions run against the installed package: hook and form, operators, sample DAGs, deferral, required actions.

Airflow's own constraints lie where an index of packages does not reach; the libraries of the day each version came
out stand in for them. It needs such an index, some gigabytes of disk, and a Python of each version.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
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
TOOLS = ("pytest", "pytest-xdist", "hypothesis", "jsonschema", "pyyaml", "openapi-core")
TESTS = (
    "tests/documents/encoding",
    "tests/hooks",
    "tests/operators/test_stream.py",
    "tests/operators/test_push.py",
    "tests/dags/test_wiring.py",
    "tests/dags/test_sample_dags.py",
    "tests/test_provider_info.py",
)
# Between the services of a real Airflow: how a task waits for a person differs between versions.
SLOW = ("tests/dags/test_required_actions.py",)
# What tests read, beside the package.
COPIED = ("tests", "dags", "docs", "tools", "benchmarks", "README.md", "CHANGELOG.md", "pyproject.toml")


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


def run(what: str, command: Sequence[str], folder: Path, **environment: str) -> None:
    """
    Run a command.

    :raises RowFailed: it ended otherwise than with 0
    """
    settings = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | environment
    if subprocess.run(command, cwd=folder, env=settings, check=False).returncode:
        raise RowFailed(what)


def try_row(row: Row, packages: dict[str, Path], folder: Path) -> None:
    """
    Make an environment, install the package in it, and use it.

    :raises RowFailed: with the step that failed
    """
    interpreter = find_python(row.python)
    if interpreter is None:
        raise RowFailed(f"no Python {row.python} here")
    environment, checkout = folder / "environment", folder / "checkout"
    checkout.mkdir()
    for name in COPIED:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, checkout / name)
    python = environment / "bin" / "python"
    day = ("--exclude-newer", row.as_of) if row.as_of else ()
    install = (*UV, "pip", "install", "--quiet", "--python", str(python), *day)
    home = {"AIRFLOW_HOME": str(folder / "home")}
    run("environment", [*UV, "venv", "--quiet", "--python", str(interpreter), str(environment)], folder)
    wanted = (str(packages[row.packed]), f"apache-airflow=={row.airflow}", *row.libraries)
    run("install", [*install, *wanted], folder)
    run("pip check", [*UV, "pip", "check", "--python", str(python)], folder)
    airflow = str(environment / "bin" / "airflow")
    run("airflow providers get", [airflow, "providers", "get", "airflow-provider-coveo"], folder, **home)
    run("install of pytest", [*UV, "pip", "install", "--quiet", "--python", str(python), *TOOLS], folder)
    pytest = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    run("tests", [*pytest, "-n", "2", *TESTS], checkout)
    run("slow tests", [*pytest, "-m", "slow", *SLOW], checkout)


def main() -> int:
    """Try the rows, print a table, and return 1 unless all of them passed."""
    parser = argparse.ArgumentParser(
        description="Use the built packages with each supported version of Airflow."
    )
    parser.add_argument(
        "--only", choices=ROWS, action="append", help="a version of Airflow; all if none is named"
    )
    chosen = parser.parse_args().only or list(ROWS)
    table = []
    with tempfile.TemporaryDirectory(prefix="coveo-packages-") as built:
        packages = build(Path(built))
        for version in chosen:
            begun = time.monotonic()
            outcome = "passed"
            with tempfile.TemporaryDirectory(prefix="coveo-matrix-") as folder:
                try:
                    try_row(ROWS[version], packages, Path(folder))
                except RowFailed as error:
                    outcome = f"failed: {error}"
            table.append((ROWS[version], outcome, time.monotonic() - begun))
    print(f"{'Airflow':10}{'Python':8}{'package':9}{'seconds':>8}  outcome")
    for row, outcome, seconds in table:
        print(f"{row.airflow:10}{row.python:8}{row.packed:9}{seconds:8.0f}  {outcome}")
    return int(any(outcome != "passed" for _, outcome, _ in table))


if __name__ == "__main__":
    sys.exit(main())

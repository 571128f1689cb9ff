"""Airflow in a folder of its own, a sandbox per test, and a connection between the two."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings

from tests.browser import CHROMIUM

ROOT = Path(__file__).parent.parent

# Before the first import of Airflow, which reads them once.
os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="coveo-airflow-")
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__CORE__UNIT_TEST_MODE"] = "True"
# Empty: `dag.test()` reads all of it each time.
os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = str(Path(os.environ["AIRFLOW_HOME"], "dags"))
Path(os.environ["AIRFLOW__CORE__DAGS_FOLDER"]).mkdir()
sys.path.insert(0, str(ROOT / "dags"))  # as Airflow does with its dags folder

from coveo_provider.sandbox import Sandbox  # noqa: E402

settings.register_profile(
    "suite", deadline=None
)  # a busy machine is slow, which is no fault of what is tested
settings.load_profile("suite")

Connect = Callable[..., None]
WritePart = Callable[..., str]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A fresh sandbox with a Catalog source ``products`` and a Push source ``files``."""
    with Sandbox.start(sources={"products": "CATALOG", "files": "PUSH"}) as running:
        yield running


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Set the Airflow connection ``coveo_default``; what is named replaces the field."""

    def set_connection(sandbox: Sandbox | None = None, **fields: Any) -> None:
        connection = {"conn_type": "coveo", **fields}
        if sandbox is not None:
            connection = {
                "host": sandbox.url,
                "login": sandbox.organization_id,
                "password": sandbox.api_key,
                **connection,
            }
        monkeypatch.setenv("AIRFLOW_CONN_COVEO_DEFAULT", json.dumps(connection))

    return set_connection


@pytest.fixture
def connected(sandbox: Sandbox, connect: Connect) -> Sandbox:
    """The sandbox, with ``coveo_default`` pointing at it."""
    connect(sandbox)
    return sandbox


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits of all clients, in seconds, taken down instead of slept through."""
    from coveo_provider.api import caller, retries

    taken: list[float] = []
    patient = partial(retries.RetryPolicy, sleep=taken.append)
    for module in (caller, retries):
        monkeypatch.setattr(module, "RetryPolicy", patient)
    return taken


@pytest.fixture
def write_part(tmp_path: Path) -> WritePart:
    """Write rows as a part of a dataset and return its URI."""

    def write(rows: list[dict[str, Any]] | pa.Table, name: str = "part-0.parquet") -> str:
        path = tmp_path / "dataset" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows), path)
        return path.as_uri()

    return write


@pytest.fixture(autouse=True)
def forgotten_secrets() -> Iterator[None]:
    """Let Airflow's masker forget: it compiles all it knows anew for each secret, over thousands of tests."""
    yield
    for name, module in list(sys.modules.items()):
        if name.endswith("_shared.secrets_masker.secrets_masker") and name.startswith("airflow."):
            module.reset_secrets_masker()


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """Airflow's metadata database, on SQLite."""
    from airflow.utils import db

    db.initdb()


def products(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Return ``count`` small documents of a catalog."""
    return [
        {"documentId": f"product://{n}", "ec_name": f"Shoe {n}", "ec_category": ["Shoes", "Größe 42"], "n": n}
        for n in range(start, start + count)
    ]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the fault schedules of `tests/chaos` came to, over all processes."""
    reports = [report for outcome in ("passed", "failed") for report in terminalreporter.getreports(outcome)]
    counted = [value for report in reports for name, value in report.user_properties if name == "chaos"]
    if counted:
        from tests.chaos.tally import Tally

        terminalreporter.section("chaos")
        terminalreporter.write_line(str(Tally.sum(counted)))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A browser; tests in it are marked by ``IN_A_BROWSER``."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()

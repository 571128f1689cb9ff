"""The site is built without a warning, tells every argument, and its first page works as printed."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import requests

from coveo_provider import operators, task_groups
from tests.conftest import ROOT
from tools.cluster.services import free_port

DOCS = ROOT / "docs"
FOLDER, ADDRESS = "/tmp/coveo-start", "http://127.0.0.1:8040"  # as the page has them


def _conf() -> Any:
    spec = spec_from_file_location("docs_conf", DOCS / "conf.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CONF = _conf()


@pytest.mark.parametrize("name", CONF.ENTRIES)
def test_every_argument_is_described(name: str) -> None:
    """In the docstring of what users import, of what it derives from, or of all task groups."""
    thing = getattr(import_module(CONF.ENTRIES[name][0]), name)

    assert CONF.arguments(thing).keys() - CONF.descriptions(thing).keys() == set()


@pytest.mark.parametrize("name", operators.__all__)
def test_what_is_templated_is_described_so(name: str) -> None:
    """And nothing else; Airflow's own ``output`` is what a task returns, so that argument has another attribute."""
    operator: Any = getattr(operators, name)
    said = CONF.descriptions(operator)

    described = {one for one in CONF.arguments(operator) if "(templated" in said[one]}

    taken = {one for one in said if {one, f"{one}_uri"} & {*operator.template_fields}}
    assert described == taken


def test_operators_and_groups_have_pages() -> None:
    assert {*operators.__all__, *task_groups.__all__} <= CONF.ENTRIES.keys()


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    """From a copy, as the build writes pages beside the others, and behind a proxy that leads nowhere."""
    for folder, left_out in (("docs", "api"), ("dags", ""), ("benchmarks", ""), ("tests", "")):
        ignored = shutil.ignore_patterns("__pycache__", left_out)
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    for name in ("coveo_provider", "tools"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("CHANGELOG.md", "README.md"):
        shutil.copy(ROOT / name, tmp_path)
    nowhere = "http://127.0.0.1:9"

    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "docs", "site"],
        cwd=tmp_path,
        env={**os.environ, "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    page = (tmp_path / "site" / "api" / "CoveoTransformOperator.html").read_text()
    for text in ("batch_rows", "Default: ", "(templated)", "Returns", "https://docs.coveo.com/en/78/"):
        assert text in page
    assert 'href="api/CoveoVerifyOperator.html"' in (tmp_path / "site" / "operators.html").read_text()
    assert "https://" not in re.sub(r'href="[^"]*"', "", _loaded(tmp_path / "site" / "start.html"))


def _loaded(page: Path) -> str:
    """Return the tags of a page that load something."""
    return " ".join(re.findall(r"<(?:script|img|link|iframe)\b[^>]*\b(?:src|href)=[^>]*>", page.read_text()))


class Printed:
    """What a page tells to type, in a folder and with a port of the test."""

    def __init__(self, page: str, folder: Path, address: str) -> None:
        self.text = (DOCS / page).read_text().replace(FOLDER, str(folder)).replace(ADDRESS, address)

    def blocks(self, language: str) -> list[str]:
        found = re.findall(rf"^(?:(<!-- not run -->)\n)?```{language}\n(.*?)^```$", self.text, re.M | re.S)
        return [code for mark, code in found if not mark]


def _ids(address: str, source: str) -> list[str]:
    """Return the ids of what the sandbox's index holds."""
    requests.post(f"{address}/_sandbox/settle", timeout=60).raise_for_status()
    answer = requests.get(f"{address}/_sandbox/sources/{source}/items?limit=10", timeout=60).json()
    return [one["documentId"] for one in answer["items"]]


@pytest.mark.long
def test_the_first_page_works_as_printed(tmp_path: Path) -> None:
    """Its commands, with the sandbox beside them, its DAG and its files where it says; then the test of a DAG."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    start, testing = (Printed(page, tmp_path, address) for page in ("start.md", "testing.md"))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
    }
    sandbox, connect, *rest = start.blocks("bash")
    [dag] = start.blocks("python")
    shop, test = testing.blocks("python")
    assert sandbox == "coveo-sandbox\n"
    program = subprocess.Popen(
        [*sandbox.split(), "--port", str(port)], env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        assert program.stdout is not None
        assert address in program.stdout.readline()
        said = _typed(connect, environment, tmp_path)
        assert "Connection success!" in said
        home = tmp_path / "airflow"
        (home / "dags" / "shoes.py").write_text(dag)
        csv, run, change = rest
        _typed(_with(connect, csv, run), environment, tmp_path)
        assert _ids(address, "products") == ["product://S1", "product://S2", "product://S3"]
        _typed(_with(connect, change), environment, tmp_path)
        assert _ids(address, "products") == ["product://S1", "product://S2"]

        (home / "dags" / "shop.py").write_text(shop)
        (tmp_path / "test_shop.py").write_text(test)
        tried = f"PYTHONPATH=$PYTHONPATH:$AIRFLOW_HOME/dags {sys.executable} -m pytest -q test_shop.py"
        assert "1 passed" in _typed(_with(connect, tried), environment, tmp_path)
    finally:
        program.send_signal(signal.SIGINT)
        program.wait(timeout=30)


def _with(connect: str, *commands: str) -> str:
    """Return commands of the same shell, in which what was exported still holds."""
    return "\n".join([*(line for line in connect.splitlines() if line.startswith("export ")), *commands])


def _typed(commands: str, environment: dict[str, str], folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-e", "-c", commands],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr

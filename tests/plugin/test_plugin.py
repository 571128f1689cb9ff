"""What Airflow's components pay for the plugin, and that none of them needs it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest

from coveo_provider.plugin import plugin
from coveo_provider.plugin.plugin import CoveoPlugin, LazyPages
from tests.conftest import ROOT
from tests.plugin.installed import write_metadata

HEAVY = {"fastapi", "starlette", "pandas", "polars", "pyarrow", "numpy", "requests"}


def _run(code: str, folder: Path, *paths: Path) -> str:
    """Run Python with the provider installed as pyproject.toml says, and return what it printed."""
    installed = write_metadata(folder / "installed")
    path = os.pathsep.join(map(str, (*paths, installed, ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path, "AIRFLOW_HOME": str(folder)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_airflow_finds_it_by_its_entry_point(tmp_path: Path) -> None:
    """As each component does: with its views, and without an error."""
    code = """
import json
from airflow import plugins_manager
info = next(one for one in plugins_manager.get_plugin_info() if one["name"] == "coveo")
errors = getattr(plugins_manager, "get_import_errors", lambda: plugins_manager.import_errors)()
views = [(view["destination"], view["name"], view.get("category")) for view in info["external_views"]]
print("\\n" + json.dumps([views, [app["url_prefix"] for app in info["fastapi_apps"]], errors]))
"""
    views, prefixes, errors = json.loads(_run(code, tmp_path).splitlines()[-1])
    assert views == [["dag_run", "Coveo", None], ["nav", "Coveo sources", "browse"]]
    assert prefixes == ["/coveo"]
    assert errors == {}


def test_importing_it_loads_no_library(tmp_path: Path) -> None:
    """Beside what Airflow's own base class loads, nothing but the module itself."""
    code = """
import airflow.plugins_manager, sys
before = set(sys.modules)
import coveo_provider.plugin.plugin
print("\\n" + " ".join(sys.modules))
print(" ".join(set(sys.modules) - before))
"""
    *_, every, added = _run(code, tmp_path).splitlines()
    assert not {name.split(".")[0] for name in every.split()} & HEAVY
    assert set(added.split()) - {"coveo_provider"} == {
        "coveo_provider.plugin",
        "coveo_provider.plugin.plugin",
    }


def test_operators_do_not_import_it(tmp_path: Path) -> None:
    code = """
import coveo_provider.operators, coveo_provider.task_groups, coveo_provider.hooks.coveo, sys
print(sorted(name for name in sys.modules if name.startswith("coveo_provider.plugin")))
"""
    assert _run(code, tmp_path).splitlines()[-1] == "[]"


@pytest.mark.slow
def test_dags_run_when_it_cannot_be_imported(tmp_path: Path) -> None:
    """Airflow notes the error and goes on: a DAG with operators is read and its task runs."""
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "sitecustomize.py").write_text(
        "import sys\n"
        "class Refusing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'coveo_provider.plugin.plugin':\n"
        "            raise ImportError('the plugin is broken')\n"
        "sys.meta_path.insert(0, Refusing())\n"
    )
    code = """
from airflow import plugins_manager
plugins_manager.ensure_plugins_loaded()
errors = getattr(plugins_manager, "get_import_errors", lambda: plugins_manager.import_errors)()
from pathlib import Path
from airflow.sdk import DAG
from airflow.utils import db
from coveo_provider.documents import DocumentMapping
from coveo_provider.operators import CoveoTransformOperator
from tests.dags.conftest import make_known
db.initdb()
Path("shoes.csv").write_text("sku\\n1\\n")
with DAG(dag_id="with_a_broken_plugin", schedule=None) as dag:
    CoveoTransformOperator(task_id="transform", mapping=DocumentMapping(document_id="product://{sku}"),
                           source=Path("shoes.csv").absolute().as_uri(), output=Path("out").absolute().as_uri())
make_known(dag)
run = dag.test()
print("\\n" + str(errors), run.state)
"""
    last = _run(code, tmp_path, broken).splitlines()[-1]
    assert last == "{'coveo_provider.plugin.plugin': 'the plugin is broken'} success"


def _ask(app: Any, kind: str = "http") -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": kind, "method": "GET", "path": "/coveo/style.css", "root_path": "/coveo", "headers": []}
    asyncio.run(app({**scope, "query_string": b"", "app": None}, receive, send))
    return sent


def test_pages_that_cannot_be_built_say_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Without templates the pages answer 500, and are built anew once these are there."""
    app = LazyPages()
    with monkeypatch.context() as patch:
        patch.setattr("coveo_provider.plugin.pages._HERE", tmp_path)
        start, body = _ask(app)
        assert start["status"] == 500
        assert b"the log of the API server says why" in body["body"]
        assert "cannot be built" in caplog.text
        assert _ask(app, "websocket") == []
    assert _ask(app)[0]["status"] == 200


def test_the_pages_are_built_once() -> None:
    app = LazyPages()
    assert [_ask(app)[0]["status"] for _ in range(2)] == [200, 200]
    assert app._app is not None
    assert isinstance(CoveoPlugin.fastapi_apps[0]["app"], LazyPages)
    assert plugin.PREFIX == "/coveo"


def test_templates_are_in_the_wheel(tmp_path: Path) -> None:
    """All that a page is written with, beside the modules."""
    code = f"""
from hatchling.builders.wheel import WheelBuilder
print(next(WheelBuilder({str(ROOT)!r}).build(directory={str(tmp_path)!r}, versions=["standard"])))
"""
    wheel = _run(code, tmp_path).splitlines()[-1]
    packed = {name.rpartition("/")[2] for name in ZipFile(wheel).namelist() if "/plugin/templates/" in name}
    assert packed == {path.name for path in (ROOT / "coveo_provider/plugin/templates").iterdir()}
    assert "style.css" in packed
    entry_points = next(name for name in ZipFile(wheel).namelist() if name.endswith("entry_points.txt"))
    assert b"coveo_provider.plugin.plugin:CoveoPlugin" in ZipFile(wheel).read(entry_points)

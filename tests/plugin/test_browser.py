"""The pages in Airflow's own UI, in a real browser: logged in, clicked and read as a person does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

import pytest
import requests

from tests.browser import IN_A_BROWSER
from tests.conftest import ROOT
from tests.plugin.conftest import Filled
from tests.plugin.installed import write_metadata
from tests.plugin.samples import ORGANIZATION
from tools.airflow_home import airflow
from tools.cluster.services import free_port

SHOTS = os.environ.get("COVEO_SHOTS")  # a folder for pictures of what was seen
pytestmark = IN_A_BROWSER


@dataclass
class Server:
    """Airflow's API server, with its UI, and somebody who may log in."""

    url: str
    user: str
    password: str

    def run_address(self, dag_id: str, run_id: str) -> str:
        return f"{self.url}/dags/{dag_id}/runs/{quote(run_id, safe='')}"


@pytest.fixture(scope="module")
def server(filled: Filled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`airflow api-server` on the database of the test, below a path as behind many a proxy."""
    from airflow.configuration import conf

    home = tmp_path_factory.mktemp("airflow")
    installed = write_metadata(home / "installed")
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps({"ann": "anns-password"}))
    port = free_port()
    url = f"http://127.0.0.1:{port}/flow"
    environment = {
        **os.environ,
        "PYTHONPATH": f"{installed}{os.pathsep}{ROOT}",
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": conf.get("database", "sql_alchemy_conn"),
        "AIRFLOW__CORE__FERNET_KEY": conf.get("core", "fernet_key"),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "ann:viewer",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "PYTHONWARNINGS": "ignore",
    }
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            airflow("api-server"), env=environment, cwd=home, stdout=log, stderr=log, start_new_session=True
        )
        try:
            _wait(url, process, home / "log")
            yield Server(url, "ann", "anns-password")
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(240):
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            if requests.get(f"{url}/api/v2/version", timeout=5).ok:
                return
        except requests.ConnectionError:
            time.sleep(0.5)  # a server that starts is asked until it answers
    raise AssertionError(log.read_text()[-3000:])


class Tab:
    """A page of the browser, logged in, with whom its frames asked besides Airflow."""

    def __init__(self, browser: Any, server: Server, **options: Any) -> None:
        self.server = server
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(60_000)
        self.foreign: list[str] = []
        self.refused: list[str] = []
        self.page.on("request", self._note)
        self.page.on("console", self._listen)

    def _note(self, request: Any) -> None:
        # The page around the frame makes blobs of its own, which carry the origin without the server's path.
        own = (self.server.url, f"blob:{urljoin(self.server.url, '/')}", "data:")
        if "/coveo" in request.frame.url and not request.url.startswith(own):
            self.foreign.append(request.url)

    def _listen(self, message: Any) -> None:
        if "Content Security Policy" in message.text:
            self.refused.append(message.text)

    def log_in(self) -> None:
        self.page.goto(self.server.url)
        self.page.locator("input[name=username]").fill(self.server.user)
        self.page.locator("input[name=password]").fill(self.server.password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(f"{self.server.url}/**")
        self.page.get_by_role("link", name="Home").first.wait_for()

    def shot(self, name: str) -> None:
        if SHOTS:
            self.page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)

    def __enter__(self) -> Tab:
        self.log_in()
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()
        assert (self.foreign, self.refused) == ([], [])


def test_the_tab_of_a_run(chromium: Any, server: Server, filled: Filled) -> None:
    """From the page of the run by the tab, and on to the refused items, the source and back to a load."""
    with Tab(chromium, server, viewport={"width": 1280, "height": 900}) as tab:
        tab.page.goto(server.run_address("shoes", filled.runs["shoes"]))
        tab.page.get_by_role("link", name="Coveo", exact=True).click()
        frame = tab.page.frame_locator("iframe[title=Coveo]")
        frame.get_by_role("heading", name="Load of products").wait_for()
        assert frame.get_by_text("57 documents were sent and 11 deletions.").is_visible()
        assert frame.get_by_text("6 of 15,000").is_visible()
        tab.shot("tab-1280")
        frame.get_by_role("link", name="All refused items").click()
        frame.get_by_role("heading", name="Refused items of products").wait_for()
        frame.get_by_label("Id, stage or reason").fill("product://24")
        frame.get_by_role("button", name="Find").click()
        frame.get_by_role("rowheader", name="product://249").wait_for()
        frame.get_by_role("link", name="Coveo sources").click()
        row = frame.get_by_role("row", name="products").filter(has_text=ORGANIZATION)
        row.get_by_role("link", name="products").click()
        frame.get_by_role("heading", name="Items after each load").wait_for()


def test_the_entry_under_browse(chromium: Any, server: Server, filled: Filled) -> None:
    with Tab(chromium, server, viewport={"width": 1280, "height": 900}) as tab:
        tab.page.get_by_role("button", name="Browse").click()
        tab.page.get_by_role("menuitem", name="Coveo sources").click()
        frame = tab.page.frame_locator("iframe[title='Coveo sources']")
        frame.get_by_role("heading", name="Coveo sources").wait_for()
        tab.shot("browse-1280")
        # Other tests leave sources of that name, too, in other organizations.
        row = frame.get_by_role("row", name="products").filter(has_text=ORGANIZATION)
        assert row.get_by_text("succeeded").is_visible()
        row.get_by_role("link").nth(1).click()
        frame.get_by_role("heading", name="Load of products").wait_for()


def _paths(filled: Filled) -> dict[str, str]:
    run = quote(filled.runs["shoes"], safe="")
    return {
        "sources": "/",
        "source": "/source?source=products&organization=acme",
        "run": f"/dags/shoes/runs/{run}",
        "refused": f"/refused?dag_id=shoes&run_id={run}&source=products&organization=acme",
        "none": f"/dags/none/runs/{quote(filled.runs['none'], safe='')}",
        "missing": "/nothing",
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_each_page_is_readable(
    chromium: Any, server: Server, filled: Filled, scheme: str, width: int
) -> None:
    """Nothing is wider than the screen, and a checker of accessibility finds nothing, contrast included."""
    from axe_playwright_python.sync_playwright import Axe

    size = {"width": width, "height": 900}
    with Tab(chromium, server, viewport=size, color_scheme=scheme, bypass_csp=True) as tab:
        for name, path in _paths(filled).items():
            tab.page.goto(f"{server.url}/coveo{path}")
            tab.shot(f"{name}-{width}-{scheme}")
            assert tab.page.evaluate("document.documentElement.scrollWidth") <= width, name
            found = Axe().run(tab.page).response["violations"]
            assert [(one["id"], [node["target"] for node in one["nodes"]]) for one in found] == [], name


def test_nobody_reads_it_without_a_login(server: Server, filled: Filled) -> None:
    for path in _paths(filled).values():
        if path != "/nothing":
            assert requests.get(f"{server.url}/coveo{path}", timeout=30).status_code == 401

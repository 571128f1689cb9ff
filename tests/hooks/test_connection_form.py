"""The connection's form and its test in Airflow's own UI, in a real browser before a real API server."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from airflow import __version__ as airflow_version

from coveo_provider.sandbox import Sandbox
from tests.browser import IN_A_BROWSER
from tools.airflow_home import ROOT, airflow, environment

STARTUP_SECONDS = 180
pytestmark = [
    *IN_A_BROWSER,
    pytest.mark.skipif(not airflow_version.startswith("3.3."), reason="the form is that of Airflow 3.3"),
]


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox.start(sources={"products": "CATALOG", "files": "PUSH"}) as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def server(running: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an API server that allows to test connections, in a home of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    home = tmp_path_factory.mktemp("airflow")
    variables = {
        **environment(home, running.url, api_key=running.api_key, organization_id=running.organization_id),
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__CORE__TEST_CONNECTION": "Enabled",
        "AIRFLOW__API__BASE_URL": url,
    }
    subprocess.run(airflow("db", "migrate"), env=variables, cwd=ROOT, check=True, capture_output=True)
    command = airflow("api-server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1")
    process = subprocess.Popen(
        command,
        env=variables,
        cwd=ROOT,
        start_new_session=True,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    said: list[str] = []
    started = threading.Event()

    def listen() -> None:
        for line in process.stdout or ():
            said.append(line)
            if "startup complete" in line:
                started.set()

    threading.Thread(target=listen, daemon=True).start()
    try:
        assert started.wait(STARTUP_SECONDS), "".join(said[-30:])
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


class Connections:
    """Airflow's page of connections, on which a person types, saves and tests."""

    def __init__(self, page: Any, url: str) -> None:
        self.page = page
        self.url = url
        self.dialog = page.get_by_role("dialog")

    def store(self, conn_id: str, sandbox: Sandbox, **fields: Any) -> None:
        """Store a connection without the form, as `airflow connections add` does."""
        connection = {
            "connection_id": conn_id,
            "conn_type": "coveo",
            "host": sandbox.url,
            "login": sandbox.organization_id,
            "password": sandbox.api_key,
            **fields,
        }
        answer = self.page.request.post(f"{self.url}/api/v2/connections", data=connection)
        assert answer.status == 201, answer.text()

    def open(self) -> None:
        self.page.goto(f"{self.url}/connections")

    def fill(self, **fields: str) -> None:
        for name, value in fields.items():
            self.dialog.locator(f"input[name={name}]").fill(value)

    def save(self) -> None:
        self.dialog.get_by_role("button", name="Save").click()
        self.dialog.wait_for(state="detached")

    def row(self, conn_id: str) -> Any:
        return self.page.get_by_role("row").filter(has_text=conn_id)

    def edit(self, conn_id: str) -> None:
        self.row(conn_id).get_by_role("button", name="Edit Connection").click()
        self.dialog.locator("input[name=login]").wait_for()

    def tested(self, conn_id: str) -> tuple[int, dict[str, Any]]:
        """Click on Test, and return the status and the body of the answer."""
        with self.page.expect_response(re.compile("/connections/test$")) as answered:
            self.row(conn_id).get_by_role("button", name="Test Connection").click()
        return answered.value.status, answered.value.json()


@pytest.fixture
def connections(chromium: Any, server: str) -> Iterator[Connections]:
    context = chromium.new_context(viewport={"width": 1280, "height": 1000})
    context.set_default_timeout(60_000)
    yield Connections(context.new_page(), server)
    context.close()


WORKS = {"status": True, "message": "Organization sandbox answered; sources that the key can see: 2"}


def test_a_connection_is_typed_and_tested(connections: Connections, running: Sandbox) -> None:
    """Airflow tests what is saved: the button stands in the list. Each field says what belongs there."""
    connections.open()
    connections.page.get_by_role("button", name="Add Connection").click()
    connections.fill(connection_id="typed")
    connections.dialog.get_by_role("combobox").first.fill("Coveo")
    connections.page.keyboard.press("Enter")
    form = connections.dialog
    form.get_by_text("Organization ID (required)").wait_for()
    shown = form.locator("input[name]:not([name=connection_id]):not([name^=element_])")
    hints = dict(shown.evaluate_all("fields => fields.map(field => [field.name, field.placeholder])"))
    assert hints.keys() == {"host", "login", "password", "port"}
    assert all(hints.values())

    connections.fill(login="sandbox", password=running.api_key, host=running.url, port="0")
    connections.save()

    assert connections.tested("typed") == (200, WORKS)


def test_a_stored_connection_is_tested_unchanged(connections: Connections, running: Sandbox) -> None:
    """Opened, closed, tested: the key that the form shows as stars is the stored one."""
    connections.store("stored", running, port=0)
    connections.open()
    connections.edit("stored")
    assert connections.dialog.locator("input[name=password]").input_value() == "***"
    connections.page.keyboard.press("Escape")
    connections.dialog.wait_for(state="detached")

    assert connections.tested("stored") == (200, WORKS)


def test_a_changed_connection_is_saved_and_tested(connections: Connections, running: Sandbox) -> None:
    """Even with another host: what is saved is no longer another destination, and the key stays."""
    connections.store("changed", running, port=0, host="http://127.0.0.1:9", extra=json.dumps({"timeout": 5}))
    connections.open()
    status, answer = connections.tested("changed")
    assert (status, answer["status"]) == (200, False)
    assert "no connection could be made" in answer["message"]
    connections.page.get_by_text("no connection could be made").first.wait_for()

    connections.edit("changed")
    connections.fill(host=running.url)
    connections.save()
    connections.row("changed").get_by_text(running.url).wait_for()

    assert connections.tested("changed") == (200, WORKS)


def test_a_connection_without_port_takes_a_0(connections: Connections, running: Sandbox) -> None:
    """Airflow 3.3 sends 0 for a port that is not set, and takes it for another destination."""
    connections.store("without", running)
    connections.open()
    status, answer = connections.tested("without")
    if status == 400:  # the versions up to 3.3.2
        assert "port to test differs" in answer["detail"]

    connections.edit("without")
    connections.fill(port="0")
    connections.save()
    connections.row("without").get_by_role("cell", name="0", exact=True).wait_for()

    assert connections.tested("without") == (200, WORKS)


def test_a_wrong_key_is_told_in_a_sentence(connections: Connections, running: Sandbox) -> None:
    """What the form cannot see before: the answer of Coveo."""
    connections.store("wrong", running, port=0, password="wrong-key")
    connections.open()

    status, answer = connections.tested("wrong")

    assert (status, answer["status"]) == (200, False)
    assert "API key" in answer["message"]
    assert "wrong-key" not in answer["message"]
    connections.page.get_by_text("Test Connection Failed").wait_for()

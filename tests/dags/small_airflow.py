"""A real Airflow on SQLite, each of its services a process of its own, for what no process can show alone."""

from __future__ import annotations

import base64
import secrets
import subprocess
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import requests

from coveo_provider.sandbox import Sandbox
from tools.airflow_home import ROOT, airflow, environment
from tools.cluster.services import CannotStart, Component, answers, free_port, wait_for

_UP_SECONDS = 180.0


class SmallAirflow:
    """
    API server, scheduler, DAG processor and triggerer of this environment's Airflow, while a ``with`` lasts.

    :param home: an empty folder; DAG files go into ``dags`` below it before it starts
    :param variables: of the environment, besides
    """

    def __init__(self, home: Path, sandbox: Sandbox, **variables: str) -> None:
        self.home = home
        self.components: dict[str, Component] = {}
        self._stack = ExitStack()
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._variables = {
            **environment(
                home, sandbox.url, api_key=sandbox.api_key, organization_id=sandbox.organization_id
            ),
            "PYTHONPATH": str(ROOT),
            "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "2",
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            **variables,
        }

    def __enter__(self) -> SmallAirflow:
        with ExitStack() as stack:
            log = self.home / "migrate.log"
            with log.open("wb") as file:
                migrate = airflow("db", "migrate")
                done = subprocess.run(migrate, env=self._variables, stdout=file, stderr=file, check=False)
            if done.returncode:
                raise CannotStart(f"airflow db migrate failed:\n{log.read_text(errors='replace')[-2_000:]}")
            for name in ("api-server", "scheduler", "dag-processor", "triggerer"):
                self.components[name] = Component(
                    name, airflow(name), self._variables, self.home / f"{name}.log"
                )
                self.components[name].start()
                stack.callback(self.components[name].stop)
            health = f"{self.url}/api/v2/monitor/health"
            self.wait_for("Airflow's API server", lambda: answers(health), _UP_SECONDS)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def wait_for(self, what: str, is_there: Any, seconds: float) -> None:
        """Wait until something is there, as long as all services run."""
        wait_for(what, is_there, seconds, self.components.values())

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """Call Airflow's REST API, and return its answer; ``None`` when it refuses."""
        headers = {"Authorization": f"Bearer {self._token}"}
        url = f"{self.url}/api/v2/{path}"
        answer = requests.request(method, url, headers=headers, timeout=60, **arguments)
        return answer.json() if answer.ok else None

    def said(self, task: str) -> str:
        """Return the log of a task, over all runs."""
        logs = sorted(self.home.glob(f"logs/**/*{task}*/**/*.log"))
        return "\n".join(log.read_text(errors="replace") for log in logs)

    @cached_property
    def _token(self) -> str:
        return str(requests.get(f"{self.url}/auth/token", timeout=60).json()["access_token"])

"""Airflow with its components apart and Celery workers, as on several machines."""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import time
from contextlib import AbstractContextManager, ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import requests

from coveo_provider.sandbox import Sandbox
from tools.airflow_home import ROOT, airflow, environment
from tools.cluster import services
from tools.cluster.services import CannotStart, Component, answers, listens, wait_for

WORKERS = ("worker-1", "worker-2")
BUCKET = "staging"
_DAG = "cluster_load"
_ENDED = frozenset({"success", "failed"})
_KEYS = {"aws_access_key_id": "local", "aws_secret_access_key": "local", "region_name": "us-east-1"}


class Cluster(AbstractContextManager["Cluster"]):
    """
    PostgreSQL, Redis, an S3, API server, scheduler, DAG processor, triggerer and two Celery workers.

    All listen on loopback, on free ports. Whatever happens, leaving it stops all of them.

    :param home: a folder for Airflow, databases and logs
    :param sandbox: what stands for Coveo's cloud
    :param slots: tasks that a worker runs at once
    """

    def __init__(self, home: Path, sandbox: Sandbox, *, slots: int) -> None:
        self.home, self._sandbox, self._slots = home, sandbox, slots
        self.components: dict[str, Component] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Cluster:
        with ExitStack() as stack:
            self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack) -> None:
        database = services.postgres(self.home / "postgres", stack)
        broker, self._s3 = (
            self._listening(stack, *server) for server in (services.redis(self.home), services.s3(self.home))
        )
        port = services.free_port()
        self._api = f"http://127.0.0.1:{port}"
        variables = self._variables(database, broker, self._s3, port)
        self._migrate(variables)
        for name in ("api-server", "scheduler", "dag-processor", "triggerer"):
            self._add(stack, Component(name, airflow(name), variables, self.home / f"{name}.log"))
        for name in WORKERS:
            command = airflow("celery", "worker", "--celery-hostname", name, "--skip-serve-logs")
            command += ["--concurrency", str(self._slots)]
            of_worker = {**variables, "WORKER_NAME": name}
            self._add(stack, Component(name, command, of_worker, self.home / f"{name}.log"))
        health = f"{self._api}/api/v2/monitor/health"
        wait_for("Airflow's API server", lambda: answers(health), 180, self.components.values())
        wait_for("Airflow", self._is_healthy, 180, self.components.values())
        wait_for("the DAG", self._unpaused, 180, self.components.values())
        for name in WORKERS:
            self._wait_for_worker(name)

    def _listening(self, stack: ExitStack, component: Component, address: str) -> str:
        """Start a server, and return its address once it listens there."""
        self._add(stack, component)
        port = urlsplit(address).port or 0
        wait_for(component.name, lambda: listens(port), 60, [component])
        return address

    def _add(self, stack: ExitStack, component: Component) -> None:
        self.components[component.name] = component
        component.start()
        stack.callback(component.stop)

    def _variables(self, database: str, broker: str, s3: str, port: int) -> dict[str, str]:
        sandbox = self._sandbox
        staging = {
            "conn_type": "aws",
            "login": _KEYS["aws_access_key_id"],
            "password": _KEYS["aws_secret_access_key"],
            "extra": {"endpoint_url": s3, "region_name": _KEYS["region_name"]},
        }
        return {
            **environment(
                self.home, sandbox.url, api_key=sandbox.api_key, organization_id=sandbox.organization_id
            ),
            "PYTHONPATH": str(ROOT),
            "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parent / "dags"),
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            # No more is queued than workers take: what waits in the queue for too long is failed.
            "AIRFLOW__CORE__PARALLELISM": str(len(WORKERS) * self._slots),
            # Both workers are on one host: a task tells them apart by the name that its worker goes by.
            "AIRFLOW__CORE__HOSTNAME_CALLABLE": "tools.cluster.names.worker_name",
            "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self._api}/execution/",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
            "AIRFLOW__CELERY__BROKER_URL": broker,
            "AIRFLOW__CELERY__RESULT_BACKEND": f"db+{database}",
            "AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER": "1",
            # A task whose worker is gone is noticed in seconds here, where it takes minutes by default.
            "AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "30",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
            "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "3",
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
            "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__BASE_URL": self._api,
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW_CONN_STAGING": json.dumps(staging),
        }

    def _migrate(self, variables: dict[str, str]) -> None:
        log = self.home / "migrate.log"
        with log.open("wb") as file:
            done = subprocess.run(
                airflow("db", "migrate"), env=variables, stdout=file, stderr=file, check=False
            )
        if done.returncode:
            raise CannotStart(f"airflow db migrate failed:\n{log.read_text(errors='replace')[-2_000:]}")

    def _call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self._token}"}
        return requests.request(
            method, f"{self._api}/api/v2/{path}", headers=headers, timeout=60, **arguments
        )

    @cached_property
    def _token(self) -> str:
        return str(requests.get(f"{self._api}/auth/token", timeout=60).json()["access_token"])

    def _is_healthy(self) -> bool:
        health = self._call("GET", "monitor/health").json()
        return all(
            health[name]["status"] == "healthy" for name in ("scheduler", "triggerer", "dag_processor")
        )

    def _unpaused(self) -> bool:
        return self._call("PATCH", f"dags/{_DAG}", json={"is_paused": False}).ok

    def put(self, name: str, file: Path) -> None:
        """Store a file in the bucket of the local S3."""
        import boto3

        client = boto3.client("s3", endpoint_url=self._s3, **_KEYS)
        if BUCKET not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
            client.create_bucket(Bucket=BUCKET)
        client.upload_file(str(file), BUCKET, name)

    def begin(self, folder: str) -> str:
        """Begin a load of a folder of the bucket; return the run's id."""
        body = {"logical_date": None, "conf": {"documents": f"s3://staging@{BUCKET}/{folder}"}}
        answer = self._call("POST", f"dags/{_DAG}/dagRuns", json=body)
        answer.raise_for_status()
        return str(answer.json()["dag_run_id"])

    def state(self, run: str) -> str:
        """Return the state of a run; empty while the API server cannot say."""
        try:
            return str(self._call("GET", f"dags/{_DAG}/dagRuns/{run}").json()["state"])
        except (requests.RequestException, KeyError):
            return ""

    def wait(self, run: str, seconds: float) -> str:
        """Wait for the end of a run, at most so long, and return its state."""
        end = time.monotonic() + seconds
        while (state := self.state(run)) not in _ENDED and time.monotonic() < end:
            time.sleep(0.5)
        return state

    def tasks(self, run: str) -> list[dict[str, Any]]:
        """Return the task instances of a run, as Airflow's API tells them."""
        found: list[dict[str, Any]] = []
        while True:
            path = f"dags/{_DAG}/dagRuns/{run}/taskInstances?limit=100&offset={len(found)}"
            page = self._call("GET", path).json()
            found += page["task_instances"]
            if len(found) >= page["total_entries"]:
                return found

    def _wait_for_worker(self, name: str) -> None:
        worker = self.components[name]
        wait_for(name, lambda: f"@{name} ready" in worker.log.read_text(errors="replace"), 120, [worker])

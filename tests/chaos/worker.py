"""
A worker with processes to kill and a clock of its own: ``python -m tests.chaos.worker``.

It reads jobs, a line of JSON each, and forks a process for each, as Airflow's supervisor does; so Airflow is
imported once. It tells the process's id before that makes its first call, and how it ended.
"""

from __future__ import annotations

import datetime as datetime_module
import json
import os
import signal
import sys
import time
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any
from urllib.request import Request, urlopen

_HOURS = 0.0
_time, _time_ns, _datetime = time.time, time.time_ns, datetime_module.datetime


def _shifted_time() -> float:
    return _time() + _HOURS * 3600


def _shifted_time_ns() -> int:
    return _time_ns() + int(_HOURS * 3600) * 10**9


class _Kind(type):
    """Lets what the machine's clock made pass for what the shifted one makes."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, _datetime)

    def __subclasscheck__(cls, subclass: Any) -> bool:
        return issubclass(subclass, _datetime)


class _ShiftedDatetime(datetime_module.datetime, metaclass=_Kind):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return _datetime.fromtimestamp(_shifted_time(), tz)

    @classmethod
    def utcnow(cls) -> Any:
        return _datetime.fromtimestamp(_shifted_time(), datetime_module.timezone.utc).replace(tzinfo=None)

    @classmethod
    def today(cls) -> Any:
        return cls.now()


def shift_clock() -> None:
    """Let all that is imported from now on see the shifted clock."""
    replaced: Any = datetime_module
    replaced.datetime = _ShiftedDatetime
    time.time, time.time_ns = _shifted_time, _shifted_time_ns


def main() -> None:
    """Fork a process for each job."""
    import random

    from coveo_provider.api import caller, retries
    from coveo_provider.operators.support import claims
    from tests.chaos.fast import Job, perform
    from tests.chaos.recipes import build, small_parts

    parts = small_parts()  # kept for as long as this process lives: else it ends at once
    parts.__enter__()
    claims.PAUSE = 0
    policy: Any = retries.RetryPolicy
    patched: Any = (caller, retries)
    for module in patched:
        module.RetryPolicy = lambda **options: policy(**{**options, "sleep": _waited})
    _say({"ready": os.getpid()})
    for line in sys.stdin:
        order = json.loads(line)
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.read(reading, 1)
            _run(order, random, perform, build, Job)
        _say({"pid": pid})
        sys.stdin.readline()  # the parent knows whom to kill
        os.write(writing, b".")
        os.close(reading)
        os.close(writing)
        _, status = os.waitpid(pid, 0)
        _say({"killed": os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, "status": status})


def _waited(seconds: float) -> None:
    """Let the time pass in the sandbox that a client would have waited."""
    sandbox = json.loads(os.environ["AIRFLOW_CONN_COVEO_DEFAULT"])["host"]
    body = json.dumps({"advance_seconds": max(seconds, 0.0)}).encode()
    headers = {"Content-Type": "application/json"}
    request = Request(f"{sandbox}/_sandbox/clock", body, headers, method="POST")
    with urlopen(request, timeout=30) as answer:
        answer.read()


def _run(order: dict[str, Any], random: Any, perform: Any, build: Any, job: Any) -> None:
    """Execute one try of a task, and leave its result in a file."""
    from coveo_provider.operators.support import claims
    from tests.chaos.variables import Variables

    global _HOURS
    code = 1
    try:
        _HOURS = order["hours"]
        os.environ.update(order["environment"])
        random.seed(order["seed"])
        patched: Any = claims
        patched.Variable = Variables(Path(order["folder"]))
        dag = build(order["recipe"], Path(order["folder"]), order["number"])
        result = perform(dag, job(**order["job"]))
        if order["dies"]:
            os.kill(os.getpid(), signal.SIGKILL)
        Path(order["result"]).write_text(json.dumps(vars(result)))
        code = 0
    except BaseException:  # noqa: BLE001  said, and the process ends in any case
        import traceback

        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _say(value: dict[str, Any]) -> None:
    sys.__stdout__.write(f"@{json.dumps(value)}\n")  # type: ignore[union-attr]
    sys.__stdout__.flush()  # type: ignore[union-attr]


def _imported() -> None:
    """Import once what each process needs: first what is compiled, which does not bear a datetime of Python's."""
    for name in ("pandas", "pyarrow.parquet", "pyarrow.dataset", "polars"):
        import_module(name)
    shift_clock()
    for place in ("api", "documents", "identities", "loading", "operators"):
        package = import_module(f"coveo_provider.{place}")
        for module in walk_packages(getattr(package, "__path__", ()), f"{package.__name__}."):
            import_module(module.name)


if __name__ == "__main__":
    _imported()
    main()

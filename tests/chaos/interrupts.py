"""A task that is stopped in the middle of a call, as Airflow does when its time, or that of its run, is up."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_SIGNAL = signal.SIGUSR1


class TaskTimedOut(BaseException):
    """``execution_timeout``: like Airflow's, no Exception."""


class RunTimedOut(BaseException):
    """``dagrun_timeout``, or a run that was marked as failed: nothing of it runs any more, teardowns neither."""


class _Pending:
    """Which time is up."""

    error: type[BaseException] | None = None
    inside = False


@contextmanager
def interruptible() -> Iterator[None]:
    """Let what runs meanwhile in the main thread be stopped."""
    _Pending.inside, _Pending.error = True, None
    try:
        yield
    finally:
        _Pending.inside = False


@contextmanager
def interrupts() -> Iterator[None]:
    """Let :func:`interrupt` work meanwhile; where this is no main thread, nothing is stopped."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(_SIGNAL, _stop)
    try:
        yield
    finally:
        signal.signal(_SIGNAL, before)


def interrupt(error: type[BaseException]) -> None:
    """Stop what the main thread runs: it gets the error in the middle of what it does."""
    _Pending.error = error
    signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)


def _stop(number: int, frame: Any) -> None:
    error, _Pending.error = _Pending.error, None
    if _Pending.inside and error is not None:
        _Pending.inside = False  # it comes once
        raise error

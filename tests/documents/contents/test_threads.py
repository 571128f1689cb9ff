"""Threads that nobody waits for once their results are not wanted any more."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from coveo_provider.documents.contents.threads import side_by_side

ROOT = Path(__file__).parents[3]


def test_results_come_in_order() -> None:
    """Whichever is ready first."""
    second = threading.Event()

    def work(number: int) -> int:
        if number == 1:
            second.set()
        elif number == 0:
            assert second.wait(10)
        return number * number

    assert list(side_by_side(work, range(50), threads=4, ahead=8, name="t")) == [n * n for n in range(50)]
    assert list(side_by_side(work, [], threads=4, ahead=8, name="t")) == []


def test_an_error_comes_in_its_place() -> None:
    """What came before it is had, what comes after it is not begun."""
    begun = []

    def work(number: int) -> int:
        begun.append(number)
        if number == 3:
            raise ValueError("three")
        return number

    results = side_by_side(work, range(1_000), threads=1, ahead=2, name="t")
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert len(begun) <= 3 + 1 + 2
    with pytest.raises(StopIteration):
        next(results)


def test_only_some_items_are_taken_ahead() -> None:
    """So what makes them is not run through at once."""
    taken = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = side_by_side(lambda number: number, items(), threads=2, ahead=5, name="t")
    next(results)
    assert len(taken) == 6


def test_whoever_leaves_waits_for_nothing() -> None:
    """Not even for a thread that hangs; what was not begun is dropped."""
    never, hanging = threading.Event(), threading.Event()
    begun = []

    def work(number: int) -> int:
        begun.append(number)
        if number:
            hanging.set()
            never.wait()
        return number

    results = side_by_side(work, range(10), threads=1, ahead=5, name="t")
    assert next(results) == 0
    assert hanging.wait(10)
    assert isinstance(results, Iterator)
    results.close()  # type: ignore[attr-defined]
    never.set()
    for thread in threading.enumerate():
        if thread.name == "t-1":
            thread.join(10)
            assert not thread.is_alive()
    assert begun == [0, 1]


_HANGING = """
import signal, threading
from contextlib import contextmanager
from coveo_provider.documents.contents.files import ContentSpool
from coveo_provider.documents.records import ContentFile

class TimeOut(BaseException):
    pass

def time_out(*_):
    raise TimeOut

@contextmanager
def open_file(uri, roots):
    signal.setitimer(signal.ITIMER_REAL, 0.01)  # the task's time-out comes while the file hangs
    threading.Event().wait()
    yield

signal.signal(signal.SIGALRM, time_out)
try:
    with ContentSpool(open_file) as spool:
        spool.look([ContentFile("a:b", "x:y", "ZLIB")])
except TimeOut:
    print("left")
"""


def test_a_file_that_hangs_holds_neither_task_nor_process() -> None:
    """A time-out is raised in the main thread: leaving does not wait for the reader, nor does the process."""
    done = subprocess.run(
        [sys.executable, "-c", _HANGING],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    assert (done.returncode, done.stdout) == (0, "left\n"), done.stderr

"""Work done in threads that nobody waits for once its results are not wanted any more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import TypeAlias, TypeVar

S = TypeVar("S")
T = TypeVar("T")
_Jobs: TypeAlias = "SimpleQueue[tuple[Future[T], S] | None]"


def side_by_side(
    work: Callable[[S], T], items: Iterable[S], *, threads: int, ahead: int, name: str
) -> Iterator[T]:
    """
    Return what becomes of each item, in order, while threads work on those that follow.

    Whoever stops taking results, by an error or a time-out, waits for nothing: what was not begun is dropped, and a
    thread that hangs in its work ends with the process. An executor of Python's own would wait for it, also at the
    end of the process.

    :param threads: how many work at once
    :param ahead: how many items are handed to them before the result of the first is asked for
    :param name: of the threads
    """
    jobs: _Jobs[T, S] = SimpleQueue()
    waiting: deque[Future[T]] = deque()
    started = 0
    try:
        for item in items:
            future: Future[T] = Future()
            waiting.append(future)
            jobs.put((future, item))
            if started < threads:
                started += 1
                Thread(target=_serve, args=(jobs, work), name=f"{name}-{started}", daemon=True).start()
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
        for _ in range(started):
            jobs.put(None)


def _serve(jobs: _Jobs[T, S], work: Callable[[S], T]) -> None:
    while (job := jobs.get()) is not None:
        future, item = job
        if not future.set_running_or_notify_cancel():
            continue
        try:
            result = work(item)
        except BaseException as error:  # noqa: BLE001  whoever asks for the result gets it
            future.set_exception(error)
        else:
            future.set_result(result)

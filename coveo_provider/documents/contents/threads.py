"""Work done in threads that nobody waits for once its results are not wanted any more."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

S = TypeVar("S")
T = TypeVar("T")


class Workers(Generic[S, T]):
    """
    Threads that work on items.

    A context manager. Leaving it waits for nothing: what was not begun is dropped, and a thread that hangs in its
    work ends with the process. An executor of Python's own would wait for it, also at the end of the process.

    :param work: what is done with each item
    :param threads: how many work at once
    :param name: of the threads
    """

    def __init__(self, work: Callable[[S], T], *, threads: int, name: str) -> None:
        self._work = work
        self._most = threads
        self._label = name
        self._jobs: SimpleQueue[tuple[Future[T], S] | None] = SimpleQueue()
        self._futures: set[Future[T]] = set()
        self._started = 0

    def __enter__(self) -> Workers[S, T]:
        return self

    def __exit__(self, *_: object) -> None:
        for future in list(self._futures):
            future.cancel()
        for _number in range(self._started):
            self._jobs.put(None)

    @property
    def busy(self) -> int:
        """How many items are not done."""
        return len(self._futures)

    def begin(self, item: S) -> Future[T]:
        """Hand an item to the threads."""
        future: Future[T] = Future()
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        self._jobs.put((future, item))
        if self._started < self._most:
            self._started += 1
            Thread(target=self._serve, name=f"{self._label}-{self._started}", daemon=True).start()
        return future

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, item = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = self._work(item)
            except BaseException as error:  # noqa: BLE001  whoever asks for the result gets it
                future.set_exception(error)
            else:
                future.set_result(result)


def side_by_side(
    work: Callable[[S], T], items: Iterable[S], *, threads: int, ahead: int, name: str
) -> Iterator[T]:
    """
    Return what becomes of each item, in order, while threads work on those that follow.

    Whoever stops taking results, by an error or a time-out, waits for nothing, as :class:`Workers` says.

    :param threads: how many work at once
    :param ahead: how many items are handed to them before the result of the first is asked for
    :param name: of the threads
    """
    waiting: deque[Future[T]] = deque()
    with Workers(work, threads=threads, name=name) as workers:
        for item in items:
            waiting.append(workers.begin(item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

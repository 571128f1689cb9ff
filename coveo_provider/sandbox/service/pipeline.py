"""
The queue between a 2xx answer and the index: accepted operations, applied one by one, none before its time.

Accepting and indexing are apart as in the service (docs 32): a caller who wants to see the index as it will be
waits with :meth:`Pipeline.drain` or :meth:`Pipeline.settle`.
"""

from __future__ import annotations

import heapq
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from coveo_provider.sandbox.service.clock import Clock

    Work = Callable[[], None]


class Pipeline:
    """
    One worker thread applying operations in the order of their due times, then of their arrival.

    :param on_error: told of an exception that escaped an operation: a defect of the sandbox
    """

    def __init__(self, clock: Clock, on_error: Callable[[BaseException], None]) -> None:
        self._clock, self._on_error = clock, on_error
        self._changed = threading.Condition()
        self._queue: list[tuple[int, int, Work]] = []
        self._accepted = 0
        self._busy = False
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="coveo-sandbox-pipeline", daemon=True)
        clock.subscribe(self._wake)
        self._thread.start()

    def submit(self, work: Work, *, due_ms: int | None = None) -> None:
        """Accept an operation, to be applied at ``due_ms`` or as soon as its turn comes."""
        with self._changed:
            self._accepted += 1
            due_ms = self._clock.now_ms() if due_ms is None else due_ms
            heapq.heappush(self._queue, (due_ms, self._accepted, work))
            self._changed.notify_all()

    def pending(self) -> int:
        """How many operations wait or run."""
        with self._changed:
            return len(self._queue) + self._busy

    def drain(self, timeout: float | None = None) -> bool:
        """Wait until what is due has been applied; False when ``timeout`` (real seconds) passed before."""
        with self._changed:
            return self._changed.wait_for(lambda: self._stopped or self._idle(), timeout)

    def hasten(self, timeout: float = 30.0) -> None:
        """
        Spare a caller who looks what became of a load the wait: apply what is due, else jump to what is due next.

        A clock that stands is moved by its owner alone.
        """
        self.drain(timeout)
        with self._changed:
            due_ms = self._queue[0][0] if self._queue and self._clock.scale else 0
        if due_ms > self._clock.now_ms():
            self._clock.advance_to(due_ms)
            self.drain(timeout)

    def settle(self, timeout: float | None = None) -> bool:
        """Wait until everything has been applied, moving the clock to each operation that is not due yet."""
        while self.drain(timeout):
            with self._changed:
                if self._stopped or not (self._queue or self._busy):
                    return True
                due_ms = self._queue[0][0] if self._queue else 0
            self._clock.advance_to(due_ms)
        return False

    def clear(self) -> None:
        """Forget what waits, and return when what runs has ended."""
        with self._changed:
            self._queue.clear()
            self._changed.wait_for(lambda: not self._busy)

    def stop(self, timeout: float = 30.0) -> None:
        """End the worker after the operation it is at; what waits is not applied."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._clock.unsubscribe(self._wake)
        self._thread.join(timeout)

    @property
    def stopped(self) -> bool:
        """Whether :meth:`stop` was called; long operations look here between two slices."""
        return self._stopped

    def _idle(self) -> bool:
        return not self._busy and not (self._queue and self._queue[0][0] <= self._clock.now_ms())

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _next(self) -> Work | None:
        with self._changed:
            while not self._stopped:
                if self._queue:
                    wait = self._clock.real_seconds_until(self._queue[0][0])
                    if wait == 0:
                        self._busy = True
                        return heapq.heappop(self._queue)[2]
                    # A whole minute at most: waits for longer than a C time_t would overflow.
                    self._changed.wait(60 if wait is None else min(wait, 60))
                else:
                    self._changed.wait()
            return None

    def _run(self) -> None:
        while (work := self._next()) is not None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - handed to the test that owns the sandbox
                self._on_error(error)
            with self._changed:
                self._busy = False
                self._changed.notify_all()

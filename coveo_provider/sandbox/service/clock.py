"""The sandbox's own time: it can run faster than the machine's, and be moved forward by a test."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_END_MS = 9_999_999_999_999


class Clock:
    """
    A clock that never goes back, shared by everything the sandbox dates.

    :param scale: how many seconds pass here in one real second; 0 stops the clock, so that only
        :meth:`advance` moves it
    :param start_ms: where to start, in milliseconds since the Unix epoch; now, when left out
    :raises ValueError: for a negative scale or start
    """

    def __init__(self, scale: float = 1.0, start_ms: int | None = None) -> None:
        if not 0 <= scale < float("inf"):
            raise ValueError(f"a clock's scale is 0 or more, not {scale}")
        if start_ms is not None and start_ms < 0:
            raise ValueError(f"a clock starts at 0 or later, not {start_ms}")
        self.scale = scale
        self._lock = threading.Lock()
        self._origin = time.monotonic()
        self._offset_ms = time.time_ns() // 1_000_000 if start_ms is None else start_ms
        self._listeners: list[Callable[[], None]] = []

    def now_ms(self) -> int:
        """Milliseconds since the Unix epoch, never less than an earlier answer."""
        with self._lock:
            return self._read()

    def advance(self, *, seconds: float) -> int:
        """
        Jump forward and return the new time in milliseconds.

        :raises ValueError: when ``seconds`` is negative, as time does not go back, or leads beyond the year
            2286, where milliseconds have 14 digits and are no orderingIds any more
        """
        with self._lock:
            if not (0 <= seconds <= _END_MS / 1000 and self._read() + seconds * 1000 <= _END_MS):
                raise ValueError(f"the clock goes forward, up to the year 2286, not by {seconds} seconds")
            self._offset_ms += round(seconds * 1000)
            now = self._read()
        self._tell()
        return now

    def advance_to(self, moment_ms: int) -> int:
        """Jump to ``moment_ms`` unless that moment has passed, and return the time in milliseconds."""
        with self._lock:
            self._offset_ms += max(0, moment_ms - self._read())
            now = self._read()
        self._tell()
        return now

    def real_seconds_until(self, moment_ms: int) -> float | None:
        """How long to wait on the machine's clock for ``moment_ms``; None when only a jump gets there."""
        left_ms = moment_ms - self.now_ms()
        if left_ms <= 0:
            return 0.0
        return left_ms / 1000 / self.scale if self.scale else None

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after every jump, so that what waits for a moment looks again."""
        with self._lock:
            self._listeners.append(listener)

    def unsubscribe(self, listener: Callable[[], None]) -> None:
        """Stop calling ``listener``."""
        with self._lock:
            self._listeners.remove(listener)

    def _read(self) -> int:
        return self._offset_ms + int((time.monotonic() - self._origin) * 1000 * self.scale)

    def _tell(self) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            listener()


def iso(time_ms: int) -> str:
    """Write a moment as the API does, UTC with milliseconds."""
    moment = datetime.fromtimestamp(time_ms / 1000, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_ms % 1000:03d}Z"

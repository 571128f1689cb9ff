"""A line in the log every ten seconds of long work."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

Log: TypeAlias = "Callable[..., object]"

PROGRESS_SECONDS = 10.0


class Progress:
    """
    Logs a line every ten seconds of long work.

    :param log: called with a message and its arguments, as ``logging.Logger.info``
    :param verb: what is being done: ``encoded``, ``uploaded``
    :param total: how much there is, in the unit of :meth:`step`; ``None`` when unknown
    :param unit: ``documents`` or ``bytes``
    :param clock: monotonic seconds
    """

    def __init__(
        self,
        log: Log,
        verb: str,
        total: int | None,
        unit: str = "documents",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log, self._verb, self._total, self._unit, self._clock = log, verb, total, unit, clock
        self._start = self._last = clock()
        self._done = self._bytes = 0

    def step(self, done: int, size: int) -> None:
        """Count ``done`` more documents (or bytes), of ``size`` bytes."""
        self._done += done
        self._bytes += size
        now = self._clock()
        if now - self._last < PROGRESS_SECONDS:
            return
        self._last = now
        seconds = max(now - self._start, 1e-9)
        rate = self._done / seconds
        left = (
            f", about {max(self._total - self._done, 0) / rate:,.0f} s left" if self._total and rate else ""
        )
        what = f"{self._done:,} documents, " if self._unit == "documents" else ""
        speed = f"{rate:,.0f} documents/s" if self._unit == "documents" else f"{rate / 1e6:,.1f} MB/s"
        self._log("%s %s%.1f MB so far, %s%s", self._verb, what, self._bytes / 1e6, speed, left)

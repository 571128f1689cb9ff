"""
The retry policy: how often a call is sent again, how long it waits, and when it gives up.

Airflow's own task retry is the second and last layer above it (``docs/api-notes.md``, "Errors and retries").
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from coveo_provider.errors import CoveoError, ServerError, UnexpectedAnswer, Unreachable

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RetryPolicy:
    """
    How often and how patiently a call is sent again.

    :param attempts: how many times a call is sent at most
    :param max_wait: the longest pause of the exponential back-off, in seconds
    :param max_block_seconds: a wait the API asks for that is longer than this is not slept through: the
        error is raised, with its ``retry_after``, and a worker's slot is not spent on waiting
    :param sleep: called with seconds; tests pass their own
    :param clock: tells monotonic seconds; tests pass their own
    """

    attempts: int = 6
    max_wait: float = 60.0
    max_block_seconds: float = 60.0
    sleep: Callable[[float], None] = field(default=time.sleep, repr=False, compare=False)
    clock: Callable[[], float] = field(default=time.monotonic, repr=False, compare=False)

    def run(
        self,
        call: Callable[[], T],
        may_retry: Callable[[CoveoError], bool],
        *,
        told: Callable[[float], None] = lambda _: None,
    ) -> T:
        """
        Return what ``call`` returns, calling again while ``may_retry`` says so of its error.

        :param told: called with the seconds of each wait, before it
        """

        def wanted(error: BaseException) -> bool:
            return isinstance(error, CoveoError) and may_retry(error) and self._bearable(error)

        def announced(state: RetryCallState) -> None:
            told(_announce(state))

        return Retrying(
            stop=stop_after_attempt(self.attempts),
            wait=self._wait,
            retry=retry_if_exception(wanted),
            sleep=self.sleep,
            before_sleep=announced,
            reraise=True,
        )(call)

    def _bearable(self, error: CoveoError) -> bool:
        asked: float | None = getattr(error, "retry_after", None)
        return asked is None or asked <= self.max_block_seconds

    def _wait(self, state: RetryCallState) -> float:
        """Wait as long as the API asks; where it does not say, back off exponentially with full jitter."""
        error = state.outcome.exception() if state.outcome else None
        asked: float | None = getattr(error, "retry_after", None)
        if asked is not None:
            return asked + random.uniform(0, 0.5)
        return random.uniform(0, min(self.max_wait, 2.0 ** min(state.attempt_number - 1, 30))) + 0.1


def may_have_been_carried_out(error: CoveoError) -> bool:
    """Whether a call that failed so may nevertheless have had its effect."""
    if isinstance(error, Unreachable):
        return error.sent
    return isinstance(error, (ServerError, UnexpectedAnswer))


def _announce(state: RetryCallState) -> float:
    """Log why a call is sent again, and return after how many seconds."""
    error = state.outcome.exception() if state.outcome else None
    wait = state.next_action.sleep if state.next_action else 0.0
    log.warning("%s; sending again in %.1f s (attempt %d)", error, wait, state.attempt_number + 1)
    return wait

"""The sandbox's failures, as a schedule has them, with what cannot be ordered: jumps of its clock, and deaths."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from coveo_provider.sandbox import Call, Sandbox
from coveo_provider.sandbox.http.faults import Action, Cut, Duplicate, Faults, Slow, Truncate
from tests.chaos.schedule import DECISIVE, Jump, Kill, Strike

_CARRIED_OUT = (Truncate, Slow, Duplicate)


@dataclass
class _Pending:
    strike: Strike
    skip: int
    times: int

    def struck(self) -> bool:
        """Whether the next matching call is struck; it is counted."""
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return self.times >= 0


class Storm(Faults):
    """
    Takes the place of a sandbox's faults.

    :ivar injected: what went wrong, by kind
    :ivar decided: whether a call was carried out after which the input is what the index holds
    """

    def __init__(self, sandbox: Sandbox, strikes: Sequence[Strike] = ()) -> None:
        super().__init__()
        self.sandbox, self.strikes = sandbox, strikes
        self.injected: Counter[str] = Counter()
        self.decided = False
        self._storm_lock = threading.Lock()
        self._pending = [_Pending(strike, strike.skip, strike.times) for strike in strikes]
        self._dying: set[int] = set()
        self._victim: int | None = None
        self._known = threading.Event()
        server: Any = sandbox._server
        sandbox.faults = server.faults = self
        server.on_call = self._called

    def working(self, pid: int | None) -> None:
        """Name the process that makes the calls from now on."""
        self._victim = pid
        if pid is None:
            self._known.clear()
        else:
            self._known.set()

    def dies_at_the_end(self) -> bool:
        """Whether the try of a task that is about to start dies when its work is done."""
        with self._storm_lock:
            for one in self._pending:
                if one.strike.effect == Kill("end") and one.struck():
                    self.injected[one.strike.kind] += 1
                    return True
        return False

    def take(self, route: str, method: str, path: str) -> Action | None:
        """Give what goes wrong with this call."""
        with self._storm_lock:
            strikes = [
                one.strike
                for one in self._pending
                if one.strike.route in (None, route) and one.strike.effect != Kill("end") and one.struck()
            ]
            action = self._taken(strikes)
        if route in DECISIVE and (action == Cut("after") or isinstance(action, _CARRIED_OUT)):
            self.decided = True
        return action

    def _taken(self, strikes: Sequence[Strike]) -> Action | None:
        """Give the first failure of those that strike one call; time and death come besides."""
        action: Action | None = None
        for strike in strikes:
            effect = strike.effect
            if isinstance(effect, Jump):
                self.sandbox.clock.advance(seconds=effect.seconds)
            elif isinstance(effect, Kill):
                if effect.when == "before":
                    self._kill()
                    action = Cut("before")
                else:
                    self._dying.add(threading.get_ident())
            elif action is None:
                action = effect
            else:
                continue
            self.injected[strike.kind] += 1
        return action

    def _called(self, call: Call) -> None:
        """Note a call that was carried out; its answer is not sent yet."""
        if call.route in DECISIVE and 200 <= call.status < 300:
            self.decided = True
        self.sandbox._note(call)
        if threading.get_ident() in self._dying:
            self._dying.discard(threading.get_ident())
            self._kill()

    def _kill(self) -> None:
        if self._known.wait(10) and self._victim is not None:
            with suppress(ProcessLookupError):
                os.kill(self._victim, signal.SIGKILL)

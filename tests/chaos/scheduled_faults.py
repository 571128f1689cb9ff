"""The faults of a schedule, made to happen: in answers, in the sandbox's clock, and to the worker's process."""

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
from tests.chaos.interrupts import RunTimedOut, TaskTimedOut, interrupt
from tests.chaos.schedule import DECISIVE, Jump, Kill, PlannedFault, TimeUp

_CARRIED_OUT = (Truncate, Slow, Duplicate)


@dataclass
class _Pending:
    fault: PlannedFault
    skip: int
    times: int

    def applies(self) -> bool:
        """Whether the fault happens to the next call that matches; the call is counted."""
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return self.times >= 0


class ScheduledFaults(Faults):
    """
    Takes the place of a sandbox's own faults.

    :param planned: what goes wrong, and when

    :ivar injected: what went wrong, by kind
    :ivar decided: whether a call was carried out after which the input is what the index holds
    """

    def __init__(self, sandbox: Sandbox, planned: Sequence[PlannedFault] = ()) -> None:
        super().__init__()
        self.sandbox, self.planned = sandbox, planned
        self.injected: Counter[str] = Counter()
        self.decided = False
        self._schedule_lock = threading.Lock()
        self._pending = [_Pending(fault, fault.skip, fault.times) for fault in planned]
        self._dying: set[int] = set()
        self._stopping: dict[int, type[BaseException]] = {}
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
        with self._schedule_lock:
            for one in self._pending:
                if one.fault.effect == Kill("end") and one.applies():
                    self.injected[one.fault.kind] += 1
                    return True
        return False

    def take(self, route: str, method: str, path: str) -> Action | None:
        """Give what goes wrong with this call."""
        with self._schedule_lock:
            faults = [
                one.fault
                for one in self._pending
                if one.fault.route in (None, route) and one.fault.effect != Kill("end") and one.applies()
            ]
            action = self._taken(faults)
        carried_out = isinstance(action, _CARRIED_OUT) or getattr(action, "when", "") == "after"
        if route in DECISIVE and carried_out:
            self.decided = True
        return action

    def _taken(self, faults: Sequence[PlannedFault]) -> Action | None:
        """Give the first fault in the answer; jumps of the clock and kills happen besides."""
        action: Action | None = None
        for fault in faults:
            effect = fault.effect
            if isinstance(effect, Jump):
                self.sandbox.clock.advance(seconds=effect.seconds)
            elif isinstance(effect, Kill):
                if effect.when == "before":
                    self._kill()
                    action = Cut("before")
                else:
                    self._dying.add(threading.get_ident())
            elif action is None and isinstance(effect, TimeUp):
                self._stopping[threading.get_ident()] = RunTimedOut if effect.run else TaskTimedOut
                action = Cut(effect.when)
            elif action is None and not isinstance(effect, TimeUp):
                action = effect
            else:
                continue
            self.injected[fault.kind] += 1
        return action

    def _called(self, call: Call) -> None:
        """Note a call that was carried out; its answer is not sent yet."""
        if call.route in DECISIVE and call.reached and 200 <= call.status < 300:
            self.decided = True
        self.sandbox._note(call)
        if threading.get_ident() in self._dying:
            self._dying.discard(threading.get_ident())
            self._kill()
        if (stopped := self._stopping.pop(threading.get_ident(), None)) is not None:
            interrupt(stopped)

    def _kill(self) -> None:
        if self._known.wait(10) and self._victim is not None:
            with suppress(ProcessLookupError):
                os.kill(self._victim, signal.SIGKILL)

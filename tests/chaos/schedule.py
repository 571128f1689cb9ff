"""What goes wrong in a run, and when: drawn from a seed, and readable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from email.utils import formatdate
from random import Random

from coveo_provider.sandbox.http.faults import (
    Action,
    Answer,
    Cut,
    Duplicate,
    ExpireUpload,
    Slow,
    Stall,
    Truncate,
)

STALL_SECONDS = 0.8
STALL_TIMEOUT = 0.4
"""The connection's timeout where a call stalls; elsewhere it is long, so that a busy machine adds no fault."""

_CALLS = {
    "catalog_load": ("stream.open", "stream.chunk", "upload", "stream.close"),
    "catalog_refresh": ("file.create", "upload", "stream.update", "stream.delete_older"),
    "push": ("source.status", "file.create", "upload", "batch.put", "items.delete_older"),
    "secured_push": (
        *("platform.provider.get", "platform.provider.put", "platform.provider.create"),
        *("identities.batch", "identities.delete_older"),
        *("source.status", "file.create", "upload", "batch.put", "items.delete_older"),
    ),
}
CALLS = {
    "catalog_load": _CALLS["catalog_load"],
    "catalog_refresh": _CALLS["catalog_refresh"],
    "catalog_refresh_state": _CALLS["catalog_refresh"],
    "push_rebuild": _CALLS["push"],
    "incremental_push_state": _CALLS["push"],
    "secured_push": _CALLS["secured_push"],
}
RECIPES = tuple(CALLS)

DECISIVE = frozenset({"stream.close", "stream.delete_older", "items.delete_older"})
"""Calls after which the input is what the index holds, though the run may not know it."""


@dataclass(frozen=True)
class Jump:
    """Move the sandbox's clock forward."""

    seconds: float


@dataclass(frozen=True)
class Kill:
    """
    Kill the worker's process: ``before`` the call is carried out, or ``after`` that; or at the ``end``.

    At the end it has done its work, and dies before it can tell.
    """

    when: str


@dataclass(frozen=True)
class PlannedFault:
    """
    One thing that goes wrong.

    :param kind: what it is counted as
    :param route: the calls it happens to, any when ``None``; for a kill at the end the name of a task
    :param skip: how many of these go well first
    :param times: how many go wrong then
    """

    kind: str
    effect: Action | Jump | Kill
    route: str | None = None
    skip: int = 0
    times: int = 1

    def __str__(self) -> str:
        what = f"{self.route or 'any call'} number {self.skip + 1}"
        if self.times > 1:
            what += f" to {self.skip + self.times}"
        return f"{what}: {self.kind}, {self.effect}"


@dataclass(frozen=True)
class Schedule:
    """
    All that goes wrong in one run.

    :param server_hours: how far the server's clock is from the machine's
    :param worker_hours: how far the worker's is, one try of a task after the other; where it has a process of
        its own
    """

    faults: tuple[PlannedFault, ...]
    server_hours: float
    worker_hours: tuple[float, ...] = ()

    @property
    def timeout(self) -> float:
        """How long a call may take, in seconds."""
        return STALL_TIMEOUT if any(isinstance(one.effect, Stall) for one in self.faults) else 30.0

    def __str__(self) -> str:
        lines = [f"the server's clock is {self.server_hours:+.1f} h off"]
        if self.worker_hours:
            hours = ", ".join(f"{hours:+.1f}" for hours in self.worker_hours)
            lines.append(f"the worker's clock is off by hours, try after try: {hours}")
        return "\n".join(f"  {line}" for line in [*lines, *map(str, self.faults)])


def _throttled(random: Random) -> PlannedFault:
    return PlannedFault("429", Answer.throttled())


def _with_retry_after(random: Random) -> PlannedFault:
    waits: list[int | str] = [0, 1, 30, 120, formatdate(0, usegmt=True), "soon"]
    return PlannedFault("429 Retry-After", Answer.throttled(random.choice(waits)))


def _server_error(status: int) -> Callable[[Random], PlannedFault]:
    def make(random: Random) -> PlannedFault:
        body = random.choice(["", '{"message": "Internal error"}', "<html><h1>Bad gateway</h1></html>"])
        return PlannedFault(str(status), Answer(status, body))

    return make


def _cut(when: str) -> Callable[[Random], PlannedFault]:
    return lambda random: PlannedFault(f"reset {when}", Cut(when))


_KINDS: tuple[Callable[[Random], PlannedFault], ...] = (
    _throttled,
    _with_retry_after,
    *(_server_error(status) for status in (500, 502, 503, 504)),
    _cut("before"),
    _cut("during"),
    _cut("after"),
    _cut("after"),  # the answer that is lost is the hardest of all
    lambda random: PlannedFault("truncated", Truncate(random.randint(0, 20))),
    lambda random: PlannedFault("slow", Slow(random.uniform(0.02, 0.15))),
    lambda random: PlannedFault("stall", Stall(STALL_SECONDS)),
    lambda random: PlannedFault("expired address", ExpireUpload()),
    lambda random: PlannedFault("S3 403", Answer.storage_denied(), "upload"),
    lambda random: PlannedFault("duplicate", Duplicate(last=random.random() < 0.3)),
    lambda random: PlannedFault("clock jump", Jump(random.choice([1, 60, 900, 3700, 4 * 3600]))),
)
_SINGLE = (
    "stall",
    "slow",
    "duplicate",
    "clock jump",
    "expired address",
)  # costly, or of no effect when repeated


def drawn(seed: int, recipe: str, *, kills: bool = False) -> Schedule:
    """
    Return what goes wrong in the run of a seed.

    :param kills: whether there is a process to kill, whose clock is off
    """
    random = Random(f"schedule {seed}")
    faults = [_fault(random, CALLS[recipe]) for _ in range(random.choice([1, 2, 3, 4, 6]))]
    if random.random() < 0.2:
        faults = [_lost_answers(random, CALLS[recipe])]
    stalled = [one for one in faults if one.kind == "stall"]
    faults = [one for one in faults if one not in stalled[1:]]
    schedule = Schedule(tuple(faults), server_hours=random.uniform(-12, 12))
    if not kills:
        return schedule
    deaths = [_death(random, CALLS[recipe]) for _ in range(random.choice([1, 1, 2, 3]))]
    hours = tuple(random.uniform(-12, 12) for _ in range(random.choice([1, 3])))
    # A kill is tried on fewer other faults, so that it is what the run has to survive.
    return replace(schedule, faults=(*schedule.faults[:2], *deaths), worker_hours=hours)


def _fault(random: Random, calls: Sequence[str]) -> PlannedFault:
    made = random.choice(_KINDS)(random)
    route = made.route or (random.choice(calls) if random.random() < 0.85 else None)
    if route == "upload" and made.kind == "duplicate":
        route = None
    if made.kind == "expired address" and route not in {"upload", "file.create", "stream.chunk"}:
        route = "upload"
    times = 1
    if made.kind not in _SINGLE:
        # Six attempts make a try, and three tries a task.
        times = random.choice([1, 1, 1, 2, 2, 3, 5, 6, 8, 18])
    return replace(made, route=route, skip=random.choice([0, 0, 0, 1, 1, 2, 3]), times=times)


def _lost_answers(random: Random, calls: Sequence[str]) -> PlannedFault:
    """Lose the answers of the decisive call, those of whole tries too: it was done, and nobody knows."""
    route = random.choice([call for call in calls if call in DECISIVE])
    losses: list[tuple[str, Action]] = [("reset after", Cut("after")), ("truncated", Truncate(3))]
    kind, effect = random.choice(losses)
    return PlannedFault(kind, effect, route, times=random.choice([1, 5, 6, 7, 12, 18]))


def _death(random: Random, calls: Sequence[str]) -> PlannedFault:
    when = random.choice(["before", "after", "after", "end"])
    route = None if when == "end" or random.random() < 0.3 else random.choice(calls)
    skip = random.randint(0, 6) if route is None else random.choice([0, 0, 1, 2])
    times = random.choice([1, 1, 1, 1, 2, 3])
    return PlannedFault(f"kill {when}", Kill(when), route, skip, times)

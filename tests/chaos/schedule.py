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

_LOOKS = ("logs", "logs.facets", "platform.source.get")
_CALLS = {
    "catalog_load": ("stream.open", "stream.chunk", "upload", "stream.close", *_LOOKS),
    "catalog_refresh": ("file.create", "upload", "stream.update", "stream.delete_older", *_LOOKS),
    "push": ("source.status", "file.create", "upload", "batch.put", "items.delete_older", *_LOOKS),
    "secured_push": (
        *("platform.provider.get", "platform.provider.put", "platform.provider.create"),
        *("identities.batch", "identities.delete_older"),
        *("source.status", "file.create", "upload", "batch.put", "items.delete_older", *_LOOKS),
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


_WRITES = DECISIVE | {"batch.put", "stream.update", "upload", "identities.batch"}


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
class TimeUp:
    """
    Stop the task in the middle of a call, as its ``execution_timeout`` does; or the whole run, as its own.

    :param run: whether all of the run ends: nothing of it runs any more, teardowns neither
    :param when: ``before`` the call is carried out, or ``after`` that
    """

    run: bool
    when: str


@dataclass(frozen=True)
class Click:
    """
    What somebody does to a run that has ended.

    :param what: ``clear``, ``clear run`` or ``mark success``
    :param pick: 0 to 1: which instance it is, of those that it may be
    :param failed: whether the instance is one that failed, if there is one
    :param downstream: whether what follows is cleared too
    :param upstream: whether what comes before is cleared too
    :param only_failed: whether of all these those only are cleared that failed
    """

    what: str
    pick: float
    failed: bool = True
    downstream: bool = True
    upstream: bool = False
    only_failed: bool = False


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
    effect: Action | Jump | Kill | TimeUp
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
    :param clocks_agree: whether the worker's clock is the server's all the same
    :param worker_hours: how far the worker's is, one try of a task after the other; where it has a process of
        its own
    :param dates: how many seconds the ``Date`` of the API's and of the storage's answers is off
    :param log_delay: how many seconds entries of the log are late
    :param log_repeat: whether each comes twice
    :param log_denied: whether the key may not read the log
    :param real_delays: whether a delayed deletion is waited for, rather than hastened by who looks
    :param shared: whether somebody opened the source to everybody since the last run
    :param clicks: what somebody does to the run when it has ended, one after the other
    :param late_clicks: the same, once a later run has loaded the source
    """

    faults: tuple[PlannedFault, ...]
    server_hours: float
    clocks_agree: bool = False
    worker_hours: tuple[float, ...] = ()
    dates: tuple[float, float] = (0.0, 0.0)
    log_delay: float = 0.0
    log_repeat: bool = False
    log_denied: bool = False
    real_delays: bool = False
    shared: bool = False
    clicks: tuple[Click, ...] = ()
    late_clicks: tuple[Click, ...] = ()

    @property
    def timeout(self) -> float:
        """How long a call may take, in seconds."""
        return STALL_TIMEOUT if any(isinstance(one.effect, Stall) for one in self.faults) else 30.0

    def __str__(self) -> str:
        lines = [f"the server's clock is {self.server_hours:+.1f} h off"]
        if self.clocks_agree:
            lines.append("the worker's clock is the server's")
        if any(self.dates):
            lines.append(
                "Date is {:+,.0f} s off on the API and {:+,.0f} s on the storage".format(*self.dates)
            )
        if self.log_delay or self.log_repeat:
            lines.append(f"the log is {self.log_delay:.0f} s late{', and says all twice' * self.log_repeat}")
        for name in ("log_denied", "real_delays", "shared"):
            lines += [name] * getattr(self, name)
        if self.worker_hours:
            hours = ", ".join(f"{hours:+.1f}" for hours in self.worker_hours)
            lines.append(f"the worker's clock is off by hours, try after try: {hours}")
        lines += map(str, self.faults)
        lines += [f"then: {click}" for click in self.clicks]
        lines += [f"after the next run: {click}" for click in self.late_clicks]
        return "\n".join(f"  {line}" for line in lines)


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


def _page(random: Random) -> PlannedFault:
    """Give a page in place of an answer, as a gateway does, whether it let the call pass or not."""
    status = random.choice(
        [200, 200, 200, 201, 202, 302, 400, 401, 403, 404, 404, 407, 412, 429, 500, 502, 503]
    )
    when = random.choice(["before", "after"])
    return PlannedFault(f"HTML {status // 100}xx {when}", Answer.login_page(status, when=when))


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
    *(_page,) * 5,
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


def drawn(seed: int, recipe: str, *, kills: bool = False, clicks: bool = True) -> Schedule:
    """
    Return what goes wrong in the run of a seed.

    :param kills: whether there is a process to kill, whose clock is off
    :param clicks: whether the run can be stopped, and somebody can clear its tasks
    """
    random = Random(f"schedule {seed}")
    calls = CALLS[recipe]
    faults = [_fault(random, calls) for _ in range(random.choice([1, 2, 3, 4, 6]))]
    if random.random() < 0.2:
        faults = [_lost_answers(random, calls)]
    elif random.random() < 0.12:
        faults = _lost_close(random, calls)
    stalled = [one for one in faults if one.kind == "stall"]
    faults = [one for one in faults if one not in stalled[1:]]
    schedule = _with_conditions(Schedule(tuple(faults), server_hours=random.uniform(-12, 12)), seed, recipe)
    if (luck := Random(f"gateway {seed}")).random() < 0.06:
        schedule = _behind_a_gateway(schedule, luck, calls)
    if kills:
        deaths = [_death(random, calls) for _ in range(random.choice([1, 1, 2, 3]))]
        hours = tuple(random.uniform(-12, 12) for _ in range(random.choice([1, 3])))
        # A kill is tried on fewer other faults, so that it is what the run has to survive.
        schedule = replace(
            schedule, faults=(*schedule.faults[:2], *deaths), worker_hours=hours, clocks_agree=False
        )
    return _with_clicks(schedule, seed, recipe, stops=not kills) if clicks else schedule


def _with_conditions(schedule: Schedule, seed: int, recipe: str) -> Schedule:
    """Add what is wrong all the time of the run."""
    random = Random(f"conditions {seed}")
    return replace(
        schedule,
        clocks_agree=random.random() < 0.5,
        dates=_wrong_dates(random) if random.random() < 0.4 else (0.0, 0.0),
        log_delay=random.choice([0, 0, 0, 20, 90, 300, 1_500]),
        log_repeat=random.random() < 0.25,
        log_denied=random.random() < 0.15,
        real_delays=random.random() < 0.3,
        shared=recipe == "secured_push" and random.random() < 0.15,
    )


def _behind_a_gateway(schedule: Schedule, random: Random, calls: Sequence[str]) -> Schedule:
    """Let a gateway answer for a call that it never passed on, where no log tells that nothing was done."""
    route = random.choice([call for call in calls if call in _WRITES])
    page = PlannedFault("HTML 2xx before", Answer.login_page(200), route, random.choice([0, 1]))
    return replace(schedule, faults=(page,), dates=(0.0, 0.0), log_denied=True, shared=False)


def _wrong_dates(random: Random) -> tuple[float, float]:
    """Return how wrong the clocks of a gateway before the API, the storage or both are: a little, or by hours."""
    hours = 3_600 * random.uniform(-12, 12)
    off = random.choice([hours, hours, random.choice([-90, -3, 3, 90])])
    return random.choice([(off, 0.0), (0.0, off), (off, off), (off, 3_600 * random.uniform(-12, 12))])


def _with_clicks(schedule: Schedule, seed: int, recipe: str, *, stops: bool) -> Schedule:
    """
    Add what people do to the run, and faults that give them reason to.

    :param stops: whether tasks and runs can be stopped
    """
    random = Random(f"clicks {seed}")
    faults = list(schedule.faults)
    calls = CALLS[recipe]
    if random.random() < 0.45:  # a task fails at once, perhaps the second of a mapped one
        skip, route = random.choice([0, 0, 1, 1, 2, 3]), random.choice(calls)
        faults.append(PlannedFault("403 for good", Answer.denied(), route, skip))
    if stops and random.random() < 0.3:
        effect = TimeUp(run=random.random() < 0.5, when=random.choice(["before", "after"]))
        kind = "run timed out" if effect.run else "task timed out"
        faults.append(PlannedFault(kind, effect, random.choice(calls), random.choice([0, 0, 1, 2])))
    clicks = [_click(random) for _ in range(random.choice([0, 0, 1, 1, 2, 3]))]
    late = [_click(random) for _ in range(random.choice([0, 0, 0, 1, 2]))]
    return replace(schedule, faults=tuple(faults), clicks=tuple(clicks), late_clicks=tuple(late))


def _click(random: Random) -> Click:
    """Clear an instance with what follows, the default of the UI, or otherwise; or say that it succeeded."""
    what = random.choice(["clear", "clear", "clear", "clear run", "mark success"])
    return Click(
        what,
        pick=random.random(),
        failed=random.random() < 0.6,
        downstream=random.random() < 0.7,
        upstream=random.random() < 0.2,
        only_failed=random.random() < 0.3,
    )


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


def _lost_close(random: Random, calls: Sequence[str]) -> list[PlannedFault]:
    """Keep the decisive call from its service, and give a page or a refusal in place of what says so."""
    route = random.choice([call for call in calls if call in DECISIVE])
    refusal = Answer(412, '{"errorCode":"INVALID_PARAMETER","message":"The stream is not open."}')
    losses: list[tuple[str, Action]] = [("reset before", Cut("during")), ("502", Answer(502))]
    answers: list[tuple[str, Action]] = [
        ("HTML 4xx before", Answer.login_page(404)),
        ("HTML 2xx before", Answer.login_page(200)),
        ("412", refusal),
    ]
    first = PlannedFault(*random.choice(losses), route)
    return [first, PlannedFault(*random.choice(answers), route, skip=1, times=random.choice([1, 5, 18]))]


def _death(random: Random, calls: Sequence[str]) -> PlannedFault:
    when = random.choice(["before", "after", "after", "end"])
    route = None if when == "end" or random.random() < 0.3 else random.choice(calls)
    skip = random.randint(0, 6) if route is None else random.choice([0, 0, 1, 2])
    times = random.choice([1, 1, 1, 1, 2, 3])
    return PlannedFault(f"kill {when}", Kill(when), route, skip, times)

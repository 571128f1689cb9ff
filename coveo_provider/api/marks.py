"""
Chooses a mark, the moment a deletion of what is older goes by, from clocks that may be wrong.

A ``Date`` header has whole seconds, rounded down, so it is never later than the moment it was written: what
is sent after an answer gets an orderingId that is not smaller than the answer's ``Date``. Nothing needs to
be taken off it. A proxy may write a ``Date`` of its own, though, ahead by any time; hence several clocks,
and the earliest of them. A mark that is too early deletes too little, one that is too late deletes what was
just sent.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from coveo_provider.errors import UnexpectedAnswer

TOLERATED_MS = 60_000
"""How far the clocks may differ before it is worth a warning."""

_FIRST = 1_000_000_000_000  # ms since the epoch, in 2001: the first mark of 13 digits, older than any item
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def earliest(*, api: int | None, storage: int | None, worker: int) -> tuple[int, str | None]:
    """
    Return a mark that is not later than any clock says, and a warning when the clocks differ by over a minute.

    All times are in milliseconds since the epoch. The worker's clock is there to make a mark earlier: no
    mark is ever later than the service's own clocks allow.

    :param api: the API's ``Date``, of the answer that handed out a container; ``None`` when it had none
    :param storage: the storage's ``Date``, of its answer to the upload; ``None`` when it had none
    :param worker: the worker's clock when the container was asked for
    :raises UnexpectedAnswer: neither the API nor the storage told its time
    """
    if api is None and storage is None:
        raise UnexpectedAnswer("POST /files, and the upload after it,", "a Date header to take the time from")
    clocks = {"the API": api, "the storage": storage, "the worker": worker}
    times = {name: time_ms for name, time_ms in clocks.items() if time_ms is not None}
    mark = min(times.values())
    apart = max(times.values()) - mark
    warning = None
    if apart > TOLERATED_MS:
        readings = ", ".join(f"{name} {_written(time_ms)}" for name, time_ms in times.items())
        warning = (
            f"the clocks differ by {apart / 1000:,.0f} s: {readings}. The earliest is taken, so that nothing that "
            "was just sent is deleted as older; what is gone from the data may stay until the clocks agree. Does a "
            "proxy write the Date of the answers, and is the worker's clock right?"
        )
    return max(mark, _FIRST), warning


def _written(time_ms: int) -> str:
    try:
        return f"{_EPOCH + timedelta(milliseconds=time_ms):%Y-%m-%d %H:%M:%S} UTC"
    except OverflowError:
        return f"{time_ms} ms"

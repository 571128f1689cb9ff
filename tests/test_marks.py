"""What clocks tell of the moment at which a task began to send, however wrong they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coveo_provider.marks import AGREEMENT_MS, Moment

NOW = 1_767_225_600_000
HOUR = 3_600_000
OFF = st.integers(-12 * HOUR, 12 * HOUR)
LASTS = st.integers(0, 600_000)


def told(now: int, off: int) -> int:
    """Return a ``Date`` of a clock: cut to the second."""
    return (now + off) // 1_000 * 1_000


@given(
    now=st.integers(NOW, NOW + HOUR),
    wrong=OFF,
    worker=OFF,
    storage=st.booleans(),
    uploaded=LASTS,
    submitted=LASTS,
)
def test_while_one_clock_of_the_service_is_right_nothing_that_was_sent_is_older(
    now: int, wrong: int, worker: int, storage: bool, uploaded: int, submitted: int
) -> None:
    """Whatever the other says, and however long it took; the worker's own clock makes no difference."""
    offs = (wrong, 0) if storage else (0, wrong)
    moment = Moment(
        told(now, offs[0]), told(now + uploaded, offs[1]), now + worker, uploaded, uploaded + submitted
    )
    ordering_id = now + uploaded + submitted
    assert moment.mark is not None
    assert moment.mark <= ordering_id
    assert moment.fits(ordering_id, worker=False)
    assert Moment.of(moment.as_json()) == moment


@given(now=st.integers(NOW, NOW + HOUR), off=OFF, worker=OFF, uploaded=LASTS)
def test_clocks_that_differ_are_noticed(now: int, off: int, worker: int, uploaded: int) -> None:
    """By more than a Date is cut, and an answer is on its way."""
    moment = Moment(told(now, off), told(now + uploaded, 0), now + worker, uploaded, uploaded)
    apart = max(0, off, worker) - min(0, off, worker)
    if apart >= AGREEMENT_MS + 1_000:
        assert not moment.agrees
    if apart <= AGREEMENT_MS - 1_001:
        assert moment.agrees


def test_without_a_date_there_is_no_mark() -> None:
    """And with one, that is the mark."""
    assert (Moment(None, None, NOW).mark, Moment(None, None, NOW).agrees) == (None, False)
    assert Moment(None, NOW, NOW).mark == Moment(NOW, None, NOW).mark == NOW


def test_the_difference_is_said_in_seconds() -> None:
    """Of each clock of the service from this machine's."""
    said = str(Moment(NOW + 12 * HOUR, NOW - 3_000, NOW, 1_000))
    assert (
        said == "from this worker's clock, the API's differs by +43,200 s and the storage's differs by -4 s"
    )


@pytest.mark.parametrize(
    "value",
    [{}, {"api": 1}, {"api": "1", "storage": None, "worker": 1}, {"api": 1, "storage": 1, "worker": None}],
)
def test_what_is_no_moment_is_refused(value: dict[str, object]) -> None:
    """A report comes from another task, or a person."""
    with pytest.raises(ValueError, match=r"."):
        Moment.of(value)

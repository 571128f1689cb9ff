"""A run is remembered when all of it went through, and not before."""

from __future__ import annotations

import pytest

from coveo_provider._compat import AirflowFailException, AirflowSkipException
from tests.operators.nights import Nights


def test_nothing_is_remembered_of_a_load_that_was_not_sent_whole(nights: Nights) -> None:
    """The reports of one of two tasks, or none, do not end a run; the next one makes it good."""
    nights.put(1)
    nights.put(2)
    nights.run()
    nights.put(1, price=3)
    del nights.rows["002"]
    night = nights.night()
    night.transform()
    reports = [night.send(unit) for unit in night.diff()]
    before = nights.files()

    for part in (reports[:1], reports[1:], []):
        with pytest.raises(AirflowFailException, match="1 documents and 1 deletions were to be sent"):
            night.finalize(part)
    with pytest.raises(AirflowFailException, match="found NoneType among them"):
        night.finalize([*reports, None])
    with pytest.raises(AirflowFailException, match="trigger_rule must be all_success"):
        night.finalize(reports, trigger_rule="all_done")

    assert nights.files() == before
    night.finalize(reports)
    assert "last.json" in nights.files()


def test_the_end_may_come_twice(nights: Nights) -> None:
    """As when the task is tried again, its first answer having been lost."""
    nights.put(1)
    night = nights.night()
    night.transform()
    reports = [night.send(unit) for unit in night.diff()]

    first, second = night.finalize(reports), night.finalize(reports)
    assert (first["verified"], first["indexed"], first["held"]) == ("counts", 1, 1)
    sums = {key: value for key, value in first.items() if key != "held"}
    assert second == sums | {"verified": "before", "indexed": 0}
    with pytest.raises(AirflowSkipException):
        nights.run()


def test_a_dataset_that_was_written_again_meanwhile_is_not_remembered(nights: Nights) -> None:
    """It is not what was sent."""
    nights.put(1)
    night = nights.night()
    night.transform()
    reports = [night.send(unit) for unit in night.diff()]
    nights.put(1, price=5)
    night.transform()

    with pytest.raises(AirflowFailException, match="was written again since it was compared"):
        night.finalize(reports)


def test_without_a_state_the_reports_are_summed_up(nights: Nights) -> None:
    """And nothing is remembered."""
    nights.put(1)
    night = nights.night()
    night.transform()
    report = night.send({"documents": str(night.documents)})
    other = night.send({"documents": [{"documentId": "product://more", "data": "x"}]})

    summed = night.finalize([report, [other]], state=None)

    assert (summed["documents"], summed["chunks"]) == (2, 2)
    assert nights.files() == []

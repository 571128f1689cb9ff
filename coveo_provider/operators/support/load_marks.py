"""The mark of a load: the smallest of its parts', by the service's word where clocks leave a doubt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coveo_provider.errors import AccessDenied, NotFound, SafetyStop
from coveo_provider.marks import AGREEMENT_MS, Moment
from coveo_provider.report import Report

if TYPE_CHECKING:
    from coveo_provider.operators.support.claims import SourceOperator

LOG_SECONDS = 180.0
"""How long an entry of the source's log is waited for, where clocks disagree."""

_PAUSE = 5.0


@dataclass(frozen=True)
class LoadMark:
    """
    What a deletion of older items goes by.

    :param ordering_id: everything the load sent is newer, in milliseconds since the epoch
    :param certain: whether the service told it, rather than clocks that disagree
    """

    ordering_id: int
    certain: bool


def mark_of(operator: SourceOperator, reports: Sequence[Report], given: int | None = None) -> LoadMark:
    """
    Return the mark of a load: never later than any of its parts, whatever was cleared or run again.

    The Stream API tells the ordering ids. Of a push, the source's log does, which is asked at once about what
    was sent first, and waited for where clocks disagree. Where the key may not read it, the earlier of the
    service's two clocks counts.

    :param given: an ordering id that the mark must not exceed, e.g. of the task that set the source's status
    :raises SafetyStop: a task that sent something does not say when
    """
    marks = [] if given is None else [given]
    certain = True
    clocked: list[tuple[Report, Moment]] = []
    for report in reports:
        if not (report.documents or report.partial_updates or report.deletions):
            continue
        moment = report.clocks
        if report.mark is None and given is None:
            raise SafetyStop(
                f"source {operator.source_id}: the report of {report.parts[0] if report.parts else 'a task'} "
                "does not say when it "
                "was sent, so there is no mark to delete by. Nothing was removed. Clear the tasks that send, "
                "or pass ordering_id"
            )
        if moment is None:
            marks += [] if report.mark is None else [report.mark]
        else:
            clocked.append((report, moment))
    for report, moment in clocked:
        ordering_id = None
        if _is_asked(moment, [one for _, one in clocked]):
            ordering_id, certainly = _told(operator, report, moment)
            certain = certain and certainly
        if ordering_id is None:
            certain = certain and moment.agrees
            ordering_id = report.mark
            if ordering_id is not None and moment.agrees:
                # They may be a second or two apart: the earliest of all deletes nothing that was just sent.
                ordering_id = min(ordering_id, moment.earliest)
        marks += [] if ordering_id is None else [ordering_id]
    return LoadMark(min(marks), certain)


def _is_asked(moment: Moment, every: Sequence[Moment]) -> bool:
    """Tell whether the ordering id of a task can be that of the load: others began later, by clocks that agree."""
    if not moment.agrees:
        return True
    first = min((one.mark for one in every if one.agrees and one.mark is not None), default=0)
    return (moment.mark or 0) - first <= AGREEMENT_MS


def _told(operator: SourceOperator, report: Report, moment: Moment) -> tuple[int | None, bool]:
    """
    Return the ordering id that the service gave to what a task sent first, if that is to be had.

    A log that does not show it yet leaves the doubt which of the clocks is right, if any: then it is the earliest
    that it can be, so that nothing of the load is deleted.

    :return: and whether it is that, rather than an earlier one
    """
    if not report.first:
        return None, True
    log = operator.log
    if not moment.agrees:
        # A worker's clock that is wrong is no reason to doubt the service's, and not worth a warning.
        (log.info if moment.services_agree else log.warning)(
            "Source %s: %s, so the source's log is asked when %s was taken",
            operator.source_id,
            moment,
            report.first,
        )
    try:
        for last in _patience(operator, LOG_SECONDS if not moment.agrees else 0.0):
            found = _looked_up(operator, report, moment, any_clock=last and not moment.agrees)
            if found is not None:
                return found, True
        if moment.agrees:
            return None, True
        shown = _shown(operator, report, moment)
    except (AccessDenied, NotFound) as error:
        if not moment.agrees:
            log.warning(
                "Source %s: %s, and its log cannot be read: %s. The earlier of the API's and the storage's "
                "clock is taken, "
                "so items may stay that should go",
                operator.source_id,
                moment,
                error,
            )
        return None, True
    log.warning(
        "Source %s: %s, and its log does not show within %.0f s when %s was taken. The earliest moment that it can "
        "be is taken, so items may stay that should go",
        operator.source_id,
        moment,
        LOG_SECONDS,
        report.first,
    )
    earliest = moment.earliest if shown is None else shown
    return min(earliest, earliest if report.mark is None else report.mark), False


def _patience(operator: SourceOperator, seconds: float) -> Iterator[bool]:
    """Give a turn to look, again and again for so long; and whether it is the last."""
    waited = 0.0
    while waited < seconds:
        yield False
        operator.client.policy.sleep(_PAUSE)
        waited += _PAUSE
    yield True


def _looked_up(operator: SourceOperator, report: Report, moment: Moment, *, any_clock: bool) -> int | None:
    from coveo_provider.verification.evidence import told_ordering_id

    return told_ordering_id(operator.client, operator.source_id, report.first, moment, any_clock=any_clock)


def _shown(operator: SourceOperator, report: Report, moment: Moment) -> int | None:
    from coveo_provider.verification.evidence import shown_ordering_id

    return shown_ordering_id(operator.client, operator.source_id, report.first, moment)

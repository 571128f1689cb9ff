"""Which ordering id the service gave to what a task sent, as the source's log tells it."""

from __future__ import annotations

from coveo_provider.marks import Moment
from coveo_provider.verification.look import Log
from coveo_provider.verification.tally import REMOVALS

_HOUR_MS = 3_600_000


def told_ordering_id(
    log: Log, source_id: str, document_id: str, moment: Moment, *, any_clock: bool
) -> int | None:
    """
    Return the ordering id of the last time that a document was sent, if the log shows it by now.

    An earlier load sent the same document, perhaps: of its ordering ids, those count that fit the moment.

    :param document_id: the first document of what a task sent: all that followed it is newer
    :param moment: when that was, by each clock
    :param any_clock: whether the worker's clock may be the right one too; before that is taken, wait for a late
        entry
    :raises PrivilegeMissing: the key may not read the log
    """
    told = _ordering_ids(log, source_id, document_id, moment)
    return max((one for one in told if moment.fits(one, worker=any_clock)), default=None)


def shown_ordering_id(log: Log, source_id: str, document_id: str, moment: Moment) -> int | None:
    """
    Return the latest ordering id of a document that the log shows by now, whether it fits a clock or not.

    It is that of the last time that the document was sent; where that is late in the log, one of an earlier load.
    """
    return max(_ordering_ids(log, source_id, document_id, moment), default=None)


def _ordering_ids(log: Log, source_id: str, document_id: str, moment: Moment) -> set[int]:
    since, until = moment.earliest - _HOUR_MS, moment.latest + _HOUR_MS
    entries = log.source_logs(source_id, since, until, document_id=document_id)
    return {
        entry.ordering_id
        for entry in entries
        if entry.ordering_id is not None and entry.operation not in REMOVALS
    }

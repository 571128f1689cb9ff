"""What the state tells before a load: what is remembered, why it may be of no use, and what changed since."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from coveo_provider.documents.changes.datasets import WrittenDataset
from coveo_provider.documents.changes.state import LastRun, Pending, State
from coveo_provider.documents.contract import counted
from coveo_provider.errors import DatasetError

if TYPE_CHECKING:
    from coveo_provider.documents.changes.comparison import Compared, Difference


class Forgotten(DatasetError):
    """What is remembered of the last load is missing or damaged."""


@dataclass(frozen=True)
class Basis:
    """
    What a comparison rests on.

    :param last: what is remembered; ``None`` where nothing is, or what is there is damaged
    :param pending: loads begun and not told to have succeeded
    :param reason: why everything has to be sent; ``None`` where it has not
    """

    last: LastRun | None
    pending: Sequence[Pending]
    reason: str | None

    def fingerprint(self, current: LastRun, without: str = "") -> str:
        """
        Return what tells this basis, the source and the datasets of now from any other.

        :param without: key of a load that was begun, and is passed over
        """
        last = () if self.last is None else self.last.datasets
        rejections = None if self.last is None else self.last.rejections
        told = [
            f"source {current.push_url} {current.organization} {current.source_id}",
            *(f"now {dataset.sha256}" for dataset in current.datasets),
            *(f"last {dataset.sha256}" for dataset in last),
            *(f"begun {one.key}" for one in self.pending if one.key != without),
            f"refused {rejections.sha256 if rejections else ''}",
        ]
        return hashlib.sha256("\n".join(told).encode()).hexdigest()


def read_basis(state: State, current: LastRun, held: int | None = None) -> Basis:
    """
    Return what the state tells of the source that ``current`` is about.

    :param held: items that the source holds now; ``None`` where that is not known
    """
    try:
        pending, last = state.pending(), state.last()
    except DatasetError as error:
        return Basis(None, [], str(error))
    reason = None
    if any(one.full for one in pending):
        reason = "a run that sent everything did not come to its end"
    elif last is None:
        reason = "nothing is remembered of an earlier run"
    else:
        reason = last.unlike(current)
        if reason is None and held is not None and not pending and held < (fewest := _fewest(last)):
            reason = (
                f"the source holds {counted(held, 'item')}, fewer than the {fewest:,} of the last load: somebody "
                "else deleted some, or made the source anew"
            )
    return Basis(last, pending, reason)


def _fewest(last: LastRun) -> int:
    """Return how many items are there since the last load; 0 where nobody saw them, as its count may come late."""
    seen = bool(last.loads) and last.loads[0].held is not None
    return last.rows - last.rejected if seen else 0


def compare(
    datasets: Sequence[WrittenDataset],
    state: State,
    last: LastRun | None,
    pending: Sequence[Pending],
    scratch: Path,
    *,
    retry_rejected: bool = False,
    watch: Callable[[Compared], None] | None = None,
) -> Difference:
    """
    Return what changed since the last load.

    :param last: what is remembered of it; ``None`` takes all documents for new
    :param pending: loads begun of which no success is known
    :param scratch: a folder of its own
    :param retry_rejected: whether to send again what the service refused, though it is as it was
    :param watch: is told of every document what became of it
    :raises Forgotten: what is remembered is missing or damaged
    :raises DatasetError: one of the datasets is
    """
    from coveo_provider.documents.changes.comparison import Comparison

    rows = sum(dataset.manifest.rows for dataset in datasets)
    comparison = Comparison(scratch, rows=max(rows, 0 if last is None else last.rows), watch=watch)
    for dataset in datasets:
        comparison.add_current(dataset.hash_files(), dataset.manifest.sha256)
    try:
        for former in () if last is None else last.datasets:
            comparison.add_former(state.hashes(former), former.sha256)
        for one in pending:
            if not one.full:
                comparison.add_pending(state.pending_ids(one))
        if last is not None and (rejected := state.rejected(last)) is not None:
            comparison.add_rejected(rejected, retry=retry_rejected)
    except DatasetError as error:
        raise Forgotten(str(error)) from None
    return comparison.result()

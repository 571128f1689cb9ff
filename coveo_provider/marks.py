"""
From when on everything that a task sent is newer, as clocks tell it.

The Push API says nowhere which ordering id it gave to a batch. Its answers have a ``Date``, and so have those
of the storage: two clocks of two services, of which a gateway on the way may falsify either (docs/api-notes.md,
"Ordering ids and marks"). A ``Date`` is cut to the second, so what is sent after an answer gets no smaller
ordering id. So a mark is the earlier of both, and where they or the worker's own clock disagree, the source's
log is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

AGREEMENT_MS = 2_500
"""Clocks that differ by less agree: a ``Date`` is cut to the second, and an answer is some time on its way."""

_MARGIN_MS = 60_000


@dataclass(frozen=True)
class Moment:
    """
    When the first chunk of a task was sent, by each clock, in milliseconds since the epoch.

    :param api: the API's, when it handed out the container; ``None`` when its answer had no date
    :param storage: the storage's, when the upload was done and nothing was submitted yet; likewise
    :param worker: this machine's, when the container was asked for
    :param uploaded: milliseconds from then until the upload was done
    :param took: milliseconds from then until the submission was answered
    """

    api: int | None
    storage: int | None
    worker: int
    uploaded: int = 0
    took: int = 0

    @property
    def mark(self) -> int | None:
        """The earlier of the service's two clocks; ``None`` when neither told."""
        return min((one for one in (self.api, self.storage) if one is not None), default=None)

    @property
    def agrees(self) -> bool:
        """Whether all clocks tell the same."""
        return self.mark is not None and self.latest - self.earliest < AGREEMENT_MS

    @property
    def services_agree(self) -> bool:
        """Whether the service's clocks tell the same, whatever this machine's tells."""
        services = self._services
        return bool(services) and max(services) - min(services) < AGREEMENT_MS

    @property
    def earliest(self) -> int:
        """When the container was asked for, by the clock that is behind all others."""
        return min((*self._services, self.worker))

    @property
    def latest(self) -> int:
        """When the container was asked for, by the clock that is ahead of all others."""
        return max((*self._services, self.worker))

    def fits(self, ordering_id: int, *, worker: bool) -> bool:
        """
        Tell whether the submission may have got an ordering id, as one of the service's clocks has it.

        :param worker: whether this machine's clock may be the one that is right
        """
        clocks = (*self._services, self.worker) if worker else self._services
        return any(one - _MARGIN_MS <= ordering_id <= one + self.took + _MARGIN_MS for one in clocks)

    def __str__(self) -> str:
        """Say how far the clocks are apart, for a person."""
        storage = None if self.storage is None else self.storage - self.uploaded
        said = [
            f"{name} differs by {(one - self.worker) / 1000:+,.0f} s"
            for name, one in (("the API's", self.api), ("the storage's", storage))
            if one is not None
        ]
        return f"from this worker's clock, {' and '.join(said) or 'nothing is known of another'}"

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return asdict(self)

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Moment:
        """
        Return the moment of a report.

        :raises ValueError: it is none
        """
        try:
            moment = cls(**value)
        except TypeError as error:
            raise ValueError(str(error)) from None
        values = asdict(moment)
        if any(isinstance(one, bool) or not isinstance(one, (int, type(None))) for one in values.values()):
            raise ValueError("a moment is of whole milliseconds")
        if None in {moment.worker, moment.uploaded, moment.took}:
            raise ValueError("a moment has the worker's clock")
        return moment

    @property
    def _services(self) -> tuple[int, ...]:
        """When the container was asked for, by the clocks of the service."""
        storage = None if self.storage is None else self.storage - self.uploaded
        return tuple(one for one in (self.api, storage) if one is not None)

"""What a try had done before it gave its worker back or died, so that the task goes on from there."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coveo_provider.documents.encoding.chunks import Chunk

_KEY = "coveo_progress"
_MOST_BYTES = 60_000  # of the 64 KB that Airflow takes

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """
    What a try had done before it waited. The triggerer keeps it, as JSON.

    :param waits: how often it waited for a quota
    :param waited_seconds: how long these waits were
    :param length_unknown: whether the service did not say how long the last of these waits had to be
    :param turns: how often it waited for another run that was loading the source
    :param looks: how often it looked what became of a load
    :param looked_seconds: how long it waited between these looks
    :param digest: of the chunks that were accepted; empty when none were
    :param report: what the report said of them
    """

    waits: int = 0
    waited_seconds: float = 0.0
    length_unknown: bool = False
    turns: int = 0
    looks: int = 0
    looked_seconds: float = 0.0
    digest: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, value: Any) -> Checkpoint:
        """Return what :meth:`as_json` made; an empty one when it is anything else, as after an upgrade."""
        start = cls()
        if not isinstance(value, dict):
            return start
        types = {one.name: type(getattr(start, one.name)) for one in fields(cls)}
        if not all(name in types and type(entry) is types[name] for name, entry in value.items()):
            return start
        return cls(**value)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return asdict(self)

    def with_accepted(self, chunks: Sequence[Chunk], report: Mapping[str, Any]) -> Checkpoint:
        """Return it with the chunks that were accepted by now, and what the report says of them."""
        from coveo_provider.documents.encoding.chunks import digest

        return replace(self, digest=digest(chunks), report=dict(report))

    def report_of(self, chunks: Sequence[Chunk]) -> Mapping[str, Any]:
        """
        Return what the report said of the first of these chunks, which were accepted; empty when none were.

        The same input makes the same chunks; were it another one by now, everything is sent.
        """
        from coveo_provider.documents.encoding.chunks import digest

        count = self.report.get("chunks", 0)
        return self.report if count and digest(chunks[:count]) == self.digest else {}


class Progress:
    """
    What a try had done, kept by Airflow 3.3 beyond the try: a retry after a crash goes on from there.

    Before 3.3 nothing is kept. Who clears a task wants it done again, so nothing of before counts then.

    :param context: the task's
    """

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._store: Any = context.get("task_state_store")
        self._instance: Any = context.get("ti")

    @property
    def can_keep(self) -> bool:
        """Whether anything is kept."""
        return self._store is not None and self._instance is not None

    def load(self) -> Checkpoint:
        """Return what an earlier try had done; an empty checkpoint for nothing."""
        if not self.can_keep or self._instance.try_number < 2:
            return Checkpoint()
        try:
            kept = self._store.get(_KEY)
        except Exception as error:  # noqa: BLE001  then all is done again, which is right as well
            _log.warning("What the last try had done cannot be read: %s", type(error).__name__)
            return Checkpoint()
        if not isinstance(kept, dict) or kept.get("max_tries") != self._instance.max_tries:
            return Checkpoint()
        return Checkpoint.from_json(kept.get("checkpoint"))

    def keep(self, checkpoint: Checkpoint) -> None:
        """Keep what this try has done; what is too long for Airflow is not."""
        if not self.can_keep:
            return
        # A retry leaves `max_tries` as it is, and whoever clears the task raises it.
        kept = {"max_tries": self._instance.max_tries, "checkpoint": checkpoint.as_json()}
        if len(json.dumps(kept)) > _MOST_BYTES:
            return
        try:
            self._store.set(_KEY, kept)
        except Exception as error:  # noqa: BLE001  it only saves a later try some work
            _log.warning("What this try has done cannot be kept: %s", type(error).__name__)

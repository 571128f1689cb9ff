"""What a try had done before it gave its worker back to wait, so that the task goes on from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coveo_provider.documents.encoding.chunks import Chunk


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

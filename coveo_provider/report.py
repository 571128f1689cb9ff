"""What a load did, as it travels between tasks."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coveo_provider.documents.encoding.chunks import Chunk


@dataclass
class Report:
    """
    What a load did, as it travels between tasks: counts and ids, never rows, never an address.

    :param parts: URIs of the parts
    :param documents: items sent to be added, updated or merged
    :param partial_updates: changes of single fields sent
    :param deletions: items sent to be deleted
    :param bytes: bytes uploaded: of JSON, and of contents that went through containers of their own
    :param chunks: file containers used, those of contents left out
    :param ordering_ids: what the service assigned, in the order of the calls; none for calls that tell none
    """

    parts: list[str] = field(default_factory=list)
    documents: int = 0
    partial_updates: int = 0
    deletions: int = 0
    bytes: int = 0
    chunks: int = 0
    ordering_ids: list[int] = field(default_factory=list)

    def count(self, chunk: Chunk) -> None:
        """Add a chunk that was sent."""
        self.documents += chunk.documents
        self.partial_updates += chunk.partial_updates
        self.deletions += chunk.deletions
        self.bytes += chunk.size + chunk.attached_bytes
        self.chunks += 1

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return asdict(self)

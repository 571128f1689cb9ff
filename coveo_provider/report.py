"""What a load did, as it travels between tasks: counts and ids, never rows, never an address."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from coveo_provider.documents.encoding.chunks import Chunk


class ChunkReport(Protocol):
    """What a task that sends chunks counts them in."""

    chunks: int

    def count(self, chunk: Chunk, ordering_id: int | None = None) -> None:
        """Add a chunk that was accepted, with what the service assigned to it."""

    def described(self, chunk: Chunk) -> str:
        """Return what a chunk holds, in words."""

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain JSON types."""


@dataclass
class Report:
    """
    What was done to the items of a source.

    :param parts: URIs of the parts
    :param documents: items sent to be added, updated or merged
    :param partial_updates: changes of single fields sent
    :param deletions: items sent to be deleted
    :param bytes: bytes uploaded: of JSON, and of contents that went through containers of their own
    :param chunks: file containers used, those of contents left out
    :param ordering_ids: what the service assigned, in the order of the calls; none for calls that tell none
    :param api: the API that the items went through, ``push`` or ``stream``; empty when none was sent
    """

    parts: list[str] = field(default_factory=list)
    documents: int = 0
    partial_updates: int = 0
    deletions: int = 0
    bytes: int = 0
    chunks: int = 0
    ordering_ids: list[int] = field(default_factory=list)
    api: str = ""

    def count(self, chunk: Chunk, ordering_id: int | None = None) -> None:
        """Add a chunk that was accepted, with what the service assigned to it."""
        self.documents += chunk.documents
        self.partial_updates += chunk.partial_updates
        self.deletions += chunk.deletions
        self.bytes += chunk.size + chunk.attached_bytes
        self.chunks += 1
        if ordering_id is not None:
            self.ordering_ids.append(ordering_id)

    def described(self, chunk: Chunk) -> str:
        """Return what a chunk holds, in words: ``1,200 documents, 3 deletions``."""
        return chunk.described()

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return asdict(self)


@dataclass
class IdentityReport:
    """
    What was done to the identities of a security provider.

    :param parts: URIs of the parts
    :param members: identities sent, groups with their members among them
    :param mappings: identities sent with their aliases
    :param deleted: identities sent to be disabled
    :param bytes: bytes uploaded
    :param chunks: file containers used
    :param ordering_id: the mark from before the first of them
    """

    parts: list[str] = field(default_factory=list)
    members: int = 0
    mappings: int = 0
    deleted: int = 0
    bytes: int = 0
    chunks: int = 0
    ordering_id: int = 0

    def count(self, chunk: Chunk, ordering_id: int | None = None) -> None:
        """Add a chunk that was accepted; the service assigns nothing to it."""
        for section, count in chunk.counts.items():
            if count:
                setattr(self, section.value, getattr(self, section.value) + count)
        self.bytes += chunk.size
        self.chunks += 1

    def described(self, chunk: Chunk) -> str:
        """Return what a chunk holds, in words: ``1,200 members, 3 deleted``."""
        return ", ".join(f"{count:,} {section.value}" for section, count in chunk.counts.items() if count)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
        return asdict(self)

"""What a load did, as it travels between tasks: counts and ids, never rows, never an address."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Protocol

from coveo_provider.marks import Moment

if TYPE_CHECKING:
    from coveo_provider.documents.encoding.chunks import Chunk


class ChunkReport(Protocol):
    """What a task that sends chunks counts them in."""

    chunks: int

    def count(self, chunk: Chunk, ordering_id: int | None, moment: Moment) -> None:
        """Add a chunk that was accepted, with what the service assigned to it, and when it was sent."""

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
    :param source_id: the source
    :param load: the load that the task belongs to; empty outside of a DAG run
    :param api: the API that the items went through, ``push`` or ``stream``; empty when none was sent
    :param stream_id: the open stream, of a load
    :param request_id: of the close of a stream, for Coveo's support
    :param mark: everything the task sent is newer: an ordering id, in milliseconds since the epoch; ``None``
        when it sent nothing
    :param moment: without ordering ids, what each clock told when the task began to send
    :param calls: requests to the API, those sent again included
    :param retries: requests that were sent again
    :param waited_seconds: what was waited before these, and for a quota
    :param seconds: what the tasks took, one after the other
    :param first: the id of the document that was sent first
    :param other_parts: of ``parts`` those that are no documents, by the array that they went to
    :param ids: of rows given inline, the ids by the array they went to: nowhere else is it written what was sent
    """

    parts: list[str] = field(default_factory=list)
    documents: int = 0
    partial_updates: int = 0
    deletions: int = 0
    bytes: int = 0
    chunks: int = 0
    ordering_ids: list[int] = field(default_factory=list)
    source_id: str = ""
    load: str = ""
    api: str = ""
    stream_id: str = ""
    request_id: str = ""
    mark: int | None = None
    moment: dict[str, Any] | None = None
    calls: int = 0
    retries: int = 0
    waited_seconds: float = 0.0
    seconds: float = 0.0
    first: str = ""
    other_parts: dict[str, list[str]] = field(default_factory=dict)
    ids: dict[str, list[str]] = field(default_factory=dict)

    @property
    def clocks(self) -> Moment | None:
        """What each clock told when the task began to send, where the service told no ordering id."""
        return None if self.moment is None else Moment.of(self.moment)

    def count(self, chunk: Chunk, ordering_id: int | None, moment: Moment) -> None:
        """Add a chunk that was accepted, with what the service assigned to it, and when it was sent."""
        if not self.chunks and ordering_id is None:
            self.mark, self.moment = moment.mark, moment.as_json()
            self.first = chunk.first_id()
        self.documents += chunk.documents
        self.partial_updates += chunk.partial_updates
        self.deletions += chunk.deletions
        self.bytes += chunk.size + chunk.attached_bytes
        self.chunks += 1
        if ordering_id is not None:
            self.ordering_ids.append(ordering_id)
            self.mark = ordering_id if self.mark is None else min(self.mark, ordering_id)

    def described(self, chunk: Chunk) -> str:
        """Return what a chunk holds, in words: ``1,200 documents, 3 deletions``."""
        return chunk.described()

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON types, without what has nothing to say."""
        always = {
            "parts",
            "documents",
            "partial_updates",
            "deletions",
            "bytes",
            "chunks",
            "ordering_ids",
            "api",
        }
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {
            name: value for name, value in values.items() if name in always or value not in (None, "", {}, 0)
        }


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

    def count(self, chunk: Chunk, ordering_id: int | None, moment: Moment) -> None:
        """Add a chunk that was accepted; the service assigns nothing to it."""
        if not self.chunks and moment.mark is not None:
            self.ordering_id = moment.mark
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

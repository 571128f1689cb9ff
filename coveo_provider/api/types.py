"""The values that callers pass to the client and get from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeVar

from coveo_provider.errors import ConfigurationError

_Member = TypeVar("_Member", bound=Enum)

MARK_DIGITS = 13  # milliseconds since the epoch, from September 2001 to November 2286


class SourceStatus(str, Enum):
    """
    What a Push source can be set to (docs 35).

    The Administration Console shows ``REFRESH`` as "Rescan" and ``INCREMENTAL`` as "Refresh".
    """

    REBUILD = "REBUILD"
    REFRESH = "REFRESH"
    INCREMENTAL = "INCREMENTAL"
    IDLE = "IDLE"

    @classmethod
    def of(cls, value: str) -> SourceStatus:
        """
        Return the status of that name, in any case.

        :raises ConfigurationError: there is none
        """
        hint = " (what the console calls Rescan is REFRESH)"
        return member_of(cls, "source status", value, hint)


class CompressionType(str, Enum):
    """How the bytes of ``compressedBinaryData`` and its container twin are compressed (docs 69)."""

    UNCOMPRESSED = "UNCOMPRESSED"
    ZLIB = "ZLIB"
    GZIP = "GZIP"
    LZMA = "LZMA"
    DEFLATE = "DEFLATE"

    @classmethod
    def of(cls, value: str) -> CompressionType:
        """
        Return the compression of that name, in any case.

        :raises ConfigurationError: there is none
        """
        return member_of(cls, "compression type", value)


class SourceKind(str, Enum):
    """The kinds of sources that take pushes: the Push API's, and the Stream API's."""

    PUSH = "PUSH"
    CATALOG = "CATALOG"

    @classmethod
    def of(cls, value: str) -> SourceKind:
        """
        Return the kind of that name, in any case.

        :raises ConfigurationError: there is none
        """
        return member_of(cls, "kind of source", value)


class SourceVisibility(str, Enum):
    """Who sees the items of a source (docs 1779)."""

    SECURED = "SECURED"
    SHARED = "SHARED"
    PRIVATE = "PRIVATE"

    @classmethod
    def of(cls, value: str) -> SourceVisibility:
        """
        Return the visibility of that name, in any case.

        :raises ConfigurationError: there is none
        """
        hint = " (SECURED: whom an item's permissions allow; SHARED: everybody; PRIVATE: its owner)"
        return member_of(cls, "visibility", value, hint)


def member_of(closed_set: type[_Member], what: str, value: object, hint: str = "") -> _Member:
    """
    Return the member whose value is ``value``, in any case.

    :param what: what it is, for the message
    :raises ConfigurationError: there is none
    """
    members = {str(member.value).lower(): member for member in closed_set}
    text = str(getattr(value, "value", value)).strip().lower()
    if text not in members:
        names = ", ".join(str(member.value) for member in closed_set)
        raise ConfigurationError(f"unknown {what} {value!r}: expected one of {names}{hint}")
    return members[text]


@dataclass(frozen=True)
class FileContainer:
    """
    A place to upload one file of at most 256 MB to, for 60 minutes and one use (docs 43).

    :param upload_uri: a pre-signed address, which is a credential: it is kept out of ``repr``
    :param required_headers: to be sent with the upload, exactly these
    :param asked_at: the API's ``Date`` with the answer that handed it out, in ms since the epoch, rounded
        down to its second; ``None`` when it had none. What is submitted in the container gets no smaller
        orderingId
    """

    file_id: str
    upload_uri: str = field(repr=False)
    required_headers: Mapping[str, str] = field(repr=False)
    asked_at: int | None = None


@dataclass(frozen=True)
class OpenStream:
    """
    A stream that was opened, with the first container that the API hands out along with it.

    A load may leave that container unused, as Coveo's own clients do (``docs/api-notes.md``, "Streams").
    """

    stream_id: str
    container: FileContainer


@dataclass(frozen=True)
class Accepted:
    """
    The Stream API took an operation in; indexing follows.

    :param ordering_id: milliseconds since the epoch that the server assigned; ``None`` only for a close
        whose answer was lost
    :param request_id: for Coveo's support
    """

    ordering_id: int | None
    request_id: str


@dataclass(frozen=True)
class Field:
    """
    A field of the organization, which metadata of its name fills (docs 115).

    :param name: in lower case
    :param type: ``LONG``, ``LONG_64``, ``DOUBLE``, ``DATE``, ``STRING`` or ``VECTOR``; empty when the platform
        does not say
    :param multi_value: whether its values are facet values each (``multiValueFacet``)
    :param dictionary: whether it takes an object (``keyValue``, docs 2036)
    :param system: whether the index itself needs it: it cannot be changed
    :param model: all that the platform says of it
    """

    name: str
    type: str
    multi_value: bool = False
    facet: bool = False
    sort: bool = False
    dictionary: bool = False
    system: bool = False
    model: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class MappingRule:
    """
    A rule of a source: its field is filled from metadata of other names (docs 115).

    :param content: what fills it, ``%[key]`` for the metadata of a key; of several the first that has a value
    :param item_type: the type of the items that it is for; empty for those of every type
    """

    field: str
    content: tuple[str, ...]
    item_type: str = ""


@dataclass(frozen=True)
class Source:
    """
    What the platform knows of a source.

    :param kind: ``PUSH``, ``CATALOG`` or another ``sourceType``; empty when the platform does not say
    :param visibility: ``SECURED`` (permissions of items count), ``SHARED`` (everybody sees everything) or
        ``PRIVATE`` (docs 1779); empty when the platform does not say
    :param document_count: items in the index now, ``None`` when the platform does not say
    :param status: ``IDLE``, ``PAUSED`` or another type of its status; empty when the platform does not say
    :param managed_by: the product that fills it, and must be the only one to; empty for none
    :param mappings: its mapping rules
    :param refreshed_at: when its last refresh ended, as the platform writes it; empty when it does not say
    """

    source_id: str
    name: str
    kind: str
    visibility: str
    document_count: int | None
    push_enabled: bool
    stream_enabled: bool
    status: str = ""
    managed_by: str = ""
    mappings: tuple[MappingRule, ...] = ()
    refreshed_at: str = ""


@dataclass(frozen=True)
class IndexedIdentity:
    """
    A user or a group, as the security cache knows it.

    :param type: ``User``, ``Group``, ``VirtualGroup`` or ``Unknown``
    """

    name: str
    type: str
    provider_id: str


@dataclass(frozen=True)
class LogEntry:
    """
    What one stage of the indexing pipeline did with one item (``docs/api-notes.md``, "Source logs").

    :param time_ms: when, in ms since the epoch
    :param guid: unique to the entry; empty when the service does not say
    :param document_id: the item's URI, or the name of a container
    :param operation: ``ADD``, ``UPDATE``, ``DELETE``, ``DELETE_OLDER_THAN``, ``BATCH_FILE`` and others
    :param result: ``COMPLETED``, ``ERROR``, ``REJECTED``, ``SKIPPED``, ``WARNING``
    :param task: the stage: ``CONSUMING``, ``INDEXING`` and others
    :param ordering_id: that of the operation, ``None`` when the service does not say
    :param error: why, in the service's words; empty when there is nothing to say
    """

    time_ms: int
    guid: str
    document_id: str
    operation: str
    result: str
    task: str
    ordering_id: int | None
    error: str


@dataclass(frozen=True)
class LogCounts:
    """How many entries the source logs hold, by each of their three kinds of values."""

    operations: Mapping[str, int]
    results: Mapping[str, int]
    tasks: Mapping[str, int]

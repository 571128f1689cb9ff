"""What a test reads from the sandbox: small frozen records."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Call:
    """
    One HTTP call the sandbox got, in the order the answers went out.

    :param method: HTTP method
    :param path: path without the query; upload addresses are redacted
    :param query: query parameters; empty for uploads, whose query is a credential
    :param status: HTTP status answered, 0 when the connection was cut instead
    :param route: route name such as ``stream.chunk``; ``unknown`` when no route matched
    :param request_bytes: bytes of body read
    :param content_length: the declared length of the body, None when none was declared
    :param time_ms: when it was answered, by the sandbox's clock, in milliseconds since the Unix epoch
    :param seconds: how long it took, from its request line to its answer, in real seconds
    :param reached: whether it reached the service; False when a planned failure answered, or cut, before that
    """

    method: str
    path: str
    query: dict[str, str]
    status: int
    route: str
    request_bytes: int
    content_length: int | None
    reached: bool = True
    time_ms: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class QuotaUse:
    """
    How far a quota is used up.

    :param resets_ms: when some of it comes back, in milliseconds since the Unix epoch: the next midnight UTC,
        or when the oldest call of a sliding window leaves it; None when there is nothing to come back by time
    """

    limit: int
    used: int
    left: int
    resets_ms: int | None


@dataclass(frozen=True)
class LogEntry:
    """
    One entry of the indexing pipeline's log.

    :param time_ms: when, in milliseconds since the Unix epoch
    :param id: item URI; for ``BATCH_FILE`` the container's id; for ``DELETE_OLDER_THAN`` the item or the
        source
    :param meta: ``orderingid`` and, for a problem, ``error``
    """

    time_ms: int
    source_id: str
    id: str
    operation: str
    task: str
    result: str
    guid: str
    meta: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class IdentityView:
    """
    One identity of a security provider, as it is now.

    :param type: ``USER``, ``GROUP``, ``VIRTUAL_GROUP`` or ``UNKNOWN``
    :param state: ``UP_TO_DATE`` (pushed), ``DISABLED``, or ``IN_ERROR`` (named by others, never pushed)
    :param members: names of its members, sorted
    :param aliases: (provider id, name) of its aliases, sorted
    :param granted: names of its granted identities (``wellKnowns``), sorted
    :param ordering_id: that of its last update, 0 for one that was only named
    """

    name: str
    type: str
    state: str
    members: tuple[str, ...]
    aliases: tuple[tuple[str, str], ...]
    granted: tuple[str, ...]
    ordering_id: int
    additional_info: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EntryView:
    """
    One entry of a permission set, and what it has to do with a user.

    :param path: names of the identities that lead from the user to it; empty when it is not the user's
    :param problem: why it lets nobody in; empty when it may
    """

    name: str
    type: str
    provider: str
    path: tuple[str, ...]
    problem: str


@dataclass(frozen=True)
class SetView:
    """One permission set of an item."""

    anonymous: bool
    allowed: tuple[EntryView, ...]
    denied: tuple[EntryView, ...]


@dataclass(frozen=True)
class IdentityLogEntry:
    """
    One entry of the log of identities: a container, a single operation, or a refused entry of a container.

    :param time_ms: when, in milliseconds since the Unix epoch
    :param id: name of the identity; for ``BATCH_FILE`` the container's id; for ``DISABLE_OLDER_THAN`` the
        provider's
    :param operation: ``ADD``, ``MAP``, ``DISABLE``, ``BATCH_FILE``, ``DISABLE_OLDER_THAN``
    :param result: ``COMPLETED``, ``REJECTED``, ``ERROR``, ``WARNING``, ``SKIPPED``
    """

    time_ms: int
    provider_id: str
    id: str
    operation: str
    result: str
    ordering_id: int
    error: str | None = None


@dataclass(frozen=True)
class Activity:
    """
    One activity of a source, opened by a pushed status and closed by ``IDLE``.

    :param operation: ``REBUILD``, ``FULL_REFRESH`` (status REFRESH) or ``INCREMENTAL_REFRESH``
    :param state: ``EXECUTING`` or ``EXECUTED``
    :param start_ms: milliseconds since the Unix epoch
    :param end_ms: same, None while executing
    """

    id: str
    source_id: str
    operation: str
    state: str
    start_ms: int
    end_ms: int | None


@dataclass(frozen=True)
class SourceView:
    """
    What a source looks like now.

    :param status: last pushed status, ``PUSH_READY`` when none ever was
    :param open_streams: ids of streams opened and not closed, oldest first
    :param item_count: items in the index
    :param floor: operations with an orderingId below this are rejected; None before the first delete-older
    """

    id: str
    name: str
    kind: str
    visibility: str
    status: str
    activities: tuple[Activity, ...]
    open_streams: tuple[str, ...]
    item_count: int
    floor: int | None

    @property
    def open_stream(self) -> str | None:
        """The stream opened last and not closed, if any."""
        return self.open_streams[-1] if self.open_streams else None

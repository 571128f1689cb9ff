"""
Whole loads by one task, or by none: the operators' own work, one step after the other in one process.

Within a task of a DAG run the claim is the run's, as if the steps were tasks of it. Elsewhere, as in a notebook,
there is no run to claim a source for, and nothing keeps two loads of it apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import NoneType
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Context, ObjectStoragePath, chain, get_current_context

from coveo_provider.errors import AccessDenied, ConfigurationError
from coveo_provider.hooks.connection import ConnectionHook
from coveo_provider.operators.push import CoveoPushBatchOperator
from coveo_provider.operators.source import CoveoDeleteOlderOperator, CoveoSetSourceStatusOperator
from coveo_provider.operators.stream import (
    CoveoCloseStreamOperator,
    CoveoOpenStreamOperator,
    CoveoUploadChunkOperator,
)
from coveo_provider.operators.support.ready_documents import ReadyDocuments, ready_documents
from coveo_provider.operators.update import CoveoUpdateStreamOperator
from coveo_provider.operators.verify import CoveoVerifyOperator

if TYPE_CHECKING:
    from coveo_provider.documents.mapping.document_mapping import DocumentMapping
    from coveo_provider.operators.support.claims import Claim, SourceOperator
    from coveo_provider.report import Report
    from coveo_provider.verification.look import Finding, Look

_STEP = "coveo_at_once-"  # of an id, that no task of a user's DAG has


@dataclass(frozen=True)
class Verification:
    """
    How the end of a load is looked at, by the arguments of :class:`CoveoVerifyOperator`.

    :param verify: ``"auto"``, true or false
    :param max_rejected: how many items may be refused: a share below 1, or a number
    :param timeout: the longest wait, in seconds, besides ``queue_delay``
    :param queue_delay: minutes that the service waits before the load's deletions
    :param outlets: of the task
    :param exclusive: whether no other run may be loading the source meanwhile; ``None`` for the default
    """

    verify: bool | str = "auto"
    max_rejected: float | str = 0
    timeout: float = 3_600.0
    queue_delay: int | str = 0
    outlets: Sequence[Any] = field(default_factory=tuple)
    exclusive: bool | None = None


@dataclass(frozen=True)
class Source:
    """
    A source, and how its organization is reached.

    :param coveo_conn_id: the connection
    :param source_id: the source
    :param max_block_seconds: the longest wait that is slept through, in seconds: nothing is deferred here
    :param visibility: as that of the operators that send
    """

    coveo_conn_id: str
    source_id: str
    max_block_seconds: float = 60.0
    visibility: str = "checked"

    def __post_init__(self) -> None:
        if not isinstance(self.source_id, str) or not self.source_id.strip():
            given = self.source_id
            shown = repr(given) if isinstance(given, (str, NoneType)) else type(given).__name__
            raise ConfigurationError(
                f"source_id must be the id of a source, such as 'myorg-a1b2c3', not {shown}"
            )

    def options(self, name: str, *, sends: bool = False) -> dict[str, Any]:
        """Return the arguments that a step has in common with the others."""
        visibility = {"visibility": self.visibility} if sends else {}
        return {
            "task_id": f"{_STEP}{name}",
            "source_id": self.source_id,
            "coveo_conn_id": self.coveo_conn_id,
            "deferrable": False,
            "max_block_seconds": self.max_block_seconds,
            **visibility,
        }


class EndOperator(CoveoVerifyOperator):
    """
    The end of a load whose documents were written to this machine's disk for its own time only.

    Others may send to the source at the same time: another task of the run, a feed, a notebook. Numbers of indexed
    items may then be theirs, so that each item is looked for, unless the load is all of the source.

    :param passing: URIs of the parts that are deleted afterwards: nothing is left beside them
    """

    def __init__(self, *, passing: frozenset[str] = frozenset(), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.passing = passing

    def _found(self, look: Look, reports: Sequence[Report], *, thorough: bool) -> tuple[Finding, bool]:
        finding, by_items = super()._found(look, reports, thorough=thorough)
        if by_items or self.whole is True or not finding.settled:
            return finding, by_items
        return super()._found(look, reports, thorough=True)

    def dataset_folder(self, reports: Sequence[Report]) -> ObjectStoragePath | None:
        """Return the folder of what stays."""
        lasting = (
            replace(one, parts=[part for part in one.parts if part not in self.passing]) for one in reports
        )
        return super().dataset_folder(list(lasting))


def current_context() -> Context:
    """Return the context of the task that runs in this process; an empty one outside of any."""
    try:
        return get_current_context()
    except RuntimeError:
        return Context()


def push(
    source: Source,
    documents: Any,
    deletions: Any,
    mapping: DocumentMapping | None,
    verification: Verification,
    *,
    log: Any,
) -> dict[str, Any]:
    """Push documents and deletions to a Push source, verify them, and return a report."""
    with ready_documents(documents, mapping, stream=False, log=log) as ready:
        with _steps():
            send = CoveoPushBatchOperator(
                documents=ready.value, deletions=deletions, **source.options("push", sends=True)
            )
            end = end_of(source, verification, ready)
            send >> end
        context = current_context()
        return ended(end, context, send.act(context), ready)


def update(
    source: Source,
    documents: Any,
    partial_updates: Any,
    deletions: Any,
    mapping: DocumentMapping | None,
    verification: Verification,
    *,
    log: Any,
) -> dict[str, Any]:
    """Update a stream source, verify that, and return a report."""
    with ready_documents(documents, mapping, stream=True, log=log) as ready:
        with _steps():
            send = CoveoUpdateStreamOperator(
                documents=ready.value,
                partial_updates=partial_updates,
                deletions=deletions,
                **source.options("update", sends=True),
            )
            end = end_of(source, verification, ready)
            send >> end
        context = current_context()
        return ended(end, context, send.act(context), ready)


def load(
    source: Source,
    documents: Any,
    mapping: DocumentMapping | None,
    guards: Mapping[str, Any],
    verification: Verification,
    *,
    log: Any,
) -> dict[str, Any]:
    """Make documents the whole content of a source, verify that, and return a report."""
    context = current_context()
    if documents is None:
        raise ConfigurationError("documents is None: a load needs all that the source is to hold")
    stream = _is_stream(source)
    guards = {**guards, "content_owner": guards["content_owner"] or _owner(context)}
    with ready_documents(documents, mapping, stream=stream, log=log) as ready:
        if stream:
            return _streamed(source, ready, guards, verification, context)
        return _rebuilt(source, ready, guards, verification, context, log)


def verify(source: Source, reports: Any, verification: Verification, *, whole: bool) -> dict[str, Any]:
    """Wait until what was sent is indexed, and return a report."""
    end = end_of(source, verification, ReadyDocuments(None), whole=whole)
    end.reports = reports
    verified: dict[str, Any] = end.act(current_context())
    return verified


def ended(
    end: CoveoVerifyOperator, context: Context, report: Mapping[str, Any], ready: ReadyDocuments
) -> dict[str, Any]:
    """
    End a load by the report of all that it sent, and return that with what was found.

    :param end: verifies
    :param report: of the only task that sent
    :param ready: the documents of it
    """
    report = ready.current(report)
    end.reports, end.parts = report, report["parts"]
    found = end.act(context)
    # Nobody but a later verification asks for the ids: they may be millions.
    return ready.told({**report, **found}, ids=found.get("verified") == "nothing")


def _streamed(
    source: Source,
    ready: ReadyDocuments,
    guards: Mapping[str, Any],
    verification: Verification,
    context: Context,
) -> dict[str, Any]:
    """Open → upload → close → verify."""
    with _steps():
        begin = CoveoOpenStreamOperator(**source.options("open"))
        upload = CoveoUploadChunkOperator(
            stream_id="", documents=ready.value, **source.options("upload", sends=True)
        )
        close = CoveoCloseStreamOperator(stream_id="", reports=None, **guards, **source.options("close"))
        end = end_of(source, verification, ready, whole=True)
        chain(begin, upload, close, end)
    with _alone(begin, context):
        upload.stream_id = close.stream_id = begin.act(context)
    report = upload.act(context)
    close.reports, close.parts = report, report["parts"]
    return ended(end, context, close.act(context), ready)


def _rebuilt(
    source: Source,
    ready: ReadyDocuments,
    guards: Mapping[str, Any],
    verification: Verification,
    context: Context,
    log: Any,
) -> dict[str, Any]:
    """REBUILD → push → delete what was not renewed → verify → IDLE, the last whatever happened."""
    with _steps():
        begin = CoveoSetSourceStatusOperator(status="REBUILD", **source.options("rebuild"))
        send = CoveoPushBatchOperator(documents=ready.value, **source.options("push", sends=True))
        delete_older = CoveoDeleteOlderOperator(
            reports=None,
            queue_delay=verification.queue_delay,
            **guards,
            **source.options("delete_older"),
        )
        end = end_of(source, verification, ready, whole=True)
        idle = CoveoSetSourceStatusOperator(status="IDLE", **source.options("idle"))
        chain(begin, send, delete_older, end, idle)
    with _alone(begin, context):
        begin.act(context)
    try:
        report = send.act(context)
        delete_older.reports, delete_older.parts = report, report["parts"]
        told = ended(end, context, delete_older.act(context), ready)
    except BaseException:
        try:
            idle.act(context)
        except Exception as error:  # noqa: BLE001  what went wrong before is what counts
            log.error("Source %s could not be set to IDLE: %s", source.source_id, error)
        raise
    idle.act(context)
    return told


@contextmanager
def _alone(begin: SourceOperator, context: Context) -> Iterator[None]:
    """Take the source for the run, and for this task of it."""
    claim: Claim = begin.claim(context)
    with claim.begun("loading it"):
        claim.alone(_task(context))
        yield


def end_of(
    source: Source, verification: Verification, ready: ReadyDocuments, *, whole: bool = False
) -> EndOperator:
    """Return what ends a load, once it is told the report."""
    return EndOperator(
        reports=None,
        whole=whole,
        passing=ready.spooled,
        verify=verification.verify,
        max_rejected=verification.max_rejected,
        timeout=verification.timeout,
        queue_delay=verification.queue_delay,
        outlets=list(verification.outlets),
        exclusive=verification.exclusive,
        **source.options("verify"),
    )


@contextmanager
def _steps() -> Iterator[None]:
    """A DAG that nobody sees, in which the steps know of one another as the tasks of a group do."""
    with DAG("coveo_at_once", schedule=None, auto_register=False):
        yield


def _is_stream(source: Source) -> bool:
    """
    Tell a Catalog source from a Push source.

    :raises ConfigurationError: it is neither, or the key may not ask
    """
    groups = "Use the task groups of its kind instead: catalog_load, or push_rebuild"
    hook = ConnectionHook(source.coveo_conn_id, max_block_seconds=source.max_block_seconds)
    try:
        found = hook.client.get_source(source.source_id)
    except AccessDenied as error:
        raise ConfigurationError(
            f"source {source.source_id}: whether it is a Catalog or a Push source cannot be asked: {error}. Give "
            f"the key that privilege. {groups}"
        ) from None
    if found.stream_enabled:
        return True
    if found.push_enabled:
        return False
    raise ConfigurationError(
        f"source {source.source_id} is {found.kind or 'of an unknown kind'}, and takes neither streams nor pushes. "
        f"{groups}"
    )


def _task(context: Context) -> str:
    """Return the name of the running task, with its place among mapped ones; empty outside of any."""
    instance: Any = context.get("ti")
    if instance is None:
        return ""
    index = getattr(instance, "map_index", -1)
    return f"{instance.task_id}[{index}]" if index >= 0 else str(instance.task_id)


def _owner(context: Context) -> str:
    """Return what owns the content of a source that a task loads by itself; empty outside of any."""
    instance: Any = context.get("ti")
    return "" if instance is None else f"DAG {instance.dag_id}, task {instance.task_id}"

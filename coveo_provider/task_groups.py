"""
Whole recipes, ready to put into a DAG: the operators with their guards, marks, setup and teardown wired right.

Each function makes a task group and returns it; ``documents`` is the URI of a documents dataset, or what
:class:`~coveo_provider.operators.CoveoTransformOperator` returns::

    @dag(schedule="@daily")
    def catalog():
        transform = CoveoTransformOperator(task_id="transform", source=…, output=…, mapping=…)
        catalog_refresh(source_id="mycatalog", documents=transform.output, state="s3://…/state")

==================  ==========  ====================================================================
group               source      choose it when
==================  ==========  ====================================================================
`catalog_load`      Catalog     all of it may be applied at once, at the end (below 1,000,000 items)
`catalog_refresh`   Catalog     it is larger, or only what changed shall be sent
`push_rebuild`      Push        everything is pushed again, and what is gone is deleted
`incremental_push`  Push        only what changed shall be pushed
`secured_push`      Push        as ``push_rebuild``, with the identities that permissions name
==================  ==========  ====================================================================

While a run is in a group, another run that begins a load of the same source gets ``SourceBusy`` from the first
task that would touch it. ``default_args={"exclusive": False}`` lets both go on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from airflow.sdk import BaseOperator, TaskGroup, XComArg, chain

from coveo_provider.errors import ConfigurationError
from coveo_provider.operators import (
    CoveoCheckAccessOperator,
    CoveoCheckDatasetOperator,
    CoveoCloseStreamOperator,
    CoveoDeleteOlderOperator,
    CoveoDiffOperator,
    CoveoFinalizeOperator,
    CoveoOpenStreamOperator,
    CoveoPushBatchOperator,
    CoveoSecurityExpansionOperator,
    CoveoSecurityProviderOperator,
    CoveoSetSourceStatusOperator,
    CoveoUpdateStreamOperator,
    CoveoUploadChunkOperator,
)

Dataset: TypeAlias = "str | Sequence[str] | XComArg"
Changes: TypeAlias = "Dataset | Sequence[Mapping[str, Any]]"


def catalog_load(
    *,
    source_id: str,
    documents: Dataset,
    min_documents: int | str = 1,
    max_shrink: float | str | None = None,
    coveo_conn_id: str = "coveo_default",
    group_id: str = "catalog_load",
    default_args: dict[str, Any] | None = None,
) -> TaskGroup:
    """
    Replace the whole content of a Catalog source: check → open → upload, one task a part → close.

    Nothing changes in the index before the close, which runs only after every part was uploaded.

    :param source_id: the source (templated)
    :param documents: the documents dataset (templated)
    :param min_documents: the fewest documents a load may have (templated)
    :param max_shrink: share of the items held now that may go, between 0 and 1; ``None`` does not look (templated)
    :param coveo_conn_id: connection to the organization that owns the source (templated)
    :param group_id: the name of the group
    :param default_args: what all its tasks take: ``{"pool": "coveo", "retries": 3}``
    """
    source: dict[str, Any] = {"source_id": source_id, "coveo_conn_id": coveo_conn_id}
    with _group(group_id, default_args) as group:
        check = CoveoCheckDatasetOperator(task_id="check", documents=documents, stream=True)
        stream = CoveoOpenStreamOperator(task_id="open", **source)
        upload = CoveoUploadChunkOperator.partial(task_id="upload", stream_id=stream.output, **source).expand(
            documents=check.output
        )
        CoveoCloseStreamOperator(
            task_id="close",
            stream_id=stream.output,
            reports=upload.output,
            min_documents=min_documents,
            max_shrink=max_shrink,
            **source,
        )
        check >> stream
    return group


def catalog_refresh(
    *,
    source_id: str,
    documents: Dataset,
    state: str | None = None,
    full: bool | str = False,
    queue_delay: int | str = 15,
    min_documents: int | str = 1,
    max_shrink: float | str | None = None,
    coveo_conn_id: str = "coveo_default",
    group_id: str = "catalog_refresh",
    default_args: dict[str, Any] | None = None,
) -> TaskGroup:
    """
    Make a Catalog source equal to a dataset by updates: update, one task a part → delete what no part renewed.

    This is the way Coveo prefers: each part is processed as soon as it is sent. With ``state`` only what changed
    since the last successful run is sent, and what is gone is deleted by its id; a first run sends everything.

    :param source_id: the source (templated)
    :param documents: the documents dataset; with ``state`` one that
        :class:`~coveo_provider.operators.CoveoTransformOperator` wrote (templated)
    :param state: URI of a folder that outlives runs, one a source, for what the index holds (templated)
    :param full: with ``state``, whether to send everything this time (templated)
    :param queue_delay: minutes the service waits before it deletes what was not renewed (templated)
    :param min_documents: the fewest documents the dataset may have (templated)
    :param max_shrink: share of the items that may go, between 0 and 1; ``None`` does not look (templated)
    :param coveo_conn_id: connection to the organization that owns the source (templated)
    :param group_id: the name of the group
    :param default_args: what all its tasks take: ``{"pool": "coveo", "retries": 3}``
    """
    source: dict[str, Any] = {"source_id": source_id, "coveo_conn_id": coveo_conn_id}
    guards: dict[str, Any] = {"min_documents": min_documents, "max_shrink": max_shrink}
    with _group(group_id, default_args) as group:
        update = CoveoUpdateStreamOperator.partial(task_id="update", **source)
        if state is None:
            check = CoveoCheckDatasetOperator(task_id="check", documents=documents, stream=True)
            sent = update.expand(documents=check.output)
            CoveoDeleteOlderOperator(
                task_id="delete_older",
                reports=sent.output,
                stream=True,
                queue_delay=queue_delay,
                **guards,
                **source,
            )
        else:
            diff = _diff(documents, state, full, guards, source)
            sent = update.expand_kwargs(diff.output)
            delete_older = CoveoDeleteOlderOperator(
                task_id="delete_older",
                reports=sent.output,
                stream=True,
                full=_told(diff, "full"),
                final=False,
                queue_delay=queue_delay,
                **guards,
                **source,
            )
            delete_older >> _finalize(diff, state, sent.output, source)
    return group


def push_rebuild(
    *,
    source_id: str,
    documents: Dataset,
    queue_delay: int | str = 15,
    min_documents: int | str = 1,
    max_shrink: float | str | None = None,
    coveo_conn_id: str = "coveo_default",
    group_id: str = "push_rebuild",
    default_args: dict[str, Any] | None = None,
) -> TaskGroup:
    """
    Make a Push source equal to a dataset: REBUILD → push, one task a part → delete what was not renewed → IDLE.

    The source is set back to ``IDLE`` whatever happened; nothing is deleted unless every part went through.

    :param source_id: the source (templated)
    :param documents: the documents dataset (templated)
    :param queue_delay: minutes the service waits before it deletes what was not renewed (templated)
    :param min_documents: the fewest documents the dataset may have (templated)
    :param max_shrink: share of the items held now that may go, between 0 and 1; ``None`` does not look (templated)
    :param coveo_conn_id: connection to the organization that owns the source (templated)
    :param group_id: the name of the group
    :param default_args: what all its tasks take: ``{"pool": "coveo", "retries": 3}``
    """
    source: dict[str, Any] = {"source_id": source_id, "coveo_conn_id": coveo_conn_id}
    guards: dict[str, Any] = {
        "queue_delay": queue_delay,
        "min_documents": min_documents,
        "max_shrink": max_shrink,
    }
    with _group(group_id, default_args) as group:
        check = CoveoCheckDatasetOperator(task_id="check", documents=documents)
        check >> _rebuild(check.output, guards, source)
    return group


def incremental_push(
    *,
    source_id: str,
    documents: Changes | None = None,
    deletions: Changes | None = None,
    state: str | None = None,
    full: bool | str = False,
    queue_delay: int | str = 15,
    min_documents: int | str = 1,
    max_shrink: float | str | None = None,
    coveo_conn_id: str = "coveo_default",
    group_id: str = "incremental_push",
    default_args: dict[str, Any] | None = None,
) -> TaskGroup:
    """
    Push what changed to a Push source, and delete what is gone by its id: INCREMENTAL → push → IDLE.

    With ``state``, ``documents`` is the whole dataset, and what changed since the last successful run is found by
    comparison; a first run pushes everything and deletes what was not renewed. Without, ``documents`` and
    ``deletions`` are the changes themselves, as a change feed tells them.

    :param source_id: the source (templated)
    :param documents: the whole dataset with ``state``, which
        :class:`~coveo_provider.operators.CoveoTransformOperator` wrote; else what is new or changed (templated)
    :param deletions: without ``state``, what is gone (templated)
    :param state: URI of a folder that outlives runs, one a source, for what the index holds (templated)
    :param full: with ``state``, whether to push everything this time (templated)
    :param queue_delay: minutes the service waits before it deletes what a full push did not renew (templated)
    :param min_documents: with ``state``, the fewest documents the dataset may have (templated)
    :param max_shrink: with ``state``, share of the items that may go, between 0 and 1; ``None`` does not look
        (templated)
    :param coveo_conn_id: connection to the organization that owns the source (templated)
    :param group_id: the name of the group
    :param default_args: what all its tasks take: ``{"pool": "coveo", "retries": 3}``
    :raises ConfigurationError: ``deletions`` and ``state`` are both given, or ``documents`` is missing
    """
    source: dict[str, Any] = {"source_id": source_id, "coveo_conn_id": coveo_conn_id}
    guards: dict[str, Any] = {"min_documents": min_documents, "max_shrink": max_shrink}
    with _group(group_id, default_args) as group:
        if state is None:
            if documents is None and deletions is None:
                raise ConfigurationError(f"{group_id}: there is nothing to push. Name documents or deletions")
            start = CoveoSetSourceStatusOperator(task_id="incremental", status="INCREMENTAL", **source)
            push = CoveoPushBatchOperator(task_id="push", documents=documents, deletions=deletions, **source)
            finalize = CoveoFinalizeOperator(task_id="finalize", reports=push.output, **source)
            start >> push >> finalize >> _idle(start, source)
        else:
            if documents is None or deletions is not None:
                raise ConfigurationError(
                    f"{group_id}: with state, documents is the whole dataset, and deletions are found by comparison"
                )
            diff = _diff(documents, state, full, guards, source)
            start = CoveoSetSourceStatusOperator(task_id="incremental", status="INCREMENTAL", **source)
            sent = CoveoPushBatchOperator.partial(task_id="push", **source).expand_kwargs(diff.output)
            delete_older = CoveoDeleteOlderOperator(
                task_id="delete_older",
                ordering_id=start.output,
                reports=sent.output,
                full=_told(diff, "full"),
                final=False,
                queue_delay=queue_delay,
                **guards,
                **source,
            )
            finalize = _finalize(diff, state, sent.output, source)
            diff >> start >> sent >> delete_older >> finalize >> _idle(start, source)
    return group


def secured_push(
    *,
    source_id: str,
    provider_id: str,
    documents: Dataset,
    members: Dataset | None = None,
    mappings: Dataset | None = None,
    rules: Sequence[Mapping[str, Any]] = (),
    expected: Sequence[Mapping[str, Any]] = (),
    cascades_to: Sequence[str] = ("Email Security Provider",),
    case_sensitive: bool = False,
    queue_delay: int | str = 15,
    min_documents: int | str = 1,
    max_shrink: float | str | None = None,
    coveo_conn_id: str = "coveo_default",
    group_id: str = "secured_push",
    default_args: dict[str, Any] | None = None,
) -> TaskGroup:
    """
    Push secured content: check who will see what → REBUILD → provider → identities → push → delete older → IDLE.

    :param source_id: the source (templated)
    :param provider_id: the security provider the identities belong to (templated)
    :param documents: the documents dataset, with permissions (templated)
    :param members: dataset of groups with their members (templated)
    :param mappings: dataset of aliases (templated)
    :param rules: what must hold of the permissions, as
        :class:`~coveo_provider.operators.CoveoCheckAccessOperator` takes it (templated)
    :param expected: who is known to see what, likewise (templated)
    :param cascades_to: providers that aliases lead to (templated)
    :param case_sensitive: whether the provider tells names apart that differ in case only
    :param queue_delay: minutes the service waits before it deletes what was not renewed (templated)
    :param min_documents: the fewest documents the dataset may have (templated)
    :param max_shrink: share of the items held now that may go, between 0 and 1; ``None`` does not look (templated)
    :param coveo_conn_id: connection to the organization that owns source and provider (templated)
    :param group_id: the name of the group
    :param default_args: what all its tasks take: ``{"pool": "coveo", "retries": 3}``
    """
    source: dict[str, Any] = {"source_id": source_id, "coveo_conn_id": coveo_conn_id}
    provider: dict[str, Any] = {"provider_id": provider_id, "coveo_conn_id": coveo_conn_id}
    guards: dict[str, Any] = {
        "queue_delay": queue_delay,
        "min_documents": min_documents,
        "max_shrink": max_shrink,
    }
    with _group(group_id, default_args) as group:
        check = CoveoCheckDatasetOperator(task_id="check", documents=documents)
        check_access = CoveoCheckAccessOperator(
            task_id="check_access",
            documents=documents,
            members=members,
            mappings=mappings,
            provider_id=provider_id,
            rules=rules,
            expected=expected,
            case_sensitive=case_sensitive,
        )
        ensure = CoveoSecurityProviderOperator(
            task_id="provider", source_ids=[source_id], cascades_to=cascades_to, **provider
        )
        identities = CoveoSecurityExpansionOperator(
            task_id="identities",
            members=members,
            mappings=mappings,
            case_sensitive=case_sensitive,
            delete_older=True,
            **provider,
        )
        check >> check_access >> _rebuild(check.output, guards, source, before=(ensure, identities))
    return group


def _group(group_id: str, default_args: dict[str, Any] | None) -> TaskGroup:
    options: dict[str, Any] = {"default_args": {"exclusive": True, **(default_args or {})}}
    return TaskGroup(group_id, **options)


def _rebuild(
    parts: XComArg,
    guards: Mapping[str, Any],
    source: Mapping[str, Any],
    before: Sequence[BaseOperator] = (),
) -> CoveoSetSourceStatusOperator:
    """Add the tasks of a push rebuild, with those that come before the push, and return the first."""
    rebuild = CoveoSetSourceStatusOperator(task_id="rebuild", status="REBUILD", **source)
    push = CoveoPushBatchOperator.partial(task_id="push", **source).expand(documents=parts)
    delete_older = CoveoDeleteOlderOperator(
        task_id="delete_older", ordering_id=rebuild.output, reports=push.output, **guards, **source
    )
    chain(rebuild, *before, push, delete_older, _idle(rebuild, source))
    return rebuild


def _idle(start: BaseOperator, source: Mapping[str, Any]) -> BaseOperator:
    """
    Return the teardown that ends the activity, whatever happened since ``start``.

    It must not decide the run: with ``on_failure_fail_dagrun`` Airflow looks at the teardown alone, and a failed
    push would turn green.
    """
    idle = CoveoSetSourceStatusOperator(task_id="idle", status="IDLE", **source)
    idle.as_teardown(setups=start)
    return idle


def _diff(
    documents: Any,
    state: str,
    full: bool | str,
    guards: Mapping[str, Any],
    source: Mapping[str, Any],
) -> CoveoDiffOperator:
    return CoveoDiffOperator(task_id="diff", documents=documents, state=state, full=full, **guards, **source)


def _finalize(
    diff: CoveoDiffOperator, state: str, reports: XComArg, source: Mapping[str, Any]
) -> CoveoFinalizeOperator:
    return CoveoFinalizeOperator(
        task_id="finalize", reports=reports, manifest=_told(diff, "manifest"), state=state, **source
    )


def _told(diff: CoveoDiffOperator, key: str) -> Any:
    """Return what the diff tells besides what to send."""
    output: Any = diff.output
    return output[key]

"""Task groups for Push sources, which the Push API serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import TaskGroup, XComArg, chain

from coveo_provider.errors import ConfigurationError
from coveo_provider.operators import (
    CoveoCheckDatasetOperator,
    CoveoDeleteOlderOperator,
    CoveoPushBatchOperator,
    CoveoSetSourceStatusOperator,
    CoveoVerifyOperator,
)
from coveo_provider.task_groups.steps import (
    NAMED_BY_PART,
    Changes,
    Dataset,
    compared,
    ensured,
    finalized,
    idle_after,
    looked_at,
    new_group,
    owner_of_state,
    planning_of,
    rebuilt,
    told_by,
)


def push_rebuild(
    *,
    source_id: str | XComArg,
    documents: Dataset,
    queue_delay: int | str = 15,
    min_documents: int | str = 1,
    max_shrink: float | str | None = None,
    on_doubt: str = "fail",
    answer_within: timedelta = timedelta(days=1),
    fields: str = "warn",
    ensure: bool | Mapping[str, Any] = False,
    verify: bool | str = "auto",
    max_rejected: float | str = 0,
    content_owner: str = "",
    outlets: Sequence[Any] = (),
    coveo_conn_id: str = "coveo_default",
    group_id: str = "push_rebuild",
    default_args: dict[str, Any] | None = None,
) -> TaskGroup:
    """
    Make a Push source equal to a dataset: REBUILD → push each part → delete what was not renewed → verify → IDLE.

    The source is set back to ``IDLE`` also after a task failed; nothing is deleted unless every part went through.

    Arguments that are not named here mean what they mean in every group: :mod:`coveo_provider.task_groups`.
    """
    source: dict[str, Any] = {"source_id": source_id, "coveo_conn_id": coveo_conn_id}
    verified: dict[str, Any] = {
        "verify": verify,
        "max_rejected": max_rejected,
        "queue_delay": queue_delay,
        "outlets": list(outlets),
    }
    guards: dict[str, Any] = {
        "queue_delay": queue_delay,
        "min_documents": min_documents,
        "max_shrink": max_shrink,
        "on_doubt": on_doubt,
        "answer_within": answer_within,
        "content_owner": content_owner,
    }
    with new_group(group_id, default_args) as group:
        check = CoveoCheckDatasetOperator(
            task_id="check", documents=documents, fields=looked_at(fields, ensure), **source
        )
        ensuring = ensured(group_id, ensure, documents, source)
        chain(check, *ensuring, rebuilt(check, guards, verified, source))
    return group


def incremental_push(
    *,
    source_id: str | XComArg,
    documents: Changes | None = None,
    deletions: Changes | None = None,
    state: str | None = None,
    full: bool | str = False,
    retry_rejected: bool | str = False,
    queue_delay: int | str = 15,
    min_documents: int | str = 1,
    max_shrink: float | str | None = None,
    on_doubt: str = "fail",
    answer_within: timedelta = timedelta(days=1),
    plan: bool | Mapping[str, Any] = False,
    plan_only: bool | str = False,
    approve: str = "never",
    max_changed: float | str | None = None,
    max_new_public: int | str | None = None,
    fields: str = "warn",
    ensure: bool | Mapping[str, Any] = False,
    verify: bool | str = "auto",
    max_rejected: float | str = 0,
    content_owner: str = "",
    outlets: Sequence[Any] = (),
    coveo_conn_id: str = "coveo_default",
    group_id: str = "incremental_push",
    default_args: dict[str, Any] | None = None,
) -> TaskGroup:
    """
    Push what changed to a Push source, and delete what is gone by its id: INCREMENTAL → push → verify → IDLE.

    With ``state``, ``documents`` is the whole dataset, and what changed since the last successful run is found by
    comparison; a first run pushes everything and deletes what was not renewed. Without, ``documents`` and
    ``deletions`` are the changes themselves, as a change feed tells them.

    Arguments that are not named here mean what they mean in every group: :mod:`coveo_provider.task_groups`.

    :param documents: the whole dataset with ``state``, which
        :class:`~coveo_provider.operators.CoveoTransformOperator` wrote; else what is new or changed (templated)
    :param deletions: without ``state``, what is gone (templated)
    :raises ConfigurationError: ``deletions`` and ``state`` are both given, or ``documents`` is missing
    """
    source: dict[str, Any] = {"source_id": source_id, "coveo_conn_id": coveo_conn_id}
    verified: dict[str, Any] = {
        "verify": verify,
        "max_rejected": max_rejected,
        "queue_delay": queue_delay,
        "outlets": list(outlets),
    }
    guards: dict[str, Any] = {
        "min_documents": min_documents,
        "max_shrink": max_shrink,
        "on_doubt": on_doubt,
        "answer_within": answer_within,
        "content_owner": content_owner or owner_of_state(state),
    }
    planning = planning_of(
        group_id,
        state,
        plan,
        plan_only=plan_only,
        approve=approve,
        max_changed=max_changed,
        max_new_public=max_new_public,
        stream=False,
    )
    with new_group(group_id, default_args) as group:
        if state is None:
            if documents is None and deletions is None:
                raise ConfigurationError(f"{group_id}: there is nothing to push. Name documents or deletions")
            start = CoveoSetSourceStatusOperator(task_id="incremental", status="INCREMENTAL", **source)
            push = CoveoPushBatchOperator(
                task_id="push",
                documents=documents,
                deletions=deletions,
                fields=looked_at(fields, ensure),
                **source,
            )
            verification = CoveoVerifyOperator(task_id="verify", reports=push.output, **verified, **source)
            ensuring = ensured(group_id, ensure, documents, source)
            chain(*ensuring, start, push, verification, idle_after(start, source))
        else:
            if documents is None or deletions is not None:
                raise ConfigurationError(
                    f"{group_id}: with state, documents is the whole dataset, and deletions are found by comparison"
                )
            looks = looked_at(fields, ensure)
            diff = compared(documents, state, full, retry_rejected, guards, source, planning, looks)
            start = CoveoSetSourceStatusOperator(task_id="incremental", status="INCREMENTAL", **source)
            sent = CoveoPushBatchOperator.partial(
                task_id="push", map_index_template=NAMED_BY_PART, **source
            ).expand_kwargs(diff.output)
            delete_older = CoveoDeleteOlderOperator(
                task_id="delete_older",
                reports=sent.output,
                parts=diff.output,
                full=told_by(diff, "full"),
                queue_delay=queue_delay,
                **guards,
                **source,
            )
            finalize = finalized(diff, state, delete_older.output, verified, source)
            ensuring = ensured(group_id, ensure, documents, source)
            chain(diff, *ensuring, start, sent, delete_older, finalize, idle_after(start, source))
    return group

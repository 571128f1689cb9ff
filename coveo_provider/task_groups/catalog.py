"""Task groups for Catalog sources, which the Stream API serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import TaskGroup, XComArg, chain

from coveo_provider.operators import (
    CoveoCheckDatasetOperator,
    CoveoCloseStreamOperator,
    CoveoDeleteOlderOperator,
    CoveoOpenStreamOperator,
    CoveoUpdateStreamOperator,
    CoveoUploadChunkOperator,
)
from coveo_provider.task_groups.steps import (
    NAMED_BY_PART,
    Dataset,
    compared,
    ensured,
    finalized,
    looked_at,
    new_group,
    owner_of_state,
    planning_of,
    told_by,
    whole_verified,
)


def catalog_load(
    *,
    source_id: str | XComArg,
    documents: Dataset,
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
    group_id: str = "catalog_load",
    default_args: dict[str, Any] | None = None,
) -> TaskGroup:
    """
    Replace the whole content of a Catalog source: check → open → upload, one task a part → close → verify.

    Nothing changes in the index before the close, which runs only after every part was uploaded.

    Arguments that are not named here mean what they mean in every group: :mod:`coveo_provider.task_groups`.
    """
    source: dict[str, Any] = {"source_id": source_id, "coveo_conn_id": coveo_conn_id}
    verified: dict[str, Any] = {"verify": verify, "max_rejected": max_rejected, "outlets": list(outlets)}
    with new_group(group_id, default_args) as group:
        check = CoveoCheckDatasetOperator(
            task_id="check", documents=documents, stream=True, fields=looked_at(fields, ensure), **source
        )
        stream = CoveoOpenStreamOperator(task_id="open", **source)
        upload = CoveoUploadChunkOperator.partial(
            task_id="upload", stream_id=stream.output, map_index_template=NAMED_BY_PART, **source
        ).expand(documents=check.output)
        close = CoveoCloseStreamOperator(
            task_id="close",
            stream_id=stream.output,
            reports=upload.output,
            parts=check.output,
            min_documents=min_documents,
            max_shrink=max_shrink,
            on_doubt=on_doubt,
            answer_within=answer_within,
            content_owner=content_owner,
            **source,
        )
        whole_verified(close, verified, source)
        chain(check, *ensured(group_id, ensure, documents, source), stream)
    return group


def catalog_refresh(
    *,
    source_id: str | XComArg,
    documents: Dataset,
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
    group_id: str = "catalog_refresh",
    default_args: dict[str, Any] | None = None,
) -> TaskGroup:
    """
    Make a Catalog source equal to a dataset by updates: update each part → delete what no part renewed → verify.

    This is the way Coveo prefers: each part is processed as soon as it is sent. With ``state`` only what changed
    since the last successful run is sent, and what is gone is deleted by its id; a first run sends everything.

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
        stream=True,
    )
    with new_group(group_id, default_args) as group:
        update = CoveoUpdateStreamOperator.partial(
            task_id="update", map_index_template=NAMED_BY_PART, **source
        )
        if state is None:
            check = CoveoCheckDatasetOperator(
                task_id="check", documents=documents, stream=True, fields=looked_at(fields, ensure), **source
            )
            sent = update.expand(documents=check.output)
            chain(check, *ensured(group_id, ensure, documents, source), sent)
            delete_older = CoveoDeleteOlderOperator(
                task_id="delete_older",
                reports=sent.output,
                parts=check.output,
                queue_delay=queue_delay,
                **guards,
                **source,
            )
            whole_verified(delete_older, verified, source)
        else:
            looks = looked_at(fields, ensure)
            diff = compared(documents, state, full, retry_rejected, guards, source, planning, looks)
            sent = update.expand_kwargs(diff.output)
            chain(diff, *ensured(group_id, ensure, documents, source), sent)
            delete_older = CoveoDeleteOlderOperator(
                task_id="delete_older",
                reports=sent.output,
                parts=diff.output,
                full=told_by(diff, "full"),
                queue_delay=queue_delay,
                **guards,
                **source,
            )
            finalized(diff, state, delete_older.output, verified, source)
    return group

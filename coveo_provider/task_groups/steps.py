"""What several task groups are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from airflow.sdk import BaseOperator, TaskGroup, XComArg, chain

from coveo_provider.operators import (
    CoveoDeleteOlderOperator,
    CoveoDiffOperator,
    CoveoFinalizeOperator,
    CoveoPushBatchOperator,
    CoveoSetSourceStatusOperator,
)

Dataset: TypeAlias = "str | Sequence[str] | XComArg"
Changes: TypeAlias = "Dataset | Sequence[Mapping[str, Any]]"


def new_group(group_id: str, default_args: dict[str, Any] | None) -> TaskGroup:
    """Return a task group whose tasks take ``default_args``."""
    options: dict[str, Any] = {"default_args": default_args or {}}
    return TaskGroup(group_id, **options)


def rebuilt(
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
    chain(rebuild, *before, push, delete_older, idle_after(rebuild, source))
    return rebuild


def idle_after(start: BaseOperator, source: Mapping[str, Any]) -> BaseOperator:
    """
    Return the teardown that ends the activity, whatever happened since ``start``.

    It must not decide the run: with ``on_failure_fail_dagrun`` Airflow looks at the teardown alone, and a failed
    push would turn green.
    """
    idle = CoveoSetSourceStatusOperator(task_id="idle", status="IDLE", **source)
    idle.as_teardown(setups=start)
    return idle


def compared(
    documents: Any,
    state: str,
    full: bool | str,
    guards: Mapping[str, Any],
    source: Mapping[str, Any],
) -> CoveoDiffOperator:
    """Return the task that finds out what changed."""
    return CoveoDiffOperator(task_id="diff", documents=documents, state=state, full=full, **guards, **source)


def finalized(
    diff: CoveoDiffOperator, state: str, reports: XComArg, source: Mapping[str, Any]
) -> CoveoFinalizeOperator:
    """Return the task that remembers what was sent."""
    return CoveoFinalizeOperator(
        task_id="finalize", reports=reports, manifest=told_by(diff, "manifest"), state=state, **source
    )


def told_by(diff: CoveoDiffOperator, key: str) -> Any:
    """Return what the diff tells besides what to send."""
    output: Any = diff.output
    return output[key]

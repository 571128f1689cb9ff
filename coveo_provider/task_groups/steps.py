"""What several task groups are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from airflow.sdk import BaseOperator, TaskGroup, XComArg, chain

from coveo_provider.errors import ConfigurationError
from coveo_provider.operators import (
    CoveoCheckDatasetOperator,
    CoveoDeleteOlderOperator,
    CoveoDiffOperator,
    CoveoEnsureSourceOperator,
    CoveoFinalizeOperator,
    CoveoPlanOperator,
    CoveoPushBatchOperator,
    CoveoSetSourceStatusOperator,
    CoveoTransformOperator,
    CoveoVerifyOperator,
)

NAMED_BY_PART = "{{ coveo_part | default('', true) }}"
"""A ``map_index_template``: in Airflow's UI a task goes by its part and what it sent of it, once that is known."""

Dataset: TypeAlias = "str | Sequence[str | XComArg] | XComArg"
Changes: TypeAlias = "Dataset | Sequence[Mapping[str, Any]]"


def new_group(group_id: str, default_args: dict[str, Any] | None) -> TaskGroup:
    """Return a task group whose tasks take ``default_args``."""
    options: dict[str, Any] = {"default_args": default_args or {}}
    return TaskGroup(group_id, **options)


def rebuilt(
    check: CoveoCheckDatasetOperator,
    guards: Mapping[str, Any],
    verified: Mapping[str, Any],
    source: Mapping[str, Any],
    before: Sequence[BaseOperator] = (),
    visibility: str = "checked",
) -> CoveoSetSourceStatusOperator:
    """Add the tasks of a push rebuild after a check, with those that come before the push, and return the first."""
    rebuild = CoveoSetSourceStatusOperator(task_id="rebuild", status="REBUILD", **source)
    push = CoveoPushBatchOperator.partial(
        task_id="push", visibility=visibility, map_index_template=NAMED_BY_PART, **source
    ).expand(documents=check.output)
    delete_older = CoveoDeleteOlderOperator(
        task_id="delete_older", reports=push.output, parts=check.output, **guards, **source
    )
    verify = whole_verified(delete_older, verified, source)
    chain(rebuild, *before, push, delete_older, verify, idle_after(rebuild, source))
    return rebuild


def whole_verified(
    last: BaseOperator, verified: Mapping[str, Any], source: Mapping[str, Any]
) -> CoveoVerifyOperator:
    """Return the task that verifies a load of all that a source holds, whose last step it follows."""
    return CoveoVerifyOperator(task_id="verify", reports=last.output, whole=True, **verified, **source)


def idle_after(start: BaseOperator, source: Mapping[str, Any]) -> BaseOperator:
    """
    Return the teardown that ends the activity after ``start``, also when a task between them failed.

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
    retry_rejected: bool | str,
    guards: Mapping[str, Any],
    source: Mapping[str, Any],
    planning: Mapping[str, Any] | None = None,
    fields: str = "warn",
) -> CoveoDiffOperator:
    """
    Return the task that finds out what changed; what is read from CSV keeps the types in the state.

    :param planning: arguments of a task that plans before it; ``None`` for none
    """
    for operator, _ in XComArg.iter_xcom_references(documents):
        if isinstance(operator, CoveoTransformOperator) and operator.state is None:
            operator.state = state
    compares: dict[str, Any] = {
        "documents": documents,
        "state": state,
        "full": full,
        "retry_rejected": retry_rejected,
        **source,
    }
    looks: dict[str, Any] = {"fields": fields}
    if planning is None:
        return CoveoDiffOperator(task_id="diff", **compares, **guards, **looks)
    bounds = {name: value for name, value in guards.items() if name != "content_owner"}
    plan = CoveoPlanOperator(task_id="plan", **{**compares, **bounds, **planning})
    return CoveoDiffOperator(task_id="diff", plan=plan.output, **compares, **guards, **looks)


def planning_of(
    group_id: str, state: str | None, plan: bool | Mapping[str, Any], *, stream: bool, **options: Any
) -> dict[str, Any] | None:
    """
    Return the arguments of the task that plans; ``None`` where nothing asks for a plan.

    :param plan: whether there is one, or further arguments of ``CoveoPlanOperator``
    :param options: arguments of it that the group has itself
    :raises ConfigurationError: a plan is wanted, and there is no state to compare with
    """
    defaults = {"plan_only": False, "approve": "never", "max_changed": None, "max_new_public": None}
    given = {name: value for name, value in options.items() if value not in (defaults[name], None, "")}
    if not isinstance(plan, (bool, Mapping)):
        raise ConfigurationError(
            f"{group_id}: plan is true, false or arguments of CoveoPlanOperator, not {plan!r}; it makes a task, so "
            "it cannot be templated. plan_only can"
        )
    more = plan if isinstance(plan, Mapping) else {}
    if own := {"documents", "state", "source_id", "task_id"}.intersection(more):
        raise ConfigurationError(
            f"{group_id}: plan names {', '.join(sorted(own))}, which the group says itself"
        )
    if not plan and not given:
        return None
    if state is None:
        wanted = ", ".join(sorted(given)) or "plan"
        raise ConfigurationError(
            f"{group_id}: {wanted} needs a plan, which is made by comparison: give the group a state"
        )
    return {"stream": stream, **given, **more}


def ensured(
    group_id: str,
    ensure: bool | Mapping[str, Any],
    documents: Any,
    source: Mapping[str, Any],
) -> list[BaseOperator]:
    """
    Return the task that makes sure of the source and its fields.

    :param ensure: whether there is one, or further arguments of ``CoveoEnsureSourceOperator``
    :return: a list of it, for a chain; an empty one for none
    :raises ConfigurationError: it is neither, or names what the group says itself
    """
    if not isinstance(ensure, (bool, Mapping)):
        raise ConfigurationError(
            f"{group_id}: ensure is true, false or arguments of CoveoEnsureSourceOperator, not {ensure!r}; it "
            "makes a task, so it cannot be templated"
        )
    more = ensure if isinstance(ensure, Mapping) else {}
    if "source" in more:
        raise ConfigurationError(
            f"{group_id}: a group loads a source that is there. To create one, put CoveoEnsureSourceOperator "
            'before the group, and give the group source_id=ensure.output["source_id"]'
        )
    if own := {"source_id", "task_id"}.intersection(more):
        raise ConfigurationError(
            f"{group_id}: ensure names {', '.join(sorted(own))}, which the group says itself"
        )
    if ensure is False:
        return []
    return [CoveoEnsureSourceOperator(task_id="ensure", **{"documents": documents, **source, **more})]


def looked_at(fields: str, ensure: bool | Mapping[str, Any]) -> str:
    """Return what the task that checks a dataset does about fields: nothing where another makes sure of them."""
    return fields if ensure is False else "off"


def finalized(
    diff: CoveoDiffOperator,
    state: str,
    reports: XComArg,
    verified: Mapping[str, Any],
    source: Mapping[str, Any],
) -> CoveoFinalizeOperator:
    """Return the task that verifies and remembers what was sent."""
    return CoveoFinalizeOperator(
        task_id="finalize",
        reports=reports,
        manifest=told_by(diff, "manifest"),
        state=state,
        **verified,
        **source,
    )


def owner_of_state(state: str | None) -> str:
    """Return what decides what a source holds, where its state lies in a folder; empty without one."""
    return "" if state is None else f"the state in {state.rstrip('/')}"


def told_by(diff: CoveoDiffOperator, key: str) -> Any:
    """Return what the diff tells besides what to send."""
    output: Any = diff.output
    return output[key]

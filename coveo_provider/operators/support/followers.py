"""Which tasks stand before and after an operator in its DAG, and work on the same source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow.sdk import BaseOperator, Context


def kinds_after(operator: Any, context: Context) -> Iterator[type[Any]]:
    """
    Return the classes of the tasks that follow an operator, directly or not, and work on its source.

    :param operator: one that has a ``source_id``
    :param context: the running task's
    """
    return (kind for _, kind in _relatives(operator, context, upstream=False))


def kinds_before(operator: Any, context: Context) -> Iterator[type[Any]]:
    """Return the classes of the tasks that an operator follows, directly or not, and that work on its source."""
    return (kind for _, kind in _relatives(operator, context, upstream=True))


def tasks_before(
    operator: Any, context: Context, owner: str = "source_id"
) -> Iterator[tuple[str, type[Any]]]:
    """
    Return ids and classes of the tasks that an operator follows, directly or not, and that work on its source.

    :param owner: the attribute that names what they work on: ``provider_id`` of identities
    """
    return _relatives(operator, context, upstream=True, owner=owner)


def _relatives(
    operator: Any, context: Context, *, upstream: bool, owner: str = "source_id"
) -> Iterator[tuple[str, type[Any]]]:
    for task in operator.get_flat_relatives(upstream=upstream):
        kind, owned_by = _class_and_owner(task, owner)
        if owned_by is not None and _may_be_same(owned_by, getattr(operator, owner), operator, context):
            yield task.task_id, kind


def _class_and_owner(task: Any, owner: str) -> tuple[type[Any], Any]:
    """Return the class of a task, mapped or not, and its source as the DAG file has it, if it has one."""
    if isinstance(task, BaseOperator):
        return type(task), getattr(task, owner, None)
    return task.operator_class, task.partial_kwargs.get(owner)


def _may_be_same(owner: Any, own: Any, operator: Any, context: Context) -> bool:
    """Return whether a source is the operator's; one that is not known before its task runs may be."""
    return not isinstance(owner, str) or operator.render_template(owner, context) == own

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
    return (kind_of(task) for task in _tasks(operator, context, upstream=False))


def tasks_after(operator: Any, context: Context) -> Iterator[Any]:
    """Return these tasks, mapped or not, as the DAG file has them."""
    return _tasks(operator, context, upstream=False)


def kinds_before(operator: Any, context: Context) -> Iterator[type[Any]]:
    """Return the classes of the tasks that an operator follows, directly or not, and that work on its source."""
    return (kind_of(task) for task in _tasks(operator, context, upstream=True))


def tasks_before(
    operator: Any, context: Context, owner: str = "source_id"
) -> Iterator[tuple[str, type[Any]]]:
    """
    Return ids and classes of the tasks that an operator follows, directly or not, and that work on its source.

    :param owner: the argument that names what they work on: ``provider_id`` of identities
    """
    return ((task.task_id, kind_of(task)) for task in _tasks(operator, context, upstream=True, owner=owner))


def kind_of(task: Any) -> type[Any]:
    """Return the class of a task, mapped or not."""
    return type(task) if isinstance(task, BaseOperator) else task.operator_class


def argument_of(task: Any, name: str) -> Any:
    """Return an argument of a task as the DAG file has it; ``None`` of one it has not, or is mapped over."""
    return getattr(task, name, None) if isinstance(task, BaseOperator) else task.partial_kwargs.get(name)


def _tasks(operator: Any, context: Context, *, upstream: bool, owner: str = "source_id") -> Iterator[Any]:
    for task in operator.get_flat_relatives(upstream=upstream):
        owned_by = argument_of(task, owner)
        if owned_by is not None and _may_be_same(owned_by, getattr(operator, owner), operator, context):
            yield task


def _may_be_same(owner: Any, own: Any, operator: Any, context: Context) -> bool:
    """Return whether a source is the operator's; one that is not known before its task runs may be."""
    return not isinstance(owner, str) or operator.render_template(owner, context) == own

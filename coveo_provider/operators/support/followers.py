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
    return _kinds(operator, context, upstream=False)


def kinds_before(operator: Any, context: Context) -> Iterator[type[Any]]:
    """Return the classes of the tasks that an operator follows, directly or not, and that work on its source."""
    return _kinds(operator, context, upstream=True)


def _kinds(operator: Any, context: Context, *, upstream: bool) -> Iterator[type[Any]]:
    for task in operator.get_flat_relatives(upstream=upstream):
        kind, source = _class_and_source(task)
        if source is not None and _may_be_same(source, operator, context):
            yield kind


def _class_and_source(task: Any) -> tuple[type[Any], Any]:
    """Return the class of a task, mapped or not, and its source as the DAG file has it, if it has one."""
    if isinstance(task, BaseOperator):
        return type(task), getattr(task, "source_id", None)
    return task.operator_class, task.partial_kwargs.get("source_id")


def _may_be_same(source: Any, operator: Any, context: Context) -> bool:
    """Return whether a source is the operator's; one that is not known before its task runs may be."""
    return not isinstance(source, str) or operator.render_template(source, context) == operator.source_id

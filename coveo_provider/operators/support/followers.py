"""Which tasks follow an operator in its DAG, and work on the same source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, Context

if TYPE_CHECKING:
    from coveo_provider.operators.support.claims import SourceOperator


def is_followed_by(kind: type[SourceOperator], operator: SourceOperator, context: Context) -> bool:
    """
    Return whether a task of a kind follows an operator, directly or not, and works on its source.

    :param kind: the class of the task
    :param context: the running task's
    """
    return any(
        issubclass(follower, kind) and _may_be_same(source, operator, context)
        for follower, source in map(_class_and_source, operator.get_flat_relatives(upstream=False))
    )


def _class_and_source(task: Any) -> tuple[type[Any], Any]:
    """Return the class of a task, mapped or not, and its source as the DAG file has it."""
    if isinstance(task, BaseOperator):
        return type(task), getattr(task, "source_id", None)
    return task.operator_class, task.partial_kwargs.get("source_id")


def _may_be_same(source: Any, operator: SourceOperator, context: Context) -> bool:
    """Return whether a source is the operator's; one that is not known before its task runs may be."""
    return not isinstance(source, str) or operator.render_template(source, context) == operator.source_id

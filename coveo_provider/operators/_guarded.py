"""What the destructive operators share: they look before they leap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, TriggerRule

from coveo_provider.errors import ConfigurationError, SafetyStop
from coveo_provider.operators._base import CoveoOperator

if TYPE_CHECKING:
    from coveo_provider.report import Report


class GuardedOperator(CoveoOperator):
    """A task that removes items, and first checks the load that is to take their place."""

    source_id: str
    reports: Any
    min_documents: int | str
    max_shrink: float | str | None

    def checked_load(self, step: str) -> Report:
        """
        Return the sum of the parts' reports.

        :param step: what is about to be done: ``closing the stream``
        :raises SafetyStop: the load looks wrong; nothing was removed
        """
        from coveo_provider.safety import refuse_doubtful, total

        after_every_part_only(self, step)
        loaded = total(self.reports, source_id=self.source_id, step=step)
        refuse_doubtful(
            source_id=self.source_id,
            step=step,
            documents=loaded.documents,
            min_documents=number(self.min_documents, int, "min_documents", default=1),
            max_shrink=number(self.max_shrink, float, "max_shrink", default=None),
            held=lambda: self.client.get_source(self.source_id).document_count,
        )
        return loaded


def after_every_part_only(operator: BaseOperator, step: str) -> None:
    """
    Refuse to remove anything under a trigger rule that lets a failed or skipped part pass.

    Of a mapped task Airflow hands over the reports of the instances that succeeded, so a missing part would
    look like a smaller load.

    :raises SafetyStop: it is not ``all_success``
    """
    if operator.trigger_rule != TriggerRule.ALL_SUCCESS:
        raise SafetyStop(
            f"task {operator.task_id}: {step} runs only after every part succeeded, so its trigger_rule must be "
            f"all_success, not {getattr(operator.trigger_rule, 'value', operator.trigger_rule)}. Nothing was "
            "removed"
        )


def number(value: Any, kind: type[Any], name: str, default: Any) -> Any:
    """Return a number that a template may have turned into text; an empty text and None mean the default."""
    if value is None or (isinstance(value, str) and value.strip() in {"", "None"}):
        return default
    if not isinstance(value, str):
        return value
    try:
        return kind(value)
    except ValueError:
        raise ConfigurationError(f"{name} must be a number, not {value!r}") from None

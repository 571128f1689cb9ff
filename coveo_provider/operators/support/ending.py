"""What the operators that end a load share: they check it before they remove anything, and tell other DAGs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import AssetAlias, BaseOperator, Context, TriggerRule

from coveo_provider.assets import ANY_REFRESH, coveo_asset
from coveo_provider.errors import SafetyStop
from coveo_provider.links import SOURCE_LINKS
from coveo_provider.operators.support.claims import Claim, SourceOperator
from coveo_provider.operators.support.values import number

if TYPE_CHECKING:
    from coveo_provider.report import Report


class EndingOperator(SourceOperator):
    """
    A task that ends a load: it removes items, and first checks what is to take their place.

    When it has ended the load it emits an event of the asset ``coveo://<organization>/<source>``, on which other
    DAGs may be scheduled (:mod:`coveo_provider.assets`).
    """

    operator_extra_links = SOURCE_LINKS

    reports: Any
    min_documents: int | str
    max_shrink: float | str | None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # The asset is known by the running task only; Airflow drops events of what was not declared before.
        if (alias := AssetAlias(ANY_REFRESH)) not in self.outlets:
            self.outlets = [*self.outlets, alias]

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
            count_held=lambda: self.client.get_source(self.source_id).document_count,
        )
        return loaded

    def end_load(self, context: Context, claim: Claim, report: dict[str, Any]) -> None:
        """Give the source back, and tell other DAGs that it was refreshed."""
        claim.release()
        self._emit(context, report)

    def _emit(self, context: Context, report: dict[str, Any]) -> None:
        """
        Add the event that Airflow emits once the task has succeeded.

        Its extra holds the ids and the report without its lists, which may be long: ``parts`` is left out, and
        of ``ordering_ids`` the last stays, as ``ordering_id``.
        """
        if (events := context.get("outlet_events")) is None:  # executed outside of any run
            return
        try:
            asset = coveo_asset(self.client.organization_id, self.source_id)
        except ValueError as error:  # what was done is done: the task does not fail for its event
            self.log.warning("No asset event for source %s: %s", self.source_id, error)
            return
        extra = {name: value for name, value in report.items() if isinstance(value, (int, float, str))}
        if report.get("ordering_ids"):
            extra.setdefault("ordering_id", report["ordering_ids"][-1])
        ids = {"organization_id": self.client.organization_id, "source_id": self.source_id}
        events[AssetAlias(ANY_REFRESH)].add(asset, extra={**extra, **ids})


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

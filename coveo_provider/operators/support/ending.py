"""What the operators that end a load share: they check it before they remove anything, and tell other DAGs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from airflow.sdk import Asset, AssetAlias, BaseOperator, Context, TriggerRule

from coveo_provider.assets import ANY_REFRESH, coveo_asset
from coveo_provider.errors import SafetyStop
from coveo_provider.links import SOURCE_LINKS
from coveo_provider.operators.support.approvals import AskingOperator, Doubts
from coveo_provider.operators.support.claims import Claim, SourceOperator
from coveo_provider.operators.support.followers import kinds_after
from coveo_provider.operators.support.lineage import Lineage, columns_at, data_of_source
from coveo_provider.operators.support.mapped_tasks import parts_of
from coveo_provider.operators.support.outlets import is_own, is_source
from coveo_provider.operators.support.values import number

if TYPE_CHECKING:
    from coveo_provider.report import Report


class EndingOperator(SourceOperator):
    """
    A task that ends a load, or a step towards that: it first checks what was sent.

    When it has ended the load it emits an event of the asset ``coveo://<organization>/<source>``, on which other
    DAGs may be scheduled (:mod:`coveo_provider.assets`). Where that asset is among its ``outlets``, Airflow's page
    of the asset shows the task; the event is one, and the same.
    """

    operator_extra_links = SOURCE_LINKS

    ends = True

    verifies: ClassVar[bool] = False
    """Whether such a task verifies the load, and so ends it in place of those before it."""

    reports: Any
    parts: Any = None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # The asset is known by the running task only; Airflow drops events of what was not declared before.
        if (alias := AssetAlias(ANY_REFRESH)) not in self.outlets:
            self.outlets = [*self.outlets, alias]

    def load_reports(self, context: Context, claim: Claim, step: str) -> list[Report]:
        """
        Return the reports of all tasks of the load, each part of it exactly once.

        :param step: what is about to be done: ``closing the stream``
        :raises SafetyStop: a report is missing, double, or of something else; nothing was removed
        """
        from coveo_provider.safety import read_reports

        after_every_part_only(self, step)
        reports = read_reports(
            self._current_reports(),
            source_id=self.source_id,
            step=step,
            load=claim.load,
            parts=None if self.parts is None else parts_of(self.parts),
            stream_id=str(getattr(self, "stream_id", "")),
        )
        if self.parts is None:
            self._refuse_missing(context, len(reports), step)
        return reports

    def end_load(self, context: Context, claim: Claim, report: dict[str, Any]) -> None:
        """Give the source back, and tell other DAGs that it was refreshed, unless a task that verifies follows."""
        declared = [outlet for outlet in self.outlets if is_source(outlet)]
        # What stands here when the task succeeds gets an event from Airflow, which knows nothing of the load.
        self.outlets = [outlet for outlet in self.outlets if not is_source(outlet)]
        self.lineage = self.told(lambda: self._lineage(report))
        if any(issubclass(kind, EndingOperator) and kind.verifies for kind in kinds_after(self, context)):
            return
        claim.release()
        self._emit(context, report, declared)

    def first_part(self, report: dict[str, Any]) -> str:
        """Return the URI of a part that shows the columns of the load's documents; empty without one."""
        others = {part for parts in report.get("other_parts", {}).values() for part in parts}
        return next((part for part in report["parts"] if part not in others), "")

    def _lineage(self, report: dict[str, Any]) -> Lineage:
        """Return the source with all that the load sent, less what was refused."""
        part = self.first_part(report)
        rows = report["documents"] + report["partial_updates"] - report.get("refused", 0)
        source = data_of_source(
            self.client.organization_id,
            self.source_id,
            columns=columns_at(part) if part else (),
            rows=max(0, rows),
            bytes=report["bytes"],
        )
        return Lineage(outputs=[source])

    def _current_reports(self) -> Any:
        """
        Return the reports without those of mapped tasks that are no more.

        A run that is cleared may have fewer parts than before. Airflow then removes the tasks beyond, and their
        reports stay behind those of the others, in the order of the parts.
        """
        reports, parts = self.reports, self.parts
        if (
            not isinstance(parts, (list, tuple))
            or not isinstance(reports, Sequence)
            or len(reports) <= len(parts)
        ):
            return reports
        return [reports[number] for number in range(len(parts))]

    def _refuse_missing(self, context: Context, reports: int, step: str) -> None:
        """
        Refuse fewer reports than tasks that sent: one that was marked as success by hand has none.

        :raises SafetyStop: there are fewer
        """
        instance: Any = context.get("ti")
        run, this = context.get("dag_run"), cast("Any", self)
        if run is None or not this.has_dag() or not hasattr(instance, "get_ti_count"):
            return
        senders = [task.task_id for task in self.get_direct_relatives(upstream=True) if _sends(task)]
        if not senders:
            return
        tasks = instance.get_ti_count(dag_id=run.dag_id, task_ids=senders, run_ids=[run.run_id])
        if tasks > reports:
            raise SafetyStop(
                f"source {self.source_id}: {step} needs the reports of all parts: {tasks} tasks send before "
                "it, and there are "
                f"{reports} reports. A task that was marked as success by hand has sent nothing: clear it, so "
                "that it runs. "
                "Nothing was removed"
            )

    def _emit(self, context: Context, report: dict[str, Any], declared: Sequence[Any]) -> None:
        """
        Add the event that Airflow emits once the task has succeeded: by the alias, so that its DAGs run as well.

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
        own = (one for one in declared if isinstance(one, Asset) and is_own(one, asset.uri))
        asset = next(own, asset)  # it may have another name
        extra = {name: value for name, value in report.items() if isinstance(value, (int, float, str))}
        if report.get("ordering_ids"):
            extra.setdefault("ordering_id", report["ordering_ids"][-1])
        ids = {"organization_id": self.client.organization_id, "source_id": self.source_id}
        events[AssetAlias(ANY_REFRESH)].add(asset, extra={**extra, **ids})


class GuardedOperator(AskingOperator, EndingOperator):
    """
    A task that removes items, and first checks what is to take their place.

    :param content_owner: what decides what the source holds, and may remove items of it; by default the DAG and its
        task group. Two that load the same content say the same
    """

    min_documents: int | str
    max_shrink: float | str | None

    def __init__(self, *, content_owner: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.content_owner = content_owner

    def checked_load(self, context: Context, claim: Claim, step: str) -> tuple[list[Report], Report]:
        """
        Return the reports of the load, and their sum.

        :param step: what is about to be done: ``closing the stream``
        :raises SafetyStop: the load looks wrong, or is not this run's, or the content belongs to another;
            nothing was removed
        """
        from coveo_provider.safety import refuse_doubtful, total

        claim.join(step)
        reports = self.load_reports(context, claim, step)
        loaded = total(reports)
        doubts = Doubts(self, context)
        refuse_doubtful(
            source_id=self.source_id,
            step=step,
            documents=loaded.documents,
            min_documents=number(self.min_documents, int, "min_documents", default=1),
            max_shrink=number(self.max_shrink, float, "max_shrink", default=None),
            count_held=lambda: self.client.get_source(self.source_id).document_count,
            doubt=doubts.add,
        )
        doubts.settle(step)
        claim.own(self.content_owner or _owner_of(self), step)
        return reports, loaded


def _owner_of(operator: BaseOperator) -> str:
    """Return what an operator belongs to: its DAG, and its task group."""
    group, _, _ = operator.task_id.rpartition(".")
    return f"DAG {operator.dag_id}, {f'group {group}' if group else 'outside of any group'}"


def _sends(task: Any) -> bool:
    """Tell whether a task, mapped or not, sends items of a load."""
    return bool(getattr(getattr(task, "operator_class", type(task)), "sends", False))


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

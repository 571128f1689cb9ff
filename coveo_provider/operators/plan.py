"""What a load would change, found out and told before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.utils.skipmixin import SkipMixin
from airflow.sdk import Context, XComArg

from coveo_provider.documents.changes.datasets import WrittenDataset
from coveo_provider.documents.changes.state import LastRun, LoadRecord, State
from coveo_provider.documents.contract import Api
from coveo_provider.documents.uris import shown_uri
from coveo_provider.errors import ConfigurationError, CoveoError, DatasetError
from coveo_provider.links import SOURCE_LINKS
from coveo_provider.operators.support.approvals import PLAN, AskingOperator, Doubts, Question
from coveo_provider.operators.support.basis import Basis, compare, read_basis
from coveo_provider.operators.support.claims import SourceOperator
from coveo_provider.operators.support.datasets import remembered_dataset, whole_datasets
from coveo_provider.operators.support.fields import keys_without_field
from coveo_provider.operators.support.identity_graphs import identity_graph
from coveo_provider.operators.support.load_records import now_text
from coveo_provider.operators.support.plan_guards import PlanGuards
from coveo_provider.operators.support.run_reports import count_held, names_of
from coveo_provider.operators.support.states import run_to_remember, state_at
from coveo_provider.operators.support.storage import open_file
from coveo_provider.operators.support.values import number, truth
from coveo_provider.scratch import ScratchFolder

if TYPE_CHECKING:
    from coveo_provider.documents.changes.comparison import Difference
    from coveo_provider.planning.inspection import Inspection
    from coveo_provider.safety import Doubt

_NAMES = 50  # listed of those without a field
_MOST_SHOWN = 100  # documents of a sample: an XCom is small
_APPROVALS = ("never", "always")


@dataclass(frozen=True)
class _Sides:
    """What is compared: the datasets of now, and those of the last load where they can still be read."""

    now: Sequence[WrittenDataset]
    before: Sequence[WrittenDataset] | None


class CoveoPlanOperator(AskingOperator, SourceOperator, SkipMixin):
    """
    Find out what a load would change in a source, and tell it before anything is sent.

    It compares as :class:`~coveo_provider.operators.diff.CoveoDiffOperator` does, changes nothing, announces
    nothing and claims nothing. The plan is JSON, small enough for XCom as its lists are cut and counted: documents
    that are new, changed, unchanged and gone, and those by the value of a column; which fields change and how
    often, with values before and after of a sample, where the dataset of the last load is still there; what becomes
    public, and who gains or loses access; metadata that has no field; bytes, containers and calls against the
    quotas; whether the dataset is that of a former load (a roll-back). ``docs/plans.md`` says what each key means.

    Give it to the diff as ``plan=plan.output``: what is applied then is what was planned, or the run stops.

    :param documents: the dataset, or a list of several, as for ``CoveoDiffOperator`` (templated)
    :param state: URI of the folder that the diff is given (templated)
    :param source_id: the source (templated)
    :param plan_only: whether the run ends here, green: what follows is skipped (templated)
    :param approve: ``always`` waits for a yes in Airflow's Required Actions; ``never`` asks only as ``on_doubt``
        says (templated)
    :param group_by: the column by whose values documents are counted (templated)
    :param sample: of how many changed documents the values are shown, at most 100
    :param seed: of that sample; by default one that is the same for the same dataset (templated)
    :param full: whether everything is sent this time (templated)
    :param retry_rejected: as for ``CoveoDiffOperator`` (templated)
    :param stream: whether the load goes through the Stream API; by default as the dataset's manifest says
    :param members: URI of the dataset of groups and their members, to tell how many people gain or lose
        access (templated)
    :param mappings: likewise of the aliases (templated)
    :param provider_id: the security provider these belong to (templated)
    :param min_documents: the fewest documents the dataset may have (templated)
    :param max_shrink: share of the documents of the last load that may be gone, 0 to 1 (templated)
    :param max_changed: share of the documents of the last load that may change, 0 to 1 (templated)
    :param max_new_public: how many documents may become visible to everybody that were not before, or are new;
        one whose former permissions are not known counts (templated)
    :param coveo_conn_id: connection to the organization that owns the source; Fields (View) and Sources (View) tell
        more, and are not needed (templated)
    :return: the plan, which stands in XCom as ``coveo_plan`` too
    :raises SafetyStop: a bound is passed; nothing was sent
    """

    template_fields: Sequence[str] = (
        *("documents", "state", "source_id", "plan_only", "approve", "group_by", "seed", "full"),
        *("retry_rejected", "members", "mappings", "provider_id"),
        *("min_documents", "max_shrink", "max_changed", "max_new_public", "coveo_conn_id"),
    )
    operator_extra_links = SOURCE_LINKS
    documentation = "https://docs.coveo.com/en/90/"
    plans = True
    inherits_from_skipmixin = True  # what was skipped is skipped again when it is cleared

    def __init__(
        self,
        *,
        documents: str | Sequence[str | XComArg] | XComArg,
        state: str | XComArg,
        source_id: str,
        plan_only: bool | str = False,
        approve: str = "never",
        group_by: str = "objecttype",
        sample: int = 10,
        seed: str = "",
        full: bool | str | XComArg = False,
        retry_rejected: bool | str = False,
        stream: bool | None = None,
        members: str | Sequence[str | XComArg] | XComArg | None = None,
        mappings: str | Sequence[str | XComArg] | XComArg | None = None,
        provider_id: str = "",
        min_documents: int | str = 1,
        max_shrink: float | str | None = None,
        max_changed: float | str | None = None,
        max_new_public: int | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not (isinstance(approve, XComArg) or "{{" in str(approve)):
            _refuse_approve(approve)
        if isinstance(sample, bool) or not isinstance(sample, int) or not 0 <= sample <= _MOST_SHOWN:
            raise ConfigurationError(f"sample must be a number from 0 to {_MOST_SHOWN}, not {sample!r}")
        self.documents: Any = documents
        self.state: Any = state
        self.source_id = source_id
        self.plan_only: Any = plan_only
        self.approve = approve
        self.group_by = group_by
        self.sample = sample
        self.seed = seed
        self.full: Any = full
        self.retry_rejected = retry_rejected
        self.stream = stream
        self.members: Any = members
        self.mappings: Any = mappings
        self.provider_id = provider_id
        self.min_documents = min_documents
        self.max_shrink = max_shrink
        self.max_changed = max_changed
        self.max_new_public = max_new_public

    def act(self, context: Context) -> dict[str, Any]:
        """Make the plan, keep it in XCom, and then stop, ask, skip what follows, or go on."""
        from coveo_provider.planning.summary import told

        _refuse_approve(self.approve)
        only = truth(self.plan_only, "plan_only")
        guards = self._guards()
        plan, lost = self._planned(context)
        found = list(guards.doubts(plan, self.source_id, lost))
        plan["doubts"] = [{"guard": doubt.guard, "message": doubt.found} for doubt in found]
        self.log.info("%s", told(plan))
        instance: Any = context.get("ti")
        if instance is not None:
            instance.xcom_push(PLAN, plan)
        if only:
            self.log.info("Nothing is sent, as plan_only says")
            if instance is not None:
                instance.xcom_push("return_value", plan)
                self.skip(instance, self.get_direct_relatives(upstream=False))
            return plan
        self._settle(context, plan, found)
        return plan

    def _settle(self, context: Context, plan: Mapping[str, Any], found: Sequence[Doubt]) -> None:
        """
        Go on when there is no doubt, or a person said yes.

        :raises SafetyStop: a bound is passed and nobody is asked, or the answer was no
        """
        doubts = Doubts(self, context, plan["basis"])
        for doubt in found:
            doubts.add(doubt)
        if self.approve == "always" and (plan["everything"] or _changes(plan)):
            numbers = {name: count for name, count in plan["documents"].items() if count is not None}
            doubts.always(
                Question(
                    "plan",
                    numbers,
                    f"source {self.source_id}: the plan waits for a yes, as approve says.",
                    plan["basis"],
                )
            )
        doubts.settle("applying the plan", plan)

    def _guards(self) -> PlanGuards:
        return PlanGuards(
            min_documents=number(self.min_documents, int, "min_documents", default=1),
            max_shrink=number(self.max_shrink, float, "max_shrink", default=None),
            max_changed=number(self.max_changed, float, "max_changed", default=None),
            max_new_public=number(self.max_new_public, int, "max_new_public", default=None),
        )

    def _planned(self, context: Context) -> tuple[dict[str, Any], int]:
        """Return the plan, and how many documents of the last load are not there any more."""
        datasets = whole_datasets(self.documents)
        state = state_at(self.state)
        current = run_to_remember(self, datasets)
        held = count_held(self)
        basis = read_basis(state, current, held)
        last = basis.last if basis.last is not None and basis.last.is_of(current) else None
        if last is not None and last.hash_version != current.hash_version:
            last = None
        sides = _sides(datasets, last)
        with ScratchFolder("plan") as scratch:
            inspection, difference, last = self._compared(sides, state, last, basis, current, Path(scratch))
            reason = "it was asked for" if truth(self.full, "full") else basis.reason or ""
            if last is None and not reason:
                reason = "what is remembered of the last load is damaged"
            loads = state.loads()
            plan = {
                "version": 1,
                "kind": "plan",
                **names_of(self, context),
                "made_at": now_text(),
                "state": shown_uri(str(self.state)),
                "basis": basis.fingerprint(current),
                "manifests": [shown_uri(dataset.manifest_uri) for dataset in datasets],
                "everything": bool(reason),
                "reason": reason,
                "documents": _counts(current, last, difference),
                "held": held,
                "by": inspection.groups(),
                "former": _former(last, inspection),
                **self._looked_at(inspection),
                "access": self._access(inspection),
                "without_field": self._without_field(inspection.columns),
                "sends": self._effort(datasets, difference, bool(reason), loads),
                "rollback": _rollback(current, loads),
            }
            return plan, difference.lost

    def _compared(
        self,
        sides: _Sides,
        state: State,
        last: LastRun | None,
        basis: Basis,
        current: LastRun,
        scratch: Path,
    ) -> tuple[Inspection, Difference, LastRun | None]:
        """Compare with the last load; where what is remembered of it is damaged, with nothing."""
        from coveo_provider.planning.inspection import Inspection
        from coveo_provider.planning.parts import stored_parts

        seed = self.seed or " ".join(dataset.sha256 for dataset in current.datasets)
        attempts: list[tuple[LastRun | None, Sequence[WrittenDataset] | None]] = [(None, None)]
        if last is not None:
            attempts = [(last, sides.before), (last, None), (None, None)]
        while True:
            known, before = attempts.pop(0)
            place = scratch / str(len(attempts))
            place.mkdir()
            try:
                inspection = Inspection(
                    stored_parts(sides.now, open_file),
                    None if before is None else stored_parts(before, open_file),
                    scratch=place,
                    group_by=self.group_by,
                    seed=seed,
                    shown=self.sample,
                )
                difference = compare(
                    sides.now,
                    state,
                    known,
                    basis.pending,
                    place,
                    retry_rejected=truth(self.retry_rejected, "retry_rejected"),
                    watch=inspection,
                )
            except DatasetError as error:
                if not attempts:
                    raise
                self.log.warning("The plan goes without what cannot be read of the last load: %s", error)
            else:
                return inspection, difference, known

    def _looked_at(self, inspection: Inspection) -> dict[str, Any]:
        """Return which fields change, and the sample; what cannot be read is not known."""
        try:
            found = inspection.fields()
        except DatasetError as error:
            self.log.warning("Which fields change is not known: %s", error)
            found = None
        fields, examples = found or (None, {"documents": []})
        return {"fields": fields, "sample": {**inspection.sample(), **examples}}

    def _access(self, inspection: Inspection) -> dict[str, Any] | None:
        graph = None
        if self.members is not None or self.mappings is not None:
            graph = identity_graph(self.provider_id, members=self.members, mappings=self.mappings)
        return inspection.access(graph)

    def _without_field(self, columns: Sequence[str]) -> dict[str, Any] | None:
        """Return the metadata that no field of the organization takes, which the service drops."""
        try:
            names = keys_without_field(self, self.source_id, columns, self.client.fields())
        except CoveoError as error:
            if error.transient:
                raise
            self.log.warning("Which metadata have no field is not known: %s", error)
            return None
        return {"names": names[:_NAMES], "more": max(0, len(names) - _NAMES)}

    def _effort(
        self,
        datasets: Sequence[WrittenDataset],
        difference: Difference,
        everything: bool,
        loads: Sequence[LoadRecord],
    ) -> dict[str, Any]:
        from coveo_provider.planning.effort import effort

        streams = self.stream
        if streams is None:
            streams = any(dataset.manifest.api == Api.STREAM.value for dataset in datasets)
        timed = [load for load in loads if load.seconds and load.bytes]
        seconds = sum(load.seconds or 0 for load in timed)
        size = sum(load.bytes for load in timed)
        return effort(
            [part for dataset in datasets for part in dataset.manifest.parts],
            None if everything else [mask for parts in difference.masks for mask in parts],
            deletions=0 if everything else difference.gone,
            api=Api.STREAM if streams else Api.PUSH,
            seconds_per_byte=seconds / size if size else None,
        )


def _refuse_approve(approve: Any) -> None:
    if approve not in _APPROVALS:
        raise ConfigurationError(f"approve must be {' or '.join(_APPROVALS)}, not {approve!r}")


def _sides(datasets: Sequence[WrittenDataset], last: LastRun | None) -> _Sides:
    """Return what is compared, with the datasets of the last load if they are as they were."""
    before = []
    for record in () if last is None else last.datasets:
        try:
            dataset = remembered_dataset(record)
        except DatasetError:
            return _Sides(datasets, None)
        if dataset.record().files != record.files:
            return _Sides(datasets, None)
        before.append(dataset)
    return _Sides(datasets, before if last is not None else None)


def _former(last: LastRun | None, inspection: Inspection) -> str:
    """Return whether the dataset of the last load could be read: ``there``, ``gone``, or there was ``none``."""
    if last is None:
        return "none"
    return "there" if inspection.knows_former else "gone"


def _changes(plan: Mapping[str, Any]) -> int:
    """Return how many documents a plan sends or deletes, where it does not send everything."""
    documents = plan["documents"]
    return sum(documents[name] for name in ("new", "changed", "again", "gone"))


def _counts(current: LastRun, last: LastRun | None, difference: Difference) -> dict[str, int | None]:
    return {
        "now": current.rows,
        "before": None if last is None else last.rows,
        "new": difference.new,
        "changed": difference.changed - difference.new - difference.again,
        "unchanged": difference.unchanged,
        "gone": difference.gone,
        "again": difference.again,
    }


def _rollback(current: LastRun, loads: Sequence[LoadRecord]) -> dict[str, Any] | None:
    """Return the former load whose datasets these are, if the source was made equal to others since."""
    own = [dataset.sha256 for dataset in current.datasets]
    if not loads or loads[0].sha256s == own:
        return None
    for load in loads[1:]:
        if load.sha256s == own:
            return {
                "finished_at": load.finished_at,
                "dag_id": load.dag_id,
                "run_id": load.run_id,
                "documents": load.rows,
            }
    return None

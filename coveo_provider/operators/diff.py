"""What changed since the last successful run, so that nothing else has to be sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context, XComArg

from coveo_provider._compat import AirflowSkipException
from coveo_provider.documents.changes.datasets import WrittenDataset, refuse_other_types
from coveo_provider.documents.changes.state import LastRun, Pending, State
from coveo_provider.documents.contract import counted
from coveo_provider.errors import ConfigurationError, DatasetError, SafetyStop
from coveo_provider.links import SOURCE_LINKS
from coveo_provider.operators.support.approvals import AskingOperator, Doubts
from coveo_provider.operators.support.basis import Forgotten, compare, read_basis
from coveo_provider.operators.support.claims import SourceOperator
from coveo_provider.operators.support.datasets import whole_datasets
from coveo_provider.operators.support.fields import look_at_fields, of_files, refuse_choice
from coveo_provider.operators.support.lineage import Lineage, data_written
from coveo_provider.operators.support.mapped_tasks import mappable, parts_of
from coveo_provider.operators.support.paths import folder_at
from coveo_provider.operators.support.run_reports import count_held, tell_held
from coveo_provider.operators.support.states import owner_of_state, run_key, run_to_remember, state_at
from coveo_provider.operators.support.storage import manifests_of
from coveo_provider.operators.support.values import number, truth
from coveo_provider.scratch import ScratchFolder

if TYPE_CHECKING:
    from coveo_provider.documents.changes.comparison import Difference

_STEP = "sending the changes"


class CoveoDiffOperator(AskingOperator, SourceOperator):
    """
    Find out what changed since the last successful run, and return what to send: map over it.

    The dataset's hashes are compared, id by id, with those that
    :class:`~coveo_provider.operators.finalize.CoveoFinalizeOperator` remembered when the last run had gone
    through. What is new or changed becomes one dataset, the ids of what is gone another, so that a nightly run over
    a million documents sends the thousand that moved. It sends everything on a first run, when what was remembered
    is lost or damaged, when the mapping changed, and when the source holds fewer items than the last load left; the
    source's older items are then deleted by age.

    A file that ``contentUri`` names counts as changed when its size or time is another one, or its hash where the
    storage has one; ``content_stamp="hash"`` of the transform compares the bytes.

    What a failed run may have sent is sent again by the next, whatever the hashes say: each run is announced in the
    state's folder before its first document is sent. When there is nothing to send, the task is skipped, and with
    it all that follow. Until the load has ended no other DAG run begins one: it gets ``SourceBusy``, which a retry
    may outlast. Let runs not overlap (``max_active_runs=1``).

    ::

        send = CoveoUpdateStreamOperator.partial(task_id="send", source_id=…).expand_kwargs(diff.output)

    Besides, ``diff.output["full"]``, ``["reason"]``, ``["changed"]``, ``["gone"]``, ``["unchanged"]`` and
    ``["manifest"]`` tell whether everything is sent and why, how many documents are changed, gone and as they were,
    and the URI of the dataset's manifest, or a list of several, for the last step.

    :param documents: the dataset that :class:`~coveo_provider.operators.transform.CoveoTransformOperator` wrote:
        its folder's URI, or what that operator returns; or a list of several, whose columns may differ, such as
        products and variants from two tables: together they are the content of the source (templated)
    :param state: URI of a folder that outlives runs, one for each source (templated)
    :param source_id: the source (templated)
    :param output: URI of a folder for this run's datasets of changes; below ``state`` by default, where they are
        deleted after a successful run (templated)
    :param full: whether to send everything this time (templated)
    :param retry_rejected: whether to send again what the service refused last time, though it is as it was
        (templated)
    :param min_documents: the fewest documents the dataset may have (templated)
    :param max_shrink: share of the documents of the last run that may be gone, between 0 and 1; ``None`` does not
        look (templated)
    :param on_doubt: what to do beyond these bounds: ``"fail"``, or ``"ask"`` a person in Required Actions
    :param answer_within: how long an answer is waited for; without one the task stops
    :param content_owner: what decides what the source holds; by default ``state`` (templated)
    :param plan: what :class:`~coveo_provider.operators.plan.CoveoPlanOperator` returned for the same dataset: when
        anything changed since, the task stops (templated)
    :param fields: what to do with metadata that has no field, and with values that do not fit their field, of
        what is sent: ``warn``, ``fail``, ``create`` the fields that are missing, or ``off``, which does not ask
    :param exclusive: whether no other run may be loading the source meanwhile
    :param coveo_conn_id: connection to the organization that owns the source (templated)
    :return: arguments for each task that sends: ``documents`` or ``deletions``
    """

    documentation = "https://docs.coveo.com/en/90/"
    template_fields: Sequence[str] = (
        "documents",
        "state",
        "source_id",
        "output_uri",
        "full",
        "retry_rejected",
        "min_documents",
        "max_shrink",
        "content_owner",
        "plan",
        "coveo_conn_id",
    )
    operator_extra_links = SOURCE_LINKS
    begins = True
    looks_at_fields = True

    def __init__(
        self,
        *,
        documents: str | Sequence[str | XComArg] | XComArg,
        state: str | XComArg,
        source_id: str,
        output: str | XComArg | None = None,
        full: bool | str | XComArg = False,
        retry_rejected: bool | str = False,
        min_documents: int | str = 1,
        max_shrink: float | str | None = None,
        content_owner: str = "",
        plan: Mapping[str, Any] | XComArg | None = None,
        fields: str = "warn",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.documents: Any = documents
        self.state: Any = state
        self.source_id = source_id
        self.output_uri: Any = output  # Airflow's own ``output`` is what the task returns
        self.full: Any = full
        self.retry_rejected = retry_rejected
        self.min_documents = min_documents
        self.max_shrink = max_shrink
        self.content_owner = content_owner
        self.plan: Any = plan
        self._follows_plan = plan is not None
        self.fields = fields

    def act(self, context: Context) -> list[dict[str, Any]]:
        """Compare, write the datasets of changes, announce the run, and only then return what to send."""
        refuse_choice(self.fields)
        claim = self.claim(context)
        with claim.begun(_STEP):
            claim.own(self.content_owner or owner_of_state(self.state), _STEP)
            held = count_held(self)
            arguments = self._compare_and_announce(context, held)
            tell_held(context, held)
            return arguments

    def _compare_and_announce(self, context: Context, held: int | None) -> list[dict[str, Any]]:
        datasets = whole_datasets(self.documents)
        state = state_at(self.state)
        current = run_to_remember(self, datasets)
        basis = read_basis(state, current, held)
        # What this run announced itself is no change: the plan may be older than that, or was made anew since.
        key = run_key(context)
        self._refuse_unplanned({basis.fingerprint(current, without) for without in ("", key)})
        reason = basis.reason
        if truth(self.full, "full"):
            reason = "it was asked for"
        most_lost: float | None = number(self.max_shrink, float, "max_shrink", default=None)
        least = number(self.min_documents, int, "min_documents", default=1)
        doubts = Doubts(self, context)
        self._refuse_doubtful(doubts, current, least, most_lost, former_rows=current.rows)
        own = Pending(
            key=key,
            full=True,
            datasets=current.datasets,
            changed=current.rows,
            gone=0,
            absorbed=tuple(other for other in state.pending_keys() if other != key),
        )
        with ScratchFolder("diff") as scratch:
            last = None if reason else basis.last
            difference = None
            if last is not None:
                refuse_other_types(datasets, last)
                try:
                    difference = compare(
                        datasets,
                        state,
                        last,
                        basis.pending,
                        Path(scratch),
                        retry_rejected=truth(self.retry_rejected, "retry_rejected"),
                    )
                except Forgotten as error:
                    reason = str(error)
            if last is None or difference is None:
                self._refuse_other_extent(everything=True, why=reason)
                self._refuse_shrink(doubts, state, current, most_lost)
                doubts.settle(_STEP)
                parts = [str(one.folder / part.name) for one in datasets for part in one.manifest.parts]
                arguments = [{"documents": unit} for unit in mappable(parts)]
                self._look_at_fields(arguments)
                state.announce(own, None)
            else:
                self._refuse_other_extent(everything=False)
                self._refuse_needless(difference, current)
                self._refuse_lost(doubts, difference, current, last, most_lost)
                doubts.settle(_STEP)
                ids = Path(scratch) / "ids.parquet"
                arguments = self._write(datasets, difference, state.changes(key), ids)
                self._look_at_fields(arguments)
                own = replace(own, full=False, changed=difference.changed, gone=difference.gone)
                state.announce(own, ids)
        self._tell(context, own, current, reason)
        self.lineage = self.told(lambda: _lineage(datasets, arguments))
        return arguments

    def _look_at_fields(self, arguments: Sequence[Mapping[str, Any]]) -> None:
        """Tell what the service would drop of what is sent."""
        uris = parts_of([one["documents"] for one in arguments if "documents" in one])
        look_at_fields(self, self.source_id, self.fields, of_files(uris))

    def _refuse_other_extent(self, *, everything: bool, why: str | None = None) -> None:
        """Refuse to send everything where the plan was to send changes, or the other way round."""
        if self._follows_plan and bool(self.plan.get("everything")) is not everything:
            told = (
                f"everything has to be sent now ({why})" if everything else "changes only are to be sent now"
            )
            raise SafetyStop(
                f"source {self.source_id}: the plan, made at {self.plan.get('made_at')}, tells otherwise: {told}. "
                "Nothing was sent. Give plan and diff the same arguments, and clear the task that plans"
            )

    def _refuse_unplanned(self, fingerprints: set[str]) -> None:
        """Refuse to send anything else than what was planned, and perhaps approved."""
        if not self._follows_plan:
            return
        if not isinstance(self.plan, Mapping) or "basis" not in self.plan:
            raise ConfigurationError(f"plan must be what CoveoPlanOperator returned, not {self.plan!r}")
        if self.plan["basis"] not in fingerprints:
            raise SafetyStop(
                f"source {self.source_id}: since the plan was made, at {self.plan.get('made_at')}, the dataset was "
                "written again, or another load changed what is remembered of the source. Nothing was sent. Clear "
                "the task that plans, so that the plan is made anew; if it asked for a yes, start a new run"
            )

    def _refuse_doubtful(
        self, doubts: Doubts, current: LastRun, least: int, most_lost: float | None, *, former_rows: int
    ) -> None:
        from coveo_provider.safety import refuse_doubtful

        refuse_doubtful(
            source_id=self.source_id,
            step=_STEP,
            documents=current.rows,
            min_documents=least,
            max_shrink=most_lost,
            count_held=lambda: former_rows,
            doubt=doubts.add,
        )

    def _refuse_shrink(self, doubts: Doubts, state: State, current: LastRun, most_lost: float | None) -> None:
        """Refuse a dataset that shrank, when everything is sent and an earlier run is remembered at all."""
        try:
            last = state.last()
        except DatasetError:
            return
        if last is not None and last.is_of(current):
            self._refuse_doubtful(doubts, current, 0, most_lost, former_rows=last.rows)

    def _refuse_needless(self, difference: Difference, current: LastRun) -> None:
        if not difference.changed and not difference.gone:
            raise AirflowSkipException(
                f"Source {self.source_id}: of {counted(current.rows, 'document')} none is new or changed, and none "
                "is gone. There is nothing to send"
            )

    def _refuse_lost(
        self,
        doubts: Doubts,
        difference: Difference,
        current: LastRun,
        last: LastRun,
        most_lost: float | None,
    ) -> None:
        from coveo_provider.safety import Doubt

        lost = difference.lost
        if most_lost is not None and lost > most_lost * last.rows:
            doubts.add(
                Doubt(
                    "max_shrink",
                    {"documents": current.rows, "held": last.rows, "gone": lost},
                    f"source {self.source_id}: of {last.rows:,} documents of the last run {lost:,} are not there "
                    f"any more, {lost / last.rows:.1%}, over max_shrink={most_lost:g}.",
                    "Nothing was sent, and nothing removed. Check the extract, or raise max_shrink if this is "
                    "meant",
                )
            )

    def _write(
        self, datasets: Sequence[WrittenDataset], difference: Difference, changes: Any, ids: Path
    ) -> list[dict[str, Any]]:
        from coveo_provider.operators.support.changes import write_changes

        place = folder_at(self.output_uri, "output") if self.output_uri else changes
        return write_changes(place, datasets=datasets, difference=difference, ids_path=ids)

    def _tell(self, context: Context, own: Pending, current: LastRun, reason: str | None) -> None:
        """Log what is sent and why, and return it to other tasks by name."""
        unchanged = 0 if own.full else current.rows - own.changed
        if own.full:
            self.log.info("Everything is sent, %s: %s", counted(own.changed, "document"), reason)
        else:
            self.log.info(
                "%s new or changed, %s gone, %s as before",
                counted(own.changed, "document"),
                f"{own.gone:,}",
                f"{unchanged:,}",
            )
        values = {
            "full": own.full,
            "reason": reason or "",
            "changed": own.changed,
            "gone": own.gone,
            "unchanged": unchanged,
            "manifest": own.manifests[0] if len(own.manifests) == 1 else own.manifests,
        }
        if (instance := context.get("ti")) is not None:
            for name, value in values.items():
                instance.xcom_push(name, value)


def _lineage(datasets: Sequence[WrittenDataset], arguments: Sequence[dict[str, Any]]) -> Lineage:
    """Return the datasets that were compared, and those of changes that were written."""
    whole = {str(one.folder): one.manifest for one in datasets}
    sent = manifests_of(parts_of(arguments))
    return Lineage(
        [data_written(folder, manifest) for folder, manifest in whole.items()],
        [
            data_written(folder, manifest)
            for folder, manifest in sent.items()
            if manifest and folder not in whole
        ],
    )

"""The last step of a load that sends what changed: verified, what was sent is what the source holds now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from airflow.sdk import Context, ObjectStoragePath, XComArg

from coveo_provider.documents.changes.datasets import WrittenDataset
from coveo_provider.documents.changes.state import LastRun, LoadRecord, Pending, State
from coveo_provider.documents.dataset.files import opened_local
from coveo_provider.documents.extracts.source_files import SourceFile
from coveo_provider.errors import DatasetError, SafetyStop
from coveo_provider.operators.support.claims import Claim
from coveo_provider.operators.support.datasets import dataset_at
from coveo_provider.operators.support.load_records import now_text
from coveo_provider.operators.support.paths import folder_at, folder_of, path_at
from coveo_provider.operators.support.states import run_key, run_to_remember, state_at
from coveo_provider.operators.support.storage import flat
from coveo_provider.operators.verify import CoveoVerifyOperator, Verdict
from coveo_provider.report import Report
from coveo_provider.safety import total


@dataclass(frozen=True)
class _Memory:
    """What is about to be remembered: datasets, and the load that made the source equal to them."""

    datasets: Sequence[WrittenDataset]
    state: State
    done: Pending | None
    current: LastRun


class CoveoFinalizeOperator(CoveoVerifyOperator):
    """
    End a load that sent what changed: verify it, and remember what the source holds now.

    It does what :class:`~coveo_provider.operators.verify.CoveoVerifyOperator` does. Then the dataset becomes
    the one that
    :class:`~coveo_provider.operators.diff.CoveoDiffOperator` compares with next time, but
    for the items that were refused: these are not held. A load of which a part failed, was skipped or is
    missing among the reports is not remembered, nor one in which verification found something missing, so the
    next run makes it good.

    Its arguments are those of ``CoveoVerifyOperator``, and:

    :param manifest: URI of the dataset's manifest, or a list of several: ``diff.output["manifest"]`` (templated)
    :param state: URI of the folder that was given to the diff; ``None`` remembers nothing (templated)
    :return: a report, as ``CoveoVerifyOperator`` returns it
    """

    template_fields = (*CoveoVerifyOperator.template_fields, "manifest", "state")

    def __init__(
        self,
        *,
        manifest: str | Sequence[str | XComArg] | XComArg | None = None,
        state: str | XComArg | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.manifest: Any = manifest
        self.state: Any = state
        self._memory: _Memory | None = None

    def verdict(self, context: Context, claim: Claim, reports: Sequence[Report]) -> Verdict:
        """Verify what is not remembered already, and only what was sent whole."""
        if not (self.state and self.manifest):
            return super().verdict(context, claim, reports)
        memory = self._about_to_remember()
        if memory is None:  # this task ran before, and the datasets of changes are gone
            self.log.info("What source %s holds is remembered already", self.source_id)
            return Verdict(verified="before")
        self._refuse_unsent(total(reports), memory)
        self._memory = memory
        return super().verdict(context, claim, reports)

    def items_wanted(self, reports: Sequence[Report], refused: int) -> tuple[int, int] | None:
        """Return the rows of the dataset, less what was refused; older versions of those may still be there."""
        if self._memory is None:
            return super().items_wanted(reports, refused)
        rows, done = self._memory.current.rows, self._memory.done
        if done is None or done.full:  # what was refused is older than the load, and deleted
            return rows - refused, rows - refused
        return rows - refused - self._refused_before(), rows

    def remember(self, context: Context, sent: Report, verdict: Verdict) -> None:
        """Keep what the source holds now."""
        if (memory := self._memory) is None:
            return
        path = path_at(verdict.refused_file) if verdict.refused_file else None
        refused = [] if path is None else [SourceFile(str(path), partial(opened_local, path))]
        if verdict.refused and not refused:
            raise DatasetError(
                f"source {self.source_id}: {verdict.refused:,} items were refused, and there is no file of "
                "them, so what "
                "the source holds cannot be remembered. See the warning above"
            )
        memory.state.remember(
            memory.current,
            [one.hashes for one in memory.datasets],
            memory.done,
            refused,
            _record(context, memory, sent, verdict),
        )
        self.log.info("Remembered %s documents of source %s", f"{memory.current.rows:,}", self.source_id)

    def dataset_folder(self, reports: Sequence[Report]) -> ObjectStoragePath | None:
        """Return the folder of a whole dataset; those of changes are deleted after the load."""
        manifests = self._manifests()
        return folder_at(folder_of(manifests[0])) if manifests else super().dataset_folder(reports)

    def first_part(self, report: dict[str, Any]) -> str:
        """Return a part of a whole dataset; those of changes are deleted by now."""
        if self._memory is None:
            return super().first_part(report)
        whole = self._memory.datasets[0]
        return str(whole.folder / whole.manifest.parts[0].name)

    def _manifests(self) -> list[str]:
        return list(flat(self.manifest, "manifest")) if self.manifest else []

    def _refused_before(self) -> int:
        """Return how many documents were refused in earlier loads, and are still not held."""
        try:
            last = None if self._memory is None else self._memory.state.last()
        except DatasetError:
            last = None
        return 0 if last is None else last.rejected

    def _about_to_remember(self) -> _Memory | None:
        datasets = [dataset_at(uri) for uri in self._manifests()]
        state = state_at(self.state)
        current = run_to_remember(self, datasets)
        done = self._announced(state.pending(pass_over_damaged=True), current)
        if done is None and self._is_last(state, current):
            return None
        return _Memory(datasets, state, done, current)

    @staticmethod
    def _is_last(state: State, current: LastRun) -> bool:
        try:
            return state.last() == current
        except DatasetError:
            return False

    def _announced(self, pending: list[Pending], current: LastRun) -> Pending | None:
        """Return the entry in which this run's diff announced it."""
        manifests = [dataset.manifest for dataset in current.datasets]
        content = [dataset.sha256 for dataset in current.datasets]
        own = [one for one in pending if one.manifests == manifests]
        if own and all(one.sha256s != content for one in own):
            raise SafetyStop(
                f"source {self.source_id}: the dataset of {', '.join(manifests)} was written again since it was "
                "compared, so it is not what was sent. Nothing was remembered; run the DAG again"
            )
        made_good = {key for one in own for key in one.absorbed}
        return next((one for one in own if one.sha256s == content and one.key not in made_good), None)

    def _refuse_unsent(self, sent: Report, memory: _Memory) -> None:
        done = memory.done
        changed, gone = (memory.current.rows, 0) if done is None else (done.changed, done.gone)
        if sent.documents < changed or sent.deletions < gone:
            raise SafetyStop(
                f"source {self.source_id}: {changed:,} documents and {gone:,} deletions were to be sent, and the "
                f"reports tell of {sent.documents:,} and {sent.deletions:,}. Nothing was remembered; "
                "pass the output of all tasks that sent, e.g. reports=send.output"
            )


def _record(context: Context, memory: _Memory, sent: Report, verdict: Verdict) -> LoadRecord:
    """Return what is remembered of the load itself."""
    run: Any = context.get("dag_run")
    return LoadRecord(
        key=run_key(context) if memory.done is None else memory.done.key,
        dag_id=str(getattr(run, "dag_id", "")),
        run_id=str(getattr(run, "run_id", "")),
        finished_at=now_text(),
        datasets=memory.current.datasets,
        full=memory.done is None or memory.done.full,
        sent=sent.documents,
        deleted=sent.deletions,
        refused=verdict.refused,
        held=verdict.held,
        bytes=sent.bytes,
        seconds=sent.seconds or None,
    )

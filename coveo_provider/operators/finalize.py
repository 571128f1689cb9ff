"""The last step of a refresh: what was sent is what the index holds now."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Context, ObjectStoragePath, XComArg

from coveo_provider.documents.changes.state import LastRun, Pending, State
from coveo_provider.documents.dataset.manifest import HASHES, DatasetKind, Manifest
from coveo_provider.errors import DatasetError, SafetyStop
from coveo_provider.operators.support.ending import EndingOperator, after_every_part_only
from coveo_provider.operators.support.states import run_to_remember, state_at
from coveo_provider.operators.support.storage import manifest_of

_STEP = "remembering what was sent"


class CoveoFinalizeOperator(EndingOperator):
    """
    End a refresh or an incremental load: sum up its reports, and remember what the source holds now.

    With ``state`` the dataset becomes the one that
    :class:`~coveo_provider.operators.diff.CoveoDiffOperator` compares with next time. It keeps to the trigger rule
    ``all_success``, and counts: a load of which a part failed, was skipped or is missing among the reports is not
    remembered, so the next run makes it good. It calls no API, but for the connection's organization.

    :param source_id: the source (templated)
    :param reports: the reports of all tasks that sent: ``send.output`` (templated)
    :param manifest: URI of the dataset's manifest: ``diff.output["manifest"]`` (templated)
    :param state: URI of the folder that was given to the diff; ``None`` remembers nothing (templated)
    :param exclusive: whether to stop when another run began to load the source since this one did
    :param coveo_conn_id: connection to the organization that owns the source (templated)
    :return: a report: the sums of the reports
    """

    template_fields = ("source_id", "reports", "manifest", "state", "coveo_conn_id")

    def __init__(
        self,
        *,
        source_id: str,
        reports: Any,
        manifest: str | XComArg | None = None,
        state: str | XComArg | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_id = source_id
        self.reports = reports
        self.manifest: Any = manifest
        self.state: Any = state

    def act(self, context: Context) -> dict[str, Any]:
        """Sum up, check that everything was sent, and remember it."""
        from coveo_provider.safety import total

        after_every_part_only(self, _STEP)
        claim = self.claim(context)
        report = total(self.reports, source_id=self.source_id, step=_STEP).as_json()
        if self.state and self.manifest:
            claim.check(_STEP)
            self._remember(report)
        self.end_load(context, claim, report)
        return report

    def _remember(self, report: dict[str, Any]) -> None:
        path = ObjectStoragePath(str(self.manifest))
        folder = path.parent
        manifest = manifest_of(folder)
        if manifest is None or not manifest.complete or manifest.kind is not DatasetKind.DOCUMENTS:
            raise DatasetError(f"manifest: {path} is not that of a complete dataset of documents")
        state = state_at(self.state)
        done = self._announced(state.pending(pass_over_damaged=True), str(path), manifest)
        current = run_to_remember(self, manifest)
        if done is None and self._is_last(state, current):
            self.log.info("What source %s holds is remembered already", self.source_id)
            return
        self._refuse_unsent(report, done, manifest)
        state.remember(current, [folder / HASHES / name for name in current.files], done)
        self.log.info("Remembered %s documents of source %s", f"{manifest.rows:,}", self.source_id)

    @staticmethod
    def _is_last(state: State, current: LastRun) -> bool:
        try:
            return state.last() == current
        except DatasetError:
            return False

    def _announced(self, pending: list[Pending], manifest_uri: str, manifest: Manifest) -> Pending | None:
        """Return the entry in which this run's diff announced it."""
        own = [one for one in pending if one.manifest == manifest_uri]
        if own and all(one.sha256 != manifest.sha256 for one in own):
            raise SafetyStop(
                f"source {self.source_id}: the dataset of {manifest_uri} was written again since it was compared, "
                "so it is not what was sent. Nothing was remembered; run the DAG again"
            )
        made_good = {key for one in own for key in one.absorbed}
        return next((one for one in own if one.sha256 == manifest.sha256 and one.key not in made_good), None)

    def _refuse_unsent(self, report: dict[str, Any], done: Pending | None, manifest: Manifest) -> None:
        changed, gone = (manifest.rows, 0) if done is None else (done.changed, done.gone)
        if report["documents"] < changed or report["deletions"] < gone:
            raise SafetyStop(
                f"source {self.source_id}: {changed:,} documents and {gone:,} deletions were to be sent, and the "
                f"reports tell of {report['documents']:,} and {report['deletions']:,}. Nothing was remembered; "
                "pass the output of all tasks that sent, e.g. reports=send.output"
            )

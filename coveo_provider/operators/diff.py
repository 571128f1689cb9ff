"""What changed since the last successful run, so that nothing else has to be sent."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context, ObjectStoragePath, XComArg

from coveo_provider._compat import AirflowSkipException
from coveo_provider.documents.changes.state import LastRun, Pending, State
from coveo_provider.documents.dataset.files import opened_local
from coveo_provider.documents.dataset.manifest import HASHES, MANIFEST, DatasetKind, Manifest
from coveo_provider.documents.extracts.source_files import SourceFile
from coveo_provider.errors import ConfigurationError, DatasetError, SafetyStop
from coveo_provider.links import SOURCE_LINKS
from coveo_provider.operators.support.claims import SourceOperator
from coveo_provider.operators.support.datasets import files_in, flat, manifest_of
from coveo_provider.operators.support.guarded import number, truth
from coveo_provider.operators.support.mapped_tasks import mappable

if TYPE_CHECKING:
    from coveo_provider.documents.changes.comparison import Difference

_STEP = "sending the changes"


class CoveoDiffOperator(SourceOperator):
    """
    Find out what changed since the last successful run, and return what to send: map over it.

    The dataset's hashes are compared, id by id, with those that
    :class:`~coveo_provider.operators.finalize.CoveoFinalizeOperator` remembered when the last run had gone
    through. What is new or changed becomes one dataset, the ids of what is gone another, so that a nightly run over
    a million documents sends the thousand that moved. It sends everything on a first run, when what was remembered
    is lost or damaged, and when the mapping changed; the source's older items are then deleted by age.

    What a failed run may have sent is sent again by the next, whatever the hashes say: each run is announced in the
    state's folder before its first document is sent. When there is nothing to send, the task is skipped, and with
    it all that follow. Until the load has ended no other DAG run begins one: it gets ``SourceBusy``, which a retry
    may outlast. Let runs not overlap (``max_active_runs=1``).

    ::

        send = CoveoUpdateStreamOperator.partial(task_id="send", source_id=…).expand_kwargs(diff.output)

    Besides, ``diff.output["full"]``, ``["reason"]``, ``["changed"]``, ``["gone"]``, ``["unchanged"]`` and
    ``["manifest"]`` tell whether everything is sent and why, how many documents are changed, gone and as they were,
    and the URI of the dataset's manifest for the last step.

    :param documents: the dataset that :class:`~coveo_provider.operators.transform.CoveoTransformOperator` wrote:
        its folder's URI, or what that operator returns (templated)
    :param state: URI of a folder that outlives runs, one for each source (templated)
    :param source_id: the source (templated)
    :param output: URI of a folder for this run's datasets of changes; below ``state`` by default, where they are
        deleted after a successful run (templated)
    :param full: whether to send everything this time (templated)
    :param min_documents: the fewest documents the dataset may have (templated)
    :param max_shrink: share of the documents of the last run that may be gone, between 0 and 1; ``None`` does not
        look (templated)
    :param exclusive: whether no other run may be loading the source meanwhile
    :param coveo_conn_id: connection to the organization that owns the source (templated)
    :return: arguments for each task that sends: ``documents`` or ``deletions``
    """

    template_fields: Sequence[str] = (
        "documents",
        "state_uri",
        "source_id",
        "output_uri",
        "full",
        "min_documents",
        "max_shrink",
        "coveo_conn_id",
    )
    operator_extra_links = SOURCE_LINKS

    def __init__(
        self,
        *,
        documents: str | Sequence[str] | XComArg,
        state: str | XComArg,
        source_id: str,
        output: str | XComArg | None = None,
        full: bool | str | XComArg = False,
        min_documents: int | str = 1,
        max_shrink: float | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.documents: Any = documents
        self.state_uri: Any = state
        self.source_id = source_id
        self.output_uri: Any = output
        self.full: Any = full
        self.min_documents = min_documents
        self.max_shrink = max_shrink

    def act(self, context: Context) -> list[dict[str, Any]]:
        """Compare, write the datasets of changes, announce the run, and only then return what to send."""
        with self.claim(context).begun():
            return self._found(context)

    def _found(self, context: Context) -> list[dict[str, Any]]:
        folder, manifest = _dataset(self.documents)
        state = opened_state(self.state_uri)
        current = remembered(self, manifest)
        pending, reason = self._looked_up(state, current)
        reason = self._asked_for() or reason
        self._refuse_few(manifest)
        own = Pending(
            key=_key(context),
            full=True,
            manifest=str(folder / MANIFEST),
            sha256=manifest.sha256,
            changed=manifest.rows,
            gone=0,
            absorbed=tuple(key for key in state.pending_keys() if key != _key(context)),
        )
        with tempfile.TemporaryDirectory(prefix="coveo-diff-") as scratch:
            last = None if reason else state.last()
            found = None
            if last is not None:
                found, reason = self._compared(folder, manifest, state, last, pending, Path(scratch))
            if found is None:
                self._refuse_shrink(state, current, manifest)
                units = [{"documents": unit} for unit in mappable(_uris(folder, manifest))]
                state.announce(own, None)
            else:
                if not found.changed and not found.gone:
                    raise AirflowSkipException(
                        f"Source {self.source_id}: all {manifest.rows:,} documents are as the last run sent them. "
                        "There is nothing to send"
                    )
                self._refuse_lost(found, last)
                ids = Path(scratch) / "ids.parquet"
                units = self._written(folder, manifest, found, state.changes(own.key), ids)
                own = replace(own, full=False, changed=found.changed, gone=found.gone)
                state.announce(own, ids)
        self._tell(context, own, manifest, reason)
        return units

    def _asked_for(self) -> str | None:
        return "it was asked for" if truth(self.full, "full") else None

    def _looked_up(self, state: State, current: LastRun) -> tuple[list[Pending], str | None]:
        """Return the loads begun and not told to have succeeded, and why everything has to be sent, if so."""
        try:
            pending = state.pending()
            last = state.last()
        except DatasetError as error:
            return [], str(error)
        if any(one.full for one in pending):
            return pending, "a run that sent everything did not come to its end"
        if last is None:
            return pending, "nothing is remembered of an earlier run"
        return pending, last.unlike(current)

    def _refuse_few(self, manifest: Manifest) -> None:
        from coveo_provider.safety import refuse_doubtful

        refuse_doubtful(
            source_id=self.source_id,
            step=_STEP,
            documents=manifest.rows,
            min_documents=number(self.min_documents, int, "min_documents", default=1),
            max_shrink=self._most_lost(),
            held=lambda: manifest.rows,  # what is gone is known after the comparison
        )

    def _most_lost(self) -> float | None:
        share: float | None = number(self.max_shrink, float, "max_shrink", default=None)
        return share

    def _refuse_shrink(self, state: State, current: LastRun, manifest: Manifest) -> None:
        """Refuse a dataset that shrank, when everything is sent and an earlier run is remembered at all."""
        from coveo_provider.safety import refuse_doubtful

        try:
            last = state.last()
        except DatasetError:
            last = None
        if last is not None and last.is_of(current):
            rows = last.rows
            refuse_doubtful(
                source_id=self.source_id,
                step=_STEP,
                documents=manifest.rows,
                min_documents=0,
                max_shrink=self._most_lost(),
                held=lambda: rows,
            )

    def _refuse_lost(self, found: Difference, last: LastRun | None) -> None:
        most = self._most_lost()
        if last is None or most is None or found.lost <= most * last.rows:
            return
        raise SafetyStop(
            f"source {self.source_id}: of {last.rows:,} documents of the last run {found.lost:,} are not there any "
            f"more, {found.lost / last.rows:.1%}, over max_shrink={most:g}. Nothing was sent, and nothing removed. "
            "Check the extract, or raise max_shrink if this is meant"
        )

    def _compared(
        self,
        folder: Any,
        manifest: Manifest,
        state: State,
        last: LastRun,
        pending: Sequence[Pending],
        scratch: Path,
    ) -> tuple[Difference | None, str | None]:
        """Return what changed; when what was remembered is of no use, nothing, and why."""
        from coveo_provider.documents.changes.comparison import Comparison

        comparison = Comparison(scratch, rows=max(manifest.rows, last.rows))
        comparison.add_current(_hashes(folder, manifest), manifest.sha256)
        try:
            comparison.add_former(state.hashes(last), last.sha256)
            for one in pending:
                comparison.add_pending(state.pending_ids(one))
        except DatasetError as error:
            return None, str(error)
        return comparison.result(), None

    def _written(
        self, folder: Any, manifest: Manifest, found: Difference, changes: Any, ids: Path
    ) -> list[dict[str, Any]]:
        from coveo_provider.operators.support.changes import write_changes

        place = ObjectStoragePath(str(self.output_uri)) if self.output_uri else changes
        return write_changes(place, folder=folder, manifest=manifest, found=found, ids_path=ids)

    def _tell(self, context: Context, own: Pending, manifest: Manifest, reason: str | None) -> None:
        unchanged = 0 if own.full else manifest.rows - own.changed
        if own.full:
            self.log.info("Everything is sent, %s documents: %s", f"{own.changed:,}", reason)
        else:
            self.log.info(
                "%s documents are new or changed, %s are gone, %s are as they were",
                f"{own.changed:,}",
                f"{own.gone:,}",
                f"{unchanged:,}",
            )
        told = {
            "full": own.full,
            "reason": reason or "",
            "changed": own.changed,
            "gone": own.gone,
            "unchanged": unchanged,
            "manifest": own.manifest,
        }
        if (instance := context.get("ti")) is not None:
            for name, value in told.items():
                instance.xcom_push(name, value)


def opened_state(uri: Any) -> State:
    """
    Return the state in a folder, which need not be there yet.

    :raises ConfigurationError: it is no URI
    """
    if not isinstance(uri, (str, ObjectStoragePath)) or not str(uri).strip():
        raise ConfigurationError(f"state must be the URI of a folder, not {uri!r}")
    folder = ObjectStoragePath(str(uri))
    return State(folder, files_in(folder) if folder.is_dir() else ())


def remembered(operator: Any, manifest: Manifest) -> LastRun:
    """Return what is to be remembered once a dataset has been sent to an operator's source."""
    from coveo_provider.documents.dataset.content_hash import HASH_VERSION

    return LastRun(
        organization=operator.client.organization_id,
        push_url=operator.client.endpoints.push_url,
        source_id=operator.source_id,
        mapping=manifest.mapping,
        hash_version=HASH_VERSION,
        rows=manifest.rows,
        sha256=manifest.sha256,
        files=tuple(part.name for part in manifest.parts),
    )


def _dataset(documents: Any) -> tuple[ObjectStoragePath, Manifest]:
    """
    Return the folder of a dataset, complete, and its manifest.

    :raises DatasetError: it is none that a transform wrote, or not all of it is given
    """
    uris = list(flat(documents, "documents"))
    if not uris:
        raise DatasetError("documents: the list of parts is empty")
    path = ObjectStoragePath(uris[0])
    folder = path if len(uris) == 1 and path.is_dir() else path.parent
    manifest = manifest_of(folder)
    if manifest is None or manifest.kind is not DatasetKind.DOCUMENTS:
        what = "has no manifest" if manifest is None else f"holds {manifest.kind.value}"
        raise DatasetError(
            f"documents: {folder} {what}. Changes are found in a dataset of documents that CoveoTransformOperator "
            "wrote"
        )
    sizes = {name: size for name, size in files_in(folder).items() if "/" not in name and name[0] not in "_."}
    manifest.check_files(sizes, f"documents: {folder}")
    names = {part.name for part in manifest.parts}
    given = {ObjectStoragePath(uri).name for uri in uris}
    beside = [uri for uri in uris if str(ObjectStoragePath(uri).parent) != str(folder)]
    if folder != path and (given != names or beside):
        raise DatasetError(
            f"documents: {beside[0] if beside else folder}: expected all parts of one dataset, and no others: what "
            "is missing would look deleted. Give its folder, or what CoveoTransformOperator returns"
        )
    return folder, manifest


def _uris(folder: ObjectStoragePath, manifest: Manifest) -> list[str]:
    return [str(folder / part.name) for part in manifest.parts]


def _hashes(folder: Any, manifest: Manifest) -> list[SourceFile]:
    paths = [folder / HASHES / part.name for part in manifest.parts]
    return [SourceFile(str(path), partial(opened_local, path)) for path in paths]


def _key(context: Context) -> str:
    """Return a name for a run that is the same in each of its tries, and fits into a file's name."""
    instance = context.get("ti")
    names = [str(getattr(instance, name, "")) for name in ("dag_id", "run_id", "task_id", "map_index")]
    shown = re.sub(r"[^A-Za-z0-9]+", "-", f"{names[0]}-{names[1]}").strip("-")[:60]
    return f"{shown or 'run'}-{hashlib.sha256(chr(10).join(names).encode()).hexdigest()[:16]}"

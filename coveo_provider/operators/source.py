"""What concerns a source as a whole: its status, and the items a refresh did not renew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from airflow.sdk import Context, XComArg

from coveo_provider._compat import AirflowSkipException
from coveo_provider.documents.contract import Api, counted
from coveo_provider.errors import CoveoError
from coveo_provider.links import SOURCE_LINKS
from coveo_provider.operators.support.claims import Claim, SourceOperator
from coveo_provider.operators.support.ending import GuardedOperator
from coveo_provider.operators.support.values import number, truth


class CoveoSetSourceStatusOperator(SourceOperator):
    """
    Set the status of a Push source, and return the mark for a later delete-older.

    Set it back to ``IDLE`` in a teardown, so that a failed run does not leave the source in ``REBUILD``::

        rebuild = CoveoSetSourceStatusOperator(task_id="rebuild", source_id=…, status="REBUILD")
        idle = CoveoSetSourceStatusOperator(task_id="idle", source_id=…, status="IDLE")
        idle.as_teardown(setups=rebuild)

    A status other than ``IDLE`` begins a load: until it is ``IDLE`` again no other DAG run begins one. A source
    that another run is loading is left alone: it is ``SourceBusy``, which a retry may outlast, and a task that sets
    ``IDLE`` is skipped.

    :param source_id: the source (templated)
    :param status: ``REBUILD``, ``REFRESH``, ``INCREMENTAL`` or ``IDLE`` (templated)
    :param exclusive: whether no other run may be loading the source meanwhile
    :param coveo_conn_id: connection to the organization that owns it (templated)
    :return: the server's time just before the call, in milliseconds since the epoch: everything pushed
        afterwards is newer
    """

    documentation = "https://docs.coveo.com/en/35/"
    template_fields: Sequence[str] = ("source_id", "status", "coveo_conn_id")
    operator_extra_links = SOURCE_LINKS
    begins = True

    def __init__(self, *, source_id: str, status: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source_id = source_id
        self.status = status

    def act(self, context: Context) -> int:
        """Set the status; when that fails half-way, do not leave an activity open."""
        from coveo_provider.api.types import SourceStatus

        status, claim = SourceStatus.of(self.status), self.claim(context)
        if status is SourceStatus.IDLE:
            return self._ended(claim)
        with claim.begun(f"setting it to {status.value}", status.value):
            try:
                mark = self.client.set_source_status(self.source_id, status)
            except CoveoError as error:
                if error.transient:
                    self._try_idle()
                raise
        self.log.info("Set source %s to %s; the mark is %s", self.source_id, status.value, mark)
        return mark

    def _ended(self, claim: Claim) -> int:
        from coveo_provider.api.types import SourceStatus

        if (other := claim.of_another()) is not None:
            raise AirflowSkipException(
                f"Source {self.source_id} is being loaded by DAG {other.dag_id}, run {other.run_id}: its status is "
                "left to that run"
            )
        mark = self.client.set_source_status(self.source_id, SourceStatus.IDLE)
        claim.release(with_status=True)
        self.log.info("Set source %s to %s; the mark is %s", self.source_id, SourceStatus.IDLE.value, mark)
        return mark

    def _try_idle(self) -> None:
        """The call may have been carried out, and no teardown follows a setup that failed."""
        from coveo_provider.api.types import SourceStatus

        try:
            self.client.set_source_status(self.source_id, SourceStatus.IDLE)
        except CoveoError as error:
            self.log.warning("Source %s could not be set to IDLE either: %s", self.source_id, error)


class CoveoDeleteOlderOperator(GuardedOperator):
    """
    Delete the items of a source that a refresh did not renew.

    It checks the load first. A load without documents, of fewer than ``min_documents``, or one that would
    shrink the source beyond ``max_shrink`` raises ``SafetyStop`` and leaves the index as it was. It keeps to
    the trigger rule ``all_success``: it never runs when a part failed or was skipped. When it
    succeeds, the asset of the source gets an event (:func:`~coveo_provider.assets.coveo_asset`), unless a
    :class:`~coveo_provider.operators.verify.CoveoVerifyOperator` that follows it ends the load.

    :param source_id: the source (templated)
    :param ordering_id: what the mark must not exceed; the mark itself is the smallest of the reports, so that
        it is never later than any part of the load, whatever was cleared and run again (templated)
    :param reports: the reports of all parts of the refresh: ``push.output``. They tell which API it went
        through, and so which call deletes; reports without ``api`` are taken for those of the Push API (templated)
    :param parts: all parts of the load, each of which needs a report: ``check.output`` or ``diff.output``. When
        left out, there must be as many reports as tasks that send before this one (templated)
    :param content_owner: what decides what the source holds, and alone may delete items of it; by default the
        DAG and its task group (templated)
    :param full: whether the load held all there is: after one of changes only, nothing is deleted for its age.
        From :class:`~coveo_provider.operators.diff.CoveoDiffOperator` (templated)
    :param queue_delay: minutes the service waits, so that nothing queued is indexed after the deletion
        (templated)
    :param min_documents: the fewest documents a load may have; 0 allows to empty the source (templated)
    :param max_shrink: share of the items held now that may go, between 0 and 1; ``None`` does not look. Needs
        the privilege Sources (View) (templated)
    :param on_doubt: what to do beyond these bounds: ``"fail"``, or ``"ask"`` a person in Required Actions
    :param answer_within: how long an answer is waited for; without one the task stops
    :param exclusive: whether to stop when another run began to load the source since this one did
    :param coveo_conn_id: connection to the organization that owns the source (templated)
    :return: a report: the sums of the parts' reports, with ``ordering_id``, the mark
    """

    documentation = "https://docs.coveo.com/en/131/"
    template_fields: Sequence[str] = (
        "source_id",
        "ordering_id",
        "reports",
        "parts",
        "full",
        "queue_delay",
        "min_documents",
        "max_shrink",
        "content_owner",
        "coveo_conn_id",
    )

    def __init__(
        self,
        *,
        source_id: str,
        reports: Any,
        parts: Any = None,
        ordering_id: int | str | XComArg | None = None,
        full: bool | str | XComArg = True,
        queue_delay: int | str = 15,
        min_documents: int | str = 1,
        max_shrink: float | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_id = source_id
        self.reports = reports
        self.parts = parts
        self.ordering_id: Any = ordering_id
        self.full: Any = full
        self.queue_delay = queue_delay
        self.min_documents = min_documents
        self.max_shrink = max_shrink

    def act(self, context: Context) -> dict[str, Any]:
        """Check what was loaded, then delete what is older."""
        from coveo_provider.safety import total

        step = "deleting older items"
        claim = self.claim(context)
        if truth(self.full, "full"):
            report = self._delete(context, claim, step)
        else:
            self.log.info(
                "Only changes were sent to source %s: nothing is deleted for its age", self.source_id
            )
            claim.join(step)
            report = total(self.load_reports(context, claim, step)).as_json()
        self.end_load(context, claim, report)
        return report

    def _delete(self, context: Context, claim: Claim, step: str) -> dict[str, Any]:
        from coveo_provider.api.client import checked_ordering_id
        from coveo_provider.operators.support.load_marks import mark_of

        reports, loaded = self.checked_load(context, claim, step)
        given = self.ordering_id
        mark = mark_of(self, reports, None if given in (None, "") else checked_ordering_id(given))
        delay = number(self.queue_delay, int, "queue_delay", default=15)
        client = self.client
        delete = (
            client.delete_stream_items_older_than
            if loaded.api == Api.STREAM.value
            else client.delete_items_older_than
        )
        delete(self.source_id, mark.ordering_id, queue_delay=delay)
        self.log.info(
            "Deleting items of source %s older than %s, in %s, after a load of %s",
            self.source_id,
            mark.ordering_id,
            counted(delay, "minute"),
            counted(loaded.documents, "document"),
        )
        moment = None if mark.certain else loaded.moment
        loaded = replace(loaded, mark=mark.ordering_id, moment=moment)
        return {**loaded.as_json(), "ordering_id": mark.ordering_id}

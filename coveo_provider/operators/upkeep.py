"""What looks after sources between loads: one that a dead run left in the middle of its activity becomes IDLE."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import Context, XComArg

from coveo_provider.documents.contract import counted
from coveo_provider.errors import ConfigurationError, CoveoError
from coveo_provider.operators.support.claims import SourceOperator


class CoveoEndStaleLoadsOperator(SourceOperator):
    """
    Set those sources to ``IDLE`` that a run left in ``REBUILD``, ``REFRESH`` or ``INCREMENTAL`` when it ended.

    A teardown sets a source back after its load, but a run that is marked as failed, or that runs into its
    ``dagrun_timeout``, skips it: Airflow ends all its tasks. The next load of the source makes that good; this
    task does where none comes soon. Give it a DAG of its own, every quarter of an hour, for all Push sources.

    It goes by the claims that loads leave in Airflow's Variables. A source is left alone while a run that is queued
    or running loads it, or may do so, and when it was loaded with ``exclusive=False``. Nothing is deleted.

    :param source_ids: the sources (templated)
    :param coveo_conn_id: connection to the organization that owns them, the one of their loads (templated)
    :return: the sources whose load was ended
    :raises ConfigurationError: Variables cannot be used, so nobody knows which loads are stale
    """

    documentation = "https://docs.coveo.com/en/35/"
    template_fields: Sequence[str] = ("source_ids", "coveo_conn_id")

    def __init__(self, *, source_ids: Sequence[str | XComArg] | XComArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.source_ids: Any = source_ids
        self.source_id = None

    def is_exclusive(self, context: Context) -> bool:
        """Return True: it looks at claims whatever loads do."""
        return True

    def act(self, context: Context) -> list[str]:
        """Look at one source after the other; what fails at one keeps none of the others waiting."""
        if not isinstance(self.source_ids, (list, tuple)) or not all(
            one and isinstance(one, str) for one in self.source_ids
        ):
            raise ConfigurationError(f"source_ids must be a list of source ids, not {self.source_ids!r}")
        ended: list[str] = []
        failures: list[CoveoError] = []
        for source_id in self.source_ids:
            try:
                if self._end(context, source_id):
                    ended.append(source_id)
            except CoveoError as error:
                self.log.error("The load of source %s could not be ended: %s", source_id, error)
                failures.append(error)
        self.log.info("Ended stale loads of %s of %s", len(ended), counted(len(self.source_ids), "source"))
        if failures:
            raise failures[0]
        return ended

    def _end(self, context: Context, source_id: str) -> bool:
        from coveo_provider.api.types import SourceStatus

        self.source_id = source_id
        try:
            with self.claim(context).stale() as holder:
                if holder is None:
                    return False
                self.client.set_source_status(source_id, SourceStatus.IDLE)
        except CoveoError:
            raise
        except Exception as error:  # each secrets backend has its own
            raise ConfigurationError(
                f"source {source_id}: which run loads it stands in Airflow's Variables, and these cannot be used: "
                f"{error}. Nothing was changed. Let this task read and write Variables"
            ) from error
        self.log.warning(
            "Source %s was in %s since %s: DAG %s, run %s, ended without its teardown. It is IDLE now",
            source_id,
            holder.status,
            holder.since,
            holder.dag_id,
            holder.run_id,
        )
        return True

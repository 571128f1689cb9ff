"""
Set Push sources to IDLE that a dead run left in REBUILD or another status.

Choose this when no load of a source may follow for long: a run that is marked as failed, or that runs into its
``dagrun_timeout``, skips its teardown, and the source stays as it was until the next load. Name all Push sources
that your DAGs load through the connection ``coveo_default``. A source that is being loaded is left alone.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.sdk import Param, dag

from coveo_provider.operators import CoveoEndStaleLoadsOperator


@dag(
    schedule=timedelta(minutes=15),
    start_date=datetime(2025, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["coveo"],
    doc_md=__doc__,
    render_template_as_native_obj=True,
    params={
        "source_ids": Param(
            ["files", "texts", "intranet"], type="array", description="Push sources to look after"
        )
    },
)
def coveo_end_stale_loads() -> None:
    CoveoEndStaleLoadsOperator(task_id="end_stale_loads", source_ids="{{ params.source_ids }}", retries=2)


coveo_end_stale_loads()

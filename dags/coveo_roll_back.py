"""
Put a Catalog source back to what a former load made of it: choose → plan → ask → apply → verify.

Choose this when a load was right for Coveo and wrong for people. The loads that the state remembers are offered in
Airflow's Required Actions, then the plan of going back waits there for a yes. It needs the datasets of former runs:
here they are those of `coveo_catalog_refresh`, in its staging area. Name a run id, or `previous`, to choose without
being asked. Point the connection `coveo_default` at the sandbox (`coveo-sandbox`) or at Coveo.
"""

from __future__ import annotations

import tempfile

from airflow.sdk import Param, dag

from coveo_provider.operators import CoveoChooseLoadOperator
from coveo_provider.task_groups import catalog_refresh


@dag(
    schedule=None,
    max_active_runs=1,
    tags=["coveo"],
    doc_md=__doc__,
    params={
        "source_id": "packages",
        "state": f"file://{tempfile.gettempdir()}/coveo-staging/coveo_catalog_refresh/state",
        "load": Param("", type="string", description="Run id of the load, previous, or nothing to be asked"),
        "approve": Param("always", enum=["always", "never"], description="Whether the plan waits for a yes"),
        "queue_delay": Param(15, type="integer", minimum=0, description="Minutes before old items go"),
    },
)
def coveo_roll_back() -> None:
    choose = CoveoChooseLoadOperator(
        task_id="choose",
        source_id="{{ params.source_id }}",
        state="{{ params.state }}",
        load="{{ params.load }}",
    )
    catalog_refresh(
        source_id="{{ params.source_id }}",
        documents=choose.output,
        state="{{ params.state }}",
        plan=True,
        approve="{{ params.approve }}",
        queue_delay="{{ params.queue_delay }}",
    )


coveo_roll_back()

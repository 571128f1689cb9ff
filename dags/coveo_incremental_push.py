"""
Keep a Push source equal to its origin, and push only what changed: extract → transform → diff → push.

Choose this when the items have content to search and few of them change from one run to the next. Here the origin
is the module documentation that ships with Python. Point the connection ``coveo_default`` at the sandbox
(``coveo-sandbox``) or at Coveo.
"""

from __future__ import annotations

import tempfile
from typing import Any

from airflow.sdk import Param, dag, task

from coveo_provider.documents import Constant, DocumentMapping, Template
from coveo_provider.operators import CoveoTransformOperator
from coveo_provider.task_groups import incremental_push

TEXTS = DocumentMapping(
    document_id="python://{path:uri}",
    fields={
        "data": "text",
        "title": "path",
        "fileExtension": Constant(".txt"),
        "parentId": Template("python://{parent:uri}"),
    },
)


@dag(
    schedule=None,
    max_active_runs=1,
    tags=["coveo"],
    doc_md=__doc__,
    params={
        "source_id": "texts",
        "staging": f"file://{tempfile.gettempdir()}/coveo-staging",
        "limit": Param(None, type=["null", "integer"], minimum=1, description="Rows to take"),
        "full": Param(False, type="boolean", description="Push everything this time"),
        "max_shrink": Param(None, type=["null", "number"], description="Share of the items that may go"),
        "queue_delay": Param(15, type="integer", minimum=0, description="Minutes before old items go"),
    },
)
def coveo_incremental_push() -> None:
    @task
    def extract(**context: Any) -> str:
        """Write a line of JSON for each text."""
        import sample_rows

        return sample_rows.write(sample_rows.python_modules(), context)

    folder = "{{ params.staging }}/coveo_incremental_push"
    transform = CoveoTransformOperator(
        task_id="transform",
        source=extract(),
        output=f"{folder}/{{{{ run_id }}}}/documents",
        mapping=TEXTS,
    )
    incremental_push(
        source_id="{{ params.source_id }}",
        documents=transform.output,
        state=f"{folder}/state",
        full="{{ params.full }}",
        max_shrink="{{ params.max_shrink }}",
        queue_delay="{{ params.queue_delay }}",
    )


coveo_incremental_push()

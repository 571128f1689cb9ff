"""
Push what an ETL has in memory anyway: a DataFrame becomes documents of a Push source, in three lines.

Choose this when a task of yours has a DataFrame, or several, and a source is to hold their rows beside what it
holds already. To make a source *equal* to a dataset of any size, take a task group. Here the frame has the
reference texts that ship with Python. Point the connection ``coveo_default`` at the sandbox (``coveo-sandbox``) or
at Coveo.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import Param, dag, task

from coveo_provider.documents import Constant, DocumentMapping

TEXTS = DocumentMapping(
    document_id="python://{path:uri}",
    fields={"data": "text", "title": "path", "fileExtension": Constant(".txt")},
)


@dag(
    schedule=None,
    max_active_runs=1,
    tags=["coveo"],
    doc_md=__doc__,
    params={
        "source_id": "texts",
        "limit": Param(None, type=["null", "integer"], minimum=1, description="Rows to take"),
        "gone": Param([], type="array", description="Ids to delete, such as python://topic/assert"),
    },
)
def coveo_taskflow() -> None:
    @task
    def extract(**context: Any) -> Any:
        """What the ETL does already: a query, an API, a file."""
        import pandas as pd
        import sample_rows

        return pd.DataFrame(sample_rows.python_topics()[: context["params"]["limit"]])

    @task.coveo(source_id="{{ params.source_id }}", mapping=TEXTS)
    def push(frame: Any, **context: Any) -> Any:
        return {"documents": frame, "deletions": context["params"]["gone"]}

    push(extract())


coveo_taskflow()

"""
Rebuild a Push source without a gap: REBUILD → mapped push → delete what was not renewed → IDLE.

Choose this when a source must equal its origin and its items have content to search. New versions replace
old ones as they arrive; what is gone from the origin is deleted at the end, and only if every part went
through. Here the origin is the reference texts and the module documentation that ship with Python. Point the
connection ``coveo_default`` at the sandbox (``coveo-sandbox``) or at Coveo.
"""

from __future__ import annotations

import tempfile
from typing import Any

from airflow.sdk import ObjectStoragePath, Param, dag, task

from coveo_provider.documents import Constant, DocumentMapping, Template, write_documents
from coveo_provider.task_groups import push_rebuild

TEXTS = DocumentMapping(
    document_id="python://{path:uri}",
    fields={
        "data": "text",
        "title": lambda rows: rows["path"].str.replace("/", ".").str.partition(".")[2],
        "fileExtension": Constant(".txt"),
        "clickableuri": Template("https://docs.python.org/3/search.html?q={path:uri}"),
        "parentId": Template("python://{parent:uri}"),
        "documenttype": lambda rows: rows["path"].str.partition("/")[0],
    },
)


@dag(
    schedule=None,
    tags=["coveo"],
    doc_md=__doc__,
    params={
        "source_id": "files",
        "staging": f"file://{tempfile.gettempdir()}/coveo-staging",
        "limit": Param(None, type=["null", "integer"], minimum=1, description="Rows of each kind to take"),
        "max_shrink": Param(None, type=["null", "number"], description="Share of the items that may go"),
        "queue_delay": Param(15, type="integer", minimum=0, description="Minutes before old items go"),
    },
)
def coveo_push_rebuild() -> None:
    @task
    def extract_and_transform(kind: str, **context: Any) -> str:
        """Make one part of the documents dataset, a kind of text each."""
        import pandas as pd
        import sample_rows

        rows = pd.DataFrame(getattr(sample_rows, kind)()[: context["params"]["limit"]])
        folder = (
            ObjectStoragePath(context["params"]["staging"])
            / "coveo_push_rebuild"
            / context["run_id"]
            / "documents"
        )
        folder.mkdir(parents=True, exist_ok=True)
        return write_documents(TEXTS.apply(rows), folder / f"{kind}.parquet")

    push_rebuild(
        source_id="{{ params.source_id }}",
        documents=extract_and_transform.expand(kind=["python_topics", "python_modules"]),
        queue_delay="{{ params.queue_delay }}",
        max_shrink="{{ params.max_shrink }}",
    )


coveo_push_rebuild()

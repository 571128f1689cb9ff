"""
See what Coveo refused, and why: incremental push → verify.

Every call of this load succeeds, and two of its documents are never indexed: the source is secured, and nobody has
said who may see them. The last task reads that from the source's log. It fails the run, names both with the reason,
and lists them in a file beside the dataset; with ``max_rejected`` of 2 it is green and says so. Point the
connection ``coveo_default`` at the sandbox or at Coveo, and create a Push source whose content security is "Same
users and groups as in your content system".
"""

from __future__ import annotations

import tempfile
from typing import Any

from airflow.sdk import ObjectStoragePath, Param, dag, task

from coveo_provider.documents import Constant, DocumentMapping, write_documents
from coveo_provider.task_groups import incremental_push

NOTICES = [  # path, text, whether everybody may see it
    ("canteen", "What there is to eat.", "yes"),
    ("holidays", "When the office is closed.", "yes"),
    ("parking", "Where to leave the car.", "yes"),
    ("drafts/merger", "Whom we may buy.", None),
    ("drafts/new-office", "Where we may move.", None),
]
MAPPING = DocumentMapping(
    document_id="notice://{path:uri}",
    fields={
        "data": "text",
        "title": "path",
        "fileExtension": Constant(".txt"),
        "permissions": lambda rows: rows["public"].map({"yes": [{"allowAnonymous": True}]}),
    },
)


@dag(
    schedule=None,
    tags=["coveo"],
    doc_md=__doc__,
    params={
        "source_id": "intranet",
        "staging": f"file://{tempfile.gettempdir()}/coveo-staging",
        "max_rejected": Param(0, type="number", minimum=0, description="Share or number that may be refused"),
    },
)
def coveo_refused_items() -> None:
    @task
    def extract_and_transform(**context: Any) -> str:
        """Write the documents."""
        import pandas as pd

        folder = ObjectStoragePath(context["params"]["staging"]) / "coveo_refused_items" / context["run_id"]
        (folder / "documents").mkdir(parents=True, exist_ok=True)
        rows = pd.DataFrame(NOTICES, columns=["path", "text", "public"])
        return write_documents(MAPPING.apply(rows), folder / "documents" / "notices.parquet")

    incremental_push(
        source_id="{{ params.source_id }}",
        documents=extract_and_transform(),
        max_rejected="{{ params.max_rejected }}",
    )


coveo_refused_items()

"""
Push secured content: identities first, then the items whose permissions name them.

Choose this when not everybody may find everything. Before anything is sent, the permissions are evaluated as
Coveo does, and the run stops if somebody would see what they must not. Here the origin is a small organisation
with nested groups and denied users. Point the connection ``coveo_default`` at the sandbox or at Coveo, and
create a Push source whose content security is "Same users and groups as in your content system".
"""

from __future__ import annotations

import tempfile
from typing import Any

from airflow.sdk import ObjectStoragePath, dag, task

from coveo_provider.documents import Constant, DocumentMapping, PermissionColumns, write_documents
from coveo_provider.task_groups import secured_push

PROVIDER = "acme-directory"
PAPERS = DocumentMapping(
    document_id="acme://{path:uri}",
    fields={
        "data": "text",
        "title": "path",
        "fileExtension": Constant(".txt"),
        "permissions": PermissionColumns(
            allowed_groups="groups", allowed_users="users", denied_users="denied", security_provider=PROVIDER
        ),
    },
)


@dag(
    schedule=None,
    tags=["coveo"],
    doc_md=__doc__,
    params={"source_id": "intranet", "staging": f"file://{tempfile.gettempdir()}/coveo-staging"},
)
def coveo_secured_push() -> None:
    @task(multiple_outputs=True)
    def extract_and_transform(**context: Any) -> dict[str, str]:
        """Write the datasets: documents, groups with their members, and aliases."""
        import pandas as pd
        import sample_rows

        folder = ObjectStoragePath(context["params"]["staging"]) / "coveo_secured_push" / context["run_id"]
        (folder / "documents").mkdir(parents=True, exist_ok=True)
        rows = pd.DataFrame(sample_rows.papers())
        uris = {"documents": write_documents(PAPERS.apply(rows), folder / "documents" / "papers.parquet")}
        for kind, identities in sample_rows.organisation().items():
            path = folder / f"{kind}.parquet"
            with path.open("wb") as file:
                pd.DataFrame(identities).to_parquet(file)
            uris[kind] = str(path)
        return uris

    datasets: Any = extract_and_transform()
    secured_push(
        source_id="{{ params.source_id }}",
        provider_id=PROVIDER,
        documents=datasets["documents"],
        members=datasets["members"],
        mappings=datasets["mappings"],
        rules=[{"documents": "*"}, {"documents": "acme://hr/*", "only": ["hr", "leads"]}],
        expected=[
            {"user": "ann@acme.example", "document": "acme://hr/salaries", "sees": True},
            {"user": "bob@acme.example", "document": "acme://hr/salaries", "sees": False},
            {"user": "eva@acme.example", "document": "acme://sales/forecast", "sees": True},
            {"user": None, "document": "acme://handbook", "sees": False},
        ],
    )


coveo_secured_push()

"""
Keep a Catalog source equal to its origin, and send only what changed: extract → transform → diff → update.

Choose this for a large catalog that is looked at often. The first run sends everything and deletes what it did not
renew; each later one compares with what the index holds and sends the difference. Nothing changed, nothing sent.
Here the catalog is every Python distribution installed where the task runs. Point the connection
``coveo_default`` at the sandbox (``coveo-sandbox``) or at Coveo.
"""

from __future__ import annotations

import tempfile
from typing import Any

from airflow.sdk import Param, dag, task

from coveo_provider.documents import Constant, DocumentMapping, Split
from coveo_provider.operators import CoveoTransformOperator
from coveo_provider.task_groups import catalog_refresh

PRODUCTS = DocumentMapping(
    document_id="product://{name:uri}",
    fields={
        "objecttype": Constant("Product"),
        "ec_name": "name",
        "ec_shortdesc": "summary",
        "ec_brand": "author",
        "keywords": Split("keywords", ","),
        "clickableuri": "url",
    },
    keep=("version", "license", "classifiers"),
)


@dag(
    schedule=None,
    max_active_runs=1,
    tags=["coveo"],
    doc_md=__doc__,
    params={
        "source_id": "packages",
        "staging": f"file://{tempfile.gettempdir()}/coveo-staging",
        "limit": Param(None, type=["null", "integer"], minimum=0, description="Distributions to take"),
        "full": Param(False, type="boolean", description="Send everything this time"),
        "max_shrink": Param(None, type=["null", "number"], description="Share of the items that may go"),
        "queue_delay": Param(15, type="integer", minimum=0, description="Minutes before old items go"),
    },
)
def coveo_catalog_refresh() -> None:
    @task
    def extract(**context: Any) -> str:
        """Write a line of JSON for each distribution."""
        import sample_rows

        return sample_rows.write(sample_rows.installed_distributions(), context)

    folder = "{{ params.staging }}/coveo_catalog_refresh"
    transform = CoveoTransformOperator(
        task_id="transform",
        source=extract(),
        output=f"{folder}/{{{{ run_id }}}}/documents",
        mapping=PRODUCTS,
        stream=True,
    )
    catalog_refresh(
        source_id="{{ params.source_id }}",
        documents=transform.output,
        state=f"{folder}/state",
        full="{{ params.full }}",
        max_shrink="{{ params.max_shrink }}",
        queue_delay="{{ params.queue_delay }}",
    )


coveo_catalog_refresh()

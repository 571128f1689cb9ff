"""
Keep a Catalog source equal to a table, and read and send only what changed: query → diff → update → verify.

Choose this when the rows have a column that each change raises. The first run reads all of the table; each later
one the rows that changed since the last load that was verified, and the ids of all, for what was deleted. The
connection ``warehouse`` is that of the database (PostgreSQL, MySQL, Snowflake, SQLite … by Airflow's provider for
it), and ``coveo_default`` that of the sandbox (``coveo-sandbox``) or of Coveo.
"""

from __future__ import annotations

import tempfile
from datetime import timedelta

from airflow.sdk import Param, dag

from coveo_provider.documents import Constant, DocumentMapping
from coveo_provider.operators import CoveoTransformOperator
from coveo_provider.task_groups import catalog_refresh

PRODUCTS = DocumentMapping(
    document_id="product://{sku}",
    fields={"objecttype": Constant("Product"), "ec_name": "name"},
    keep="*",
)


@dag(
    schedule=None,
    max_active_runs=1,
    tags=["coveo"],
    doc_md=__doc__,
    params={
        "source_id": "products",
        "staging": f"file://{tempfile.gettempdir()}/coveo-staging",
        "full": Param(False, type="boolean", description="Read the whole table this time"),
        "max_shrink": Param(0.2, type=["null", "number"], description="Share of the items that may go"),
    },
)
def coveo_table_refresh() -> None:
    folder = "{{ params.staging }}/coveo_table_refresh"
    transform = CoveoTransformOperator(
        task_id="transform",
        sql="SELECT sku, name, price, updated_at FROM products",
        sql_conn_id="warehouse",
        watermark="updated_at",
        watermark_overlap=timedelta(minutes=10),
        ids_sql="SELECT sku FROM products",
        full="{{ params.full }}",
        mapping=PRODUCTS,
        stream=True,
        output=f"{folder}/{{{{ run_id }}}}/documents",
    )
    catalog_refresh(
        source_id="{{ params.source_id }}",
        documents=transform.output,
        state=f"{folder}/state",
        max_shrink="{{ params.max_shrink }}",
    )


coveo_table_refresh()

"""
Replace the whole content of a Catalog source: extract → transform → check → open → upload → close.

Choose this when the catalog is small enough to send whole (below 1,000,000 items, four loads an hour at
most) and must be equal to its origin afterwards. Here the catalog is every Python distribution installed
where the task runs, with its files as variants. Point the connection ``coveo_default`` at the sandbox
(``coveo-sandbox``) or at Coveo.
"""

from __future__ import annotations

import tempfile
from typing import Any

from airflow.sdk import ObjectStoragePath, Param, dag, task

from coveo_provider.documents import Constant, DocumentMapping, Split, Template, write_documents
from coveo_provider.task_groups import catalog_load

PRODUCTS = DocumentMapping(
    document_id="product://{name:uri}",
    fields={
        "objecttype": Constant("Product"),
        "ec_product_id": "name",
        "ec_name": "name",
        "ec_shortdesc": "summary",
        "ec_description": "description",
        "ec_brand": "author",
        "ec_category": "topics",
        "keywords": Split("keywords", ","),
        "clickableuri": "url",
    },
    keep=("version", "license", "classifiers"),
)
VARIANTS = DocumentMapping(
    document_id="variant://{name:uri}/{path:uri}",
    fields={
        "objecttype": Constant("Variant"),
        "ec_product_id": "name",
        "ec_variant_sku": Template("{name}/{path}"),
    },
    keep=("path", "bytes"),
)


@dag(
    schedule=None,
    tags=["coveo"],
    doc_md=__doc__,
    params={
        "source_id": "products",
        "staging": f"file://{tempfile.gettempdir()}/coveo-staging",
        "limit": Param(None, type=["null", "integer"], minimum=0, description="Distributions to take"),
        "max_shrink": Param(None, type=["null", "number"], description="Share of the items that may go"),
    },
)
def coveo_catalog_load() -> None:
    @task
    def extract(**context: Any) -> list[str]:
        """Write what is known of each distribution to raw files, fifty distributions a file."""
        import pandas as pd
        from sample_rows import installed_distributions

        frame = pd.DataFrame(installed_distributions()[: context["params"]["limit"]])
        staging = ObjectStoragePath(context["params"]["staging"]) / "coveo_catalog_load" / context["run_id"]
        (staging / "raw").mkdir(parents=True, exist_ok=True)
        raw = [staging / "raw" / f"{start:05d}.parquet" for start in range(0, len(frame), 50)]
        for number, path in enumerate(raw):
            with path.open("wb") as file:
                frame.iloc[number * 50 : (number + 1) * 50].to_parquet(file)
        return [str(path) for path in raw]

    @task
    def transform(raw: str) -> str:
        """Make one part of the documents dataset out of one raw file."""
        import pandas as pd

        path = ObjectStoragePath(raw)
        with path.open("rb") as file:
            distributions = pd.read_parquet(file)
        files = distributions[["name", "files"]].explode("files").dropna()
        files["path"], files["bytes"] = files["files"].str["path"], files["files"].str["bytes"]
        documents = pd.concat([PRODUCTS.apply(distributions), VARIANTS.apply(files)])
        (path.parent.parent / "documents").mkdir(parents=True, exist_ok=True)
        return write_documents(documents, path.parent.parent / "documents" / path.name)

    catalog_load(
        source_id="{{ params.source_id }}",
        documents=transform.expand(raw=extract()),
        max_shrink="{{ params.max_shrink }}",
    )


coveo_catalog_load()

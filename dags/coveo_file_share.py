"""
Keep a secured Push source equal to a file share: list → diff → push, with permissions by folder.

Choose this when people shall find PDF, Word and other files of a folder or a bucket, each with what it may show to
whom. A file that did not change since the last good run is neither read nor sent; one that is gone is deleted.
Mount the share on the workers, or name a bucket (`s3://aws@bucket/library`), and point the connection
``coveo_default`` at the sandbox (``coveo-sandbox``) or at Coveo. The groups are those that the source's security
provider knows.
"""

from __future__ import annotations

import tempfile

from airflow.sdk import Param, dag

from coveo_provider.documents import FolderPermissions
from coveo_provider.operators import CoveoListFilesOperator
from coveo_provider.task_groups import incremental_push

READERS = FolderPermissions({"": ["everybody"], "hr": ["hr"], "hr/forms": ["everybody"]})


@dag(
    schedule=None,
    max_active_runs=1,
    tags=["coveo"],
    doc_md=__doc__,
    params={
        "source_id": "intranet",
        "root": Param("file:///srv/share", type="string", description="URI of the share's folder"),
        "staging": f"file://{tempfile.gettempdir()}/coveo-staging",
        "full": Param(False, type="boolean", description="Push everything this time"),
        "max_shrink": Param(0.2, type=["null", "number"], description="Share of the items that may go"),
        "queue_delay": Param(15, type="integer", minimum=0, description="Minutes before old items go"),
    },
)
def coveo_file_share() -> None:
    folder = "{{ params.staging }}/coveo_file_share"
    files = CoveoListFilesOperator(
        task_id="list",
        root="{{ params.root }}",
        output=f"{folder}/{{{{ run_id }}}}/documents",
        id_prefix="file://share/",
        permissions=READERS,
        max_bytes=200_000_000,
    )
    incremental_push(
        source_id="{{ params.source_id }}",
        documents=files.output,
        state=f"{folder}/state",
        full="{{ params.full }}",
        max_shrink="{{ params.max_shrink }}",
        queue_delay="{{ params.queue_delay }}",
    )


coveo_file_share()

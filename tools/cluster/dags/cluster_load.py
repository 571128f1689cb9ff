"""A load of many parts, each sent by a task of its own."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import dag

from coveo_provider.task_groups import push_rebuild


@dag(
    schedule=None,
    params={"documents": ""},
    default_args={"retries": 3, "retry_delay": timedelta(seconds=1)},
    max_active_tasks=64,
)
def cluster_load() -> None:
    """Make a Push source equal to the documents in a folder."""
    push_rebuild(source_id="products", documents="{{ params.documents }}", queue_delay=0)


cluster_load()

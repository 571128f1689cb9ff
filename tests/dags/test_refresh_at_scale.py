"""A catalog of 200,000 items, refreshed through the diff: what moved is sent, and nothing else."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from airflow.sdk import DAG

from benchmarks.refresh_changes import change
from benchmarks.rows import write_catalog
from coveo_provider.documents import encode_document
from coveo_provider.operators import CoveoTransformOperator
from coveo_provider.sandbox import Sandbox
from coveo_provider.task_groups import catalog_refresh
from tests.dags.conftest import ran

ROWS = 200_000
MOVED = ROWS // 100


def refreshed(raw: Path, folder: Path, run: str) -> dict[str, str]:
    with DAG("large_catalog", schedule=None, default_args={"retries": 0}) as dag:
        transform = CoveoTransformOperator(
            task_id="transform",
            source=raw.as_uri(),
            output=(folder / run).as_uri(),
            part_bytes=20 * 1024 * 1024,
            stream=True,
        )
        catalog_refresh(source_id="products", documents=transform.output, state=(folder / "state").as_uri())
    state, states = ran(dag)
    assert state == "success"
    return states


def differences(sandbox: Sandbox, raw: Path) -> int:
    """Return how many documents the index holds otherwise than the rows say, lacks, or has besides."""
    sandbox.settle()
    held: dict[str, dict[str, Any]] = dict(sandbox.items("products"))
    wrong = 0
    for batch in pq.ParquetFile(raw).iter_batches(20_000):
        for row in batch.to_pylist():
            wrong += held.pop(row["documentId"], None) != json.loads(encode_document(row))
    return wrong + len(held)


@pytest.mark.long
def test_of_200_000_items_the_one_percent_that_moved_is_sent(
    connected: Sandbox, airflow_database: None, tmp_path: Path
) -> None:
    """The log of calls shows 1 % of the bytes, and the index equals the input both times."""
    raw = write_catalog(tmp_path / "raw.parquet", ROWS)
    states = refreshed(raw, tmp_path, "first")
    assert sum(name.startswith("update[") for name in states) > 5
    assert differences(connected, raw) == 0
    first = list(connected.calls)

    later = change(raw, tmp_path / "later.parquet", MOVED / ROWS)
    refreshed(later, tmp_path, "second")
    assert differences(connected, later) == 0
    second = connected.calls[len(first) :]

    def uploaded(calls: list[Any]) -> int:
        return sum(call.content_length or 0 for call in calls if call.route == "upload")

    assert 0.005 < uploaded(second) / uploaded(first) < 0.015
    sent = Counter(call.route for call in second if not call.route.startswith(("logs", "platform.")))
    # Beside those that look at fields before, and at what became of it after.
    assert sent == {"fields.search": 1, "file.create": 1, "upload": 1, "stream.update": 1}

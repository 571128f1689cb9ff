"""A load of many parts over the workers of a cluster, and what became of it."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from coveo_provider.sandbox import Sandbox
from tools.cluster.airflow_cluster import Cluster

SOURCE = "products"
_PUSH = "push_rebuild.push"
_PREFIX = "product://cluster/"


def document(number: int) -> dict[str, Any]:
    """Return the document of a number."""
    return {
        "documentId": f"{_PREFIX}{number}",
        "objecttype": "Product",
        "ec_name": f"Running shoe {number}, Größe {number % 50}",
        "ec_price": number % 20_000 / 100,
        "ec_category": ["shoes", f"shoes|size {number % 50}"],
        "stock": number % 97,
    }


def store(cluster: Cluster, folder: str, parts: int, documents: int) -> None:
    """Store documents in a folder of the cluster's S3, in so many parts."""
    size = -(-documents // parts)
    with tempfile.TemporaryDirectory() as name:
        for part in range(parts):
            numbers = range(part * size, min((part + 1) * size, documents))
            file = Path(name) / f"part-{part:05d}.parquet"
            pq.write_table(pa.Table.from_pylist([document(number) for number in numbers]), file)
            cluster.put(f"{folder}/{file.name}", file)
            file.unlink()


def differences(sandbox: Sandbox, documents: int) -> int:
    """Return how many documents the index lacks, holds besides, or holds otherwise than they were stored."""
    sandbox.settle()
    items = sandbox.items(SOURCE)
    wrong = sum(items.pop(document(n)["documentId"], None) != document(n) for n in range(documents))
    return wrong + len(items)


@dataclass(frozen=True)
class Sent:
    """
    Who sent what of a run.

    :param parts: how many parts each worker sent
    :param seconds: from the start of the first push to the end of the last
    :param tries: how many tries there were beyond the first, by task
    """

    parts: Counter[str]
    seconds: float
    tries: dict[str, int]


def sent(tasks: Sequence[dict[str, Any]]) -> Sent:
    """Return who sent what, by the task instances of a run."""
    pushes = [task for task in tasks if task["task_id"] == _PUSH and task["end_date"]]
    begun = min(_moment(task["start_date"]) for task in pushes)
    ended = max(_moment(task["end_date"]) for task in pushes)
    return Sent(
        Counter(task["hostname"] for task in pushes),
        (ended - begun).total_seconds(),
        dict(_tried_again(tasks)),
    )


def pushing_in(tasks: Sequence[dict[str, Any]], state: str) -> list[str]:
    """Return the workers of the pushes that are in a state."""
    return [task["hostname"] for task in tasks if task["task_id"] == _PUSH and task["state"] == state]


def _tried_again(tasks: Sequence[dict[str, Any]]) -> Iterator[tuple[str, int]]:
    for task in tasks:
        if task["try_number"] > 1:
            mapped = f"[{task['map_index']}]" if task["map_index"] >= 0 else ""
            yield f"{task['task_id']}{mapped} on {task['hostname']}", task["try_number"] - 1


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))

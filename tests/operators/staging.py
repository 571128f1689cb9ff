"""Raw files, and the dataset that a transform makes of them, on some storage."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from airflow.sdk import ObjectStoragePath

from coveo_provider.documents import DocumentMapping
from coveo_provider.operators import CoveoTransformOperator

MAPPING = DocumentMapping("product://{sku}", fields={"ec_name": "name"}, keep=("price",))
SHOES = [{"sku": f"{n:04d}", "name": f"Shoe {n}", "price": n / 4} for n in range(200)]


def csv(rows: list[dict[str, Any]]) -> bytes:
    text: str = pd.DataFrame(rows).to_csv(index=False)
    return text.encode()


def ndjson(rows: list[dict[str, Any]]) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


def at(uri: str) -> Any:
    """Return a path, whose methods have no annotations."""
    return ObjectStoragePath(uri)


class Staging:
    """A folder with raw files, and a folder for the dataset, on some storage."""

    def __init__(self, root: Any) -> None:
        self.root = root

    def put(self, name: str, data: bytes) -> str:
        path = self.root / "raw" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            file.write(data)
        return str(path)

    @property
    def output(self) -> str:
        return str(self.root / "documents")

    def files(self) -> dict[str, bytes]:
        folder = self.root / "documents"
        found = {}
        for path in folder.rglob("*") if folder.exists() else ():
            if path.is_file():
                with path.open("rb") as file:
                    found[str(path)[len(str(folder)) + 1 :]] = file.read()
        return found

    def manifest(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.files()["_manifest.json"])
        return found

    def make(self, source: Any, **options: Any) -> Any:
        values = {"output": self.output, "mapping": MAPPING, **options}
        return CoveoTransformOperator(task_id="transform", source=source, **values).execute({})


def rows_of(parts: list[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for part in parts:
        with at(part).open("rb") as file:
            found += pq.read_table(file).to_pylist()
    return found

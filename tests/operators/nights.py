"""A source that is kept equal to rows, night after night, by the operators as a DAG would run them."""

from __future__ import annotations

import json
from itertools import count
from typing import Any, cast

from airflow.sdk import ObjectStoragePath

from coveo_provider.documents import DocumentMapping
from coveo_provider.operators import (
    CoveoDiffOperator,
    CoveoFinalizeOperator,
    CoveoPushBatchOperator,
    CoveoTransformOperator,
)
from coveo_provider.operators.support import dataset_writing
from coveo_provider.operators.support.datasets import open_parts
from coveo_provider.operators.support.storage import list_parts
from coveo_provider.sandbox import Sandbox

Index = dict[str, dict[str, Any]]
MAPPING = DocumentMapping("product://{sku}", fields={"ec_name": "name"}, keep=("price",))


class Nights:
    """A source that is kept equal to rows, by the operators as a DAG would run them."""

    def __init__(self, root: str, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.root: Any = ObjectStoragePath(root)  # its methods have no annotations
        self.rows: dict[str, dict[str, Any]] = {}
        self.mapping = MAPPING
        self.nights = count(1)
        self.told: dict[str, Any] = {}

    @property
    def state(self) -> Any:
        return self.root / "state"

    def put(self, number: int, **values: Any) -> None:
        self.rows[f"{number:03d}"] = {"sku": f"{number:03d}", "name": f"Shoe {number}", "price": 1, **values}

    def night(self) -> Night:
        return Night(self, next(self.nights))

    def run(self, **options: Any) -> list[dict[str, Any]]:
        """Run a whole night, and return what was sent."""
        night = self.night()
        night.transform()
        units = night.diff(**options)
        night.finalize([night.send(unit) for unit in units])
        if self.told["full"]:
            self.delete_older()
        return units

    def delete_older(self) -> None:
        """Do what the task group does after a full load: everything that was not renewed goes."""
        self.sandbox.settle()
        for identifier in self.held().keys() - self.expected().keys():
            rows = [{"documentId": identifier}]
            CoveoPushBatchOperator(task_id="gone", source_id="files", deletions=rows).execute({})

    def held(self) -> Index:
        self.sandbox.settle()
        return self.sandbox.items("files")

    def expected(self) -> Index:
        return {
            f"product://{row['sku']}": {
                "documentId": f"product://{row['sku']}",
                "ec_name": row["name"],
                "price": row["price"],
            }
            for row in self.rows.values()
        }

    def files(self) -> list[str]:
        return sorted(
            str(path)[len(str(self.state)) + 1 :] for path in self.state.rglob("*") if path.is_file()
        ) if self.state.exists() else []  # fmt: skip


class Night:
    """One run of the DAG."""

    def __init__(self, nights: Nights, number: int) -> None:
        self.nights, self.number = nights, number
        self.documents: Any = nights.root / f"night-{number}" / "documents"
        self.context: Any = {"ti": self}
        self.dag_id, self.run_id, self.task_id, self.map_index = "shop", f"night-{number}", "diff", -1

    def xcom_push(self, key: str, value: Any) -> None:
        """Take what an operator tells besides, as Airflow's task instance does."""
        self.nights.told[key] = json.loads(json.dumps(value))

    def transform(self) -> Any:
        raw = self.nights.root / f"night-{self.number}" / "raw.ndjson"
        raw.parent.mkdir(parents=True, exist_ok=True)
        with raw.open("w") as file:
            file.write("\n".join(map(json.dumps, self.nights.rows.values())))
        return CoveoTransformOperator(
            task_id="transform",
            source=str(raw),
            output=str(self.documents),
            mapping=self.nights.mapping,
            part_bytes=dataset_writing.MIN_PART_BYTES,
        ).execute({})

    def diff(self, **options: Any) -> list[dict[str, Any]]:
        values = {
            "documents": str(self.documents),
            "state": str(self.nights.state),
            "source_id": "files",
            **options,
        }
        units: list[dict[str, Any]] = CoveoDiffOperator(task_id="diff", **values).execute(self.context)
        return units

    def send(self, unit: dict[str, Any]) -> dict[str, Any]:
        report: dict[str, Any] = CoveoPushBatchOperator(task_id="push", source_id="files", **unit).execute({})
        return report

    def finalize(self, reports: Any, **options: Any) -> Any:
        values = {"manifest": f"{self.documents}/_manifest.json", "state": str(self.nights.state), **options}
        return CoveoFinalizeOperator(task_id="end", source_id="files", reports=reports, **values).execute({})


class InMemory(Nights):
    """The same with an index that is a dictionary, for many nights."""

    def __init__(self, root: str) -> None:
        self.index: Index = {}
        super().__init__(root, cast("Any", None))

    def night(self) -> Night:
        return InMemoryNight(self, next(self.nights))

    def held(self) -> Index:
        return self.index

    def delete_older(self) -> None:
        expected = self.expected()
        self.index = {key: item for key, item in self.index.items() if key in expected}


class InMemoryNight(Night):
    nights: InMemory

    def send(self, unit: dict[str, Any]) -> dict[str, Any]:
        """Apply a unit as the service would, and report it."""
        counts = {"documents": 0, "deletions": 0}
        for name, parts in unit.items():
            with open_parts(list_parts(parts, name)) as opened:
                for row in (row for part in opened for batch in part.batches() for row in batch.to_pylist()):
                    counts[name] += 1
                    if name == "documents":
                        self.nights.index[row["documentId"]] = row
                    else:
                        self.nights.index.pop(row["documentId"], None)
        return counts

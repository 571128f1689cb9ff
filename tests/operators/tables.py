"""A table of a database that is kept equal to a source, night after night, by the operators as a DAG runs them."""

from __future__ import annotations

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from coveo_provider.documents import DocumentMapping
from coveo_provider.operators import CoveoTransformOperator
from coveo_provider.operators.support.databases import Database
from coveo_provider.operators.support.dataset_writing import MIN_PART_BYTES
from tests.operators.nights import InMemory, InMemoryNight

MAPPING = DocumentMapping("product://{sku}", fields={"ec_name": "name"}, keep=("price",))
SQL = "SELECT sku, name, price, updated_at, deleted FROM products"


def transformed(folder: Path, **options: Any) -> list[str]:
    """Make a dataset of a query, and return its parts."""
    values = {"sql_conn_id": "warehouse", "output": str(folder / "documents"), **options}
    parts: list[str] = CoveoTransformOperator(task_id="transform", **values).execute({})
    return parts


def counted_slowly(database: Database, query: str, *, batch_rows: int, pause: float) -> int:
    """Return how many rows a query gives to a worker that stores a part after the first batch."""
    batches = database.batches(query, None, "sql", batch_rows=batch_rows)
    count = len(next(batches).rows)
    time.sleep(pause)
    return count + sum(len(batch.rows) for batch in batches)


class Table:
    """A table of SQLite behind an Airflow connection."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.do(
            "CREATE TABLE products (sku TEXT PRIMARY KEY, name TEXT, price NUMERIC, updated_at TEXT, "
            "deleted INTEGER DEFAULT 0)"
        )

    @property
    def connection(self) -> str:
        """The connection, as ``AIRFLOW_CONN_…`` holds it."""
        return json.dumps({"conn_type": "sqlite", "host": str(self.path)})

    def do(self, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            return connection.execute(sql, parameters).fetchall()

    def put(self, sku: str, at: str, *, name: str = "Shoe", price: Any = 1) -> None:
        """Insert or change a row, at a time of day."""
        self.do(
            "INSERT OR REPLACE INTO products (sku, name, price, updated_at) VALUES (?, ?, ?, ?)",
            sku,
            name,
            price,
            f"2026-01-01 {at}",
        )

    def delete(self, sku: str) -> None:
        self.do("DELETE FROM products WHERE sku = ?", sku)

    def documents(self) -> dict[str, dict[str, Any]]:
        """Return what the index has to hold."""
        rows = self.do("SELECT sku, name, price FROM products WHERE NOT deleted")
        return {
            f"product://{sku}": {"documentId": f"product://{sku}", "ec_name": name, "price": price}
            for sku, name, price in rows
        }


class TableNights(InMemory):
    """
    Nights whose rows come from a table.

    :param options: of the transform
    """

    def __init__(self, root: str, table: Table, **options: Any) -> None:
        super().__init__(root)
        self.table, self.options = table, options

    def night(self) -> TableNight:
        return TableNight(self, next(self.nights))

    def expected(self) -> dict[str, dict[str, Any]]:
        return self.table.documents()

    def run(
        self, transform: dict[str, Any] | None = None, diff: dict[str, Any] | None = None, **_: Any
    ) -> list[dict[str, Any]]:
        """Run a whole night, and return what was sent."""
        night = self.night()
        night.transform(**(transform or {}))
        units = night.diff(**(diff or {}))
        night.finalize([night.send(unit) for unit in units])
        if self.told["full"]:
            self.delete_older()
        return units

    def manifest(self, night: int) -> dict[str, Any]:
        """Return the manifest of the dataset of a night."""
        with (self.root / f"night-{night}" / "documents" / "_manifest.json").open() as file:
            found: dict[str, Any] = json.load(file)
        return found


class TableNight(InMemoryNight):
    nights: TableNights

    def transform(self, **options: Any) -> Any:
        return CoveoTransformOperator(
            task_id="transform",
            **{
                "sql": SQL,
                "sql_conn_id": "warehouse",
                "output": str(self.documents),
                "mapping": self.nights.mapping,
                "state": str(self.nights.state),
                "part_bytes": MIN_PART_BYTES,
                **self.nights.options,
                **options,
            },
        ).execute({})


def whole_read(log: str) -> str:
    """Return why everything was read, as the log says; empty when only what changed was."""
    said = [line for line in log.splitlines() if "verything is read" in line]
    return said[-1] if said else ""

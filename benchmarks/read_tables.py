"""
How many rows a second does a query of DuckDB give, and how much memory does it take, against a plain cursor?

The baseline takes the rows of the same query by ``fetchmany`` from the driver's own cursor, and makes nothing of
them. Ours makes Arrow of them, as a transform reads them. Each way runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.table import Table

_BATCH_ROWS = 10_000
_QUERY = "SELECT * FROM products"


@dataclass(frozen=True)
class Found:
    """
    What one way to read took.

    :param rows: how many it read
    :param speed: rows a second, without imports
    :param grown_mb: the most memory it held, over what it held before it opened the database, in 10^6 bytes
    """

    rows: int
    speed: float
    grown_mb: float


def write_table(path: Path, rows: int) -> None:
    """Write a table of texts, a decimal, a moment and a truth."""
    import duckdb

    with duckdb.connect(str(path)) as database:
        database.execute(
            "CREATE TABLE products AS SELECT 'sku-' || n AS sku, 'Shoe number ' || n AS name, "
            "(n % 1000 / 10)::DECIMAL(10, 2) AS price, TIMESTAMP '2026-01-01' + INTERVAL (n) SECOND AS updated_at, "
            f"n % 2 = 0 AS in_stock, repeat('x', 100) AS description FROM range({int(rows)}) r(n)"
        )


def cursor(path: Path) -> int:
    """Read by the driver's cursor."""
    import duckdb

    rows = 0
    with duckdb.connect(str(path)) as database:
        database.execute(_QUERY)
        while batch := database.fetchmany(_BATCH_ROWS):
            rows += len(batch)
    return rows


def ours(path: Path) -> int:
    """Read as a transform does, through Airflow's hook."""
    from coveo_provider.operators.support.databases import Database

    os.environ["AIRFLOW_CONN_WAREHOUSE"] = json.dumps({"conn_type": "duckdb", "host": str(path)})
    with Database("warehouse") as database:
        batches = database.batches(_QUERY, None, "sql", batch_rows=_BATCH_ROWS)
        return sum(len(batch.rows) for batch in batches)


_WAYS: dict[str, Callable[[Path], int]] = {"cursor": cursor, "ours": ours}


def read(way: str, path: Path) -> Found:
    """Read a table in this process."""
    import duckdb

    import coveo_provider.documents.extracts.queries  # noqa: F401
    import coveo_provider.operators.support.databases  # noqa: F401

    duckdb.connect().close()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    rows = _WAYS[way](path)
    seconds = time.perf_counter() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 / 1e6
    return Found(rows, rows / seconds, grown)


def measure(rows: int) -> dict[str, Found]:
    """Read the same table in each way, each in a process of its own."""
    found = {}
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "warehouse.duckdb"
        write_table(path, rows)
        for way in _WAYS:
            command = [sys.executable, "-m", "benchmarks.read_tables", "--way", way, "--table", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[way] = Found(**json.loads(done.stdout.splitlines()[-1]))
    return found


def table(found: dict[str, Found], rows: int) -> Table:
    """Return what was found, for people."""
    base = found["cursor"].speed
    lines: Sequence[Sequence[str]] = [
        [label, f"{one.speed:,.0f}", f"{one.speed / base:.2f}", f"{one.grown_mb:,.0f}"]
        for label, one in (("the driver's cursor", found["cursor"]), ("a transform's reader", found["ours"]))
    ]
    return Table(
        "Rows of a database",
        ["read by", "rows/s", "ratio", "memory, MB"],
        lines,
        f"{rows:,} rows of six columns and some 150 bytes, of a file of DuckDB, in batches of {_BATCH_ROWS:,}. The "
        "memory is what reading added to the process.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--way", choices=list(_WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--table", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(vars(read(options.way, options.table))))
    else:
        print(table(measure(options.rows), options.rows).as_markdown())


if __name__ == "__main__":
    main()

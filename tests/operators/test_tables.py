"""A table of a database becomes a documents dataset, whole or from what changed since the last verified load."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coveo_provider._compat import AirflowFailException, AirflowSkipException
from coveo_provider.documents import DocumentMapping, PermissionColumns
from coveo_provider.errors import DatabaseUnavailable
from coveo_provider.operators import CoveoTransformOperator
from coveo_provider.operators.support import databases
from tests.conftest import Connect
from tests.operators.staging import rows_of
from tests.operators.tables import SQL, Table, TableNights, whole_read

IDS = "SELECT sku FROM products"
Make = Callable[..., TableNights]


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    table = Table(tmp_path / "warehouse.sqlite")
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", table.connection)
    return table


@pytest.fixture
def nights(table: Table, connect: Connect, tmp_path: Path) -> Make:
    """Make nights over a table of 30 rows, one a minute from 10:00 on."""
    connect(None, host="http://127.0.0.1:1", login="org", password="key")  # which nothing calls
    for number in range(30):
        table.put(f"{number:03d}", f"10:{number:02d}:00", price=number / 4)

    def make(**options: Any) -> TableNights:
        return TableNights((tmp_path / "shop").as_uri(), table, **{"watermark": "updated_at", **options})

    return make


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Return what the last transform said of a whole read; empty when it read what changed."""
    return lambda: whole_read(capsys.readouterr().out)


def transformed(tmp_path: Path, **options: Any) -> list[dict[str, Any]]:
    """Transform a query, and return the documents."""
    values = {"sql": SQL, "sql_conn_id": "warehouse", "output": (tmp_path / "documents").as_uri(), **options}
    parts: list[str] = CoveoTransformOperator(task_id="transform", **values).execute({})
    return rows_of(parts)


def test_a_table_becomes_a_dataset(table: Table, tmp_path: Path) -> None:
    """With the values as they stand, NULL as nothing, and parameters as the driver takes them."""
    table.put("1", "10:00:00", name="it's 100%", price=2.5)
    table.put("2", "10:01:00", price=None)
    table.put("3", "10:02:00", price=2**60)

    rows = transformed(
        tmp_path,
        sql="SELECT sku, name, price FROM products WHERE sku < :most AND name LIKE :name;  ",
        sql_parameters={"most": "3", "name": "%"},
        mapping=DocumentMapping("product://{sku}", keep="*"),
    )

    assert rows == [
        {"documentId": "product://1", "name": "it's 100%", "price": 2.5},
        {"documentId": "product://2", "name": "Shoe", "price": None},
    ]


def test_only_what_changed_is_read(nights: Make, table: Table, said: Callable[[], str]) -> None:
    """New, changed and deleted rows; what did not change comes from the dataset of the last verified load."""
    shop = nights(ids_sql=IDS)
    shop.run()
    assert "no earlier load was verified yet" in said()
    table.put("005", "10:40:00", name="Boot")
    table.put("new", "10:41:00")
    table.delete("006")
    table.do(
        "UPDATE products SET name = 'unseen' WHERE sku = '000'"
    )  # a change that the watermark does not tell

    units = shop.run()

    assert said() == ""
    assert [list(unit) for unit in units] == [["documents"], ["deletions"]]
    assert (shop.told["changed"], shop.told["gone"], shop.told["unchanged"]) == (2, 1, 28)
    assert shop.held().pop("product://000")["ec_name"] == "Shoe"
    manifest = shop.manifest(2)
    assert manifest["rows"] == 30
    assert manifest["watermark"] == {
        "column": "updated_at",
        "kind": "text",
        "value": "2026-01-01 10:41:00",
        "query": shop.manifest(1)["watermark"]["query"],
        "columns": ["deleted", "name", "price", "sku", "updated_at"],
    }

    shop.run(transform={"full": "true"})

    assert "it was asked for (full)" in said()
    assert shop.held() == shop.expected()


def test_nothing_changed_means_nothing_to_send(nights: Make) -> None:
    """The rows of the overlap are read again, and are as they were."""
    shop = nights(ids_sql=IDS)
    shop.run()
    with pytest.raises(AirflowSkipException, match="of 30 documents none is new or changed"):
        shop.run()


def test_a_load_that_was_not_verified_moves_nothing(
    nights: Make, table: Table, said: Callable[[], str]
) -> None:
    """The next run reads from where the last verified one had read, not from where the failed one had."""
    shop = nights()
    shop.run()
    said()
    table.put("005", "11:00:00", name="Boot")
    night = shop.night()
    night.transform()
    night.diff()  # and it dies
    table.put("007", "12:00:00", name="Clog")

    shop.run()

    assert said() == ""
    assert shop.held() == shop.expected()


def test_a_row_that_came_back_is_noticed(nights: Make, table: Table, said: Callable[[], str]) -> None:
    """An id that neither the base nor the changes have: the watermark does not tell all, so everything is read."""
    shop = nights(ids_sql=IDS)
    shop.run()
    said()
    table.put("back", "01:00:00")

    shop.run()

    assert "ids_sql names 1 id that neither" in said()
    assert shop.held() == shop.expected()


def test_rows_marked_as_deleted_are_left_out(nights: Make, table: Table, said: Callable[[], str]) -> None:
    """In a whole read and after it; and they come back when the mark goes."""
    shop = nights(soft_delete="deleted")
    table.do("UPDATE products SET deleted = 1 WHERE sku IN ('003', '004')")
    shop.run()
    assert shop.held() == shop.expected()
    assert "product://003" not in shop.held()
    said()

    for at, (sku, mark) in enumerate((("003", 0), ("009", 1))):
        table.do(
            "UPDATE products SET deleted = ?, updated_at = ? WHERE sku = ?",
            mark,
            f"2026-01-01 11:0{at}:00",
            sku,
        )
        shop.run()
        assert said() == ""
        assert shop.held() == shop.expected()


def test_parts_that_did_not_change_are_taken_as_they_are(
    nights: Make, table: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    """File by file, with their hashes; the dataset's hash is over all rows in order."""
    for number in range(60):
        table.put(f"big-{number:02d}", f"09:{number:02d}:00", name="x" * 50_000)
    shop = nights(ids_sql=IDS)
    shop.run()
    before = shop.manifest(1)["parts"]
    assert len(before) == 3
    table.put("big-00", "11:00:00", name="short")
    table.delete("big-01")

    shop.run()

    assert shop.held() == shop.expected()
    assert "2 of 3 parts taken as they were" in capsys.readouterr().out
    after = shop.manifest(2)["parts"]
    assert {part["sha256"] for part in before} & {part["sha256"] for part in after}
    shop.run(transform={"full": True}, diff={"full": True})
    assert shop.held() == shop.expected()


def test_a_value_in_the_future_hides_nothing(
    nights: Make, table: Table, capsys: pytest.CaptureFixture[str]
) -> None:
    """It does not count; its row is read by each run."""
    shop = nights()
    table.do("UPDATE products SET updated_at = '9999-12-31 00:00:00' WHERE sku = '000'")
    shop.run()
    assert "'updated_at' is in the future in 1 row" in capsys.readouterr().out
    assert shop.manifest(1)["watermark"]["value"] == "2026-01-01 10:29:00"
    table.put("001", "10:30:00", name="Boot")
    table.do("UPDATE products SET name = 'Clog' WHERE sku = '000'")

    shop.run()

    assert shop.held() == shop.expected()


def test_rows_without_a_watermark_are_refused(nights: Make, table: Table) -> None:
    """In a whole read, and in what changed, where a comparison alone would pass over them."""
    shop = nights()
    shop.run()
    table.do("UPDATE products SET updated_at = NULL WHERE sku IN ('001', '002')")
    for full in (False, True):
        with pytest.raises(
            AirflowFailException,
            match=r"'updated_at' is NULL in 2 rows of .*, the first of them in sql, rows 0 to .*COALESCE",
        ):
            shop.night().transform(full=full)


@pytest.mark.parametrize("value", ["", "01.02.2026", "2026-01-01", 1_767_261_600, 0.5, b"2026"])
def test_a_watermark_of_another_kind_or_shape_is_not_overlooked(
    nights: Make, table: Table, value: Any
) -> None:
    """Though it sorts before all that was seen: the row changed, and the index would keep what it was."""
    shop = nights(ids_sql=IDS)
    shop.run()
    table.do("CREATE TABLE loose (sku, name, price, updated_at, deleted)")  # a value is of the type it has
    table.do("INSERT INTO loose SELECT * FROM products")
    table.do("DROP TABLE products")
    table.do("ALTER TABLE loose RENAME TO products")
    table.do("UPDATE products SET name = 'Boot', updated_at = ? WHERE sku = '003'", value)

    with pytest.raises(AirflowFailException, match=r"'updated_at' holds (the text|values)"):
        shop.run()


def test_a_number_of_another_kind_is_not_overlooked(nights: Make, table: Table) -> None:
    table.do("CREATE TABLE versions (sku, name, price, version)")
    table.do("INSERT INTO versions SELECT sku, name, price, rowid FROM products")
    numbers: dict[str, Any] = {
        "sql": "SELECT * FROM versions",
        "watermark": "version",
        "watermark_overlap": 0,
    }
    shop = nights(**numbers)
    shop.run()
    table.do("UPDATE versions SET name = 'Boot', version = 0.5 WHERE sku = '003'")

    with pytest.raises(AirflowFailException, match="'version' holds"):
        shop.run()


@pytest.mark.parametrize(
    "change", ["ADD COLUMN colour TEXT DEFAULT 'red'", "DROP COLUMN price", "RENAME COLUMN price TO cost"]
)
def test_other_columns_are_those_of_all_rows(
    nights: Make, table: Table, said: Callable[[], str], change: str
) -> None:
    """No row's watermark tells of them, so everything is read."""
    mapping = DocumentMapping("product://{sku}", keep="*")
    shop = nights(sql="SELECT * FROM products", mapping=mapping, ids_sql=IDS)
    shop.run()
    table.do(f"ALTER TABLE products {change}")
    said()

    shop.run()

    assert "the query has other columns than in the last verified load" in said()
    with contextlib.closing(sqlite3.connect(table.path)) as connection:
        connection.row_factory = sqlite3.Row
        stored = [dict(row) for row in connection.execute("SELECT * FROM products")]
    wanted = {f"product://{row.pop('sku')}": row for row in stored}
    assert {key: {**row, "documentId": key} for key, row in wanted.items()} == shop.held()


def test_a_column_of_another_type_is_read_anew(nights: Make, table: Table, said: Callable[[], str]) -> None:
    """Rows of the former dataset and those read have no common type."""
    shop = nights(ids_sql=IDS)
    shop.run()
    table.do("CREATE TABLE loose (sku TEXT, name TEXT, price TEXT, updated_at TEXT, deleted INTEGER)")
    table.do("INSERT INTO loose SELECT * FROM products")
    table.do("DROP TABLE products")
    table.do("ALTER TABLE loose RENAME TO products")
    said()

    shop.run()

    assert "does not go with the last verified load" in said()
    assert shop.held() == shop.expected()


@pytest.mark.parametrize("now", ["rowid", "updated_at || '.000'", "replace(updated_at, ' ', 'T')"])
def test_a_watermark_of_another_type_is_read_anew(
    nights: Make, table: Table, said: Callable[[], str], now: str
) -> None:
    """As the column of a table is, once it was changed; each run, until one has something to send."""
    table.do("CREATE VIEW stock AS SELECT * FROM products")
    shop = nights(sql="SELECT * FROM stock", watermark_overlap=timedelta(0))
    shop.run()
    table.do("DROP VIEW stock")
    table.do(f"CREATE VIEW stock AS SELECT sku, name, price, {now} AS updated_at, deleted FROM products")
    if now == "rowid":
        shop.options["watermark_overlap"] = 0
    with pytest.raises(AirflowSkipException):
        shop.run()
    table.put("005", "11:00:00", name="Boot")
    said()

    shop.run()

    assert "verything is read" in said()
    assert shop.held() == shop.expected()
    table.put("006", "11:01:00", name="Clog")
    shop.run()
    assert said() == ""
    assert shop.held() == shop.expected()


def test_a_table_of_a_backup_is_read_anew(nights: Make, table: Table, said: Callable[[], str]) -> None:
    """Its rows have their former values and times, which are less than what was seen."""
    shop = nights(ids_sql=IDS)
    shop.run()
    backup = table.path.read_bytes()
    table.put("005", "12:00:00", name="Boot")
    shop.run()
    table.path.write_bytes(backup)
    said()

    shop.run()

    assert "the greatest value of 'updated_at' was 2026-01-01 12:00:00 and is less now" in said()
    assert shop.held() == shop.expected()
    table.put("006", "11:00:00", name="Clog")
    shop.run()
    assert said() == ""
    assert shop.held() == shop.expected()


def test_another_database_behind_the_connection_is_read_anew(
    nights: Make, table: Table, said: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was loaded from the former one says nothing about it."""
    shop = nights()
    shop.run()
    shop.table = other = Table(tmp_path / "other.sqlite")
    other.put("005", "11:00:00", name="Boot")
    other.put("old", "01:00:00")
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", other.connection)
    said()

    shop.run()

    assert "the query, its parameters, connection" in said()
    assert shop.held() == shop.expected()


@pytest.mark.parametrize("lost", ["part-00000.parquet", "_hashes/part-00000.parquet"])
def test_a_base_of_which_a_file_is_gone_is_not_used(
    nights: Make, table: Table, said: Callable[[], str], lost: str
) -> None:
    """It costs a whole read, not a night."""
    shop = nights(ids_sql=IDS)
    shop.run()
    table.put("005", "11:00:00", name="Boot")
    path: Any = ObjectStoragePath(f"{shop.root}/night-1/documents/{lost}")
    path.unlink()
    said()

    shop.run()

    assert "does not go with the last verified load" in said()
    assert shop.held() == shop.expected()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"sql": f"{SQL} WHERE price >= 0"}, "the query, its parameters, connection"),
        ({"sql": f"{SQL} WHERE price >= :p", "sql_parameters": {"p": 0}}, "the query, its parameters"),
        ({"soft_delete": "deleted"}, "the query, its parameters, connection, watermark or soft_delete"),
        (
            {"mapping": DocumentMapping("product://{sku}", keep=("name",))},
            "the mapping or function is another",
        ),
        ({"stream": True}, "the other kind of source"),
    ],
)
def test_another_query_or_mapping_reads_everything(
    nights: Make, said: Callable[[], str], options: dict[str, Any], why: str
) -> None:
    """As what was loaded says nothing about it; the log says why."""
    shop = nights()
    shop.run()
    said()

    shop.night().transform(**options)

    assert why in said()


def test_a_base_that_is_gone_or_damaged_is_not_used(
    nights: Make, table: Table, said: Callable[[], str]
) -> None:
    """Staging may be cleaned at any time."""
    shop = nights()
    shop.run()
    table.put("005", "11:00:00", name="Boot")
    folder: Any = ObjectStoragePath(f"{shop.root}/night-1")
    folder.rmdir(recursive=True)
    said()

    shop.run()

    assert "its dataset is gone" in said()
    assert shop.held() == shop.expected()


def test_a_task_that_is_cleared_after_its_load_reads_everything(
    nights: Make, table: Table, said: Callable[[], str]
) -> None:
    """Its folder is that of the base, which cannot be read while it is written."""
    shop = nights()
    shop.run()
    table.put("005", "11:00:00", name="Boot")
    night = shop.night()
    for _ in range(2):
        night.transform()
        said()
        night.finalize([night.send(unit) for unit in night.diff()])
        night.transform()
        assert "is the folder of the dataset that was verified last" in said()
        table.put("005", "11:00:00", name="Clog")

    assert shop.held()["product://005"]["ec_name"] == "Clog"


def test_a_try_that_broke_off_between_batches_loses_and_doubles_nothing(
    nights: Make, table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next try of the same run is right."""
    shop = nights(ids_sql=IDS, batch_rows=7)
    fetch = databases._Cursor.fetchmany
    night = shop.night()
    for broken in (1, 3):
        calls = iter(range(100))

        def breaking(cursor: Any, size: int, calls: Any = calls, broken: int = broken) -> Any:
            if next(calls) == broken:
                raise DatabaseUnavailable("sql", "OperationalError: the server closed the connection")
            return fetch(cursor, size)

        monkeypatch.setattr(databases._Cursor, "fetchmany", breaking)
        with pytest.raises(DatabaseUnavailable):
            night.transform()
        monkeypatch.setattr(databases._Cursor, "fetchmany", fetch)
        night.transform()
        night.finalize([night.send(unit) for unit in night.diff()])
        assert shop.held() == shop.expected()
        table.put("new", "11:00:00")
        table.delete("006")
        night = shop.night()


def test_lists_come_from_a_second_query(table: Table, tmp_path: Path) -> None:
    """Documents and their permissions, without a join; an empty list where there are no values."""
    for sku in ("1", "2", "3"):
        table.put(sku, "10:00:00")
    table.do("CREATE TABLE acl (sku TEXT, group_name TEXT)")
    for pair in (("1", "staff"), ("3", "b"), ("3", "a"), ("3", None), ("9", "nobody's")):
        table.do("INSERT INTO acl VALUES (?, ?)", *pair)

    rows = transformed(
        tmp_path,
        sql="SELECT sku FROM products",
        lists={"groups": "SELECT sku, group_name FROM acl"},
        batch_rows=2,
        mapping=DocumentMapping("product://{sku}", keep=("groups",)),
    )

    assert [row["groups"] for row in rows] == [["staff"], [], ["b", "a"]]
    secured = transformed(
        tmp_path,
        sql="SELECT sku FROM products",
        lists={"groups": "SELECT sku, group_name FROM acl"},
        mapping=DocumentMapping(
            "product://{sku}",
            fields={"permissions": PermissionColumns(allowed_groups="groups", security_provider="shop")},
        ),
    )
    assert len(secured) == 3
    assert "staff" in json.dumps(secured[0]["permissions"], default=str)


_TIMES = st.integers(0, 9)
_STEP = st.one_of(
    st.tuples(st.just("put"), st.integers(1, 9), st.sampled_from(["Boot", "Clog", "Shoe"])),
    st.tuples(st.just("late"), st.integers(1, 9), _TIMES),
    st.tuples(st.just("delete"), st.integers(1, 9), st.none()),
    st.tuples(st.just("mark"), st.integers(1, 9), st.booleans()),
    st.tuples(st.just("restore"), st.integers(10, 12), st.none()),
)
_FATE = st.sampled_from(["good", "good", "transform", "diff", "part", "full"])


class Clock:
    """The time of the table, which goes on by a minute with each change."""

    def __init__(self) -> None:
        self.minutes = 60

    def tick(self) -> str:
        self.minutes += 1
        return self.before(0)

    def before(self, minutes: int) -> str:
        at = self.minutes - minutes
        return f"{at // 60:02d}:{at % 60:02d}:00"


def live(shop: TableNights, table: Table, clock: Clock, step: tuple[str, int, Any]) -> None:
    """Change the table as others do between two runs."""
    what, number, value = step
    sku = f"{number:03d}"
    if what == "put":
        table.put(sku, clock.tick(), name=value)
    elif what == "late":  # begun before, committed now
        table.put(sku, clock.before(value), name=f"late {value}")
    elif what == "delete":
        table.delete(sku)
    elif what == "mark":
        table.do(
            "UPDATE products SET deleted = ?, updated_at = ? WHERE sku = ?",
            int(value),
            f"2026-01-01 {clock.tick()}",
            sku,
        )
    elif f"product://{sku}" not in shop.index:
        table.put(sku, "00:00:01", name="restored")


@given(nights=st.lists(st.tuples(st.lists(_STEP, max_size=5), _FATE), min_size=1, max_size=6))
@settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
def test_after_any_nights_a_good_one_makes_the_index_equal_to_the_table(
    tmp_path_factory: pytest.TempPathFactory,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    nights: list[tuple[list[tuple[str, int, Any]], str]],
) -> None:
    """Whatever others change, commit late or restore, and wherever a run dies."""
    folder = tmp_path_factory.mktemp("table")
    table, clock = Table(folder / "warehouse.sqlite"), Clock()
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", table.connection)
    connect(None, host="http://127.0.0.1:1", login="org", password="key")
    shop = TableNights(
        folder.as_uri(),
        table,
        watermark="updated_at",
        ids_sql="SELECT sku FROM products WHERE NOT deleted",
        soft_delete="deleted",
        batch_rows=3,
    )
    table.put("000", clock.tick())
    for steps, fate in [*nights, ([], "good")]:
        for step in steps:
            live(shop, table, clock, step)
        if fate in ("good", "full"):
            with contextlib.suppress(AirflowSkipException):
                shop.run(transform={"full": fate == "full"})
            assert shop.held() == shop.expected()
            continue
        night = shop.night()
        night.transform()
        if fate == "transform":
            continue
        try:
            units = night.diff()
        except AirflowSkipException:
            continue
        for unit in units[:1] if fate == "part" else ():
            night.send(unit)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sql": None}, "give either source, the URIs of files, or sql, a query; there is neither"),
        ({"source": "file:///x.csv"}, "give either source, .* there are both"),
        ({"csv_separator": ";"}, "csv_separator is an option of files, and a query is read: leave it out"),
        ({"dtypes": {"sku": "string"}}, "dtypes is an option of files"),
        ({"sql": " ; "}, "sql must be the text of a query"),
        ({"sql_conn_id": None}, "sql needs sql_conn_id, the id of the Airflow connection"),
        ({"sql_conn_id": "nowhere"}, "there is no connection 'nowhere' .* AIRFLOW_CONN_NOWHERE"),
        ({"sql_conn_id": "coveo_default"}, "of type 'coveo', whose CoveoHook is no hook for SQL"),
        ({"sql_conn_id": "odd"}, "of type 'nothing', for which no hook can be made .* install the provider"),
        ({"sql_parameters": "5"}, "sql_parameters must be a mapping of names to values, or a list"),
        ({"ids_sql": IDS}, "ids_sql is for reading what changed: give watermark"),
        ({"changes_sql": IDS}, "changes_sql is for reading what changed"),
        ({"lists": ["SELECT 1"]}, "lists must be a mapping of columns to queries"),
        ({"watermark": "updated_at"}, "watermark needs state, .* A task group with a state gives it"),
        ({"watermark": "updated_at", "lists": {"g": IDS}}, "lists do not go with watermark"),
        ({"watermark": "updated_at", "watermark_overlap": "10m"}, "watermark_overlap must be a timedelta"),
        ({"watermark": "u", "watermark_overlap": timedelta(-1)}, "watermark_overlap must not be less"),
        (
            {"watermark": "u", "state": "s", "kind": "deletions"},
            "watermark is for documents, not for deletions",
        ),
        ({"batch_rows": 0}, "batch_rows must be a whole number"),
        ({"full": "maybe"}, "full must be true or false"),
        (
            {"sql": "SELECT sku FROM product"},
            "sql: the database refuses the query .*: no such table: product",
        ),
        ({"sql": "SELEC sku"}, "sql: the database refuses the query \\(connection warehouse\\)"),
        ({"sql": "DELETE FROM products"}, "sql: is no query: it returns no rows"),
        ({"sql": "SELECT sku, sku FROM products"}, "two columns of the query are named 'sku'"),
        ({"sql": "SELECT name FROM products"}, "missing columns: 'sku' \\(for documentId\\)"),
        ({"sql": f"{SQL} WHERE 1 = 0"}, "sql: the query returns no rows"),
        ({"soft_delete": "gone"}, "soft_delete is 'gone', and sql has no such column: it has sku, name"),
        ({"soft_delete": "SKU"}, "no such column: .* Spell it 'sku', as the database does"),
        ({"soft_delete": "name"}, "soft_delete: column 'name' holds 'Shoe' \\(string\\)"),
        ({"lists": {"g": "SELECT sku FROM products"}}, "lists\\['g'\\]: expected two columns"),
        (
            {"lists": {"g": "SELECT 5 AS sku, 'a' AS b"}},
            "the key 'sku' is a whole number there, and text in sql",
        ),
        ({"lists": {"g": "SELECT 5 AS id, 'a' AS b"}}, "the key is 'id', and sql has no such column"),
        ({"lists": {"name": "SELECT sku, name FROM products"}}, "'name' is a column of sql, too"),
        (
            {"lists": {"g": "SELECT sku || ' ' AS sku, 'a' AS b FROM products"}},
            "lists\\['g'\\]: no row has one of its keys, such as '1 '",
        ),
    ],
)
def test_what_goes_wrong_is_said_with_its_cure(
    table: Table,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    options: dict[str, Any],
    message: str,
) -> None:
    """By the name of the argument, before anything is sent; and nothing in the table changes."""
    connect(None, host="http://127.0.0.1:1", login="org", password="key")
    monkeypatch.setenv("AIRFLOW_CONN_ODD", '{"conn_type": "nothing"}')
    table.put("1", "10:00:00")
    if options.get("state"):
        options = {**options, "state": tmp_path.as_uri()}
    mapping = DocumentMapping("product://{sku}", keep=("name",)) if "sku" in str(options) or True else None

    with pytest.raises(AirflowFailException, match=message):
        transformed(tmp_path, mapping=mapping, **options)

    assert len(table.do("SELECT * FROM products")) == 1


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("name", "holds the text 'Shoe' in sql, row 0, row 0 of these. Texts sort by time only if"),
        ("price", "watermark_overlap: the column of the watermark holds numbers"),
        ("price * 0.5", "holds double in sql"),
        ("missing", "no such column: missing"),
    ],
)
def test_a_column_that_tells_no_order_is_refused(
    nights: Make, column: str, message: str, table: Table
) -> None:
    """Rather than compared all the same."""
    table.do("DELETE FROM products WHERE sku <> '004'")
    shop = nights(sql=f"SELECT sku, name, price, {column} AS mark FROM products", watermark="mark")
    with pytest.raises(AirflowFailException, match=message):
        shop.night().transform()


def test_numbers_may_be_a_watermark(nights: Make, table: Table, said: Callable[[], str]) -> None:
    """Such as a version that each change raises; what may be committed late is a number then."""
    table.do("ALTER TABLE products ADD version INTEGER DEFAULT 7")
    sql = "SELECT sku, name, price, version FROM products"
    shop = nights(sql=sql, watermark="version", watermark_overlap=2)
    shop.run()
    said()
    table.do("UPDATE products SET version = 5, name = 'Boot' WHERE sku = '001'")
    table.do("UPDATE products SET version = 9, name = 'Clog' WHERE sku = '002'")

    shop.run()

    assert said() == ""
    assert shop.held() == shop.expected()
    assert shop.manifest(2)["watermark"]["value"] == "9"


def test_a_function_that_drops_rows_is_refused_with_a_watermark(nights: Make) -> None:
    """A row that it drops after a change would stay in the index."""
    shop = nights(transform=lambda frame: frame[frame["price"] > 1])
    with pytest.raises(AirflowFailException, match="With watermark each row is one document"):
        shop.night().transform()


def test_changes_may_have_a_query_of_their_own(nights: Make, table: Table, said: Callable[[], str]) -> None:
    """For databases that do not take the query in brackets."""
    shop = nights(changes_sql=f"{SQL} WHERE updated_at >= ? ORDER BY sku")
    shop.run()
    said()
    table.put("005", "10:40:00", name="Boot")
    shop.run()
    assert said() == ""
    assert shop.held() == shop.expected()


def test_an_emptied_table_does_not_empty_the_index(nights: Make, table: Table) -> None:
    """Neither by a query of ids without any, nor by a whole read."""
    shop = nights(ids_sql=IDS)
    shop.run()
    table.do("DELETE FROM products")
    for full, message in (
        (False, "ids_sql: the query returns no ids"),
        (True, "sql: the query returns no rows"),
    ):
        with pytest.raises(AirflowFailException, match=message):
            shop.night().transform(full=full)


def test_a_password_is_not_repeated(table: Table, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nor a parameter, whatever the driver says."""
    secret = "hunter2 or so"
    monkeypatch.setenv(
        "AIRFLOW_CONN_WAREHOUSE",
        json.dumps({"conn_type": "sqlite", "host": str(table.path), "password": secret}),
    )

    def refusing(*_: Any) -> None:
        raise ValueError(f"cannot open postgres://ann:{secret.replace(' ', '%20')}@db with {secret} and 4711")

    monkeypatch.setattr(databases, "_cursor", refusing)
    with pytest.raises(DatabaseUnavailable) as raised:
        transformed(tmp_path, sql_parameters=[4711])
    assert "hunter" not in str(raised.value)
    assert "4711" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_the_present_is_no_watermark() -> None:
    """What is greater than now does not count, in each kind of moment."""
    import pyarrow as pa

    from coveo_provider.documents.extracts.watermarks import Watermark, since

    now = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
    early, late = datetime(2026, 1, 1, 11, 59), datetime(2026, 1, 1, 12, 0, 1)
    for values, expected in (
        ([early, late], datetime(2026, 1, 1, 11, 49)),
        (
            [one.replace(tzinfo=timezone.utc) for one in (early, late)],
            datetime(2026, 1, 1, 11, 49, tzinfo=timezone.utc),
        ),
        (
            [early.date(), late.date() + timedelta(days=1)],
            early.date() - timedelta(days=0) - timedelta(days=1),
        ),
        (["2026-01-01T11:59:00.5Z", "2026-01-01T12:00:00.1Z"], "2026-01-01T11:49:00.5Z"),
    ):
        mark = Watermark("at", timedelta(minutes=10), now)
        mark.look(pa.chunked_array([pa.array(values)]), "sql")
        entry = mark.entry("query")
        assert entry is not None
        assert since(entry, timedelta(minutes=10)) == expected
        assert "in the future in 1 row" in mark.warning()

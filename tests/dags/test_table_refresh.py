"""The sample DAG of a table: the index is equal to the table after each run, and little is read for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG

from coveo_provider.documents import DocumentMapping
from coveo_provider.operators import CoveoChooseLoadOperator, CoveoTransformOperator
from coveo_provider.sandbox import Answer, Sandbox
from coveo_provider.task_groups import catalog_refresh
from tests.dags.conftest import RunDag, ran
from tests.operators.tables import Table


def expected(table: Table) -> dict[str, dict[str, Any]]:
    rows = table.do("SELECT sku, name, price, updated_at FROM products")
    return {
        f"product://{sku}": {
            "documentId": f"product://{sku}",
            "objecttype": "Product",
            "ec_name": name,
            "price": price,
            "updated_at": at,
        }
        for sku, name, price, at in rows
    }


def test_the_index_follows_the_table(
    run_dag: RunDag,
    connected: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """New, changed and deleted rows; a run that failed half-way moves no watermark."""
    table = Table(tmp_path / "warehouse.sqlite")
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", table.connection)
    for number in range(20):
        table.put(f"{number:02d}", f"10:{number:02d}:00", price=number)

    def night(**conf: Any) -> tuple[str, str]:
        capfd.readouterr()
        connected.clock.advance(seconds=60)
        state, _ = run_dag("coveo_table_refresh", staging=tmp_path.as_uri(), **conf)
        connected.settle()
        out, err = capfd.readouterr()
        return state, out + err

    state, said = night()
    assert (state, connected.items("products")) == ("success", expected(table))
    assert "no earlier load was verified yet" in said

    table.put("05", "11:00:00", name="Boot")
    table.put("new", "11:01:00")
    table.delete("06")
    connected.faults.add(
        route="stream.update", action=Answer(500, body='{"message": "Internal error"}'), times=6
    )
    assert night()[0] == "failed"
    connected.faults.clear()
    table.put("07", "11:02:00", name="Clog")

    state, said = night()
    assert (state, connected.items("products")) == ("success", expected(table))
    assert "Reading what changed" in said

    state, said = night(full=True)
    assert state == "success"
    assert "it was asked for (full)" in said
    assert connected.items("products") == expected(table)


PRODUCTS = "SELECT sku, name, price, updated_at FROM products"
VARIANTS = "SELECT id, sku, size, changed FROM variants WHERE NOT gone"
ALL_VARIANTS = "SELECT id, sku, size, changed, gone FROM variants"


class Shop:
    """Products and variants, each a transform with a watermark of its own, that one load keeps equal."""

    def __init__(self, sandbox: Sandbox, table: Table, folder: Path) -> None:
        self.sandbox, self.table, self.folder = sandbox, table, folder
        table.do(
            "CREATE TABLE variants (id TEXT PRIMARY KEY, sku TEXT, size TEXT, changed INTEGER, gone INTEGER)"
        )
        self.nights = 0

    @property
    def state(self) -> str:
        return (self.folder / "state").as_uri()

    def variant(self, name: str, sku: str, size: str, gone: int = 0) -> None:
        [(changed,)] = self.table.do("SELECT coalesce(max(changed), 0) + 1 FROM variants")
        self.table.do(
            "INSERT OR REPLACE INTO variants VALUES (?, ?, ?, ?, ?)", name, sku, size, changed, gone
        )

    def dag(self) -> DAG:
        self.nights += 1
        folder = (self.folder / f"night-{self.nights}").as_uri()
        common: dict[str, Any] = {"sql_conn_id": "warehouse", "stream": True, "retries": 0}
        with DAG("shop_refresh", schedule=None) as dag:
            products = CoveoTransformOperator(
                task_id="products",
                sql=PRODUCTS,
                watermark="updated_at",
                ids_sql="SELECT sku FROM products",
                mapping=DocumentMapping("product://{sku}", fields={"ec_name": "name"}, keep=("price",)),
                output=f"{folder}/products",
                **common,
            )
            variants = CoveoTransformOperator(
                task_id="variants",
                sql=ALL_VARIANTS,
                watermark="changed",
                watermark_overlap=0,
                soft_delete="gone",
                mapping=DocumentMapping("variant://{id}", keep=("sku", "size")),
                output=f"{folder}/variants",
                **common,
            )
            outputs: list[Any] = [products.output, variants.output]
            catalog_refresh(source_id="products", documents=outputs, state=self.state)
        return dag

    def night(self) -> str:
        self.sandbox.clock.advance(seconds=3600)
        state, _ = ran(self.dag())
        self.sandbox.settle()
        return state

    def back(self) -> str:
        """Go back to the load before the last."""
        self.sandbox.clock.advance(seconds=3600)
        with DAG("shop_back", schedule=None) as dag:
            choose = CoveoChooseLoadOperator(
                task_id="choose", source_id="products", state=self.state, load="previous", retries=0
            )
            catalog_refresh(source_id="products", documents=choose.output, state=self.state)
        state, _ = ran(dag)
        self.sandbox.settle()
        return state

    def held(self) -> dict[str, tuple[Any, ...]]:
        found = self.sandbox.items("products")
        return {
            key: (item["ec_name"], item["price"]) if "ec_name" in item else (item["sku"], item["size"])
            for key, item in found.items()
        }

    def wanted(self) -> dict[str, tuple[Any, ...]]:
        products = {f"product://{sku}": (name, price) for sku, name, price, _ in self.table.do(PRODUCTS)}
        return products | {f"variant://{one}": (sku, size) for one, sku, size, _ in self.table.do(VARIANTS)}


@pytest.fixture
def shop(airflow_database: None, connected: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    table = Table(tmp_path / "warehouse.sqlite")
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", table.connection)
    shop = Shop(connected, table, tmp_path)
    for number in range(4):
        table.put(f"{number}", f"10:{20 * number:02d}:00" if number < 3 else "11:00:00", price=number)
        for size in ("S", "L"):
            shop.variant(f"{number}{size}", f"{number}", size)
    return shop


def test_two_tables_have_a_watermark_each(shop: Shop, capfd: pytest.CaptureFixture[str]) -> None:
    """A change of one is read beside a former dataset of the other, and each deletes in its own way."""
    assert (shop.night(), shop.held()) == ("success", shop.wanted())
    for number in range(2):
        if number:
            shop.table.delete("0")
        shop.table.put(f"{number}", "12:00:00", name="Boot")
        shop.variant("0S", "0", "M", gone=1 - number)
        capfd.readouterr()
        assert (shop.night(), shop.held()) == ("success", shop.wanted())
        out, err = capfd.readouterr()
        assert (out + err).count("Reading what changed") == 2
        assert "verything is read" not in out + err


def test_a_table_is_read_again_from_where_a_roll_back_leads(
    shop: Shop, capfd: pytest.CaptureFixture[str]
) -> None:
    """What changed and what went since the load that is in the index again, and nothing of what came after it."""
    assert shop.night() == "success"
    first = shop.held()
    shop.table.put("1", "12:00:00", name="Boot")
    shop.table.put("new", "12:01:00")
    shop.table.delete("0")
    shop.variant("1S", "1", "XS")
    shop.variant("2L", "2", "L", gone=1)
    assert (shop.night(), shop.held()) == ("success", shop.wanted())

    assert (shop.back(), shop.held()) == ("success", first)
    shop.variant("3S", "3", "XXL")
    capfd.readouterr()
    assert (shop.night(), shop.held()) == ("success", shop.wanted())
    out, err = capfd.readouterr()
    assert (out + err).count("Reading what changed") == 2
    assert "from 2026-01-01 10:50:00 on" in out + err, "the first load had read to 11:00, less ten minutes"

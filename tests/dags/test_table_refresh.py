"""The sample DAG of a table: the index is equal to the table after each run, and little is read for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from coveo_provider.sandbox import Answer, Sandbox
from tests.dags.conftest import RunDag
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

"""
What does a nightly refresh cost when one item in a hundred changed?

A catalog is refreshed three times by the recipe of ``catalog_refresh``, against the sandbox: first everything,
then after 1 % of the items changed, through the diff. The baseline is the same second refresh with everything
sent again.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.rows import write_catalog
from coveo_provider.sandbox import Sandbox

SOURCE = "products"


@dataclass(frozen=True)
class Cost:
    """What a refresh took: seconds, calls of the API, bytes uploaded, and items sent."""

    seconds: float
    calls: int
    uploaded: int
    items: int


def refresh(sandbox: Sandbox, folder: Path, raw: Path, run: str, *, full: bool = False) -> Cost:
    """Make the source equal to the rows of a file, task by task."""
    from coveo_provider.operators import (
        CoveoDeleteOlderOperator,
        CoveoDiffOperator,
        CoveoFinalizeOperator,
        CoveoTransformOperator,
        CoveoUpdateStreamOperator,
    )

    outputs: dict[str, Any] = {}

    def done(operator: Any) -> Any:
        return operator.execute({"ti": SimpleNamespace(run_id=run, xcom_push=outputs.__setitem__)})

    before, start = len(sandbox.calls), time.perf_counter()
    state = f"file://{folder}/state"
    parts = done(
        CoveoTransformOperator(
            task_id="transform", source=f"file://{raw}", output=f"file://{folder / run}", stream=True
        )
    )
    units = done(
        CoveoDiffOperator(
            task_id="diff",
            documents=parts,
            state=state,
            source_id=SOURCE,
            full=full,
        )
    )
    reports = [done(CoveoUpdateStreamOperator(task_id="update", source_id=SOURCE, **unit)) for unit in units]
    done(CoveoDeleteOlderOperator(task_id="older", source_id=SOURCE, reports=reports, full=outputs["full"]))
    done(
        CoveoFinalizeOperator(
            task_id="finalize", source_id=SOURCE, reports=reports, manifest=outputs["manifest"], state=state
        )
    )
    seconds = time.perf_counter() - start
    calls = sandbox.calls[before:]
    return Cost(
        seconds,
        sum(call.route != "upload" for call in calls),
        sum(call.content_length or 0 for call in calls if call.route == "upload"),
        sum(report["documents"] + report["deletions"] for report in reports),
    )


def change(raw: Path, target: Path, share: float) -> Path:
    """Write the rows again with another price in a share of them, and return where."""
    table = pq.read_table(raw)
    prices = table["ec_price"].to_numpy(zero_copy_only=False).copy()
    moved = np.random.default_rng(1).choice(len(prices), int(len(prices) * share), replace=False)
    prices[moved] = np.nan_to_num(prices[moved]) + 1_000.0
    column = table.schema.get_field_index("ec_price")
    pq.write_table(table.set_column(column, "ec_price", pa.array(prices, from_pandas=True)), target)
    return target


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--share", type=float, default=0.01, help="share of the items that change")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Sandbox.start(sources={SOURCE: "CATALOG"}) as sandbox:
        folder = Path(name)
        connection = {
            "conn_type": "coveo",
            "host": sandbox.url,
            "login": sandbox.organization_id,
            "password": sandbox.api_key,
        }
        os.environ["AIRFLOW_CONN_COVEO_DEFAULT"] = json.dumps(connection)
        raw = write_catalog(folder / "raw.parquet", options.rows)
        later = change(raw, folder / "later.parquet", options.share)
        first = refresh(sandbox, folder, raw, "first")
        sandbox.settle()
        second = refresh(sandbox, folder, later, "second")
        sandbox.settle()
        count = sandbox.count(SOURCE)
        again = refresh(sandbox, folder, later, "again", full=True)
    for label, cost in (("first run", first), ("1% changed", second), ("all again (baseline)", again)):
        print(
            f"{label:<22} {cost.items:>9,} items, {cost.calls:>4} calls, {cost.uploaded / 1e6:>8,.1f} MB, "
            f"{cost.seconds:>6.1f} s"
        )
    print(
        f"ratio of bytes {second.uploaded / again.uploaded:.4f}, of time {second.seconds / again.seconds:.2f}"
    )
    print(f"the index holds {count:,} of {options.rows:,} items")


if __name__ == "__main__":
    main()

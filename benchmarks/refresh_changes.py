"""
What does a nightly refresh cost when one item in a hundred changed?

A catalog is refreshed three times by the recipe of ``catalog_refresh``, against the sandbox: first everything,
then after 1 % of the items changed, through the diff. The baseline is the same second refresh with everything
sent again. Beside each stands what a plan of it takes, which the sums leave out; its own baseline is the diff.
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
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.rows import write_catalog
from benchmarks.table import Table
from coveo_provider.sandbox import Sandbox

SOURCE = "products"
STEPS = ("transform", "diff", "update", "older", "finalize", "plan")


@dataclass(frozen=True)
class Cost:
    """What a refresh took: seconds, those of each task, calls of the API, bytes uploaded, and items sent."""

    seconds: float
    steps: dict[str, float]
    calls: int
    uploaded: int
    items: int

    @property
    def sending(self) -> float:
        """The seconds of all tasks but the last, which waits for the index, and the plan."""
        return sum(seconds for step, seconds in self.steps.items() if step not in {"finalize", "plan"})


def refresh(sandbox: Sandbox, folder: Path, raw: Path, run: str, *, full: bool = False) -> Cost:
    """Make the source equal to the rows of a file, task by task."""
    from coveo_provider.operators import (
        CoveoDeleteOlderOperator,
        CoveoDiffOperator,
        CoveoFinalizeOperator,
        CoveoPlanOperator,
        CoveoTransformOperator,
        CoveoUpdateStreamOperator,
    )

    outputs: dict[str, Any] = {}

    steps: dict[str, float] = {}

    def done(operator: Any) -> Any:
        begun = time.perf_counter()
        result = operator.execute({"ti": SimpleNamespace(run_id=run, xcom_push=outputs.__setitem__)})
        steps[operator.task_id] = steps.get(operator.task_id, 0.0) + time.perf_counter() - begun
        return result

    before, start = len(sandbox.calls), time.perf_counter()
    state = f"file://{folder}/state"
    parts = done(
        CoveoTransformOperator(
            task_id="transform", source=f"file://{raw}", output=f"file://{folder / run}", stream=True
        )
    )
    done(CoveoPlanOperator(task_id="plan", documents=parts, state=state, source_id=SOURCE, full=full))
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
    seconds = time.perf_counter() - start - steps["plan"]
    calls = sandbox.calls[before:]
    return Cost(
        seconds,
        steps,
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


@dataclass(frozen=True)
class Found:
    """What three runs took, and how many items the index holds in the end."""

    runs: dict[str, Cost]
    held: int


def measure(rows: int, share: float = 0.01) -> Found:
    """Refresh a catalog, refresh it with a share of its items changed, and send the same again in full."""
    with tempfile.TemporaryDirectory() as name, Sandbox.start(sources={SOURCE: "CATALOG"}) as sandbox:
        folder = Path(name)
        connection = {
            "conn_type": "coveo",
            "host": sandbox.url,
            "login": sandbox.organization_id,
            "password": sandbox.api_key,
        }
        with patch.dict(os.environ, {"AIRFLOW_CONN_COVEO_DEFAULT": json.dumps(connection)}):
            raw = write_catalog(folder / "raw.parquet", rows)
            later = change(raw, folder / "later.parquet", share)
            runs = {}
            for label, file, full in (
                ("first", raw, False),
                ("changed", later, False),
                ("all again", later, True),
            ):
                runs[label] = refresh(sandbox, folder, file, label.replace(" ", "-"), full=full)
                sandbox.settle()
                sandbox.clock.advance(seconds=3_600)  # a load an hour, as the log is asked by the minute
            return Found(runs, sandbox.count(SOURCE))


def table(found: Found, rows: int) -> Table:
    """Return what was found, for people."""
    again = found.runs["all again"]
    return Table(
        "A refresh with 1 % changed",
        ["run", "items sent", "calls", "MB sent", "seconds", "ratio", "without the last", *STEPS],
        [
            [
                label,
                f"{cost.items:,}",
                str(cost.calls),
                f"{cost.uploaded / 1e6:,.1f}",
                f"{cost.seconds:.2f}",
                f"{cost.seconds / again.seconds:.2f}",
                f"{cost.sending / again.sending:.2f}",
                *(f"{cost.steps.get(step, 0.0):.2f}" for step in STEPS),
            ]
            for label, cost in found.runs.items()
        ],
        f"{rows:,} items by the tasks of `catalog_refresh`, one after the other, against the sandbox, whose "
        f"own work is in it. The last task waits until all is indexed: {found.held:,} items in the end.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=200_000)
    options = parser.parse_args()
    print(table(measure(options.rows), options.rows).as_markdown())


if __name__ == "__main__":
    main()

"""Run every benchmark and write ``RESULTS.md`` with its plots: some ten minutes on two cores."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import time
from datetime import datetime, timezone
from pathlib import Path

from benchmarks import (
    diff_documents,
    file_shares,
    identities_expand,
    memory,
    parquet_to_sink,
    parse_time,
    plots,
    read_tables,
    refresh_changes,
    sandbox_server,
    transform_rows,
)
from benchmarks.table import Table

HERE = Path(__file__).parent
_LIBRARIES = (
    "apache-airflow-core",
    "polars",
    "pyarrow",
    "pandas",
    "msgspec",
    "requests",
    "coveo-push-api-client-py",
)


def write_results(folder: Path, share: float = 1.0) -> list[Table]:
    """
    Run every benchmark, write the page and its plots to a folder, and return the tables.

    :param share: of the usual sizes
    """

    def size(rows: int) -> int:
        return max(int(rows * share), 1_000)

    start = time.perf_counter()
    sent = parquet_to_sink.measure(size(500_000), size(50_000), parquet_to_sink.TASKS)
    transformed = transform_rows.measure(size(300_000))
    read = read_tables.measure(size(5_000_000))
    listed = file_shares.measure(size(200_000))
    refreshed = refresh_changes.measure(size(200_000))
    compared = diff_documents.measure(size(5_000_000))
    expanded = identities_expand.measure(size(1_000_000), size(5_000_000))
    held = memory.measure(
        [size(rows) for rows in (1_000_000, 2_000_000, 20_000_000)], [size(200_000), size(1_000_000)]
    )
    parsed = parse_time.measure(times=3)
    uploaded, opened = int(256_000_000 * share), 400
    served = sandbox_server.measure(size(20_000), uploaded, opened)
    tables = [
        *parquet_to_sink.tables(sent),
        transform_rows.table(transformed, size(300_000)),
        read_tables.table(read, size(5_000_000)),
        file_shares.table(listed),
        refresh_changes.table(refreshed, size(200_000)),
        diff_documents.table(compared, size(5_000_000)),
        identities_expand.table(expanded, size(5_000_000)),
        memory.table(held),
        parse_time.table(parsed),
        sandbox_server.table(served, uploaded, opened),
    ]
    beside = {"Coveo's client": sent.client, "floor": sent.floor, **sent.ours}
    plots.bars(folder / "throughput.svg", "Parquet to containers", "documents/s", beside)
    plots.scaling(folder / "scaling.svg", sent.together)
    plots.memory(folder / "memory.svg", held)
    page = "\n".join([_head(time.perf_counter() - start), *(table.as_markdown() for table in tables)])
    (folder / "RESULTS.md").write_text(page, encoding="utf-8")
    return tables


def _head(seconds: float) -> str:
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES)
    return (
        "# Results\n\n"
        "Written by `make bench`. Ratios are of one run on one machine; figures change with the machine.\n\n"
        f"- {datetime.now(timezone.utc):%Y-%m-%d}, in {seconds / 60:.1f} minutes\n"
        f"- {_processor()}, {os.cpu_count()} cores, {memory_bytes / 2**30:.0f} GiB, {platform.system()}\n"
        f"- Python {platform.python_version()}, {versions}\n"
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, help="of the usual sizes")
    for table in write_results(HERE, parser.parse_args().share):
        print(table.as_markdown())


if __name__ == "__main__":
    main()

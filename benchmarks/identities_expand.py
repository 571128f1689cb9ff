"""
How many identities a second become chunks, and in how much memory over an idle process?

The baseline of memory is a worker that does nothing.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks import worker
from benchmarks.sink import sink
from benchmarks.table import Table

_BATCH = 50_000
_LARGEST = 20_000  # members of the largest groups


def write_groups(path: Path, identities: int, memberships: int, *, seed: int = 7) -> Path:
    """Write a dataset of groups whose sizes are skewed: most have a few members, some have thousands."""
    random = np.random.default_rng(seed)
    sizes = np.minimum(random.pareto(1.2, identities) * 2, _LARGEST).astype(np.int64)
    sizes = np.floor(sizes * (memberships / sizes.sum())).astype(np.int64)
    sizes[: memberships - int(sizes.sum())] += 1
    writer = None
    for start in range(0, identities, _BATCH):
        table = _groups(random, start, sizes[start : start + _BATCH], identities)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    return path


def _groups(random: np.random.Generator, start: int, sizes: Any, identities: int) -> pa.Table:
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32))
    count = int(sizes.sum())
    people = pc.binary_join_element_wise(
        "user", pa.array(random.integers(0, identities, count)).cast(pa.string()), "@example.com", ""
    )
    members = pa.StructArray.from_arrays([people, pa.array(["USER"] * count)], ["name", "type"])
    numbers = pa.array(np.arange(start, start + len(sizes))).cast(pa.string())
    return pa.table(
        {
            "name": pc.binary_join_element_wise("group-", numbers, ""),
            "type": pa.array(["GROUP"] * len(sizes)),
            "members": pa.ListArray.from_arrays(offsets, members),
        }
    )


def measure(identities: int, memberships: int) -> dict[str, worker.Measured]:
    """Expand the same groups, each of which must stand once, or is merged."""
    with tempfile.TemporaryDirectory() as folder, sink() as url:
        part = str(write_groups(Path(folder) / "part.parquet", identities, memberships))
        return {
            "idle": worker.run("idle"),
            **{
                mode: worker.run("expand", url=url, members=part, duplicates=mode)
                for mode in ("refuse", "merge")
            },
        }


def table(found: dict[str, worker.Measured], memberships: int) -> Table:
    """Return what was found, for people."""
    idle = found["idle"]
    return Table(
        "Security expansion",
        ["duplicates", "identities", "identities/s", "seconds", "MB over idle", "of it private"],
        [
            [
                mode,
                f"{one.result['members']:,}",
                f"{one.result['members'] / one.seconds:,.0f}",
                f"{one.seconds:.1f}",
                *(f"{mb:,.0f}" for mb in one.over(idle)),
            ]
            for mode, one in found.items()
            if mode != "idle"
        ],
        f"{memberships:,} memberships: most groups have a few members, some have {_LARGEST:,}.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0] if __doc__ else "")
    parser.add_argument("--identities", type=int, default=1_000_000)
    parser.add_argument("--memberships", type=int, default=5_000_000)
    options = parser.parse_args()
    found = measure(options.identities, options.memberships)
    print(table(found, options.memberships).as_markdown())


if __name__ == "__main__":
    main()

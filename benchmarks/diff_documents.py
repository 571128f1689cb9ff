"""
How long does it take to find what changed among millions of documents, and in how much memory?

The hashes of a load are compared with those of the last one: 1 % of the documents changed, 0.1 % are new, 0.1 % are
gone. The baseline is polars' own join of the same files, by its streaming engine. Each is in a process of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks import worker
from benchmarks.table import Table
from coveo_provider.documents.dataset.content_hash import HASH_BYTES
from coveo_provider.documents.dataset.part_writer import HASH_SCHEMA

_PART = 500_000


def write_hashes(folder: Path, first: int, rows: int, changed: float) -> str:
    """Write hashes of documents from number ``first`` on, and return the hash over all."""
    folder.mkdir()
    digest = hashlib.sha256()
    random = np.random.default_rng(3)
    for start in range(first, first + rows, _PART):
        numbers = np.arange(start, min(start + _PART, first + rows), dtype=np.int64)
        salt = (random.random(len(numbers)) < changed).astype(np.int64)
        content = np.stack([numbers * 2_654_435_761, numbers + salt], axis=1).tobytes()
        digest.update(content)
        ids = pc.binary_join_element_wise("product://shop/", pa.array(numbers).cast(pa.string()), "")
        hashes = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(HASH_BYTES), len(numbers), [None, pa.py_buffer(content)]
        )
        pq.write_table(pa.table([ids, hashes], schema=HASH_SCHEMA), folder / f"part-{start:012d}.parquet")
    return digest.hexdigest()


def write_loads(folder: Path, rows: int) -> dict[str, Any]:
    """Write the hashes of two loads, as :func:`table` describes them; return the diff's arguments."""
    current = write_hashes(folder / "current", rows // 1_000, rows, 0.01)
    former = write_hashes(folder / "former", 0, rows, 0.0)
    return {"folder": str(folder), "rows": rows, "digests": [former, current]}


def measure(rows: int) -> dict[str, worker.Measured]:
    """Return what each way of comparing took and found."""
    with tempfile.TemporaryDirectory() as name:
        arguments = write_loads(Path(name), rows)
        return {
            "idle": worker.run("idle"),
            "ours": worker.run("diff", **arguments),
            "polars": worker.run("polars diff", folder=name),
        }


def table(found: dict[str, worker.Measured], rows: int) -> Table:
    """Return what was found, for people."""
    idle = found["idle"]
    return Table(
        "Diff",
        ["compared by", "documents/s", "seconds", "MB over idle", "of it private", "changed", "gone"],
        [
            [
                name,
                f"{rows / one.seconds:,.0f}",
                f"{one.seconds:.1f}",
                *(f"{mb:,.0f}" for mb in one.over(idle)),
                f"{one.result['changed']:,}",
                f"{one.result['gone']:,}",
            ]
            for name, one in found.items()
            if name != "idle"
        ],
        f"{rows:,} documents, of which 1 % changed, 0.1 % is new, 0.1 % is gone; polars by its streaming join.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=5_000_000)
    options = parser.parse_args()
    print(table(measure(options.rows), options.rows).as_markdown())


if __name__ == "__main__":
    main()

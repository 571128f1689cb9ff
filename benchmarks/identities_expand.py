"""
How many identities a second become chunks, and in how much memory over an idle process?

The baseline is a process that has imported all that the expansion needs, and expands nothing.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

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


def run(mode: str, part: Path) -> dict[str, Any]:
    """Return what a process of its own measured: ``seconds``, ``peak_mb`` (10^6 bytes), and what it made."""
    command = [sys.executable, "-m", "benchmarks.identities_expand", "--worker", mode, str(part)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _work(mode: str, path: Path) -> dict[str, Any]:
    from coveo_provider.documents.contract import Section
    from coveo_provider.documents.dataset.tables import Part
    from coveo_provider.documents.encoding.chunks import ChunkWriter
    from coveo_provider.identities.batches import spool_identities

    result: dict[str, Any] = {}
    start = time.perf_counter()
    if mode != "idle":
        with path.open("rb") as file, ChunkWriter() as writer:
            duplicates: Any = mode
            part = Part(file, str(path))
            chunks = spool_identities(writer, members=[part], duplicates=duplicates, log=lambda *_: None)
            result["chunks"] = len(chunks)
            result["bytes"] = sum(chunk.size for chunk in chunks)
            result["identities"] = sum(chunk.counts[Section.MEMBERS] for chunk in chunks)
    result["seconds"] = time.perf_counter() - start
    # Not ru_maxrss: that of a new process starts at its parent's.
    status = Path("/proc/self/status").read_text()
    result["peak_mb"] = int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0] if __doc__ else "")
    parser.add_argument("--identities", type=int, default=1_000_000)
    parser.add_argument("--memberships", type=int, default=5_000_000)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(_work(options.worker[0], Path(options.worker[1]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        part = write_groups(Path(folder) / "part.parquet", options.identities, options.memberships)
        idle = run("idle", part)
        for mode in ("refuse", "merge"):
            ours = run(mode, part)
            print(
                f"duplicates={mode}: {ours['identities']:,} identities, {options.memberships:,} memberships, "
                f"{ours['bytes'] / 1e6:,.0f} MB in {ours['chunks']} chunks"
            )
            print(f"{ours['identities'] / ours['seconds']:,.0f} identities/s in {ours['seconds']:,.1f} s")
            print(
                f"idle {idle['peak_mb']:,.0f} MB, expanding {ours['peak_mb']:,.0f} MB, "
                f"difference {ours['peak_mb'] - idle['peak_mb']:,.0f} MB"
            )


if __name__ == "__main__":
    main()

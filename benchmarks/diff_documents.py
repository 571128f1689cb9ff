"""
How long does it take to find what changed among millions of documents, and in how much memory?

The hashes of a load are compared with those of the last one: 1 % of the documents changed, 0.1 % are new, 0.1 % are
gone. The baseline is polars' own join of the same files, by its streaming engine, in a process of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from coveo_provider.documents.dataset.content_hash import HASH_BYTES
from coveo_provider.documents.dataset.part_writer import HASH_SCHEMA

_PART = 500_000


def write_hashes(folder: Path, first: int, rows: int, changed: float) -> str:
    """Write hashes of documents from number ``first`` on, and return the hash over all."""
    folder.mkdir(parents=True)
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


def run(mode: str, folder: Path, rows: int, digests: tuple[str, str]) -> dict[str, Any]:
    """Return what a process of its own measured: ``seconds``, ``peak_mb`` (10^6 bytes), and what it found."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.diff_documents",
        "--worker",
        mode,
        str(folder),
        str(rows),
        *digests,
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def measure(rows: int) -> dict[str, dict[str, Any]]:
    """Return what each way of comparing took and found."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shifted = rows // 1_000
        digests = (
            write_hashes(folder / "former", 0, rows, 0.0),
            write_hashes(folder / "current", shifted, rows, 0.01),
        )
        return {mode: run(mode, folder, rows, digests) for mode in ("idle", "ours", "polars")}


def _opened(path: Path) -> IO[bytes]:
    return path.open("rb")


def _work(mode: str, folder: Path, rows: int, digests: tuple[str, str]) -> dict[str, Any]:
    import polars as pl

    from coveo_provider.documents.changes.comparison import Comparison
    from coveo_provider.documents.extracts.source_files import SourceFile

    def files(side: str) -> list[SourceFile]:
        return [SourceFile(str(path), partial(_opened, path)) for path in sorted((folder / side).iterdir())]

    result: dict[str, Any] = {}
    start = time.perf_counter()
    if mode == "ours":
        with tempfile.TemporaryDirectory() as scratch:
            comparison = Comparison(Path(scratch), rows=rows)
            comparison.add_current(files("current"), digests[1])
            comparison.add_former(files("former"), digests[0])
            found = comparison.result()
        result.update(changed=found.changed, gone=found.gone)
    if mode == "polars":
        current, former = (pl.scan_parquet(folder / side / "*.parquet") for side in ("current", "former"))
        both = current.join(former, on="documentId", how="full", coalesce=True)
        is_changed = pl.col("content").is_not_null() & (
            pl.col("content") != pl.col("content_right")
        ).fill_null(True)
        counts = both.select(changed=is_changed.sum(), gone=pl.col("content").is_null().sum())
        result.update(counts.collect(engine="streaming").row(0, named=True))
    result["seconds"] = time.perf_counter() - start
    # Not ru_maxrss: that of a new process starts at its parent's.
    status = Path("/proc/self/status").read_text()
    result["peak_mb"] = int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--worker", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        mode, folder, rows, *digests = options.worker
        print(json.dumps(_work(mode, Path(folder), int(rows), (digests[0], digests[1]))))
        return
    found = measure(options.rows)
    for mode in ("ours", "polars"):
        one = found[mode]
        print(
            f"{mode:<7} {one['seconds']:6.1f} s, {options.rows / one['seconds']:>11,.0f} documents/s, peak "
            f"{one['peak_mb']:,.0f} MB, {one['peak_mb'] - found['idle']['peak_mb']:,.0f} over an idle process; "
            f"{one['changed']:,} changed, {one['gone']:,} gone"
        )


if __name__ == "__main__":
    main()

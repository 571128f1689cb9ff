"""
How much memory over an idle worker does a part of 1 GB take?

The baseline is a worker that has imported everything it could run the task with, and runs nothing.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks import worker
from benchmarks.rows import write_catalog
from benchmarks.sink import sink

_ROW_BYTES = 300  # of Parquet a row takes, about


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0] if __doc__ else "")
    parser.add_argument("--bytes", type=int, default=1_000_000_000, help="size of the Parquet part")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sink() as url:
        part = write_catalog(Path(folder) / "part.parquet", options.bytes // _ROW_BYTES)
        idle = worker.run("idle")
        ours = worker.run("upload", url, str(part))
        size = part.stat().st_size
    report = ours["report"]
    print(
        f"part of {size / 1e6:,.0f} MB Parquet, {report['bytes'] / 1e6:,.0f} MB JSON, "
        f"{report['documents']:,} documents, {report['chunks']} chunks"
    )
    print(f"idle worker {idle['peak_mb']:,.0f} MB, uploading {ours['peak_mb']:,.0f} MB")
    over = ours["peak_mb"] - idle["peak_mb"]
    print(f"ratio {ours['peak_mb'] / idle['peak_mb']:.2f}, difference {over:,.0f} MB")
    print(f"{report['documents'] / ours['seconds']:,.0f} documents/s")


if __name__ == "__main__":
    main()

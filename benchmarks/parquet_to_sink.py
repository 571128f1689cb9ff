"""
How many documents a second go from Parquet to a container, against Coveo's own Python client and a floor?

All read the same part and send it to the same sink on loopback, in the same run: ours through
``CoveoUploadChunkOperator.execute`` and ``CoveoPushBatchOperator.execute``, theirs (coveo-push-api-client-py)
through its ``DocumentBuilder`` and ``batchUpdateDocuments``. The floor: ``polars.scan_parquet(…).sink_ndjson(…)``,
then one PUT of the file with the same HTTP library. With ``--tasks`` it also tells what several tasks at once send
together, each in a process of its own.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import requests
from push_api_clientpy import BatchUpdate, DocumentBuilder, Source
from requests.adapters import HTTPAdapter

from benchmarks import worker
from benchmarks.rows import write_catalog
from benchmarks.sink import sink

_BATCH = 50_000


class _ToSink(HTTPAdapter):
    """The client's host is fixed in its code; this sends its calls to the sink instead."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        path = (request.url or "").split(".com", 1)[1]
        request.url = f"{self._url}{path}"
        return super().send(request, *args, **kwargs)


def baseline(url: str, part: Path, rows: int) -> float:
    """Return the documents a second of coveo-push-api-client-py."""
    source = Source("bench-key", "bench")
    source.client.session.mount("https://api.cloud.coveo.com", _ToSink(url))
    sent = 0
    start = time.perf_counter()
    for batch in pq.ParquetFile(part).iter_batches(batch_size=_BATCH):
        builders = []
        for row in batch.to_pylist()[: rows - sent]:
            builder = DocumentBuilder(row.pop("documentId"), row.pop("ec_name")).withDate(row.pop("date"))
            builders.append(builder.withMetadata({k: v for k, v in row.items() if v is not None}))
        source.batchUpdateDocuments("products", BatchUpdate(addOrUpdate=builders, delete=[]))
        sent += len(builders)
        if sent >= rows:
            break
    return sent / (time.perf_counter() - start)


def floor(url: str, part: Path, rows: int, folder: Path) -> float:
    """Return the documents a second of polars, and one PUT."""
    import polars as pl

    lines = folder / "floor.ndjson"
    start = time.perf_counter()
    pl.scan_parquet(part).sink_ndjson(lines)
    with lines.open("rb") as file:
        requests.put(f"{url}/upload", data=file, timeout=600).raise_for_status()
    seconds = time.perf_counter() - start
    lines.unlink()
    return rows / seconds


def at_once(url: str, part: Path, rows: int, tasks: int) -> float:
    """Return the documents a second that several uploads send together, from the first start to the last end."""
    with ThreadPoolExecutor(tasks) as threads:
        done = list(threads.map(lambda _: worker.run("upload", url, str(part)), range(tasks)))
    begun, ended = min(one["started"] for one in done), max(one["started"] + one["seconds"] for one in done)
    return float(rows * tasks / (ended - begun))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--baseline-rows", type=int, default=None, help="default: the same rows")
    parser.add_argument("--tasks", type=int, nargs="*", default=[], help="as in --tasks 1 2 4 8")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sink() as url:
        part = write_catalog(Path(folder) / "part.parquet", options.rows)
        ours = {mode: worker.run(mode, url, str(part)) for mode in ("upload", "push")}
        least = floor(url, part, options.rows, Path(folder))
        theirs = baseline(url, part, options.baseline_rows or options.rows)
        together = {tasks: at_once(url, part, options.rows, tasks) for tasks in options.tasks}
    report = ours["upload"]["report"]
    size = report["bytes"] / report["documents"]
    print(f"{report['documents']:,} documents of {size:,.0f} bytes in {report['chunks']} chunks")
    print(f"floor: sink_ndjson, PUT  {least:>10,.0f} documents/s")
    print(f"coveo-push-api-client-py {theirs:>10,.0f} documents/s")
    for mode, done in ours.items():
        rate = options.rows / done["seconds"]
        print(
            f"operator, {mode:<14} {rate:>10,.0f} documents/s   peak {done['peak_mb']:,.0f} MB, "
            f"{rate / theirs:.1f} times the client, {rate / least:.2f} of the floor"
        )
    for tasks, rate in together.items():
        print(f"{tasks} uploads at once       {rate:>10,.0f} documents/s")


if __name__ == "__main__":
    main()

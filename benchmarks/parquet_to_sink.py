"""
How many documents a second go from Parquet to a container, against Coveo's own Python client and a floor?

All read the same part and send it to the same sink on loopback, in the same run: ours through
``CoveoUploadChunkOperator.execute`` and ``CoveoPushBatchOperator.execute``, theirs (coveo-push-api-client-py)
through its ``DocumentBuilder`` and ``batchUpdateDocuments``. The floor: ``polars.scan_parquet(…).sink_ndjson(…)``,
then one PUT of the file with the same HTTP library. Ours have sent a small part before, as the others too have
their libraries loaded; what a new process takes is told beside it. Then several tasks at once, each in a process of
its own.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import requests
from push_api_clientpy import BatchUpdate, DocumentBuilder, Source
from requests.adapters import HTTPAdapter

from benchmarks import worker
from benchmarks.rows import write_catalog
from benchmarks.sink import sink
from benchmarks.table import Table

_BATCH = 50_000
TASKS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Found:
    """
    Documents a second, by what sent them, and what the operators reported.

    :param ours: of the operators, with libraries loaded, by ``upload`` and ``push``
    :param cold: the same in a process that has to load them
    :param together: of several uploads at once, by their number
    """

    rows: int
    floor: float
    client: float
    ours: dict[str, float]
    cold: dict[str, float]
    reports: dict[str, dict[str, Any]]
    together: dict[int, float]


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


def at_once(url: str, part: Path, warm: Path, rows: int, tasks: int) -> float:
    """Return the documents a second that several uploads send together, from the first start to the last end."""
    with ThreadPoolExecutor(tasks) as threads:
        done = threads.map(
            lambda _: worker.run("upload", url=url, part=str(part), warm=str(warm)), range(tasks)
        )
        reports = [one.result for one in done]
    begun, ended = (
        min(one["started"] for one in reports),
        max(one["started"] + one["seconds"] for one in reports),
    )
    return float(rows * tasks / (ended - begun))


def measure(rows: int, client_rows: int, tasks: Sequence[int] = ()) -> Found:
    """
    Send the same part in every way.

    :param client_rows: how many of its rows Coveo's client sends, as it takes so long
    """
    with tempfile.TemporaryDirectory() as name, sink() as url:
        folder = Path(name)
        part = write_catalog(folder / "part.parquet", rows)
        warm = write_catalog(folder / "warm.parquet", 10)
        cold = {mode: worker.run(mode, url=url, part=str(part)) for mode in ("upload", "push")}
        ours = {mode: worker.run(mode, url=url, part=str(part), warm=str(warm)).result for mode in cold}
        return Found(
            rows,
            floor(url, part, rows, folder),
            baseline(url, part, client_rows),
            {mode: rows / report["seconds"] for mode, report in ours.items()},
            {mode: rows / one.seconds for mode, one in cold.items()},
            ours,
            {count: at_once(url, part, warm, rows, count) for count in tasks},
        )


def tables(found: Found) -> list[Table]:
    """Return what was found, for people."""

    def row(name: str, rate: float) -> list[str]:
        return [name, f"{rate:,.0f}", f"{rate / found.client:.1f}", f"{rate / found.floor:.2f}"]

    report = found.reports["upload"]
    rows = [row("coveo-push-api-client-py", found.client), row("floor: sink_ndjson, one PUT", found.floor)]
    for mode, rate in found.ours.items():
        rows += [row(f"{mode}", rate), row(f"{mode}, with the loading of libraries", found.cold[mode])]
    one = found.together.get(1, 0.0)
    return [
        Table(
            "Parquet to containers",
            ["sent by", "documents/s", "times the client", "of the floor"],
            rows,
            f"{found.rows:,} documents of {report['bytes'] / report['documents']:,.0f} bytes of JSON, in "
            f"{report['chunks']} chunks, to a sink on loopback that throws them away.",
            "throughput.svg",
        ),
        Table(
            "Several uploads at once",
            ["uploads at once", "documents/s together", "times one"],
            [[str(n), f"{rate:,.0f}", f"{rate / one:.2f}"] for n, rate in found.together.items()],
            "Each is a process of its own with the same part; all share the machine's cores with the sink.",
            "scaling.svg",
        ),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--client-rows", type=int, default=100_000)
    parser.add_argument("--tasks", type=int, nargs="*", default=[], help="as in --tasks 1 2 4 8")
    options = parser.parse_args()
    for table in tables(measure(options.rows, options.client_rows, options.tasks)):
        print(table.as_markdown())


if __name__ == "__main__":
    main()

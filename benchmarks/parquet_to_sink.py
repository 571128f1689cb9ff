"""
How many documents a second go from Parquet to a container, against Coveo's own Python client?

Both read the same part and send it to the same sink on loopback, in the same run: ours through
``CoveoUploadChunkOperator.execute``, theirs (coveo-push-api-client-py) through its ``DocumentBuilder`` and
``batchUpdateDocuments``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=500_000)
    parser.add_argument("--baseline-rows", type=int, default=None, help="default: the same rows")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sink() as url:
        part = write_catalog(Path(folder) / "part.parquet", options.rows)
        ours = worker.run("upload", url, str(part))
        report, rate = ours["report"], options.rows / ours["seconds"]
        theirs = baseline(url, part, options.baseline_rows or options.rows)
    size = report["bytes"] / report["documents"]
    print(f"{report['documents']:,} documents of {size:,.0f} bytes in {report['chunks']} chunks")
    print(f"operator                 {rate:>10,.0f} documents/s   peak {ours['peak_mb']:,.0f} MB")
    print(f"coveo-push-api-client-py {theirs:>10,.0f} documents/s")
    print(f"ratio                    {rate / theirs:>10.1f}")


if __name__ == "__main__":
    main()

"""The items that the service refused, as a Parquet file that people and later loads can read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from coveo_provider.api.types import LogEntry

_ROWS_PER_GROUP = 10_000
_SCHEMA = pa.schema(
    {
        "documentId": pa.string(),
        "operation": pa.string(),
        "stage": pa.string(),
        "result": pa.string(),
        "reason": pa.string(),
        "orderingId": pa.int64(),
        "datetime": pa.timestamp("ms", "UTC"),
    }
)


def write_refused(entries: Iterable[LogEntry], file: IO[bytes]) -> int:
    """
    Write the items that were refused as a Parquet file, and return how many there are.

    Its columns: ``documentId``, ``operation``, ``stage``, ``result``, ``reason``, ``orderingId`` (milliseconds
    since the epoch), ``datetime`` (when the log says so). An item that was refused several times stands in it
    once, as it was first read.

    :param file: open for writing
    """
    seen: set[str] = set()
    rows: list[tuple[Any, ...]] = []
    with pq.ParquetWriter(file, _SCHEMA) as writer:

        def flush() -> None:
            writer.write_table(
                pa.table(dict(zip(_SCHEMA.names, zip(*rows, strict=True), strict=True)), schema=_SCHEMA)
            )
            rows.clear()

        for entry in entries:
            if entry.document_id in seen:
                continue
            seen.add(entry.document_id)
            rows.append(
                (
                    *(entry.document_id, entry.operation, entry.task, entry.result),
                    *(entry.error or "", entry.ordering_id, entry.time_ms),
                )
            )
            if len(rows) == _ROWS_PER_GROUP:
                flush()
        if rows:
            flush()
    return len(seen)

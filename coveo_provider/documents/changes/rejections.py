"""
What the service refused → a small file of it, so that nobody takes it for indexed.

A refused document is named with the hash it had; a refused deletion, whose item is in no dataset any more, has
none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from coveo_provider.documents.changes.shares import ROWS_AT_ONCE, Shares, rows_of, share_bits
from coveo_provider.documents.contract import DOCUMENT_ID
from coveo_provider.documents.dataset.content_hash import HASH_BYTES
from coveo_provider.documents.extracts.source_files import SourceFile

REJECTION_SCHEMA = pa.schema(
    [(DOCUMENT_ID, pa.string()), ("reason", pa.string()), ("content", pa.binary(HASH_BYTES))]
)
_IDS = {DOCUMENT_ID: pl.String}
_HASHED = {**_IDS, "content": pl.Binary}
_REJECTED = {**_IDS, "reason": pl.String, "content": pl.Binary}


@dataclass(frozen=True)
class Rejections:
    """
    What was written.

    :param rows: of the file
    :param documents: how many of them are documents, rather than deletions
    """

    rows: int
    documents: int


def write_rejections(
    target: Path,
    scratch: Path,
    *,
    rejected: Sequence[SourceFile],
    former: SourceFile | None,
    sent: SourceFile | None,
    current: Sequence[SourceFile],
    rows: int,
    rows_at_once: int = ROWS_AT_ONCE,
) -> Rejections:
    """
    Write what the index does not hold after a load as it should.

    It is what was refused of this load, and what was refused before, was not sent again and is still to be so.

    :param target: the Parquet file to write, of :data:`REJECTION_SCHEMA`
    :param scratch: a folder of its own for what does not fit into memory
    :param rejected: Parquet files with the ``documentId`` of what was refused of this load, and the ``reason``
    :param former: what was remembered so before it; ``None`` for a load that sent everything
    :param sent: the ids that this load sent or deleted
    :param current: the files of hashes of the datasets that the load made the source equal to
    :param rows: of these
    :param rows_at_once: of each of them in memory
    :raises DatasetError: a file is missing or damaged
    """
    bits = share_bits(rows, rows_at_once)
    fresh = Shares(scratch, "fresh", _REJECTED, bits)
    for _, frame in rows_of(rejected, _REJECTED):
        fresh.add(frame)
    known = Shares(scratch, "known", _REJECTED, bits)
    for _, frame in rows_of([former] if former else [], _REJECTED):
        known.add(frame)
    resent = Shares(scratch, "resent", _IDS, bits)
    for _, frame in rows_of([sent] if sent else [], _IDS):
        resent.add(frame)
    hashes = Shares(scratch, "hashes", _HASHED, bits)
    for _, frame in rows_of(current, _HASHED):
        hashes.add(frame)
    written = documents = 0
    with pq.ParquetWriter(target, REJECTION_SCHEMA) as writer:
        for share in range(1 << bits):
            for table in _left(fresh.read(share), known.read(share), resent.read(share), hashes.read(share)):
                columns = [_arrow(table[name]).cast(REJECTION_SCHEMA.field(name).type) for name in _REJECTED]
                writer.write_table(pa.table(columns, schema=REJECTION_SCHEMA))
                written += len(table)
                documents += table["content"].count()
    return Rejections(written, documents)


def _arrow(column: pl.Series) -> pa.Array:
    return column.to_arrow(compat_level=pl.CompatLevel.oldest())


def _left(
    fresh: pl.DataFrame, known: pl.DataFrame, resent: pl.DataFrame, hashes: pl.DataFrame
) -> Iterator[pl.DataFrame]:
    """Return what was refused of this load, then what was refused before and still is as it was."""
    fresh = fresh.unique(DOCUMENT_ID, keep="first", maintain_order=True)
    yield fresh.drop("content").join(hashes, on=DOCUMENT_ID, how="left")
    known = known.join(resent, on=DOCUMENT_ID, how="anti").join(fresh, on=DOCUMENT_ID, how="anti")
    now = known.join(hashes.rename({"content": "now"}), on=DOCUMENT_ID, how="left")
    yield now.filter(pl.col("content").eq_missing(pl.col("now"))).drop("now")

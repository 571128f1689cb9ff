"""Seeded catalog rows with lists, nulls, Unicode and dates, some 690 bytes of JSON each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_WORDS = (
    "soccer shoes", "red", "blue / navy", 'the "original"', "Größe 42", "crème brûlée", "日本語の説明",
    "wide", "running", "waterproof", "\N{ATHLETIC SHOE} sale", "winter", "leather\tlined", "men & women",
    "<b>new</b>", "naïve façade", "lightweight", "breathable mesh", "C:\\catalog", "Ελληνικά",
)  # fmt: skip
_BATCH = 50_000


def write_catalog(path: Path, rows: int, *, row_group: int = 1_048_576, seed: int = 7) -> Path:
    """
    Write a dataset of one part with ``rows`` documents, and return its path.

    :param row_group: rows a row group; the default is pyarrow's own
    """
    random = np.random.default_rng(seed)
    writer = None
    for start in range(0, rows, _BATCH):
        table = _catalog(random, start, min(_BATCH, rows - start))
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table, row_group_size=row_group)
    if writer is not None:
        writer.close()
    return path


def _catalog(random: np.random.Generator, start: int, rows: int) -> pa.Table:
    numbers = np.arange(start, start + rows)
    text = pa.array(numbers).cast(pa.string())
    return pa.table(
        {
            "documentId": pc.binary_join_element_wise("product://", text, ""),
            "objecttype": pa.array(["Product"]).take(pa.array(np.zeros(rows, dtype=np.int64))),
            "ec_name": _sentence(random, rows, 4),
            "ec_description": _sentence(random, rows, 30, missing=0.2),
            "ec_brand": _sentence(random, rows, 1),
            "ec_price": pa.array(random.uniform(1, 500, rows).round(2), mask=random.random(rows) < 0.1),
            "ec_in_stock": pa.array(random.random(rows) < 0.7, mask=random.random(rows) < 0.3),
            "stock": pa.array(random.integers(0, 10_000, rows)),
            "ec_category": _lists(random, rows, 3),
            "sizes": _lists(random, rows, 5),
            "date": pa.array(1_700_000_000_000 + numbers * 977, pa.timestamp("ms")),
            "clickableuri": pc.binary_join_element_wise("https://shop.example.com/p/", text, ""),
        }
    )


def _sentence(random: np.random.Generator, rows: int, words: int, missing: float = 0.0) -> pa.Array:
    columns = [pa.array(_WORDS).take(pa.array(random.integers(0, len(_WORDS), rows))) for _ in range(words)]
    joined = pc.binary_join_element_wise(*columns, " ")
    return pc.if_else(pa.array(random.random(rows) < missing), None, joined) if missing else joined


def _lists(random: np.random.Generator, rows: int, longest: int) -> pa.Array:
    lengths = random.integers(0, longest + 1, rows)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    values = pa.array(_WORDS).take(pa.array(random.integers(0, len(_WORDS), int(offsets[-1]))))
    return pa.ListArray.from_arrays(pa.array(offsets), values, mask=pa.array(random.random(rows) < 0.2))

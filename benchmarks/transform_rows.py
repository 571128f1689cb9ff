"""
How many rows a second does a transform with a mapping of five rules take, against bare pandas?

The baseline reads the same file, makes the same columns, and writes one Parquet file: it checks nothing, hashes
nothing, and holds all rows in memory. The mapping alone is timed within the same run.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from benchmarks.rows import write_catalog
from benchmarks.table import Table
from coveo_provider.documents import Constant, DocumentMapping, Split, Template
from coveo_provider.documents.contract import STREAM_ITEM_BYTES
from coveo_provider.documents.dataset.part_writer import PartWriter
from coveo_provider.documents.extracts.readers import ReadOptions, read_batches
from coveo_provider.documents.extracts.source_files import SourceFile
from coveo_provider.documents.extracts.transformation import Transform, rows_of

_KEPT = ("ec_description", "stock", "ec_in_stock")
MAPPING = DocumentMapping(
    document_id="product://{sku}",
    fields={
        "title": "ec_name",
        "objecttype": Constant("Product"),
        "clickableuri": Template("https://shop.example.com/{ec_brand:uri}/{sku}"),
        "ec_labels": Split("labels"),
    },
    keep=_KEPT,
)


def write_extracts(folder: Path, rows: int) -> list[Path]:
    """Write the same flat rows as Parquet and as CSV."""
    catalog = pq.read_table(write_catalog(folder / "catalog.parquet", rows))
    table = catalog.select(["ec_name", "ec_brand", *_KEPT])
    table = table.append_column("sku", pa.array(np.arange(rows)))
    table = table.append_column(
        "labels", pa.array(["new; sale;red"]).take(pa.array(np.zeros(rows, np.int64)))
    )
    parquet, csv = folder / "rows.parquet", folder / "rows.csv"
    pq.write_table(table, parquet)
    pyarrow.csv.write_csv(table, csv)
    return [parquet, csv]


def bare(file: Path, folder: Path) -> float:
    """Return the seconds that pandas takes."""
    start = time.perf_counter()
    frame = pd.read_csv(file) if file.suffix == ".csv" else pd.read_parquet(file)
    sku = frame["sku"].astype("string")
    made = pd.DataFrame(
        {
            "documentId": "product://" + sku,
            "title": frame["ec_name"],
            "objecttype": "Product",
            "clickableuri": "https://shop.example.com/" + frame["ec_brand"].map(quote) + "/" + sku,
            "ec_labels": [[part.strip() for part in text.split(";")] for text in frame["labels"]],
            **{name: frame[name] for name in _KEPT},
        }
    )
    made.to_parquet(folder / "bare.parquet")
    return time.perf_counter() - start


def ours(file: Path, folder: Path, transform: Transform | None = None) -> tuple[float, float]:
    """Return the seconds of the whole transform, and of function and mapping alone."""
    mapped = 0.0
    start = time.perf_counter()
    source = SourceFile(file.as_uri(), lambda: file.open("rb"))
    output = Path(tempfile.mkdtemp(dir=folder))
    with PartWriter(output, item_limit=STREAM_ITEM_BYTES) as writer:
        for batch in read_batches([source], ReadOptions()):
            before = time.perf_counter()
            rows = rows_of(batch, transform=transform, mapping=MAPPING)
            mapped += time.perf_counter() - before
            writer.add(rows, batch.where)
        writer.finish()
    return time.perf_counter() - start, mapped


def best(run: Callable[[], tuple[float, float]]) -> tuple[float, float]:
    """Return the faster of two runs, as other work on the machine slows down one of them."""
    return min(run(), run())


@dataclass(frozen=True)
class Found:
    """Rows a second: of pandas, of ours, and of the mapping alone, without reading, checking, hashing, writing."""

    kind: str
    label: str
    pandas: float
    ours: float
    mapping: float


def measure(rows: int) -> list[Found]:
    """Transform the same rows from Parquet and from CSV, with a mapping, and with a function besides."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in write_extracts(folder, rows):
            pandas = best(lambda file=file: (bare(file, folder), 0.0))[0]  # type: ignore[misc]
            for label, transform in (("mapping", None), ("function and mapping", lambda frame: frame)):
                seconds, mapped = best(partial(ours, file, folder, transform))
                found.append(Found(file.suffix[1:], label, rows / pandas, rows / seconds, rows / mapped))
    return found


def table(found: Sequence[Found], rows: int) -> Table:
    """Return what was found, for people."""
    return Table(
        "Transform",
        ["input", "rows/s", "bare pandas", "ratio", "the mapping alone"],
        [
            [
                f"{one.kind}, {one.label}",
                *(f"{n:,.0f}" for n in (one.ours, one.pandas)),
                f"{one.ours / one.pandas:.2f}",
                f"{one.mapping:,.0f}",
            ]
            for one in found
        ],
        f"{rows:,} rows, a mapping of five rules. Bare pandas reads the same file, makes the same columns and "
        "writes one Parquet file: it checks nothing, hashes nothing, and holds all rows in memory.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=500_000)
    options = parser.parse_args()
    print(table(measure(options.rows), options.rows).as_markdown())


if __name__ == "__main__":
    main()

"""
How much memory over an idle worker do upload, transform, diff and expansion take, and does it grow with rows?

The baseline is a worker that has imported Airflow and our hook, and runs nothing.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from benchmarks import worker
from benchmarks.diff_documents import write_loads
from benchmarks.identities_expand import write_groups
from benchmarks.sink import sink
from benchmarks.table import Table

_BATCH = 500_000


@dataclass(frozen=True)
class Found:
    """Memory of some work over an idle worker, in 10^6 bytes: all of it, and what no other process shares."""

    work: str
    rows: int
    data: str
    over: float
    private: float
    seconds: float


def write_narrow(path: Path, rows: int) -> Path:
    """Write documents of an id, a title and a number, so that many rows are few bytes."""
    writer = None
    for start in range(0, rows, _BATCH):
        numbers = pl.int_range(start, min(start + _BATCH, rows), eager=True)
        text = numbers.cast(pl.String)
        table = pl.DataFrame(
            {"documentId": "product://shop/" + text, "title": "Shoe " + text, "n": numbers}
        ).to_arrow()
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    return path


def write_wide(path: Path, rows: int, columns: int) -> Path:
    """Write documents of many columns, half of texts, half of numbers, in one row group."""
    random = np.random.default_rng(7)
    words = pl.Series(["soccer shoes", "crème brûlée", "waterproof", None])
    made = {"documentId": pl.Series([f"product://{n}" for n in range(rows)])}
    for number in range(columns):
        picked = random.integers(0, len(words), rows)
        made[f"field_{number}"] = words.gather(picked) if number % 2 else pl.Series(picked * number)
    pq.write_table(pl.DataFrame(made).to_arrow(), path)
    return path


def write_long(path: Path, rows: int, characters: int, page_rows: int) -> Path:
    """
    Write documents with one long text each, in one row group.

    :param page_rows: how many a page holds at least; 1,024 is pyarrow's own, whatever a row takes
    """
    random = np.random.default_rng(7)
    words = np.array(["soccer ", "shoes ", "wide ", "Größe 42 ", "winter "])
    texts = ["".join(random.choice(words, characters // 6)) for _ in range(min(rows, 50))]
    ids = [f"product://{n}" for n in range(rows)]
    frame = pl.DataFrame({"documentId": ids, "body": [f"{n} {texts[n % len(texts)]}" for n in range(rows)]})
    pq.write_table(frame.to_arrow(), path, use_dictionary=False, write_batch_size=page_rows)
    return path


def measure(
    rows: Sequence[int] = (1_000_000, 2_000_000, 20_000_000), identities: Sequence[int] = (200_000, 1_000_000)
) -> list[Found]:
    """Do each piece of work with few rows and with many, and with wide rows and long texts."""
    idle = worker.run("idle")
    found: list[Found] = []

    def add(work: str, count: int, data: str, done: worker.Measured) -> None:
        found.append(Found(work, count, data, *done.over(idle), done.seconds))

    with sink() as url:
        for count in rows:
            with tempfile.TemporaryDirectory() as name:
                part = write_narrow(Path(name, "part.parquet"), count)
                add("upload", count, "narrow", worker.run("upload", url=url, part=str(part)))
                output = Path(name, "output").as_uri()
                add(
                    "transform", count, "narrow", worker.run("transform", source=part.as_uri(), output=output)
                )
            with tempfile.TemporaryDirectory() as name:
                add("diff", count, "hashes", worker.run("diff", **write_loads(Path(name), count)))
        for count in identities:
            with tempfile.TemporaryDirectory() as name:
                groups = str(write_groups(Path(name, "part.parquet"), count, 5 * count))
                done = worker.run("expand", url=url, members=groups, duplicates="refuse")
                add("expand", count, "groups", done)
        with tempfile.TemporaryDirectory() as name:
            count = rows[0] // 20
            part = write_wide(Path(name, "wide.parquet"), count, 300)
            add("upload", count, "300 columns", worker.run("upload", url=url, part=str(part)))
            count = rows[0] // 100
            for data, page_rows in (("texts of 100 kB", 10), ("texts of 100 kB, pages of 120 MB", 1_024)):
                part = write_long(Path(name, "long.parquet"), count, 100_000, page_rows)
                add("upload", count, data, worker.run("upload", url=url, part=str(part)))
    return found


def table(found: Sequence[Found]) -> Table:
    """Return what was found, for people."""
    return Table(
        "Memory over an idle worker",
        ["work", "rows", "data", "MB", "of it private", "rows/s"],
        [
            [
                one.work,
                f"{one.rows:,}",
                one.data,
                f"{one.over:,.0f}",
                f"{one.private:,.0f}",
                f"{one.rows / one.seconds:,.0f}",
            ]
            for one in found
        ],
        "The most that was held at once. What is not private are pages of libraries (Arrow, polars): the tasks "
        "of a machine share them, and the system drops them when it needs the room. A page of Parquet is "
        "held whole, twice while it grows: pyarrow and pandas write 1,024 rows to a page, however long, our "
        "transform as many as fill 1 MB.",
        "memory.svg",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000, 2_000_000, 20_000_000])
    print(table(measure(parser.parse_args().rows)).as_markdown())


if __name__ == "__main__":
    main()

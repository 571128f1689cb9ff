"""A small file that unpacks to gigabytes is refused, and no read takes more memory than it should."""

from __future__ import annotations

import io
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coveo_provider.documents.contract import MIB
from coveo_provider.documents.dataset import parquet_pages
from coveo_provider.documents.dataset.tables import Part
from coveo_provider.errors import DatasetError


def part_of(table: pa.Table, **options: object) -> Part:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return Part(file, "part")


def ids(count: int) -> list[str]:
    return [f"test://{n}" for n in range(count)]


@pytest.mark.parametrize("compression", ["zstd", "gzip", "none"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("dictionary", [True, False])
def test_pages_are_as_large_as_their_headers_say(compression: str, version: str, dictionary: bool) -> None:
    """The walk from header to header ends where the column does, and finds what the footer counts in all."""
    table = pa.table({"documentId": ids(50_000), "n": list(range(50_000)), "t": ["x" * 50, "y"] * 25_000})
    file = io.BytesIO()
    pq.write_table(
        table,
        file,
        compression=compression,
        data_page_version=version,
        use_dictionary=dictionary,
        data_page_size=20_000,
        row_group_size=20_000,
    )
    meta = pq.ParquetFile(file).metadata

    for group in range(meta.num_row_groups):
        for number in range(meta.num_columns):
            column = meta.row_group(group).column(number)
            start = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
            at, headers, sizes = start, 0, 0
            while at < start + column.total_compressed_size:
                length, header = parquet_pages.page_header(file, at)
                size, packed = header[2], header[3]
                at, headers, sizes = at + length + packed, headers + length, sizes + size
            assert at == start + column.total_compressed_size
            assert headers + sizes == column.total_uncompressed_size


def test_a_page_with_long_statistics_is_understood() -> None:
    """Its header holds the smallest and the largest value."""
    texts = ["a" * 300_000, "z" * 300_000] * 3
    part = part_of(pa.table({"documentId": ids(6), "t": texts}), use_dictionary=False)

    assert [value for batch in part.batches() for value in batch.column("t").to_pylist()] == texts


def bomb(kind: str) -> pa.Table:
    size = 300 * MIB
    if kind == "text":
        return pa.table({"documentId": ids(1), "title": pa.array(["x" * size], pa.large_string())})
    if kind == "repeated":  # a text that stands once
        texts = pa.DictionaryArray.from_arrays(
            pa.array([0] * 2_000, pa.int32()), pa.array(["x" * size], pa.large_string())
        )
        return pa.table({"documentId": ids(2_000), "title": texts})
    repeated = np.full(size // 4, 7, np.int32)
    return pa.table({"documentId": ids(1), "sizes": pa.ListArray.from_arrays([0, size // 4], repeated)})


@pytest.mark.parametrize(("kind", "column"), [("text", "title"), ("repeated", "title"), ("numbers", "sizes")])
def test_a_small_file_that_unpacks_to_a_lot_is_refused(tmp_path: Path, kind: str, column: str) -> None:
    """By name, and before the memory is taken."""
    path = tmp_path / "bomb.parquet"
    pq.write_table(bomb(kind), path, compression="zstd")
    assert path.stat().st_size < MIB

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with (
        path.open("rb") as file,
        pytest.raises(DatasetError, match=rf"column '{column}.*unpacks to \d\d\d,") as error,
    ):
        Part(file, "file:///bomb.parquet")

    assert str(error.value).startswith("file:///bomb.parquet: ")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024  # KiB


_READ = """
import sys
from coveo_provider.documents.dataset.tables import Part
def peak():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) // 1024
with open(sys.argv[1], "rb") as file:
    part = Part(file, "part")
    next(part.batches())
    before = peak()
    rows = sum(len(batch) for batch in part.batches())
print(rows, peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the memory of a process as Linux tells it")
def test_long_texts_after_many_short_ones_do_not_fill_memory(tmp_path: Path) -> None:
    """They stand once each in the file, far behind the rows that are read first."""
    texts = ["x"] * 60_000 + ["y" * 200_000, "z"] * 2_500
    pq.write_table(pa.table({"documentId": ids(len(texts)), "t": texts}), tmp_path / "p.parquet")

    done = subprocess.run(
        [sys.executable, "-c", _READ, str(tmp_path / "p.parquet")],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )

    rows, megabytes = map(int, done.stdout.split())
    assert rows == 65_000
    assert megabytes < 150  # 500 MB of text


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=200))
def test_what_is_no_header_is_left_to_the_reader(data: bytes) -> None:
    """Damage makes the walk end, and nothing else."""
    try:
        length, _ = parquet_pages.page_header(io.BytesIO(data), 0)
    except (IndexError, ValueError):
        return
    assert 0 < length <= len(data)

"""A Parquet part is read in batches, in bounded memory."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coveo_provider.documents.dataset.tables import Part
from coveo_provider.documents.encoding.batches import Encoder
from coveo_provider.errors import DataError, DatasetError

BOUND = 4 * 2**20  # bytes of Arrow data in a batch: twice what is aimed at


def part_of(table: pa.Table, **options: Any) -> Part:
    """Return a table as a part."""
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return Part(file, "part-0")


def decoded(batch: pa.RecordBatch) -> int:
    """Return what a batch takes once its dictionaries are written out."""
    columns = [c.dictionary_decode() if pa.types.is_dictionary(c.type) else c for c in batch.columns]
    return sum(column.nbytes for column in columns)


def numbered(rows: int, **columns: Any) -> pa.Table:
    """Return rows with ids in order."""
    return pa.table({"documentId": [f"test://{n}" for n in range(rows)], **columns})


def check(part: Part, expected: pa.Table, bound: int = BOUND) -> list[pa.RecordBatch]:
    """Check that all rows come in order, in batches of bounded size, and return these."""
    batches = list(part.batches())
    assert part.rows == sum(map(len, batches)) == len(expected)
    ids = [identifier for batch in batches for identifier in batch.column("documentId").to_pylist()]
    assert ids == expected.column("documentId").to_pylist()
    assert max(map(decoded, batches), default=0) <= bound
    assert all(map(len, batches))
    return batches


def test_one_huge_row_group_comes_in_batches() -> None:
    """Its size is the writer's choice, not ours."""
    table = numbered(30_000, text=[f"{n:500}" for n in range(30_000)])

    assert len(check(part_of(table, row_group_size=30_000), table)) > 5


def test_tiny_row_groups_are_read_together() -> None:
    """A batch of a few rows would take as long as one of thousands."""
    table = numbered(1_000, kind=pa.array(["a", "b"] * 500).dictionary_encode())

    assert len(check(part_of(table, row_group_size=10), table)) == 1


def test_a_repeated_text_is_counted_as_often_as_it_stands() -> None:
    """In the file it lies once: 300 kB that become 300 MB."""
    table = numbered(1_000, text=pa.array(["x" * 300_000] * 1_000).dictionary_encode())
    plain = table.set_column(1, "text", table.column(1).cast(pa.large_string()).slice(0, 1_000))

    check(part_of(table), table)
    check(part_of(plain.slice(0, 100)), table.slice(0, 100))


def test_rows_far_larger_than_those_before_are_taken_apart() -> None:
    """Where the first rows and the average tell nothing."""
    texts = ["x"] * 20_000 + ["y" * 100_000] * 300 + ["z"] * 10_000
    table = numbered(len(texts), text=pa.array(texts))

    check(part_of(table), table)


def test_categories_of_long_texts_are_counted_in_full() -> None:
    """A categorical column stays one in memory until it is written out."""
    texts = pa.array(["x"] * 5_000 + ["y" * 50_000] * 5_000).dictionary_encode()
    table = numbered(
        10_000, text=texts, tags=[["a"]] * 10_000, size=pa.array([1, 2] * 5_000).dictionary_encode()
    )

    check(part_of(table), table)


def test_a_row_larger_than_a_batch_comes_alone() -> None:
    """It cannot be cut; whether it may be sent is decided when it is encoded."""
    table = numbered(3, data=["a", "b" * 6_000_000, "c"])

    assert [len(batch) for batch in check(part_of(table), table, 7_000_000)] == [1, 1, 1]


def test_nested_data_counts_too() -> None:
    """Lists of texts, objects and lists of categories."""
    long = "x" * 2_000
    tags = pa.array([[long] * 10] * 2_000)
    table = numbered(
        2_000,
        tags=tags,
        kinds=pa.ListArray.from_arrays(tags.offsets, tags.values.dictionary_encode()),
        stores=pa.array([{"a": long, "b": 1}] * 2_000),
    )

    batches = check(part_of(table), table, bound=2**40)

    assert len(batches) > 40


def test_dictionaries_that_outgrow_their_index_are_not_joined() -> None:
    """Each row group may have its own, of up to 127 entries."""
    groups = [
        pa.table(
            {
                "documentId": [f"test://{g}-{n}" for n in range(100)],
                "kind": pa.array([f"{g}-{n}" for n in range(100)]).cast(
                    pa.dictionary(pa.int8(), pa.string())
                ),
            }
        )
        for g in range(3)
    ]
    file = io.BytesIO()
    with pq.ParquetWriter(file, groups[0].schema) as writer:
        for group in groups:
            writer.write_table(group)
    part = Part(file, "part-0")

    encoder = Encoder(part.schema, where="part-0", item_limit=1_000)
    assert sum(len(encoder.encode(batch).ends) for batch in part.batches()) == 300


@settings(deadline=None, max_examples=30)
@given(
    widths=st.lists(st.sampled_from([0, 1, 1_000, 40_000, 400_000]), min_size=1, max_size=60),
    repeat=st.integers(1, 30),
    group=st.integers(1, 700),
    dictionary=st.booleans(),
)
def test_all_rows_come_in_order(widths: list[int], repeat: int, group: int, dictionary: bool) -> None:
    """Whatever their sizes and the row groups are."""
    texts = ["x" * width for width in widths for _ in range(repeat)]
    table = numbered(len(texts), text=texts)

    check(part_of(table, row_group_size=group, use_dictionary=dictionary), table)


def test_one_column_can_be_read_alone() -> None:
    """As looking for duplicates does."""
    table = numbered(10, text=["x"] * 10)

    assert [batch.schema.names for batch in part_of(table).batches(["documentId"])] == [["documentId"]]


def test_a_part_without_rows_has_no_batches() -> None:
    """Its columns are known all the same."""
    part = part_of(numbered(0))

    assert part.rows == 0
    assert part.schema.names == ["documentId"]
    assert list(part.batches()) == []


@pytest.mark.parametrize("data", [b"", b"PAR1", b"documentId,title\na:b,c\n", b"\x00" * 100, b"PAR1" * 10])
def test_a_file_that_is_not_parquet_is_named(data: bytes) -> None:
    """By the part's name."""
    with pytest.raises(DatasetError, match=r"part-0: is not a Parquet file that can be read"):
        Part(io.BytesIO(data), "part-0")


def test_a_cut_file_is_named() -> None:
    """Parquet's index stands at the end."""
    file = io.BytesIO()
    pq.write_table(numbered(1_000), file)

    with pytest.raises(DatasetError, match="is not a Parquet file"):
        Part(io.BytesIO(file.getvalue()[:-20]), "part-0")


def test_damage_inside_a_file_is_named() -> None:
    """Where its index is whole but its data is not."""
    file = io.BytesIO()
    pq.write_table(numbered(1_000), file, compression="zstd")
    data = bytearray(file.getvalue())
    data[50:200] = b"\xff" * 150

    with pytest.raises(DatasetError, match="part-0: is damaged"):
        list(Part(io.BytesIO(bytes(data)), "part-0").batches())


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_damage_anywhere_is_refused_or_harmless(data: st.DataObject) -> None:
    """A flipped byte never ends in anything but documents or a named error."""
    file = io.BytesIO()
    pq.write_table(numbered(20, text=["é"] * 20, tags=[["a"]] * 20), file)
    content = bytearray(file.getvalue())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))

    with suppress(DataError):
        part = Part(io.BytesIO(bytes(content)), "part-0")
        encoder = Encoder(part.schema, where="part-0", item_limit=10**6)
        for batch in part.batches():
            encoder.encode(batch)

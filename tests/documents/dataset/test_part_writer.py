"""Batches become parts: their size, their types, their hashes, and no id twice."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from coveo_provider.documents.contract import MIB, Section
from coveo_provider.documents.dataset.content_hash import HASH_BYTES, content_hashes
from coveo_provider.documents.dataset.manifest import PartEntry
from coveo_provider.documents.dataset.part_writer import PartWriter
from coveo_provider.documents.dataset.tables import Part, to_table
from coveo_provider.documents.encoding.batches import Encoder
from coveo_provider.errors import DatasetError, DocumentError, DocumentTooLarge
from tests.documents.strategies import NO_LIMIT, tables


def write(folder: Path, *batches: Any, **options: Any) -> tuple[tuple[PartEntry, ...], str]:
    """Write batches (tables, frames or lists of rows), and return the parts and the hash over all rows."""
    with PartWriter(folder, **{"item_limit": NO_LIMIT, **options}) as writer:
        for number, batch in enumerate(batches):
            rows = pd.DataFrame(batch) if isinstance(batch, list) else batch
            writer.add(to_table(rows, f"batch {number}"), f"batch {number}")
        return writer.finish(), writer.sha256


def read(folder: Path, parts: tuple[PartEntry, ...]) -> list[dict[str, Any]]:
    return [row for part in parts for row in pq.read_table(folder / part.name).to_pylist()]


def hashes(folder: Path, parts: tuple[PartEntry, ...]) -> list[tuple[str, bytes]]:
    return [
        (row["documentId"], row["content"])
        for part in parts
        for row in pq.read_table(folder / "_hashes" / part.name).to_pylist()
    ]


def ids(count: int, **values: Any) -> list[dict[str, Any]]:
    return [{"documentId": f"test://{n}", **values} for n in range(count)]


def test_parts_are_about_a_chunk_and_keep_all_rows_in_order(tmp_path: Path) -> None:
    """Each as full as it may be; the entries tell rows, size and encoded size of each."""
    batches = [ids(3000)[start : start + 700] for start in range(0, 3000, 700)]

    parts, _ = write(tmp_path, *batches, part_bytes=20_000)

    assert [part.name for part in parts] == [f"part-{n:05d}.parquet" for n in range(len(parts))]
    assert [row["documentId"] for row in read(tmp_path, parts)] == [f"test://{n}" for n in range(3000)]
    assert sum(part.rows for part in parts) == 3000
    assert all(19_800 < part.encoded_bytes <= 20_000 for part in parts[:-1])
    for part in parts:
        assert (tmp_path / part.name).stat().st_size == part.bytes
        encoder = Encoder(pa.schema([("documentId", pa.string())]), where="", item_limit=NO_LIMIT)
        table = pq.read_table(tmp_path / part.name).combine_chunks()
        assert len(encoder.encode(table.to_batches()[0]).data) == part.encoded_bytes


def test_a_row_larger_than_a_part_has_one_to_itself(tmp_path: Path) -> None:
    """Nothing is refused for it that a chunk could take."""
    rows = [{"documentId": f"test://{n}", "data": "x" * size} for n, size in enumerate([10, 9_000, 10, 10])]

    parts, _ = write(tmp_path, rows, part_bytes=1_000)

    assert [part.rows for part in parts] == [1, 1, 2]


@given(
    st.lists(
        st.fixed_dictionaries(
            {},
            optional={
                "a": st.integers(-3, 3),
                "b": st.sampled_from([0.5, 2.0, None]),
                "c": st.sampled_from(["x", "é", None]),
                "d": st.lists(st.sampled_from("xy"), max_size=2),
            },
        ),
        min_size=1,
        max_size=12,
    ),
    st.data(),
)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_neither_batches_nor_parts_change_a_hash(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], data: st.DataObject
) -> None:
    """Nor does what stands in other rows: gaps, and fractions in a column of whole numbers."""
    documents = [{"documentId": f"test://{n}", **row} for n, row in enumerate(rows)]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(rows)), max_size=3)))
    bounds = [0, *cuts, len(rows)]
    batches = [documents[a:b] for a, b in pairwise(bounds) if b > a]

    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    parts, sha256 = write(one, documents)
    others, other_sha256 = write(two, *batches, part_bytes=data.draw(st.integers(80, 400)))

    assert hashes(one, parts) == hashes(two, others)
    assert sha256 == other_sha256


def _element(dtype: pa.DataType) -> pa.DataType:
    """Return the type of the single values in a column."""
    if pa.types.is_struct(dtype):
        return _element(dtype.field(0).type)
    if pa.types.is_map(dtype):
        return _element(dtype.item_type)
    return _element(dtype.value_type) if hasattr(dtype, "value_type") else dtype


@given(tables())
@settings(deadline=None, max_examples=80)
def test_a_document_hashes_as_it_does_alone_and_out_of_parquet(
    tmp_path_factory: Any, table: pa.Table
) -> None:
    """Any type the contract allows."""
    folder = tmp_path_factory.mktemp("dataset")
    assume(
        not any(
            pa.types.is_decimal(_element(field.type)) and _element(field.type).scale < 0
            for field in table.schema
        )
    )

    parts, _ = write(folder, table)
    again, _ = write(folder / "again", pq.read_table(folder / parts[0].name))
    alone, _ = write(folder / "alone", *[table.slice(row, 1) for row in range(len(table))])

    assert hashes(folder, parts) == hashes(folder / "again", again) == hashes(folder / "alone", alone)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"n": 7}, {"n": 7.0}, True),
        ({"n": Decimal("1.50")}, {"n": 1.5}, True),
        ({"n": 10**16}, {"n": 1e16}, True),
        ({"n": -0.0}, {"n": 0}, True),
        ({"n": None}, {}, True),
        ({"n": float("nan")}, {}, True),
        ({"d": datetime(2020, 1, 1)}, {"d": date(2020, 1, 1)}, True),
        ({"n": 7}, {"n": 8}, False),
        ({"n": 7}, {"n": "7"}, False),
        ({"n": 7}, {"m": 7}, False),
        ({"n": True}, {"n": 1}, False),
        ({"n": Decimal("0.1000000000000000055511151231257827")}, {"n": 0.1}, False),
        ({"n": []}, {}, False),
        ({"n": ["a", "b"]}, {"n": ["b", "a"]}, False),
        ({"n": {"a": 1, "b": 2}}, {"n": {"b": 2, "a": 1.0}}, True),
        ({"n": {"a": 1}}, {"n": {"a": 2}}, False),
        (
            {"permissions": '[ {"allowedPermissions" : []} ]'},
            {"permissions": '[{"allowedPermissions":[]}]'},
            True,
        ),
    ],
    ids=repr,
)
def test_a_hash_tells_documents_apart_by_what_they_say(
    tmp_path: Path, one: dict[str, Any], other: dict[str, Any], same: bool
) -> None:
    """Not by how it is written down."""
    found = []
    for number, values in enumerate((one, other)):
        parts, _ = write(tmp_path / str(number), [{"documentId": "a:b", **values}])
        found.append(hashes(tmp_path / str(number), parts))

    assert (found[0] == found[1]) is same


def test_a_changed_file_is_a_changed_document(tmp_path: Path) -> None:
    """Under the same URI; a new signature in the URI is no change."""
    stamps = {"s3://b/x?sig=1": "1", "s3://b/x?sig=2": "1", "s3://b/y": "1"}

    def hashed(number: int, uri: str | None) -> list[tuple[str, bytes]]:
        folder = tmp_path / str(number)
        parts, _ = write(folder, [{"documentId": "a:b", "contentUri": uri}], stamp=stamps.__getitem__)
        return hashes(folder, parts)

    first = hashed(0, "s3://b/x?sig=1")
    assert hashed(1, "s3://b/x?sig=2") == first
    assert hashed(2, "s3://b/y") != first
    assert hashed(3, None) != first
    stamps["s3://b/x?sig=1"] = "2"
    assert hashed(4, "s3://b/x?sig=1") != first


def test_hashes_that_are_known_are_kept(tmp_path: Path) -> None:
    """As when the rows that changed are written once more."""
    table = to_table(pd.DataFrame(ids(3)), "")
    known = bytes(range(3 * HASH_BYTES))

    with PartWriter(tmp_path, item_limit=NO_LIMIT, part_bytes=80) as writer:
        writer.add(table, "", hashes=known)
        parts = writer.finish()

    assert b"".join(content for _, content in hashes(tmp_path, parts)) == known
    assert len(parts) == 3


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ([1], [2.5], [1.0, 2.5]),
        ([None], ["x"], [None, "x"]),
        ([1], [None], [1, None]),
        ([float("nan")], ["x"], [None, "x"]),
        ([Decimal("1.5")], [Decimal("100.25")], [Decimal("1.50"), Decimal("100.25")]),
        ([["a"]], [[]], [["a"], []]),
        ([[1]], [[2.5]], [[1.0], [2.5]]),
        ([{"a": 1}], [{"b": "x"}], [{"a": 1, "b": None}, {"a": None, "b": "x"}]),
    ],
    ids=repr,
)
def test_batches_get_one_type(
    tmp_path: Path, first: list[Any], second: list[Any], expected: list[Any]
) -> None:
    """One that holds the values of both."""
    parts, _ = write(
        tmp_path, [{"documentId": "a:1", "k": first[0]}], [{"documentId": "a:2", "k": second[0]}]
    )

    assert [row["k"] for row in read(tmp_path, parts)] == expected


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (1, "x", ["'k'", "int64 in batch 1", "string in batch 2", "no common type"]),
        ([1], 1, ["'k'", "list<", "int64"]),
        (Decimal("1.5"), 1.5, ["'k'", "decimal", "double"]),
        (True, 1, ["'k'", "bool", "int64"]),
        (2**60 + 1, 0.5, ["'k'", "int64", "double", "not every value fits"]),
    ],
    ids=repr,
)
def test_values_without_a_common_type_are_named(
    tmp_path: Path, first: Any, second: Any, words: list[str]
) -> None:
    """With the column, both types, and the rows they stand in, though the column was empty before."""
    with pytest.raises(DatasetError) as raised:
        write(
            tmp_path,
            [{"documentId": "a:0", "k": None}],
            [{"documentId": "a:1", "k": first}],
            [{"documentId": "a:2", "k": second}],
        )

    assert all(word in str(raised.value) for word in words), str(raised.value)


def test_parts_of_one_dataset_agree(tmp_path: Path) -> None:
    """A type found once holds for the parts that follow."""
    parts, _ = write(
        tmp_path, [{"documentId": "a:1", "k": 2.5}], [{"documentId": "a:2", "k": 1}], part_bytes=90
    )

    assert len(parts) == 2
    assert {pq.read_schema(tmp_path / part.name).field("k").type for part in parts} == {pa.float64()}


def test_names_that_differ_in_case_over_batches_are_refused(tmp_path: Path) -> None:
    """As they are within one."""
    with pytest.raises(DatasetError, match="'Price' and 'price' are the same key"):
        write(tmp_path, [{"documentId": "a:1", "Price": 1}], [{"documentId": "a:2", "price": 1}])


@pytest.mark.parametrize("section", [Section.ADD_OR_UPDATE, Section.DELETE])
def test_an_id_that_comes_twice_is_refused(tmp_path: Path, section: Section) -> None:
    """Whichever batches and parts it stands in; both parts are named."""
    with pytest.raises(
        DatasetError, match=r"test://7 2 times in .*part-00000.parquet and .*part-00001.parquet"
    ):
        write(tmp_path, ids(40), [{"documentId": "test://7"}], section=section, part_bytes=1_100)


def test_partial_updates_may_name_an_item_often_but_a_field_once(tmp_path: Path) -> None:
    """They are checked by item and field."""
    entry = {"documentId": "a:1", "operator": "fieldValueReplace", "field": "f", "value": "1"}

    write(tmp_path / "good", [entry, {**entry, "field": "g"}], section=Section.PARTIAL_UPDATE)
    with pytest.raises(DatasetError, match="field f is changed by 2 partial updates"):
        write(tmp_path / "bad", [entry, {**entry, "value": "2"}], section=Section.PARTIAL_UPDATE)


@pytest.mark.parametrize(
    ("rows", "kind", "problem"),
    [
        (
            [{"documentId": None}, {"documentId": "a:b"}],
            DocumentError,
            "in row 0 of batch 0: documentId is missing",
        ),
        ([{"documentId": "x"}], DocumentError, "is not a URI"),
        ([{"title": "x"}], DatasetError, "batch 0: column documentId is missing"),
        ([{"documentId": "a:b", "data": "x" * 99}], DocumentTooLarge, "over the limit of 90 bytes"),
    ],
)
def test_rows_against_the_contract_are_refused(
    tmp_path: Path, rows: list[dict[str, Any]], kind: type[Exception], problem: str
) -> None:
    """By the task that makes them, with the rows they came from."""
    with pytest.raises(kind, match=problem):
        write(tmp_path, rows, item_limit=90)


def test_a_part_is_read_page_by_page(tmp_path: Path) -> None:
    """Rows of very different sizes do not end up in one page, which a reader would hold whole."""
    rows = [*ids(2_000), *[{"documentId": f"big://{n}", "data": "x" * (2 * MIB)} for n in range(4)]]

    parts, _ = write(tmp_path, rows)

    with (tmp_path / parts[0].name).open("rb") as file:
        sizes = [batch.nbytes for batch in Part(file, "part").batches()]
    assert max(sizes) < 5 * MIB


def test_a_hash_is_of_the_canonical_json() -> None:
    """Stated here so that a change of it does not pass unseen: what was remembered would be of no use."""
    table = pa.table({"documentId": ["a:b"], "z": [1.5], "a": ["é"]})
    encoder = Encoder(table.schema, where="", item_limit=NO_LIMIT)

    found = content_hashes(encoder.measure(table.to_batches()[0]))

    from hashlib import blake2b

    text = json.dumps({"a": "é", "documentId": "a:b", "z": 1.5}, ensure_ascii=False, separators=(",", ":"))
    assert found == blake2b(text.encode(), digest_size=HASH_BYTES).digest()

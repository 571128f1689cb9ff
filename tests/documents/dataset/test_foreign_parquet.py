"""Parquet as other programs write it: every value arrives as it was written, or the file is refused by name."""

from __future__ import annotations

import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coveo_provider.documents.dataset.tables import Part
from coveo_provider.documents.encoding.batches import Encoder
from coveo_provider.errors import DatasetError
from tests.documents.strategies import NO_LIMIT, documents_in

_IDS = pa.array(["a:1", "a:2", "a:3"])


def written(table: pa.Table, **options: Any) -> io.BytesIO:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink


def sent(file: io.BytesIO, **options: Any) -> list[Any]:
    """Return the documents that a file becomes, as JSON has them."""
    part = Part(file, "f.parquet", **options)
    encoder = Encoder(part.schema, where="f.parquet", item_limit=NO_LIMIT)
    return [document for batch in part.batches() for document in documents_in(encoder.encode(batch))]


def of_96_bits(moments: list[Any], unit: str = "us") -> io.BytesIO:
    column = pa.array(moments, pa.timestamp(unit))
    return written(
        pa.table({"documentId": _IDS[: len(column)], "at": column}), use_deprecated_int96_timestamps=True
    )


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(9999, 12, 31, 23, 59, 59, 999999), "9999-12-31T23:59:59.999999Z"),
        (datetime(1, 1, 1), "0001-01-01T00:00:00Z"),
        (datetime(2262, 4, 12), "2262-04-12T00:00:00Z"),
        (datetime(1969, 12, 31, 23, 59, 59, 1), "1969-12-31T23:59:59.000001Z"),
        (datetime(2026, 1, 2, 3, 4, 5), "2026-01-02T03:04:05Z"),
    ],
    ids=str,
)
def test_moments_of_96_bits_reach_from_the_year_1_to_9999(moment: datetime, expected: str) -> None:
    """Far dates stand for *for ever* in many tables; read in nanoseconds, 9999 would be 1816."""
    assert [document.get("at") for document in sent(of_96_bits([moment, None]))] == [expected, None]


@given(st.lists(st.integers(-(2**63) + 1, 2**63 - 1) | st.integers(-5_000, 5_000), min_size=1, max_size=3))
@settings(deadline=None, max_examples=50)
def test_moments_of_96_bits_keep_their_nanoseconds(moments: list[int]) -> None:
    """As Hive and Impala write them: what comes out is what went in."""
    part = Part(of_96_bits(moments, "ns"), "f.parquet")
    column = pa.Table.from_batches(list(part.batches())).column("at")
    assert column.cast(pa.timestamp("ns")).cast(pa.int64()).to_pylist() == moments


def test_moments_of_96_bits_are_found_in_nests() -> None:
    """In lists and structs too."""
    moments = pa.array([1, 2_000, None], pa.timestamp("ns"))
    table = pa.table({
        "documentId": _IDS,
        "list": pa.array([[one] for one in moments.to_pylist()], pa.list_(pa.timestamp("ns"))),
    })  # fmt: skip
    found = sent(written(table, use_deprecated_int96_timestamps=True))
    assert [document["list"] for document in found] == [
        ["1970-01-01T00:00:00.000000001Z"],
        ["1970-01-01T00:00:00.000002Z"],
        [],
    ]


def test_moments_of_96_bits_that_no_unit_holds_are_refused() -> None:
    """Nanoseconds in one column, the year 9999 in another: by both names."""
    fine = pa.table({"documentId": _IDS[:1], "fine": pa.array([1], pa.timestamp("ns"))})
    far = pa.array([datetime(9999, 1, 1)], pa.timestamp("us"))
    data = bytearray(
        written(fine.append_column("far", fine["fine"]), use_deprecated_int96_timestamps=True).getvalue()
    )
    other = written(fine.append_column("far", far), use_deprecated_int96_timestamps=True).getvalue()
    bits = _96_bits(datetime(9999, 1, 1))
    assert bits in other
    place = data.rindex(_96_bits(datetime(1970, 1, 1), 1), 0, data.rindex(b"far"))
    data[place : place + 12] = bits
    with pytest.raises(
        DatasetError, match=r"f\.parquet: column 'fine' holds nanoseconds, and column 'far' moments"
    ):
        Part(io.BytesIO(bytes(data)), "f.parquet")


def _96_bits(moment: datetime, nanoseconds: int = 0) -> bytes:
    day = (moment - datetime(1970, 1, 1)).days + 2_440_588
    return nanoseconds.to_bytes(8, "little") + day.to_bytes(4, "little")


def test_a_page_that_is_not_what_its_checksum_says_is_refused() -> None:
    """One bit of a price makes another price, which nothing else would notice."""
    table = pa.table({"documentId": _IDS, "price": pa.array([10.0, 20.0, 30.0])})
    options: dict[str, Any] = {"compression": None, "use_dictionary": False}
    data = bytearray(written(table, write_page_checksum=True, **options).getvalue())
    data[data.index(pa.array([20.0]).buffers()[1].to_pybytes()) + 6] ^= 1
    with pytest.raises(
        DatasetError, match=r"f\.parquet: is damaged: a page is not what its own checksum says.*again"
    ):
        list(Part(io.BytesIO(bytes(data)), "f.parquet").batches())


def test_the_index_of_a_frame_without_a_name_is_left_out() -> None:
    """As a filter or concat leaves it, it makes another document of nearly each row every night."""
    frame = pd.DataFrame({"documentId": ["a:1", "a:2", "a:3", "a:4"], "n": [1, 2, 3, 4]})
    kept = frame[frame["n"] != 3]
    part = Part(written(pa.Table.from_pandas(kept)), "f.parquet")
    assert part.left_out == ["__index_level_0__"]
    assert part.schema.names == ["documentId", "n"]
    assert [row for batch in part.batches() for row in batch.to_pylist()] == kept.to_dict("records")
    assert [batch.schema.names for batch in part.batches(["n"])] == [["n"]]


_NAMED = pd.DataFrame({"n": [1]}, index=pd.Index(["a:1"], name="documentId"))
_LEVELS = pd.DataFrame({"n": [1]}, index=pd.MultiIndex.from_tuples([("a:1", 2)], names=["documentId", None]))
_PLAIN = pa.table({"documentId": ["a:1"], "__index_level_0__": [7]})
_OTHER = {"pandas": json.dumps({"index_columns": ["documentId", 5, None]})}


@pytest.mark.parametrize(
    ("table", "names"),
    [
        (pa.Table.from_pandas(_NAMED), ["n", "documentId"]),
        (pa.Table.from_pandas(_LEVELS), ["n", "documentId"]),
        (pa.Table.from_pandas(pd.DataFrame({"documentId": ["a:1"]})), ["documentId"]),
        (_PLAIN, ["documentId", "__index_level_0__"]),
        (_PLAIN.replace_schema_metadata({"pandas": "{"}), ["documentId", "__index_level_0__"]),
        (_PLAIN.replace_schema_metadata(_OTHER), ["documentId", "__index_level_0__"]),
    ],
)
def test_an_index_with_a_name_is_data(table: pa.Table, names: list[str]) -> None:
    """Whoever named it may want it; and only the file's own metadata tell what an index is."""
    assert Part(written(table), "f.parquet").schema.names == names


@pytest.mark.parametrize(
    ("value", "column", "expected"),
    [
        ("de", None, "de"),
        (None, None, None),
        ("7", pa.array([7, 7, 7]), 7),
        ("07", pa.array([7, 7, 7], pa.int8()), 7),
        ("2026-01-01", pa.array([20454] * 3, pa.date32()), "2026-01-01T00:00:00Z"),
        ("de", pa.array(["de"] * 3).dictionary_encode(), "de"),
        (None, pa.array([None] * 3, pa.string()), None),
    ],
)
def test_a_column_in_the_path_is_a_column(value: Any, column: Any, expected: Any) -> None:
    """One of texts; or the file's own, which says the same."""
    table = pa.table({"documentId": _IDS, **({} if column is None else {"country": column})})
    found = sent(written(table), partitions={"country": value})
    assert [document.get("country") for document in found] == [expected] * 3
    part = Part(written(table), "f.parquet", {"country": value})
    assert [batch.schema.names for batch in part.batches(["country"])] == [["country"]]


@pytest.mark.parametrize(
    ("value", "column"),
    [
        ("de", pa.array(["de", "fr", "de"])),
        ("de", pa.array(["de", None, "de"])),
        (None, pa.array(["de"] * 3)),
        ("x", pa.array([1, 2, 3])),
        ("1", pa.array([[1]] * 3)),
    ],
)
def test_a_column_in_the_path_that_the_file_contradicts_is_refused(value: Any, column: pa.Array) -> None:
    """Nothing says which of the two counts."""
    table = pa.table({"documentId": _IDS, "country": column})
    with pytest.raises(DatasetError, match=r"f\.parquet: its folder says that country is"):
        sent(written(table), partitions={"country": value})


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "it has no bytes"),
        (b"id,name\n1,a\n", "it begins with b'id,name"),
        (b"\x1f\x8b\x08\x00" + b"x" * 20, "it is gzip"),
        (b"ORC" + b"x" * 20, "it is ORC"),
        (b"Obj\x01" + b"x" * 20, "it is Avro"),
        (b"PARE" + b"x" * 20 + b"PARE", "it is encrypted"),
        (b"PAR1" + b"x" * 20, "it is cut off"),
        (b"PAR1" + b"x" * 20 + b"PAR1", "is not a Parquet file that can be read"),
    ],
)
def test_a_file_that_is_no_parquet_is_told_what_it_is(data: bytes, problem: str) -> None:
    """With what helps."""
    with pytest.raises(
        DatasetError, match=f"f.parquet: is not a Parquet file that can be read: .*{problem}|{problem}"
    ):
        Part(io.BytesIO(data), "f.parquet")


def test_an_encrypted_footer_is_said_to_be_one(tmp_path: Path) -> None:
    """As Parquet's own encryption writes it."""
    import pyarrow.parquet.encryption as pe

    class Keys(pe.KmsClient):  # type: ignore[misc]
        def __init__(self, _: Any) -> None:
            super().__init__()

        def wrap_key(self, key: bytes, name: str) -> bytes:
            return key

        def unwrap_key(self, key: bytes, name: str) -> bytes:
            return key

    factory = pe.CryptoFactory(Keys)
    properties = factory.file_encryption_properties(
        pe.KmsConnectionConfig(),
        pe.EncryptionConfiguration(footer_key="f", column_keys={"k": ["documentId"]}),
    )
    path = tmp_path / "f.parquet"
    table = pa.table({"documentId": _IDS})
    with pq.ParquetWriter(path, table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)
    with path.open("rb") as file, pytest.raises(DatasetError, match="encrypted"):
        Part(file, "f.parquet")

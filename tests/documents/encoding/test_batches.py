"""A batch of rows becomes the JSON of its documents."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from coveo_provider.documents.encoding.batches import Encoder
from coveo_provider.documents.encoding.documents import encode_document
from coveo_provider.errors import DatasetError, DocumentError, DocumentTooLarge
from tests.documents.strategies import NO_LIMIT, documents_in, encode, read, rows_of, table_of, tables

wide = settings(deadline=None, max_examples=200, suppress_health_check=list(HealthCheck))

IDENTITY = pa.struct([("identity", pa.string()), ("identityType", pa.string())])
PERMISSIONS = pa.list_(
    pa.struct([("allowAnonymous", pa.bool_()), ("allowedPermissions", pa.list_(IDENTITY))])
)


def text_of(data: bytes) -> pa.Array:
    """Return a string column of one row that holds these bytes."""
    ends = pa.py_buffer(np.array([0, len(data)], np.int32))
    return pa.Array.from_buffers(pa.string(), 1, [None, ends, pa.py_buffer(data)])


@wide
@given(tables())
def test_a_batch_says_what_its_rows_say_one_by_one(table: pa.Table) -> None:
    """Written by column or value by value, a document is the same, to the last digit."""
    one_by_one = [read(encode_document(row)) for row in rows_of(table)]

    assert encode(table) == one_by_one


@pytest.mark.long
@settings(wide, max_examples=5_000)
@given(tables())
def test_many_batches_say_what_their_rows_say_one_by_one(table: pa.Table) -> None:
    """The same over many more datasets."""
    assert encode(table) == [read(encode_document(row)) for row in rows_of(table)]


def test_the_id_comes_first_and_nothing_is_padded() -> None:
    """The bytes are compact, and begin with what a reader of logs looks for."""
    table = table_of(title=pa.array(["é"])).select(["title", "documentId"])

    encoded = Encoder(table.schema, where="p", item_limit=99).encode(table.to_batches()[0])

    assert bytes(encoded.data[: encoded.ends[0]]) == '{"documentId":"test://0","title":"é"},'.encode()


def test_what_is_empty_is_absent() -> None:
    """Null, NaN and NaT leave their keys out, and lists lose their empty elements."""
    table = table_of(
        text=pa.array([None], pa.string()),
        number=pa.array([float("nan")]),
        date=pa.array([None], pa.timestamp("ns")),
        nothing=pa.nulls(1),
        flag=pa.array([None], pa.bool_()),
        tags=pa.array([["a", None]]),
        sizes=pa.array([[1.5, float("nan"), None]]),
        none=pa.array([[]], pa.list_(pa.string())),
    )

    assert encode(table) == [{"documentId": "test://0", "tags": ["a"], "sizes": [Decimal("1.5")], "none": []}]


def test_reserved_keys_take_the_spelling_of_the_api() -> None:
    """Users may write them in any case; metadata keeps its own."""
    table = pa.table({"DOCUMENTID": ["a:b"], "fileextension": [".html"], "Title": ["x"]})

    assert encode(table) == [{"documentId": "a:b", "fileExtension": ".html", "Title": "x"}]


@pytest.mark.parametrize("name", ["*", "^.*$", "^document.*$", "0", 'a"b', "a\\b", "a\x00b", "\u2028x", "🎉"])
def test_a_column_may_have_any_name(name: str) -> None:
    """Also names that mean something to the library that writes the JSON."""
    table = table_of(**{name: pa.array([1, None]), "other": pa.array(["x", "y"])})

    assert encode(table) == [
        {"documentId": "test://0", name: 1, "other": "x"},
        {"documentId": "test://1", "other": "y"},
    ]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([1_577_880_000], pa.timestamp("s", "Europe/Paris")), "2020-01-01T12:00:00Z"),
        (
            pa.array([1_577_880_000], pa.timestamp("s", "Asia/Tokyo")).dictionary_encode(),
            "2020-01-01T12:00:00Z",
        ),
        (pa.array([1_577_880_000], pa.timestamp("s", "No/Where")), "2020-01-01T12:00:00Z"),
        (pa.array([1_577_880_000_123], pa.timestamp("ms")), "2020-01-01T12:00:00.123Z"),
        (pa.array([1], pa.timestamp("ns")), "1970-01-01T00:00:00.000000001Z"),
        (pa.array([0], pa.date32()), "1970-01-01T00:00:00Z"),
        (pa.array([-62_135_596_800], pa.timestamp("s")), "0001-01-01T00:00:00Z"),
        (pa.array([253_402_300_799_999_999], pa.timestamp("us")), "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_moments_are_written_in_utc(column: pa.Array, expected: str) -> None:
    """ISO 8601 with Z, whatever the unit and the zone of the column."""
    assert encode(table_of(date=column))[0]["date"] == expected


@pytest.mark.parametrize(
    "column",
    [
        pa.array([0, 2**62], pa.timestamp("s")),
        pa.array([0, -(2**62)], pa.timestamp("s")),
        pa.array([0, 2**62], pa.timestamp("ms")),
        pa.array([0, 2**62], pa.timestamp("us")),
        pa.array([0, 253_402_300_800], pa.timestamp("s")),
        pa.array([0, -62_135_596_800_000_001], pa.timestamp("us")),
        pa.array([0, 2**31 - 1], pa.date32()),
        pa.array([[0], [2**62]], pa.list_(pa.timestamp("s"))),
        pa.array([[0], [2**30]], pa.list_(pa.date32())),
    ],
)
def test_a_date_no_calendar_has_is_refused(column: pa.Array) -> None:
    """Instead of a wrong one being sent."""
    with pytest.raises(DocumentError, match=r"test://1: date holds a date outside the years 1 to 9999"):
        encode(table_of(date=column))


@pytest.mark.parametrize(
    ("dtype", "number", "text"),
    [
        (pa.decimal128(38, 38), "1E-38", "0." + "0" * 37 + "1"),
        (pa.decimal128(5, 14), "1E-12", "0.00000000000100"),
        (pa.decimal128(5, 2), "-0.05", "-0.05"),
        (pa.decimal256(76, 0), "9" * 76, "9" * 76),
        (pa.decimal128(3, -3), "1000", "1000"),
    ],
)
def test_decimals_keep_their_digits(dtype: pa.DataType, number: str, text: str) -> None:
    """A price is sent as it is, whatever its precision and scale."""
    table = table_of(price=pa.array([Decimal(number)], dtype))

    data = Encoder(table.schema, where="p", item_limit=NO_LIMIT).encode(table.to_batches()[0]).data

    assert f'"price":{text}}}'.encode() in bytes(data)


def test_narrow_decimals_are_numbers_too() -> None:
    """Arrow has decimals of 32 and 64 bits."""
    table = table_of(price=pa.array([Decimal("1.5")], pa.decimal64(9, 2)))

    assert encode(table)[0]["price"] == Decimal("1.50")


def test_a_decimal_that_cannot_be_read_is_named() -> None:
    """Arrow itself cannot return some decimals of an odd scale."""
    table = table_of(price=pa.array([None, Decimal("1E-60")], pa.decimal128(38, 60)))

    with pytest.raises(DocumentError, match=r"document test://1: price cannot be read"):
        encode(table)


def test_text_that_looks_like_json_stays_text() -> None:
    """Leaving nulls out never touches what a string says."""
    hostile = ['{"identity":null}', ',"identity":null', '","identity":null,"', "\\", "\x00\u2028🎉"]
    entries = [{"identity": text, "identityType": "User"} for text in hostile]
    values = [[{"allowAnonymous": None, "allowedPermissions": [entry]}] for entry in entries]
    table = table_of(permissions=pa.array(values, PERMISSIONS), text=pa.array(hostile))

    assert encode(table) == [
        {
            "documentId": f"test://{i}",
            "text": text,
            "permissions": [{"allowedPermissions": [{"identity": text, "identityType": "User"}]}],
        }
        for i, text in enumerate(hostile)
    ]


def test_typed_permissions_lose_keys_that_are_null() -> None:
    """As a struct cannot leave one out; a null among the entries of a list is refused."""
    value = [
        {"allowAnonymous": None, "allowedPermissions": []},
        {"allowAnonymous": True, "allowedPermissions": None},
    ]

    documents = encode(table_of(permissions=pa.array([value, None], PERMISSIONS)))

    assert documents == [
        {"documentId": "test://0", "permissions": [{"allowedPermissions": []}, {"allowAnonymous": True}]},
        {"documentId": "test://1"},
    ]


def test_permissions_may_be_json_text() -> None:
    """Also of a repeated kind, as a categorical column holds them."""
    text = '[{"allowAnonymous": false, "deniedPermissions": [ {"identity":"é", "identitytype":"USER"} ]}]'
    column = pa.array([text, text, None]).dictionary_encode()

    documents = encode(table_of(permissions=column))

    expected = [{"allowAnonymous": False, "deniedPermissions": [{"identity": "é", "identityType": "User"}]}]
    assert [document.get("permissions") for document in documents] == [expected, expected, None]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[", "is not JSON"),
        ("", "is not JSON"),
        ("null", "is null"),
        ("{}", "is not a list"),
        ("[1]", "is not a list"),
        ('[{"a": NaN}]', "NaN, which is no JSON number"),
        ('[{"a": 1, "A": 2}]', "has key 'A' twice"),
        ("[" * 100_000, "nested deeper"),
        ('[{"a":' * 20 + "1" + "}]" * 20, "nested deeper"),
        ('[{"a": 1}]', "unknown key 'a'"),
        ('[{"deniedPermissions": [{"identity": "\\ud800", "identityType": "User"}]}]', "surrogates"),
        ("[" + "1" * 5_000 + "]", "digits"),
    ],
)
def test_bad_permissions_are_refused(text: str, problem: str) -> None:
    """What would be lost or misread could make a document public."""
    with pytest.raises(DocumentError, match=rf"document test://1: permissions: .*{problem}"):
        encode(table_of(permissions=pa.array(["[]", text])))


def test_bytes_are_sent_as_base64() -> None:
    """In the one column that may hold them."""
    for dtype in (pa.binary(), pa.large_binary(), pa.binary_view()):
        table = table_of(compressedBinaryData=pa.array([b"\x00\xff", None], dtype))

        assert [d.get("compressedBinaryData") for d in encode(table)] == ["AP8=", None]


@pytest.mark.parametrize("dtype", [pa.string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())])
def test_compression_types_are_sent_in_upper_case(dtype: pa.DataType) -> None:
    """The spelling all pages agree on (docs 69)."""
    table = table_of(compressionType=pa.array(["ZLib", None], pa.string()).cast(dtype))

    assert [d.get("compressionType") for d in encode(table)] == ["ZLIB", None]


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"fileExtension": [".html", "html"]}, "fileExtension needs a leading dot"),
        ({"fileExtension": [None, ".ht ml"]}, "fileExtension needs a leading dot"),
        ({"compressionType": [None, "zip"]}, "compressionType is not one of UNCOMPRESSED"),
        ({"parentId": [None, "parent"]}, "parentId is not a URI"),
        ({"data": ["x", "x"], "compressedBinaryData": [None, "eA=="]}, "more than one of data"),
        ({"price": [1.0, float("-inf")]}, "price holds infinity"),
        ({"prices": [[1.0], [2.0, float("inf")]]}, "prices holds infinity"),
        ({"stores": [{"a": 1.0}, {"a": float("inf")}]}, "stores: infinity"),
    ],
)
def test_the_document_at_fault_is_named(columns: dict[str, list[Any]], problem: str) -> None:
    """By its id, with what was expected."""
    with pytest.raises(DocumentError, match=rf"document test://1: .*{problem}") as caught:
        encode(table_of(**columns))

    assert caught.value.document_id == "test://1"


@pytest.mark.parametrize(
    "identifier",
    ["no-scheme", "a: b", "a:", ":b", "1a:b", 'a:"', "a:b\n", "a:\u00a0b", "a:b\u2028", "a:<b>", "a:\\b"],
)
def test_an_id_that_is_no_uri_is_refused(identifier: str) -> None:
    """It would be accepted and might never be indexed (docs 78)."""
    with pytest.raises(DocumentError, match="documentId is not a URI"):
        encode(table_of(["a:b", identifier]))


@pytest.mark.parametrize("identifier", [None, "", "  ", "\t"])
def test_a_missing_id_is_named_by_its_row(identifier: str | None) -> None:
    """Counted over the batches of its part."""
    encoder = Encoder(table_of().schema, where="part-7", item_limit=NO_LIMIT)

    with pytest.raises(DocumentError, match=r"in row 1,001 of part-7: documentId is missing"):
        encoder.encode(table_of(["a:b", identifier]).to_batches()[0], first_row=1_000)


def test_a_long_id_is_cut_in_the_error() -> None:
    """An error fits on a screen."""
    with pytest.raises(DocumentError) as caught:
        encode(table_of(["x" * 10_000_000]))

    assert len(str(caught.value)) < 500


def test_a_document_over_the_limit_is_named() -> None:
    """Its size is that of its JSON, without the comma; the limit itself is still allowed."""
    table = table_of(text=pa.array(["a", "é" * 50]))
    size = len('{"documentId":"test://1","text":""}') + 100

    assert len(encode(table, item_limit=size)) == 2
    with pytest.raises(DocumentTooLarge) as caught:
        encode(table, item_limit=size - 1)

    assert (caught.value.document_id, caught.value.size, caught.value.limit) == ("test://1", size, size - 1)


def test_a_text_of_ten_megabytes_is_encoded() -> None:
    """Limits are the caller's; nothing breaks before them."""
    assert len(encode(table_of(data=pa.array(["\\" * 10_000_000])))[0]["data"]) == 10_000_000


@pytest.mark.parametrize("values", [text_of(b"\xff\xfe"), pa.ListArray.from_arrays([0, 1], text_of(b"\xff"))])
def test_text_that_is_not_utf8_is_refused(values: pa.Array) -> None:
    """A Parquet file may claim to hold text and hold anything."""
    with pytest.raises(DatasetError, match=r"part-0: column 'title' cannot be read: .*UTF8"):
        encode(table_of(title=values))


def test_a_key_twice_in_a_map_is_refused() -> None:
    """One of its values would be lost."""
    values = pa.array([[("a", 1)], [("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int32()))

    with pytest.raises(DocumentError, match="test://1: stores has a key twice in one object"):
        encode(table_of(stores=values))


def test_a_dictionary_field_may_have_an_empty_key() -> None:
    """It is the default value (docs 2036)."""
    maps = pa.array([[("", 1), ("b", None)]], pa.map_(pa.string(), pa.int32()))
    structs = pa.array([{"": "x", "b": None}], pa.struct([("", pa.string()), ("b", pa.string())]))

    assert encode(table_of(a=maps, b=structs)) == [{"documentId": "test://0", "a": {"": 1}, "b": {"": "x"}}]


def test_deletions_hold_an_id_and_whether_children_go_too() -> None:
    """And nothing else; an unknown choice is left to the API's default."""
    table = pa.table({"DocumentId": ["a:b", "c:d"], "deletechildren": [True, None]})

    assert encode(table, deletions=True) == [
        {"documentId": "a:b", "deleteChildren": True},
        {"documentId": "c:d"},
    ]


def test_an_empty_batch_is_nothing() -> None:
    """Some writers leave batches without rows behind."""
    table = table_of(title=pa.array(["x"]))
    empty = table.to_batches()[0].slice(0, 0)

    assert documents_in(Encoder(table.schema, where="p", item_limit=9).encode(empty)) == []


def test_the_slice_of_a_batch_is_encoded_as_such() -> None:
    """Batches are cut without a copy."""
    table = table_of(n=pa.array([1, 2, 3]), tags=pa.array([["a"], ["b"], ["c"]]), c=pa.array([*"xyz"]))
    batch = table.to_batches()[0].slice(1, 1)

    documents = documents_in(Encoder(table.schema, where="p", item_limit=NO_LIMIT).encode(batch))

    assert documents == [{"documentId": "test://1", "n": 2, "tags": ["b"], "c": "y"}]


def test_equal_ids_have_equal_hashes_in_any_batch() -> None:
    """Whatever the type of their column."""
    hashes = []
    for dtype in (pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())):
        table = pa.table({"documentId": pa.array(["a:b", "e:é"]).cast(dtype)})
        encoder = Encoder(table.schema, where="p", item_limit=NO_LIMIT)
        hashes.append(encoder.encode(table.to_batches()[0]).id_hashes.tolist())

    assert hashes[0] == hashes[1] == hashes[2] == pl.Series(["a:b", "e:é"]).hash().to_list()
    assert len(set(hashes[0])) == 2


def test_a_zone_without_a_name_is_utc_with_an_offset() -> None:
    """Python's fixed offsets arrive as such."""
    moment = datetime(2020, 1, 1, 12, tzinfo=timezone(timedelta(hours=5, minutes=30)))

    assert encode(table_of(date=pa.array([moment])))[0]["date"] == "2020-01-01T06:30:00Z"


def test_lists_that_are_all_empty_stay_empty() -> None:
    """Arrow may leave out what describes their elements, which polars would read all the same."""
    nothing = pa.py_buffer(b"")
    elements = pa.Array.from_buffers(pa.string(), 0, [None, nothing, nothing])

    documents = encode(table_of(tags=pa.ListArray.from_arrays(pa.array([0, None, 0], pa.int32()), elements)))

    assert [document.get("tags") for document in documents] == [[], None]

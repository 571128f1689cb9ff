"""Partial updates: what an entry may be, and how it becomes JSON."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coveo_provider.documents.contract import Section
from coveo_provider.documents.dataset.tables import Part
from coveo_provider.documents.encoding.partial_update_batches import PartialUpdateEncoder
from coveo_provider.documents.encoding.rows import Rows
from coveo_provider.errors import DataError, DatasetError, DocumentError, DocumentTooLarge

NO_LIMIT = 10**9

scalars = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"])),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
)
lists = st.lists(scalars, max_size=4)
objects = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), scalars, max_size=4)
entries = st.one_of(
    st.tuples(st.just("fieldValueReplace"), st.one_of(scalars, lists, objects, st.none())),
    st.tuples(st.sampled_from(["arrayAppend", "arrayRemove"]), lists),
    st.tuples(st.just("dictionaryPut"), objects),
    st.tuples(
        st.just("dictionaryRemove"),
        st.one_of(
            st.text(st.characters(exclude_categories=["Cs"])),
            st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=3),
        ),
    ),
)


def entry(operator: str, value: Any, **other: Any) -> dict[str, Any]:
    return {"documentId": "product://1", "operator": operator, "field": "ec_price", "value": value, **other}


def of_rows(*rows: dict[str, Any], limit: int = NO_LIMIT) -> list[dict[str, Any]]:
    """Encode entries given inline."""
    encoded = list(Rows(rows, "changes").encode(Section.PARTIAL_UPDATE, limit))
    return [found for one in encoded for found in json.loads(b"[" + bytes(one.data)[:-1] + b"]")]


def of_columns(values: pa.Array, operator: str = "fieldValueReplace", **columns: Any) -> list[dict[str, Any]]:
    """Encode entries of a part whose column ``value`` is given."""
    count = len(values)
    table = pa.table(
        {
            "documentId": [f"product://{n}" for n in range(count)],
            "operator": [operator] * count,
            "field": ["f"] * count,
            "value": values,
            **columns,
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file)
    part = Part(file, "part-0")
    encoder = PartialUpdateEncoder(part.schema, where="part-0", item_limit=NO_LIMIT)
    (encoded,) = [encoder.encode(batch) for batch in part.batches()]
    assert encoded.ends[-1] == len(encoded.data)
    found: list[dict[str, Any]] = json.loads(b"[" + bytes(encoded.data)[:-1] + b"]")
    return found


@given(st.lists(entries, min_size=1, max_size=5))
def test_what_is_given_inline_and_in_a_column_is_the_same(changes: list[tuple[str, Any]]) -> None:
    """A row holds the value itself, a column of strings its JSON; the API gets that value."""
    rows = [
        entry(operator, value, documentId=f"product://{n}") for n, (operator, value) in enumerate(changes)
    ]
    table = pa.Table.from_pylist([{**row, "value": json.dumps(row["value"])} for row in rows])
    encoder = PartialUpdateEncoder(table.schema, where="part-0", item_limit=NO_LIMIT)
    (encoded,) = [encoder.encode(batch) for batch in table.to_batches()]

    assert of_rows(*rows) == rows
    assert json.loads(b"[" + bytes(encoded.data)[:-1] + b"]") == rows


@pytest.mark.parametrize(
    ("operator", "value", "problem"),
    [
        ("arrayAppend", "sku-8", "ec_price: arrayAppend takes a list of values, not '\"sku-8\"'"),
        ("arrayAppend", [["a"]], "arrayAppend takes a list|ec_price: value is nested deeper"),
        ("arrayRemove", {"a": 1}, "arrayRemove takes a list"),
        ("arrayRemove", None, "arrayRemove takes a list"),
        ("dictionaryPut", ["a"], "dictionaryPut takes an object"),
        (
            "dictionaryPut",
            {"a": ["b"]},
            "dictionaryPut takes an object whose values are not nested|nested deeper",
        ),
        ("dictionaryRemove", 7, "dictionaryRemove takes a key or a list of keys, not '7'"),
        ("dictionaryRemove", [7], "dictionaryRemove takes a key"),
        ("dictionaryRemove", {"a": 1}, "dictionaryRemove takes a key"),
        ("fieldValueReplace", [[1]], "fieldValueReplace takes a value, a list of values|nested deeper"),
        ("fieldValueReplace", {"a": {"b": 1}}, "fieldValueReplace takes a value|nested deeper"),
        ("FIELDVALUEREPLACE", 1, "operator 'FIELDVALUEREPLACE' is none of fieldValueReplace, arrayAppend"),
        (None, 1, "operator None is none of"),
    ],
)
def test_an_operator_takes_its_own_kind_of_value(operator: Any, value: Any, problem: str) -> None:
    """What does not fit is refused with the document, the field and what is expected, in either form."""
    with pytest.raises(DocumentError, match=problem) as refused:
        of_rows(entry(operator, value))
    assert refused.value.document_id == "product://1"

    with pytest.raises(DataError, match=r"product://0|column operator"):
        of_columns(pa.array([json.dumps(value)]), operator)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (entry("arrayAppend", ["a"], field=""), "field is missing"),
        (entry("arrayAppend", ["a"], field="Data"), "Data is no field"),
        (entry("arrayAppend", ["a"], documentId="no uri"), "documentId is not a URI"),
        (entry("arrayAppend", ["a"], documentId=None), "row 0 of changes: documentId is missing"),
        (entry("arrayAppend", ["a"], ec_name="x"), "key 'ec_name' has no place in a partial update"),
        ({"documentId": "a:1", "operator": "fieldValueReplace", "field": "x"}, "x: value is missing"),
        (entry("fieldValueReplace", float("nan")), "ec_price: value is missing"),
        (entry("fieldValueReplace", float("inf")), "infinity"),
        (entry("fieldValueReplace", "\ud800"), "surrogate"),
        (entry("fieldValueReplace", 2**70), "64-bit"),
    ],
)
def test_an_entry_is_whole_and_can_be_sent(row: dict[str, Any], problem: str) -> None:
    """Each of its keys is checked before anything is sent."""
    with pytest.raises(DocumentError, match=problem):
        of_rows(row)


def test_a_column_may_hold_the_values_themselves() -> None:
    """Numbers, decimals with their digits, lists: no need to write JSON."""
    assert [e["value"] for e in of_columns(pa.array([19.99, 5.0]))] == [19.99, 5.0]
    assert [e["value"] for e in of_columns(pa.array([["a"], ["b", "c"]]), "arrayAppend")] == [
        ["a"],
        ["b", "c"],
    ]
    assert [e["value"] for e in of_columns(pa.array([Decimal("0.10")]))] == [0.1]
    stores = pa.array([[("store1", "5.00")]], pa.map_(pa.string(), pa.string()))
    assert [e["value"] for e in of_columns(stores, "dictionaryPut")] == [{"store1": "5.00"}]


def test_values_of_a_column_keep_what_they_say() -> None:
    """Floats of 32 bits their digits, moments their nanoseconds; one that is no value names its item."""
    assert [one["value"] for one in of_columns(pa.array([0.1, 2.5], pa.float32()))] == [0.1, 2.5]
    moments = pa.array([1_700_000_000_123_456_789], pa.timestamp("ns", "Mars/Olympus"))
    assert of_columns(moments)[0]["value"] == "2023-11-14T22:13:20.123456789Z"
    far = pa.array([0, 2**31 - 1], pa.int32()).cast(pa.date32())
    with pytest.raises(DocumentError, match=r"product://1: value holds a date outside the years 1 to 9999"):
        of_columns(far)


def test_an_empty_cell_removes_nothing() -> None:
    """An absent price is a mistake of the extract far more often than a wish; JSON null is the wish."""
    with pytest.raises(
        DocumentError, match=r"product://1: f: value is missing.*the JSON null, and no empty cell"
    ):
        of_columns(pa.array([1.5, None]))
    with pytest.raises(DocumentError, match="value is missing"):
        of_columns(pa.array([1.5, float("nan")]))
    assert of_columns(pa.array(["null"]))[0]["value"] is None


@pytest.mark.parametrize("text", ["Blue shoes", "{'a': 1}", "", "NaN", '{"a": 1, "a": 2}', "[1,", "\x00"])
def test_a_text_that_is_no_json_is_refused(text: str) -> None:
    """The message says how a text is written."""
    with pytest.raises(DocumentError, match=r"not JSON|key twice"):
        of_columns(pa.array([text]))


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        (["documentId", "operator", "field"], "part-0: column value is missing; a partial update needs"),
        (["operator", "field", "value"], "column documentId is missing"),
        (
            ["documentId", "operator", "field", "value", "ec_name"],
            "'ec_name' has no place in a partial update",
        ),
    ],
)
def test_a_dataset_of_partial_updates_has_four_columns(columns: list[str], problem: str) -> None:
    """A part that lacks one, or has others, is refused before its first row."""
    schema = pa.schema([(name, pa.string()) for name in columns])
    with pytest.raises(DatasetError, match=problem):
        PartialUpdateEncoder(schema, where="part-0", item_limit=1)


def test_an_entry_over_the_limit_is_refused() -> None:
    """By its size as it would be sent."""
    with pytest.raises(DocumentTooLarge, match="product://1: is 1,0"):
        of_rows(entry("fieldValueReplace", "x" * 1_000), limit=1_000)

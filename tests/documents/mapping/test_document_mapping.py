"""The columns of a frame become the keys of documents, as declared."""

from __future__ import annotations

import math
import re
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from coveo_provider.documents import Constant, DocumentMapping, PermissionColumns, Split, Template
from coveo_provider.documents.dataset.tables import to_table
from coveo_provider.errors import MappingError
from tests.documents.strategies import encode

FRAME = pd.DataFrame({"sku": [7, 8], "name": ["Boot", None], "tags": ["a; b;;", None], "price": [9.5, 3.0]})

TEXT_TYPES = [object, "str", "string", "category", pd.ArrowDtype(pa.string())]


def documents(mapping: DocumentMapping, frame: pd.DataFrame = FRAME) -> list[Any]:
    """Return the documents a frame becomes."""
    return encode(to_table(mapping.apply(frame), "frame"))


@pytest.mark.parametrize(
    ("options", "passes", "spelled"),
    [
        ({}, "", "a"),
        ({"fields": {"x": "b", "y": Split("c")}}, "b", "ac"),
        ({"fields": {"x": "a"}}, "a", "a"),
        ({"keep": "*"}, "bcd", "a"),
        ({"keep": "*", "drop": "d", "fields": {"y": Template("{c}")}}, "b", "ac"),
        ({"keep": ("a", "d")}, "ad", "a"),
        ({"fields": {"permissions": PermissionColumns(allowed_users="b")}}, "b", "a"),
        ({"fields": {"x": len}}, "abcd", "a"),
    ],
    ids=repr,
)
def test_it_tells_which_columns_pass_as_they_are(options: dict[str, Any], passes: str, spelled: str) -> None:
    """And which become parts of texts, or nothing else."""
    mapping = DocumentMapping("product://{a}", **options)

    assert [column for column in "abcd" if mapping.passes(column)] == list(passes)
    assert mapping.spelled() == list(spelled)
    assert mapping.text_columns() == [column for column in spelled if column not in passes]


def test_a_frame_becomes_documents() -> None:
    """All rules at once, empty values left out, the id first."""
    mapping = DocumentMapping(
        document_id="product://{sku}",
        fields={
            "title": "name",
            "objecttype": Constant("Product"),
            "clickableuri": Template("https://shop.example.com/{{new}}/{name:uri}"),
            "ec_tags": Split("tags"),
            "ec_price": lambda frame: frame["price"] * 2,
        },
        keep="price",
    )

    assert documents(mapping) == [
        {
            "documentId": "product://7",
            "title": "Boot",
            "objecttype": "Product",
            "clickableuri": "https://shop.example.com/{new}/Boot",
            "ec_tags": ["a", "b"],
            "ec_price": 19,
            "price": 9.5,
        },
        {"documentId": "product://8", "objecttype": "Product", "ec_price": 6, "price": 3},
    ]
    assert next(iter(mapping.apply(FRAME).columns)) == "documentId"


@pytest.mark.parametrize("dtype", TEXT_TYPES, ids=str)
def test_texts_may_be_of_any_type(dtype: Any) -> None:
    """Those of pandas 2, of pandas 3, of Arrow, and categories."""
    frame = pd.DataFrame({"k": pd.Series(["é/ä b?", None, "x"], dtype=dtype), "n": [1, 2, 3]})
    mapping = DocumentMapping(
        "a:{n}", {"link": Template("http://x/{k:uri}"), "parts": Split("k", "/"), "text": "k"}
    )

    assert documents(mapping, frame) == [
        {
            "documentId": "a:1",
            "link": "http://x/%C3%A9/%C3%A4%20b%3F",
            "parts": ["é", "ä b?"],
            "text": "é/ä b?",
        },
        {"documentId": "a:2"},
        {"documentId": "a:3", "link": "http://x/x", "parts": ["x"], "text": "x"},
    ]


def test_a_template_with_an_empty_column_has_no_value() -> None:
    """Nor with one of nothing but blanks."""
    frame = pd.DataFrame({"n": [1, 2, 3], "brand": ["Acme", " ", None]})

    mapping = DocumentMapping("a:{n}", {"title": Template("{brand} {n}")})

    assert [document.get("title") for document in documents(mapping, frame)] == ["Acme 1", None, None]


@pytest.mark.parametrize("value", ["x", 1, True, ["a", "b"], {"a": 1}, None])
def test_a_constant_is_the_same_in_every_row(value: Any) -> None:
    """Lists and objects too."""
    mapping = DocumentMapping("a:{sku}", {"k": Constant(value)})

    assert [document.get("k") for document in documents(mapping)] == [value, value]


def test_a_split_takes_numbers_as_text() -> None:
    """A column of single codes may have been read as numbers."""
    frame = pd.DataFrame({"n": [1, 2], "codes": ["1|2", 3]})

    assert [
        d["codes"] for d in documents(DocumentMapping("a:{n}", {"codes": Split("codes", "|")}), frame)
    ] == [
        ["1", "2"],
        ["3"],
    ]


MIXED = {
    "price": [38.0, 38.5, None],
    "flag": [True, False, None],
    "many": [1e21, 5.0, None],
    "amount": [Decimal("1.10"), Decimal("38.00"), None],
    "day": [date(2026, 1, 31), date(2026, 2, 1), None],
    "at": [datetime(2026, 1, 31, 5), datetime(2026, 1, 31, 5, 6, 7, 89), None],
}


@pytest.mark.parametrize("kind", [pd.DataFrame, pa.table])
@pytest.mark.parametrize(
    ("column", "texts"),
    [
        ("price", ["38", "38.5", None]),
        ("flag", ["true", "false", None]),
        ("many", ["1" + "0" * 21, "5", None]),
        ("amount", ["1.10", "38.00", None]),
        ("day", ["2026-01-31T00:00:00Z", "2026-02-01T00:00:00Z", None]),
        ("at", ["2026-01-31T05:00:00Z", "2026-01-31T05:06:07.000089Z", None]),
    ],
)
def test_values_stand_in_texts_as_in_json(kind: Any, column: str, texts: list[str | None]) -> None:
    """Never as Python spells them: 38.0, True, 1e+21."""
    mapping = DocumentMapping("a:{n}", {"t": Template(f"{{{column}}}"), "s": Split(column, "|")})
    made = documents(mapping, kind({"n": [1, 2, 3], **MIXED}))

    assert [document.get("t") for document in made] == texts
    assert [document.get("s") for document in made] == [text if text is None else [text] for text in texts]


@pytest.mark.parametrize("kind", [pd.DataFrame, pa.table])
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (["a", "b"], "a list"),
        ({"a": 1}, "an object"),
        (b"x", "bytes"),
        (time(5), "time64"),
        (math.inf, "infinity"),
    ],
    ids=repr,
)
@pytest.mark.parametrize(
    ("mapping", "rule"),
    [
        (DocumentMapping("a:{k}"), "template 'a:{k}': column 'k': "),
        (DocumentMapping("a:{n}", {"parentId": Template("a:{k:uri}")}), "template 'a:{k:uri}': column 'k': "),
        (DocumentMapping("a:{n}", {"t": Template("{n} {k}")}), "template '{n} {k}': column 'k': "),
        (DocumentMapping("a:{n}", {"t": Split("k")}), r"Split('k'): "),
    ],
    ids=["id", "parent", "template", "split"],
)
def test_what_no_text_stands_for_is_refused_by_row_and_column(
    kind: Any, value: Any, problem: str, mapping: DocumentMapping, rule: str
) -> None:
    """Above all in ids."""
    said = f"row 1: {rule}{problem}"
    if isinstance(value, float) and rule.startswith("template 'a"):
        said = "column 'k' holds floats"
    with pytest.raises(MappingError, match=re.escape(said)):
        mapping.apply(kind({"n": [1, 2], "k": [None, value]}))


def test_values_of_several_types_are_spelled_one_by_one() -> None:
    """As JSON files hold them; the row at fault is named."""
    frame = pd.DataFrame({"n": [1, 2, 3, 4], "k": pd.Series(["1|2", 3, 38.0, True], dtype=object)})
    mapping = DocumentMapping("a:{n}", {"t": Template("x{k}"), "s": Split("k", "|")})

    assert [document["t"] for document in documents(mapping, frame)] == ["x1|2", "x3", "x38", "xtrue"]
    assert [document["s"] for document in documents(mapping, frame)] == [["1", "2"], ["3"], ["38"], ["true"]]
    with pytest.raises(MappingError, match=r"row 2: template 'x\{k\}': column 'k': a list stands there"):
        mapping.apply(frame.assign(k=["a", 1, [2], 3.0]))


@pytest.mark.parametrize("text", ["", " ", ";", " ; ;", "\t"])
def test_a_split_of_blanks_has_no_value(text: str) -> None:
    """As has one of nothing."""
    frame = pd.DataFrame({"n": [1, 2], "k": ["a", text]})

    assert documents(DocumentMapping("a:{n}", {"k": Split("k")}), frame) == [
        {"documentId": "a:1", "k": ["a"]},
        {"documentId": "a:2"},
    ]


def test_a_table_becomes_what_a_frame_becomes() -> None:
    """All rules at once, on Arrow's columns; those that go along are the very same."""
    mapping = DocumentMapping(
        "product://{sku}",
        {
            "title": "name",
            "objecttype": Constant("Product"),
            "labels": Constant(["a", None]),
            "clickableuri": Template("https://shop.example.com/{{new}}/{name:uri}"),
            "ec_tags": Split("tags"),
            "permissions": PermissionColumns(allowed_groups="tags", denied_users="name"),
            "ec_price": lambda frame: frame["price"] * 2,
        },
        keep="*",
    )
    table = to_table(FRAME.assign(other=[{"a": 2**53 + 1}, {"a": None}]), "frame")
    made = mapping.apply(table)

    assert encode(made) == documents(mapping, FRAME.assign(other=[{"a": 2**53 + 1}, {"a": None}]))
    assert made["other"].equals(table["other"])


def test_a_constant_that_no_column_holds_is_refused() -> None:
    """By its value."""
    with pytest.raises(MappingError, match=r"Constant\(\['a', 1\]\) cannot be sent"):
        DocumentMapping("a:{sku}", {"k": Constant(["a", 1])}).apply(FRAME)


def test_all_other_columns_may_go_along() -> None:
    """Without those that a rule used, and those that are dropped."""
    mapping = DocumentMapping("a:{sku}", {"title": "name"}, keep="*", drop="tags")

    assert list(mapping.apply(FRAME).columns) == ["documentId", "title", "price"]


def test_names_may_come_from_a_generator() -> None:
    """They are looked at more than once."""
    mapping = DocumentMapping("a:{sku}", keep=(name for name in ["name", "price"]))

    assert list(mapping.apply(FRAME).columns) == ["documentId", "name", "price"]


def test_all_missing_columns_are_named_at_once() -> None:
    """With the key each is for, and what the frame has."""
    mapping = DocumentMapping(
        "a:{id}/{sku}",
        {"title": "label", "tags": Split("words"), "uri": Template("http://{host}")},
        keep=("color",),
        drop=("size",),
    )

    with pytest.raises(MappingError) as caught:
        mapping.check(FRAME)

    assert str(caught.value) == (
        "missing columns: 'id' (for documentId), 'label' (for title), 'words' (for tags), 'host' (for uri), "
        "'color' (for keep or drop), 'size' (for keep or drop); the frame has: sku, name, tags, price. "
        "A rule that is a text names a column; a fixed text is Constant('…'), one with columns in it Template('…')"
    )


@pytest.mark.parametrize(
    ("mapping", "problem"),
    [
        (
            DocumentMapping("a:{sku}", {"Title": "name", "title": "price"}),
            "keys 'Title' and 'title' are filled",
        ),
        (DocumentMapping("a:{sku}", {"documentid": "name"}), "keys 'documentId' and 'documentid'"),
        (DocumentMapping("a:{sku}", {"documentId": "name"}), "keys 'documentId' and 'documentId'"),
        (DocumentMapping("a:{sku}", {"name": "tags"}, keep=["name"]), "keys 'name' and 'name'"),
        (DocumentMapping("a:{sku}", {"NAME": Constant(1)}, keep="*"), "keys 'NAME' and 'name'"),
        (DocumentMapping("a:{sku"), "template 'a:{sku' cannot be read"),
        (DocumentMapping("a:{}"), "expected {column} or {column:uri}"),
        (DocumentMapping("a:{sku!r}"), "expected {column} or {column:uri}"),
        (DocumentMapping("a:{sku:>9}"), "expected {column} or {column:uri}"),
        (DocumentMapping("a:{sku}", {"k": 5}), "k: 5 is no rule"),  # type: ignore[dict-item]
        (DocumentMapping("a:{price}"), r"column 'price' holds floats.* several documentIds"),
        (
            DocumentMapping("a:{sku}", {"parentId": Template("a:{price}")}),
            r"parentIds.*dtypes={'price': 'string'}.*frame\['price'\].astype\('Int64'\)",
        ),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(mapping: DocumentMapping, problem: str) -> None:
    """By looking at the columns only."""
    with pytest.raises(MappingError, match=problem):
        mapping.check(FRAME)


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([7.0, None]),
        pd.Series([7.0, None], dtype="Float64"),
        pd.Series([7.0, None], dtype=object),
        pd.Series([7, 8.0], dtype=object),
        pd.Series([7.0, None]).astype("category"),
        pd.Series([7.0, None], dtype=pd.ArrowDtype(pa.float64())),
    ],
    ids=repr,
)
def test_floats_in_an_id_are_refused(values: pd.Series[Any]) -> None:
    """In all their types: integers with a gap become floats."""
    with pytest.raises(MappingError, match="column 'n' holds floats"):
        DocumentMapping("a:{n}").check(pd.DataFrame({"n": values}))


def test_a_parent_that_no_row_has_is_no_float() -> None:
    """pandas takes a column without any value for one of floats."""
    frame = pd.DataFrame({"n": [1], "parent": [float("nan")]})

    assert documents(DocumentMapping("a:{n}", {"parentId": Template("a:{parent}")}), frame) == [
        {"documentId": "a:1"}
    ]


@pytest.mark.parametrize("empty", [None, "", "  ", pd.NA])
def test_an_id_that_cannot_be_made_is_named_by_its_row(empty: Any) -> None:
    """With the columns it needs."""
    frame = pd.DataFrame({"a": ["x", empty], "b": ["y", "z"]})

    with pytest.raises(
        MappingError, match=r"row 1: documentId 'p:{a}/{b}' cannot be made, as 'a', 'b' is empty"
    ):
        DocumentMapping("p:{a}/{b}").apply(frame)


@pytest.mark.parametrize("value", ["a b", "a\n", "a\u00a0", 'a"'])
@pytest.mark.parametrize("dtype", TEXT_TYPES, ids=str)
def test_an_id_that_is_no_uri_is_named_by_its_row(value: str, dtype: Any) -> None:
    """Whatever engine the column's type brings along."""
    frame = pd.DataFrame({"a": pd.Series(["x", value], dtype=dtype)})

    with pytest.raises(MappingError, match=r"row 1: documentId .* is not a URI"):
        DocumentMapping("p:{a}").apply(frame)
    assert len(DocumentMapping("p:{a:uri}").apply(frame)) == 2


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (lambda frame: frame["name"].head(1), "the function returned 1 rows for 2"),
        (lambda frame: frame["name"].iloc[::-1], "the function returned 2 rows for 2, or other ones"),
        (lambda frame: frame["name"].tolist(), "the function returned list, expected a Series"),
        (lambda frame: frame, "the function returned DataFrame, expected a Series"),
    ],
)
def test_a_function_returns_one_value_per_row(function: Any, problem: str) -> None:
    """On the frame's index, as values would go to the wrong documents otherwise."""
    with pytest.raises(MappingError, match=f"k: {problem}"):
        DocumentMapping("a:{sku}", {"k": function}).apply(FRAME)


def test_a_split_of_lists_is_refused() -> None:
    """They are taken apart already."""
    frame = pd.DataFrame({"n": [1], "tags": [["a", "b"]]})

    with pytest.raises(MappingError, match=r"Split\('tags'\): a list stands there, expected text"):
        DocumentMapping("a:{n}", {"tags": Split("tags")}).apply(frame)


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (pd.DataFrame([[1, 2]], columns=["sku", 0]), "column 0, which is not named by a text"),
        (pd.DataFrame([[1, 2]], columns=["sku", "sku"]), "column 'sku' twice"),
    ],
)
def test_a_frame_with_odd_columns_is_refused(frame: pd.DataFrame, problem: str) -> None:
    """Rules name columns by a text that stands for one."""
    with pytest.raises(MappingError, match=problem):
        DocumentMapping("a:{sku}").apply(frame)


def test_the_index_may_hold_anything() -> None:
    """Rows that were joined often have the same one."""
    frame = FRAME.set_index(pd.Index([1, 1]))
    mapping = DocumentMapping(
        "a:{sku}", {"title": "name", "tags": Split("tags"), "k": Constant([1]), "f": lambda f: f["price"]}
    )

    assert documents(mapping, frame) == documents(mapping)


def test_a_frame_without_rows_has_no_documents() -> None:
    """Its columns are checked all the same."""
    mapping = DocumentMapping("a:{sku:uri}", {"t": Split("tags"), "k": Constant([1])}, keep="*")

    assert list(mapping.apply(FRAME.head(0)).columns) == ["documentId", "t", "k", "name", "price"]
    assert len(mapping.apply(FRAME.head(0))) == 0

"""Partial updates of single fields."""

from __future__ import annotations

from typing import Any

import pytest

from coveo_provider.sandbox import Sandbox
from tests.sandbox.caller import Caller, problems

START = {"price": 10, "sizes": ["s", "m"], "flags": [1, True], "stores": {"a": "1", "b": "2"}}


@pytest.mark.parametrize(
    ("operator", "field", "value", "expected"),
    [
        ("fieldValueReplace", "price", 19.99, 19.99),
        ("fieldValueReplace", "PRICE", 11, 11),
        ("fieldValueReplace", "new", ["x"], ["x"]),
        ("fieldValueReplace", "price", None, None),
        ("arrayAppend", "sizes", ["l"], ["s", "m", "l"]),
        ("arrayAppend", "colors", ["red"], ["red"]),
        ("arrayRemove", "sizes", ["s", "xxl"], ["m"]),
        ("arrayRemove", "flags", [True], [1]),
        ("dictionaryPut", "stores", {"b": "3", "": "9"}, {"a": "1", "b": "3", "": "9"}),
        ("dictionaryPut", "shops", {"x": 1}, {"x": 1}),
        ("dictionaryRemove", "stores", "a", {"b": "2"}),
        ("dictionaryRemove", "stores", ["a", "b"], {}),
        ("FIELDVALUEREPLACE", "price", 12, 12),
        ("ARRAYAPPEND", "sizes", ["l"], ["s", "m", "l"]),
        ("DictionaryPut", "stores", {"c": "3"}, {"a": "1", "b": "2", "c": "3"}),
    ],
)
def test_an_operator_changes_one_field(
    sandbox: Sandbox, caller: Caller, operator: str, field: str, value: Any, expected: Any
) -> None:
    """Each operator, in any case, does what the page says to one field, and leaves the others."""
    caller.load({"addOrUpdate": [{"documentId": "product://1", **START}]})
    caller.update(
        {
            "partialUpdate": [
                {"documentId": "product://1", "operator": operator, "field": field, "value": value}
            ]
        }
    )
    sandbox.settle()
    item = sandbox.item("products", "product://1")
    assert item is not None
    key = "price" if field == "PRICE" else field
    assert item.pop(key, None) == expected
    assert item == {"documentId": "product://1"} | {k: v for k, v in START.items() if k != key}
    assert [one for one in problems(sandbox, "products") if one[1] == "UPDATE"] == []


@pytest.mark.parametrize(
    ("entry", "result"),
    [
        ({"documentId": "product://none", "operator": "arrayAppend", "field": "a", "value": []}, "WARNING"),
        ({"documentId": "product://1", "operator": "array_append", "field": "a", "value": []}, "ERROR"),
        ({"documentId": "product://1", "operator": "arrayAppend", "field": "sizes", "value": "l"}, "ERROR"),
        ({"documentId": "product://1", "operator": "arrayAppend", "field": "price", "value": [1]}, "WARNING"),
        (
            {"documentId": "product://1", "operator": "dictionaryPut", "field": "sizes", "value": {}},
            "WARNING",
        ),
        (
            {"documentId": "product://1", "operator": "dictionaryRemove", "field": "stores", "value": 1},
            "ERROR",
        ),
        ({"documentId": "product://1", "operator": "fieldValueReplace", "field": "documentId"}, "ERROR"),
        (
            {"documentId": "product://1", "operator": "fieldValueReplace", "field": "a", "value": [[1]]},
            "ERROR",
        ),
        ({"documentId": "product://1", "field": "a", "value": 1}, "ERROR"),
        ({"operator": "fieldValueReplace", "field": "a", "value": 1}, "ERROR"),
        ([], "ERROR"),
    ],
)
def test_what_cannot_be_done_is_in_the_log(sandbox: Sandbox, caller: Caller, entry: Any, result: str) -> None:
    """An unknown item or a field of another form is a warning, an entry that makes no sense an error."""
    caller.load({"addOrUpdate": [{"documentId": "product://1", **START}]})
    response = caller.update({"partialUpdate": [entry]})
    sandbox.settle()
    assert response.status_code == 202
    assert sandbox.items("products") == {"product://1": {"documentId": "product://1", **START}}
    found = [one[1:3] for one in problems(sandbox, "products")]
    assert found == [("ADD", "WARNING"), ("UPDATE", result)]  # the first is for the dictionary field


def test_digits_survive_a_partial_update(sandbox: Sandbox, caller: Caller) -> None:
    """Changing one field leaves the text of every number alone."""
    caller.load(b'{"addOrUpdate":[{"documentId":"product://1","p":19.90,"q":0.1234567890123456789012345}]}')
    caller.update(
        {
            "partialUpdate": [
                {"documentId": "product://1", "operator": "fieldValueReplace", "field": "z", "value": 1}
            ]
        }
    )
    sandbox.settle()
    assert (
        sandbox.item_json("products", "product://1")
        == b'{"documentId":"product://1","p":19.90,"q":0.1234567890123456789012345,"z":1}'
    )

"""A sandbox that is strict about fields drops what no field takes, as the platform does, and says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from coveo_provider.sandbox import Sandbox
from tests.sandbox.caller import Caller

FIELDS: dict[str, dict[str, Any]] = {
    "color": {"type": "STRING"},
    "stock": {"type": "LONG"},
    "views": {"type": "LONG_64"},
    "price": {"type": "DOUBLE"},
    "released": {"type": "DATE"},
    "names": {"type": "STRING", "keyValue": True},
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.start(fields=FIELDS, strict_fields=True) as running:
        yield running


def kept(caller: Caller, **metadata: Any) -> tuple[dict[str, Any], list[str]]:
    """Push metadata; return what the index holds of it, and the warnings of the item's log."""
    sandbox = caller.sandbox
    assert caller.put("file://a", {"data": "x", **metadata}).status_code == 202
    sandbox.settle()
    item = sandbox.item("files", "file://a") or {}
    warnings = [one.meta["error"] for one in sandbox.logs("files") if one.result == "WARNING"]
    assert item.pop("data") == "x"
    assert item.pop("documentId") == "file://a"
    return item, warnings


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("color", "red"),
        ("Color", ["red", "blue"]),
        ("color", 3),
        ("stock", 2**31 - 1),
        ("stock", "12"),
        ("views", 2**40),
        ("price", 1.5),
        ("price", "1.5"),
        ("released", "2017-11-08T12:18:41.666Z"),
        ("released", "2002-01-31 11:53:12"),
        ("names", {"": "shoe", "fr": "soulier"}),
        ("title", "of every organization"),
        ("parentId", "file://folder"),
    ],
)
def test_what_fits_its_field_is_kept(caller: Caller, key: str, value: Any) -> None:
    assert kept(caller, **{key: value}) == ({key: value}, [])


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("colour", "red", "no field of this name"),
        ("stock", 2**31, "does not fit its field, which is of type LONG"),
        ("stock", 1.5, "type LONG"),
        ("stock", "many", "type LONG"),
        ("stock", True, "type LONG"),
        ("views", 2**63, "type LONG_64"),
        ("price", "cheap", "type DOUBLE"),
        ("price", "1_000", "type DOUBLE"),
        ("price", "infinity", "type DOUBLE"),
        ("stock", "z" * 100_000, "type LONG"),
        ("released", "31.01.2002", "type DATE"),
        ("released", 1700000000, "type DATE"),
        ("stock", [1, "two"], "'two' does not fit"),
        ("color", {"en": "red"}, "no dictionary field"),
    ],
)
def test_what_no_field_takes_is_dropped_with_a_warning(
    caller: Caller, key: str, value: Any, why: str
) -> None:
    """The rest of the item is there, and its log names the key."""
    held, warnings = kept(caller, title="stays", **{key: value})

    assert held == {"title": "stays"}
    assert len(warnings) == 1
    assert repr(key) in warnings[0]
    assert len(warnings[0]) < 300
    assert why in warnings[0]


def test_a_partial_update_is_held_to_fields_too(caller: Caller) -> None:
    """Only the field it changes is looked at."""
    sandbox = caller.sandbox
    stream = {"documentId": "product://1", "color": "red"}
    caller.update({"addOrUpdate": [stream]})
    for field, value in (("stock", "many"), ("colour", "blue"), ("color", "green")):
        change = {
            "documentId": "product://1",
            "operator": "fieldValueReplace",
            "field": field,
            "value": value,
        }
        caller.update({"partialUpdate": [change]})
    sandbox.settle()

    assert sandbox.item("products", "product://1") == {**stream, "color": "green"}
    warned = [one.meta["error"] for one in sandbox.logs("products") if one.result == "WARNING"]
    assert [text.split()[0] for text in warned] == ["'stock'", "'colour'"]


def test_what_a_mapping_rule_reads_is_kept(caller: Caller) -> None:
    """It fills a field of another name on the platform."""
    rule = {"field": "color", "content": ["%[Colour]"]}
    assert caller.rest("POST", "/sources/files/mappings/common/rules", json=rule).status_code == 200

    held, warnings = kept(caller, colour="red", shade="dark")

    assert held == {"colour": "red"}
    assert [text.split()[0] for text in warnings] == ["'shade'"]


def test_a_field_made_later_takes_what_comes_later(caller: Caller) -> None:
    assert kept(caller, colour="red")[0] == {}
    field = {"name": "colour", "type": "STRING"}
    assert caller.rest("POST", "/indexes/fields", json=field).status_code == 204

    assert kept(caller, colour="red")[0] == {"colour": "red"}


def test_without_being_asked_all_metadata_is_kept() -> None:
    with Sandbox.start() as sandbox:
        assert kept(Caller(sandbox), colour="red") == ({"colour": "red"}, [])

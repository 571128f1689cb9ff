"""One document, given as a dictionary, becomes JSON."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any

import numpy as np
import pandas as pd
import pytest

from coveo_provider.documents import encode_document
from coveo_provider.errors import DocumentError
from tests.documents.strategies import read

EAST = timezone(timedelta(hours=1))


class Colour(str, Enum):
    RED = "red"


def encoded(value: Any, key: str = "k") -> Any:
    """Return what a value of metadata becomes, ``None`` when its key is left out."""
    return read(encode_document({"documentId": "a:b", key: value})).get(key)


@pytest.mark.parametrize(
    "value",
    [None, float("nan"), pd.NA, pd.NaT, np.datetime64("NaT"), np.float64("nan"), Decimal("NaN")],
    ids=repr,
)
def test_what_is_empty_is_absent(value: Any) -> None:
    """In all its spellings."""
    assert encode_document({"documentId": "a:b", "k": value}) == b'{"documentId":"a:b"}'
    assert encoded([value]) == []
    assert encoded({"": value}) == {}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("é\x00\u2028", "é\x00\u2028"),
        (True, True),
        (2**64 - 1, 2**64 - 1),
        (-(2**63), -(2**63)),
        (1e300, Decimal("1e300")),
        (Decimal("1.50"), Decimal("1.50")),
        (Colour.RED, "red"),
        ((1, "a"), [1, "a"]),
        (np.array([1, 2]), [1, 2]),
        (np.array(["a", None], object), ["a"]),
        (np.float32(0.1), Decimal("0.1")),
        (np.array([0.1], np.float32), [Decimal("0.1")]),
        (np.int8(-1), -1),
        (np.str_("x"), "x"),
        (np.array(5), 5),
        (date(1, 1, 1), "0001-01-01T00:00:00Z"),
        (datetime(2020, 1, 1, 12), "2020-01-01T12:00:00Z"),
        (datetime(2020, 1, 1, 12, tzinfo=EAST), "2020-01-01T11:00:00Z"),
        (datetime(2020, 1, 1, 0, 0, 0, 1_000), "2020-01-01T00:00:00.001Z"),
        (pd.Timestamp("2020-01-01 00:00:00.000000001", tz="Europe/Paris"), "2019-12-31T23:00:00.000000001Z"),
        (np.datetime64("2020-01-01", "ns"), "2020-01-01T00:00:00Z"),
        (np.datetime64("2020-01-01T00:00:00.000000001"), "2020-01-01T00:00:00.000000001Z"),
        (np.datetime64("9999-12-31", "D"), "9999-12-31T00:00:00Z"),
        (np.array(["2020-01-01", "NaT"], "M8[D]"), ["2020-01-01T00:00:00Z"]),
        ({"": 1, "a": None, "b": Decimal("2.0")}, {"": 1, "b": Decimal("2.0")}),
    ],
    ids=repr,
)
def test_values_become_json(value: Any, expected: Any) -> None:
    """Numbers with their digits, moments in UTC, objects one level deep."""
    assert encoded(value) == expected


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (float("inf"), "k: infinity"),
        (np.array([-np.inf]), "k: infinity"),
        (Decimal("-Infinity"), "k: infinity"),
        (Decimal("1e999999999"), "k: a number of 400 digits"),
        (Decimal("1e-999999999"), "k: a number of 400 digits"),
        (2**64, "'k' cannot be JSON: Integer"),
        ("\ud800", "'k' cannot be JSON: .*surrogates"),
        (b"x", "k: bytes is no JSON value"),
        ({1}, "k: set is no JSON value"),
        (time(1), "k: time is no JSON value"),
        (timedelta(1), "k: timedelta is no JSON value"),
        (np.timedelta64(1, "s"), "k: a duration"),
        (NotImplemented, "k: NotImplementedType is no JSON value"),
        ([["a"]], "k: is nested deeper"),
        (np.ones((1, 1), np.float32), "k: is nested deeper"),
        ({"a": {}}, "k: is nested deeper"),
        ({1: 2}, "k: holds an object with a key that is no text"),
        (datetime.min.replace(tzinfo=EAST), "k: holds a date outside the years"),
        (np.datetime64(10**12, "s"), "k: holds a date outside the years"),
    ],
    ids=repr,
)
def test_what_is_no_json_is_refused(value: Any, problem: str) -> None:
    """By document and key."""
    with pytest.raises(DocumentError, match=f"document a:b: {problem}"):
        encoded(value)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({}, "document without an id: documentId is missing"),
        ({"documentId": None}, "documentId is missing"),
        ({"documentId": ""}, "document '': documentId is not a URI"),
        ({"documentId": 7}, "document '7': documentId is not a URI"),
        ({"documentId": "a:b\n"}, r"document 'a:b\\n': documentId is not a URI"),
        ({"documentId": "a:\ud800"}, r"document 'a:\\ud800': 'documentId' cannot be JSON"),
        ({"documentId": "a:b", "DocumentID": "c:d"}, "'documentId' and 'DocumentID' are the same key"),
        ({"documentId": "a:b", "x": 1, "X": 2}, "'x' and 'X' are the same key"),
        ({"documentId": "a:b", " ": 1}, "key ' ' is not a name"),
        ({"documentId": "a:b", 1: 1}, "key 1 is not a name"),
        ({"documentId": "a:b", "\ud800": 1}, "cannot be JSON"),
        ({"documentId": "a:b", "orderingid": 1}, "orderingId cannot be sent"),
        ({"documentId": "a:b", "data": 1}, "data is int, expected a string"),
        ({"documentId": "a:b", "fileExtension": 1}, "fileExtension is int, expected a string"),
        ({"documentId": "a:b", "data": "x", "compressedBinaryData": "eA=="}, "one body property at most"),
        ({"documentId": "a:b", "compressionType": "zip"}, "compressionType is not one of"),
        ({"documentId": "a:b", "fileExtension": "html"}, "fileExtension needs a leading dot"),
        ({"documentId": "a:b", "parentId": "c:d\n"}, "parentId is not a URI"),
        ({"documentId": "a:b", "permissions": {}}, "permissions: is not a list"),
        ({"documentId": "a:b", "permissions": ["everyone"]}, "permissions: is not a list"),
        ({"documentId": "a:b", "permissions": [[[[[[[[[1]]]]]]]]]}, "permissions: is nested deeper"),
    ],
)
def test_a_document_against_the_contract_is_refused(document: dict[Any, Any], problem: str) -> None:
    """With the key at fault and what was expected."""
    with pytest.raises(DocumentError, match=problem) as caught:
        encode_document(document)

    str(caught.value).encode()  # can be logged


def test_reserved_keys_take_the_spelling_of_the_api() -> None:
    """And the id comes first."""
    document = {"DATA": "x", "COMPRESSIONTYPE": "gzip", "documentid": "a:b"}

    assert encode_document(document) == b'{"documentId":"a:b","data":"x","compressionType":"GZIP"}'


def test_bytes_are_sent_as_base64() -> None:
    """In the one key that may hold them."""
    assert encoded(b"\x00\xff", "compressedBinaryData") == "AP8="


def test_permissions_are_a_list_or_its_json() -> None:
    """The same ones either way; an empty one is absent."""
    entry = {"identity": "a", "identityType": "User", "securityProvider": None}
    sets = [{"allowAnonymous": False, "allowedPermissions": [entry]}]
    text = json.dumps(sets)

    assert encoded(sets, "permissions") == encoded(text, "permissions")
    assert encoded(sets, "permissions")[0]["allowedPermissions"] == [
        {"identity": "a", "identityType": "User"}
    ]
    assert encoded(pd.NA, "permissions") is None


def test_the_package_names_what_users_import() -> None:
    """And nothing that is not there."""
    import coveo_provider.documents as package

    assert all(getattr(package, name).__name__ == name for name in package.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        package.Nothing  # noqa: B018

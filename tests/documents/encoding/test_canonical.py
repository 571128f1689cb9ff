"""What a batch is as JSON, without the JSON: sizes, and the one form that all spellings share."""

from __future__ import annotations

import json
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from coveo_provider.documents.encoding.batches import Encoder
from coveo_provider.documents.encoding.canonical import canonical_object
from coveo_provider.documents.records import Measured
from tests.documents.strategies import NO_LIMIT, table_of, tables

wide = settings(deadline=None, max_examples=200, suppress_health_check=list(HealthCheck))


def forms(measured: Measured) -> list[bytes]:
    bounds = [0, *measured.canonical_ends.tolist()]
    return [bytes(measured.canonical[start:end]) for start, end in pairwise(bounds)]


def form(table: pa.Table) -> list[bytes]:
    encoder = Encoder(table.schema, where="p", item_limit=NO_LIMIT)
    return [one for batch in table.combine_chunks().to_batches() for one in forms(encoder.measure(batch))]


def assert_measured(table: pa.Table) -> None:
    """Column by column, a batch gets the form that each document gets by itself, and the size of its JSON."""
    encoder = Encoder(table.schema, where="p", item_limit=NO_LIMIT)
    for batch in table.combine_chunks().to_batches():
        encoded, measured = encoder.encode(batch), encoder.measure(batch)
        bounds = [0, *encoded.ends.tolist()]
        texts = [bytes(encoded.data[start : end - 1]) for start, end in pairwise(bounds)]
        assert forms(measured) == [canonical_object(text) for text in texts]
        assert measured.ends.tolist() == encoded.ends.tolist()
        assert measured.id_hashes.tolist() == encoded.id_hashes.tolist()


@wide
@given(tables())
def test_a_batch_has_the_form_and_the_size_of_its_json(table: pa.Table) -> None:
    assert_measured(table)


@pytest.mark.long
@settings(wide, max_examples=5_000)
@given(tables())
def test_many_batches_have_the_form_and_the_size_of_their_json(table: pa.Table) -> None:
    assert_measured(table)


@wide
@given(tables())
def test_a_row_has_the_same_form_whatever_stands_beside_it(table: pa.Table) -> None:
    """Nor does the order of columns matter."""
    turned = table.select(table.schema.names[::-1])

    assert form(table) == [one for row in range(len(table)) for one in form(turned.slice(row, 1))]


@pytest.mark.parametrize(
    ("column", "other"),
    [
        (pa.array([1, -7, 0]), pa.array([1.0, -7.0, -0.0])),
        (pa.array([10**15, 2**53, 3]), pa.array([1e15, 2.0**53, 3.0])),
        (pa.array([10**18, 1, 1]), pa.array([1e18, 1.0, 1.0])),
        (pa.array([1.5, 2.25, 100.0]), pa.array([Decimal("1.50"), Decimal("2.25"), Decimal("100.00")])),
        (pa.array([Decimal(10) ** 25, 1, 1], pa.decimal128(30, 2)), pa.array([1e25, 1.0, 1.0])),
        (pa.array([1e-7, 0.5, 1.0]), pa.array([Decimal("0.0000001"), Decimal("0.5"), Decimal(1)])),
        (pa.array([[1, 2], [], [0]]), pa.array([[1.0, 2.0], [], [-0.0]])),
        (pa.array([[10, -5], [1], None]), pa.array([[1e1, -5.0], [1.0], None])),
        (pa.array([["1e5", "a.0,b"], []]), pa.array([["1e5", "a.0,b"], []], pa.large_list(pa.string()))),
    ],
    ids=str,
)  # fmt: skip
def test_equal_numbers_have_one_form(column: pa.Array, other: pa.Array) -> None:
    """A column of whole numbers becomes one of fractions when a fraction joins it: no document changed by that."""
    assert form(table_of(a=column)) == form(table_of(a=other))


def test_different_values_have_different_forms() -> None:
    values: list[Any] = [1, 1.5, "1", "1.0", True, [1], ["1"], [1.5], "true", "", []]

    found = {form(table_of(a=pa.array([value])))[0] for value in values}

    assert len(found) == len(values)


def test_permissions_given_as_json_are_compared_without_the_order_of_their_keys() -> None:
    one = {"allowAnonymous": False, "allowedPermissions": [{"identity": "a@b.c", "identityType": "USER"}]}
    texts = [json.dumps([one]), json.dumps([dict(reversed(one.items()))], indent=1)]

    first, second = form(table_of(permissions=pa.array(texts)))

    assert first.replace(b"test://0", b"") == second.replace(b"test://1", b"")

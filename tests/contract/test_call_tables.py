"""The tables of calls: every published call, the methods of the client that make it, and its operators."""

from __future__ import annotations

import re

import pytest

from coveo_provider import operators
from coveo_provider.api.client import CoveoClient
from coveo_provider.sandbox import Sandbox
from coveo_provider.sandbox.http.routing import ROUTES
from tests.contract.call_tables import Row, other_rows, rows, served_rows
from tests.contract.descriptions import PLATFORM_FILES, platform, push
from tests.contract.uses import PLATFORM_USES, UNDESCRIBED_USES, USES, Use

_NO_CALL = {"close", "upload"}  # of the API: one closes connections, the other goes to the storage


def test_every_call_is_in_the_table() -> None:
    """Each call of the description has one row, and no row is about another."""
    assert sorted(row.call for row in rows()) == sorted(push().calls)


def test_every_method_is_in_the_table_once() -> None:
    """No call can be made in two ways: each public method is the one of a row, or calls the platform only."""
    named = [row.client for row in rows()]
    public = {name for name in dir(CoveoClient) if not name.startswith("_")}
    assert len(named) == len(set(named))
    assert {*named} == {use.method for use in USES}
    assert public == {*named} | {use.method for use in (*PLATFORM_USES, *UNDESCRIBED_USES)} | _NO_CALL


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.client)
def test_the_operators_of_a_row_are_there(row: Row) -> None:
    """Users can import them. That they make the call is for ``test_operators`` to show."""
    assert set(row.operators) <= set(operators.__all__)


@pytest.mark.parametrize("use", USES, ids=lambda use: use.method)
def test_a_method_makes_exactly_its_call(client: CoveoClient, sandbox: Sandbox, use: Use) -> None:
    """Over the socket: one call of the Push description, the one of its row."""
    call = use.prepare(client)
    sandbox.clear_calls()

    call()

    made = [(one.method, one.path) for one in sandbox.calls if one.path.startswith(push().base)]
    assert [push().call_of(*one) for one in made] == [row.call for row in rows() if row.client == use.method]


def test_the_other_methods_are_in_the_other_table() -> None:
    """Each of them, and no other; each call of that table is published, but for those that pages name only."""
    rows = other_rows()
    undescribed = {use.method for use in UNDESCRIBED_USES}
    assert set().union(*rows.values()) == {use.method for use in PLATFORM_USES} | undescribed
    rows = {call: methods for call, methods in rows.items() if not methods & undescribed}
    published = {(verb, one.base + path) for one in map(platform, PLATFORM_FILES) for verb, path in one.calls}
    assert rows.keys() <= published


@pytest.mark.parametrize("use", PLATFORM_USES, ids=lambda use: use.method)
def test_the_other_methods_make_the_calls_of_their_rows(
    client: CoveoClient, sandbox: Sandbox, use: Use
) -> None:
    """Over the socket: at least one, and besides them none but the one that tells the time."""
    call = use.prepare(client)
    sandbox.clear_calls()

    call()

    described = [
        (one.base, one.call_of(made.method, made.path))
        for made in sandbox.calls
        for one in map(platform, PLATFORM_FILES)
    ]
    made = {(known[0], base + known[1]) for base, known in described if known}
    named = {row for row, methods in other_rows().items() if use.method in methods}
    assert len(sandbox.calls) == sum(known is not None for _, known in described)
    assert made & named
    assert made <= named | {("GET", "/rest/organizations/{organizationId}/sources/{sourceId}")}


def test_what_the_sandbox_serves_is_in_its_table() -> None:
    """Each route but those of the Push API and of the logs, which the tables above have, and no other."""
    served = [
        (one.method, re.sub(r"\{\w+\}", "{}", "/" + "/".join(one.pattern)))
        for one in ROUTES
        if one.pattern[0] not in {"push", "logs"}
    ]
    assert sorted(served_rows()) == sorted(served)

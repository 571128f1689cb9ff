"""Each request of each operator against Coveo's published descriptions, and against the table of calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from coveo_provider import operators
from coveo_provider.sandbox import Sandbox
from tests.conftest import WritePart
from tests.contract.call_tables import rows
from tests.contract.containers import container_errors
from tests.contract.descriptions import platform_of, push
from tests.contract.recorder import Exchange, Recorder
from tests.contract.scenes import SCENES, Stage
from tests.operators.conftest import run


def test_every_operator_has_a_scene() -> None:
    """What is not exercised is not validated."""
    assert {*SCENES} == {*operators.__all__}


@pytest.mark.parametrize("name", SCENES)
def test_an_operator_keeps_to_the_description(
    sandbox: Sandbox, recorder: Recorder, write_part: WritePart, tmp_path: Path, name: str
) -> None:
    """Requests, answers and containers are valid, and the calls are those the table says."""
    description = push()
    crossed: list[Exchange] = []
    for operator in SCENES[name](Stage(sandbox, write_part, tmp_path)):
        assert type(operator).__name__ == name
        recorder.clear()
        run(operator)
        crossed += recorder.exchanges

    calls = [one for one in crossed if one.path.startswith(description.base)]
    for exchange in calls:
        assert description.request_errors(exchange) == [], exchange
        assert description.answer_errors(exchange) == [], exchange
    assert {one.status for one in calls} <= {200, 201, 202}
    for exchange in crossed:
        if exchange.path.startswith(("/rest/", "/logs/")):
            assert platform_of(exchange).request_errors(exchange) == [], exchange
            # A provider that is not there yet is a 404, which the platform's descriptions leave out.
            assert exchange.status == 404 or platform_of(exchange).answer_errors(exchange) == [], exchange
    assert all(one in calls or one.uploads or one.path.startswith(("/rest/", "/logs/")) for one in crossed)
    assert container_errors(description, crossed) == []
    made = {description.call_of(one.method, one.path) for one in calls}
    assert made == {row.call for row in rows() if name in row.operators}
    sandbox.settle()
    assert not [entry for source in ("files", "hr", "products") for entry in problems(sandbox, source)]


def problems(sandbox: Sandbox, source: str) -> list[str]:
    """What was accepted and not applied; a change of an item that is not there is only a warning."""
    return [f"{one.id}: {one.meta}" for one in sandbox.logs(source) if one.result in {"ERROR", "REJECTED"}]

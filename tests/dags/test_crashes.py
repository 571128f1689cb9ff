"""A step that was cut off and is tried again: each has one outcome, and the index is right."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from airflow.sdk import DAG

from coveo_provider.sandbox import Answer, Cut, Sandbox
from coveo_provider.task_groups import catalog_load, catalog_refresh, push_rebuild
from tests.conftest import WritePart, products
from tests.dags.conftest import ran

RUNS = count()
GROUPS: dict[str, Any] = {
    "load": (catalog_load, "products"),
    "refresh": (catalog_refresh, "products"),
    "rebuild": (push_rebuild, "files"),
}


@pytest.fixture(autouse=True)
def instant(waits: list[float], airflow_database: None) -> None:
    """No test waits."""


def load(name: str, parts: list[str], retries: int = 2) -> tuple[str, dict[str, str]]:
    group, source = GROUPS[name]
    options: dict[str, Any] = {"retries": retries, "retry_delay": timedelta(0)}
    with DAG(f"crashes_{name}_{next(RUNS)}", schedule=None, default_args=options) as dag:
        # One content, however many DAGs of this file load it.
        group(source_id=source, documents=parts, content_owner="crashes")
    return ran(dag)


def held(sandbox: Sandbox, name: str) -> list[str]:
    sandbox.settle()
    return sorted(sandbox.items(GROUPS[name][1]))


def ids(*numbers: int) -> list[str]:
    return sorted(f"product://{n}" for n in numbers)


@pytest.fixture
def parts(write_part: WritePart) -> list[str]:
    """A dataset of two parts with ten documents."""
    return [write_part([{**row, "data": "x"} for row in products(5, n)], f"part-{n}.parquet") for n in (0, 5)]


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "route"),
    [
        ("load", "stream.close"),
        ("load", "stream.open"),
        ("load", "stream.chunk"),
        ("load", "upload"),
        ("refresh", "stream.update"),
        ("refresh", "stream.delete_older"),
        ("rebuild", "source.status"),
        ("rebuild", "batch.put"),
        ("rebuild", "items.delete_older"),
    ],
)
def test_a_step_of_which_every_answer_is_lost_is_made_good_by_the_next_try(
    connected: Sandbox, parts: list[str], name: str, route: str
) -> None:
    """It was carried out, six times or once; the retry finds that out or does it again, and all is well."""
    assert load(name, [parts[0]])[0] == "success"
    held(connected, name)
    connected.clock.advance(seconds=60)
    connected.faults.add(route=route, action=Cut("after"), times=6)

    state, states = load(name, [parts[1]])

    assert (state, set(states.values())) == ("success", {"success"})
    assert held(connected, name) == ids(5, 6, 7, 8, 9)


def test_a_stream_that_vanished_leaves_the_index_as_it_was(connected: Sandbox, parts: list[str]) -> None:
    """The close was never sent, so the load is not taken for done: it fails for good, and says what to do."""
    load("load", [parts[0]])
    before = held(connected, "load")
    gone = '{"errorCode": "INVALID_STREAM_ID", "message": "The stream is not open."}'
    connected.faults.add(route="stream.close", action=Answer(412, gone), times=3)

    state, states = load("load", [parts[1]])

    assert (state, states["close"]) == ("failed", "failed")
    assert len([call for call in connected.calls if call.status == 412]) == 1
    assert held(connected, "load") == before


def test_a_close_that_was_refused_for_certain_is_not_taken_for_done_later(
    connected: Sandbox, parts: list[str]
) -> None:
    """A refusal, then a fault, then no stream: nothing of that says that it was closed."""
    load("load", [parts[0]])
    before = held(connected, "load")
    gone = '{"errorCode": "INVALID_STREAM_ID", "message": "The stream is not open."}'
    connected.faults.add(route="stream.close", action=Answer.throttled(300), times=1)
    connected.faults.add(route="stream.close", action=Answer(412, gone), times=1)

    state, _ = load("load", [parts[1]])

    assert state == "failed"
    assert held(connected, "load") == before

"""Quotas: short waits are slept through, long ones handed to the triggerer, and nothing is sent twice."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from airflow.sdk import DAG

from coveo_provider._compat import TaskDeferred
from coveo_provider.api import caller, retries
from coveo_provider.errors import QuotaExhausted, Throttled
from coveo_provider.operators import (
    CoveoCloseStreamOperator,
    CoveoOpenStreamOperator,
    CoveoPushBatchOperator,
    CoveoSecurityExpansionOperator,
    CoveoUpdateStreamOperator,
    CoveoUploadChunkOperator,
)
from coveo_provider.sandbox import Answer, Quotas, Sandbox
from coveo_provider.task_groups import catalog_refresh
from coveo_provider.triggers.wait import CoveoWaitTrigger
from tests.conftest import WritePart, products
from tests.dags.conftest import ran
from tests.operators.conftest import run

SMALL = 1_000  # bytes a chunk, so that fifty documents take several


def update(part: str, **options: Any) -> CoveoUpdateStreamOperator:
    return CoveoUpdateStreamOperator(
        task_id="update", source_id="products", documents=part, max_chunk_bytes=SMALL, **options
    )


def deferred(operator: Any) -> CoveoWaitTrigger:
    """Run an operator that is to wait, and return its trigger as the triggerer gets it."""
    with pytest.raises(TaskDeferred) as waiting:
        operator.execute({})
    assert waiting.value.method_name == "resume"
    path, arguments = waiting.value.trigger.serialize()
    assert path == "coveo_provider.triggers.wait.CoveoWaitTrigger"
    return CoveoWaitTrigger(**arguments)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What triggers sleep, in seconds, taken down instead."""
    taken: list[float] = []

    async def sleep(seconds: float) -> None:
        taken.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return taken


def event_of(trigger: CoveoWaitTrigger) -> Any:
    async def first() -> Any:
        return (await anext(trigger.run())).payload

    return asyncio.run(first())


def test_a_long_wait_is_handed_over_and_the_task_goes_on_where_it_stopped(
    connected: Sandbox, write_part: WritePart, waits: list[float], slept: list[float]
) -> None:
    """The chunks accepted before are not sent again; the report tells of all of them."""
    part = write_part(products(50))
    connected.faults.add(route="stream.update", action=Answer.throttled(280), skip=2, times=1)

    trigger = deferred(update(part, deferrable=True))
    event = event_of(trigger)
    before = len(connected.calls)
    report = update(part, deferrable=True).resume({}, event)

    connected.settle()
    assert slept == [280]
    assert waits == []
    assert {key: item["n"] for key, item in connected.items("products").items()} == {
        f"product://{n}": n for n in range(50)
    }
    updates = [call for call in connected.calls[before:] if call.route == "stream.update"]
    assert report["chunks"] == len(report["ordering_ids"]) == len(updates) + 2 > 3
    assert report["documents"] == 50
    assert report["parts"] == [part]


def test_another_input_is_sent_from_its_start(
    connected: Sandbox, write_part: WritePart, waits: list[float], slept: list[float]
) -> None:
    """What was accepted before the wait says nothing of a part that was written anew meanwhile."""
    part = write_part(products(50))
    connected.faults.add(route="stream.update", action=Answer.throttled(280), skip=2, times=1)
    event = event_of(deferred(update(part, deferrable=True)))
    write_part([{**row, "n": row["n"] + 1} for row in products(50)])

    update(part).resume({}, event)

    connected.settle()
    assert {item["n"] for item in connected.items("products").values()} == set(range(1, 51))


def test_an_expansion_goes_on_where_it_stopped(
    connected: Sandbox, write_part: WritePart, waits: list[float], slept: list[float]
) -> None:
    """With the mark from before its first push, so that what it pushed before the wait is not disabled."""
    connected.add_security_provider("acme")
    people = [{"name": f"user-{n}@acme.example", "type": "USER"} for n in range(40)]
    options: dict[str, Any] = {"provider_id": "acme", "members": write_part(people), "max_chunk_bytes": 1_000}
    expand = CoveoSecurityExpansionOperator(task_id="e", delete_older=True, deferrable=True, **options)
    connected.faults.add(route="identities.batch", action=Answer.throttled(280), skip=1, times=1)

    event = event_of(deferred(expand))
    before = len(connected.calls)
    again = CoveoSecurityExpansionOperator(task_id="e", delete_older=True, deferrable=True, **options)
    report = again.resume({}, event)

    connected.settle()
    held = {one.name: one.state for one in connected.identities("acme")}
    assert set(held) == {person["name"] for person in people}
    assert "DISABLED" not in held.values()
    pushed = [call for call in connected.calls[before:] if call.route == "identities.batch"]
    assert report["members"] == 40
    assert report["chunks"] == len(pushed) + 1 > 2


@pytest.mark.parametrize("event", [None, {}, {"checkpoint": None}, {"checkpoint": {"sent": {}}}, "what"])
def test_an_event_that_tells_nothing_means_from_the_start(
    connected: Sandbox, write_part: WritePart, event: Any
) -> None:
    """As after an upgrade in between."""
    assert update(write_part(products(5))).resume({}, event)["documents"] == 5


def test_without_deferral_the_task_fails_with_the_time_after_which_it_works(
    connected: Sandbox, write_part: WritePart, waits: list[float]
) -> None:
    """To be retried, and nothing was slept through."""
    connected.faults.add(route="stream.update", action=Answer.throttled(280))
    with pytest.raises(Throttled, match=r"works again after \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"):
        update(write_part(products(5)), deferrable=False).execute({})
    assert waits == []


def test_how_long_a_task_blocks_can_be_said(
    connected: Sandbox, write_part: WritePart, waits: list[float]
) -> None:
    """A wait below ``max_block_seconds`` is slept through, deferrable or not."""
    connected.faults.add(route="stream.update", action=Answer.throttled(280))
    run(update(write_part(products(5)), deferrable=True, max_block_seconds=300))
    assert [280 <= taken < 281 for taken in waits] == [True]

    connected.faults.add(route="stream.update", action=Answer.throttled(5))
    assert deferred(update(write_part(products(5)), deferrable=True, max_block_seconds=1)).seconds == 5


def test_the_items_of_the_day_are_waited_for_until_midnight(
    connected: Sandbox, write_part: WritePart, waits: list[float]
) -> None:
    """The service names no time; the next day begins at midnight UTC by its own clock."""
    connected.meter.quotas = Quotas(push_documents_per_day=20)
    push: dict[str, Any] = {"task_id": "push", "source_id": "files", "documents": write_part(products(30))}
    with pytest.raises(QuotaExhausted, match=r"works again after .* 00:00:00 UTC"):
        CoveoPushBatchOperator(**push).execute({})
    trigger = deferred(CoveoPushBatchOperator(deferrable=True, **push))

    left = 86_400 - (connected.clock.now_ms() / 1000) % 86_400
    assert abs(trigger.seconds - left) < 30
    assert connected.count("files") == 0


def test_a_throttle_of_unknown_length_is_a_burst_first_and_then_the_day(
    connected: Sandbox, write_part: WritePart, waits: list[float], slept: list[float]
) -> None:
    """Without Retry-After: five minutes, and if that was not it, midnight; the day's quota then is new."""
    connected.meter.quotas = Quotas(stream_requests_per_day=4)
    part = write_part(products(50))
    burst = deferred(update(part, deferrable=True))
    with pytest.raises(TaskDeferred) as again:
        update(part, deferrable=True).resume({}, event_of(burst))
    day = CoveoWaitTrigger(**again.value.trigger.serialize()[1])

    left = 86_400 - (connected.clock.now_ms() / 1000) % 86_400
    assert burst.seconds == 300
    assert abs(day.seconds - left) < 30
    connected.meter.quotas = Quotas()
    connected.clock.advance(seconds=day.seconds)
    report = update(part, deferrable=True).resume({}, event_of(day))
    connected.settle()
    assert connected.count("products") == report["documents"] == 50


def test_a_stream_does_not_wait_for_the_next_day(
    connected: Sandbox, write_part: WritePart, waits: list[float]
) -> None:
    """Nothing says how long its chunks are kept; a load that lost some must not be closed."""
    stream_id = run(CoveoOpenStreamOperator(task_id="open", source_id="products"))
    options = {"source_id": "products", "stream_id": stream_id, "deferrable": True}
    upload = CoveoUploadChunkOperator(task_id="upload", documents=write_part(products(5)), **options)
    report = run(upload)
    close = CoveoCloseStreamOperator(task_id="close", reports=report, **options)

    for operator, route in ((upload, "stream.chunk"), (close, "stream.close")):
        connected.faults.add(route=route, action=Answer.throttled(20_000))
        with pytest.raises(Throttled):
            operator.execute({})
        connected.faults.add(route=route, action=Answer.throttled(280))
        assert deferred(operator).seconds == 280


def test_a_service_that_never_takes_a_call_ends_the_waiting(
    connected: Sandbox, write_part: WritePart, waits: list[float], slept: list[float]
) -> None:
    """After fifty waits the try fails."""
    connected.faults.add(route="stream.update", action=Answer.throttled(100), times=100)
    operator = update(write_part(products(1)), deferrable=True)
    with pytest.raises(Throttled):
        operator.resume({}, {"checkpoint": {"waits": 50}})


def test_a_dag_under_the_real_quotas_runs_to_its_end(
    connected: Sandbox,
    write_part: WritePart,
    airflow_database: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Bursts are waited out by the triggerer, on the sandbox's clock, and the index equals the input."""
    connected.meter.quotas = Quotas(stream_requests_per_5_minutes=10)

    def block(seconds: float) -> None:  # where tasks start slowly, what is left of a burst is a short wait
        connected.clock.advance(seconds=seconds)

    async def sleep(seconds: float) -> None:
        block(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    patient = partial(retries.RetryPolicy, sleep=block)
    for module in (caller, retries):
        monkeypatch.setattr(module, "RetryPolicy", patient)
    with DAG("quotas", schedule=None, default_args={"retries": 0}) as dag:
        catalog_refresh(
            source_id="products",
            documents=[write_part(products(20, n), f"{n}.parquet") for n in range(0, 160, 20)],
            default_args={"deferrable": True},
        )
    state, states = ran(dag)
    connected.meter.quotas = Quotas()
    connected.settle()
    assert (state, set(states.values())) == ("success", {"success"})
    assert connected.count("products") == 160
    assert connected.calls
    assert 429 in {call.status for call in connected.calls}

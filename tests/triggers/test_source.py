"""Triggers that watch a source, over a real socket; the pauses between two looks are where things happen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from airflow.triggers.base import BaseEventTrigger
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coveo_provider.api.client import CoveoClient
from coveo_provider.hooks.connection import ConnectionHook
from coveo_provider.sandbox import Answer, Sandbox
from coveo_provider.triggers.source import CoveoItemsRefusedTrigger, CoveoSourceRebuiltTrigger
from tests.conftest import Connect

pytestmark = pytest.mark.usefixtures("waits")
Step = Callable[[], object]


def events(trigger: BaseEventTrigger, steps: Sequence[Step], monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return what a trigger tells while the steps are taken, one in each pause between two looks."""
    left = list(steps)

    class Over(Exception):
        """All steps were taken, and what came of the last was looked at."""

    async def pause(seconds: float) -> None:
        assert seconds == 300
        if not left:
            raise Over
        left.pop(0)()

    async def collected() -> list[Any]:
        told: list[Any] = []
        try:
            async for event in trigger.run():
                told += [event.payload]
        except Over:
            return told
        raise AssertionError("a watching trigger never ends")

    monkeypatch.setattr("coveo_provider.triggers.source.asyncio.sleep", pause)
    return asyncio.run(collected())


def again(trigger: Any) -> Any:
    """Return the trigger as the triggerer makes it, from what the database holds."""
    path, arguments = trigger.serialize()
    assert path == f"{type(trigger).__module__}.{type(trigger).__name__}"
    return type(trigger)(**arguments)


@pytest.fixture
def client(connected: Sandbox) -> CoveoClient:
    return ConnectionHook().client


def test_a_rebuild_is_told_once_when_it_is_over(
    connected: Sandbox, client: CoveoClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not while it runs, not for what was before the first look."""
    client.set_source_status("files", "REBUILD")
    client.set_source_status("files", "IDLE")
    steps: list[Step] = [
        lambda: None,
        lambda: client.set_source_status("files", "REBUILD"),
        lambda: client.put_item("files", "file://a", b"{}"),
        lambda: client.set_source_status("files", "IDLE"),
        lambda: None,
    ]
    told = events(again(CoveoSourceRebuiltTrigger(source_id="files")), steps, monkeypatch)
    assert told == [{"source_id": "files", "event": "rebuilt", "items": 1}]


def push(sandbox: Sandbox, client: CoveoClient, *names: str) -> None:
    """Push documents without permissions to a secured source, which refuses them."""
    for name in names:
        client.put_item("vault", f"file://{name}", b'{"title": "x"}')
    sandbox.settle()
    sandbox.clock.advance(seconds=300)


def test_refusals_are_told_once_each(
    connected: Sandbox, client: CoveoClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those from before the first look are not."""
    connected.add_source("vault", kind="PUSH", visibility="SECURED")
    push(connected, client, "before")
    connected.clock.advance(seconds=3_600)
    steps: list[Step] = [
        lambda: push(connected, client, "a", "b"),
        lambda: push(connected, client),
        lambda: push(connected, client, "c"),
    ]
    told = events(again(CoveoItemsRefusedTrigger(source_id="vault")), steps, monkeypatch)
    refused = {"source_id": "vault", "event": "refused"}
    assert told == [
        {**refused, "refused": 2, "items": ["file://a", "file://b"]},
        {**refused, "refused": 1, "items": ["file://c"]},
    ]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["fine", "down", "denied"])), max_size=8))
def test_every_refusal_is_told_exactly_once(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, plan: list[tuple[int, str]]
) -> None:
    """However many there are between two looks, and however many looks fail, also for hours."""
    with Sandbox.start() as sandbox:
        sandbox.add_source("vault", kind="PUSH", visibility="SECURED")
        connect(sandbox)
        client = ConnectionHook().client
        names = iter(f"{n:03}" for n in range(100))
        pushed: list[str] = []

        def step(count: int, how: str) -> None:
            new = [next(names) for _ in range(count)]
            pushed.extend(f"file://{name}" for name in new)
            push(sandbox, client, *new)
            sandbox.faults.clear()
            if how != "fine":
                status = 503 if how == "down" else 403
                sandbox.clock.advance(seconds=7_200)
                sandbox.faults.add(action=Answer(status), route="logs", times=100)

        steps: list[Step] = [lambda count=count, how=how: step(count, how) for count, how in plan]  # type: ignore[misc]
        told = events(
            CoveoItemsRefusedTrigger(source_id="vault"), [*steps, lambda: step(0, "fine")], monkeypatch
        )

    assert sorted(item for event in told for item in event["items"]) == sorted(pushed)


def test_an_event_names_twenty_items_at_most(
    connected: Sandbox, client: CoveoClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And counts all of them."""
    connected.add_source("vault", kind="PUSH", visibility="SECURED")
    names = [f"{n:02}" for n in range(30)]
    trigger = CoveoItemsRefusedTrigger(source_id="vault")
    [told] = events(trigger, [lambda: push(connected, client, *names)], monkeypatch)
    assert (told["refused"], len(told["items"])) == (30, 20)


def test_a_connection_that_is_wrong_is_looked_at_again(
    sandbox: Sandbox, connect: Connect, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be put right while the trigger waits, and nobody would start it again."""
    connect(sandbox, login="")

    def put_right() -> None:
        connect(sandbox)
        sandbox.add_source("late", kind="PUSH")

    busy: list[Step] = [
        put_right,
        lambda: ConnectionHook().client.set_source_status("files", "REFRESH"),
        lambda: ConnectionHook().client.set_source_status("files", "IDLE"),
    ]
    told = events(CoveoSourceRebuiltTrigger(source_id="files"), busy, monkeypatch)
    assert [one["event"] for one in told] == ["rebuilt"]
    assert (
        "Source files could not be looked at: connection 'coveo_default': the organization id" in caplog.text
    )

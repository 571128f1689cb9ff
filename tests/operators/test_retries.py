"""A retry after a crash goes on where the last try stopped, where Airflow keeps that: 3.3 does."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from airflow.sdk import DAG
from airflow.sdk.execution_time import context as airflow_context
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coveo_provider.errors import CoveoError
from coveo_provider.operators import (
    CoveoPushBatchOperator,
    CoveoSecurityExpansionOperator,
    CoveoUpdateStreamOperator,
)
from coveo_provider.sandbox import Answer, Sandbox
from tests.conftest import Connect, WritePart, products
from tests.contents import content_of
from tests.dags.clicking import started

KEEPS = hasattr(airflow_context, "TaskStateStoreAccessor")
SMALL = 1_000  # bytes a chunk, so that fifty documents take several
TRIES = 10  # more faults than a client sends a call again


class Store(dict[str, Any]):
    """What Airflow keeps for a task, as long as it is not too long."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


class Broken(Store):
    """A store whose service is down."""

    def set(self, key: str, value: Any) -> None:
        raise ConnectionError

    def get(self, key: str, default: Any = None) -> Any:
        raise ConnectionError


def attempt(store: Store | None, number: int, max_tries: int = 3) -> Any:
    """The context of a try."""
    values = {
        "ti": SimpleNamespace(
            try_number=number, max_tries=max_tries, task_id="push", xcom_push=lambda *_: None
        )
    }
    return values if store is None else {**values, "task_state_store": store}


def push(documents: str, **options: Any) -> CoveoPushBatchOperator:
    return CoveoPushBatchOperator(
        task_id="push", source_id="files", documents=documents, max_chunk_bytes=SMALL, fields="off", **options
    )


def accepted(sandbox: Sandbox) -> int:
    return sum(call.route == "batch.put" and call.status == 202 for call in sandbox.calls)


def fail_after(sandbox: Sandbox, chunks: int, route: str = "batch.put") -> None:
    sandbox.faults.clear()
    sandbox.faults.add(route=route, action=Answer(503), skip=chunks, times=TRIES)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stops=st.lists(st.integers(0, 4), max_size=4),
    change=st.sampled_from(["nothing", "rows", "order", "clear"]),
)
def test_whatever_happens_between_tries_the_index_is_right(
    connect: Connect,
    waits: list[float],
    write_part: WritePart,
    stops: list[int],
    change: str,
) -> None:
    """Tries that stop after so many chunks, then input that changed or a person who cleared, then a good try."""
    rows, store = products(150), Store()
    with Sandbox.start(sources={"files": "PUSH"}) as sandbox:
        connect(sandbox)
        part = write_part(rows)
        for number, stop in enumerate(stops, start=1):
            fail_after(sandbox, stop)
            with pytest.raises(CoveoError):
                push(part).execute(attempt(store, number))
        before = accepted(sandbox)
        if change == "rows":
            rows = [{**row, "n": row["n"] + 1_000} for row in rows]
        if change == "order":
            rows = rows[::-1]
        part = write_part(rows)
        sandbox.faults.clear()
        max_tries = 3 + len(stops) if change == "clear" else 3

        report = push(part).execute(attempt(store, len(stops) + 1, max_tries))

        sandbox.settle()
        assert {name: item["n"] for name, item in sandbox.items("files").items()} == {
            row["documentId"]: row["n"] for row in rows
        }
        assert report["documents"] == 150
        sent = accepted(sandbox) - before
        assert sent == (report["chunks"] - before if change == "nothing" else report["chunks"])


def test_a_task_without_a_store_sends_all_again(
    connected: Sandbox, waits: list[float], write_part: WritePart
) -> None:
    """As before Airflow 3.3, and where the store is broken."""
    part = write_part(products(50))
    for store in (None, Broken()):
        connected.clear_calls()
        fail_after(connected, 2)
        with pytest.raises(CoveoError):
            push(part).execute(attempt(store, 1))
        connected.faults.clear()
        report = push(part).execute(attempt(store, 2))
        assert accepted(connected) == report["chunks"] + 2


def test_what_is_too_long_to_keep_is_not(
    connected: Sandbox, waits: list[float], write_part: WritePart
) -> None:
    """The ids of rows that stand in the DAG file are a part of the report."""
    rows = [{"documentId": f"file://{n:0200}", "data": "x"} for n in range(400)]
    store = Store()
    fail_after(connected, 2)
    task = CoveoPushBatchOperator(
        task_id="push", source_id="files", documents=cast("Any", rows), max_chunk_bytes=SMALL, fields="off"
    )
    with pytest.raises(CoveoError):
        task.execute(attempt(store, 1))
    assert store == {}


def test_files_are_read_again(
    connected: Sandbox, waits: list[float], write_part: WritePart, tmp_path: Any
) -> None:
    """What contentUri names may be another file by now, of the same size."""
    files = [tmp_path / f"{n}.txt" for n in range(4)]
    for file in files:
        file.write_text("old")
    rows = [
        {"documentId": f"file://{file.name}", "contentUri": file.as_uri(), "pad": "x" * 600} for file in files
    ]
    part, store = write_part(rows), Store()
    fail_after(connected, 2)
    with pytest.raises(CoveoError):
        push(part).execute(attempt(store, 1))
    for file in files:
        file.write_text("new")
    connected.faults.clear()

    push(part).execute(attempt(store, 2))

    connected.settle()
    assert {content_of(connected, "files", name) for name in connected.items("files")} == {b"new"}


def test_an_expansion_goes_on_with_its_mark(
    connected: Sandbox, waits: list[float], write_part: WritePart
) -> None:
    """What it pushed before the crash is not older than its mark, and stays."""
    connected.add_security_provider("acme")
    people = write_part([{"name": f"user-{n}@acme.example", "type": "USER"} for n in range(40)])
    store = Store()

    def expand() -> CoveoSecurityExpansionOperator:
        return CoveoSecurityExpansionOperator(
            task_id="e",
            provider_id="acme",
            members=people,
            max_chunk_bytes=SMALL,
            delete_older=True,
            queue_delay=0,
        )

    fail_after(connected, 1, "identities.batch")
    with pytest.raises(CoveoError):
        expand().execute(attempt(store, 1))
    connected.faults.clear()
    expand().execute(attempt(store, 2))
    connected.settle()
    states = [one.state for one in connected.identities("acme")]
    assert len(states) == 40
    assert "DISABLED" not in states


def test_in_a_run_of_airflow(
    connected: Sandbox, waits: list[float], write_part: WritePart, airflow_database: None
) -> None:
    """With the store of this Airflow: a retry goes on, and whoever clears the task has everything sent again."""
    with DAG("retried", schedule=None) as dag:
        CoveoUpdateStreamOperator(
            task_id="update",
            source_id="products",
            documents=write_part(products(50)),
            max_chunk_bytes=SMALL,
            retries=1,
            retry_delay=timedelta(0),
            fields="off",
        )
    fail_after(connected, 2, "stream.update")

    run = started(dag)

    assert run.state == "success"
    connected.settle()
    assert len(connected.items("products")) == 50
    chunks = run.xcom("update", "return_value")["chunks"]
    assert updates(connected) == chunks + (0 if KEEPS else 2)

    connected.clear_calls()
    run.clear("update")
    assert run.go_on() == "success"
    assert updates(connected) == chunks


def updates(sandbox: Sandbox) -> int:
    return sum(call.route == "stream.update" and call.status == 202 for call in sandbox.calls)

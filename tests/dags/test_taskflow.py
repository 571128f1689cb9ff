"""`@task.coveo` and the hook in a `@task`, run by Airflow: claims, retries, clicks, mapped tasks, XCom."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from airflow.sdk import DAG, task

from coveo_provider._compat import AirflowFailException
from coveo_provider.assets import coveo_asset
from coveo_provider.documents import DocumentMapping
from coveo_provider.errors import ConfigurationError
from coveo_provider.hooks.coveo import CoveoHook
from coveo_provider.operators import (
    CoveoDeleteOlderOperator,
    CoveoPushBatchOperator,
    CoveoSetSourceStatusOperator,
    CoveoUpdateStreamOperator,
    CoveoVerifyOperator,
)
from coveo_provider.sandbox import Answer, Sandbox
from coveo_provider.task_groups import catalog_load, push_rebuild
from tests.conftest import WritePart, products
from tests.dags.clicking import Run, started
from tests.dags.conftest import claims
from tests.listening import openlineage
from tests.operators.conftest import run as run_alone

pytestmark = pytest.mark.usefixtures("nothing_remembered")

FAIL = Answer(500, body='{"message": "Internal error"}')
ROWS: list[dict[str, Any]] = [
    {"documentId": "product://1", "name": "One", "size": 42},
    {"documentId": "product://2", "name": "Two", "size": None},
]
HELD = {row["documentId"]: {k: v for k, v in row.items() if v is not None} for row in ROWS}
FRAMES: dict[str, Callable[[], Any]] = {
    "pandas": lambda: pd.DataFrame(ROWS).astype({"size": "Int64"}),
    "polars": lambda: pl.DataFrame(ROWS),
    "Arrow": lambda: pa.Table.from_pylist(ROWS),
    "rows": lambda: ROWS,
}

Make = Callable[[], Any]


@pytest.fixture(autouse=True)
def one_clock(connected: Sandbox, monkeypatch: pytest.MonkeyPatch, waits: list[float]) -> None:
    """The worker's clock goes with the service's."""
    clock = SimpleNamespace(time_ns=lambda: connected.clock.now_ms() * 1_000_000, monotonic=time.monotonic)
    monkeypatch.setattr("coveo_provider.loading.deliveries.time", clock)


_numbers = count()


def run_of(make: Make, name: str = "", **args: Any) -> Run:
    """Run the DAG of the tasks that a function makes, of a name of its own: Airflow writes one anew every 30 s."""
    with DAG(
        name or f"taskflow_{next(_numbers)}",
        schedule=None,
        default_args={"retries": 0, "retry_delay": 0, **args},
    ) as dag:
        make()
    return started(dag)


def pushing(returned: Callable[[], Any], **options: Any) -> Make:
    """Return what makes a decorated task whose function returns that."""

    @task.coveo(**{"source_id": "files", **options})
    def push() -> Any:
        return returned()

    made: Make = push
    return made


@pytest.mark.parametrize("kind", FRAMES)
def test_what_the_function_returns_is_in_the_index(connected: Sandbox, kind: str) -> None:
    """When the task is green; XCom holds the report, and no row of it."""
    run = run_of(pushing(FRAMES[kind]))

    assert run.state == "success"
    assert connected.items("files") == HELD
    report = run.xcom("push", "return_value")
    assert (report["documents"], report["indexed"], report["refused"]) == (2, 2, 0)
    assert report["verified"] == "items"  # others may send beside it, so numbers say too little
    assert "ids" not in report
    told = json.dumps([report, run.xcom("push", "coveo_report")])
    assert "One" not in told
    assert "product://2" not in told
    assert connected.api_key not in told
    assert claims() == {}


@pytest.mark.parametrize("kind", ["pandas", "polars", "Arrow"])
def test_a_frame_is_pushed_by_the_operators_with_a_mapping(connected: Sandbox, kind: str) -> None:
    """Their reports have the ids, as nobody looked yet what became of them; without one: `test_inputs.py`."""
    mapping = DocumentMapping("{documentId}", keep="*")
    frame = FRAMES[kind]()
    several: Any = iter([frame])
    for operator in (
        CoveoPushBatchOperator(task_id="t", source_id="files", documents=frame, mapping=mapping),
        CoveoUpdateStreamOperator(task_id="t", source_id="products", documents=several, mapping=mapping),
    ):
        report = run_alone(operator)
        assert (report["parts"], report["ids"]) == ([], {"addOrUpdate": list(HELD)})
    connected.settle()
    assert connected.items("products") == connected.items("files") == HELD


def test_a_frame_of_a_task_is_pushed_by_the_operator(connected: Sandbox) -> None:
    """And verified by the task that follows, which has nothing but the report."""

    def make() -> None:
        @task
        def extract() -> Any:
            return FRAMES["pandas"]()

        mapping = DocumentMapping("{documentId}", keep="*")
        documents: Any = extract()
        push = CoveoPushBatchOperator(task_id="push", source_id="files", documents=documents, mapping=mapping)
        CoveoVerifyOperator(task_id="verify", source_id="files", reports=push.output, deferrable=False)

    run = run_of(make)

    assert (run.state, run.xcom("verify", "return_value")["indexed"]) == ("success", 2)
    assert connected.items("files") == HELD


def test_frames_and_deletions_come_from_one_function(connected: Sandbox) -> None:
    """With a mapping, from arguments that other tasks return, by templates."""
    CoveoHook().push([{"documentId": "product://9"}], "files")

    def make() -> None:
        @task
        def extract() -> Any:
            return pd.DataFrame({"sku": [1, 2, 3], "name": ["One", "Two", "Three"]})

        @task.coveo(
            source_id="{{ params.get('source', 'files') }}",
            mapping=DocumentMapping("product://{sku}", keep="*"),
        )
        def push(frame: Any, size: int, ds: str | None = None) -> dict[str, Any]:
            """Its annotation makes no XComs of the report's entries."""
            pieces = (frame[start : start + size] for start in range(0, len(frame), size))
            return {"documents": pieces, "deletions": ["product://9"]}

        push(extract(), size=2)

    run = run_of(make)

    assert run.state == "success"
    assert sorted(connected.items("files")) == ["product://1", "product://2", "product://3"]
    assert run.xcom("push", "return_value")["deletions"] == 1
    assert run.xcom("push", "documents") is None


@pytest.mark.long
def test_a_retry_sends_again_and_a_hopeless_error_does_not(connected: Sandbox) -> None:
    """A fault that passes is retried by Airflow; bad data fails the task at once, and names the document."""
    calls: list[int] = []

    def rows() -> Any:
        calls.append(1)
        return ROWS

    connected.faults.add(route="batch.put", action=FAIL, times=6)
    run = run_of(pushing(rows), retries=2)
    assert (run.state, run.tries("push"), len(calls)) == ("success", 2, 2)
    assert connected.items("files") == HELD

    errors: list[str] = []
    bad = pushing(lambda: pd.DataFrame({"documentId": ["one"]}))
    run = run_of(bad, retries=2, on_failure_callback=lambda context: errors.append(str(context["exception"])))
    assert (run.state, run.tries("push")) == ("failed", 1)
    assert "document 'one'" in errors[0]


@pytest.mark.long
def test_clicks_do_no_harm(connected: Sandbox) -> None:
    """Cleared, the task sends what its function returns then; marked as success, it sends nothing."""
    rows = list(ROWS)
    run = run_of(pushing(lambda: rows))
    rows[:] = [{**ROWS[0], "name": "Uno"}, ROWS[1]]
    run.clear("push")
    assert run.go_on() == "success"
    assert connected.items("files")["product://1"]["name"] == "Uno"

    connected.faults.add(route="batch.put", action=FAIL, times=9)
    rows[:] = [{**ROWS[0], "name": "Eins"}]
    failed = run_of(pushing(lambda: rows))
    connected.faults.clear()
    failed.mark_success("push")
    failed.go_on()
    assert connected.items("files")["product://1"]["name"] == "Uno"


def test_mapped_functions_push_each_their_own(connected: Sandbox) -> None:
    """With `partial`, `expand` and `override`; each is verified by itself."""

    def make() -> None:
        @task.coveo(source_id="nowhere", mapping=DocumentMapping("product://{n}", keep="*"))
        def push(start: int, size: int) -> Any:
            return pd.DataFrame(products(size, start)).drop(columns="documentId")

        push.override(source_id="files").partial(size=2).expand(start=[0, 2, 4])

    run = run_of(make)

    assert run.states() == {f"push[{n}]": "success" for n in range(3)}
    assert sorted(connected.items("files")) == [f"product://{n}" for n in range(6)]


@pytest.mark.long
def test_a_decorated_task_is_a_step_of_a_load(connected: Sandbox) -> None:
    """Where tasks that end the load follow, they verify: the report has the ids that they need."""
    CoveoHook().push([{"documentId": "product://9"}], "files")
    connected.clock.advance(seconds=60)

    def make() -> None:
        source: dict[str, Any] = {"source_id": "files"}
        rebuild = CoveoSetSourceStatusOperator(task_id="rebuild", status="REBUILD", **source)
        push = pushing(FRAMES["polars"])()
        older = CoveoDeleteOlderOperator(task_id="older", reports=push, queue_delay=0, **source)
        verify = CoveoVerifyOperator(
            task_id="verify", reports=older.output, whole=True, deferrable=False, **source
        )
        idle = CoveoSetSourceStatusOperator(task_id="idle", status="IDLE", **source).as_teardown(
            setups=rebuild
        )
        rebuild >> push >> older >> verify >> idle

    run = run_of(make)

    assert run.state == "success", run.states()
    assert connected.items("files") == HELD
    assert "verified" not in run.xcom("push", "return_value")


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (lambda: None, "the function push returned None"),
        (lambda: ROWS[0], "with the keys 'documentId', 'name'.*a list of one row"),
        (lambda: {}, "with the keys"),
        (lambda: pl.DataFrame(ROWS).lazy(), r"collect\(\)"),
        (lambda: iter(()), "the list of parts is empty"),
        (lambda: {"documents": ROWS, "deletions": ["product://7"]}, "in one place"),
    ],
)
def test_what_a_function_must_not_return_is_told(connected: Sandbox, returned: Make, words: str) -> None:
    """By its name, and nothing is sent."""
    made = pushing(returned, deletions=["product://8"])().operator
    with pytest.raises(AirflowFailException, match=words):
        run_alone(made)
    assert connected.calls == []


def test_how_the_decorator_is_used_is_told_as_the_file_is_read() -> None:
    with pytest.raises(ConfigurationError, match=r"@task\.coveo\(source_id="):
        task.coveo(lambda: ROWS)
    with pytest.raises(ConfigurationError, match="documents is not an argument"):
        task.coveo(source_id="files", documents=ROWS)


def loading(frame: Any, source: str, **options: Any) -> Make:
    """Return what makes an ordinary task that loads all of a source by the hook."""

    @task
    def load() -> Any:
        return CoveoHook().load(frame, source, **options)

    return load


@pytest.mark.long
@pytest.mark.parametrize("source", ["files", "products"])
def test_the_hook_in_a_task_takes_turns_with_a_group(
    connected: Sandbox, write_part: WritePart, source: str
) -> None:
    """While a run of another DAG loads the source, a load and a push are refused and send nothing; a feed may."""
    group = push_rebuild if source == "files" else catalog_load
    errors: list[str] = []
    inner: list[str] = []

    def in_between() -> None:
        @task
        def while_loading() -> None:
            """Runs another DAG in the middle of this one."""
            feed = pushing(FRAMES["rows"], source_id=source, exclusive=False)
            if source == "files":
                inner.append(run_of(feed).state)
            for make in (loading(FRAMES["pandas"](), source), pushing(FRAMES["rows"], source_id=source)):
                seen = len([call for call in connected.calls if call.method != "GET"])
                note: Any = lambda context: errors.append(str(context["exception"]))  # noqa: E731
                inner.append(run_of(make, on_failure_callback=note).state)
                assert len([call for call in connected.calls if call.method != "GET"]) == seen

        made = group(source_id=source, documents=write_part(products(3)))
        first = made.children[f"{made.group_id}.{'push' if source == 'files' else 'upload'}"]
        last = made.children[f"{made.group_id}.{'delete_older' if source == 'files' else 'close'}"]
        first >> while_loading() >> last

    run = run_of(in_between)
    connected.settle()

    assert run.state == "success", run.states()
    assert inner == ["success"] * (source == "files") + ["failed", "failed"]
    assert all("is being loaded by DAG taskflow_" in error for error in errors), errors
    assert connected.count(source) == 3


@pytest.mark.long
@pytest.mark.parametrize("source", ["files", "products"])
def test_a_load_by_the_hook_gives_the_source_back(connected: Sandbox, source: str) -> None:
    """Also when it failed; cleared, it goes through."""
    connected.faults.add(route="upload", action=FAIL, times=9)
    run = run_of(loading(FRAMES["Arrow"](), source))
    connected.faults.clear()
    assert run.state == "failed"

    run.clear("load")
    assert run.go_on() == "success"
    assert connected.items(source) == HELD
    assert claims() == {}
    assert connected.source(source).status != "REBUILD"


@pytest.mark.parametrize("source", ["files", "products"])
def test_mapped_loads_of_one_source_stop(connected: Sandbox, source: str) -> None:
    """Each would put its share in place of the others', and be green."""

    def make() -> None:
        @task(max_active_tis_per_dagrun=1)
        def load(start: int) -> Any:
            return CoveoHook().load(products(2, start), source, queue_delay=0)

        load.expand(start=[0, 2])

    errors: list[str] = []
    run = run_of(make, on_failure_callback=lambda context: errors.append(str(context["exception"])))

    assert sorted(run.states().values()) == ["failed", "success"]
    assert "task load[0] of this run loads all of its content, and load[1] would" in errors[0]
    assert sorted(connected.items(source)) == ["product://0", "product://1"]
    first = run
    connected.clock.advance(seconds=60)
    first.clear("load", 0)
    first.go_on()
    assert first.states()["load[0]"] == "success"


@pytest.mark.long
def test_another_owner_of_the_content_is_refused(connected: Sandbox, write_part: WritePart) -> None:
    """A group that loads what the hook loads would undo it each night."""
    assert run_of(loading(ROWS, "products")).state == "success"
    errors: list[str] = []
    note: Any = lambda context: errors.append(str(context["exception"]))  # noqa: E731

    documents = write_part(products(5))
    state = run_of(
        lambda: catalog_load(source_id="products", documents=documents), on_failure_callback=note
    ).state

    assert state == "failed"
    assert re.search(r"its content belongs to DAG taskflow_\d+, task load,", errors[0])
    assert connected.items("products") == HELD


def test_two_notebooks_at_once_end_with_the_load_of_one(connected: Sandbox) -> None:
    """Nobody keeps them apart; each looks at what it sent, and the source holds what one of them has."""

    def others() -> Iterator[Any]:
        yield pa.Table.from_pylist(ROWS)
        CoveoHook().load(products(4), "products", verify=False)

    report = CoveoHook().load(others(), "products")

    assert report["held"] == 2
    assert connected.items("products") == HELD


def test_a_waiting_task_calls_its_function_again(connected: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a wait on the triggerer; what was accepted before is not sent again."""
    import asyncio

    async def sleep(seconds: float) -> None:
        """Not at all."""

    calls: list[int] = []

    def frames() -> Any:
        calls.append(1)
        return (pd.DataFrame(products(10, start)) for start in range(0, 50, 10))

    monkeypatch.setattr(
        "coveo_provider.triggers.wait.asyncio",
        SimpleNamespace(sleep=sleep, **{name: getattr(asyncio, name) for name in ("CancelledError",)}),
        raising=False,
    )
    connected.faults.add(route="batch.put", action=Answer.throttled(280), skip=2, times=1)
    run = run_of(pushing(frames, deferrable=True, max_chunk_bytes=1_000))

    assert run.state == "success"
    assert len(calls) == 2
    assert connected.count("files") == 50
    puts = [call for call in connected.calls if call.route == "batch.put"]
    assert run.xcom("push", "return_value")["chunks"] == len(puts) - 1


def test_other_dags_are_told(connected: Sandbox, airflow_database: None, tmp_path: Path) -> None:
    """By one event of the source's asset, as at the end of a group; another source's is refused beforehand."""
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session
    from sqlalchemy import func, select

    def events() -> int:
        with create_session() as session:
            return int(session.scalar(select(func.count(AssetEvent.id))) or 0)

    own = coveo_asset(connected.organization_id, "files")
    for outlets in ([], [own]):
        before = events()
        assert run_of(pushing(FRAMES["rows"], outlets=outlets)).state == "success"
        assert events() == before + 1

    connected.clear_calls()
    other = coveo_asset(connected.organization_id, "products")
    assert run_of(pushing(FRAMES["rows"], outlets=[other])).state == "failed"
    assert connected.calls == []


def test_a_decorated_task_serializes_the_same_each_time() -> None:
    """Also a mapped one with a function in its mapping: no address of an object is in it."""
    from airflow.serialization import serialized_objects

    name_of_3_1 = "SerializedDAG"
    serializer = getattr(serialized_objects, "DagSerialization", None) or getattr(
        serialized_objects, name_of_3_1
    )

    def build() -> Any:
        mapping = DocumentMapping("product://{n}", {"title": lambda frame: frame["name"]})
        with DAG("shop", schedule=None) as dag:

            @task.coveo(source_id="files", mapping=mapping)
            def push(start: int) -> Any:
                return products(2, start)

            push(1)
            push.override(task_id="mapped").expand(start=[1, 2])
        return serializer.to_dict(dag)

    assert build() == build()


def test_lineage_names_no_file_that_is_gone(connected: Sandbox, tmp_path: Path) -> None:
    """OpenLineage is told the source alone."""
    with openlineage(tmp_path / "events.ndjson"):
        for operator in (
            pushing(FRAMES["polars"])().operator,
            CoveoPushBatchOperator(
                task_id="t", source_id="files", documents=ROWS, mapping=DocumentMapping("{documentId}")
            ),
        ):
            run_alone(operator)
            assert (list(operator.lineage.inputs), len(operator.lineage.outputs)) == ([], 1)

"""What other DAGs are told: an event of the source's asset for each refresh that Coveo accepted, and none else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sample_rows
from airflow.sdk import DAG, Asset, AssetAlias, BaseOperator

from coveo_provider._compat import AirflowFailException
from coveo_provider.assets import ANY_REFRESH, coveo_asset
from coveo_provider.operators import (
    CoveoCloseStreamOperator,
    CoveoDeleteOlderOperator,
    CoveoFinalizeOperator,
    CoveoOpenStreamOperator,
    CoveoUploadChunkOperator,
    CoveoVerifyOperator,
)
from coveo_provider.sandbox import Answer, Cut, Sandbox
from coveo_provider.task_groups import catalog_load
from tests.conftest import WritePart, products
from tests.dags.conftest import RunDag, make_known
from tests.operators.conftest import run

Events = Callable[[], list[tuple[str, dict[str, Any]]]]
FAIL = Answer(500, body='{"message": "Internal error"}')


@pytest.fixture
def events(airflow_database: None) -> Events:
    """The events in Airflow's database, URI and extra, since the test began."""
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session
    from sqlalchemy import select

    def stored(after: int) -> list[tuple[int, str, dict[str, Any]]]:
        with create_session() as session:
            rows = session.scalars(select(AssetEvent).where(AssetEvent.id > after).order_by(AssetEvent.id))
            return [(row.id, row.asset.uri, dict(row.extra)) for row in rows]

    before = max((number for number, *_ in stored(0)), default=0)
    return lambda: [(uri, extra) for _, uri, extra in stored(before)]


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the extracts small."""
    for name in ("installed_distributions", "python_topics", "python_modules"):
        rows = getattr(sample_rows, name)()[:20]
        monkeypatch.setattr(sample_rows, name, lambda rows=rows: rows)


@pytest.fixture
def loaded(connected: Sandbox, write_part: WritePart) -> dict[str, Any]:
    """A stream with ten products uploaded into it: the arguments of its close."""
    stream_id = run(CoveoOpenStreamOperator(task_id="o", source_id="products"))
    stream = {"source_id": "products", "stream_id": stream_id}
    report = run(CoveoUploadChunkOperator(task_id="u", documents=write_part(products(10)), **stream))
    return {**stream, "reports": report}


def ran(name: str, build: Callable[[], BaseOperator | Any], **options: Any) -> tuple[str, Any]:
    """Run a DAG of one task, and return its state and the DAG."""
    with DAG(dag_id=name, schedule=None, default_args={"retries": 0}, **options) as dag:
        build()
    make_known(dag)
    return str(dag.test().state), dag


def test_a_load_emits_an_event_with_its_report(
    run_dag: RunDag, connected: Sandbox, few_rows: None, tmp_path: Path, events: Events
) -> None:
    """After the sample there is one event of the source, and its extra says what was loaded, without lists."""
    state, _ = run_dag("coveo_catalog_load", staging=tmp_path.as_uri())

    [(uri, extra)] = events()
    assert state == "success"
    assert uri == coveo_asset("sandbox", "products").uri == "coveo://sandbox/products"
    assert (extra["organization_id"], extra["source_id"]) == ("sandbox", "products")
    connected.settle()
    assert extra["documents"] == connected.count("products")
    assert len(str(extra["ordering_id"])) == 13
    assert extra["request_id"]
    assert not {"parts", "ordering_ids"} & set(extra)
    assert connected.api_key not in json.dumps(extra)


def test_a_rebuild_emits_an_event_with_its_mark(
    run_dag: RunDag, connected: Sandbox, few_rows: None, tmp_path: Path, events: Events
) -> None:
    """The event of a Push source comes with the deletion of what is older."""
    run_dag("coveo_push_rebuild", staging=tmp_path.as_uri())

    [(uri, extra)] = events()
    assert uri == "coveo://sandbox/files"
    assert extra["documents"] > 0
    assert len(str(extra["ordering_id"])) == 13


def test_a_dag_scheduled_on_the_asset_is_queued(
    connected: Sandbox, loaded: dict[str, Any], events: Events
) -> None:
    """So is one scheduled on the alias, which is for every source; one scheduled on another source is not."""
    from airflow.models.asset import AssetDagRunQueue
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session
    from sqlalchemy import select, update

    schedules = {
        "on_this": coveo_asset("Sandbox", "products"),
        "by_hand": Asset(uri="coveo://sandbox/products", name="coveo://sandbox/products"),
        "on_any": AssetAlias(ANY_REFRESH),
        "on_another": coveo_asset("sandbox", "Products"),
    }
    for name, asset in schedules.items():
        make_known(DAG(dag_id=name, schedule=[asset]))
    with create_session() as session:
        session.execute(update(DagModel).where(DagModel.dag_id.in_(schedules)).values(is_paused=False))

    state, _ = ran("closes", lambda: CoveoCloseStreamOperator(task_id="close", **loaded))

    with create_session() as session:
        queued = set(session.scalars(select(AssetDagRunQueue.target_dag_id)))
    assert state == "success"
    assert queued >= {"on_this", "by_hand", "on_any"}
    assert "on_another" not in queued


def test_a_refused_close_emits_nothing(connected: Sandbox, loaded: dict[str, Any], events: Events) -> None:
    """A load that was stopped is no refresh."""
    state, _ = ran("stops", lambda: CoveoCloseStreamOperator(task_id="close", min_documents=11, **loaded))

    assert (state, events()) == ("failed", [])


@pytest.mark.parametrize(("fault", "times"), [(FAIL, 6), (Cut("after"), 1)], ids=["refused", "answer lost"])
def test_a_retried_close_emits_one_event(
    connected: Sandbox,
    loaded: dict[str, Any],
    events: Events,
    waits: list[float],
    fault: Answer | Cut,
    times: int,
) -> None:
    """The try that failed emits none, the one that went through one, and no answer is needed for it."""
    connected.faults.add(route="stream.close", action=fault, times=times)

    def close() -> None:
        CoveoCloseStreamOperator(task_id="close", retries=2, retry_delay=0, **loaded)

    state, _ = ran("retries", close)

    assert state == "success"
    assert [uri for uri, _ in events()] == ["coveo://sandbox/products"]


def test_mapped_tasks_emit_one_event_each(connected: Sandbox, events: Events) -> None:
    """A task mapped over sources tells of each."""
    connected.add_source("more", kind="PUSH")

    state, _ = ran(
        "mapped",
        lambda: CoveoDeleteOlderOperator.partial(
            task_id="delete", reports={"documents": 0}, ordering_id="1600000000000", min_documents=0
        ).expand(source_id=["files", "more"]),
    )

    assert state == "success"
    told = {uri: (extra["source_id"], extra["ordering_id"]) for uri, extra in events()}
    assert told == {
        "coveo://sandbox/files": ("files", 1_600_000_000_000),
        "coveo://sandbox/more": ("more", 1_600_000_000_000),
    }
    assert len(events()) == 2


def test_a_load_of_changes_only_is_a_refresh_too(connected: Sandbox, events: Events) -> None:
    """Nothing is deleted for its age, and the index is another all the same."""
    report = {"documents": 3, "ordering_ids": [1_600_000_000_000]}
    changes: dict[str, Any] = {"source_id": "files", "reports": report, "full": False}

    state, _ = ran("changes", lambda: CoveoDeleteOlderOperator(task_id="delete", **changes))

    assert state == "success"
    [(uri, extra)] = events()
    assert (uri, extra["documents"]) == ("coveo://sandbox/files", 3)
    assert extra["ordering_id"] == 1_600_000_000_000
    assert connected.calls == []


@pytest.mark.parametrize("full", [True, False])
def test_a_refresh_that_is_finalized_emits_one_event(connected: Sandbox, events: Events, full: bool) -> None:
    """With a task of its own for the end, the deletion before it tells nobody."""
    given: dict[str, Any] = {"source_id": "files", "reports": {"documents": 3}}

    def refresh() -> None:
        mark = "1600000000000"
        delete = CoveoDeleteOlderOperator(task_id="delete", full=full, ordering_id=mark, **given)
        delete >> CoveoFinalizeOperator(task_id="finalize", **given)

    assert ran("finalized", refresh)[0] == "success"
    [(uri, extra)] = events()
    assert (uri, extra["documents"]) == ("coveo://sandbox/files", 3)


def test_the_end_of_another_source_is_no_end_of_this_one(connected: Sandbox, events: Events) -> None:
    """A load that is followed by that of another source tells of itself."""
    connected.add_source("more", kind="PUSH")
    reports = {"documents": 3}

    def refresh() -> None:
        delete = CoveoDeleteOlderOperator(
            task_id="delete", source_id="{{ 'files' }}", reports=reports, ordering_id="1600000000000"
        )
        delete >> CoveoFinalizeOperator(task_id="finalize", source_id="{{ 'more' }}", reports=reports)

    assert ran("others", refresh)[0] == "success"
    assert [uri for uri, _ in events()] == ["coveo://sandbox/files", "coveo://sandbox/more"]


def test_what_the_dags_author_declares_stays(
    connected: Sandbox, loaded: dict[str, Any], events: Events
) -> None:
    """Outlets of the task's own get their events as well, and the alias stands among them once."""
    mine, alias = Asset("mine"), AssetAlias(ANY_REFRESH)
    close = CoveoCloseStreamOperator(task_id="alone", outlets=[mine, alias], **loaded)
    assert close.outlets == [mine, alias]

    ran("declares", lambda: CoveoCloseStreamOperator(task_id="close", outlets=mine, **loaded))

    assert sorted(uri for uri, _ in events()) == ["coveo://sandbox/products", "mine"]


DECLARED: dict[str, Callable[[], Any]] = {
    "the_asset": lambda: coveo_asset("Sandbox", "products"),
    "its_uri": lambda: Asset("coveo://sandbox/products"),
    "its_uri_as_a_reference": lambda: Asset.ref(uri="coveo://sandbox/products"),
    "its_name_as_a_reference": lambda: Asset.ref(name="coveo://sandbox/products"),
    "another_name": lambda: Asset(name="catalog", uri="coveo://SANDBOX/products"),
}


@pytest.fixture
def forgotten_assets(airflow_database: None) -> Iterator[None]:
    """Let an asset have another name: Airflow knows one for each URI."""
    from airflow.models.asset import AssetActive
    from airflow.utils.session import create_session
    from sqlalchemy import delete

    def forget() -> None:
        with create_session() as session:
            session.execute(delete(AssetActive))

    forget()
    yield
    forget()


@pytest.mark.parametrize("how", DECLARED)
def test_a_declared_source_gets_the_same_event_once(
    connected: Sandbox, loaded: dict[str, Any], forgotten_assets: None, events: Events, how: str
) -> None:
    """With its extra, and not doubled: Airflow's own event of an outlet would have none."""
    if "reference" in how:  # to what another DAG made known
        make_known(DAG(dag_id=f"knows_{how}", schedule=[coveo_asset("sandbox", "products")]))
    outlets = [DECLARED[how]()]

    state, _ = ran(how, lambda: CoveoCloseStreamOperator(task_id="close", outlets=outlets, **loaded))

    [(uri, extra)] = events()
    assert (state, uri) == ("success", "coveo://sandbox/products")
    assert (extra["source_id"], extra["documents"]) == ("products", 10)
    assert len(str(extra["ordering_id"])) == 13


def test_a_declared_source_queues_the_dags_of_asset_and_alias(
    connected: Sandbox, loaded: dict[str, Any], forgotten_assets: None, events: Events
) -> None:
    """Each of them once, and the page of the asset shows the task that produces it."""
    from airflow.models.asset import AssetDagRunQueue, AssetModel, TaskOutletAssetReference
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session
    from sqlalchemy import delete, select, update

    mine = coveo_asset("sandbox", "products")
    schedules: dict[str, Any] = {"on_declared": mine, "on_any_declared": AssetAlias(ANY_REFRESH)}
    for name, asset in schedules.items():
        make_known(DAG(dag_id=name, schedule=[asset]))
    with create_session() as session:
        session.execute(delete(AssetDagRunQueue))
        session.execute(update(DagModel).where(DagModel.dag_id.in_(schedules)).values(is_paused=False))

    ran("produces", lambda: CoveoCloseStreamOperator(task_id="close", outlets=mine, **loaded))

    with create_session() as session:
        queued = list(session.scalars(select(AssetDagRunQueue.target_dag_id)))
        producers = session.scalars(
            select(TaskOutletAssetReference.task_id)
            .join(AssetModel, AssetModel.id == TaskOutletAssetReference.asset_id)
            .where(AssetModel.uri == mine.uri, TaskOutletAssetReference.dag_id == "produces")
        ).all()
    assert sorted(name for name in queued if name in schedules) == sorted(schedules)
    assert producers == ["close"]
    assert len(events()) == 1


def test_a_group_tells_of_its_source_by_its_last_task(
    connected: Sandbox, write_part: WritePart, events: Events
) -> None:
    """Only the task that verifies is a producer, and its event says what it found."""
    part, mine = write_part(products(10)), coveo_asset("sandbox", "products")

    state, dag = ran(
        "grouped", lambda: catalog_load(source_id="products", documents=[part], outlets=[mine], verify=False)
    )

    assert state == "success"
    assert [task.task_id for task in dag.tasks if mine in task.outlets] == ["catalog_load.verify"]
    [(uri, extra)] = events()
    assert (uri, extra["documents"], extra["verified"]) == (mine.uri, 10, "nothing")


@pytest.mark.parametrize(
    ("outlet", "words"),
    [
        (("sandbox", "Products"), "outlet coveo://sandbox/Products is not what it loads, source products"),
        (("other", "products"), r"outlet coveo://other/products .*coveo_asset\('sandbox', 'products'\)"),
    ],
    ids=["another source", "another organization"],
)
def test_another_source_than_the_declared_is_refused_before_anything_is_sent(
    connected: Sandbox,
    write_part: WritePart,
    events: Events,
    caplog: pytest.LogCaptureFixture,
    outlet: tuple[str, str],
    words: str,
) -> None:
    """By the first task of the load, and by name."""
    part, foreign = write_part(products(10)), coveo_asset(*outlet)

    state, _ = ran("foreign", lambda: catalog_load(source_id="products", documents=[part], outlets=[foreign]))

    assert (state, events()) == ("failed", [])
    assert connected.calls == []
    with pytest.raises(AirflowFailException, match=f"task close: its {words}"):
        run(
            CoveoCloseStreamOperator(
                task_id="close", source_id="products", stream_id="s", reports=[], outlets=[foreign]
            )
        )
    assert connected.calls == []


def test_a_task_that_is_followed_by_verification_leaves_the_event_to_it(
    connected: Sandbox, loaded: dict[str, Any], events: Events
) -> None:
    """Whatever it declares: the load has not ended, and may be found wrong."""
    mine = coveo_asset("sandbox", "products")

    def load() -> None:
        close = CoveoCloseStreamOperator(task_id="close", outlets=[mine], **loaded)
        CoveoVerifyOperator(task_id="verify", source_id="products", reports=close.output, verify=False)

    state, _ = ran("followed", load)

    [(uri, extra)] = events()
    assert (state, uri, extra["verified"]) == ("success", mine.uri, "nothing")


def test_mapped_tasks_declare_the_sources_of_all(connected: Sandbox, events: Events) -> None:
    """Each tells of its own, and one whose source is not among them is refused."""
    connected.add_source("more", kind="PUSH")
    sources = ["files", "more"]

    state, _ = ran(
        "mapped_outlets",
        lambda: CoveoDeleteOlderOperator.partial(
            task_id="delete",
            reports={"documents": 0},
            ordering_id="1600000000000",
            min_documents=0,
            outlets=[coveo_asset("sandbox", source) for source in sources],
        ).expand(source_id=[*sources, "products"]),
    )

    assert state == "failed"
    assert sorted(uri for uri, _ in events()) == ["coveo://sandbox/files", "coveo://sandbox/more"]


def test_a_source_without_an_asset_is_refreshed_all_the_same(connected: Sandbox, events: Events) -> None:
    """The index was changed already: an id no URI can hold costs the event, not the task."""
    connected.add_source("a/b", kind="PUSH")

    state, _ = ran(
        "odd",
        lambda: CoveoDeleteOlderOperator(
            task_id="delete",
            source_id="a/b",
            reports={"documents": 0},
            ordering_id="1600000000000",
            min_documents=0,
        ),
    )

    assert (state, events()) == ("success", [])

"""What the metadata database knows of loads: their plans and reports in XCom, runs, tasks, Variables."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, TypeVar

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.variable import Variable
from airflow.models.xcom import XComModel
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from coveo_provider.plugin import shapes

PLAN, REPORT = "coveo_plan", "coveo_report"
GONE = "gone"
_VARIABLE = "coveo_source__"
# How many values are looked at: a page is for people, and each value is some kilobytes.
_OF_RUN, _OF_SOURCE, _LOOKED_AT, _TASKS, _VARIABLES = 200, 60, 1_000, 500, 2_000

T = TypeVar("T", bound=shapes.Shape)


@dataclass
class RunLoad:
    """Plan and report of one source in one run; ``wrong`` says what cannot be read."""

    organization_id: str
    source_id: str
    plan: shapes.Plan | None = None
    report: shapes.Report | None = None


@dataclass
class RunPage:
    """What a run left: a load for each of its sources, and what of it cannot be read."""

    loads: list[RunLoad] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class TaskSeconds:
    """What the tries of a task took, those of all its mapped instances together."""

    task_id: str
    instances: int
    seconds: float | None
    states: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """A run of a DAG; its state in words, :data:`GONE` when Airflow does not know it any more."""

    dag_id: str
    run_id: str
    state: str
    started: datetime | None = None


@dataclass(frozen=True)
class Seen:
    """One sign of a load: a plan or report in XCom, or the Variable that a load leaves."""

    organization_id: str
    source_id: str
    dag_id: str
    run_id: str
    moment: datetime
    items: int | None = None
    refused: int | None = None


@dataclass(frozen=True)
class KnownSource:
    """
    A source that DAGs load.

    :param dag_ids: those DAGs
    :param last: its last load
    :param moment: when that was last heard of
    :param items: how many items the source held in the end of the last load that said so
    :param refused: how many items the service refused then
    """

    organization_id: str
    source_id: str
    dag_ids: tuple[str, ...]
    last: Run
    moment: datetime
    items: int | None
    refused: int | None


def run_of(session: Session, dag_id: str, run_id: str) -> Run | None:
    """Return a run; ``None`` when there is none."""
    return _runs(session, [(dag_id, run_id)]).get((dag_id, run_id))


def page_of_run(session: Session, dag_id: str, run_id: str) -> RunPage:
    """Return plans and reports of a run, by source; of several values of a source the newest counts."""
    page = RunPage()
    found: dict[tuple[str, str], RunLoad] = {}
    statement = (
        select(XComModel)
        .where(XComModel.dag_id == dag_id, XComModel.run_id == run_id, XComModel.key.in_((PLAN, REPORT)))
        .order_by(XComModel.timestamp.desc())
        .limit(_OF_RUN)
    )
    for row in session.scalars(statement):
        kind: type[Any] = shapes.Plan if row.key == PLAN else shapes.Report
        try:
            value = _value(row, kind)
        except shapes.OtherShape as error:
            page.wrong.append(f"{row.key} of the task {row.task_id} cannot be shown: {error}")
            continue
        load = found.setdefault(
            (value.organization_id, value.source_id), RunLoad(value.organization_id, value.source_id)
        )
        if row.key == PLAN:
            load.plan = load.plan or value
        else:
            load.report = load.report or value
    page.loads = sorted(found.values(), key=lambda one: (one.source_id, one.organization_id))
    return page


def reports_of(
    session: Session, dag_ids: Sequence[str], organization_id: str, source_id: str
) -> list[tuple[str, str, shapes.Report]]:
    """Return DAG, run and report of the last loads of a source by some DAGs, newest first, one a run."""
    statement = (
        select(XComModel)
        .where(XComModel.dag_id.in_(dag_ids), XComModel.key == REPORT)
        .order_by(XComModel.timestamp.desc())
        .limit(_LOOKED_AT)
        .execution_options(yield_per=_OF_SOURCE)
    )
    found: dict[tuple[str, str], shapes.Report] = {}
    for row in session.scalars(statement):
        report = _value_or_none(row, shapes.Report)
        if report is not None and (report.organization_id, report.source_id) == (organization_id, source_id):
            found.setdefault((row.dag_id, row.run_id), report)
        if len(found) == _OF_SOURCE:
            break
    return [(*run, report) for run, report in found.items()]


def seconds_by_task(session: Session, dag_id: str, run_id: str) -> list[TaskSeconds]:
    """Return what each task of a run took, in the order in which they began."""
    begun = func.min(TaskInstance.start_date)
    statement = (
        select(TaskInstance.task_id, TaskInstance.state, func.count(), func.sum(TaskInstance.duration), begun)
        .where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
        .group_by(TaskInstance.task_id, TaskInstance.state)
    )
    rows: dict[str, list[Any]] = {}
    for row in session.execute(statement):
        rows.setdefault(row[0], []).append(row)

    def beginning(of_task: list[Any]) -> tuple[bool, str]:
        moments = [str(row[4]) for row in of_task if row[4] is not None]
        return (not moments, min(moments, default=""))

    return [
        TaskSeconds(
            of_task[0][0],
            sum(row[2] for row in of_task),
            None if all(row[3] is None for row in of_task) else sum(row[3] or 0.0 for row in of_task),
            tuple(sorted({_state(row[1]) for row in of_task})),
        )
        for of_task in sorted(rows.values(), key=beginning)
    ]


def sources(session: Session, readable: Container[str]) -> list[KnownSource]:
    """
    Return the sources that DAGs loaded, by XCom and by the Variables that loads leave, the last loaded first.

    :param readable: the DAGs of which it may be told
    """
    signs: dict[tuple[str, str], list[Seen]] = {}
    for one in (*_in_xcom(session, readable), *_in_variables(session, readable)):
        signs.setdefault((one.organization_id, one.source_id), []).append(one)
    for seen in signs.values():
        seen.sort(key=lambda one: one.moment, reverse=True)
    runs = _runs(session, {(seen[0].dag_id, seen[0].run_id) for seen in signs.values()})
    found = []
    for (organization_id, source_id), seen in signs.items():
        last, told = seen[0], next((one for one in seen if one.items is not None), None)
        found.append(
            KnownSource(
                organization_id,
                source_id,
                tuple(sorted({one.dag_id for one in seen})),
                runs.get((last.dag_id, last.run_id), Run(last.dag_id, last.run_id, GONE)),
                last.moment,
                told.items if told else None,
                told.refused if told else None,
            )
        )
    return sorted(found, key=lambda one: one.moment, reverse=True)


def states_of(session: Session, runs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Return the states of runs in words, by DAG and run; those that are not there are left out."""
    return {key: run.state for key, run in _runs(session, runs).items()}


def _in_xcom(session: Session, readable: Container[str]) -> Iterator[Seen]:
    """Return the newest plan and the newest report of each task, which stand for its source."""
    keys = XComModel.key.in_((PLAN, REPORT))
    named = session.scalars(select(XComModel.dag_id).where(keys).distinct())
    dag_ids = [dag_id for dag_id in named if dag_id in readable]
    newest = func.max(XComModel.timestamp).label("newest")
    tasks = (
        select(XComModel.dag_id, XComModel.task_id, XComModel.map_index, XComModel.key, newest)
        .where(keys, XComModel.dag_id.in_(dag_ids))
        .group_by(XComModel.dag_id, XComModel.task_id, XComModel.map_index, XComModel.key)
        .order_by(newest.desc())
        .limit(_TASKS)
        .subquery()
    )
    statement = select(XComModel).join(
        tasks,
        (XComModel.dag_id == tasks.c.dag_id)
        & (XComModel.task_id == tasks.c.task_id)
        & (XComModel.map_index == tasks.c.map_index)
        & (XComModel.key == tasks.c.key)
        & (XComModel.timestamp == tasks.c.newest),
    )
    for row in session.scalars(statement):
        if row.key == REPORT and (report := _value_or_none(row, shapes.Report)) is not None:
            items, refused = report.source.after, report.outcome.refused
            source = (report.organization_id, report.source_id)
            yield Seen(*source, row.dag_id, row.run_id, row.timestamp, items, refused)
        elif row.key == PLAN and (plan := _value_or_none(row, shapes.Plan)) is not None:
            yield Seen(plan.organization_id, plan.source_id, row.dag_id, row.run_id, row.timestamp)


def _in_variables(session: Session, readable: Container[str]) -> Iterator[Seen]:
    statement = (
        select(Variable)
        .where(Variable.key.startswith(_VARIABLE, autoescape=True))
        .order_by(Variable.key)
        .limit(_VARIABLES)
    )
    for variable in session.scalars(statement):
        try:
            last = shapes.read_text(shapes.LastLoad, str(variable.val or ""))
            moment = datetime.fromisoformat(last.since.replace("Z", "+00:00"))
        except (shapes.OtherShape, ValueError):
            continue
        # The name is a hash; the description says which source it is: "Source X of Y was loaded last by DAG Z".
        told = (variable.description or "").removeprefix("Source ")
        named = told.removesuffix(f" was loaded last by DAG {last.dag_id}")
        source_id, of, organization_id = named.rpartition(" of ")
        if of and named != told and last.dag_id in readable:
            moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
            yield Seen(organization_id, source_id, last.dag_id, last.run_id, moment)


def _runs(session: Session, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Run]:
    """Return runs by DAG and run id, as far as they are there."""
    wanted = set(keys)
    statement = select(DagRun.dag_id, DagRun.run_id, DagRun.state, DagRun.start_date).where(
        DagRun.dag_id.in_({dag_id for dag_id, _ in wanted}),
        DagRun.run_id.in_({run_id for _, run_id in wanted}),
    )
    found = (
        Run(dag_id, run_id, _state(state), start)
        for dag_id, run_id, state, start in session.execute(statement)
    )
    return {(run.dag_id, run.run_id): run for run in found if (run.dag_id, run.run_id) in wanted}


def _value(row: XComModel, kind: type[T]) -> T:
    """
    Return what stands in a row of XCom.

    :raises OtherShape: it is no plan or report
    """
    try:
        value = XComModel.deserialize_value(row)
    except Exception as error:  # noqa: BLE001  whatever Airflow's decoder meets in it
        raise shapes.OtherShape(f"Airflow cannot read it ({type(error).__name__})") from None
    if isinstance(value, str):
        raise shapes.OtherShape("it is a text, as a custom XCom backend writes that keeps values elsewhere")
    return shapes.read(kind, value)


def _value_or_none(row: XComModel, kind: type[T]) -> T | None:
    try:
        return _value(row, kind)
    except shapes.OtherShape:
        return None


def _state(state: object) -> str:
    """Return a state of Airflow in a word for people."""
    text = str(getattr(state, "value", state) or "")
    return {"": "not begun", "success": "succeeded"}.get(text, text.replace("_", " "))

"""The pages: one function each. They are looked at only, and each asks first who may see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.utils.session import create_session
from fastapi import FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from sqlalchemy.orm import Session
from starlette.exceptions import HTTPException as AnyHTTPException

from coveo_provider.plugin import charts, pages, reading, shapes, storage
from coveo_provider.plugin.access import Readable, require

_SOURCES, _LOADS, _REFUSED = 50, 20, 100
_STATES = 3
_MOST_PAGES = 100_000


@dataclass(frozen=True)
class LoadRow:
    """A load in the list of a source: as its report tells of it, or else the state."""

    dag_id: str
    run_id: str
    finished_at: str
    everything: bool | None
    sent: int
    deleted: int
    refused: int
    held: int | None
    seconds: float | None
    manifests: tuple[str, ...]
    refused_file: str = ""
    run_state: str = reading.GONE
    dataset: str = ""


def build() -> FastAPI:
    """Return the application that serves the pages."""
    app = FastAPI(title="Coveo", docs_url=None, redoc_url=None, openapi_url=None)
    templates = pages.Templates()

    @app.get("/")
    def sources(request: Request, user: GetUserDep, q: str = "", page: int = 0) -> Response:
        with create_session(scoped=False) as session:
            found = reading.sources(session, Readable(request, user))
        states: dict[str, int] = {}
        for one in found:
            states[one.last.state] = states.get(one.last.state, 0) + 1
        wanted = [one for one in found if _is_wanted(one, q)]
        shown, turn = _page_of(request, wanted, page, _SOURCES)
        chart = charts.bars((state, [("sources", count)]) for state, count in sorted(states.items()))
        return templates.page(
            request,
            "sources.html",
            sources=shown,
            total=len(wanted),
            every=len(found),
            states=chart,
            q=q,
            **turn,
        )

    @app.get("/source")
    def source(
        request: Request, user: GetUserDep, source: str, organization: str = "", q: str = "", page: int = 0
    ) -> Response:
        readable = Readable(request, user)
        with create_session(scoped=False) as session:
            known = next(
                (
                    one
                    for one in reading.sources(session, readable)
                    if (one.organization_id, one.source_id) == (organization, source)
                ),
                None,
            )
            if known is None:
                raise HTTPException(404, f"No DAG that you may read loaded a source {source!r}.")
            reports = reading.reports_of(session, known.dag_ids, organization, source)
        # No connection to the database is held while storages are asked.
        rows, problems = _loads(reports, readable)
        with create_session(scoped=False) as session:
            states = reading.states_of(session, {(one.dag_id, one.run_id) for one in rows})
        rows = [replace(one, run_state=states.get((one.dag_id, one.run_id), reading.GONE)) for one in rows]
        wanted = pages.matching(
            [(one.run_id, one.dag_id, one.finished_at, one.run_state, one) for one in rows], q
        )
        shown, turn = _page_of(request, [row[-1] for row in wanted], page, _LOADS)
        return templates.page(
            request,
            "source.html",
            source=known,
            loads=_with_datasets(shown),
            total=len(wanted),
            line=_line(rows),
            problems=problems,
            q=q,
            **turn,
        )

    @app.get("/dags/{dag_id}/runs/{run_id:path}")
    def run(
        request: Request,
        user: GetUserDep,
        dag_id: str,
        run_id: str,
        source: str = "",
        organization: str = "",
        q: str = "",
    ) -> Response:
        require(request, user, dag_id)
        with create_session(scoped=False) as session:
            this = reading.run_of(session, dag_id, run_id)
            if this is None:
                raise HTTPException(404, f"The DAG {dag_id!r} has no run {run_id!r}.")
            found = reading.page_of_run(session, dag_id, run_id)
            load = _chosen(found.loads, organization, source)
            tasks = reading.seconds_by_task(session, dag_id, run_id)
            readable = Readable(request, user)
            reports = _reports_of(session, dag_id, load, readable) if load else []
        if load is None:
            return templates.page(request, "nothing.html", run=this, wrong=found.wrong)
        earlier, _ = _loads(reports, readable, look=False)
        return templates.page(
            request,
            "run.html",
            run=this,
            load=load,
            others=found.loads,
            wrong=found.wrong,
            q=q,
            line=_line(earlier),
            **_pictures(load, tasks, q),
        )

    @app.get("/refused")
    def refused(
        request: Request,
        user: GetUserDep,
        dag_id: str,
        run_id: str,
        source: str,
        organization: str = "",
        q: str = "",
        page: int = 0,
    ) -> Response:
        require(request, user, dag_id)
        with create_session(scoped=False) as session:
            found = reading.page_of_run(session, dag_id, run_id)
        load = _chosen(found.loads, organization, source)
        # The file is the one that the run's own report names, never one that an address names.
        if load is None or load.report is None or not load.report.outcome.refused_file:
            raise HTTPException(
                404, f"The run {run_id!r} left no file of refused items of the source {source!r}."
            )
        try:
            at = _bounded(page)
            listed = storage.refused(load.report.outcome.refused_file, text=q, page=at, size=_REFUSED)
        except storage.NotRead as error:
            raise HTTPException(404, str(error)) from None
        turn = _turn(request, at, more=listed.more)
        return templates.page(
            request, "refused.html", dag_id=dag_id, run_id=run_id, load=load, listed=listed, q=q, **turn
        )

    @app.get("/style.css")
    def style() -> Response:
        return pages.style()

    @app.exception_handler(AnyHTTPException)
    def refuse(request: Request, error: AnyHTTPException) -> Response:
        words = {
            401: "Log in to Airflow, then load this page again.",
            403: "You may not read this DAG, or not what its runs pass on (XCom). Ask who administers Airflow.",
            404: error.detail if error.detail != "Not Found" else "There is no such page.",
        }
        said = words.get(error.status_code, str(error.detail))
        return templates.page(
            request, "message.html", error.status_code, message=said, status=error.status_code
        )

    @app.exception_handler(RequestValidationError)
    def misspelt(request: Request, error: RequestValidationError) -> Response:
        said = "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in error.errors())
        message = f"The address of this page is not complete: {said}"
        return templates.page(request, "message.html", 400, message=message, status=400)

    return app


def _is_wanted(source: reading.KnownSource, q: str) -> bool:
    texts = (source.source_id, source.organization_id, source.last.state, *source.dag_ids)
    return any(q.lower() in text.lower() for text in texts)


def _chosen(loads: Sequence[reading.RunLoad], organization: str, source: str) -> reading.RunLoad | None:
    """Return the load that an address asks for; the first when it asks for none."""
    if not source:
        return loads[0] if loads else None
    return next(
        (
            one
            for one in loads
            if one.source_id == source and (not organization or one.organization_id == organization)
        ),
        None,
    )


def _reports_of(
    session: Session, dag_id: str, load: reading.RunLoad, readable: Readable
) -> list[tuple[str, str, shapes.Report]]:
    """Return the reports on the source of a load, of whichever DAG: what rolls it back is not what loads it."""
    this = (load.organization_id, load.source_id)
    known = reading.sources(session, readable)
    dag_ids = {dag_id}.union(*(one.dag_ids for one in known if (one.organization_id, one.source_id) == this))
    return reading.reports_of(session, sorted(dag_ids), *this)


def _loads(
    reports: Sequence[tuple[str, str, shapes.Report]], readable: Readable, *, look: bool = True
) -> tuple[list[LoadRow], list[str]]:
    """
    Return the loads of a source, newest first, with what of them could not be read.

    :param look: whether to look into the state too, which remembers loads that are not in XCom any more
    """
    rows = {(dag_id, run_id): _of_report(dag_id, run_id, report) for dag_id, run_id, report in reports}
    problems = []
    states = dict.fromkeys(report.state for _, _, report in reports if report.state)
    for state in list(states)[:_STATES] if look else ():
        try:
            for load in storage.loads(state):
                key = (load.dag_id, load.run_id)
                if load.dag_id in readable:
                    rows[key] = _with_state(rows[key], load) if key in rows else _of_state(load)
        except storage.NotRead as error:
            problems.append(str(error))
    return sorted(rows.values(), key=lambda one: one.finished_at, reverse=True), problems


def _of_report(dag_id: str, run_id: str, report: shapes.Report) -> LoadRow:
    return LoadRow(
        dag_id,
        run_id,
        report.finished_at,
        report.plan.everything if report.plan else None,
        report.sent.documents + report.sent.partial_updates,
        report.sent.deletions,
        report.outcome.refused,
        report.source.after,
        report.sent.seconds,
        tuple(report.plan.manifests) if report.plan else _manifests(report.dataset),
        report.outcome.refused_file,
    )


def _manifests(dataset: str) -> tuple[str, ...]:
    return (f"{dataset.rstrip('/')}/_manifest.json",) if dataset else ()


def _of_state(load: shapes.Load) -> LoadRow:
    return LoadRow(
        load.dag_id,
        load.run_id,
        load.finished_at,
        load.full,
        load.sent,
        load.deleted,
        load.refused,
        load.held,
        load.seconds,
        tuple(one.manifest for one in load.datasets if one.manifest),
    )


def _with_state(row: LoadRow, load: shapes.Load) -> LoadRow:
    """Return what the report says of a load, with what the state alone knows."""
    manifests = tuple(one.manifest for one in load.datasets if one.manifest)
    return replace(
        row,
        everything=load.full if row.everything is None else row.everything,
        held=load.held if row.held is None else row.held,
        seconds=load.seconds if row.seconds is None else row.seconds,
        manifests=manifests or row.manifests,
    )


def _with_datasets(rows: Sequence[LoadRow]) -> list[LoadRow]:
    """Say of each load whether its datasets are still there: gone when one of them is."""
    found = storage.presence(uri for row in rows for uri in row.manifests)

    def told(row: LoadRow) -> str:
        states = {found[uri] for uri in row.manifests} or {storage.NOT_KNOWN}
        return next(one for one in (storage.GONE, storage.NOT_KNOWN, storage.THERE) if one in states)

    return [replace(row, dataset=told(row)) for row in rows]


def _line(rows: Sequence[LoadRow]) -> charts.Line | None:
    """Draw how many items the source held after each load, oldest first."""
    points = [(pages.moment(row.finished_at), row.held) for row in reversed(rows)]
    return charts.line([(label, held) for label, held in points if held is not None])


def _pictures(load: reading.RunLoad, tasks: Sequence[reading.TaskSeconds], q: str) -> dict[str, Any]:
    """Return the bars of a run's page, with the plan and the report that they are of."""
    report = load.report
    plan = load.plan or (report.plan if report else None)
    shown = [one for one in tasks if q.lower() in one.task_id.lower()]
    return {
        "plan": plan,
        "report": report,
        "tasks": charts.bars((_task_label(one), [("seconds", one.seconds)]) for one in shown[: pages.ROWS]),
        "more_tasks": pages.beyond(shown),
        **(_of_plan(plan, q) if plan else {}),
        **(_of_refused(report.outcome, q) if report else {}),
    }


def _of_refused(outcome: shapes.Outcome, q: str) -> dict[str, Any]:
    reasons = pages.matching(outcome.reasons, q)[: pages.ROWS]
    bars = ((f"{one.stage}: {pages.short(one.reason, 160)}", [("refused", one.count)]) for one in reasons)
    return {"reasons": reasons, "reason_bars": charts.bars(bars)}


def _of_plan(plan: shapes.Plan, q: str) -> dict[str, Any]:
    documents = plan.documents
    changes = documents.new + documents.changed + documents.again
    kinds = ["new", "changed", "unchanged", "gone", *(["again"] if documents.again else [])]
    values = pages.matching(plan.by.values if plan.by else (), q)[: pages.ROWS]
    fields = pages.matching(plan.fields.counts if plan.fields else (), q)[: pages.ROWS]
    return {
        "to_send": documents.now if plan.everything else changes,
        "documents": charts.bars((kind, [(kind, getattr(documents, kind))]) for kind in kinds),
        "by": charts.bars(
            (pages.short(one.value, 60), _counts(one, "new", "changed", "unchanged", "gone"))
            for one in values
        ),
        "field_bars": charts.bars(
            (pages.short(one.field, 60), _counts(one, "changed", "added", "removed")) for one in fields
        ),
        "quotas": [
            (one, min(round(100 * one.calls / one.limit, 2), 100) if one.limit and one.limit > 0 else None)
            for one in pages.matching(plan.sends.quotas, q)[: pages.ROWS]
        ],
    }


def _counts(row: shapes.Shape, *kinds: str) -> list[tuple[str, float | None]]:
    return [(kind, getattr(row, kind)) for kind in kinds]


def _task_label(task: reading.TaskSeconds) -> str:
    return f"{task.task_id} ({task.instances:,} mapped)" if task.instances > 1 else task.task_id


def _page_of(request: Request, rows: Sequence[Any], page: int, size: int) -> tuple[list[Any], dict[str, str]]:
    at = _bounded(page)
    shown = list(rows[at * size : (at + 1) * size])
    return shown, _turn(request, at, more=len(rows) > (at + 1) * size)


def _bounded(page: int) -> int:
    return min(max(page, 0), _MOST_PAGES)


def _turn(request: Request, page: int, *, more: bool) -> dict[str, str]:
    """Return the addresses of the pages before and after this one."""

    def address(number: int) -> str:
        return pages.address("", {**request.query_params, "page": number or None}) or "?"

    return {"newer": address(page - 1) if page else "", "older": address(page + 1) if more else ""}

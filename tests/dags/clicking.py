"""What people click on a run in Airflow's UI, done by the code that the UI's API calls; then the run goes on."""

from __future__ import annotations

import inspect
import json
import logging
import random
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow.sdk import DAG

from coveo_provider.documents import DocumentMapping
from coveo_provider.operators import CoveoTransformOperator
from coveo_provider.operators.support.dataset_writing import MIN_PART_BYTES
from coveo_provider.sandbox import Sandbox
from tests.dags.conftest import make_known

Rows = list[dict[str, Any]]
MAPPING = DocumentMapping(document_id="doc://{n}", keep=("n", "data", "version"))

_MOST_LOOKS = 10


class Run:
    """
    A run of a DAG that has come to its end.

    `dag.test()` makes each run anew, so what was cleared is run by the same steps that it takes: Airflow's own
    ``DagRun.update_state`` decides what may run, and its task runner runs it in this process.
    """

    def __init__(self, dag: DAG, run_id: str) -> None:
        self.dag = dag
        self.run_id = run_id

    def failed(self, task: str) -> int:
        """Return the index of the only mapped instance of a task that failed."""
        failed = [name for name, state in self.states().items() if state == "failed"]
        [name] = failed
        assert name.startswith(f"{task}["), failed
        return int(name[len(task) + 1 : -1])

    def states(self) -> dict[str, str]:
        """Return the state of each task, named without its group: ``push[1]``."""
        states = {}
        for ti in self._load().get_task_instances():
            name = ti.task_id.rpartition(".")[2]
            states[name if ti.map_index < 0 else f"{name}[{ti.map_index}]"] = str(ti.state)
        return states

    @property
    def state(self) -> str:
        return str(self._load().state)

    def clear(
        self, task: str, index: int | None = None, *, downstream: bool = True, only_failed: bool = False
    ) -> set[str]:
        """
        Clear a task, or one of its mapped instances, as the UI's dialogue does: with what follows, by default.

        :return: the names of all instances that Airflow cleared
        """
        from airflow.api_fastapi.core_api.datamodels.task_instances import ClearTaskInstancesBody
        from airflow.api_fastapi.core_api.routes.public.task_instances import post_clear_task_instances
        from airflow.models.dagbag import DBDagBag
        from airflow.utils.session import create_session

        name = self._full(task)
        body = ClearTaskInstancesBody(
            dry_run=False,
            dag_run_id=self.run_id,
            task_ids=[name if index is None else (name, index)],
            include_downstream=downstream,
            only_failed=only_failed,
        )
        known = inspect.signature(post_clear_task_instances).parameters
        with create_session() as session:
            values = {
                "dag_id": self.dag.dag_id,
                "dag_bag": DBDagBag(),
                "body": body,
                "session": session,
                "user": None,
            }
            cleared = cast("Any", post_clear_task_instances)(
                **{key: value for key, value in values.items() if key in known}
            )
            return {
                ti.task_id.rpartition(".")[2] + ("" if ti.map_index < 0 else f"[{ti.map_index}]")
                for ti in cleared.task_instances
            }

    def mark_success(self, task: str, index: int | None = None) -> None:
        """Mark an instance as success, as the UI does: what failed because of it is cleared."""
        self._mark(task, index, "success")

    def go_on(self) -> str:
        """Run what was cleared or answered, and return the state of the run: ``running`` while a task waits."""
        from airflow import settings
        from airflow.models.dagrun import DagRun
        from airflow.sdk.definitions.dag import _run_task
        from airflow.utils.state import DagRunState, TaskInstanceState
        from sqlalchemy import select

        session = cast("Any", settings.Session)()
        chosen = select(DagRun).where(DagRun.dag_id == self.dag.dag_id, DagRun.run_id == self.run_id)
        dag_run = session.scalars(chosen).one()
        dag_run.state = DagRunState.RUNNING
        dag_run.dag = _scheduled(self.dag)
        session.commit()
        stuck = 0
        while dag_run.state == DagRunState.RUNNING:
            session.expire_all()
            ready, _ = dag_run.update_state(session=session)
            for ti in ready:
                if ti.state != TaskInstanceState.UP_FOR_RESCHEDULE:
                    ti.try_number += 1
                ti.state = TaskInstanceState.SCHEDULED
            session.commit()
            scheduled = [
                ti
                for ti in dag_run.get_task_instances(session=session)
                if ti.state == TaskInstanceState.SCHEDULED
            ]
            if not scheduled and "awaiting_input" in self.states().values():
                break  # for somebody to answer
            stuck = (
                0 if scheduled else stuck + 1
            )  # a look may do no more than let tasks fail with those before
            assert stuck < _MOST_LOOKS or dag_run.state != DagRunState.RUNNING, (
                f"nothing can run: {self.states()}"
            )
            for ti in scheduled:
                _run_task(ti=ti, task=self.dag.task_dict[ti.task_id], run_triggerer=True)
        state = str(dag_run.state)
        session.close()
        return state

    def question(self, task: str) -> tuple[str, str]:
        """Return what Required Actions shows of a task: subject and body."""
        subject, body, _ = self._asked(task)
        return subject, body

    def options(self, task: str) -> list[str]:
        """Return what may be answered to a task."""
        return self._asked(task)[2]

    def _asked(self, task: str) -> tuple[str, str, list[str]]:
        from airflow.models.hitl import HITLDetail
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            found = select(HITLDetail).where(HITLDetail.ti_id == self._instance(task).id)
            detail = session.scalars(found).one()
            return detail.subject, detail.body or "", list(cast("Any", detail.options))

    def answer(self, task: str, option: str, *, by: str = "ann") -> None:
        """Answer what a task waits for, as the UI does."""
        from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload
        from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail
        from airflow.utils.session import create_session

        user: Any = SimpleNamespace(get_id=lambda: by, get_name=lambda: by)
        payload = UpdateHITLDetailPayload(chosen_options=[option])
        with create_session() as session:
            update_hitl_detail(
                dag_id=self.dag.dag_id,
                dag_run_id=self.run_id,
                task_id=self._full(task),
                update_hitl_detail_payload=payload,
                user=user,
                session=session,
            )

    def let_wait(self, task: str, *, longer_than: timedelta) -> None:
        """Let so much time pass that nobody answers a task, and let the scheduler look at those that wait."""
        from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            chosen = select(TaskInstance).where(TaskInstance.id == self._instance(task).id)
            waiting = session.scalars(chosen).one()
            assert waiting.trigger_timeout is not None
            waiting.trigger_timeout -= longer_than
        look: Any = SchedulerJobRunner.check_awaiting_input_timeouts
        with create_session() as session:
            look(SimpleNamespace(log=logging.getLogger(__name__)), session=session)

    def tries(self, task: str) -> int:
        """Return which try of a task it was."""
        return int(self._instance(task).try_number)

    def xcom(self, task: str, key: str) -> Any:
        """Return an XCom of a task."""
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session

        with create_session() as session:
            found = XComModel.get_many(
                key=key, task_ids=self._full(task), dag_ids=self.dag.dag_id, run_id=self.run_id
            )
            entry = session.scalars(found).first()
            return None if entry is None else XComModel.deserialize_value(entry)

    def _instance(self, task: str) -> Any:
        name = self._full(task)
        [found] = [ti for ti in self._load().get_task_instances() if ti.task_id == name]
        return found

    def _mark(self, task: str, index: int | None, state: str) -> None:
        from airflow.utils.session import create_session
        from airflow.utils.state import TaskInstanceState

        with create_session() as session:
            _scheduled(self.dag).set_task_instance_state(
                task_id=self._full(task),
                map_indexes=None if index is None else [index],
                run_id=self.run_id,
                state=TaskInstanceState(state),
                session=session,
            )

    def _full(self, task: str) -> str:
        [name] = [one for one in self.dag.task_dict if one.rpartition(".")[2] == task]
        return name

    def _load(self) -> Any:
        from airflow.models.dagrun import DagRun
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            chosen = select(DagRun).where(DagRun.dag_id == self.dag.dag_id, DagRun.run_id == self.run_id)
            return session.scalars(chosen).one()


def _scheduled(dag: DAG) -> Any:
    """Return a DAG as the scheduler has it."""
    from airflow.serialization import serialized_objects

    serializer: Any = getattr(serialized_objects, "DagSerialization", None)
    if serializer is None:  # 3.1
        serializer = getattr(serialized_objects, "SerializedDAG")  # noqa: B009
        return serializer.from_dict(serializer.to_dict(dag))
    return serializer.deserialize_dag(serializer.serialize_dag(dag))


def started(dag: DAG) -> Run:
    """Run a DAG for the first time."""
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    make_known(dag)
    now = datetime.now(timezone.utc)
    run = Run(dag, f"manual__{now.isoformat()}")
    with create_session() as session:
        _scheduled(dag).create_dagrun(
            run_id=run.run_id,
            logical_date=now,
            data_interval=(now, now),
            run_after=now,
            run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST,
            state=DagRunState.RUNNING,
            start_date=now,
            session=session,
        )
    run.go_on()
    return run


_QUICK = ("push_rebuild", "catalog_refresh, state", "catalog_refresh, changes")


def each(names: Iterable[str]) -> list[Any]:
    """Return task groups as parameters of a test: one of each kind of source, and the others among the long."""
    return [pytest.param(name, marks=() if name in _QUICK else pytest.mark.long) for name in names]


class Nightly:
    """
    A DAG of one task group that keeps a source equal to rows, night after night.

    :param group: the task group
    :param source: the source
    :param compares: whether the group has a state
    :param parts: how many parts a dataset has: each is a mapped task
    """

    def __init__(
        self,
        sandbox: Sandbox,
        folder: Path,
        group: Callable[..., Any],
        source: str,
        *,
        compares: bool = False,
        parts: int = 4,
        **options: Any,
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.sandbox, self.folder, self.group, self.source = sandbox, folder, group, source
        self.compares, self.parts, self.options = compares, parts, options
        self.rows: dict[int, dict[str, Any]] = {}
        self.dag_id = f"{folder.name}_{folder.parent.name}"  # Airflow writes a DAG anew every 30 s at most
        self.nights = 0
        self.errors: list[str] = []
        self.every: dict[str, Any] = {}  # what each row has besides

    @property
    def error(self) -> str:
        """The message of the last task that failed."""
        return self.errors[-1]

    def _note(self, context: Any) -> None:
        self.errors.append(str(context.get("exception")))

    def put(self, count: int, start: int = 0, version: int = 1) -> None:
        """Let there be so many rows of a version."""
        for n in range(start, start + count):
            self.rows[n] = {"n": n, "data": self.text(n), "version": version, **self.every}

    def text(self, n: int) -> str:
        """Return the text of a document; those that are compared fill several parts, which cannot be small."""
        return f"{n} {random.Random(n).randbytes(MIN_PART_BYTES // 16).hex()}" if self.compares else "x"

    def documents(self) -> list[str]:
        """Write the rows as a dataset of several parts, and return their URIs."""
        self.nights += 1
        folder = self.folder / f"night-{self.nights}"
        folder.mkdir()
        documents = [{"documentId": f"doc://{n}", **row} for n, row in self.rows.items()]
        uris = []
        for number in range(self.parts):
            path = folder / f"part-{number}.parquet"
            pq.write_table(pa.Table.from_pylist(documents[number :: self.parts]), path)
            uris.append(path.as_uri())
        return uris

    def dag(self, **options: Any) -> DAG:
        """Return the DAG of a night, for the rows as they are now."""
        options_of_all = {"retries": 0, "on_failure_callback": self._note}
        with DAG(self.dag_id, schedule=None, default_args=options_of_all) as dag:
            if self.compares:
                self.nights += 1
                raw = self.folder / f"raw-{self.nights}.ndjson"
                raw.write_text("\n".join(map(json.dumps, self.rows.values())))
                transform = CoveoTransformOperator(
                    task_id="transform",
                    source=raw.as_uri(),
                    output=(self.folder / f"night-{self.nights}").as_uri(),
                    mapping=MAPPING,
                    part_bytes=MIN_PART_BYTES,
                )
                values = {
                    "documents": transform.output,
                    "state": (self.folder / "state").as_uri(),
                }
            else:
                values = {"documents": cast("Any", self.documents())}
            self.group(source_id=self.source, **{**values, **self.options, **options})
        return dag

    def night(self, **options: Any) -> Run:
        """Let a day pass, and run the DAG for the rows as they are now."""
        self.sandbox.clock.advance(seconds=3600)
        return started(self.dag(**options))

    def wanted(self) -> dict[str, int]:
        """Return the version of each document, as the rows have it."""
        return {f"doc://{n}": row["version"] for n, row in self.rows.items()}

    def held(self) -> dict[str, int]:
        """Return the version of each document, as the index has it, once all is done that was begun."""
        self.sandbox.settle()
        return {name: item["version"] for name, item in self.sandbox.items(self.source).items()}

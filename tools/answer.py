"""
Answer the question that a task of a DAG asks in Airflow's Required Actions, as somebody at the UI would.

It waits until the question is there. The UI's API does the same, over HTTP.
"""

from __future__ import annotations

import argparse
import sys
import time
from types import SimpleNamespace
from typing import Any

SECONDS = 240.0
_PAUSE = 0.5


def main() -> int:
    """Wait for the question, answer it, and print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dag")
    parser.add_argument("task")
    parser.add_argument("answer")
    parser.add_argument("--by", default="admin")
    given = parser.parse_args()
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if (asked := _asked(given.dag, given.task)) is not None:
            _answer(asked, given.answer, given.by)
            print(asked.subject)
            print(asked.body)
            return 0
        time.sleep(_PAUSE)
    print(f"nothing was asked by {given.dag}, {given.task}", file=sys.stderr)
    return 1


def _asked(dag: str, task: str) -> Any:
    """Return the newest question of a task that waits; ``None`` where there is none."""
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.execute(
            select(HITLDetail, TaskInstance)
            .join(TaskInstance, HITLDetail.ti_id == TaskInstance.id)
            .where(TaskInstance.dag_id == dag, TaskInstance.task_id == task)
            .where(HITLDetail.responded_at.is_(None), TaskInstance.state.in_(["awaiting_input", "deferred"]))
        ).first()
        if found is None:
            return None
        detail, instance = found
        return SimpleNamespace(
            dag=dag, task=task, run=instance.run_id, subject=detail.subject, body=detail.body or ""
        )


def _answer(asked: Any, answer: str, by: str) -> None:
    from airflow.api_fastapi.core_api.datamodels.hitl import UpdateHITLDetailPayload
    from airflow.api_fastapi.core_api.routes.public.hitl import update_hitl_detail
    from airflow.utils.session import create_session

    user: Any = SimpleNamespace(get_id=lambda: by, get_name=lambda: by)
    with create_session() as session:
        update_hitl_detail(
            dag_id=asked.dag,
            dag_run_id=asked.run,
            task_id=asked.task,
            update_hitl_detail_payload=UpdateHITLDetailPayload(chosen_options=[answer]),
            user=user,
            session=session,
        )


if __name__ == "__main__":
    sys.exit(main())

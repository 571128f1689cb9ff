"""The links of a task, as the UI reads them: computed on the worker, kept as XCom."""

from __future__ import annotations

import pytest
from airflow.sdk import DAG

from coveo_provider.operators import CoveoOpenStreamOperator
from coveo_provider.sandbox import Sandbox
from tests.conftest import Connect
from tests.dags.conftest import make_known

CONSOLE = "https://platform-eu.cloud.coveo.com"


def test_links_are_there_for_every_instance_whatever_became_of_it(
    sandbox: Sandbox, connect: Connect, airflow_database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that failed needs the Log Browser most; mapped instances have links of their own."""
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # the console is named, and nothing may go there
    connect(sandbox, extra={"platform_url": CONSOLE})
    with DAG(dag_id="links", schedule=None, default_args={"retries": 0}) as dag:
        CoveoOpenStreamOperator.partial(task_id="open").expand(source_id=["products", "unknown"])
    make_known(dag)

    dag_run = dag.test()

    states = {task.map_index: str(task.state) for task in dag_run.get_task_instances()}
    kept = select(XComModel).where(XComModel.run_id == dag_run.run_id, XComModel.key.startswith("_link_"))
    with create_session() as session:
        links = {(row.map_index, row.key): XComModel.deserialize_value(row) for row in session.scalars(kept)}
    assert states == {0: "success", 1: "failed"}
    assert links == {
        (index, key): url
        for index in states
        for key, url in {
            "_link_CoveoSourcesLink": f"{CONSOLE}/admin/#/sandbox/content/sources/",
            "_link_CoveoLogBrowserLink": f"{CONSOLE}/admin/#/sandbox/logs/browser/",
            "_link_CoveoDocsLink": "https://docs.coveo.com/en/p4eb0129/",
        }.items()
    }

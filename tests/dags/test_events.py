"""A DAG that runs when items were refused, and tells by mail what it did, in a real Airflow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coveo_provider.sandbox import Sandbox
from tests.dags.small_airflow import SmallAirflow
from tests.mail import mail_server
from tests.sandbox.caller import Caller

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("required_actions")]

SECONDS = 240.0
DAG_FILE = """
from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import DAG, Asset, AssetWatcher, task

from coveo_provider.notifications.report import CoveoReportNotifier
from coveo_provider.task_groups import push_rebuild
from coveo_provider.triggers.source import CoveoItemsRefusedTrigger

refused = Asset(
    "vault_refused",
    watchers=[AssetWatcher(name="log", trigger=CoveoItemsRefusedTrigger(source_id="vault", poll_seconds=1))],
)
mail = CoveoReportNotifier(
    SmtpNotifier(
        to="team@example.com",
        from_email="airflow@example.com",
        subject="{{ coveo_subject }}",
        html_content="{{ coveo_html }}",
    )
)
with DAG("repair", schedule=[refused], on_success_callback=[mail], on_failure_callback=[mail]):

    @task
    def seen(*, triggering_asset_events=None):
        return [event.extra["payload"] for events in triggering_asset_events.values() for event in events]

    seen() >> push_rebuild(source_id="files", documents="DOCUMENTS", queue_delay=0)
"""


def test_a_dag_runs_when_items_were_refused_and_tells_what_it_did(tmp_path: Path) -> None:
    """The triggerer watches; the callback of the DAG is run by the DAG processor, which reads the report."""
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags" / "repair.py").write_text(DAG_FILE.replace("DOCUMENTS", (tmp_path / "items").as_uri()))
    (tmp_path / "items").mkdir()
    pq.write_table(
        pa.Table.from_pylist([{"documentId": "doc://1", "data": "x"}]), tmp_path / "items" / "a.parquet"
    )
    with (
        mail_server() as (mailbox, connection),
        Sandbox.start(sources={"files": "PUSH"}) as sandbox,
        SmallAirflow(tmp_path, sandbox, AIRFLOW_CONN_SMTP_DEFAULT=connection) as small,
    ):
        sandbox.add_source("vault", kind="PUSH", visibility="SECURED")
        small.wait_for("a look at the log", lambda: looks(sandbox) > 1, SECONDS)
        Caller(sandbox).push(
            "PUT", "/sources/vault/documents", params={"documentId": "doc://secret"}, json={}
        )
        sandbox.settle()

        small.wait_for("a run", lambda: runs(small) and runs(small)[0]["state"] == "success", SECONDS)
        small.wait_for("a message", lambda: mailbox.messages, SECONDS)

        path = (
            f"dags/repair/dagRuns/{runs(small)[0]['dag_run_id']}/taskInstances/seen/xcomEntries/return_value"
        )
        payload = [{"source_id": "vault", "event": "refused", "refused": 1, "items": ["doc://secret"]}]
        assert small.call("GET", f"{path}?deserialize=true")["value"] == payload
        subject, text = mailbox.last()
        assert subject == "repair: files verified"
        assert "0 items before, 1 after" in text
        assert f"{small.url}/dags/repair/runs/" in text
        assert list(sandbox.items("files")) == ["doc://1"]


def looks(sandbox: Sandbox) -> int:
    return sum(call.route == "logs" for call in sandbox.calls)


def runs(small: SmallAirflow) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = small.call("GET", "dags/repair/dagRuns")["dag_runs"]
    return found

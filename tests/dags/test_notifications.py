"""The reports of a run, sent by a notifier of Airflow to a real mail server."""

from __future__ import annotations

from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.sdk import BaseNotifier, task

from coveo_provider.notifications.report import CoveoReportNotifier, report_texts
from coveo_provider.sandbox import Sandbox
from coveo_provider.task_groups import push_rebuild
from tests.dags.clicking import Nightly
from tests.dags.conftest import ran
from tests.mail import Mailbox, mail_server

pytestmark = pytest.mark.usefixtures("nothing_remembered")


@pytest.fixture
def mailbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mailbox]:
    with mail_server() as (mailbox, connection):
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", connection)
        yield mailbox


def mail(**fields: str) -> CoveoReportNotifier:
    texts: dict[str, Any] = {"subject": "{{ coveo_subject }}", "html_content": "{{ coveo_html }}", **fields}
    return CoveoReportNotifier(SmtpNotifier(to="team@example.com", from_email="airflow@example.com", **texts))


def night(nightly: Nightly, notifier: BaseNotifier) -> str:
    """Run a night whose end is told, and return its state."""
    nightly.sandbox.clock.advance(seconds=3600)
    dag = nightly.dag()
    end = dag.get_task("push_rebuild.verify")
    end.on_success_callback = [notifier]
    end.on_failure_callback = [notifier]
    return ran(dag)[0]


def test_a_load_is_told_by_mail(
    connected: Sandbox, tmp_path: Path, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With counts and the link to the run; the second load with its own."""
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example.com/")
    nightly = Nightly(connected, tmp_path / "shop", push_rebuild, "files", parts=1)
    notifier = mail()
    nightly.put(1_200)
    assert night(nightly, notifier) == "success"

    subject, text = mailbox.last()
    assert subject == f"{nightly.dag_id}: files verified"
    assert "The index equals what was sent." in text
    assert "1,200 documents," in text
    assert "0 items before, 1,200 after" in text
    assert f'href="https://airflow.example.com/dags/{nightly.dag_id}/runs/manual__' in text

    nightly.put(1, start=1_200)
    assert night(nightly, notifier) == "success"
    assert "1,200 items before, 1,201 after" in mailbox.last()[1]
    assert len(mailbox.messages) == 2


def test_what_was_refused_is_told(connected: Sandbox, tmp_path: Path, mailbox: Mailbox) -> None:
    """A failed load with its reasons, how many, and where the list is; as text this time."""
    connected.add_source("intranet", kind="PUSH", visibility="SECURED")
    nightly = Nightly(connected, tmp_path / "shop", push_rebuild, "intranet", parts=1)
    nightly.put(3)  # none has permissions

    assert night(nightly, mail(html_content="<pre>{{ coveo_text }}</pre>")) == "failed"

    subject, text = mailbox.last()
    assert subject == f"{nightly.dag_id}: intranet failed"
    assert "refused 3" in text
    assert "no permissions" in text
    assert "_refused-" in text
    assert connected.api_key not in text


def test_a_report_is_written_with_own_words(connected: Sandbox, tmp_path: Path, mailbox: Mailbox) -> None:
    """The reports themselves are in the notifier's fields."""
    nightly = Nightly(connected, tmp_path / "shop", push_rebuild, "files", parts=1)
    nightly.put(5)
    own = "{% for one in coveo_reports %}{{ one.source_id }}={{ one.source.after }}{% endfor %}"
    assert night(nightly, mail(subject=own, html_content="see {{ dag.dag_id }}")) == "success"
    assert mailbox.last() == ("files=5", f"see {nightly.dag_id}")


def test_a_run_without_a_report_is_told_as_such(connected: Sandbox, tmp_path: Path, mailbox: Mailbox) -> None:
    """A task before the load failed."""
    nightly = Nightly(connected, tmp_path / "shop", push_rebuild, "files", parts=1)
    nightly.put(5)
    dag = nightly.dag()
    with dag:

        @task(on_failure_callback=[mail()])
        def extract() -> None:
            raise ValueError

        extract() >> dag.get_task("push_rebuild.check")
    assert ran(dag)[0] == "failed"
    assert mailbox.last()[0] == f"{nightly.dag_id}: no load ended"
    assert "No load of this run ended with a report." in mailbox.last()[1]


def test_what_a_report_says_is_no_markup() -> None:
    """A reason may hold what a document holds."""
    evil = "<script>alert(1)</script>"

    class Instance:
        def xcom_pull(self, **_: Any) -> Any:
            outcome = {
                "indexed": 0,
                "deleted": 0,
                "refused": 1,
                "unknown": 0,
                "refused_file": "",
                "reasons": [evil],
            }
            sent = {"documents": 1, "partial_updates": 0, "deletions": 0}
            names = {"source_id": evil, "organization_id": "o", "failure": evil}
            return {
                **names,
                "sent": sent,
                "outcome": outcome,
                "source": {"before": 1, "after": None},
                "approvals": [],
            }

    class Task:
        task_id, reports_run = "verify", True

    class Dag:
        dag_id, tasks = "nightly", (Task(),)

    told = report_texts({"ti": Instance(), "dag": Dag(), "run_id": "manual__1+00:00"})
    assert "<script>" not in told["html"]
    assert evil in unescape(told["html"])
    assert evil in told["text"]
    assert "? after" in told["text"]

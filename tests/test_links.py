"""From a task to the pages of the Administration Console, and to Coveo's documentation."""

from __future__ import annotations

import re
from typing import Any

import pytest
from airflow.sdk import BaseOperator

from coveo_provider import operators
from coveo_provider.links import CoveoDocsLink, CoveoLogBrowserLink, CoveoSourcesLink
from coveo_provider.operators import CoveoOpenStreamOperator, CoveoSetSourceStatusOperator
from coveo_provider.sandbox import Sandbox
from tests.conftest import ROOT, Connect

NOTES = ROOT / "docs" / "api-notes.md"
KEY: Any = None  # the links do not depend on it
COVEO = {"login": "MyOrg", "password": "xx-secret"}


def linked() -> tuple[str, ...]:
    task = CoveoOpenStreamOperator(task_id="open", source_id="products")
    return tuple(link.get_link(task, ti_key=KEY) for link in (CoveoSourcesLink(), CoveoLogBrowserLink()))


@pytest.mark.parametrize(
    ("extra", "host"),
    [
        ({}, "platform.cloud.coveo.com"),
        ({"region": "eu"}, "platform-eu.cloud.coveo.com"),
        ({"environment": "hipaa"}, "platformhipaa.cloud.coveo.com"),
        ({"push_url": "https://gateway.example.com"}, "platform.cloud.coveo.com"),
        ({"platform_url": "https://platformstg.cloud.coveo.com"}, "platformstg.cloud.coveo.com"),
    ],
)
def test_links_lead_to_the_console_of_the_connection(
    connect: Connect, extra: dict[str, str], host: str
) -> None:
    """Region and environment choose the console; the organization stands after ``#/``, as it was entered."""
    connect(**COVEO, extra=extra)

    assert linked() == (
        f"https://{host}/admin/#/MyOrg/content/sources/",
        f"https://{host}/admin/#/MyOrg/logs/browser/",
    )


@pytest.mark.parametrize(
    "connection",
    [
        {**COVEO, "host": "https://gateway.example.com"},
        {**COVEO, "extra": {"platform_url": "https://evil-cloud.coveo.com.example.com"}},
        {**COVEO, "extra": {"region": "mars"}},
        {"login": "org"},
    ],
    ids=["gateway", "elsewhere", "wrong", "no key"],
)
def test_where_no_console_is_known_there_is_no_link(connect: Connect, connection: dict[str, Any]) -> None:
    """A button that leads nowhere, or to somebody else's page, is worse than none."""
    connect(**connection)

    assert linked() == ("", "")


def test_the_sandbox_has_no_console(connected: Sandbox) -> None:
    """Its organization is not one of Coveo's, and no call is made for a link."""
    assert linked() == ("", "")
    assert connected.calls == []


def test_no_connection_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The task has failed already, and said why."""
    monkeypatch.delenv("AIRFLOW_CONN_COVEO_DEFAULT", raising=False)

    assert linked() == ("", "")
    assert CoveoSourcesLink().get_link(BaseOperator(task_id="other"), ti_key=KEY) == ""


def test_every_task_on_a_source_has_the_links() -> None:
    """And none without one, where they would be dead buttons."""
    for name in operators.__all__:
        operator: Any = getattr(operators, name)
        has_source = "source_id" in operator.template_fields
        kinds = {type(link) for link in operator.operator_extra_links}
        console = {CoveoSourcesLink, CoveoLogBrowserLink} if has_source else set()
        assert kinds == {CoveoDocsLink, *console}, name


def test_every_operator_leads_to_a_page_that_the_notes_cite() -> None:
    """The page is on what the task does, so that several tasks share few pages."""
    cited = set(re.findall(r"^\[docs \w+\]: (https://docs\.coveo\.com/en/\w+/)$", NOTES.read_text(), re.M))
    pages = {name: getattr(operators, name).documentation for name in operators.__all__}

    assert set(pages.values()) <= cited
    assert len(set(pages.values())) > len(pages) / 2


def test_the_documentation_is_known_without_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that failed for want of one leads there as well."""
    monkeypatch.delenv("AIRFLOW_CONN_COVEO_DEFAULT", raising=False)
    task = CoveoSetSourceStatusOperator(task_id="status", source_id="files", status="IDLE")

    assert CoveoDocsLink().get_link(task, ti_key=KEY) == "https://docs.coveo.com/en/35/"
    assert CoveoDocsLink().get_link(BaseOperator(task_id="other"), ti_key=KEY) == ""

"""The report of a run: what was planned, sent, indexed and refused, who approved it, and what the source holds."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context

from coveo_provider import __version__
from coveo_provider.documents.uris import shown_uri, without_secrets
from coveo_provider.errors import CoveoError
from coveo_provider.operators.support.approvals import approvals_before, plan_before
from coveo_provider.operators.support.followers import tasks_before
from coveo_provider.operators.support.load_records import now_text
from coveo_provider.operators.support.states import run_key

if TYPE_CHECKING:
    from coveo_provider.operators.support.claims import SourceOperator
    from coveo_provider.report import Report

REPORT = "coveo_report"
"""The XCom that holds the report of a run."""

HELD = "coveo_held"
"""The XCom that holds how many items the source had before a load."""

_SENT = (
    *("documents", "partial_updates", "deletions", "bytes", "chunks"),
    *("calls", "retries", "waited_seconds", "seconds"),
)
_OUTCOME = ("verified", "indexed", "deleted", "refused", "unknown", "refused_file")


def tell_held(context: Context, held: int | None) -> None:
    """Leave in XCom how many items the source holds before a load; nothing where that is not known."""
    instance: Any = context.get("ti")
    if instance is not None and held is not None:
        instance.xcom_push(HELD, held)


def count_held(operator: SourceOperator) -> int | None:
    """Return how many items the source holds; ``None`` when that cannot be asked, which is no reason to fail."""
    try:
        return operator.client.get_source(operator.source_id, once=True).document_count
    except CoveoError as error:
        operator.log.info("How many items source %s holds is not known: %s", operator.source_id, error)
        return None


def names_of(operator: SourceOperator, context: Context) -> dict[str, str]:
    """Return what a plan or a report is of: organization, source, and in a run DAG and run."""
    run: Any = context.get("dag_run")
    return {
        "organization_id": operator.client.organization_id,
        "source_id": operator.source_id,
        "dag_id": str(getattr(run, "dag_id", "")),
        "run_id": str(getattr(run, "run_id", "")),
    }


def run_report(
    operator: SourceOperator,
    context: Context,
    sent: Report,
    outcome: Mapping[str, Any],
    *,
    dataset: Any,
    failure: str = "",
) -> dict[str, Any]:
    """
    Return the report of a run, as plain JSON types.

    :param sent: the sum of the reports of all tasks that sent
    :param outcome: what verification found, by the names of ``Verdict``
    :param dataset: the folder of the dataset that was sent; ``None`` where there is none
    :param failure: why the load is not verified, if it is not
    """
    run: Any = context.get("dag_run")
    plan = plan_before(operator, context) if context.get("ti") is not None else None
    before = plan.get("held") if isinstance(plan, Mapping) else None
    after = outcome.get("held")
    report = {
        "version": 1,
        "kind": "report",
        **names_of(operator, context),
        "state": shown_uri(str(getattr(operator, "state", None) or "")),
        "dataset": "" if dataset is None else shown_uri(str(dataset)),
        "started_at": _moment(getattr(run, "start_date", None)),
        "finished_at": now_text(),
        "plan": {name: value for name, value in plan.items() if name != "sample"}
        if isinstance(plan, Mapping)
        else None,
        "sent": {"parts": len(sent.parts), **{name: getattr(sent, name) for name in _SENT}},
        "outcome": {
            **{name: outcome.get(name, "" if name.endswith("file") else 0) for name in _OUTCOME},
            "reasons": list(outcome.get("reasons", ())),
        },
        "source": {
            "before": _held_before(operator, context) if before is None else before,
            "after": count_held(operator) if after is None else after,
        },
        "approvals": approvals_before(operator, context) if context.get("ti") is not None else [],
        "ordering_id": sent.mark,
        "versions": {
            "provider": __version__,
            "airflow": _version("apache-airflow-core"),
            "python": platform.python_version(),
        },
    }
    return {**report, "failure": failure} if failure else report


def keep_report(operator: SourceOperator, context: Context, report: Mapping[str, Any], dataset: Any) -> str:
    """
    Leave a report in XCom, and beside the dataset as ``_report-<run>.json``.

    :return: the URI of that file; empty when there is no dataset, or it cannot be written there
    """
    instance: Any = context.get("ti")
    if instance is not None:
        instance.xcom_push(REPORT, report)
    if dataset is None:
        return ""
    path = dataset / f"_report-{run_key(context)}.json"
    try:
        path.write_bytes(json.dumps(report, indent=1).encode())
    except OSError as error:
        shown = without_secrets(str(path), str(error))
        operator.log.warning("The report could not be written to %s: %s", shown_uri(str(path)), shown)
        return ""
    operator.log.info("The report of the run: %s", shown_uri(str(path)))
    return str(path)


def _held_before(operator: SourceOperator, context: Context) -> int | None:
    """Return what a task before this one found, as it began the load."""
    instance: Any = context.get("ti")
    if instance is None:
        return None
    for task_id, _ in tasks_before(operator, context):
        held = instance.xcom_pull(task_ids=task_id, key=HELD)
        if isinstance(held, int):
            return held
    return None


def _moment(value: Any) -> str | None:
    return value.astimezone(timezone.utc).isoformat() if isinstance(value, datetime) else None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""

"""
`make demo`: real DAGs fill an index in the sandbox; the exit code is 0 only if it equals their input.

The refreshed source is then rolled back: a plan is made, waits for a yes, and is applied once somebody answered.
In the end a DAG sends two documents that the service takes and refuses later. Its run has to fail, and to say
which and why. With KEEP=1 the sandbox stays there until Ctrl-C, to look at its page.

Nothing leaves this machine: the sandbox stands in for Coveo, Airflow runs on SQLite below `.airflow/`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from coveo_provider.documents.contract import counted
from coveo_provider.sandbox import Sandbox
from tools.airflow_home import ROOT, airflow, environment

HOME = ROOT / ".airflow" / "demo"
STAGING = HOME / "staging"
DAGS = {"coveo_catalog_load": "products", "coveo_push_rebuild": "files"}
REFRESH, REFRESHED = "coveo_catalog_refresh", "refreshed"
BACK = "coveo_roll_back"
REFUSING, INTRANET = "coveo_refused_items", "intranet"
REFUSED = frozenset({"notice://drafts/merger", "notice://drafts/new-office"})  # nobody said who may see them
SOURCES = {"products": "CATALOG", "files": "PUSH", REFRESHED: "CATALOG", INTRANET: "PUSH:SECURED"}
FIRST_ROWS = 50  # of the catalog that is refreshed in the first run, all of it in the second
DAG_SECONDS = 300


def main() -> int:
    """Run the demo, print its report, and return the exit code."""
    started = time.monotonic()
    shutil.rmtree(HOME, ignore_errors=True)
    STAGING.mkdir(parents=True)
    with Sandbox.start(sources=SOURCES) as sandbox:
        print(f"Sandbox      {sandbox.url}/, organization {sandbox.organization_id!r}")
        variables = environment(
            HOME, sandbox.url, api_key=sandbox.api_key, organization_id=sandbox.organization_id
        )
        if not _run("Airflow", "made a database in", airflow("db", "migrate"), variables):
            return 1
        for dag in DAGS:
            if not _dag(dag, variables):
                return 1
        sandbox.settle()
        for limit in (FIRST_ROWS, None):
            before = len(sandbox.calls)
            if not _dag(REFRESH, variables, source_id=REFRESHED, limit=limit):
                return 1
            sandbox.settle()
            _show_refresh(sandbox, before)
        reports = [_report(sandbox, dag, source) for dag, source in {**DAGS, REFRESH: REFRESHED}.items()]
        _show_item(sandbox)
        print("\nNow the refreshed source goes back to its first load; the plan waits for a yes:")
        if not _roll_back(variables):
            return 1
        sandbox.settle()
        reports.append(_report(sandbox, REFRESH, REFRESHED, back=True))
        print(
            "\nNow two documents that Coveo takes, and refuses later. Every call succeeds; the run must not:"
        )
        if not _dag(REFUSING, variables, fails=True):
            return 1
        sandbox.settle()
        reports += [_show_refused(), _report(sandbox, REFUSING, INTRANET, refused=REFUSED)]
        equal = all(reports)
        if os.environ.get("KEEP"):
            _keep(sandbox)
        calls = Counter(call.route for call in sandbox.calls)
    print(f"\nCalls        {', '.join(f'{route} {count}' for route, count in sorted(calls.items()))}")
    print(f"Time         {time.monotonic() - started:.0f} s")
    print(
        "Result       "
        + (
            "three indexes equal their input, one of them after a roll-back; of the fourth, the run says which "
            "documents it lacks, and why"
            if equal
            else "THE INDEX DIFFERS FROM THE INPUT"
        )
    )
    return 0 if equal else 1


def _roll_back(variables: dict[str, str]) -> bool:
    """Roll a source back, and answer what its plan asks; return whether that went well."""
    question = HOME / "question.log"
    with question.open("w") as file:
        answering = subprocess.Popen(
            [sys.executable, "-m", "tools.answer", BACK, "catalog_refresh.plan", "Apply"],
            env=variables,
            cwd=ROOT,
            stdout=file,
            stderr=file,
        )
    state = f"file://{STAGING}/{REFRESH}/state"
    done = _dag(BACK, variables, source_id=REFRESHED, state=state, load="previous")
    if not done:
        answering.kill()
    answered = answering.wait() == 0
    text = question.read_text()
    start = text.find("Source ")
    print(textwrap.indent(text[start:].strip(), " " * 13))
    if not done or not answered:
        return False
    [path] = (STAGING / REFRESH).glob(f"*/documents/_report-*{BACK.replace('_', '-')}*.json")
    report = json.loads(path.read_text())
    for approval in report["approvals"]:
        print(f"Approval     {approval['by']} answered {approval['answer']} at {approval['at']}")
    print(f"Items        {report['source']['before']} before, {report['source']['after']} after")
    print(f"Report       {path.relative_to(ROOT)}")
    return bool(report["approvals"])


def _keep(sandbox: Sandbox) -> None:
    """Leave the sandbox running to be looked at, until it is interrupted or told to stop."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    print(f"\nPage         {sandbox.url}/ shows all of it; Ctrl-C ends it", flush=True)
    stop.wait()


def _dag(name: str, variables: dict[str, str], *, fails: bool = False, **params: Any) -> bool:
    """Run a DAG, and return whether it ended as it has to."""
    conf = json.dumps({"staging": f"file://{STAGING}", **params})
    what = f"{name} failed, as it has to, in" if fails else f"{name} ran in"
    return _run("DAG", what, airflow("dags", "test", name, "--conf", conf), variables, fails=fails)


def _show_refresh(sandbox: Sandbox, before: int) -> None:
    """Say what a run of the refresh sent, by the sandbox's log of calls."""
    calls = sandbox.calls[before:]
    uploaded = sum(call.content_length or 0 for call in calls if call.route == "upload")
    print(
        f"Sent         {uploaded / 1e3:,.0f} kB in {len(calls)} calls; {REFRESHED} holds "
        f"{sandbox.count(REFRESHED):,} items"
    )


def _run(
    label: str, what: str, command: list[str], variables: dict[str, str], *, fails: bool = False
) -> bool:
    """Run a command with its output in a file, and say how long it took, or that it did not end as it has to."""
    start = time.monotonic()
    log = HOME / f"{label.lower()}-{what.split()[0]}.log"
    with log.open("w") as file:
        try:
            code = subprocess.run(
                command, env=variables, cwd=ROOT, stdout=file, stderr=file, timeout=DAG_SECONDS, check=False
            ).returncode
        except subprocess.TimeoutExpired:
            code = -1
    if code < 0 or fails != bool(code):
        ended = "FAILED" if code else "DID NOT FAIL"
        print(f"{label:<12} {what.split()[0]} {ended}; the end of {log.relative_to(ROOT)}:")
        print("\n".join(log.read_text(errors="replace").splitlines()[-30:]))
        return False
    print(f"{label:<12} {what} {time.monotonic() - start:.0f} s")
    return True


def _show_refused() -> bool:
    """Say what the DAG's last task said and wrote, and return whether that names the documents that it has to."""
    log = (HOME / f"dag-{REFUSING}.log").read_text(errors="replace")
    said = re.search(r"VerificationFailed: (.+?)(?:\x1b|\\n|\n|$)", log)
    print(
        textwrap.indent(
            textwrap.fill(
                said[1] if said else "NOTHING", 100, break_long_words=False, break_on_hyphens=False
            ),
            " " * 13,
        )
    )
    files = list((STAGING / REFUSING).glob("*/documents/_refused-*.parquet"))
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    for row in rows:
        print(f"Refused      {row['documentId']} at {row['stage']}: {row['reason']}")
    for file in files:
        print(f"File         {file.relative_to(ROOT)}")
    return said is not None and {row["documentId"] for row in rows} == REFUSED


def _report(
    sandbox: Sandbox,
    dag: str,
    source: str,
    *,
    refused: frozenset[str] = frozenset(),
    back: bool = False,
) -> bool:
    """
    Say what a source holds, and return whether that is what the DAG's dataset holds, less what was refused.

    :param back: whether that is the dataset of its first run
    """
    runs = [path for path in (STAGING / dag).iterdir() if (path / "documents").is_dir()]
    runs.sort(key=lambda path: _parts(path)[0].stat().st_mtime_ns)  # reports are written there later
    newest = runs[0] if back else runs[-1]
    documents = dict(_documents(newest))
    expected = {key: document for key, document in documents.items() if key not in refused}
    items = sandbox.items(source)
    missing, extra = expected.keys() - items.keys(), items.keys() - expected.keys()
    different = [i for i in expected.keys() & items.keys() if not _same(expected[i], items[i])]
    parts = counted(len(_parts(newest)), "part")
    print(f"Source       {source}: {len(items):,} items; the dataset has {len(documents):,} in {parts}")
    for name, ids in (("missing", missing), ("not expected", extra), ("different", different)):
        if ids:
            print(f"  {len(ids):,} {name}, such as {min(ids)}")
    for activity in sandbox.activities(source):
        seconds = ((activity.end_ms or activity.start_ms) - activity.start_ms) / 1000
        print(f"Activity     {source}: {activity.operation} {activity.state}, {seconds:.1f} s")
    problems = Counter(e.result for e in sandbox.logs(source) if e.result in {"ERROR", "REJECTED"})
    print(f"Log          {source}: {problems.get('ERROR', 0)} errors, {problems.get('REJECTED', 0)} rejected")
    return bool(expected) and not (missing or extra or different) and problems.total() == len(refused)


def _documents(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for part in _parts(folder):
        for row in pq.read_table(part).to_pylist():
            yield row["documentId"], {key: value for key, value in row.items() if value is not None}


def _parts(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("documents/*.parquet") if not path.name.startswith("_"))


def _same(document: dict[str, Any], item: dict[str, Any]) -> bool:
    return document == {key: item.get(key) for key in document} and len(document) == len(item)


def _show_item(sandbox: Sandbox) -> None:
    """Print one item as it is indexed, long texts cut."""
    document_id = "product://apache-airflow"
    item = sandbox.items("products").get(document_id, {})
    print(f"Item         {document_id}")
    for key, value in item.items():
        text = json.dumps(value, ensure_ascii=False, default=str)
        print(f"  {key:<18} {text if len(text) < 80 else text[:79] + '…'}")


if __name__ == "__main__":
    sys.exit(main())

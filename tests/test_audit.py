"""The dependency audit fails on a known vulnerability, and on nothing else; it never passes in silence."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tools import audit

TODAY = date(2026, 12, 1)
HOLE = {"id": "PYSEC-2026-7", "aliases": ["CVE-2026-1", "GHSA-a-b-c"], "fix_versions": ["2.0"]}


def report(*packages: dict[str, Any]) -> dict[str, Any]:
    """A report of pip-audit 2.10, as it prints it."""
    return {"dependencies": list(packages), "fixes": []}


SOUND = {"name": "requests", "version": "2.34.2", "vulns": []}
HOLED = {"name": "jinja2", "version": "1.0", "vulns": [HOLE]}
UNKNOWN = {"name": "a2wsgi", "skip_reason": "Dependency not found on PyPI and could not be audited"}


def ignoring(until: date, package: str = "jinja2", id: str = "CVE-2026-1") -> list[audit.Ignored]:
    return [audit.Ignored(id, package, "not reachable from here", until)]


@pytest.mark.parametrize(
    ("packages", "ignored", "code", "words"),
    [
        ([SOUND], [], 0, r"no known vulnerability in 1 packages"),
        ([SOUND, HOLED], [], 1, r"VULNERABLE: jinja2 1\.0: PYSEC-2026-7, fixed in 2\.0"),
        ([HOLED], ignoring(date(2026, 12, 1)), 0, r"ignored until 2026-12-01: not reachable from here"),
        ([HOLED], ignoring(date(2026, 11, 30)), 1, r"VULNERABLE: .*2026-11-30, which is over"),
        ([HOLED], ignoring(date(2027, 1, 1), package="other"), 1, r"VULNERABLE"),
        ([HOLED], ignoring(date(2027, 1, 1), id="CVE-2026-2"), 1, r"VULNERABLE"),
        ([SOUND], ignoring(date(2027, 1, 1)), 0, r"ignored and not there any more"),
        ([SOUND, UNKNOWN], [], 0, r"1 NOT AUDITED.*a2wsgi"),
        ([HOLED, UNKNOWN], [], 1, r"VULNERABLE"),
        ([UNKNOWN], [], 0, r"NOTHING WAS AUDITED"),
        ([], [], 0, r"NOTHING WAS AUDITED"),
    ],
)
def test_what_a_report_means(
    packages: list[dict[str, Any]], ignored: list[audit.Ignored], code: int, words: str
) -> None:
    """Only a vulnerability that is not ignored with a reason and a date fails; what was not audited is said."""
    said: list[str] = []
    assert audit.tell(audit.judge(report(*packages), ignored, TODAY), said.append) == code
    assert re.search(words, "\n".join(said))
    assert ("no known vulnerability" in "\n".join(said)) <= any("skip_reason" not in one for one in packages)


def test_a_service_that_knows_nothing_is_asked_once() -> None:
    """The other packages are asked about only when the first one was answered."""
    asked: list[str] = []
    said: list[str] = []

    def ask(pinned: Path) -> Any:
        asked.append(pinned.read_text())
        return report(UNKNOWN)

    assert audit.audit(ask, [], said.append) == 0
    assert len(asked) == 1
    assert asked[0].startswith("requests==")
    assert "NOTHING WAS AUDITED" in said[0]


def test_all_pins_are_asked_about() -> None:
    """With an answer to the first, all of constraints.txt is audited, and its vulnerabilities fail."""
    asked: list[Path] = []

    def ask(pinned: Path) -> Any:
        asked.append(pinned)
        return report(HOLED) if pinned == audit.PINNED else report(SOUND)

    assert audit.audit(ask, [], lambda _: None) == 1
    assert asked[1:] == [ROOT / "constraints.txt"]


def finished(stdout: str, stderr: str, code: int) -> Callable[..., subprocess.CompletedProcess[str]]:
    return lambda command, **_: subprocess.CompletedProcess(command, code, stdout, stderr)


@pytest.mark.parametrize(
    "stderr",
    [
        "ERROR:pip_audit._cli:Could not connect to PyPI's vulnerability feed",
        "pip_audit._service.interface.ServiceError: 503 Server Error",
        "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='pypi.org', port=443)",
    ],
)
def test_a_service_out_of_reach_fails_nothing(monkeypatch: pytest.MonkeyPatch, stderr: str) -> None:
    """It is said, and the build goes on."""
    monkeypatch.setattr(subprocess, "run", finished("", f"Traceback\n{stderr}\n", 1))
    said: list[str] = []
    assert audit.audit(audit.ask, [], said.append) == 0
    assert "the service cannot be reached" in said[0]


def test_a_broken_audit_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    """pip-audit that is not there, or does not know an option, fails the build."""
    monkeypatch.setattr(subprocess, "run", finished("", f"{sys.executable}: No module named pip_audit\n", 1))
    with pytest.raises(RuntimeError, match="No module named pip_audit"):
        audit.audit(audit.ask, [], print)
    with pytest.raises(ValueError, match="no dependencies"):
        audit.judge([], [], TODAY)


def test_an_ignored_vulnerability_has_a_reason_and_a_date() -> None:
    """The file of the project can be read, and an entry without either is refused."""
    audit.read_ignored(audit.IGNORED.read_text())
    whole = '[[ignored]]\nid = "CVE-1"\npackage = "x"\nreason = "r"\nuntil = 2027-01-01\n'
    assert audit.read_ignored(whole) == [audit.Ignored("CVE-1", "x", "r", date(2027, 1, 1))]
    for line in whole.splitlines()[1:]:
        with pytest.raises(ValueError, match="needs id, package, reason and until"):
            audit.read_ignored(whole.replace(line, ""))

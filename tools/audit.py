"""
Ask PyPI for known vulnerabilities of all that is pinned, with pip-audit.

Fails on any that ``audit_ignored.toml`` does not list with a reason. pip-audit alone calls it a success when the
service knows none of the packages, as behind a mirror; here that is said, in capitals, and fails nothing: the build
does not depend on a service. One package is asked about first, and the rest only when there was an answer.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PINNED = ROOT / "constraints.txt"
IGNORED = Path(__file__).parent / "audit_ignored.toml"
_FIRST = "requests"  # asked about before the others: pinned, and on every index
_SERVICE_FAILED = (
    "could not connect",
    "connectionerror",
    "serviceerror",
    "httperror",
    "timeout",
    "proxyerror",
)


@dataclass(frozen=True)
class Ignored:
    """A vulnerability that is known here, and why it does not matter until a day."""

    id: str
    package: str
    reason: str
    until: date


@dataclass
class Verdict:
    """What an audit came to."""

    audited: int = 0
    skipped: list[str] = field(default_factory=list)
    vulnerable: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, what: str, fixed: str, entry: Ignored | None, today: date) -> None:
        """
        Add a vulnerability.

        :param what: package, version and id
        :param fixed: the versions without it
        :param entry: what says that it does not matter, if anything
        """
        if entry is None:
            self.vulnerable.append(f"{what}, fixed in {fixed}")
        elif entry.until < today:
            self.vulnerable.append(f"{what}, fixed in {fixed} (ignored until {entry.until}, which is over)")
        else:
            self.notes.append(f"{what} is ignored until {entry.until}: {entry.reason}")


class ServiceUnavailable(Exception):
    """The vulnerability service did not answer."""


def read_ignored(text: str) -> list[Ignored]:
    """
    Return what is ignored.

    :raises ValueError: an entry lacks its id, package, reason or date
    """
    entries = []
    for entry in tomllib.loads(text).get("ignored", []):
        one = {name: entry.get(name) for name in ("id", "package", "reason", "until")}
        texts = [one[name] for name in ("id", "package", "reason")]
        if (
            not all(isinstance(value, str) and value.strip() for value in texts)
            or type(one["until"]) is not date
        ):
            raise ValueError(f"audit_ignored.toml: {entry} needs id, package, reason and until (a date)")
        entries.append(Ignored(**one))
    return entries


def judge(report: Any, ignored: Sequence[Ignored], today: date) -> Verdict:
    """
    Return what a report of pip-audit (``--format json``) means.

    :raises ValueError: it is no such report
    """
    if not isinstance(report, dict) or not isinstance(report.get("dependencies"), list):
        raise ValueError("pip-audit's report has no dependencies")
    verdict = Verdict()
    used: set[Ignored] = set()
    for package in report["dependencies"]:
        name = str(package["name"])
        if "skip_reason" in package:
            verdict.skipped.append(name)
            continue
        verdict.audited += 1
        for vulnerability in package.get("vulns", []):
            names = {vulnerability["id"], *vulnerability.get("aliases", [])}
            entry = next((one for one in ignored if one.id in names and one.package == name), None)
            used |= set() if entry is None else {entry}
            what = f"{name} {package['version']}: {vulnerability['id']}"
            fixed = ", ".join(vulnerability.get("fix_versions", [])) or "no version yet"
            verdict.add(what, fixed, entry, today)
    if not verdict.skipped:
        stale = (one for one in ignored if one not in used)
        verdict.notes += [f"{one.package}: {one.id} is ignored and not there any more" for one in stale]
    return verdict


def tell(verdict: Verdict, say: Callable[[str], None]) -> int:
    """Say what was found, and return the exit code."""
    for line in verdict.notes:
        say(f"audit: {line}")
    if not verdict.audited:
        say("audit: NOTHING WAS AUDITED: the service knows none of the packages asked about (a mirror of PyPI "
            "without its JSON API?). This is no proof of anything, and fails nothing")  # fmt: skip
    elif verdict.skipped:
        say(f"audit: {len(verdict.skipped)} NOT AUDITED, as the service does not know them: "
            f"{', '.join(verdict.skipped)}")  # fmt: skip
    for line in verdict.vulnerable:
        say(f"audit: VULNERABLE: {line}")
    if verdict.audited and not verdict.vulnerable:
        say(f"audit: no known vulnerability in {verdict.audited} packages")
    return 1 if verdict.vulnerable else 0


def ask(pinned: Path) -> Any:
    """
    Return pip-audit's report on pinned packages.

    :raises ServiceUnavailable: the service gave no answer
    :raises RuntimeError: pip-audit itself failed
    """
    options = (
        "--no-deps",
        "--disable-pip",
        "--format",
        "json",
        "--progress-spinner",
        "off",
        "--timeout",
        "20",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pip_audit", "--requirement", str(pinned), *options],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    try:
        return json.loads(done.stdout)
    except ValueError:
        said = done.stderr.strip().splitlines() or ["nothing"]
        if any(word in done.stderr.lower() for word in _SERVICE_FAILED):
            raise ServiceUnavailable(said[-1][:300]) from None
        raise RuntimeError(f"pip-audit failed with {done.returncode}: {said[-1][:300]}") from None


def first_of(lines: Iterable[str]) -> str:
    """Return the pin that is asked about first."""
    return next(line for line in lines if line.startswith(f"{_FIRST}=="))


def audit(ask: Callable[[Path], Any], ignored: Sequence[Ignored], say: Callable[[str], None]) -> int:
    """Ask about one package, then about all, and return the exit code."""
    try:
        with tempfile.TemporaryDirectory(prefix="coveo-audit-") as folder:
            probe = Path(folder) / "requirements.txt"
            probe.write_text(first_of(PINNED.read_text().splitlines()) + "\n")
            verdict = judge(ask(probe), [], date.today())
        if verdict.audited:
            verdict = judge(ask(PINNED), ignored, date.today())
    except (ServiceUnavailable, subprocess.TimeoutExpired) as error:
        say(f"audit: NOTHING WAS AUDITED: the service cannot be reached ({error}). This fails nothing")
        return 0
    return tell(verdict, say)


if __name__ == "__main__":
    sys.exit(audit(ask, read_ignored(IGNORED.read_text()), print))

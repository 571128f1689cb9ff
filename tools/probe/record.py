"""A probe, and what asking it came to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tools.probe.calls import CallFailed, NotObservable
from tools.probe.service import Service

YES, NO, UNKNOWN = "yes", "NO", "not observable"
Ask = Callable[[Service], str]


@dataclass(frozen=True)
class Probe:
    """
    One question.

    :param name: short and stable, as `docs/api-notes.md` cites it
    :param question: one plain sentence
    :param section: the heading of `docs/api-notes.md` that it belongs to
    :param assumed: the answer that the sandbox gives, and that this package is built on
    :param ask: makes the calls and gives what was found, in words that can be compared with ``assumed``
    :param minutes: how many minutes at least it takes the real service
    """

    name: str
    question: str
    section: str
    assumed: str
    ask: Ask
    minutes: int = 0


@dataclass(frozen=True)
class Result:
    """What was found, and whether that is what was assumed: ``yes``, ``NO`` or ``not observable``."""

    probe: Probe
    found: str
    same: str


def probe(question: str, *, section: str, assumed: str, minutes: int = 0) -> Callable[[Ask], Probe]:
    """Make a probe of a function, under the function's name with hyphens."""

    def make(ask: Ask) -> Probe:
        name = ask.__name__.replace("_", "-")
        return Probe(name, question, section, assumed, ask, minutes)

    return make


def run(one: Probe, service: Service) -> Result:
    """Ask a probe; whatever goes wrong with it is its result, and the next can be asked."""
    service.probe = one.name
    try:
        found = service.calls.hide(one.ask(service))
    except NotObservable as error:
        return Result(one, service.calls.hide(f"not observable: {error}"), UNKNOWN)
    except CallFailed as error:
        return Result(one, service.calls.hide(f"failed: {error}"), NO)
    except Exception as error:  # noqa: BLE001 - an answer in a form that nobody thought of is a finding
        return Result(one, service.calls.hide(f"failed: {type(error).__name__}: {error}"), NO)
    return Result(one, found, YES if found == one.assumed else NO)


def table(results: Iterable[Result], heading: str) -> str:
    """Write the results as a page of Markdown."""
    rows = [
        f"| `{one.probe.name}` | {_cell(one.probe.question)} | {_cell(one.probe.assumed)} | {_cell(one.found)} "
        f"| {one.same} |"
        for one in results
    ]
    head = ("| Probe | Question | Assumed | Found | Same? |", "|---|---|---|---|---|")
    return "\n".join(["# Probes", "", heading, "", *head, *rows, ""])


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())

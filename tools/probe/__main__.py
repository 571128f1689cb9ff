"""
Ask every probe and write a table: assumed, found.

The sandbox is asked, unless ``COVEO_ORG`` and ``COVEO_KEY`` are set: then the real service is, with the sources
``COVEO_PUSH_SOURCE`` and ``COVEO_CATALOG_SOURCE``, which hold nothing and are thrown away afterwards.
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from coveo_provider.sandbox import Sandbox
from tools.probe import items, organization, streams
from tools.probe.calls import CallFailed, Calls, Clock, NotObservable
from tools.probe.index import CloudIndex, SandboxIndex
from tools.probe.record import YES, Probe, Result, run, table
from tools.probe.service import FIELDS, MORE_FIELDS, Service, Sources

PROBES: tuple[Probe, ...] = tuple(
    value
    for module in (items, streams, organization)
    for value in vars(module).values()
    if isinstance(value, Probe)
)
SANDBOX_SOURCES = {"probe-push": "PUSH:SECURED", "probe-catalog": "CATALOG"}
PUSHED, STREAMED, CONFIGURED = "probe-pushed-catalog", "probe-streamed-push", "probe-configured-catalog"
Say = Callable[[str], object]


class Refused(Exception):
    """The probes are not asked, and why."""


def main(
    arguments: Sequence[str] | None = None,
    environment: Mapping[str, str] = os.environ,
    *,
    confirm: Callable[[str], str] | None = None,
    say: Say = print,
    clock: Clock = Clock(),  # noqa: B008 - holds nothing that changes
    probes: Sequence[Probe] = PROBES,
) -> int:
    """
    Ask the probes.

    :param confirm: asks whoever is there; None where nobody is
    :param probes: those that there are
    :return: 0 when everything found equals what is assumed, 1 when something does not or cannot be known, 2 when
        nothing was asked
    """
    options = _parser().parse_args(arguments)
    asked = [one for one in probes if not options.only or one.name in options.only]
    try:
        if unknown := set(options.only or ()) - {one.name for one in probes}:
            raise Refused(f"there is no probe {', '.join(sorted(unknown))}")
        real = [one for one in ("COVEO_ORG", "COVEO_KEY") if environment.get(one)]
        if len(real) == 1:
            raise Refused(f"{real[0]} is set alone; the real service is asked with COVEO_ORG and COVEO_KEY")
        if real:
            results, place = _ask_service(options, environment, asked, confirm, say, clock)
        else:
            results, place = _ask_sandbox(asked, say), "the sandbox"
    except Refused as error:
        say(f"Nothing was asked: {error}")
        return 2
    same = sum(one.same == YES for one in results)
    page = table(results, f"{len(results)} questions to {place}: {same} answered as assumed.")
    if options.output:
        Path(options.output).write_text(page, encoding="utf-8")
        say(f"{same} of {len(results)} answered as assumed; the table is in {options.output}")
    else:
        say(page)
    return 0 if same == len(results) else 1


# -- the sandbox -----------------------------------------------------------------------------------------------


@contextmanager
def sandboxed() -> Iterator[tuple[Sandbox, Service]]:
    """Start a sandbox with a source for every question, and give what probes are asked through."""
    with Sandbox.start(sources=SANDBOX_SOURCES) as sandbox:
        sandbox.add_source(PUSHED, kind="CATALOG", push_enabled=True)
        sandbox.add_source(STREAMED, kind="PUSH", stream_enabled=True)
        sandbox.add_source(CONFIGURED, kind="CATALOG", catalog_configuration=True)
        calls = Calls(sandbox.url, sandbox.url, sandbox.organization_id, sandbox.api_key, Clock())
        push, catalog = SANDBOX_SOURCES
        sources = Sources(push, catalog, True, PUSHED, STREAMED, CONFIGURED)
        yield sandbox, Service(calls, SandboxIndex(calls), sources, _run_name(), sandbox.clock.now_ms())


def _ask_sandbox(probes: Sequence[Probe], say: Say) -> list[Result]:
    with sandboxed() as (_, service):
        return ask(service, probes, say)


# -- the real service ------------------------------------------------------------------------------------------


def _ask_service(
    options: argparse.Namespace,
    environment: Mapping[str, str],
    probes: Sequence[Probe],
    confirm: Callable[[str], str] | None,
    say: Say,
    clock: Clock,
) -> tuple[list[Result], str]:
    push, catalog = (environment.get(f"COVEO_{one}_SOURCE", "") for one in ("PUSH", "CATALOG"))
    if not push or not catalog or push == catalog:
        raise Refused("COVEO_PUSH_SOURCE and COVEO_CATALOG_SOURCE must name two sources to throw away")
    calls = _calls(environment, clock)
    name = _run_name()
    say(plan(calls, push, catalog, name, probes))
    if not options.yes and (confirm is None or confirm("Go on? Type yes: ").strip().lower() != "yes"):
        raise Refused("nobody said yes (--yes says it beforehand)")
    index = CloudIndex(
        calls, clock, minutes=options.minutes, fields=[f"probe_{name}_{one}" for one in FIELDS]
    )
    try:
        sources = check_sources(calls, push, catalog, configured=options.configured)
    except (CallFailed, NotObservable) as error:
        raise Refused(str(error)) from None
    service = Service(calls, index, sources, name, calls.now_ms)
    return ask(service, probes, say), f"{calls.api}, organization {calls.organization}"


def _calls(environment: Mapping[str, str], clock: Clock) -> Calls:
    region = environment.get("COVEO_REGION", "").strip("-")
    suffix = f"-{region}" if region else ""
    url = environment.get("COVEO_URL", "").rstrip("/")
    api, platform = (url or f"https://{host}{suffix}.cloud.coveo.com" for host in ("api", "platform"))
    return Calls(api, platform, environment["COVEO_ORG"], environment["COVEO_KEY"], clock)


def plan(calls: Calls, push: str, catalog: str, name: str, probes: Sequence[Probe]) -> str:
    """Say what the probes will create and delete, and about how long they take at least."""
    fields = ", ".join(f"probe_{name}_{one}" for one in (*FIELDS, *MORE_FIELDS))
    return calls.hide(
        f"{len(probes)} probes will be asked of {calls.api}, organization {calls.organization}.\n"
        f"They create\n"
        f"  items        probe://{name}/… and probe-{name}-without-a-scheme, in the sources {push} and {catalog}\n"
        f"  fields       {fields}\n"
        f"  providers    probe-{name}-…, security providers linked to {push}, one after the other\n"
        f"  activities   of {push}, and of {catalog} if it takes a status; both are IDLE in the end\n"
        f"  streams      on {catalog}, some of which are closed: THAT REPLACES ALL THAT {catalog} HOLDS\n"
        f"They delete all of these again, also when they are interrupted, and whatever in {push} or {catalog} is\n"
        f"older than September 2001. Not deleted: log entries, activities, file containers (gone after an hour).\n"
        f"They take {sum(one.minutes for one in probes)} minutes of waiting alone, and some minutes more for each "
        f"question about the index."
    )


def check_sources(calls: Calls, push: str, catalog: str, *, configured: bool = False) -> Sources:
    """
    Look at the two sources, of which nothing is changed, and say what they can be used for.

    :raises Refused: for a source that holds items, is of another kind, or cannot be seen
    """
    models = {name: _model(calls, name) for name in (push, catalog)}
    for name, kind, flag in ((push, "PUSH", "pushEnabled"), (catalog, "CATALOG", "streamEnabled")):
        model = models[name]
        if model.get("sourceType") != kind or model.get(flag) is not True:
            raise Refused(f"the source {name} is no {kind} source with {flag}")
        held = (model.get("information") or {}).get("numberOfDocuments")
        if held != 0:
            raise Refused(f"the source {name} is not empty: it holds {held} items")
    return Sources(
        push,
        catalog,
        secured=models[push].get("sourceVisibility") == "SECURED",
        pushed_catalog=catalog if models[catalog].get("pushEnabled") is True else None,
        streamed_push=push if models[push].get("streamEnabled") is True else None,
        configured=catalog if configured else None,
    )


def _model(calls: Calls, source: str) -> dict[str, Any]:
    answer = calls.rest("GET", f"/sources/{source}")
    if not answer.ok:
        raise Refused(f"the source {source} cannot be seen: {answer.status_code}")
    return dict(answer.json())


# -- both ------------------------------------------------------------------------------------------------------


def ask(service: Service, probes: Sequence[Probe], say: Say) -> list[Result]:
    """Ask the probes one after the other, and take back what they made, whatever happens."""
    results = []
    try:
        for one in probes:
            results.append(run(one, service))
            say(f"{results[-1].same:<14} {one.name}: {results[-1].found}")
    finally:
        for problem in service.clean_up():
            say(f"NOT CLEANED UP: {problem}")
    return results


def _run_name() -> str:
    return secrets.token_hex(3)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.probe", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="ask these probes only")
    parser.add_argument("--output", metavar="FILE", help="write the table there instead of printing it")
    parser.add_argument("--yes", action="store_true", help="agree beforehand to what is created and deleted")
    parser.add_argument(
        "--configured", action="store_true", help="a catalog configuration uses the Catalog source"
    )
    parser.add_argument(
        "--minutes",
        type=int,
        default=20,
        help="how long to look for what the real service may still process (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(confirm=input if sys.stdin.isatty() else None))

"""``coveo-sandbox``: the sandbox as a program, until it is told to stop."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence
from typing import TypeVar

from coveo_provider.sandbox.sandbox import DEFAULT_SOURCES, Sandbox
from coveo_provider.sandbox.service.database import DatabaseError
from coveo_provider.sandbox.service.quotas import PRESETS
from coveo_provider.sandbox.service.sources import KINDS, VISIBILITIES

_Value = TypeVar("_Value")


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the sandbox until SIGINT or SIGTERM.

    :param arguments: the command line without the program's name; the process's own when left out
    :return: exit code: 0 after a clean stop, 1 when it cannot start or had an error of its own
    """
    options = _parser().parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        sandbox = Sandbox.start(
            database=options.database,
            port=options.port,
            scale=options.scale,
            hasten=not options.real_delays,
            sources=_each_once(options.source) if options.source else DEFAULT_SOURCES,
            providers=_each_once(options.provider or ()),
            organization_id=options.organization,
            api_key=options.api_key,
            quotas=PRESETS[options.quotas](),
        )
    except (OSError, DatabaseError, OverflowError, ValueError) as error:
        print(f"coveo-sandbox: cannot start on port {options.port}: {error}", file=sys.stderr)
        return 1
    print(_greeting(sandbox), flush=True)
    stop.wait()
    try:
        sandbox.stop()
    except Exception as error:  # noqa: BLE001 - whatever the sandbox had, said in one line
        print(f"coveo-sandbox: had an error of its own: {error!r}", file=sys.stderr)
        return 1
    print("coveo-sandbox: stopped", flush=True)
    return 0


def _greeting(sandbox: Sandbox) -> str:
    connection = json.dumps(
        {
            "conn_type": "coveo",
            "host": sandbox.url,
            "login": sandbox.organization_id,
            "password": sandbox.api_key,
        }
    )
    sources = ", ".join(f"{one.id} ({one.kind}, {one.visibility})" for one in sandbox.state.sources.all())
    return (
        f"Coveo sandbox listening on {sandbox.url}\n"
        f"  organization  {sandbox.organization_id}\n"
        f"  sources       {sources}\n"
        f"  contents      {sandbox.url}/_sandbox/\n"
        "Point an Airflow connection at it:\n"
        f"  export AIRFLOW_CONN_COVEO_DEFAULT='{connection}'"
    )


def _source(text: str) -> tuple[str, str]:
    source_id, kind, visibility = [*text.split(":"), "", ""][:3]
    kind, visibility = kind.upper() or "PUSH", visibility.upper() or "SHARED"
    if not source_id or kind not in KINDS or visibility not in VISIBILITIES or text.count(":") > 2:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not ID:KIND or ID:KIND:VISIBILITY, KIND of {', '.join(KINDS)}, "
            f"VISIBILITY of {', '.join(VISIBILITIES)}"
        )
    return source_id, f"{kind}:{visibility}"


def _provider(text: str) -> tuple[str, list[str]]:
    provider_id, _, sources = text.partition(":")
    if not provider_id or not sources:
        raise argparse.ArgumentTypeError(f"{text!r} is not ID:SOURCE or ID:SOURCE,SOURCE")
    return provider_id, sources.split(",")


def _each_once(pairs: Sequence[tuple[str, _Value]]) -> dict[str, _Value]:
    """Refuse what is given twice, of which the first would be dropped without a word."""
    names = [name for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{twice[0]!r} is given twice")
    return dict(pairs)


def _scale(text: str) -> float:
    scale = float(text)
    if not 0 <= scale < float("inf"):
        raise argparse.ArgumentTypeError("the scale is 0 or more")
    return scale


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="coveo-sandbox", description="A strict stand-in for Coveo's cloud, on 127.0.0.1."
    )
    parser.add_argument("--port", type=int, default=8040, help="0 for any free port (default: %(default)s)")
    parser.add_argument("--organization", default="sandbox", help="organization id (default: %(default)s)")
    parser.add_argument("--api-key", default="sandbox-key", help="a key with all privileges")
    parser.add_argument(
        "--source",
        type=_source,
        action="append",
        metavar="ID:KIND[:VISIBILITY]",
        help="a source, of kind PUSH, CATALOG or DATA_COLLECTION, and SHARED (the default), SECURED or PRIVATE; "
        "repeat for more (default: products:CATALOG and files:PUSH)",
    )
    parser.add_argument(
        "--provider",
        type=_provider,
        action="append",
        metavar="ID:SOURCE[,SOURCE]",
        help="a security provider that takes pushed identities, and the sources it is linked to; repeat for more",
    )
    parser.add_argument("--database", metavar="PATH", help="SQLite file to keep everything in")
    parser.add_argument(
        "--scale", type=_scale, default=1.0, help="seconds in the sandbox per real second (default: 1)"
    )
    parser.add_argument(
        "--real-delays",
        action="store_true",
        help="let a client that waits for a delayed deletion wait as long as the service would let it",
    )
    parser.add_argument(
        "--quotas",
        choices=tuple(PRESETS),
        default="off",
        help="the Stream API's quotas of which kind of organization to enforce (default: %(default)s)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

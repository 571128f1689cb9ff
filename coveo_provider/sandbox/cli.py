"""``coveo-sandbox``: the sandbox as a program, until it is told to stop."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Sequence

from coveo_provider.sandbox.sandbox import DEFAULT_SOURCES, Sandbox
from coveo_provider.sandbox.service.database import DatabaseError
from coveo_provider.sandbox.service.quotas import PRESETS
from coveo_provider.sandbox.service.sources import KINDS


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
            sources=dict(options.source or DEFAULT_SOURCES),
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
    sources = ", ".join(f"{one.id} ({one.kind})" for one in sandbox.state.sources.all())
    return (
        f"Coveo sandbox listening on {sandbox.url}\n"
        f"  organization  {sandbox.organization_id}\n"
        f"  sources       {sources}\n"
        f"  contents      {sandbox.url}/_sandbox/\n"
        "Point an Airflow connection at it:\n"
        f"  export AIRFLOW_CONN_COVEO_DEFAULT='{connection}'"
    )


def _source(text: str) -> tuple[str, str]:
    source_id, _, kind = text.partition(":")
    kind = (kind or "PUSH").upper()
    if not source_id or kind not in KINDS:
        raise argparse.ArgumentTypeError(f"{text!r} is not ID:{' or ID:'.join(KINDS)}")
    return source_id, kind


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
        metavar="ID:KIND",
        help="a source, of kind PUSH, CATALOG or DATA_COLLECTION; repeat for more (default: products:CATALOG and "
        "files:PUSH)",
    )
    parser.add_argument("--database", metavar="PATH", help="SQLite file to keep everything in")
    parser.add_argument(
        "--scale", type=_scale, default=1.0, help="seconds in the sandbox per real second (default: 1)"
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

"""``coveo-sandbox``: the sandbox as a program, until it is told to stop."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from coveo_provider.sandbox.config import ConfigError
from coveo_provider.sandbox.config import read as read_config
from coveo_provider.sandbox.sandbox import DEFAULT_SOURCES, Sandbox
from coveo_provider.sandbox.service.database import DatabaseError
from coveo_provider.sandbox.service.quotas import PRESETS
from coveo_provider.sandbox.service.sources import KINDS, VISIBILITIES

_DEFAULTS = {
    "port": 8040,
    "organization": "sandbox",
    "api_key": "sandbox-key",
    "scale": 1.0,
    "quotas": "off",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the sandbox until SIGINT or SIGTERM.

    :param arguments: the command line without the program's name; the process's own when left out
    :return: exit code: 0 after a clean stop, 1 when it cannot start or had an error of its own
    """
    options = parser().parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        settings = _settings(options)
        sandbox = Sandbox.start(**settings)
    except ConfigError as error:
        print(f"coveo-sandbox: {error}", file=sys.stderr)
        return 1
    except (OSError, DatabaseError, OverflowError, ValueError) as error:
        print(f"coveo-sandbox: cannot start on port {settings['port']}: {error}", file=sys.stderr)
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


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """Put together the arguments of :meth:`Sandbox.start`: an option wins over the file, and adds to its tables."""
    file = read_config(options.config) if options.config else {}
    given = {key: value for key, value in vars(options).items() if value is not None and value is not False}
    values = {**_DEFAULTS, **file, **given}
    return {
        "database": values.get("database"),
        "port": values["port"],
        "scale": values["scale"],
        "hasten": not values.get("real_delays", False),
        "sources": _merged(file.get("sources", {}), options.source) or DEFAULT_SOURCES,
        "providers": _merged(file.get("providers", {}), options.provider),
        "organization_id": values["organization"],
        "api_key": values["api_key"],
        "keys": _merged(file.get("keys", {}), options.key),
        "quotas": PRESETS[values["quotas"]](),
        "fields": file.get("fields", {}),
        "strict_fields": values.get("strict_fields", False),
        "tls": values.get("tls", False),
    }


def _greeting(sandbox: Sandbox) -> str:
    connection = json.dumps(
        {
            "conn_type": "coveo",
            "host": sandbox.url,
            "login": sandbox.organization_id,
            "password": sandbox.api_key,
        }
    )
    trust = "" if sandbox.certificate is None else f"  certificate   {sandbox.certificate}\n"
    sources = ", ".join(f"{one.id} ({one.kind}, {one.visibility})" for one in sandbox.state.sources.all())
    return (
        f"Coveo sandbox listening on {sandbox.url}\n"
        f"  organization  {sandbox.organization_id}\n"
        f"  sources       {sources}\n"
        f"  page          {sandbox.url}/\n"
        f"{trust}"
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


def _key(text: str) -> tuple[str, list[str]]:
    key, _, privileges = text.partition("=")
    if not key or not privileges:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=PRIVILEGE or KEY=PRIVILEGE,PRIVILEGE")
    return key, privileges.split(",")


def _merged(table: Mapping[str, Any], pairs: Sequence[tuple[str, Any]] | None) -> dict[str, Any]:
    """Add options to a file's table; what is given twice is refused, as one would be dropped without a word."""
    names = [*table, *(name for name, _ in pairs or ())]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ConfigError(f"{twice[0]!r} is given twice")
    return {**table, **dict(pairs or ())}


def _scale(text: str) -> float:
    scale = float(text)
    if not 0 <= scale < float("inf"):
        raise argparse.ArgumentTypeError("the scale is 0 or more")
    return scale


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line, for other programs that offer the sandbox."""
    parser = argparse.ArgumentParser(
        prog="coveo-sandbox", description="A strict stand-in for Coveo's cloud, on 127.0.0.1."
    )
    parser.add_argument(
        "--config", metavar="PATH", help="TOML file of these settings, and of fields; see docs/sandbox.md"
    )
    parser.add_argument("--port", type=int, help="0 for any free port (default: 8040)")
    parser.add_argument("--organization", help="organization id (default: sandbox)")
    parser.add_argument("--api-key", help="a key with all privileges (default: sandbox-key)")
    parser.add_argument(
        "--key",
        type=_key,
        action="append",
        metavar="KEY=PRIVILEGE[,PRIVILEGE]",
        help="a further key with these privileges only, such as SOURCE:VIEW; repeat for more",
    )
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
    parser.add_argument("--scale", type=_scale, help="seconds in the sandbox per real second (default: 1)")
    parser.add_argument(
        "--real-delays",
        action="store_true",
        help="let a client that waits for a delayed deletion wait as long as the service would let it",
    )
    parser.add_argument(
        "--quotas",
        choices=tuple(PRESETS),
        help="the Stream API's quotas of which kind of organization to enforce (default: off)",
    )
    parser.add_argument(
        "--strict-fields",
        action="store_true",
        help="drop metadata that no field takes, as the platform does, with a WARNING in the item's log",
    )
    parser.add_argument(
        "--tls",
        action="store_true",
        help="answer by https, with a self-signed certificate whose file is printed",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())

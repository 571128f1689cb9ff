"""The commands that ask the organization: ping, sources, show, logs, why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coveo_provider.cli.arguments import CONNECTION, ConnId, SourceId, seconds_of, uri_of
from coveo_provider.cli.exit_codes import ExitCode
from coveo_provider.cli.running import command, hook_of, source_at
from coveo_provider.cli.screen import Screen
from coveo_provider.errors import ConfigurationError, CoveoError, DatasetError, NotFound

if TYPE_CHECKING:
    from coveo_provider.api.client import CoveoClient
    from coveo_provider.api.types import LogEntry, Source

_PRIVILEGES = {
    "Organization (View)": ("ORGANIZATION", "VIEW"),
    "Sources (View)": ("SOURCE", "VIEW"),
    "Sources (Edit)": ("SOURCE", "EDIT"),
    "Sources (Create)": ("SOURCE", "CREATE"),
    "Fields (View)": ("FIELD", "VIEW"),
    "Fields (Create)": ("FIELD", "CREATE"),
    "Fields (Edit)": ("FIELD", "EDIT"),
    "Security identity providers (View)": ("SECURITY_PROVIDER", "VIEW"),
    "Security identity providers (Edit)": ("SECURITY_PROVIDER", "EDIT"),
    "Security identity providers (Create)": ("SECURITY_PROVIDER", "CREATE"),
}
_TO_PUSH = ("Organization (View)", "Sources (View)", "Sources (Edit)")
_DAY_MS = 86_400_000


@command
def ping(screen: Screen, *, conn_id: ConnId = CONNECTION) -> ExitCode:
    """
    Ask whether the organization answers, and what the key may do.

    Ends with 1 when the key lacks a privilege that pushing needs.
    """
    hook = hook_of(conn_id)
    reached, message = hook.test_connection()
    client = hook.client
    held = {name: _has(client, *pair) for name, pair in _PRIVILEGES.items()} if reached else {}
    missing = [name for name in _TO_PUSH if held.get(name) is False]
    facts = {
        "conn_id": conn_id,
        "organization_id": client.organization_id,
        "platform_url": client.endpoints.platform_url,
        "push_url": client.endpoints.push_url,
    }
    screen.document({**facts, "reached": reached, "message": message, "privileges": held, "missing": missing})
    screen.facts(
        {
            "connection": conn_id,
            "organization": client.organization_id,
            "platform": client.endpoints.platform_url,
            "push": client.endpoints.push_url,
        }
    )
    if not reached:
        screen.fail(message)
        return ExitCode.SERVICE
    screen.line(message)
    screen.line()
    screen.table(("privilege", "held"), list(held.items()))
    if missing:
        screen.warn(f"the key lacks what pushing needs: {', '.join(missing)}")
        return ExitCode.FOUND
    return ExitCode.FINE


def _has(client: CoveoClient, domain: str, level: str) -> bool | None:
    """Return whether the key has a privilege; ``None`` where the platform does not say."""
    try:
        return client.has_privilege(domain, level)
    except CoveoError:
        return None


@command
def sources(screen: Screen, *, conn_id: ConnId = CONNECTION) -> None:
    """List the sources that the key can see."""
    client = hook_of(conn_id).client
    found = sorted(client.list_sources(), key=lambda one: one.source_id)
    screen.document({"organization_id": client.organization_id, "sources": [_source(one) for one in found]})
    rows = [
        (one.source_id, one.name, one.kind, one.visibility, one.status, one.document_count) for one in found
    ]
    screen.table(("source", "name", "kind", "visibility", "status", "items"), rows)


@command
def show(
    screen: Screen,
    source: SourceId,
    *,
    state: Annotated[
        str,
        typer.Option("--state", metavar="URI", help="The state folder of its loads, to tell what it knows."),
    ] = "",
    conn_id: ConnId = CONNECTION,
) -> None:
    """Show one source: status, items, mapping rules, the log of a day, and what is remembered of its loads."""
    remembered = _remembered(uri_of(state, "--state")) if state else None
    client = hook_of(conn_id).client
    found = source_at(client, source)
    log = _day(screen, client, source)
    rules = [{"field": one.field, "content": list(one.content)} for one in found.mappings]
    screen.document({"source": _source(found), "mappings": rules, "log": log, "state": remembered})
    screen.facts(
        {
            "source": found.source_id,
            "name": found.name,
            "kind": found.kind,
            "visibility": found.visibility,
            "status": found.status,
            "items": found.document_count if found.document_count is not None else "?",
            "last refresh": found.refreshed_at or "?",
            "takes pushes": found.push_enabled,
            "takes streams": found.stream_enabled,
            "filled by": found.managed_by,
            "log, last day": "" if log is None else f"{log['indexed']:,} indexed, {log['refused']:,} refused",
        }
    )
    if rules:
        screen.line()
        screen.table(
            ("field", "filled from"), [(one.field, ", ".join(one.content)) for one in found.mappings]
        )
    if remembered is not None:
        _show_state(screen, remembered)


def _source(found: Source) -> dict[str, Any]:
    model = asdict(found)
    del model["mappings"]
    return model


def _day(screen: Screen, client: CoveoClient, source: str) -> dict[str, int] | None:
    """Return what a day's log counts; ``None`` where the key may not read it."""
    from coveo_provider.verification.tally import REFUSALS

    since = client.server_time_ms(source) - _DAY_MS
    try:
        indexed = client.source_log_counts(source, since, tasks=["INDEXING"], results=["COMPLETED"])
        refused = client.source_log_counts(source, since, results=sorted(REFUSALS))
    except CoveoError as error:
        screen.warn(f"the source's log is not known: {error}")
        return None
    return {"indexed": sum(indexed.results.values()), "refused": sum(refused.results.values())}


def _remembered(uri: str) -> dict[str, Any]:
    """
    Return what a state folder says.

    :raises DatasetError: it holds nothing, or what it holds is damaged
    """
    from coveo_provider.documents.uris import shown_uri
    from coveo_provider.operators.support.states import state_at

    folder = state_at(uri)
    last, pending = folder.last(), folder.pending()
    if last is None and not pending:
        raise DatasetError(f"state {shown_uri(uri)}: there is nothing of a load in it")
    loads = [
        {
            name: getattr(load, name)
            for name in (
                "finished_at",
                "dag_id",
                "run_id",
                "full",
                "rows",
                "sent",
                "deleted",
                "refused",
                "held",
            )
        }
        for load in folder.loads()
    ]
    return {
        "source_id": None if last is None else last.source_id,
        "organization_id": None if last is None else last.organization,
        "documents": None if last is None else last.rows,
        "refused": 0 if last is None else last.rejected,
        "datasets": [] if last is None else [shown_uri(one.manifest) for one in last.datasets],
        "loads": loads,
        "unfinished": [{"key": one.key, "full": one.full} for one in pending],
    }


def _show_state(screen: Screen, state: Mapping[str, Any]) -> None:
    screen.line()
    screen.facts(
        {
            "state of source": state["source_id"],
            "documents": state["documents"],
            "of them refused": state["refused"],
            "unfinished loads": ", ".join(one["key"] for one in state["unfinished"]),
        }
    )
    if state["loads"]:
        screen.line()
        columns = ("finished_at", "dag_id", "run_id", "full", "sent", "deleted", "refused", "held")
        screen.table(columns, [[load[name] for name in columns] for load in state["loads"]])


@command
def logs(
    screen: Screen,
    source: SourceId,
    *,
    since: Annotated[str, typer.Option("--since", metavar="SPAN", help="How far back: 30m, 1h, 7d.")] = "1h",
    refused: Annotated[
        bool, typer.Option("--refused", help="Only what the service refused; ends with 1.")
    ] = False,
    item: Annotated[str, typer.Option("--item", metavar="ID", help="Only what became of this item.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="The most entries to show.")] = 200,
    conn_id: ConnId = CONNECTION,
) -> ExitCode:
    """
    Show what the service did with items of a source.

    With --refused it ends with 1 when there is any.
    """
    from coveo_provider.verification.tally import REFUSALS

    seconds = seconds_of(since, "--since")
    client = hook_of(conn_id).client
    source_at(client, source)  # the log of a source that is not there is empty
    begin = client.server_time_ms(source) - seconds * 1_000
    results = sorted(REFUSALS) if refused else ()
    found = client.source_logs(source, begin, results=results, document_id=item or None)
    entries = list(islice(found, limit + 1))
    more = len(entries) > limit
    rows = [_entry(one) for one in entries[:limit]]
    screen.document({"source_id": source, "since_seconds": seconds, "entries": rows, "more": more})
    if rows:
        screen.table(
            ("time", "operation", "stage", "result", "item", "reason"),
            [list(one.values())[:6] for one in rows],
        )
    else:
        screen.line(f"{'Nothing was refused' if refused else 'No entry'} in the last {since}.")
    if more:
        screen.warn(f"there are more than {limit:,} entries: --limit shows more, --since fewer")
    return ExitCode.FOUND if refused and rows else ExitCode.FINE


def _entry(entry: LogEntry) -> dict[str, Any]:
    from datetime import datetime, timezone

    moment = datetime.fromtimestamp(entry.time_ms / 1_000, timezone.utc)
    return {
        "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "operation": entry.operation,
        "stage": entry.task,
        "result": entry.result,
        "item": entry.document_id,
        "reason": entry.error,
        "ordering_id": entry.ordering_id,
    }


@command
def why(
    screen: Screen,
    source: SourceId,
    item: Annotated[str, typer.Argument(metavar="ITEM", help="The item's documentId.")],
    *,
    user: Annotated[
        str,
        typer.Option("--user", metavar="NAME", help="Whose access; nobody who is logged in when left out."),
    ] = "",
    provider: Annotated[
        str, typer.Option("--provider", metavar="ID", help="The security provider that the name is of.")
    ] = "Email Security Provider",
    index: Annotated[
        str, typer.Option("--index", metavar="ID", help="The index, where it is not the organization's own.")
    ] = "",
    conn_id: ConnId = CONNECTION,
) -> ExitCode:
    """
    Tell whether a user sees an item in the index, and through which identity.

    Ends with 1 when the user does not see it.
    """
    from coveo_provider.cli.access import explained

    client = hook_of(conn_id).client
    visibility = source_at(client, source).visibility
    try:
        answer = explained(client, item, user, provider, visibility, index)
    except NotFound as error:
        raise ConfigurationError(
            f"the index holds no item {item!r}, or the call is refused: {error.detail} coveo logs {source} --item "
            "tells what became of it"
        ) from None
    screen.document({"source_id": source, "item": item, "user": user or None, **asdict(answer)})
    who = user or "somebody who is not logged in"
    screen.line(f"{who} {'sees' if answer.allowed else 'does not see'} {item}: {answer.reason}")
    for number, identity in enumerate(answer.path):
        screen.line(f"{'  ' * (number + 1)}{'→ ' if number else ''}{identity}")
    return ExitCode.FINE if answer.allowed else ExitCode.FOUND

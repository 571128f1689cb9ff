"""The Source Logs API (``platform-api.md`` section 7, ``contract/source-logs.swagger.yml``)."""

from __future__ import annotations

import uuid
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from coveo_provider.sandbox.service.errors import invalid_json, invalid_parameter
from coveo_provider.sandbox.service.store import LogQuery
from coveo_provider.sandbox.service.views import LogEntry

if TYPE_CHECKING:
    from coveo_provider.sandbox.http.wire import Request
    from coveo_provider.sandbox.service.state import State
    from coveo_provider.sandbox.service.store import LogRow

OPERATIONS = (
    *(
        "ADD",
        "ADD_BY_REFERENCE",
        "BATCH_FILE",
        "DELETE",
        "DELETE_AND_CHILDREN",
        "DELETE_OLDER_THAN",
        "UPDATE",
    ),
)
RESULTS = ("COMPLETED", "ERROR", "REJECTED", "SKIPPED", "WARNING")
TASKS = (
    *("CONSUMING", "CONSUMING_BATCH", "CRAWLING", "STREAMING_EXTENSION", "EXTENSION", "INDEXING"),
    *("MAPPING", "PROCESSING", "STREAMING", "STREAMING_BATCH", "PREINDEXING", "VALIDATION"),
)
_MATCHING = ("EXACT", "PARTIAL", "WILDCARD")
# Body key → (column, allowed values). The swagger says sourcesIds, the platform client sourceIds: both are
# taken.
_ONLY = {
    "operations": ("operation", OPERATIONS),
    "results": ("result", RESULTS),
    "tasks": ("task", TASKS),
    "sourcesIds": ("source", None),
    "sourceIds": ("source", None),
    "resourceIds": ("resource", None),
}
_WITHOUT = {
    "excludeOperations": ("operation", OPERATIONS),
    "excludeResults": ("result", RESULTS),
    "excludeTasks": ("task", TASKS),
    "excludeSourceIds": ("source", None),
    "excludeResourceIds": ("resource", None),
}
_DEFAULT_PAGE, _MOST_PER_PAGE = 50, 1000  # neither is documented


def read_logs(state: State, request: Request) -> object:
    """Give a page of entries, newest first: pages shift as entries arrive, which is what the guid is for."""
    query = _query(state, request)
    page = request.whole("page", 0, 10**9)
    per_page = request.whole("perPage", _DEFAULT_PAGE, _MOST_PER_PAGE)
    found = (
        []
        if query is None
        else state.store.read_log(query, offset=page * per_page, limit=per_page + 1, newest_first=True)
    )
    ids = {source.n: source.id for source in state.sources.all()}
    return {
        "documentLogEntries": [
            {
                "datetime": iso(row.time_ms),
                "guid": guid(state, seq),
                "id": row.id,
                "meta": meta(row),
                "operation": row.operation,
                "organizationId": state.organization_id,
                "requestId": request.request_id,
                "result": row.result,
                "sourceId": ids.get(row.source, ""),
                "task": row.task,
            }
            for seq, row in found[:per_page]
        ],
        "hasNextPage": len(found) > per_page,
    }


def read_facets(state: State, request: Request) -> object:
    """Give the values that occur."""
    return {name: list(counts) for name, counts in _facets(state, request).items()}


def read_facets_stats(state: State, request: Request) -> object:
    """Give the values that occur and how often."""
    return _facets(state, request)


def _facets(state: State, request: Request) -> dict[str, dict[str, int]]:
    query = _query(state, request)
    ids = {source.n: source.id for source in state.sources.all()}
    names = ("operations", "results", "tasks", "sourceIds")
    found: dict[str, dict[str, int]] = {name: {} for name in (*names, "resourceIds")}
    for *values, source_n, count in [] if query is None else state.store.log_facets(query):
        for name, value in zip(names, (*values, ids.get(source_n, "")), strict=True):
            found[name][value] = found[name].get(value, 0) + count
    return found


def entries(state: State, source_n: int) -> list[LogEntry]:
    """Give all entries of one source, oldest first, as tests read them."""
    source = state.sources.by_number(source_n)
    return [
        LogEntry(
            time_ms=row.time_ms,
            source_id=source.id if source else "",
            id=row.id,
            operation=row.operation,
            task=row.task,
            result=row.result,
            guid=guid(state, seq),
            meta=meta(row),
        )
        for seq, row in state.store.read_log(LogQuery(only={"source": [source_n]}))
    ]


def guid(state: State, seq: int) -> str:
    """Give an entry's unique id, the same at every reading."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{state.organization_id}/{seq}"))


def meta(row: LogRow) -> dict[str, str]:
    """Give ``meta`` with the keys community code reads (platform-api.md 7)."""
    found = {"duration": "0.001"}
    if row.ordering is not None:
        found["orderingid"] = str(row.ordering)
    if row.error:
        found["error"] = row.error
    return found


def iso(time_ms: int) -> str:
    """Write a moment as the API does, UTC with milliseconds."""
    moment = datetime.fromtimestamp(time_ms / 1000, timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{time_ms % 1000:03d}Z"


def moment_ms(name: str, value: str) -> int:
    """Read an ISO date-time; one without a zone is UTC."""
    try:
        moment = datetime.fromisoformat(value.replace("Z", "+00:00").replace(" ", "+"))
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        return int(moment.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise invalid_parameter(name, f"'{value}' is not an ISO date-time.") from None


def _query(state: State, request: Request) -> LogQuery | None:
    """Read the filters; None when they cannot match anything."""
    start, end = (moment_ms(name, request.required(name)) for name in ("from", "to"))
    if end < start or end - start > state.limits.log_window_ms:
        raise invalid_parameter("to", "it must be within a week after 'from'.")
    body = request.json(state.limits.request_bytes)
    numbers: dict[object, int] = {source.id: source.n for source in state.sources.all()}
    only: dict[str, list[str | int]] = {}
    without: dict[str, list[str | int]] = {}
    for filters, found in ((_ONLY, only), (_WITHOUT, without)):
        for key, (column, allowed) in filters.items():
            values = _strings(body, key, allowed)
            if column == "resource":
                if values and found is only:
                    return None  # no entry here belongs to an extension
            elif column == "source":
                found.setdefault(column, []).extend(numbers.get(value, 0) for value in values)
            elif values:
                found[column] = list(values)
    if not any(_strings(body, key, None) for key in ("sourcesIds", "sourceIds")):
        only.pop("source", None)
    for column in only:
        without.pop(column, None)  # inclusion wins (logs swagger)
    return LogQuery(start, end, only, {k: v for k, v in without.items() if v}, _id_match(request))


def _strings(body: dict[str, Any], key: str, allowed: tuple[str, ...] | None) -> list[str]:
    values = body.get(key) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise invalid_json(f"'{key}' is an array of strings.")
    if len(values) > 500:
        raise invalid_json(f"'{key}' has too many values.")
    if allowed and (wrong := [value for value in values if value not in allowed]):
        raise invalid_json(f"'{wrong[0]}' is not one of the values of '{key}'.")
    return values


def _id_match(request: Request) -> tuple[str, str] | None:
    matching = request.query.get("documentIdMatching", "EXACT")
    if matching not in _MATCHING:
        raise invalid_parameter("documentIdMatching", f"'{matching}' is none of {', '.join(_MATCHING)}.")
    wanted = request.query.get("documentId")
    if not wanted:
        return None
    if matching == "EXACT":
        return "id = ?", wanted
    if matching == "PARTIAL":
        return "instr(id, ?) > 0", wanted
    # The page reads "*" as one or more characters.
    return "id GLOB ?", wanted.replace("[", "[[]").replace("*", "?*")

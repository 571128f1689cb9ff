"""The Source Logs API: what the indexing pipeline's log says, by filters and pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coveo_provider.sandbox.service.clock import iso
from coveo_provider.sandbox.service.errors import invalid_json, invalid_parameter
from coveo_provider.sandbox.service.indexing.source_log import LogQuery

if TYPE_CHECKING:
    from coveo_provider.sandbox.calls.request import Request
    from coveo_provider.sandbox.service.state import State

OPERATIONS = (
    *("ADD", "ADD_BY_REFERENCE", "BATCH_FILE", "DELETE", "DELETE_AND_CHILDREN", "DELETE_OLDER_THAN"),
    "UPDATE",
)
RESULTS = ("COMPLETED", "ERROR", "REJECTED", "SKIPPED", "WARNING")
TASKS = (
    *("CONSUMING", "CONSUMING_BATCH", "CRAWLING", "STREAMING_EXTENSION", "EXTENSION", "INDEXING"),
    *("MAPPING", "PROCESSING", "STREAMING", "STREAMING_BATCH", "PREINDEXING", "VALIDATION"),
)
_MATCHING = ("EXACT", "PARTIAL", "WILDCARD")
# Filter → (its key in the body, its exclusion's key, column, allowed values).
_FILTERS = (
    ("operations", "excludeOperations", "operation", OPERATIONS),
    ("results", "excludeResults", "result", RESULTS),
    ("tasks", "excludeTasks", "task", TASKS),
)
# The published description says sourcesIds, the platform client sourceIds: both are taken.
_SOURCES, _NOT_SOURCES = ("sourcesIds", "sourceIds"), ("excludeSourceIds",)
_PER_PAGE, _MOST_PER_PAGE = 50, 1000  # neither is documented
_MOST_VALUES = 500


def read_logs(state: State, request: Request) -> object:
    """Give a page of entries, newest first: pages shift as entries arrive, which is what the guid is for."""
    query = _query(state, request)
    if request.whole("page", 0, 10**9) == 0:
        state.hasten()
    page = request.whole("page", 0, 10**9)
    per_page = request.whole("perPage", _PER_PAGE, _MOST_PER_PAGE)
    rows = [] if query is None else state.log.deliver(query, offset=page * per_page, limit=per_page + 1)
    ids = {source.n: source.id for source in state.sources.all()}
    return {
        "documentLogEntries": [
            {
                "datetime": iso(row.time_ms),
                "guid": state.log.guid(seq),
                "id": row.id,
                "meta": row.meta,
                "operation": row.operation,
                "organizationId": state.organization_id,
                "requestId": request.request_id,
                "result": row.result,
                "sourceId": ids.get(row.source, ""),
                "task": row.task,
            }
            for seq, row in rows[:per_page]
        ],
        "hasNextPage": len(rows) > per_page,
    }


def read_facets(state: State, request: Request) -> object:
    """Give the values that occur."""
    return {name: list(counts) for name, counts in _facets(state, request).items()}


def read_facets_stats(state: State, request: Request) -> object:
    """Give the values that occur and how often."""
    return _facets(state, request)


def _facets(state: State, request: Request) -> dict[str, dict[str, int]]:
    query = _query(state, request)
    state.hasten()
    ids = {source.n: source.id for source in state.sources.all()}
    names = ("operations", "results", "tasks", "sourceIds")
    facets: dict[str, dict[str, int]] = {name: {} for name in (*names, "resourceIds")}
    for *values, source_n, count in [] if query is None else state.log.facets(query):
        for name, value in zip(names, (*values, ids.get(source_n, "")), strict=True):
            facets[name][value] = facets[name].get(value, 0) + count
    return facets


def _query(state: State, request: Request) -> LogQuery | None:
    """Read the filters; None when they cannot match anything."""
    start, end = _window(state, request)
    body = request.json(state.limits.request_bytes)
    only: dict[str, list[str | int]] = {}
    without: dict[str, list[str | int]] = {}
    for key, excluded, column, allowed in _FILTERS:
        only[column] = list(_strings(body, key, allowed))
        without[column] = list(_strings(body, excluded, allowed))
    only["source"], without["source"] = (_sources(state, body, keys) for keys in (_SOURCES, _NOT_SOURCES))
    _strings(body, "excludeResourceIds")
    if _strings(body, "resourceIds"):
        return None  # no entry here belongs to an extension
    only = {column: values for column, values in only.items() if values}
    # Inclusion wins over exclusion.
    without = {column: values for column, values in without.items() if values and column not in only}
    return LogQuery(start, end, only, without, _id_match(request))


def _window(state: State, request: Request) -> tuple[int, int]:
    for name in ("from", "to"):
        request.required(name)
    start, end = request.moment_ms("from") or 0, request.moment_ms("to") or 0
    if end < start or end - start > state.limits.log_window_ms:
        raise invalid_parameter("to", "it must be within a week after 'from'.")
    return start, end


def _sources(state: State, body: dict[str, Any], keys: tuple[str, ...]) -> list[str | int]:
    """Give the numbers of the sources that are named; 0, which no source has, for an unknown one."""
    numbers = {source.id: source.n for source in state.sources.all()}
    return [numbers.get(value, 0) for key in keys for value in _strings(body, key)]


def _strings(body: dict[str, Any], key: str, allowed: tuple[str, ...] = ()) -> list[str]:
    values = body.get(key) or []
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise invalid_json(f"'{key}' is an array of strings.")
    if len(values) > _MOST_VALUES:
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
    # The published description reads "*" as one or more characters.
    return "id GLOB ?", wanted.replace("[", "[[]").replace("*", "?*")

"""Probes of file containers and of the Stream API: loads, updates, partial updates, merges, data collections."""

from __future__ import annotations

import uuid
from typing import Any

import requests

from tools.probe.calls import CallFailed, NotObservable, said
from tools.probe.record import probe
from tools.probe.service import Service, need

_UNKNOWN = str(uuid.UUID(int=0))
_DELAY = 20  # minutes: a load's deletions come some 15 after its close


def _entry(service: Service, name: str, **fields: object) -> dict[str, Any]:
    return {"documentId": service.uri(name), **{service.field(key): value for key, value in fields.items()}}


def _change(service: Service, name: str, operator: str, field_name: str, value: object) -> dict[str, Any]:
    return {
        "documentId": service.uri(name),
        "operator": operator,
        "field": service.field(field_name),
        "value": value,
    }


def _have(service: Service, *entries: dict[str, Any], source: str | None = None) -> None:
    """Put items into the Catalog source, or another, and wait until they are there."""
    service.update({"addOrUpdate": list(entries)}, source)
    for one in entries:
        service.fate(one["documentId"], source or service.sources.catalog)


def _ordering(answer: requests.Response) -> str:
    """Give the orderingId that the Stream API told; CallFailed where it refused the call."""
    if not answer.ok:
        raise CallFailed(said(answer))
    return str(answer.json()["orderingId"])


def _changed(service: Service, entry: dict[str, Any], operator: str, value: object, wanted: object) -> Any:
    """Change the one field of an item, and give the field's value afterwards."""
    service.make_fields()
    name = "list" if service.field("list") in entry else "text"
    _have(service, entry)
    service.update({"partialUpdate": [_change(service, "a", operator, name, value)]})
    service.fate(service.uri("a"), service.sources.catalog)
    return service.value("a", name, wanted)


# -- file containers -------------------------------------------------------------------------------------------


@probe(
    "What does a batch answer that names a container which does not exist?",
    section="File containers",
    assumed="412 INVALID_PARAMETER",
)
def container_unknown(service: Service) -> str:
    return said(service.submit_batch(_UNKNOWN))


@probe(
    "What does a batch answer that names a container which nothing was uploaded to?",
    section="File containers",
    assumed="412 INVALID_PARAMETER",
)
def container_empty(service: Service) -> str:
    return said(service.submit_batch(str(service.calls.push("POST", "/files", json={}).json()["fileId"])))


@probe(
    "What does a batch answer that names a container which was used before?",
    section="File containers",
    assumed="first 202; again 412 INVALID_PARAMETER",
)
def container_again(service: Service) -> str:
    file_id = service.container({"delete": [{"documentId": service.uri("a")}]}, service.sources.push)
    first = service.submit_batch(file_id)
    service.fate(service.uri("a"))
    return f"first {said(first)}; again {said(service.submit_batch(file_id))}"


@probe(
    "What does a batch answer that names a container of an hour ago?",
    section="File containers",
    assumed="412 INVALID_PARAMETER",
    minutes=61,
)
def container_expired(service: Service) -> str:
    file_id = service.container({"delete": [{"documentId": service.uri("a")}]}, service.sources.push)
    service.index.pass_time(61)
    return said(service.submit_batch(file_id))


@probe(
    "What does the storage answer to an upload with an Authorization of its own?",
    section="File containers",
    assumed="403",
)
def upload_authorization(service: Service) -> str:
    made = service.calls.push("POST", "/files", json={}).json()
    # A made-up one: the key itself never goes to the storage.
    return str(service.calls.upload(made, b"{}", Authorization="Bearer probe").status_code)


# -- streams ---------------------------------------------------------------------------------------------------


@probe(
    "What does a call on a stream answer that was never opened?",
    section="Streams",
    assumed="412 INVALID_STREAM_ID",
)
def stream_unknown(service: Service) -> str:
    return said(service.stream(f"{_UNKNOWN}/chunk"))


@probe(
    "What does the second close of a stream answer?",
    section="Streams",
    assumed="first 200; again 412 INVALID_STREAM_ID",
)
def stream_closed(service: Service) -> str:
    stream_id = service.open()
    first = service.load(stream_id, {"addOrUpdate": [_entry(service, "a")]})
    return f"first {said(first)}; again {said(service.load(stream_id, None))}"


@probe(
    "Two streams are open on one source and closed one after the other: which items are left?",
    section="Streams",
    assumed="those of the second: b",
    minutes=_DELAY,
)
def streams_two(service: Service) -> str:
    _check_not_configured(service)
    first, second = service.open(), service.open()
    service.load(first, {"addOrUpdate": [_entry(service, "a")]})
    service.load(second, {"addOrUpdate": [_entry(service, "b")]})
    service.index.pass_time(_DELAY)
    return f"those of the second: {service.held(['a', 'b'], 'b', service.sources.catalog)}"


@probe(
    "What does `delete` do in the container of a load?",
    section="Streams",
    assumed="the container: COMPLETED, WARNING; held: a, b",
)
def load_delete(service: Service) -> str:
    content = {
        "addOrUpdate": [_entry(service, "a"), _entry(service, "b")],
        "delete": [{"documentId": service.uri("a")}],
    }
    closed = service.load(service.open(), content)
    found = f"the container: {service.container_results(_ordering(closed))}"
    service.fate(service.uri("b"), service.sources.catalog)
    return f"{found}; held: {service.held(['a', 'b'], 'a, b', service.sources.catalog)}"


@probe(
    "Does a Catalog source in a catalog configuration keep its items when a load without them is closed?",
    section="Streams",
    assumed="held: there-before, brought",
    minutes=2 * _DELAY,
)
def load_protected(service: Service) -> str:
    source = need(
        service.sources.configured, "a Catalog source that a catalog configuration uses (--configured)"
    )
    # The first load brings what is to be kept, and removes what other probes left.
    service.load(service.open(source), {"addOrUpdate": [_entry(service, "there-before")]}, source)
    service.index.pass_time(_DELAY)
    service.load(service.open(source), {"addOrUpdate": [_entry(service, "brought")]}, source)
    service.index.pass_time(_DELAY)
    return f"held: {service.held(['there-before', 'brought'], 'there-before, brought', source)}"


@probe(
    "Is `shard` taken as a query parameter, and limited to ten letters and digits?",
    section="Streams",
    assumed="ten: 202; eleven: 412 INVALID_PARAMETER",
)
def update_shard(service: Service) -> str:
    content = {"delete": [{"documentId": service.uri("a")}]}
    answers = {word: service.update(content, shard="a" * n) for word, n in (("ten", 10), ("eleven", 11))}
    return "; ".join(f"{word}: {said(answer)}" for word, answer in answers.items())


def _check_not_configured(service: Service) -> None:
    if service.sources.configured == service.sources.catalog:
        raise NotObservable("it needs a Catalog source that no catalog configuration uses")


# -- updates ---------------------------------------------------------------------------------------------------


@probe(
    "In which order are the three arrays of an update carried out?",
    section="Updates and partial updates",
    assumed="added and changed: changed; added and deleted, held: none",
)
def update_order(service: Service) -> str:
    service.make_fields()
    answer = service.update(
        {
            "delete": [{"documentId": service.uri("b")}],
            "partialUpdate": [_change(service, "a", "fieldValueReplace", "text", "changed")],
            "addOrUpdate": [_entry(service, "a", text="added"), _entry(service, "b", text="added")],
        }
    )
    service.container_results(_ordering(answer))
    changed = service.value("a", "text", "changed")
    held = service.held(["b"], "none", service.sources.catalog)
    return f"added and changed: {changed}; added and deleted, held: {held}"


@probe(
    "Is the operator of a partial update taken in upper case, as the Java client sends it?",
    section="Updates and partial updates",
    assumed="new",
)
def operator_case(service: Service) -> str:
    return str(_changed(service, _entry(service, "a", text="old"), "FIELDVALUEREPLACE", "new", "new"))


@probe(
    "Does fieldValueReplace with null remove the field?",
    section="Updates and partial updates",
    assumed="None",
)
def replace_null(service: Service) -> str:
    return str(_changed(service, _entry(service, "a", text="old"), "fieldValueReplace", None, None))


@probe(
    "Does appending an element that is there keep both?",
    section="Updates and partial updates",
    assumed="['one', 'one']",
)
def append_equal(service: Service) -> str:
    wanted = ["one", "one"]
    return str(_changed(service, _entry(service, "a", list=["one"]), "arrayAppend", ["one"], wanted))


@probe(
    "What does the log say of a partial update of an item that does not exist?",
    section="Updates and partial updates",
    assumed="202; ignored (WARNING)",
)
def partial_unknown(service: Service) -> str:
    answer = service.update({"partialUpdate": [_change(service, "a", "fieldValueReplace", "text", "new")]})
    return f"{said(answer)}; {service.fate(service.uri('a'), service.sources.catalog)}"


@probe(
    "Does an empty array bring a warning, of an unknown key in an update or of partialUpdate in a batch?",
    section="Updates and partial updates",
    assumed="unknown: COMPLETED; partialUpdate: COMPLETED",
)
def empty_arrays(service: Service) -> str:
    gone = [{"documentId": service.uri("a")}]
    unknown = service.container_results(_ordering(service.update({"delete": gone, "probes": []})))
    ordering = service.time_ms()
    service.batch({"delete": gone, "partialUpdate": []}, orderingId=ordering)
    partial = service.container_results(ordering, service.sources.push)
    return f"unknown: {unknown}; partialUpdate: {partial}"


@probe(
    "Does deleteChildren of a product take a variant along that is its own by metadata only?",
    section="Deleting by prefix",
    assumed="held: variant",
)
def delete_variants(service: Service) -> str:
    _have(
        service,
        {**_entry(service, "product"), "objecttype": "Product", "ec_item_group_id": "1"},
        {**_entry(service, "variant"), "objecttype": "Variant", "ec_item_group_id": "1"},
    )
    service.update({"delete": [{"documentId": service.uri("product"), "deleteChildren": True}]})
    service.fate(service.uri("product"), service.sources.catalog)
    return f"held: {service.held(['product', 'variant'], 'variant', service.sources.catalog)}"


# -- merges and data collections -------------------------------------------------------------------------------


@probe("What becomes of a merge whose container has addOrUpdate?", section="Merges", assumed="202; ERROR")
def merge_add_or_update(service: Service) -> str:
    return _merged(service, "addOrUpdate")


@probe("Is addOrMerge the key of a merge's container?", section="Merges", assumed="202; COMPLETED")
def merge_add_or_merge(service: Service) -> str:
    return _merged(service, "addOrMerge")


def _merged(service: Service, key: str) -> str:
    answer: requests.Response = service.update({key: [_entry(service, "a")]}, how="merge")
    return f"{said(answer)}; {service.container_results(_ordering(answer))}" if answer.ok else said(answer)


@probe(
    "Is a source reached by the calls on a data collection?",
    section="Data collections",
    assumed="412 SOURCE_DOES_NOT_EXIST",
)
def collection_of_a_source(service: Service) -> str:
    path = f"/data-collections/{service.sources.catalog}/stream/{_UNKNOWN}/chunk"
    return said(service.calls.push("POST", path, json={}))


# -- which source takes what -----------------------------------------------------------------------------------


@probe(
    "What does a Stream call get on a Push source that is not stream-enabled?",
    section="Errors and retries",
    assumed="412 INVALID_SOURCE_ID",
)
def source_of_another_kind(service: Service) -> str:
    if service.sources.streamed_push == service.sources.push:
        raise NotObservable("it needs a Push source that is not stream-enabled")
    return said(service.stream(f"{_UNKNOWN}/chunk", service.sources.push))


@probe(
    "Does a Catalog source with pushEnabled take a status and an item?",
    section="Source status",
    assumed="status 201; item 202",
)
def catalog_takes_pushes(service: Service) -> str:
    source = need(service.sources.pushed_catalog, "a Catalog source with pushEnabled")
    status = service.set_status("IDLE", source)
    item = service.put(service.uri("a"), {"data": "text"}, source)
    return f"status {said(status)}; item {said(item)}"


@probe(
    "Does a Push source with streamEnabled take an update?", section="Source status", assumed="202; COMPLETED"
)
def push_takes_streams(service: Service) -> str:
    source = need(service.sources.streamed_push, "a Push source with streamEnabled")
    answer = service.update({"delete": [{"documentId": service.uri("a")}]}, source)
    return (
        f"{said(answer)}; {service.container_results(_ordering(answer), source)}"
        if answer.ok
        else said(answer)
    )

"""Probes of the Push API's calls on items: answers, ids, metadata, content, permissions, ordering ids."""

from __future__ import annotations

import base64
import lzma
import zlib
from typing import Any

from tools.probe.calls import NotObservable, parsed, said
from tools.probe.record import probe
from tools.probe.service import EMAIL_PROVIDER, Service

_MIB = 1024 * 1024
_LONG_AGO = 1_000_000_000_000  # an orderingId of 2001: nothing is older
_TEXT = b"what a probe says"


def _named(name: str, kind: str = "User", **more: str) -> dict[str, str]:
    return {"identity": name, "identityType": kind, **more}


def _allowing(*named: dict[str, str]) -> list[dict[str, Any]]:
    return [{"allowAnonymous": False, "allowedPermissions": list(named)}]


def _pushed(service: Service, body: dict[str, Any]) -> str:
    """Push an item, and say what the call answered and what became of the item."""
    uri = service.uri("a")
    answer = service.put(uri, body)
    return f"{said(answer)}; {service.fate(uri)}" if answer.ok else said(answer)


def _in_a_batch(service: Service, entry: dict[str, Any]) -> str:
    """Push an item in a container, and say what the call answered and what became of the item."""
    uri = service.uri("a")
    answer = service.batch({"addOrUpdate": [{"documentId": uri, **entry}]})
    return f"{said(answer)}; {service.fate(uri)}" if answer.ok else said(answer)


# -- answers ---------------------------------------------------------------------------------------------------


@probe(
    "What does setting a status, a call without a model, answer?",
    section="Success answers",
    assumed="201 {}",
)
def status_answer(service: Service) -> str:
    answer = service.set_status("IDLE")
    return f"{said(answer)} {answer.text.strip() or 'without a body'}"


@probe("What does deleting an item answer?", section="Success answers", assumed="202 {}")
def delete_answer(service: Service) -> str:
    answer = service.delete(service.uri("never-there"))
    return f"{said(answer)} {answer.text.strip() or 'without a body'}"


@probe(
    "Does a call that takes no model pass with {}, with an empty text and without a body?",
    section="Success answers",
    assumed="{} 201; empty 201; none 201",
)
def empty_body(service: Service) -> str:
    kind = {"Content-Type": "application/json"}
    bodies: dict[str, dict[str, Any]] = {
        "{}": {"json": {}},
        "empty": {"data": "", "headers": kind},
        "none": {},
    }
    answers = (
        f"{name} {said(service.calls.push('POST', '/files', **body))}" for name, body in bodies.items()
    )
    return "; ".join(answers)


@probe(
    "What does a valid request as multipart/form-data get, where JSON is asked for?",
    section="Success answers",
    assumed="415 UNSUPPORTED_MEDIA_TYPE",
)
def multipart(service: Service) -> str:
    return said(service.calls.push("POST", "/files", files={"body": (None, "{}", "application/json")}))


# -- documents and ids -----------------------------------------------------------------------------------------


@probe(
    "What becomes of an item whose documentId is no URI?",
    section="Documents and ids",
    assumed="202; refused (REJECTED)",
)
def id_no_uri(service: Service) -> str:
    uri = f"probe-{service.run}-without-a-scheme"
    answer = service.put(uri, {"data": "text"})
    return f"{said(answer)}; {service.fate(uri)}"


@probe(
    "What does a single push answer whose body has another documentId than its query?",
    section="Documents and ids",
    assumed="412 INVALID_PARAMETER",
)
def id_differs(service: Service) -> str:
    return said(service.put(service.uri("query"), {"documentId": service.uri("body"), "data": "text"}))


@probe(
    "What becomes of an item of a Push source that has metadata and no content?",
    section="Documents and ids",
    assumed="202; indexed, with a warning",
)
def no_content(service: Service) -> str:
    return _pushed(service, {service.field("text"): "alone"})


@probe(
    "Which of two entries of a batch with the same documentId counts?",
    section="Documents and ids",
    assumed="202; the second",
)
def id_twice(service: Service) -> str:
    service.make_fields()
    uri = service.uri("a")
    entries = [
        {"documentId": uri, "data": "text", service.field("text"): one} for one in ("the first", "the second")
    ]
    answer = service.batch({"addOrUpdate": entries})
    service.fate(uri)
    return f"{said(answer)}; {service.value('a', 'text', 'the second', service.sources.push)}"


# -- metadata --------------------------------------------------------------------------------------------------


@probe("What does an item get whose metadata has a null?", section="Metadata", assumed="400 INVALID_JSON")
def metadata_null(service: Service) -> str:
    return _pushed(service, {"data": "text", service.field("text"): None})


@probe(
    "What does an item get with two keys of metadata that are equal but for case?",
    section="Metadata",
    assumed="400 INVALID_JSON",
)
def metadata_case(service: Service) -> str:
    name = service.field("text")
    return _pushed(service, {"data": "text", name: "small", name.upper(): "large"})


@probe(
    "What becomes of an item whose metadata has an object of one level?",
    section="Metadata",
    assumed="202; indexed, with a warning",
)
def metadata_object(service: Service) -> str:
    return _pushed(service, {"data": "text", service.field("pairs"): {"north": "1", "south": "2"}})


@probe(
    "What does an item get whose metadata has an object within an object?",
    section="Metadata",
    assumed="400 INVALID_JSON",
)
def metadata_deep(service: Service) -> str:
    return _pushed(service, {"data": "text", service.field("pairs"): {"north": {"east": "1"}}})


# -- content ---------------------------------------------------------------------------------------------------


def _compressed(service: Service, content: bytes, kind: str) -> str:
    return _in_a_batch(
        service,
        {
            "compressedBinaryData": base64.b64encode(content).decode(),
            "compressionType": kind,
            "fileExtension": ".txt",
        },
    )


@probe("Is DEFLATE taken as RFC 1951, without a wrapper?", section="Compression", assumed="202; indexed")
def compression_deflate(service: Service) -> str:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return _compressed(service, packer.compress(_TEXT) + packer.flush(), "DEFLATE")


@probe("Is LZMA taken as an .xz file?", section="Compression", assumed="202; indexed")
def compression_lzma(service: Service) -> str:
    return _compressed(service, lzma.compress(_TEXT), "LZMA")


@probe(
    "Is the spelling of docs 78's text, ZLib, taken as well as ZLIB?",
    section="Compression",
    assumed="ZLIB 202; ZLib 202",
)
def compression_spelling(service: Service) -> str:
    body = {"compressedBinaryData": base64.b64encode(zlib.compress(_TEXT)).decode()}
    answers = {one: service.put(service.uri(one), body, compressionType=one) for one in ("ZLIB", "ZLib")}
    return "; ".join(f"{one} {said(answer)}" for one, answer in answers.items())


@probe("What does an inline item of 5.5 MiB get?", section="Limits", assumed="413")
def inline_size(service: Service) -> str:
    answer = service.put(service.uri("a"), {"data": "x" * (11 * _MIB // 2)})
    return str(answer.status_code)


@probe(
    "What becomes of an item of more than 5 MiB inside the container of a batch?",
    section="Limits",
    assumed="202; indexed, with a warning",
)
def batch_item_size(service: Service) -> str:
    return _in_a_batch(service, {"data": "x" * (5 * _MIB)})


# -- deleting by prefix ----------------------------------------------------------------------------------------


@probe(
    "Of a, ab, a/b and c: which are left after a was deleted with deleteChildren?",
    section="Deleting by prefix",
    assumed="202; c",
)
def delete_prefix(service: Service) -> str:
    names = ["a", "ab", "a/b", "c"]
    service.batch({"addOrUpdate": [{"documentId": service.uri(one), "data": "text"} for one in names]})
    for one in names:
        service.fate(service.uri(one))
    answer = service.delete(service.uri("a"), deleteChildren="true")
    service.fate(service.uri("a"))
    return f"{said(answer)}; {service.held(names, 'c')}"


# -- permissions -----------------------------------------------------------------------------------------------


def _stranger(service: Service, provider: str) -> dict[str, Any]:
    group = _named(f"group-{service.run}@example.com", "Group", securityProvider=provider)
    return {"data": "text", "permissions": _allowing(group)}


@probe(
    "What becomes of an item of a secured source that names a group which nobody pushed yet?",
    section="Permissions",
    assumed="202; indexed, with a warning",
)
def unknown_group(service: Service) -> str:
    service.check_secured()
    with service.provider() as provider:
        return _pushed(service, _stranger(service, provider))


@probe(
    "Who sees an item that names only a group which nobody pushed yet?",
    section="Permissions",
    assumed="nobody",
)
def unknown_group_viewers(service: Service) -> str:
    service.check_secured()
    with service.provider() as provider:
        _pushed(service, _stranger(service, provider))
        return service.viewers(service.uri("a"))


@probe(
    "What becomes of an item in a batch whose permission names no identity at all?",
    section="Permissions",
    assumed="202; refused (ERROR)",
)
def permission_without_identity(service: Service) -> str:
    service.check_secured()
    return _in_a_batch(service, {"data": "text", "permissions": _allowing({"identityType": "User"})})


@probe(
    "What becomes of an item in a batch whose permission has an unknown identityType?",
    section="Permissions",
    assumed="202; refused (ERROR)",
)
def permission_of_unknown_type(service: Service) -> str:
    service.check_secured()
    return _in_a_batch(
        service, {"data": "text", "permissions": _allowing(_named("probe@example.com", "Robot"))}
    )


@probe(
    "What becomes of an item with 5,001 permissions?",
    section="Permissions",
    assumed="202; refused (REJECTED)",
)
def permissions_5001(service: Service) -> str:
    service.check_secured()
    named = [_named(f"probe{n}@example.com", securityProvider=EMAIL_PROVIDER) for n in range(5_001)]
    return _in_a_batch(service, {"data": "text", "permissions": _allowing(*named)})


@probe(
    "Is an item taken whose permissions have keys that are equal but for case?",
    section="Metadata",
    assumed="202; indexed",
)
def permissions_case(service: Service) -> str:
    service.check_secured()
    return _pushed(
        service, {"data": "text", "permissions": [{"allowAnonymous": True, "AllowAnonymous": True}]}
    )


@probe(
    "What becomes of an item whose permissions are an empty array?",
    section="Permissions",
    assumed="202; indexed",
)
def permissions_empty(service: Service) -> str:
    service.check_secured()
    return _pushed(service, {"data": "text", "permissions": []})


@probe("Who sees an item whose permissions are an empty array?", section="Permissions", assumed="nobody")
def permissions_empty_viewers(service: Service) -> str:
    permissions_empty.ask(service)
    return service.viewers(service.uri("a"))


@probe("May an item name a VirtualGroup that was pushed?", section="Permissions", assumed="202; indexed")
def permissions_virtual_group(service: Service) -> str:
    service.check_secured()
    name = f"virtual-{service.run}"
    with service.provider() as provider:
        service.push_identity(provider, name, "VIRTUAL_GROUP")
        allowed = _named(name, "VirtualGroup", securityProvider=provider)
        return _pushed(service, {"data": "text", "permissions": _allowing(allowed)})


@probe(
    "Is the Email Security Provider meant where neither a permission nor the source names one?",
    section="Permissions",
    assumed="202; indexed",
)
def permissions_default_provider(service: Service) -> str:
    service.check_secured()
    if service.source_model(service.sources.push).get("securityProviderReferences"):
        raise NotObservable("it needs a Push source that is linked to no security provider")
    return _pushed(service, {"data": "text", "permissions": _allowing(_named("probe@example.com"))})


@probe(
    "Whom does level 2 let in: who is in one of two sets of level 1 (both), or who is in none of them (other)?",
    section="Permissions",
    assumed="let in: other",
)
def permissions_levels(service: Service) -> str:
    service.check_secured()
    both, other = f"both-{service.run}@example.com", f"other-{service.run}@example.com"
    with service.provider() as provider:
        for name in (both, other):
            service.push_identity(provider, name, "USER")
        first, second = (_named(name, securityProvider=provider) for name in (both, other))
        levels = [
            {"name": "1", "permissionSets": [{"allowedPermissions": [first]}, {"allowedPermissions": []}]},
            {"name": "2", "permissionSets": [{"allowedPermissions": [first, second]}]},
        ]
        _pushed(service, {"data": "text", "permissions": levels})
        return f"let in: {service.viewers(service.uri('a')).replace(other, 'other').replace(both, 'both')}"


# -- ordering ids ----------------------------------------------------------------------------------------------


@probe(
    "Does an item with an orderingId of ten minutes ahead block its own updates, and those of another item?",
    section="Ordering ids and marks",
    assumed="itself: refused (REJECTED); another: indexed",
)
def ordering_ahead(service: Service) -> str:
    ahead, another = service.uri("ahead"), service.uri("another")
    service.put(ahead, {"data": "text"}, orderingId=service.time_ms() + 600_000)
    service.fate(ahead)
    service.put(ahead, {"data": "text"})
    service.put(another, {"data": "text"})
    return f"itself: {service.fate(ahead)}; another: {service.fate(another)}"


@probe(
    "Is an orderingId of 12 digits taken?", section="Ordering ids and marks", assumed="412 INVALID_PARAMETER"
)
def ordering_digits(service: Service) -> str:
    return said(service.put(service.uri("a"), {"data": "text"}, orderingId=_LONG_AGO // 10))


@probe(
    "Is a queueDelay of more than 1,440 minutes taken?",
    section="Ordering ids and marks",
    assumed="1440: 202; 1441: 412 INVALID_PARAMETER",
)
def queue_delay(service: Service) -> str:
    path = f"/sources/{service.sources.push}/documents/olderthan"
    answers = {
        minutes: service.calls.push(
            "DELETE", path, params={"orderingId": _LONG_AGO, "queueDelay": minutes}, json={}
        )
        for minutes in (1440, 1441)
    }
    return "; ".join(f"{minutes}: {said(answer)}" for minutes, answer in answers.items())


# -- source logs -----------------------------------------------------------------------------------------------


@probe(
    "Does the log filter by sourcesIds, and by sourceIds?",
    section="Source logs",
    assumed="sourcesIds: filtered; sourceIds: filtered",
)
def log_source_filter(service: Service) -> str:
    uri = service.uri("a")
    service.put(uri, {"data": "text"})
    service.fate(uri)
    found = {}
    for key in ("sourcesIds", "sourceIds"):
        entries = parsed(service.query_log({key: [f"probe-{service.run}-none"]}))["documentLogEntries"]
        found[key] = "not filtered" if entries else "filtered"
    return "; ".join(f"{key}: {one}" for key, one in found.items())


@probe("Is a page of 1,000 entries of the log given?", section="Source logs", assumed="200")
def log_page_size(service: Service) -> str:
    return said(service.query_log({}))


@probe(
    "Which id has the log's entry on the container of a batch?", section="Source logs", assumed="the fileId"
)
def log_container_id(service: Service) -> str:
    source, uri = service.sources.push, service.uri("a")
    ordering = service.time_ms()
    file_id = service.container({"delete": [{"documentId": uri}]}, source)
    service.submit_batch(file_id, orderingId=ordering)
    entries = service.index.until(
        lambda: service.of_ordering(str(ordering), "BATCH_FILE", source), lambda found: bool(found)
    )
    ids = {one["id"] for one in entries}
    return "the fileId" if ids == {file_id} else ", ".join(sorted(ids)) or "there is no such entry"


@probe(
    "Which id has the log's entry on deleting what is older?", section="Source logs", assumed="the source's"
)
def log_delete_older_id(service: Service) -> str:
    answer = service.stream(f"deleteolderthan/{_LONG_AGO}")
    if not answer.ok:
        return said(answer)
    ordering = str(answer.json()["orderingId"])
    entries = service.index.until(
        lambda: service.of_ordering(ordering, "DELETE_OLDER_THAN"), lambda found: bool(found)
    )
    ids = {one["id"] for one in entries}
    return (
        "the source's" if ids == {service.sources.catalog} else ", ".join(sorted(ids)) or "there is no entry"
    )

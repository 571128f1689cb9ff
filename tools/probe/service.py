"""What probes are asked through: calls on two throw-away sources, whose effects are taken back in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

import requests

from tools.probe.calls import CallFailed, Calls, NotObservable, said
from tools.probe.index import Index

EMAIL_PROVIDER = "Email Security Provider"
EVERYBODY = [{"allowAnonymous": True}]
# The last part of the names of all fields that probes make, and their models.
FIELDS: dict[str, dict[str, Any]] = {
    "text": {"type": "STRING"},
    "list": {"type": "STRING", "multiValueFacet": True},
    "pairs": {"type": "STRING", "keyValue": True},
}
MORE_FIELDS = ("taken", "other", "capital")  # made and deleted within a probe


@dataclass(frozen=True)
class Sources:
    """
    Ids of the sources; what they can be used for beside their kind is None where none can.

    :param secured: the Push source takes its security from its items
    :param pushed_catalog: a Catalog source with ``pushEnabled``
    :param streamed_push: a Push source with ``streamEnabled``
    :param configured: a Catalog source that a catalog configuration uses
    """

    push: str
    catalog: str
    secured: bool = True
    pushed_catalog: str | None = None
    streamed_push: str | None = None
    configured: str | None = None


def need(source: str | None, what: str) -> str:
    """Give a source, or say that there is none that could be asked."""
    if source is None:
        raise NotObservable(f"it needs {what}")
    return source


@dataclass
class Service:
    """
    The service or the sandbox, as the probes see it.

    :param run: a few letters of this run, in the name of everything that it makes
    :param since_ms: the service's time at the start, in milliseconds since 1970; the log is read from then on
    :param probe: the name of the probe that is asked now
    """

    calls: Calls
    index: Index
    sources: Sources
    run: str
    since_ms: int
    probe: str = ""
    _items: dict[str, dict[str, int | None]] = field(default_factory=dict)
    _fields: list[str] = field(default_factory=list)
    _providers: list[str] = field(default_factory=list)
    _statuses: set[str] = field(default_factory=set)
    _read: set[str] = field(default_factory=set)
    _fields_made: bool = False
    _last_ms: int = 0

    # -- names -----------------------------------------------------------------------------------------------

    def uri(self, name: str) -> str:
        """Give the documentId of an item of the probe that is asked now."""
        return f"probe://{self.run}/{self.probe}/{name}"

    def field(self, name: str) -> str:
        """Give the full name of a field."""
        return f"probe_{self.run}_{name}"

    # -- items -----------------------------------------------------------------------------------------------

    def put(
        self, uri: str, body: dict[str, Any], source: str | None = None, **query: Any
    ) -> requests.Response:
        """Push one item, for everybody unless it says otherwise; ``source`` is the Push source when left out."""
        source = source or self.sources.push
        self._note(source, uri, query.get("orderingId"))
        return self.calls.push(
            "PUT",
            f"/sources/{source}/documents",
            params={"documentId": uri, **query},
            json={"permissions": EVERYBODY, **body},
        )

    def delete(self, uri: str, **query: Any) -> requests.Response:
        """Delete an item of the Push source."""
        path = f"/sources/{self.sources.push}/documents"
        return self.calls.push("DELETE", path, params={"documentId": uri, **query}, json={})

    def batch(self, content: dict[str, Any], source: str | None = None, **query: Any) -> requests.Response:
        """Push a batch, its items for everybody unless they say otherwise."""
        source = source or self.sources.push
        entries = [{"permissions": EVERYBODY, **one} for one in content.get("addOrUpdate", ())]
        file_id = self.container({**content, "addOrUpdate": entries} if entries else content, source)
        return self.submit_batch(file_id, source, **query)

    def submit_batch(self, file_id: str, source: str | None = None, **query: Any) -> requests.Response:
        """Push a batch whose container is there."""
        path = f"/sources/{source or self.sources.push}/documents/batch"
        return self.calls.push("PUT", path, params={"fileId": file_id, **query}, json={})

    def update(
        self, content: dict[str, Any], source: str | None = None, how: str = "update", **query: Any
    ) -> requests.Response:
        """Send a container by ``stream/update``, or ``stream/merge``, to the Catalog source or another."""
        source = source or self.sources.catalog
        query = {"fileId": self.container(content, source), **query}
        return self.calls.push("PUT", f"/sources/{source}/stream/{how}", params=query, json={})

    def open(self, source: str | None = None) -> str:
        """Open a stream and give its id."""
        answer = self.stream("open", source)
        if not answer.ok:
            raise CallFailed(f"no stream can be opened: {said(answer)}")
        return str(answer.json()["streamId"])

    def stream(self, path: str, source: str | None = None) -> requests.Response:
        """Make a POST of the Stream API, such as ``open`` or ``{streamId}/close``."""
        source = source or self.sources.catalog
        return self.calls.push("POST", f"/sources/{source}/stream/{path}", json={})

    def load(
        self, stream_id: str, content: dict[str, Any] | None, source: str | None = None
    ) -> requests.Response:
        """Upload a chunk into an open stream, if there is one, and close the stream."""
        source = source or self.sources.catalog
        if content is not None:
            self._note_content(source, content)
            self._upload(self.stream(f"{stream_id}/chunk", source), content)
        return self.stream(f"{stream_id}/close", source)

    def container(self, content: dict[str, Any], source: str) -> str:
        """Make a container with this content, meant for a source, and give its id."""
        self._note_content(source, content)
        return self._upload(self.calls.push("POST", "/files", json={}), content)

    def _upload(self, made: requests.Response, content: dict[str, Any]) -> str:
        if not made.ok:
            raise CallFailed(f"a file container: {said(made)}")
        container = made.json()
        if not (answer := self.calls.upload(container, content)).ok:
            raise CallFailed(f"the upload: {answer.status_code}")
        return str(container["fileId"])

    # -- what became of it -----------------------------------------------------------------------------------

    def entries(self, source: str, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Read the source's log of this run, oldest first, and give the entries that are wanted."""
        found: dict[str, dict[str, Any]] = {}
        page, more = 0, True
        while more:
            response = self.query_log({"sourcesIds": [source], "sourceIds": [source]}, page)
            if not response.ok:
                raise NotObservable(f"the log answers {said(response)}")
            answer = response.json()
            found.update({one["guid"]: one for one in answer["documentLogEntries"] if wanted(one)})
            page, more = page + 1, answer["hasNextPage"]
        oldest_first = list(found.values())[::-1]  # of entries of the same moment, too
        return sorted(oldest_first, key=lambda one: str(one["datetime"]))

    def query_log(self, filters: dict[str, list[str]], page: int = 0) -> requests.Response:
        """Ask for a page of the log of this run."""
        start = self.since_ms / 1000 - 60
        ends = {"from": moment(start), "to": moment(start + 6 * 86_400)}
        return self.calls.logs(params={**ends, "page": page, "perPage": 1000}, json=filters)

    def fate(self, uri: str, source: str | None = None) -> str:
        """Say what the log says of the operation on an item since it was last asked about it."""
        source = source or self.sources.push

        def look() -> list[dict[str, Any]]:
            return [
                one
                for one in self.entries(source, lambda one: one["id"] == uri)
                if one["guid"] not in self._read
            ]

        entries = self.index.until(look, lambda found: any(_ends(one) for one in found))
        self._read |= {one["guid"] for one in entries}
        results = [one["result"] for one in entries]
        for bad in ("ERROR", "REJECTED"):
            if bad in results:
                return f"refused ({bad})"
        ended = [one["result"] for one in entries if one["task"] == "INDEXING"]
        if not ended:
            return "ignored (WARNING)" if "WARNING" in results else "nothing in the log"
        done = "indexed" if ended[-1] == "COMPLETED" else ended[-1].lower()
        return f"{done}, with a warning" if "WARNING" in results else done

    def container_results(self, ordering: object, source: str | None = None) -> str:
        """Say what the log says of the container that was sent with an orderingId."""
        entries = self.index.until(
            lambda: self.of_ordering(str(ordering), "BATCH_FILE", source), lambda found: bool(found)
        )
        return ", ".join(sorted({one["result"] for one in entries})) or "nothing in the log"

    def of_ordering(self, ordering: str, operation: str, source: str | None = None) -> list[dict[str, Any]]:
        """Give the log's entries with an operation and an orderingId."""
        return self.entries(
            source or self.sources.catalog,
            lambda one: (
                one["operation"] == operation and str((one.get("meta") or {}).get("orderingid")) == ordering
            ),
        )

    def held(self, names: Iterable[str], wanted: str, source: str | None = None) -> str:
        """Say which of the probe's items the index holds; where that takes time, look until it is ``wanted``."""
        names = list(names)

        def look() -> str:
            held = source or self.sources.push
            there = [one for one in names if self.index.item(held, self.uri(one)) is not None]
            return ", ".join(there) or "none"

        return self.index.until(look, lambda seen: seen == wanted)

    def value(self, name: str, field_name: str, wanted: object, source: str | None = None) -> Any:
        """Give the value of a field of an item, None where it has none; look until it is ``wanted``."""

        def look() -> Any:
            item = self.index.item(source or self.sources.catalog, self.uri(name)) or {}
            found = item.get(self.field(field_name))
            # A multi-value field may be shown as one text (description of fields: multiValueFacetTokenizers).
            return found.split(";") if isinstance(wanted, list) and isinstance(found, str) else found

        return self.index.until(look, lambda seen: seen == wanted)

    def viewers(self, uri: str) -> str:
        """Give the names of the users who see an item of the Push source."""
        return ", ".join(self.index.viewers(self.sources.push, uri)) or "nobody"

    def check_secured(self) -> None:
        """Refuse a question about permissions where the source does not look at them."""
        if not self.sources.secured:
            raise NotObservable("it needs a Push source that is SECURED")

    def time_ms(self) -> int:
        """Give the service's time in milliseconds since 1970, never the same twice: an orderingId to find again."""
        self.source_model(self.sources.push)
        self._last_ms = max(self.calls.now_ms, self._last_ms + 1)
        return self._last_ms

    def source_model(self, source: str) -> Any:
        """Give what the platform says of a source."""
        answer = self.calls.rest("GET", f"/sources/{source}")
        if not answer.ok:
            raise NotObservable(f"the source cannot be seen: {said(answer)}")
        return answer.json()

    # -- fields, providers, statuses -------------------------------------------------------------------------

    def make_fields(self) -> None:
        """Make the fields whose values are looked at, once; NotObservable where the key may not."""
        if self._fields_made:
            return
        models = [{"name": self.field(name), **model} for name, model in FIELDS.items()]
        answer = self.call_fields("POST", "/batch/create", *FIELDS, json=models)
        if not answer.ok:
            raise NotObservable(f"no fields can be made: {said(answer)}")
        self._fields_made = True

    def call_fields(self, method: str, path: str, *names: str, **options: Any) -> requests.Response:
        """Make a call on fields, after a note that it may make those with these names."""
        self._fields += [one for one in map(self.field, names) if one not in self._fields]
        return self.calls.rest(method, f"/indexes/fields{path}", **options)

    @contextmanager
    def provider(self) -> Iterator[str]:
        """Make a security provider linked to the Push source, give its id, and delete it afterwards."""
        name = f"probe-{self.run}-{self.probe}"
        self._providers.append(name)
        answer = self.calls.rest("POST", "/securityproviders", json=self.provider_model(name))
        if not answer.ok:
            raise NotObservable(f"no security provider can be made: {said(answer)}")
        try:
            yield name
        finally:
            self._delete_provider(name)

    def provider_model(self, name: str, *, linked: bool = True) -> dict[str, Any]:
        """Give the body that makes a security provider (docs 85)."""
        return {
            "id": name,
            "displayName": name,
            "type": "EXPANDED",
            "nodeRequired": False,
            "referencedBy": [{"id": self.sources.push, "type": "SOURCE"}] if linked else [],
            "cascadingSecurityProviders": {"EmailSecurityProvider": {"id": EMAIL_PROVIDER, "type": "EMAIL"}},
        }

    def identity(self, method: str, provider: str, path: str, body: object) -> requests.Response:
        """Make a call on an identity of a provider."""
        return self.calls.push(method, f"/providers/{quote(provider, safe='')}{path}", json=body)

    def push_identity(self, provider: str, name: str, kind: str) -> None:
        """Push an identity, of a type such as ``USER``, and wait until it is known."""
        self.identity("PUT", provider, "/permissions", {"identity": {"name": name, "type": kind}})
        who = {"name": name, "type": kind.title().replace("_", ""), "provider": provider}
        path = f"/securitycache/entities/{provider}/entity"
        self.index.until(lambda: self.calls.rest("POST", path, json=who).ok, bool)

    def set_status(self, status: str, source: str | None = None) -> requests.Response:
        """Set the status of a source, which is IDLE again in the end."""
        source = source or self.sources.push
        self._statuses.add(source)
        return self.calls.push("POST", f"/sources/{source}/status", params={"statusType": status}, json={})

    # -- taking it back --------------------------------------------------------------------------------------

    def _note_content(self, source: str, content: dict[str, Any]) -> None:
        for entries in content.values():
            for one in entries:
                if "documentId" in one:
                    self._note(source, one["documentId"], None)

    def _note(self, source: str, uri: str, ordering: int | None) -> None:
        known = self._items.setdefault(source, {})
        known[uri] = max(ordering or 0, known.get(uri) or 0) or None

    def clean_up(self) -> list[str]:
        """Delete what was made, whatever goes wrong with a part of it, and say what could not be deleted."""
        problems: list[str] = []
        steps: list[tuple[str, Callable[[], object]]] = [
            *((f"the status of {one}", lambda one=one: self._idle(one)) for one in sorted(self._statuses)),
            *(
                (f"the items of {one}", lambda one=one: self._delete_items(one))
                for one in sorted(self._items)
            ),
            *((f"the field {one}", lambda one=one: self._delete_field(one)) for one in list(self._fields)),
            *(
                (f"the security provider {one}", lambda one=one: self._delete_provider(one))
                for one in list(self._providers)
            ),
        ]
        for what, step in steps:
            try:
                step()
            except Exception as error:  # noqa: BLE001 - the other steps are to be made as well
                problems.append(self.calls.hide(f"{what}: {error}"))
        return problems

    def _idle(self, source: str) -> None:
        _check(self.set_status("IDLE", source))

    def _delete_items(self, source: str) -> None:
        """Delete each item by its own id, as nothing that is a question here may be relied on."""
        items = self._items[source]
        if source in (self.sources.push, self.sources.streamed_push):
            for uri, ordering in items.items():
                # Only what was sent with an orderingId ahead of the time needs a greater one to be deleted.
                ahead = ordering is not None and ordering >= self.calls.now_ms
                query = {"orderingId": (ordering or 0) + 1} if ahead else {}
                path = f"/sources/{source}/documents"
                _check(self.calls.push("DELETE", path, params={"documentId": uri, **query}, json={}))
        else:
            gone = [{"documentId": uri, "deleteChildren": False} for uri in items]
            _check(self.update({"delete": gone}, source))
        self._items[source] = {}

    def _delete_field(self, name: str) -> None:
        _check(self.calls.rest("DELETE", f"/indexes/fields/{name}"), 404)
        self._fields.remove(name)

    def _delete_provider(self, name: str) -> None:
        path = f"/securityproviders/{name}"
        if self.calls.rest("GET", path).status_code == 404:
            self._providers.remove(name)
            return
        _check(self.calls.rest("PUT", path, json=self.provider_model(name, linked=False)))
        _check(self.calls.rest("DELETE", path), 404)
        self._providers.remove(name)


def moment(seconds: float) -> str:
    """Write seconds since 1970 as the log's queries take them."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _ends(entry: dict[str, Any]) -> bool:
    """Say whether nothing comes after a log entry; an item's warning is followed by its indexing."""
    return (
        entry["task"] == "INDEXING"
        or entry["result"] in ("ERROR", "REJECTED")
        or (entry["result"] == "WARNING" and entry["operation"] == "UPDATE")
    )


def _check(response: requests.Response, *also: int) -> None:
    if not response.ok and response.status_code not in also:
        raise CallFailed(said(response))

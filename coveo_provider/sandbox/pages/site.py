"""
The pages: one function each, on what the sandbox holds now, written by templates.

No key is asked for, so the rules of the controls hold: this machine only, and what changes something comes from a
form of our own page, with a token that another page cannot know. Nothing is loaded from elsewhere.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlencode

from coveo_provider.sandbox.calls.log_calls import OPERATIONS, RESULTS, TASKS
from coveo_provider.sandbox.http.faults import KINDS, read_action
from coveo_provider.sandbox.http.routing import ROUTES
from coveo_provider.sandbox.http.wire import Reply, check_own
from coveo_provider.sandbox.pages import bodies, charts, finding
from coveo_provider.sandbox.service import jsontext
from coveo_provider.sandbox.service.errors import ApiError, Refusal, not_found
from coveo_provider.sandbox.service.indexing.item_rules import RESERVED
from coveo_provider.sandbox.service.indexing.source_log import LogQuery

if TYPE_CHECKING:
    import jinja2

    from coveo_provider.sandbox.calls.request import Request
    from coveo_provider.sandbox.handle import Handle
    from coveo_provider.sandbox.service.security.providers import Provider
    from coveo_provider.sandbox.service.sources import Source

_HERE = Path(__file__).parent / "templates"
_HEADERS = (
    (
        "Content-Security-Policy",
        "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    (
        "Referrer-Policy",
        "same-origin",
    ),  # with no-referrer a browser sends its forms as of nobody (Origin: null)
    ("Cache-Control", "no-store"),
)
_FORM_BYTES = 64 * 1024
_ROWS = 100
_CHARTED, _PARTS = 100_000, 24
_FAULT_FIELDS: dict[str, dict[str, Callable[[str], Any]]] = {
    "answer": {"status": int, "body": str, "when": str},
    "cut": {"when": str},
    "truncate": {"keep": int},
    "slow": {"seconds": float},
    "stall": {"seconds": float},
}

Page = Callable[["Site", "Request"], Reply]
Deed = Callable[["Site", "dict[str, str]"], str]


class Site:
    """Answers ``/`` and what is below ``/ui/``."""

    def __init__(self, handle: Handle) -> None:
        self._handle, self._state = handle, handle.state
        self._token = secrets.token_urlsafe()

    def answer(self, request: Request) -> Reply:
        """Give a page, or carry a form out and lead to the page that shows what it did."""
        try:
            check_own(request)
            name = "/".join(request.parts[1:])
            if request.method == "POST" and (deed := DEEDS.get(name)):
                return Reply(303, content_type="text/html", headers=(("Location", self._do(request, deed)),))
            if request.method not in ("GET", "HEAD"):
                raise ApiError(405, "METHOD_NOT_ALLOWED", "GET")
            if page := PAGES.get(name):
                return page(self, request)
            raise not_found(f"There is no page at {request.path[:200]}.")
        except Refusal as refused:
            return self._page("refused.html", refused.status, status=refused.status, message=refused.message)

    # -- looking ---------------------------------------------------------------------------------------------

    def _sources(self, request: Request) -> Reply:
        sources = [self._handle.source(one.id) for one in self._state.sources.all()]
        last = {one.id: one.activities[-1] if one.activities else None for one in sources}
        return self._page("sources.html", sources=sources, last=last)

    def _source(self, request: Request) -> Reply:
        source = self._wanted_source(request)
        loads = charts.items_by_load(self._state.items.loads(source.n))
        return self._page("source.html", source=self._handle.source(source.id), loads=loads)

    def _items(self, request: Request) -> Reply:
        source, query = self._wanted_source(request), request.query
        wanted = finding.Wanted(*(query.get(key, "").strip() for key in ("prefix", "text", "field", "value")))
        found = finding.find(self._state.items, source.n, wanted, query.get("after", ""))
        more = _url(request, after=found.after) if found.after else ""
        rows = [(uri, ordering, _title(body)) for uri, ordering, body in found.rows]
        return self._page("items.html", source=source, wanted=wanted, found=found, rows=rows, more=more)

    def _item(self, request: Request) -> Reply:
        source, uri = self._wanted_source(request), request.required("id")
        text = self._handle.item_json(source.id, uri)
        if text is None:
            raise not_found(f"The index does not hold the item {uri!r} of the source {source.id!r}.")
        item = jsontext.parse(text)
        history = self._state.log.read(
            LogQuery(only={"source": [source.n]}, id_match=("id = ?", uri)), limit=_ROWS, newest_first=True
        )
        reserved = {RESERVED[key.lower()]: value for key, value in item.items() if key.lower() in RESERVED}
        return self._page(
            "item.html",
            source=source,
            uri=uri,
            item=reserved,
            metadata={key: value for key, value in item.items() if key.lower() not in RESERVED},
            ordering=self._handle.ordering_id(source.id, uri),
            body=bodies.read(item, self._handle.file_content(source.id, uri)),
            history=[row for _, row in history],
            **self._access(source, uri, request.query),
        )

    def _access(self, source: Source, uri: str, query: dict[str, str]) -> dict[str, Any]:
        """Say whether the user of the form sees an item, and what its permissions have to do with it."""
        asked = "user" in query
        name, provider = query.get("user", "").strip(), query.get("provider", "").strip()
        access = self._state.item_access
        user = access.user(name, provider or None) if name else None
        return {
            "asked": asked,
            "user": name,
            "provider": provider,
            "providers": [one.id for one in self._state.providers.all()],
            "verdict": access.verdict(source, uri, user) if asked else None,
            "levels": access.entries(source, uri, user),
        }

    def _body(self, request: Request) -> Reply:
        source, uri = self._wanted_source(request), request.required("id")
        item = self._handle.item(source.id, uri)
        body = item and bodies.read(item, self._handle.file_content(source.id, uri))
        if not body:
            raise not_found("The index holds no body of this item.")
        headers = (("Content-Disposition", 'attachment; filename="body.bin"'), *_HEADERS)
        return Reply(200, body.content, "application/octet-stream", headers)

    def _log(self, request: Request) -> Reply:
        source, query = self._wanted_source(request), request.query
        only: dict[str, list[str | int]] = {"source": [source.n]}
        chosen = {key: query.get(key, "") for key in ("operation", "result", "task")}
        only.update({key: [value] for key, value in chosen.items() if value})
        item, page = query.get("item", "").strip(), request.whole("page", 0, 10**9)
        rows = self._state.log.read(
            LogQuery(only=only, id_match=("instr(id, ?) > 0", item) if item else None),
            offset=page * _ROWS,
            limit=_ROWS + 1,
            newest_first=True,
        )
        counted = self._state.log.over_time(source.n, newest=_CHARTED, parts=_PARTS)
        return self._page(
            "log.html",
            source=source,
            rows=[row for _, row in rows[:_ROWS]],
            chosen=chosen,
            item=item,
            choices={"operation": OPERATIONS, "result": RESULTS, "task": TASKS},
            chart_rows=charts.bars(
                (charts.moment(start), result, number) for start, result, number in counted
            ),
            newer=_url(request, page=page - 1) if page else "",
            older=_url(request, page=page + 1) if len(rows) > _ROWS else "",
        )

    def _providers(self, request: Request) -> Reply:
        states = {
            one.id: {
                one.state_name(state): count
                for state, count in self._state.identity_store.states(one.n).items()
            }
            for one in self._state.providers.all()
        }
        return self._page("providers.html", providers=self._state.providers.all(), states=states)

    def _provider(self, request: Request) -> Reply:
        provider = self._wanted_provider(request)
        name, page = request.query.get("name", "").strip(), request.whole("page", 0, 10**9)
        pattern = "%" + "".join(f"\\{one}" if one in "%_\\" else one for one in name) + "%" if name else None
        rows, total = self._state.identity_store.page(
            [provider.n], pattern=pattern, offset=page * _ROWS, limit=_ROWS
        )
        return self._page(
            "provider.html",
            provider=provider,
            rows=[self._handle.identity_of(provider, row) for row in rows],
            name=name,
            total=total,
            newer=_url(request, page=page - 1) if page else "",
            older=_url(request, page=page + 1) if (page + 1) * _ROWS < total else "",
            log=self._handle.identity_logs(provider.id)[-_ROWS:][::-1],
        )

    def _identity(self, request: Request) -> Reply:
        provider = self._wanted_provider(request)
        name, kind = request.required("name"), request.required("type")
        found = self._handle.identity(provider.id, kind, name)
        if found is None:
            raise not_found(f"The provider {provider.id!r} knows no {kind} {name!r}.")
        identity, groups = found
        graph = charts.graph(identity, groups)
        return self._page("identity.html", provider=provider, identity=identity, groups=groups, graph=graph)

    def _calls(self, request: Request) -> Reply:
        calls = self._handle.calls[: -_ROWS - 1 : -1]
        return self._page("calls.html", calls=calls, quotas=self._handle.meter.use())

    def _faults(self, request: Request) -> Reply:
        routes = sorted({one.name for one in ROUTES} | {"upload"})
        return self._page(
            "faults.html",
            faults=self._handle.faults.upcoming(),
            kinds=list(KINDS),
            routes=routes,
            pending=self._state.pipeline.pending(),
        )

    def _style(self, request: Request) -> Reply:
        return Reply(200, (_HERE / "style.css").read_bytes(), "text/css; charset=utf-8", _HEADERS)

    # -- changing --------------------------------------------------------------------------------------------

    def _do(self, request: Request, deed: Deed) -> str:
        """
        Carry a form out; give the address of the page to show then.

        :raises ApiError: 403 without the token of this sandbox's own pages, 400 for what cannot be done
        """
        text = request.body.read_all(_FORM_BYTES)
        form = dict(parse_qsl(text.decode("utf-8", "replace"), keep_blank_values=True))
        if not hmac.compare_digest(form.get("token", "").encode(), self._token.encode()):
            raise ApiError(
                403, "ACCESS_DENIED", "The form is of another sandbox, or too old: load the page anew."
            )
        try:
            return deed(self, form)
        except ValueError as error:
            raise ApiError(400, "INVALID_PARAMETER", str(error)) from None

    def _add_fault(self, form: dict[str, str]) -> str:
        kind = form.get("kind", "")
        fields = _FAULT_FIELDS.get(kind, {})
        values = {key: _number(key, form[key], read) for key, read in fields.items() if form.get(key)}
        self._handle.faults.add(
            action=read_action({"kind": kind, **values}),
            route=form.get("route") or None,
            path=form.get("path") or None,
            skip=_number("skip", form.get("skip") or "0", int),
            times=_number("times", form.get("times") or "1", int),
        )
        return "/ui/faults"

    def _remove_fault(self, form: dict[str, str]) -> str:
        self._handle.faults.remove(_number("number", form.get("number", ""), int))
        return "/ui/faults"

    def _clear_faults(self, form: dict[str, str]) -> str:
        self._handle.faults.clear()
        return "/ui/faults"

    def _move_clock(self, form: dict[str, str]) -> str:
        self._state.clock.advance(seconds=60 * _number("minutes", form.get("minutes", ""), float))
        return "/ui/faults"

    def _settle(self, form: dict[str, str]) -> str:
        self._handle.settle(timeout=30)
        return "/ui/faults"

    # -- shared ----------------------------------------------------------------------------------------------

    def _wanted_source(self, request: Request) -> Source:
        source = self._state.sources.get(request.required("source"))
        if source is None:
            raise not_found(f"There is no source {request.query['source']!r}.")
        return source

    def _wanted_provider(self, request: Request) -> Provider:
        provider = self._state.providers.get(request.required("provider"))
        if provider is None:
            raise not_found(f"There is no security provider {request.query['provider']!r}.")
        return provider

    def _page(self, template: str, status: int = 200, /, **values: Any) -> Reply:
        text = self._templates.get_template(template).render(
            organization=self._state.organization_id,
            now=charts.moment(self._state.clock.now_ms()),
            token=self._token,
            **values,
        )
        return Reply(status, text.encode("utf-8", "replace"), "text/html; charset=utf-8", _HEADERS)

    @cached_property
    def _templates(self) -> jinja2.Environment:
        import jinja2

        made = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True
        )
        made.filters.update(number=_with_commas, moment=charts.moment, link=_link)
        return made


PAGES: dict[str, Page] = {
    "": Site._sources,
    "source": Site._source,
    "items": Site._items,
    "item": Site._item,
    "body": Site._body,
    "log": Site._log,
    "security": Site._providers,
    "provider": Site._provider,
    "identity": Site._identity,
    "calls": Site._calls,
    "faults": Site._faults,
    "style.css": Site._style,
}
DEEDS: dict[str, Deed] = {
    "faults/add": Site._add_fault,
    "faults/remove": Site._remove_fault,
    "faults/clear": Site._clear_faults,
    "clock": Site._move_clock,
    "settle": Site._settle,
}


def _number(key: str, text: str, read: Callable[[str], Any]) -> Any:
    try:
        value = read(text)
    except ValueError:
        raise ValueError(f"{key} is a number, not {text!r}") from None
    if not isinstance(value, str) and not 0 <= value < 10**12:
        raise ValueError(f"{key} is 0 or more, not {text!r}")
    return value


def _with_commas(value: int | float) -> str:
    return f"{value:,}"


def _link(page: str, **query: str) -> str:
    """Give the address of a page with its query."""
    return f"/ui/{page}?{urlencode(query, quote_via=quote, errors='surrogatepass')}"


def _url(request: Request, **changed: object) -> str:
    """Give the address of the same page with some of its query changed."""
    return f"{request.path}?{urlencode({**request.query, **changed}, quote_via=quote)}"


def _title(body: bytes) -> str:
    """Give what an item is called, for a list: its title, else the first text of its metadata."""
    item = jsontext.parse(body)
    lowered = {key.lower(): value for key, value in item.items() if key.lower() not in RESERVED}
    texts = [lowered.get("title"), lowered.get("ec_name"), *lowered.values()]
    return next((one[:120] for one in texts if isinstance(one, str)), "")

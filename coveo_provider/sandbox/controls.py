"""
The sandbox's own pages under ``/_sandbox/``: what the index holds, the calls made, failures on order.

No key is asked for, so only this machine may call: the Host must be loopback (a web page cannot get here by
re-binding its name to 127.0.0.1) and an Origin, which only browsers send, must be the sandbox's own.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson

from coveo_provider.sandbox.calls import log_calls
from coveo_provider.sandbox.http.faults import read_action
from coveo_provider.sandbox.http.wire import Reply, names_this_machine
from coveo_provider.sandbox.service.access import EMAIL_PROVIDER
from coveo_provider.sandbox.service.errors import ApiError, invalid_json, not_found
from coveo_provider.sandbox.service.quotas import read_quotas
from coveo_provider.sandbox.service.store import LogQuery

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from coveo_provider.sandbox.http.wire import Request
    from coveo_provider.sandbox.sandbox import Sandbox
    from coveo_provider.sandbox.service.sources import Source

_MOST = 1000


class Controls:
    """Answers the control pages of one sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._state = sandbox.state

    def answer(self, request: Request) -> Reply:
        """Carry a control request out."""
        _check_local(request)
        value = self._do(request)
        if isinstance(value, Reply):
            return value
        return Reply(200, orjson.dumps(value, option=orjson.OPT_INDENT_2))

    def _do(self, request: Request) -> Any:
        match request.method, *request.parts[1:]:
            case ("GET", "" | "state") | ("GET",):
                return self._summary()
            case "GET", "calls":
                offset, limit = request.whole("after", 0, 10**9), request.whole("limit", 100, _MOST)
                return [asdict(call) for call in self._sandbox.calls[offset : offset + limit]]
            case "GET", "quotas":
                return {name: use and asdict(use) for name, use in self._sandbox.meter.use().items()}
            case "GET", "sources", source_id, "items":
                return self._items(request, self._source(source_id))
            case "GET", "sources", source_id, "item":
                body = self._state.store.body(self._source(source_id).n, request.required("documentId"))
                if body is None:
                    raise not_found("The index does not hold this item.")
                return Reply(200, body)
            case "GET", "sources", source_id, "logs":
                return self._logs(request, self._source(source_id))
            case "GET", "sources", source_id, "activities":
                return [asdict(one) for one in self._state.sources.activities(self._source(source_id))]
            case "GET", "sources", source_id, "who":
                return self._who(request, self._source(source_id))
            case "GET", "providers", provider_id, "identities":
                return self._provided(request, provider_id, self._sandbox.identities)
            case "GET", "providers", provider_id, "logs":
                return self._provided(request, provider_id, self._sandbox.identity_logs)
            case "GET", "sources", source_id:
                return asdict(self._sandbox.source(self._source(source_id).id))
            case "POST", *_:
                request.check_json_type()
                return self._change(request, request.json(self._state.limits.request_bytes))
        raise not_found("There is no such control.")

    def _change(self, request: Request, body: dict[str, Any]) -> Any:
        try:
            match request.parts[1:]:
                case ("reset",):
                    self._sandbox.reset()
                case ("settle",):
                    return {"settled": self._sandbox.settle(timeout=_seconds(body, "timeout", 300))}
                case ("drain",):
                    return {"drained": self._sandbox.drain(timeout=_seconds(body, "timeout", 300))}
                case ("clock",):
                    seconds = _seconds(body, "advance_seconds", 0)
                    return {"now_ms": self._state.clock.advance(seconds=seconds)}
                case ("faults",):
                    action = read_action(body.pop("action", None))
                    self._sandbox.faults.add(action=action, **_plan(body))
                case "faults", "clear":
                    self._sandbox.faults.clear()
                case ("quotas",):
                    self._sandbox.meter.quotas = read_quotas(body, self._sandbox.meter.quotas)
                case "quotas", "reset":
                    self._sandbox.meter.reset()
                case "calls", "clear":
                    self._sandbox.clear_calls()
                case ("sources",):
                    self._sandbox.add_source(
                        _text(body, "id"),
                        kind=_text(body, "kind", "PUSH"),
                        visibility=_text(body, "visibility", "SHARED"),
                        catalog_configuration=body.get("catalog_configuration") is True,
                    )
                case ("providers",):
                    self._sandbox.add_security_provider(
                        _text(body, "id"),
                        sources=_texts(body, "sources", ()),
                        cascades_to=_texts(body, "cascades_to", (EMAIL_PROVIDER,)),
                        case_sensitive=body.get("case_sensitive") is True,
                    )
                case ("keys",):
                    privileges = body.get("privileges", [])
                    if not isinstance(privileges, list):
                        raise ValueError("privileges is an array")
                    self._sandbox.add_key(_text(body, "key"), privileges={str(one) for one in privileges})
                case _:
                    raise not_found("There is no such control.")
        except ValueError as error:
            raise invalid_json(str(error)) from None
        return {}

    def _summary(self) -> dict[str, Any]:
        state = self._state
        return {
            "organizationId": state.organization_id,
            "now": log_calls.iso(state.clock.now_ms()),
            "pendingOperations": state.pipeline.pending(),
            "plannedFaults": self._sandbox.faults.pending(),
            "calls": len(self._sandbox.calls),
            "securityProviders": [one.id for one in state.providers.all()],
            "sources": [asdict(self._sandbox.source(one.id)) for one in state.sources.all()],
        }

    def _items(self, request: Request, source: Source) -> Reply:
        limit = request.whole("limit", 100, _MOST)
        rows = self._state.store.page(source.n, request.query.get("after", ""), limit)
        items = b",".join(
            b'{"documentId":%s,"orderingId":%d,"item":%s}' % (orjson.dumps(uri), ordering, body)
            for uri, ordering, body in rows
        )
        after = orjson.dumps(rows[-1][0] if len(rows) == limit and rows else None)
        return Reply(200, b'{"items":[%s],"after":%s}' % (items, after))

    def _logs(self, request: Request, source: Source) -> list[dict[str, Any]]:
        offset, limit = request.whole("after", 0, 10**9), request.whole("limit", 100, _MOST)
        found = self._state.store.read_log(LogQuery(only={"source": [source.n]}), offset=offset, limit=limit)
        return [
            {"time": log_calls.iso(row.time_ms), **row._asdict(), "source": source.id} for _, row in found
        ]

    def _who(self, request: Request, source: Source) -> dict[str, Any]:
        """
        Say who sees an item: everybody known, or with ``user`` that one, who is unauthenticated when empty.

        ``provider`` names the provider of ``user``, as in :meth:`Sandbox.can_see`.
        """
        uri, user = request.required("documentId"), request.query.get("user")
        visibility = self._state.visibility
        try:
            if user is None:
                return {"documentId": uri, "viewers": visibility.viewers(source, uri)}
            key = visibility.user(user, request.query.get("provider")) if user else None
            verdict = visibility.verdict(source, uri, key)
        except KeyError:
            raise not_found("The index does not hold this item.") from None
        return {"documentId": uri, "user": user or None, **asdict(verdict)}

    def _provided(self, request: Request, provider_id: str, read: Callable[[str], Sequence[Any]]) -> Any:
        if self._state.providers.get(provider_id) is None:
            raise not_found(f"There is no security provider '{provider_id}'.")
        offset, limit = request.whole("after", 0, 10**9), request.whole("limit", 100, _MOST)
        return [asdict(one) for one in read(provider_id)[offset : offset + limit]]

    def _source(self, source_id: str) -> Source:
        source = self._state.sources.get(source_id)
        if source is None:
            raise not_found(f"There is no source '{source_id}'.")
        return source


def _plan(body: dict[str, Any]) -> dict[str, Any]:
    for key, part in body.items():
        if key not in ("route", "method", "path", "skip", "times"):
            raise ValueError(f"a fault has no {key}")
        if key in ("skip", "times"):
            if type(part) is not int or part < 0:
                raise ValueError(f"{key} is a whole number")
        elif part is not None and not isinstance(part, str):
            raise ValueError(f"{key} is a string")
    return body


def _text(body: dict[str, Any], key: str, default: str | None = None) -> str:
    value = body.get(key, default)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} is required and is a string")
    return value


def _texts(body: dict[str, Any], key: str, default: Sequence[str]) -> list[str]:
    value = body.get(key, list(default))
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ValueError(f"{key} is an array of strings")
    return value


def _seconds(body: dict[str, Any], key: str, default: float) -> float:
    value = body.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{key} is a number of seconds")
    return float(value)


def _check_local(request: Request) -> None:
    host = request.headers.get("Host", "")
    origin = request.headers.get("Origin")
    if not names_this_machine(host) or (origin is not None and origin != f"http://{host}"):
        raise ApiError(403, "ACCESS_DENIED", "The sandbox's controls answer this machine only.")

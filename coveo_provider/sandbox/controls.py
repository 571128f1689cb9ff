"""
The sandbox's own calls under ``/_sandbox/``: what the index holds, the calls made, failures on order.

No key is asked for, so only this machine may call: the Host must be loopback (a web page cannot get here by
re-binding its name to 127.0.0.1) and an Origin, which only browsers send, must be the sandbox's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import orjson

from coveo_provider.sandbox.http.faults import read_action
from coveo_provider.sandbox.http.wire import Reply, check_own
from coveo_provider.sandbox.service.clock import iso
from coveo_provider.sandbox.service.errors import invalid_json, not_found
from coveo_provider.sandbox.service.indexing.source_log import LogQuery
from coveo_provider.sandbox.service.quotas import read_quotas
from coveo_provider.sandbox.service.security.access_rules import EMAIL_PROVIDER

if TYPE_CHECKING:
    from coveo_provider.sandbox.calls.request import Request
    from coveo_provider.sandbox.handle import Handle
    from coveo_provider.sandbox.service.sources import Source

_MOST = 1000
_MOST_SECONDS_OFF = 10 * 365 * 86_400

Read = Callable[["Controls", "Request"], Any]
ReadSource = Callable[["Controls", "Request", "Source"], Any]
Change = Callable[["Controls", "dict[str, Any]"], Any]


class Controls:
    """Answers the control calls of one sandbox."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle
        self._state = handle.state

    def answer(self, request: Request) -> Reply:
        """Carry a control request out."""
        check_own(request)
        match request.method, *request.parts[1:]:
            case "GET", *path:
                value = self._look(request, tuple(path))
            case "POST", *path if change := CHANGES.get("/".join(path)):
                request.check_json_type()
                value = self._change(change, request.json(self._state.limits.request_bytes))
            case _:
                raise not_found("There is no such control.")
        if isinstance(value, Reply):
            return value
        return Reply(200, orjson.dumps(value, option=orjson.OPT_INDENT_2))

    # -- looking ---------------------------------------------------------------------------------------------

    def _look(self, request: Request, path: tuple[str, ...]) -> Any:
        if read := LOOKS.get("/".join(path)):
            return read(self, request)
        match path:
            case "sources", source_id, *rest if look := SOURCE_LOOKS.get("/".join(rest)):
                source = self._state.sources.get(source_id)
                if source is None:
                    raise not_found(f"There is no source '{source_id}'.")
                return look(self, request, source)
            case "providers", provider_id, "identities":
                return self._provided(request, provider_id, self._handle.identities)
            case "providers", provider_id, "logs":
                return self._provided(request, provider_id, self._handle.identity_logs)
        raise not_found("There is no such control.")

    def _summary(self, request: Request) -> dict[str, Any]:
        state = self._state
        return {
            "organizationId": state.organization_id,
            "now": iso(state.clock.now_ms()),
            "pendingOperations": state.pipeline.pending(),
            "plannedFaults": self._handle.faults.pending(),
            "calls": len(self._handle.calls),
            "dates": asdict(self._handle.dates),
            "logDelivery": asdict(self._handle.log_delivery),
            "securityProviders": [one.id for one in state.providers.all()],
            "sources": [asdict(self._handle.source(one.id)) for one in state.sources.all()],
        }

    def _calls(self, request: Request) -> list[dict[str, Any]]:
        offset, limit = _part(request)
        return [asdict(call) for call in self._handle.calls[offset : offset + limit]]

    def _quotas(self, request: Request) -> dict[str, Any]:
        return {name: use and asdict(use) for name, use in self._handle.meter.use().items()}

    def _source(self, request: Request, source: Source) -> dict[str, Any]:
        return asdict(self._handle.source(source.id))

    def _items(self, request: Request, source: Source) -> Reply:
        limit = request.whole("limit", 100, _MOST)
        rows = self._state.items.page(source.n, request.query.get("after", ""), limit)
        items = b",".join(
            b'{"documentId":%s,"orderingId":%d,"item":%s}' % (orjson.dumps(uri), ordering, body)
            for uri, ordering, body in rows
        )
        after = orjson.dumps(rows[-1][0] if len(rows) == limit and rows else None)
        return Reply(200, b'{"items":[%s],"after":%s}' % (items, after))

    def _item(self, request: Request, source: Source) -> Reply:
        body = self._state.items.body(source.n, request.required("documentId"))
        if body is None:
            raise not_found("The index does not hold this item.")
        return Reply(200, body)

    def _logs(self, request: Request, source: Source) -> list[dict[str, Any]]:
        offset, limit = _part(request)
        rows = self._state.log.read(LogQuery(only={"source": [source.n]}), offset=offset, limit=limit)
        return [{"time": iso(row.time_ms), **row._asdict(), "source": source.id} for _, row in rows]

    def _activities(self, request: Request, source: Source) -> list[dict[str, Any]]:
        return [asdict(one) for one in self._state.sources.activities(source)]

    def _who(self, request: Request, source: Source) -> dict[str, Any]:
        """
        Say who sees an item: everybody known, or with ``user`` that one, who is unauthenticated when empty.

        ``provider`` names the provider of ``user``, as in :meth:`Contents.can_see`.
        """
        uri, user = request.required("documentId"), request.query.get("user")
        access = self._state.item_access
        try:
            if user is None:
                return {"documentId": uri, "viewers": access.viewers(source, uri)}
            key = access.user(user, request.query.get("provider")) if user else None
            verdict = access.verdict(source, uri, key)
        except KeyError:
            raise not_found("The index does not hold this item.") from None
        return {"documentId": uri, "user": user or None, **asdict(verdict)}

    def _provided(self, request: Request, provider_id: str, read: Callable[[str], Sequence[Any]]) -> Any:
        if self._state.providers.get(provider_id) is None:
            raise not_found(f"There is no security provider '{provider_id}'.")
        offset, limit = _part(request)
        return [asdict(one) for one in read(provider_id)[offset : offset + limit]]

    # -- changing --------------------------------------------------------------------------------------------

    def _change(self, change: Change, body: dict[str, Any]) -> Any:
        try:
            return change(self, body) or {}
        except ValueError as error:
            raise invalid_json(str(error)) from None

    def _reset(self, body: dict[str, Any]) -> None:
        self._handle.reset()

    def _settle(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"settled": self._handle.settle(timeout=_seconds(body, "timeout", 300))}

    def _drain(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"drained": self._handle.drain(timeout=_seconds(body, "timeout", 300))}

    def _move_clock(self, body: dict[str, Any]) -> dict[str, Any]:
        return {"now_ms": self._state.clock.advance(seconds=_seconds(body, "advance_seconds", 0))}

    def _add_fault(self, body: dict[str, Any]) -> None:
        action = read_action(body.pop("action", None))
        self._handle.faults.add(action=action, **_plan(body))

    def _clear_faults(self, body: dict[str, Any]) -> None:
        self._handle.faults.clear()

    def _set_dates(self, body: dict[str, Any]) -> dict[str, Any]:
        for host in ("api", "storage"):
            if host in body:
                off = None if body[host] is None else _seconds(body, host, 0)
                if off is not None and abs(off) > _MOST_SECONDS_OFF:
                    raise ValueError(f"{host} is at most {_MOST_SECONDS_OFF} seconds off")
                setattr(self._handle.dates, host, off)
        return asdict(self._handle.dates)

    def _set_quotas(self, body: dict[str, Any]) -> None:
        self._handle.meter.quotas = read_quotas(body, self._handle.meter.quotas)

    def _reset_quotas(self, body: dict[str, Any]) -> None:
        self._handle.meter.reset()

    def _set_log_delivery(self, body: dict[str, Any]) -> dict[str, Any]:
        delivery = self._handle.log_delivery
        delay, repeat = _seconds(body, "delay", delivery.delay), body.get("repeat", delivery.repeat)
        if delay < 0 or not isinstance(repeat, bool):
            raise ValueError("delay is 0 seconds or more, repeat is true or false")
        delivery.delay, delivery.repeat = delay, repeat
        return asdict(delivery)

    def _clear_calls(self, body: dict[str, Any]) -> None:
        self._handle.clear_calls()

    def _add_source(self, body: dict[str, Any]) -> None:
        self._handle.add_source(
            _text(body, "id"),
            kind=_text(body, "kind", "PUSH"),
            visibility=_text(body, "visibility", "SHARED"),
            push_enabled=_flag(body, "push_enabled"),
            stream_enabled=_flag(body, "stream_enabled"),
            catalog_configuration=body.get("catalog_configuration") is True,
        )

    def _add_provider(self, body: dict[str, Any]) -> None:
        self._handle.add_security_provider(
            _text(body, "id"),
            sources=_texts(body, "sources", ()),
            cascades_to=_texts(body, "cascades_to", (EMAIL_PROVIDER,)),
            case_sensitive=body.get("case_sensitive") is True,
        )

    def _add_key(self, body: dict[str, Any]) -> None:
        self._handle.add_key(_text(body, "key"), privileges=_texts(body, "privileges", ()))


LOOKS: dict[str, Read] = {
    "": Controls._summary,
    "state": Controls._summary,
    "calls": Controls._calls,
    "quotas": Controls._quotas,
}
SOURCE_LOOKS: dict[str, ReadSource] = {
    "": Controls._source,
    "items": Controls._items,
    "item": Controls._item,
    "logs": Controls._logs,
    "activities": Controls._activities,
    "who": Controls._who,
}
CHANGES: dict[str, Change] = {
    "reset": Controls._reset,
    "settle": Controls._settle,
    "drain": Controls._drain,
    "clock": Controls._move_clock,
    "faults": Controls._add_fault,
    "faults/clear": Controls._clear_faults,
    "dates": Controls._set_dates,
    "quotas": Controls._set_quotas,
    "quotas/reset": Controls._reset_quotas,
    "calls/clear": Controls._clear_calls,
    "logs": Controls._set_log_delivery,
    "sources": Controls._add_source,
    "providers": Controls._add_provider,
    "keys": Controls._add_key,
}


def _part(request: Request) -> tuple[int, int]:
    """Give which rows of a list are asked for: how many to leave out, and how many to give."""
    return request.whole("after", 0, 10**9), request.whole("limit", 100, _MOST)


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


def _flag(body: dict[str, Any], key: str) -> bool | None:
    value = body.get(key)
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{key} is true or false")
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

"""
Failures on order: how the next matching calls go wrong, and how wrong the answers' ``Date`` is.

``route`` is a name of the endpoint table (``stream.chunk``, ``upload``, …), ``path`` a part of the path;
left out, they match every call. Controls under ``/_sandbox/`` never fail.
"""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, fields, replace
from typing import Any

_WHEN = ("before", "during", "after")
_LOGIN_PAGE = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"


@dataclass(frozen=True)
class Answer:
    """
    Answer with this instead of what the service says.

    :param body: what to send, such as ``{"message": "…"}``, HTML, S3's XML, or nothing
    :param content_type: left out of the answer when ``body`` is empty and this is ``application/json``
    :param when: ``before`` the call is carried out, which then never happens, or ``after``: the service did it,
        and something in between put another answer in place of its own
    """

    status: int = 500
    body: str | bytes = ""
    headers: tuple[tuple[str, str], ...] = ()
    content_type: str = "application/json"
    when: str = "before"

    def __post_init__(self) -> None:
        if self.when not in ("before", "after"):
            raise ValueError(f"an answer comes before or after the call is carried out, not {self.when!r}")

    @classmethod
    def login_page(cls, status: int = 200, *, when: str = "before") -> Answer:
        """Give HTML in place of the answer, as a proxy does that wants somebody to sign in."""
        return cls(status, _LOGIN_PAGE, content_type="text/html; charset=utf-8", when=when)

    @classmethod
    def denied(cls) -> Answer:
        """403 ``ACCESS_DENIED``, as for a key without the privilege."""
        return cls(403, '{"errorCode":"ACCESS_DENIED","message":"The token lacks a privilege."}')

    @classmethod
    def throttled(cls, retry_after: int | str | None = None) -> Answer:
        """429, with ``Retry-After`` in seconds or as an HTTP date when given."""
        headers = () if retry_after is None else (("Retry-After", str(retry_after)),)
        return cls(429, '{"errorCode":"TOO_MANY_REQUESTS","message":"Too many requests."}', headers)

    @classmethod
    def storage_denied(cls) -> Answer:
        """403 in S3's XML, for uploads."""
        body = "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"
        return cls(403, body, content_type="application/xml")


@dataclass(frozen=True)
class Cut:
    """
    Cut the connection (RST).

    :param when: ``before`` reading the body, ``during`` that, or ``after`` carrying the call out: the lost
        answer, whose caller cannot know that the call was carried out
    """

    when: str = "before"

    def __post_init__(self) -> None:
        if self.when not in _WHEN:
            raise ValueError(f"a connection is cut {', '.join(_WHEN)}, not {self.when!r}")


@dataclass(frozen=True)
class Truncate:
    """Carry the call out, then send only the first ``keep`` bytes of the body that was announced."""

    keep: int = 1


@dataclass(frozen=True)
class Slow:
    """Carry the call out, then spread the answer over ``seconds`` of real time."""

    seconds: float = 1.0


@dataclass(frozen=True)
class Stall:
    """Say nothing for ``seconds`` of real time, or until the sandbox stops, then cut the connection."""

    seconds: float = 30.0


@dataclass(frozen=True)
class ExpireUpload:
    """Let the upload address of this call expire: the one it uploads to, or the one its answer hands out."""


@dataclass(frozen=True)
class Duplicate:
    """
    Carry the call out twice, as when a proxy sends it again; an upload, which replaces itself, only once.

    :param last: the caller sees the second answer instead of the first
    """

    last: bool = False


@dataclass
class Dates:
    """
    How many seconds the ``Date`` of an answer is off, as where a gateway writes its own; may change at any time.

    :param api: of the API's and the platform's answers; None leaves the header out
    :param storage: of the answers to uploads
    """

    api: float | None = 0.0
    storage: float | None = 0.0

    def reset(self) -> None:
        """Be right again."""
        self.api = self.storage = 0.0


Action = Answer | Cut | Truncate | Slow | Stall | ExpireUpload | Duplicate
# Types of an action's fields → those of JSON.
_JSON_TYPES: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "str | bytes": (str,),
    "bool": (bool,),
}
KINDS: dict[str, type[Any]] = {
    "answer": Answer,
    "cut": Cut,
    "truncate": Truncate,
    "slow": Slow,
    "stall": Stall,
    "expire_upload": ExpireUpload,
    "duplicate": Duplicate,
}


@dataclass
class Planned:
    """
    A failure still to come.

    :param number: its own, by which it is removed
    :param skip: how many matching calls go well first
    :param times: how many then fail
    """

    number: int
    action: Action
    route: str | None
    method: str | None
    path: str | None
    skip: int
    times: int

    @property
    def kind(self) -> str:
        """What goes wrong, as :func:`read_action` spells it."""
        return next(kind for kind, action in KINDS.items() if type(self.action) is action)

    def matches(self, route: str, method: str, path: str) -> bool:
        """Say whether a call is one of those that fail."""
        return (
            self.route in (None, route)
            and (self.method is None or self.method.upper() == method)
            and (self.path is None or self.path in path)
        )


class Faults:
    """The failures still to come."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: list[Planned] = []
        self._numbers = itertools.count(1)

    def add(
        self,
        *,
        action: Action,
        route: str | None = None,
        method: str | None = None,
        path: str | None = None,
        skip: int = 0,
        times: int = 1,
    ) -> None:
        """
        Make matching calls fail.

        :param skip: how many matching calls go well first
        :param times: how many then fail
        """
        with self._lock:
            self._planned.append(Planned(next(self._numbers), action, route, method, path, skip, times))

    def take(self, route: str, method: str, path: str) -> Action | None:
        """Give what goes wrong with this call, the earliest planned failure that matches; use it up."""
        with self._lock:
            for planned in self._planned:
                if not planned.matches(route, method, path):
                    continue
                if planned.skip > 0:
                    planned.skip -= 1
                    continue
                planned.times -= 1
                if planned.times <= 0:
                    self._planned.remove(planned)
                return planned.action
        return None

    def upcoming(self) -> list[Planned]:
        """List them as they are now, earliest first."""
        with self._lock:
            return [replace(one) for one in self._planned]

    def remove(self, number: int) -> None:
        """Forget one, if it is still there."""
        with self._lock:
            self._planned = [one for one in self._planned if one.number != number]

    def pending(self) -> int:
        """How many failures have not happened yet."""
        with self._lock:
            return sum(planned.times for planned in self._planned)

    def clear(self) -> None:
        """Forget all that is planned."""
        with self._lock:
            self._planned.clear()


def read_action(value: Any) -> Action:
    """
    Read an action from JSON: ``{"kind": "answer", "status": 429, "headers": {"Retry-After": "1"}}``.

    :raises ValueError: when it is not one
    """
    if not isinstance(value, dict) or value.get("kind") not in KINDS:
        raise ValueError(f"an action has a kind, one of {', '.join(KINDS)}")
    action = KINDS[value["kind"]]
    types = {one.name: str(one.type) for one in fields(action)}
    values = {key: part for key, part in value.items() if key != "kind"}
    if unknown := values.keys() - types.keys():
        raise ValueError(f"{value['kind']} has no {', '.join(sorted(unknown))}")
    if "headers" in values:
        values["headers"] = _read_headers(values["headers"])
    for name, part in values.items():
        _check_type(name, part, types[name])
    if not 200 <= values.get("status", 200) <= 599:
        raise ValueError("status is from 200 to 599")
    return action(**values)  # type: ignore[no-any-return]


def _read_headers(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        raise ValueError("headers is an object")
    return tuple((str(name), str(text)) for name, text in value.items())


def _check_type(name: str, value: Any, wanted: str) -> None:
    types = _JSON_TYPES.get(wanted)
    if types and (not isinstance(value, types) or (isinstance(value, bool) and types != (bool,))):
        raise ValueError(f"{name} is not of type {wanted}")

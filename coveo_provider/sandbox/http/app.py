"""From a request to an answer: route, key, quota, call, refusal. Knows no socket."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

import orjson

from coveo_provider.sandbox.calls import push_calls
from coveo_provider.sandbox.http import routing
from coveo_provider.sandbox.http.wire import BadRequestError, Reply
from coveo_provider.sandbox.service.errors import ApiError, Refusal, not_found

if TYPE_CHECKING:
    from collections.abc import Callable

    from coveo_provider.sandbox.calls.request import Request
    from coveo_provider.sandbox.http.routing import Route
    from coveo_provider.sandbox.service.state import State

_BEARER = re.compile(r"Bearer +([\x21-\x7e]+)", re.IGNORECASE)
# Routes of the sandbox itself: they never fail on order, and are no calls.
OWN = frozenset(("control", "page"))


class App:
    """
    Answers requests on a state.

    :param controls: answers what is asked below ``/_sandbox/``
    :param pages: answers ``/`` and what is asked below ``/ui/``
    """

    def __init__(
        self, state: State, controls: Callable[[Request], Reply], pages: Callable[[Request], Reply]
    ) -> None:
        self._state, self._controls, self._pages = state, controls, pages

    def route_name(self, request: Request) -> str:
        """Name the route of a request, for the call log and for faults; ``unknown`` when there is none."""
        first = request.parts[0]
        if first == "_sandbox":
            return "control"
        if first == "_s3":
            return "upload"
        if request.parts == ("",) or first == "ui":
            return "page"
        route, _, _ = routing.find(request.method, request.parts)
        return route.name if route else "unknown"

    def answer(self, request: Request) -> Reply:
        """
        Carry a request out.

        A defect of the sandbox answers 500 and is kept for the test to see.

        :raises ConnectionError: when the sender stopped in the middle of its body
        :raises BadRequestError: when its body is no HTTP
        """
        try:
            return self._answer(request)
        except Refusal as refused:
            headers = (("Allow", refused.message),) if refused.status == 405 else refused.headers
            return Reply(refused.status, refused.body(request.request_id), refused.content_type, headers)
        except (ConnectionError, TimeoutError, BadRequestError):
            raise
        except Exception as error:  # noqa: BLE001 - handed to the test that owns the sandbox
            self._state.errors.append(error)
            failure = ApiError(500, "INTERNAL_SERVER_ERROR", "The sandbox failed; its owner sees why.")
            return Reply(500, failure.body(request.request_id))

    def _answer(self, request: Request) -> Reply:
        name = self.route_name(request)
        if name == "control":
            return self._controls(request)
        if name == "upload":
            push_calls.upload(self._state, request)
            return Reply(200, headers=(("ETag", f'"{uuid.uuid4().hex}"'),))
        if name == "page":
            return self._pages(request)
        route, values, methods = routing.find(request.method, request.parts)
        if route is None:
            if methods:
                raise ApiError(405, "METHOD_NOT_ALLOWED", ", ".join(methods))
            raise not_found(f"There is nothing at {request.path[:200]}.")
        request.values = values
        self._authorize(request, route)
        # Who has no right to a call does not use up its quota, which is uncertain.
        self._state.meter.take_call(route.quotas)
        if not route.takes_forms:
            request.check_json_type()
        value = route.handler(self._state, request)
        # Clients parse the body of every answer but a 204 (docs/api-notes.md, "Success answers").
        return Reply(
            route.status, b"" if route.status == 204 else orjson.dumps({} if value is None else value)
        )

    def _authorize(self, request: Request, route: Route) -> None:
        """Refuse with 401 before 404 before 403 (docs 95). A key belongs to this one organization."""
        bearer = _BEARER.fullmatch(request.headers.get("Authorization", "").strip())
        if bearer is None:
            raise ApiError(401, "UNAUTHORIZED", "The Authorization header is missing or malformed.")
        privileges = self._state.keys.privileges(bearer.group(1))
        if privileges is None:
            raise ApiError(401, "INVALID_TOKEN", "The token is unknown, expired or disabled.")
        if request.values.get("org", self._state.organization_id) != self._state.organization_id:
            raise ApiError(404, "ORGANIZATION_NOT_FOUND", "The organization does not exist.")
        if missing := [one for one in route.privileges if one not in privileges]:
            raise ApiError(403, "ACCESS_DENIED", f"The token lacks the privilege {', '.join(missing)}.")


def malformed(message: str) -> Refusal:
    """Refuse what is not HTTP as the sandbox reads it."""
    return ApiError(400, "BAD_REQUEST", message)


def misdirected() -> Refusal:
    """Refuse a request that names another machine: a web page that re-bound its name to 127.0.0.1 sends such."""
    return ApiError(403, "ACCESS_DENIED", "The sandbox answers to localhost and loopback addresses only.")

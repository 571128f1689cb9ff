"""What the index holds: told by the sandbox's controls, or found out on the real service by waiting and asking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from tools.probe.calls import Calls, Clock, NotObservable, parsed, said

Seen = TypeVar("Seen")
_POLL_SECONDS = 15.0


class Index(Protocol):
    """What a probe may ask of the index."""

    def until(self, look: Callable[[], Seen], good: Callable[[Seen], bool]) -> Seen:
        """Look until what was accepted has been processed, and give what was seen last."""

    def pass_time(self, minutes: int) -> None:
        """Let so many minutes pass."""

    def item(self, source: str, uri: str) -> dict[str, Any] | None:
        """Give the metadata of an item, None where the index holds none; NotObservable where it cannot be asked."""

    def viewers(self, source: str, uri: str) -> list[str]:
        """Give the names of the known users who see an item, sorted; NotObservable where it cannot be asked."""


class SandboxIndex:
    """The sandbox's own index: nothing is waited for."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def until(self, look: Callable[[], Seen], good: Callable[[Seen], bool]) -> Seen:
        """See :class:`Index`."""
        self._control("POST", "settle", json={})
        return look()

    def pass_time(self, minutes: int) -> None:
        """See :class:`Index`."""
        self._control("POST", "clock", json={"advance_seconds": minutes * 60})
        self._control("POST", "settle", json={})

    def item(self, source: str, uri: str) -> dict[str, Any] | None:
        """See :class:`Index`."""
        item = self._control("GET", f"sources/{source}/item", params={"documentId": uri}, missing=True)
        return None if item is None else dict(item)

    def viewers(self, source: str, uri: str) -> list[str]:
        """See :class:`Index`."""
        answer = self._control("GET", f"sources/{source}/who", params={"documentId": uri})
        return sorted(answer["viewers"])

    def _control(self, method: str, path: str, *, missing: bool = False, **options: Any) -> Any:
        response = self._calls.call(method, f"{self._calls.api}/_sandbox/{path}", **options)
        if missing and response.status_code == 404:
            return None
        response.raise_for_status()
        return response.json()


class CloudIndex:
    """
    The real service's index, by the Search API.

    :param minutes: how long to look for what may still be processed
    :param fields: the fields whose values an item is asked for
    """

    def __init__(self, calls: Calls, clock: Clock, *, minutes: int, fields: list[str]) -> None:
        self._calls, self._clock, self._minutes, self._fields = calls, clock, minutes, fields

    def until(self, look: Callable[[], Seen], good: Callable[[Seen], bool]) -> Seen:
        """See :class:`Index`."""
        end = self._clock.now() + self._minutes * 60
        while not good(seen := look()) and self._clock.now() < end:
            self._clock.sleep(_POLL_SECONDS)
        return seen

    def pass_time(self, minutes: int) -> None:
        """See :class:`Index`."""
        self._clock.sleep(minutes * 60)

    def item(self, source: str, uri: str) -> dict[str, Any] | None:
        """
        See :class:`Index`.

        The call is the one of Coveo's platform client; ``viewAllContent`` shows also what the key's owner may not
        see, and needs a privilege of its own.
        """
        response = self._calls.call(
            "POST",
            f"{self._calls.platform}/rest/search/v2",
            params={"organizationId": self._calls.organization, "viewAllContent": "1"},
            json={"aq": f'@uri=="{uri}"', "fieldsToInclude": self._fields, "numberOfResults": 10},
        )
        answer = parsed(response)
        if not response.ok or not isinstance(answer, dict) or not isinstance(answer.get("results"), list):
            raise NotObservable(f"the Search API answers {said(response)}")
        for result in answer["results"]:
            if result.get("uri") == uri:
                return dict(result.get("raw") or {})
        return None

    def viewers(self, source: str, uri: str) -> list[str]:
        """See :class:`Index`."""
        raise NotObservable("which call tells who sees an item is not published for certain")

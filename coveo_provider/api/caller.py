"""Makes a call: finds its URL, sends it again where that is safe, and returns what its success says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

from coveo_provider.api import reading, routes, storage
from coveo_provider.api.answers import Answer
from coveo_provider.api.arguments import checked_ordering_id
from coveo_provider.api.endpoints import Endpoints
from coveo_provider.api.redaction import signature_of
from coveo_provider.api.refusals import refusal
from coveo_provider.api.retries import RetryPolicy, may_have_been_carried_out
from coveo_provider.api.routes import Host, Route, segment
from coveo_provider.api.transport import Transport
from coveo_provider.api.types import FileContainer
from coveo_provider.errors import ConfigurationError, CoveoError, UnexpectedAnswer

T = TypeVar("T")
Self = TypeVar("Self", bound="Caller")

MARK_TOLERANCE_MS = 2_000
"""How far a mark may lie ahead of the server's ``Date``, which has whole seconds only."""

TICK_SECONDS = 1.0
"""The unit of a ``Date`` header, which is waited for to make a mark."""

_REGISTERED = 200
"""
How many signatures a client registers. Airflow's masker compiles all it knows anew for each: thousands would take
minutes. No log line of ours holds an address in any case.
"""


@dataclass
class Traffic:
    """
    What a client did so far.

    :param calls: requests to the Push and Stream APIs, those sent again included: what their quotas count
    :param retries: requests to either host that were sent again
    :param waited_seconds: what was waited before these
    """

    calls: int = 0
    retries: int = 0
    waited_seconds: float = 0.0

    def again(self, seconds: float) -> None:
        """Count a request that is sent again after a wait."""
        self.retries += 1
        self.waited_seconds += seconds


class Caller:
    """
    One organization, and a transport to it; the calls themselves are added by what derives from it.

    Its arguments are those of :class:`~coveo_provider.api.client.CoveoClient`.
    """

    def __init__(
        self,
        organization_id: str,
        api_key: str,
        *,
        region: str = "us",
        environment: str = "production",
        base_url: str | None = None,
        push_url: str | None = None,
        platform_url: str | None = None,
        timeout: float = 60.0,
        verify: bool | str = True,
        policy: RetryPolicy | None = None,
        register_secret: Callable[[str], None] | None = None,
    ) -> None:
        segment("organization_id", organization_id)
        if not isinstance(api_key, str) or not api_key.strip():
            raise ConfigurationError("api_key is empty: the connection needs an API key as its password")
        api_key = api_key.strip()
        if not all("!" <= character <= "~" for character in api_key):
            raise ConfigurationError(
                "api_key has characters no key has: was it copied whole, without Bearer?"
            )
        if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout < 86_400:
            raise ConfigurationError(f"timeout must be a number of seconds over 0, not {timeout!r}")
        self.organization_id = organization_id
        self.endpoints = Endpoints.of(
            region=region,
            environment=environment,
            base_url=base_url,
            push_url=push_url,
            platform_url=platform_url,
        )
        self.policy = policy or RetryPolicy()
        self.traffic = Traffic()
        self._register_secret = register_secret or (lambda _: None)
        self._registered = 0
        self._transport = Transport(api_key, timeout=timeout, verify=verify)

    def __repr__(self) -> str:
        return f"CoveoClient({self.organization_id!r}, push_url={self.endpoints.push_url!r})"

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._transport.close()

    # File containers: items, identities and streams all need them.

    def create_file_container(self) -> FileContainer:
        """Return a new container; it lives 60 minutes, so ask when the payload is ready (docs 43)."""
        # Sent explicitly: the pages disagree on its default.
        return self._ask(routes.CREATE_FILE, self._container, {"useVirtualHostedStyleUrl": "true"})

    def upload(self, container: FileContainer, file: BinaryIO, size: int) -> int | None:
        """
        Upload ``size`` bytes of ``file``, from where it stands, into ``container``.

        Never repeated here, as a container is used once: see :func:`coveo_provider.loading.deliveries.deliver`.

        :return: the storage's ``Date``, in ms since the epoch, rounded down to its second; ``None`` when it
            told none
        :raises PayloadTooLarge: the storage does not take that many bytes
        :raises UploadRefused: the storage refused; ask for a fresh container
        :raises UnexpectedAnswer: the answer cannot be the storage's; ask for a fresh container
        """
        return storage.upload(self._transport, container, file, size)

    def server_time_ms(self, source_id: str) -> int:
        """
        Return the server's time, ms since the epoch; a refusal tells the time as well.

        :param source_id: the source the answer is asked about
        """
        return self._time_ms(routes.GET_SOURCE.at(source_id=source_id))

    def _call(self, route: Route, query: Mapping[str, str] | None = None, *, body: bytes = b"{}") -> None:
        """Make a call whose success says nothing more; see :meth:`_ask`."""
        self._ask(route, reading.acknowledged, query, body=body)

    def _ask(
        self,
        route: Route,
        read: Callable[[Answer], T],
        query: Mapping[str, str] | None = None,
        *,
        body: bytes = b"{}",
        once: bool = False,
    ) -> T:
        """
        Make a call, sending it again where that is safe, and return what ``read`` makes of its success.

        On any error ``after_lost_answer`` is true when an earlier attempt may have been carried out.

        :param route: with its path filled
        :param read: an :class:`UnexpectedAnswer` from it counts as a lost answer
        :param query: parameters, not yet percent-encoded
        :param body: JSON; operations without a model take ``{}``
        :param once: whether it is not worth to be sent again
        :raises ApiError: the API refused
        :raises UnexpectedAnswer: the answer cannot be the API's, or lacks what ``read`` looks for
        :raises Unreachable: no answer came
        """
        url = self._url(route)
        lost = False

        def attempt() -> T:
            nonlocal lost
            self.traffic.calls += route.host is Host.PUSH
            try:
                answer = self._transport.ask(route.method, url, query, body)
                if not answer.succeeded:
                    raise refusal(answer, route, secrets=self._transport.secrets)
                return self._understood(answer, read)
            except CoveoError as error:
                error.after_lost_answer = lost
                lost = lost or may_have_been_carried_out(error)
                raise

        def may_retry(error: CoveoError) -> bool:
            return not once and error.transient and (route.replay or not may_have_been_carried_out(error))

        return self.policy.run(attempt, may_retry, told=self.traffic.again)

    def _understood(self, answer: Answer, read: Callable[[Answer], T]) -> T:
        """Return what ``read`` makes of a success, or say what came instead of one."""
        try:
            answer.check_success()
            return read(answer)
        except UnexpectedAnswer as error:
            received = answer.described(self._transport.secrets)
            raise UnexpectedAnswer(error.route, error.expected, received) from None

    def _time_ms(self, route: Route) -> int:
        """
        Return the time that the answer to a GET tells, be it a refusal.

        :raises UnexpectedAnswer: it cannot be the API's, or tells no time
        :raises Unreachable: no answer came
        """
        return self.policy.run(lambda: self._time_once_ms(route), lambda error: error.transient)

    def _time_once_ms(self, route: Route) -> int:
        answer = self._transport.ask(route.method, self._url(route), None, b"")
        if not answer.speaks_json:
            raise UnexpectedAnswer(answer.route, "JSON", answer.described(self._transport.secrets))
        return answer.server_time_ms

    def _mark_after(self, time_ms: int, clock: Route) -> int:
        """
        Return a mark that lies between all that was sent before now and all that will be sent.

        A ``Date`` says 12:00:05 from 12:00:05.000 to .999, and what was sent in that second before now is
        newer than it. So the second is waited out. The next one is taken as the mark once it has begun here
        and there; else the ``Date`` itself, which is early enough in any case.

        :param time_ms: the server's time now, by its ``Date``, in ms since the epoch
        :param clock: a GET whose answer tells the time
        """
        begun = self.policy.clock()
        self.policy.sleep(TICK_SECONDS)
        waited = self.policy.clock() - begun >= TICK_SECONDS
        with suppress(CoveoError):
            if waited and self._time_once_ms(clock) > time_ms:
                return time_ms + 1_000
        return time_ms

    def _url(self, route: Route) -> str:
        of_platform = route.host in {Host.PLATFORM, Host.ACCOUNT}
        base = self.endpoints.platform_url if of_platform else self.endpoints.push_url
        prefix = route.host.value.format(organization_id=segment("organization_id", self.organization_id))
        return f"{base}{prefix}{route.path}"

    def _container(self, answer: Answer) -> FileContainer:
        container = reading.container(answer, self.endpoints.push_url)
        if self._registered < _REGISTERED:
            self._registered += 1
            self._register_secret(signature_of(container.upload_uri))
        return container

    @staticmethod
    def _checked_mark(what: str, ordering_id: int, server_time_ms: Callable[[], int]) -> int:
        """
        Return a mark to delete by.

        :param what: what it is for, in errors: the source or provider
        :raises ConfigurationError: it is not 13 digits, or lies in the future
        """
        mark = checked_ordering_id(ordering_id)
        ahead = mark - server_time_ms()
        if ahead > MARK_TOLERANCE_MS:
            raise ConfigurationError(
                f"{what}: the mark {mark} lies {ahead / 1000:,.0f} s ahead of the server's time. "
                "Sent, it would make the service reject every push until then. Take the mark that setting "
                "status or the first update returned, not one from a local clock"
            )
        return mark


def paged(ask: Callable[[int], tuple[T, int]], most: int) -> Iterator[T]:
    """
    Return what the pages of a listing hold, one after the other.

    :param ask: gets the number of a page, from 0 on; returns what it holds, and how many pages there are
    :param most: so many pages are read at most
    """
    for number in range(most):
        page, pages = ask(number)
        yield page
        if number + 1 >= pages:
            return

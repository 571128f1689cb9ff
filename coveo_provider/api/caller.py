"""What every call shares: the organization, its endpoints, and how a call is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO, TypeVar

from coveo_provider.api import reading, routes
from coveo_provider.api.answers import Answer
from coveo_provider.api.arguments import checked_ordering_id
from coveo_provider.api.endpoints import Endpoints
from coveo_provider.api.redaction import signature_of
from coveo_provider.api.retries import RetryPolicy
from coveo_provider.api.routes import Host, Route, segment
from coveo_provider.api.transport import Transport
from coveo_provider.api.types import FileContainer
from coveo_provider.errors import ConfigurationError

T = TypeVar("T")
Self = TypeVar("Self", bound="Caller")

MARK_TOLERANCE_MS = 2_000
"""How far a mark may lie ahead of the server's ``Date``, which has whole seconds only."""

MARK_MARGIN_MS = 1_000
"""Taken off the server's time to make a mark: two of Coveo's servers may differ by a little."""

_REGISTERED = 200
"""
How many signatures a client registers. Airflow's masker compiles all it knows anew for each: thousands would take
minutes. No log line of ours holds an address in any case.
"""


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
        self._register_secret = register_secret or (lambda _: None)
        self._registered = 0
        self._transport = Transport(api_key, timeout=timeout, verify=verify, policy=self.policy)

    def __repr__(self) -> str:
        return f"CoveoClient({self.organization_id!r}, push_url={self.endpoints.push_url!r})"

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._transport.close()

    # File containers (push-api.md section 3): items, identities and streams all need them.

    def create_file_container(self) -> FileContainer:
        """Return a new container; it lives 60 minutes, so ask when the payload is ready."""
        # Sent explicitly: the pages disagree on its default.
        return self._call(routes.CREATE_FILE, self._container, {"useVirtualHostedStyleUrl": "true"})

    def upload(self, container: FileContainer, file: BinaryIO, size: int) -> None:
        """
        Upload ``size`` bytes of ``file``, from where it stands, into ``container``.

        Never repeated here, as a container is used once: see :func:`coveo_provider.loading.deliveries.deliver`.

        :raises PayloadTooLarge: the storage does not take that many bytes
        :raises UploadRefused: the storage refused; ask for a fresh container
        """
        self._transport.upload(container.upload_uri, container.required_headers, file, size)

    def server_time_ms(self, source_id: str) -> int:
        """
        Return the server's time, ms since the epoch; a refusal tells the time as well.

        :param source_id: the source the answer is asked about
        """
        return self._time_ms(routes.GET_SOURCE, source_id=source_id)

    def _time_ms(self, route: Route, **names: str) -> int:
        return self._transport.probe(route, self._url(route, **names)).server_time_ms

    def _call(
        self,
        route: Route,
        read: Callable[[Answer], T],
        query: dict[str, str] | None = None,
        *,
        body: bytes = b"{}",
        **names: str,
    ) -> T:
        return self._transport.call(route, self._url(route, **names), read, query=query, body=body)

    def _url(self, route: Route, **names: str) -> str:
        base = self.endpoints.push_url if route.host is Host.PUSH else self.endpoints.platform_url
        prefix = route.host.value.format(organization_id=segment("organization_id", self.organization_id))
        return f"{base}{prefix}{route.fill(**names)}"

    def _container(self, answer: Answer) -> FileContainer:
        container = reading.container(answer, self.endpoints.push_url)
        if self._registered < _REGISTERED:
            self._registered += 1
            self._register_secret(signature_of(container.upload_uri))
        return container

    def _checked_mark(self, what: str, source_id: str, ordering_id: int) -> int:
        checked_ordering_id(ordering_id)
        # The platform knows no data collection: asked for one it refuses, which tells the time as well.
        return self._mark_not_ahead(what, ordering_id, self.server_time_ms(source_id))

    @staticmethod
    def _mark_not_ahead(what: str, ordering_id: int, now: int) -> int:
        mark = checked_ordering_id(ordering_id)
        if mark > now + MARK_TOLERANCE_MS:
            raise ConfigurationError(
                f"{what}: the mark {mark} lies {(mark - now) / 1000:,.0f} s ahead of the server's time. "
                "Sent, it would make the service reject every push until then. Take the mark that setting "
                "status or the first update returned, not one from a local clock"
            )
        return mark


def nothing(answer: Answer) -> None:
    """Take a success as it is: the call has no model."""

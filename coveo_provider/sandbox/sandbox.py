"""A running sandbox: its start on a port of this machine, and its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from coveo_provider.sandbox.controls import Controls
from coveo_provider.sandbox.handle import Handle
from coveo_provider.sandbox.http import certificate
from coveo_provider.sandbox.http.app import App
from coveo_provider.sandbox.http.server import Server
from coveo_provider.sandbox.pages.site import Site
from coveo_provider.sandbox.service.clock import Clock
from coveo_provider.sandbox.service.errors import ApiError
from coveo_provider.sandbox.service.state import State

if TYPE_CHECKING:
    from types import TracebackType

    from coveo_provider.sandbox.service.limits import Limits
    from coveo_provider.sandbox.service.quotas import Quotas

DEFAULT_SOURCES = {"products": "CATALOG", "files": "PUSH"}


class Sandbox(Handle):
    """
    A running sandbox; make one with :meth:`start` and use it as a context manager.

    :ivar url: base of every path, ``http://127.0.0.1:PORT``, or ``https`` where TLS was asked for
    :ivar certificate: file of the certificate that clients are to trust then; None otherwise
    """

    def __init__(self, state: State, port: int, *, tls: bool = False) -> None:
        super().__init__(state)
        self._stopped = False
        self.certificate = certificate.make(state.folder) if tls else None
        self._server = Server(
            port,
            state,
            App(state, Controls(self).answer, Site(self).answer),
            self.faults,
            self.dates,
            self._note,
            certificate.context(self.certificate) if self.certificate else None,
        )
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.port}"
        state.base_url = self.url

    @classmethod
    def start(
        cls,
        *,
        database: str | None = None,
        port: int = 0,
        clock: Clock | None = None,
        scale: float = 1.0,
        sources: Mapping[str, str | Mapping[str, Any]] | None = None,
        providers: Mapping[str, Sequence[str] | Mapping[str, Any]] | None = None,
        organization_id: str = "sandbox",
        api_key: str = "sandbox-key",
        keys: Mapping[str, Iterable[str]] | None = None,
        limits: Limits | None = None,
        quotas: Quotas | None = None,
        hasten: bool = True,
        fields: Mapping[str, Mapping[str, Any]] | None = None,
        strict_fields: bool = False,
        tls: bool = False,
    ) -> Sandbox:
        """
        Start a sandbox on 127.0.0.1.

        :param database: SQLite file that outlives the sandbox; None keeps everything for this run only
        :param port: 0 for any free port
        :param clock: the time to use; made from ``scale`` when left out
        :param scale: seconds passing in the sandbox per real second
        :param sources: source id → ``PUSH``, ``CATALOG`` or ``DATA_COLLECTION``, with ``:SECURED`` or ``:PRIVATE``
            behind it for a source that is not shared, or the arguments of :meth:`add_source`; ids a database
            already knows stay as they are
        :param providers: id of a security provider that cascades to the Email Security Provider → ids of the
            sources it is linked to, or the arguments of :meth:`add_security_provider`; as with ``sources``
        :param api_key: a key with every privilege
        :param keys: further keys → their privileges, as :meth:`add_key` takes them
        :param limits: other figures than the service's, for tests
        :param quotas: how much of the API may be used, ``Quotas.production()`` for one; without bound when left
            out
        :param hasten: whether a client that reads a source's log, as one does that waits for a deletion, moves
            the clock to what is due next; otherwise the service's delays, a quarter of an hour for a deletion
            of older items, pass as ``scale`` says
        :param fields: name of a field → the rest of the API's ``FieldModel``; as with ``sources``
        :param strict_fields: drop metadata that no field of the organization takes, as the platform does, with a
            WARNING in the item's log; otherwise all metadata is kept
        :param tls: answer by ``https``, with a certificate of its own: see ``certificate``
        :raises OSError: when the port is taken
        :raises ValueError: for a kind or visibility of a source, a source or a privilege that does not exist
        """
        state = State(
            database=database,
            clock=clock or Clock(scale=scale),
            limits=limits,
            quotas=quotas,
            organization_id=organization_id,
            api_key=api_key,
            hasten=hasten,
            strict_fields=strict_fields,
        )
        try:
            _set_up(
                Handle(state), DEFAULT_SOURCES if sources is None else sources, providers or {}, keys or {}
            )
            known = state.fields.by_name()
            state.fields.create(
                [{"name": name, **one} for name, one in (fields or {}).items() if name not in known]
            )
            return cls(state, port, tls=tls)
        except ApiError as error:
            state.close()
            raise ValueError(error.message) from None
        except BaseException:
            state.close()
            raise

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shut_down()
        if kind is None:
            self._raise_errors()

    def stop(self) -> None:
        """
        Stop listening and indexing; what was accepted and is not applied yet is lost, delayed deletions are
        kept in a database that outlives the sandbox.

        :raises Exception: the first exception the sandbox itself had, if any
        """  # noqa: D205
        self._shut_down()
        self._raise_errors()

    def _shut_down(self) -> None:
        if not self._stopped:
            self._stopped = True
            self._server.stop()
            self.state.close()

    def _raise_errors(self) -> None:
        if self.state.errors:
            raise self.state.errors[0]


def _set_up(
    handle: Handle,
    sources: Mapping[str, str | Mapping[str, Any]],
    providers: Mapping[str, Sequence[str] | Mapping[str, Any]],
    keys: Mapping[str, Iterable[str]],
) -> None:
    """Make what is not there yet; what a database knows already stays as it is."""
    for key, privileges in keys.items():
        if key == handle.api_key:
            raise ValueError("api_key has every privilege already, and is not given again with fewer")
        handle.add_key(key, privileges=privileges)
    for source_id, made_as in sources.items():
        if handle.state.sources.get(source_id) is None:
            if isinstance(made_as, str):
                kind, _, visibility = made_as.partition(":")
                made_as = {"kind": kind, "visibility": visibility or "SHARED"}
            handle.add_source(source_id, **made_as)
    for provider_id, linked in providers.items():
        if handle.state.providers.get(provider_id) is None:
            more = linked if isinstance(linked, Mapping) else {"sources": linked}
            handle.add_security_provider(provider_id, **more)

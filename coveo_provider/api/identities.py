"""The Push API's calls on security identities: the users and groups that items' permissions name (docs 78)."""

from __future__ import annotations

from coveo_provider.api import arguments, routes
from coveo_provider.api.caller import Caller


class IdentityCalls(Caller):
    """Identities of a security provider."""

    def put_identity(self, provider_id: str, body: bytes, *, ordering_id: int | None = None) -> None:
        """
        Add or update one identity; what was known of it, its members among it, is replaced (docs 55).

        :param body: an IdentityBody as JSON, see ``coveo_provider.documents.IdentityBody``
        """
        query = arguments.ordering(ordering_id)
        self._call(routes.PUT_IDENTITY.at(provider_id=provider_id), query, body=body)

    def put_alias(self, provider_id: str, body: bytes, *, ordering_id: int | None = None) -> None:
        """
        Add or update the aliases of one identity.

        :param body: a MappedIdentityBody as JSON, see ``coveo_provider.documents.MappedIdentityBody``
        """
        query = arguments.ordering(ordering_id)
        self._call(routes.PUT_ALIAS.at(provider_id=provider_id), query, body=body)

    def disable_identity(self, provider_id: str, body: bytes, *, ordering_id: int | None = None) -> None:
        """
        Disable one identity; the effect shows after the next refresh of the security cache (docs 84).

        :param body: ``{"identity": {"name": …, "type": …}}`` as JSON
        """
        query = arguments.ordering(ordering_id)
        self._call(routes.DISABLE_IDENTITY.at(provider_id=provider_id), query, body=body)

    def push_identities(self, provider_id: str, file_id: str, *, ordering_id: int | None = None) -> None:
        """Submit a container of identities, aliases and identities to disable (a BatchIdentityBody)."""
        query = {"fileId": file_id, **arguments.ordering(ordering_id)}
        self._call(routes.PUSH_IDENTITIES.at(provider_id=provider_id), query)

    def disable_identities_older_than(
        self, provider_id: str, ordering_id: int, *, queue_delay: int = 15
    ) -> None:
        """
        Disable the identities of a provider whose last update is older than ``ordering_id``.

        :param ordering_id: ms since the epoch, from :meth:`identity_mark`
        :param queue_delay: minutes the API waits, so that what is queued is not applied after it
        :raises ConfigurationError: the mark is not 13 digits, or lies in the future
        """
        delay = arguments.minutes(queue_delay)
        clock = routes.GET_PROVIDER.at(provider_id=provider_id)
        mark = self._checked_mark(f"provider {provider_id}", ordering_id, lambda: self._time_ms(clock))
        query = {"orderingId": str(mark), "queueDelay": delay}
        self._call(routes.DISABLE_OLDER.at(provider_id=provider_id), query)

    def identity_mark(self, provider_id: str) -> int:
        """
        Return a mark, in ms since the epoch: identities pushed before are older, those pushed from now on are not.

        It takes a second, as :meth:`~.ItemCalls.set_source_status` does.
        """
        clock = routes.GET_PROVIDER.at(provider_id=provider_id)
        return self._mark_after(self._time_ms(clock), clock)

"""What a sandbox holds, as tests read it: items, sources, logs, identities, and who sees what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coveo_provider.sandbox.service import jsontext
from coveo_provider.sandbox.service.records import IdentityLogEntry, IdentityView, SourceView
from coveo_provider.sandbox.service.security import identity_store
from coveo_provider.sandbox.service.security.access_rules import TYPES

if TYPE_CHECKING:
    from coveo_provider.sandbox.service.records import Activity, LogEntry
    from coveo_provider.sandbox.service.security.identity_store import IdentityRow
    from coveo_provider.sandbox.service.security.providers import Provider
    from coveo_provider.sandbox.service.sources import Source
    from coveo_provider.sandbox.service.state import State


class Contents:
    """The readable side of a sandbox; every method looks at what is indexed now."""

    def __init__(self, state: State) -> None:
        self.state = state

    # -- items -----------------------------------------------------------------------------------------------

    def items(self, source_id: str) -> dict[str, dict[str, Any]]:
        """
        Everything the index holds of a source: documentId → item as indexed.

        Metadata keys are spelled as pushed, reserved keys as the API spells them. A decimal comes as a
        float when that loses no digit, else as a :class:`~decimal.Decimal`.
        """
        n, after = self._source(source_id).n, ""
        items: dict[str, dict[str, Any]] = {}
        while rows := self.state.items.page(n, after, 10_000):
            items.update((uri, jsontext.parse_exact(body)) for uri, _, body in rows)
            after = rows[-1][0]
        return items

    def item(self, source_id: str, document_id: str) -> dict[str, Any] | None:
        """One item as :meth:`items` gives it; None when the index does not hold it."""
        body = self.item_json(source_id, document_id)
        return None if body is None else jsontext.parse_exact(body)

    def item_json(self, source_id: str, document_id: str) -> bytes | None:
        """One item's JSON, every number as it was written."""
        return self.state.items.body(self._source(source_id).n, document_id)

    def file_content(self, source_id: str, document_id: str) -> bytes | None:
        """What came for an item through a container of its own, still compressed; None when nothing did."""
        path = self.state.item_files.find(self._source(source_id).n, document_id)
        return path.read_bytes() if path else None

    def count(self, source_id: str) -> int:
        """How many items the index holds of a source."""
        return self._source(source_id).item_count

    def ordering_id(self, source_id: str, document_id: str) -> int | None:
        """The orderingId of an item's last update; None when the index does not hold it."""
        known = self.state.items.orderings(self._source(source_id).n, [document_id])
        ordering, there = known.get(document_id, (0, False))
        return ordering if there else None

    # -- sources ---------------------------------------------------------------------------------------------

    def source(self, source_id: str) -> SourceView:
        """What a source looks like now."""
        source = self._source(source_id)
        return SourceView(
            id=source.id,
            name=source.name,
            kind=source.kind,
            visibility=source.visibility,
            status=source.status or "PUSH_READY",
            activities=tuple(self.state.sources.activities(source)),
            open_streams=self.state.streams.of(source),
            item_count=source.item_count,
            floor=source.floor,
        )

    def activities(self, source_id: str) -> list[Activity]:
        """Activities of a source, oldest first."""
        return self.state.sources.activities(self._source(source_id))

    def logs(self, source_id: str) -> list[LogEntry]:
        """Log entries of a source, oldest first."""
        return self.state.log.entries(self._source(source_id))

    # -- who sees what ---------------------------------------------------------------------------------------

    def can_see(
        self, source_id: str, document_id: str, user: str | None, provider: str | None = None
    ) -> bool:
        """
        Say whether a user sees an item, by the index and the security cache as they are now.

        :param user: name of the user; None when unauthenticated
        :param provider: whose user it is; the Email Security Provider, through which people log in, when left
            out
        :raises KeyError: when there is no such source, or the index does not hold the item
        """
        access = self.state.item_access
        key = None if user is None else access.user(user, provider)
        return access.verdict(self._source(source_id), document_id, key).allowed

    def viewers(self, source_id: str, document_id: str) -> list[str]:
        """
        Names of the users who see an item, sorted, of those that were pushed or named by a push.

        ``anonymous`` is among them when an unauthenticated user sees it.

        :raises KeyError: as :meth:`can_see`
        """
        return self.state.item_access.viewers(self._source(source_id), document_id)

    # -- identities ------------------------------------------------------------------------------------------

    def identities(self, provider_id: str) -> list[IdentityView]:
        """Everything a security provider knows, by name."""
        provider = self._provider(provider_id)
        rows, _ = self.state.identity_store.page([provider.n])
        return [self.identity_of(provider, row) for row in rows]

    def identity_logs(self, provider_id: str) -> list[IdentityLogEntry]:
        """Log entries of a security provider, oldest first."""
        rows = self.state.identity_store.read_log(self._provider(provider_id).n)
        return [
            IdentityLogEntry(
                row.time_ms, provider_id, row.id, row.operation, row.result, row.ordering, row.error
            )
            for row in rows
        ]

    def identity(self, provider_id: str, kind: str, name: str) -> tuple[IdentityView, list[str]] | None:
        """
        One identity, and the names of the groups that list it; None when the provider does not know it.

        :param kind: ``USER``, ``GROUP``, ``VIRTUAL_GROUP`` or ``UNKNOWN``
        """
        provider, store = self._provider(provider_id), self.state.identity_store
        if kind not in TYPES:
            return None
        spot = self.state.providers.spot(self.state.providers.key(provider_id, kind, name))
        row = spot and store.find(spot)
        if spot is None or row is None:
            return None
        groups = [one.name for one in store.ends(spot, (identity_store.MEMBER,), back=True)]
        return self.identity_of(provider, row), groups

    def identity_of(self, provider: Provider, row: IdentityRow) -> IdentityView:
        """Give a row of the security cache as it is now."""

        def names(*kinds: int) -> tuple[str, ...]:
            return tuple(sorted(one.name for one in store.ends(spot, kinds)))

        store, spot = self.state.identity_store, (row.provider, row.folded, row.type)
        aliases = [
            (other.id, one.name)
            for one in store.ends(spot, (identity_store.ALIAS,))
            if (other := self.state.providers.by_number(one.provider))
        ]
        return IdentityView(
            name=row.name,
            type=TYPES[row.type],
            state=provider.state_name(row.state),
            members=names(identity_store.MEMBER),
            aliases=tuple(sorted(aliases)),
            granted=tuple(dict.fromkeys(names(identity_store.GRANTED, identity_store.ALIAS_GRANTED))),
            ordering_id=row.ordering,
            additional_info=jsontext.parse(row.info) if row.info else {},
        )

    def _source(self, source_id: str) -> Source:
        source = self.state.sources.get(source_id)
        if source is None:
            raise KeyError(f"the sandbox has no source {source_id!r}")
        return source

    def _provider(self, provider_id: str) -> Provider:
        provider = self.state.providers.get(provider_id)
        if provider is None:
            raise KeyError(f"the sandbox has no security provider {provider_id!r}")
        return provider

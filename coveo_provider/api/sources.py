"""The platform's calls on sources: what a load asks about the source it goes to."""

from __future__ import annotations

from coveo_provider.api import reading, routes
from coveo_provider.api.caller import Caller
from coveo_provider.api.types import Source


class SourceCalls(Caller):
    """Sources, as the platform knows them."""

    def get_source(self, source_id: str) -> Source:
        """Return what the platform knows of a source, its number of items among it."""
        return self._ask(
            routes.GET_SOURCE.at(source_id=source_id), lambda answer: reading.source(answer, source_id)
        )

    def count_sources(self) -> int:
        """Return the number of sources the key can see: the cheapest proof of key and id."""
        return self._ask(routes.LIST_SOURCES, reading.total_entries, {"page": "0", "perPage": "1"})

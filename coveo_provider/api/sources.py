"""The platform's calls on sources and fields: what a load asks about the source it goes to."""

from __future__ import annotations

import json

from coveo_provider.api import reading, routes
from coveo_provider.api.caller import Caller
from coveo_provider.api.types import Source

_FIELDS_A_PAGE = 1_000  # the most there may be
_PAGES = 100


class SourceCalls(Caller):
    """Sources and fields, as the platform knows them."""

    def get_source(self, source_id: str, *, once: bool = False) -> Source:
        """
        Return what the platform knows of a source, its number of items among it.

        :param once: whether to ask once only, as for what a task can do without
        """
        route = routes.GET_SOURCE.at(source_id=source_id)
        return self._ask(route, lambda answer: reading.source(answer, source_id), once=once)

    def count_sources(self) -> int:
        """Return the number of sources the key can see: the cheapest proof of key and id."""
        return self._ask(routes.LIST_SOURCES, reading.total_entries, {"page": "0", "perPage": "1"})

    def field_names(self) -> set[str]:
        """Return the names of all fields of the organization, those of the system among them (docs 115)."""
        names: set[str] = set()
        for page in range(_PAGES):
            body = json.dumps(
                {"page": page, "perPage": _FIELDS_A_PAGE, "filters": {"origin": "ALL"}}
            ).encode()
            found, pages = self._ask(routes.SEARCH_FIELDS, reading.field_page, body=body)
            names.update(found)
            if page + 1 >= pages:
                break
        return names

"""
The platform's calls on who sees an indexed item: its permissions, what they come to, and who belongs to whom.

The two calls on an item are those of Coveo's platform client; no published description has them
(``docs/api-notes.md``, "Security identities").
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any

from coveo_provider.api import reading, routes
from coveo_provider.api.caller import Caller, paged
from coveo_provider.api.reading import Verdicts
from coveo_provider.api.routes import Route, percent_encoded, segment
from coveo_provider.api.types import IndexedIdentity
from coveo_provider.errors import NotFound

_PER_PAGE = 1_000
_PAGES = 1_000


class ItemAccessCalls(Caller):
    """Who sees what is in the index."""

    def item_permissions(self, document_id: str, *, index_id: str = "") -> list[dict[str, Any]]:
        """
        Return the permissions of an item in the index, as levels of sets in the form in which they are pushed.

        :param document_id: the item's URI
        :param index_id: the organization's index; by default its own id. **Uncertain**: no page says it
        :raises NotFound: the index does not hold the item
        """
        return self._ask(
            _of_item(routes.ITEM_PERMISSIONS, self, document_id, index_id), reading.permission_levels
        )

    def item_access(
        self, document_id: str, user: str, provider_id: str, *, index_id: str = ""
    ) -> tuple[bool | None, bool]:
        """
        Return whether the service lets a user see an item, and whether somebody not logged in does.

        :param document_id: the item's URI
        :param user: its name, in any case
        :param provider_id: the security provider that the name is of
        :return: ``None`` for the user where no permission says anything about it
        :raises NotFound: the index does not hold the item
        """
        route = _of_item(routes.EFFECTIVE_PERMISSIONS, self, document_id, index_id)
        wanted = (user.casefold(), provider_id.casefold())

        def page(number: int) -> tuple[Verdicts, int]:
            query = {"page": str(number), "perPage": str(_PER_PAGE), "includedEntities": "ALL"}
            return self._ask(route, reading.verdict_page, query)

        anonymous = False
        for found, anonymous in paged(page, _PAGES):
            if wanted in found:
                return found[wanted], anonymous
        return None, anonymous

    def identity_parents(self, identity: IndexedIdentity) -> list[IndexedIdentity]:
        """Return the groups that an identity is directly a member of; none where the cache does not know it."""
        try:
            return list(self._parents(identity))
        except NotFound as error:
            if error.code == "ORGANIZATION_NOT_FOUND":
                raise
            return []

    def _parents(self, identity: IndexedIdentity) -> Iterator[IndexedIdentity]:
        route = routes.IDENTITY_PARENTS.at(provider_id=identity.provider_id)
        body = json.dumps(
            {"name": identity.name, "type": identity.type, "provider": identity.provider_id, "infos": []}
        ).encode()

        def page(number: int) -> tuple[list[IndexedIdentity], int]:
            query = {"page": str(number), "pageSize": str(_PER_PAGE), "recursive": "false"}
            return self._ask(route, reading.identity_page, query, body=body)

        return chain.from_iterable(paged(page, _PAGES))


def _of_item(route: Route, caller: Caller, document_id: str, index_id: str) -> Route:
    segment("document_id", document_id)
    # Clients encode it twice, since the platform decodes a path before it looks for the route.
    once = percent_encoded("document_id", document_id)
    return route.at(index_id=index_id or caller.organization_id, document_id=once)

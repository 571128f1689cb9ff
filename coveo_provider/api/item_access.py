"""
The platform's calls on who sees an indexed item: its permissions, what they come to, and who belongs to whom.

The two calls on an item are those of Coveo's platform client; no published description has them
(``docs/api-notes.md``, "Security identities").
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from coveo_provider.api import routes
from coveo_provider.api.answers import Answer
from coveo_provider.api.caller import Caller
from coveo_provider.api.routes import Route, percent_encoded, segment
from coveo_provider.api.types import IndexedIdentity
from coveo_provider.errors import NotFound, UnexpectedAnswer

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
        return self._ask(_of_item(routes.ITEM_PERMISSIONS, self, document_id, index_id), _levels)

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
        anonymous = False
        for page in range(_PAGES):
            query = {"page": str(page), "perPage": str(_PER_PAGE), "includedEntities": "ALL"}
            found, pages, anonymous = self._ask(route, _verdicts, query)
            if wanted in found:
                return found[wanted], anonymous
            if page + 1 >= pages:
                break
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
        for page in range(_PAGES):
            query = {"page": str(page), "pageSize": str(_PER_PAGE), "recursive": "false"}
            found, pages = self._ask(route, _identities, query, body=body)
            yield from found
            if page + 1 >= pages:
                return


def _of_item(route: Route, caller: Caller, document_id: str, index_id: str) -> Route:
    segment("document_id", document_id)
    # Clients encode it twice, since the platform decodes a path before it looks for the route.
    once = percent_encoded("document_id", document_id)
    return route.at(index_id=index_id or caller.organization_id, document_id=once)


def _levels(answer: Answer) -> list[dict[str, Any]]:
    """
    Return levels as they are pushed.

    :raises UnexpectedAnswer: they are no levels of sets of permissions
    """
    return [
        {
            "name": _text(level.get("name")),
            "permissionSets": [
                {
                    "allowAnonymous": each.get("anonymousAllowed") is True,
                    "allowedPermissions": _entries(answer, each, allowed=True),
                    "deniedPermissions": _entries(answer, each, allowed=False),
                }
                for each in _objects(answer, level, "permissionSets")
            ],
        }
        for level in _objects(answer, answer.fields(), "permissionLevels")
    ]


def _entries(answer: Answer, each: Mapping[str, Any], *, allowed: bool) -> list[dict[str, str]]:
    return [
        {
            "identity": _text(one.get("identity")),
            "identityType": _text(one.get("identityType")),
            "securityProvider": _text(one.get("securityProvider")),
        }
        for one in _objects(answer, each, "permissions")
        if (one.get("allowed") is True) is allowed
    ]


def _verdicts(answer: Answer) -> tuple[dict[tuple[str, str], bool], int, bool]:
    """
    Return who may see the item, by name and provider, how many pages there are, and whether everybody may.

    :raises UnexpectedAnswer: it is no page of them
    """
    page = answer.fields()
    found = {
        (_text(one.get("identity")).casefold(), _text(one.get("securityProvider")).casefold()): (
            one.get("allowed") is True
        )
        for one in _objects(answer, page, "items")
    }
    return found, _pages(answer, page), page.get("anonymousAllowed") is True


def _identities(answer: Answer) -> tuple[list[IndexedIdentity], int]:
    page = answer.fields()
    found = [
        IndexedIdentity(_text(one.get("name")), _text(one.get("type")), _text(one.get("provider")))
        for one in _objects(answer, page, "items")
        if _text(one.get("name"))
    ]
    return found, _pages(answer, page)


def _pages(answer: Answer, page: Mapping[str, Any]) -> int:
    count = page.get("totalPages")
    if isinstance(count, bool) or not isinstance(count, int):
        raise UnexpectedAnswer(answer.route, "totalPages")
    return count


def _objects(answer: Answer, holder: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = holder.get(name)
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise UnexpectedAnswer(answer.route, name)
    return found


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""

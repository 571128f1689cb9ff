"""Who sees an item: the service's own answer, and the way that leads to it where the security cache shows it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coveo_provider.api.client import CoveoClient
    from coveo_provider.identities.graph import IdentityGraph

_MOST_GROUPS = 1_000  # around one user, each of which is a call


@dataclass(frozen=True)
class Explained:
    """
    Whether a user sees an item.

    :param allowed: as the service says
    :param reason: one sentence
    :param path: from the user through groups to the entry that decided; empty when it is not known
    """

    allowed: bool
    reason: str
    path: tuple[str, ...] = ()


def explained(
    client: CoveoClient, item: str, user: str, provider: str, visibility: str, index: str
) -> Explained:
    """
    Ask whether a user sees an item, and find the way.

    :param user: its name; empty for somebody who is not logged in
    :param provider: the security provider that the name is of
    :param visibility: of the source
    :param index: the organization's index; empty for the usual one
    :raises NotFound: the index does not hold the item
    """
    from coveo_provider.documents.permissions.models import PermissionIdentity, Permissions
    from coveo_provider.identities.access import explain_access

    levels = client.item_permissions(item, index_id=index)
    if visibility != "SECURED":
        sees = visibility == "SHARED"
        whom = "everybody sees what it holds" if sees else "only its owner sees what it holds"
        return Explained(sees, f"the source is {visibility or 'of unknown visibility'}: {whom}")
    said, anonymous = client.item_access(item, user, provider, index_id=index)
    if anonymous and not user:
        return Explained(True, "its permissions allow everybody")
    who = PermissionIdentity.user(user, provider) if user else None
    graph = _around(client, user, provider) if user else None
    found = explain_access(Permissions.parse(levels), who, graph)
    allowed = said if said is not None else anonymous and found.allowed
    if not user or found.allowed is allowed:
        return Explained(allowed, found.reason, tuple(map(str, found.path)))
    return Explained(
        allowed,
        f"the service {'allows' if allowed else 'denies'} it, by an alias that its security cache does not show; "
        "--provider with the name in the directory's own provider shows the way",
    )


def _around(client: CoveoClient, user: str, provider: str) -> IdentityGraph:
    """Return the groups around a user, as the security cache knows them."""
    from coveo_provider.api.types import IndexedIdentity
    from coveo_provider.identities.graph import IdentityGraph
    from coveo_provider.identities.models import Identity, IdentityBody

    start = IndexedIdentity(user, "User", provider)
    members: dict[IndexedIdentity, list[Identity]] = {}
    seen, waiting = {start}, deque([start])
    while waiting and len(seen) < _MOST_GROUPS:
        one = waiting.popleft()
        for group in client.identity_parents(one):
            own = Identity(one.name, one.type)
            members.setdefault(group, []).append(own)
            if group not in seen:
                seen.add(group)
                waiting.append(group)
    graph = IdentityGraph(default_provider=provider)
    for group, inside in members.items():
        body = IdentityBody(Identity(group.name, group.type), members=tuple(inside))
        graph.add(body, provider=group.provider_id)
    return graph

"""Datasets of identities → who belongs to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coveo_provider.operators.support.datasets import open_parts
from coveo_provider.operators.support.storage import list_parts

if TYPE_CHECKING:
    from coveo_provider.identities.graph import IdentityGraph


def identity_graph(
    provider_id: str,
    *,
    members: Any = None,
    mappings: Any = None,
    deleted: Any = None,
    alias_provider: str = "Email Security Provider",
    case_sensitive: bool = False,
) -> IdentityGraph:
    """
    Return the identities that datasets tell of; each is a URI or a list of parts, or ``None``.

    :param provider_id: the provider they belong to, and that permissions mean which name none
    :param alias_provider: the provider that an alias means which names none
    :param case_sensitive: whether the provider tells names apart that differ in case only
    :raises DatasetError: a dataset is not what it should be
    """
    from coveo_provider.identities.graph import IdentityGraph

    given = {"members": members, "mappings": mappings, "deleted": deleted}
    uris = {kind: list_parts(uri, kind) if uri is not None else [] for kind, uri in given.items()}
    graph = IdentityGraph(
        default_provider=provider_id,
        alias_provider=alias_provider,
        case_sensitive=(provider_id,) if case_sensitive else (),
    )
    with (
        open_parts(uris["members"]) as opened_members,
        open_parts(uris["mappings"]) as opened_mappings,
        open_parts(uris["deleted"]) as opened_deleted,
    ):
        graph.read(members=opened_members, mappings=opened_mappings, deleted=opened_deleted)
    return graph

"""Every call of the client, with the least and with the most that can be said in it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from coveo_provider.api.client import CoveoClient
from coveo_provider.api.types import IndexedIdentity, MappingRule, SourceKind, SourceVisibility

PROVIDER = "My Directory"
EMAIL = "Email Security Provider"


@dataclass(frozen=True)
class Use:
    """
    One use of a method of the client.

    :param prepare: makes what the call needs, and returns the call itself
    """

    method: str
    prepare: Callable[[CoveoClient], Callable[[], Any]]


def container(client: CoveoClient, content: Any) -> str:
    """Make a container with this content and return its id."""
    made = client.create_file_container()
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    client.upload(made, io.BytesIO(body), len(body))
    return made.file_id


def mark(client: CoveoClient) -> int:
    """Return a mark that is not ahead."""
    return client.server_time_ms("files") - 1_000


def _an_hour_ago(client: CoveoClient) -> int:
    return mark(client) - 3_600_000


def use(method: str, *arguments: Any, **named: Any) -> Use:
    """Describe a use; of an argument that is a function the result is passed, called with the client."""

    def prepare(client: CoveoClient) -> Callable[[], Any]:
        arguments_now = [one(client) if callable(one) else one for one in arguments]
        named_now = {name: one(client) if callable(one) else one for name, one in named.items()}
        return lambda: _made(getattr(client, method)(*arguments_now, **named_now))

    return Use(method, prepare)


def _made(result: Any) -> Any:
    """Make the calls of a result that comes page by page."""
    return list(result) if isinstance(result, Iterator) else result


def _contents(**arrays: Any) -> Callable[[CoveoClient], str]:
    return lambda client: container(client, arrays)


def _open(client: CoveoClient) -> str:
    return client.open_stream("products").stream_id


def _open_collection(client: CoveoClient) -> str:
    return client.open_collection_stream("stock").stream_id


def _body(**keys: Any) -> bytes:
    return json.dumps(keys).encode()


ID = "https://example.com/a b?x=1&y=#Zürich"
DOCUMENT = {"documentId": "product://1", "ec_name": "Boot", "ec_price": 9.5, "sizes": [1, 2], "new": True}
FULL_BODY = _body(
    data="Text",
    fileExtension=".txt",
    parentId="file://parent",
    title="Größe",
    rank=5,
    tags=["a", "b"],
    prices={"": 1.5, "store1": 2},
    permissions=[
        {
            "allowAnonymous": False,
            "allowedPermissions": [{"identity": "HR", "identityType": "Group", "securityProvider": PROVIDER}],
            "deniedPermissions": [{"identity": "ann", "identityType": "User"}],
        }
    ],
)
LEVELS = _body(data="Text", permissions=[{"name": "one", "permissionSets": [{"allowAnonymous": True}]}])
GROUP = {
    "identity": {"name": "HR", "type": "GROUP", "additionalInfo": {"site": "B"}},
    "members": [{"name": "ann", "type": "USER"}, {"name": "Temps", "type": "VIRTUAL_GROUP"}],
    "wellKnowns": [{"name": "Everyone", "type": "GROUP"}],
}
ALIAS = {
    "identity": {"name": "ann", "type": "USER"},
    "mappings": [{"name": "ann@example.com", "type": "USER", "provider": EMAIL}],
}
GONE = {"identity": {"name": "bob", "type": "USER"}}

USES = (
    *(use("set_source_status", "files", status) for status in ("REBUILD", "REFRESH", "INCREMENTAL", "IDLE")),
    use("put_item", "files", "file://a", _body(data="Text")),
    use("put_item", "files", ID, FULL_BODY, ordering_id=mark),
    use("put_item", "hr", "file://levels", LEVELS),
    *(
        use(
            "put_item", "files", "file://z", _body(compressedBinaryData="eJwDAAAAAAE="), compression_type=kind
        )
        for kind in ("uncompressed", "ZLib", "GZIP", "LZMA", "Deflate")
    ),
    use("delete_item", "files", "file://a"),
    use("delete_item", "files", ID, delete_children=True, ordering_id=mark),
    use("push_batch", "files", _contents(addOrUpdate=[DOCUMENT])),
    use("push_batch", "files", _contents(delete=[{"documentId": "file://a"}]), ordering_id=mark),
    use("delete_items_older_than", "files", mark),
    use("delete_items_older_than", "files", mark, queue_delay=0),
    use("create_file_container"),
    use("open_stream", "products"),
    use("request_chunk", "products", _open),
    use("close_stream", "products", _open),
    use("update_stream", "products", _contents(addOrUpdate=[DOCUMENT])),
    use("merge_stream", "products", _contents(addOrMerge=[DOCUMENT])),
    use("delete_stream_items_older_than", "products", mark, queue_delay=1_440),
    use("open_collection_stream", "stock"),
    use("request_collection_chunk", "stock", _open_collection),
    use("close_collection_stream", "stock", _open_collection),
    use("update_collection", "stock", _contents(addOrUpdate=[DOCUMENT])),
    use("merge_collection", "stock", _contents(addOrMerge=[DOCUMENT])),
    use("delete_collection_items_older_than", "stock", mark),
    use("put_identity", PROVIDER, _body(**GROUP)),
    use("put_identity", PROVIDER, _body(**GONE), ordering_id=mark),
    use("put_alias", PROVIDER, _body(**ALIAS), ordering_id=mark),
    use("disable_identity", PROVIDER, _body(**GONE), ordering_id=mark),
    use("push_identities", PROVIDER, _contents(members=[GROUP], mappings=[ALIAS], deleted=[GONE])),
    use("push_identities", PROVIDER, _contents(members=[GROUP]), ordering_id=mark),
    use("disable_identities_older_than", PROVIDER, mark),
    use("disable_identities_older_than", PROVIDER, mark, queue_delay=0),
)
"""Those of the Push description."""

PROVIDER_MODEL = {
    "id": "Other",
    "displayName": "Other",
    "type": "EXPANDED",
    "nodeRequired": False,
    "referencedBy": [{"id": "files", "type": "SOURCE"}],
    "cascadingSecurityProviders": {"EmailSecurityProvider": {"id": EMAIL, "name": EMAIL, "type": "EMAIL"}},
}

PLATFORM_USES = (
    use("get_source", "files"),
    use("get_source", "products"),
    use("count_sources"),
    use("field_names"),
    use("fields"),
    use("list_sources"),
    use("identity_parents", IndexedIdentity("ann", "User", PROVIDER)),
    use("find_sources", "files"),
    use("find_sources", "x"),
    use("create_source", "New files", SourceKind.PUSH, SourceVisibility.SECURED),
    use("create_source", "New products", SourceKind.CATALOG, SourceVisibility.SHARED),
    use("create_fields", [{"name": "weight", "type": "DOUBLE"}, {"name": "weight", "type": "DOUBLE"}]),
    use("update_fields", [{"name": "none", "type": "STRING", "facet": True}]),
    use("server_time_ms", "files"),
    use("identity_mark", PROVIDER),
    use("source_logs", "files", _an_hour_ago),
    use(
        *("source_logs", "files", _an_hour_ago, mark),
        results=["ERROR", "REJECTED"],
        operations=["ADD", "UPDATE"],
        tasks=["CONSUMING", "INDEXING"],
        document_id=ID,
    ),
    use("source_log_counts", "files", _an_hour_ago),
    use("source_log_counts", "files", _an_hour_ago, mark, results=["COMPLETED"], tasks=["INDEXING"]),
    use("count_identities", PROVIDER),
    use("get_security_provider", PROVIDER),
    use("get_security_provider", EMAIL),
    use("create_security_provider", PROVIDER_MODEL),
    use("ensure_security_provider", PROVIDER, source_ids=["files", "products"]),
    use("update_security_provider", PROVIDER, {**PROVIDER_MODEL, "id": PROVIDER, "displayName": PROVIDER}),
)
"""Those of the platform."""

UNDESCRIBED_USES = (
    use("add_mapping_rule", "files", MappingRule("color", ("%[Colour]", "%[shade]"))),
    use("has_privilege", "SOURCE", "VIEW"),
    use("item_permissions", "file://a"),
    use("item_access", "file://a", "ann@example.com", EMAIL),
)
"""Those of the platform that Coveo's pages or clients name, and no description has."""

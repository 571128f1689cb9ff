"""A small organization to push, and the published examples of permissions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import requests

from coveo_provider.sandbox import Sandbox
from tests.sandbox.caller import Caller

EMAIL = "Email Security Provider"
PROVIDER = "My Security Identity Provider"


def who(name: str, kind: str = "USER", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


def group(name: str, *members: dict[str, Any], kind: str = "GROUP", **more: Any) -> dict[str, Any]:
    return {"identity": who(name, kind), "members": list(members), **more}


def alias(name: str, *others: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"identity": who(name), "mappings": list(others), **more}


def named(name: str, kind: str = "User", **more: Any) -> dict[str, Any]:
    return {"identity": name, "identityType": kind, **more}


def one_set(
    allowed: Sequence[Any] = (), denied: Sequence[Any] = (), anonymous: bool = False
) -> dict[str, Any]:
    return {
        "allowAnonymous": anonymous,
        "allowedPermissions": list(allowed),
        "deniedPermissions": list(denied),
    }


def level(*sets: dict[str, Any], name: str = "level") -> dict[str, Any]:
    return {"name": name, "permissionSets": list(sets)}


class Organization(Caller):
    """A caller with a secured source ``hr``, linked to one provider that cascades to the e-mail provider."""

    def __init__(self, sandbox: Sandbox, **more: Any) -> None:
        super().__init__(sandbox, **more)
        if "hr" not in {one.id for one in sandbox.state.sources.all()}:
            sandbox.add_source("hr", visibility="SECURED")
            sandbox.add_security_provider(PROVIDER, sources=["hr"])

    def identity(
        self, method: str, path: str, body: Any = None, provider: str = PROVIDER, **query: Any
    ) -> requests.Response:
        path = f"/providers/{provider.replace(' ', '%20')}{path}"
        return self.push(method, path, params=query, json=body)

    def push_identity(self, body: Any, **more: Any) -> requests.Response:
        return self.identity("PUT", "/permissions", body, **more)

    def push_alias(self, body: Any, **more: Any) -> requests.Response:
        return self.identity("PUT", "/mappings", body, **more)

    def disable(self, body: Any, **more: Any) -> requests.Response:
        return self.identity("DELETE", "/permissions", body, **more)

    def expand(self, content: object, provider: str = PROVIDER, **query: Any) -> requests.Response:
        """Push a batch of identities."""
        file_id = self.container(content)
        return self.identity("PUT", "/permissions/batch", provider=provider, fileId=file_id, **query)

    def disable_older(self, ordering: object, **more: Any) -> requests.Response:
        return self.identity("DELETE", "/permissions/olderthan", orderingId=ordering, **more)

    def secure(self, permissions: Any, uri: str = "file://a", source: str = "hr") -> requests.Response:
        """Push an item with permissions."""
        return self.put(uri, {"data": "x", "permissions": permissions}, source)

    def sees(self, user: str | None, provider: str | None = PROVIDER, uri: str = "file://a") -> bool:
        self.sandbox.drain()
        return self.sandbox.can_see("hr", uri, user, provider)

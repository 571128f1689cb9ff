"""A sandbox with something on each of its pages."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterator

import pytest

from coveo_provider.sandbox import Quotas, Sandbox
from tests.sandbox.organization import EMAIL, PROVIDER, Organization, alias, group, level, named, one_set, who

SCRIPT = "<script>alert('x')</script> & Größe"


def fill(sandbox: Sandbox) -> None:
    """Push groups, an alias, secured items, packed bodies, a load of 120 products, and what is refused."""
    caller = Organization(sandbox)
    caller.push_identity(group("engineering", who("bob@example.com"), who("platform", "GROUP")))
    caller.push_identity(group("platform", who("cid@example.com")))
    caller.push_alias(alias("cid@example.com", {"name": "cid@corp.com", "type": "USER", "provider": EMAIL}))
    caller.secure([level(one_set([named("engineering", "Group")], [named("bob@example.com")]))])
    caller.put("file://b", {"data": SCRIPT, "title": SCRIPT, "permissions": [one_set(anonymous=True)]}, "hr")
    packed = base64.b64encode(zlib.compress(b"packed text")).decode()
    caller.put("file://c", {"compressedBinaryData": packed, "compressionType": "ZLIB"}, "files")
    caller.push("POST", "/sources/hr/status", params={"statusType": "REBUILD"})
    products = [
        {
            "documentId": f"product://{number:03}",
            "title": f"Shoe {number}",
            "Color": ["red", "blue"][number % 2],
        }
        for number in range(120)
    ]
    caller.load({"addOrUpdate": products})
    caller.update(
        {"addOrUpdate": [{"documentId": "no-uri"}, {"documentId": "product://007", "title": "Bond"}]}
    )
    sandbox.settle()


@pytest.fixture(scope="module")
def filled() -> Iterator[Sandbox]:
    with Sandbox.start(quotas=Quotas.production()) as sandbox:
        fill(sandbox)
        yield sandbox


PAGES = {
    "sources": "/",
    "a source": "/ui/source?source=products",
    "items": "/ui/items?source=products",
    "an item": "/ui/item?source=hr&id=file%3A//a&user=cid%40corp.com",
    "another item": "/ui/item?source=hr&id=file%3A//b",
    "a log": "/ui/log?source=products",
    "security": "/ui/security",
    "a provider": f"/ui/provider?provider={PROVIDER.replace(' ', '%20')}",
    "an identity": f"/ui/identity?provider={PROVIDER.replace(' ', '%20')}&name=engineering&type=GROUP",
    "calls": "/ui/calls",
    "faults": "/ui/faults",
}

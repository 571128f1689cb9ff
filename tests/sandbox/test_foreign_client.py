"""
Somebody else's client works unchanged but for its host: all that ``coveo-push-api-client.py`` can do.

:mod:`tests.sandbox.test_javascript_client` does the same with the JavaScript client.
"""

from __future__ import annotations

import base64
import zlib
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from push_api_clientpy import (
    AliasMapping,
    AnySecurityIdentityBuilder,
    BackoffOptions,
    BatchDelete,
    BatchUpdate,
    BatchUpdateDocuments,
    DocumentBuilder,
    FileContainer,
    GroupSecurityIdentityBuilder,
    IdentityModel,
    PlatformClient,
    SecurityIdentityAliasModel,
    SecurityIdentityBatchConfig,
    SecurityIdentityDelete,
    SecurityIdentityDeleteOptions,
    SecurityIdentityModel,
    Source,
    UserSecurityIdentityBuilder,
    VirtualGroupSecurityIdentityBuilder,
    documentbuilder,
)
from requests.adapters import HTTPAdapter

from coveo_provider.sandbox import Answer, IdentityView, Sandbox
from tests.sandbox.caller import problems
from tests.sandbox.organization import EMAIL, PROVIDER

URL = "https://example.com"
MARK = 1_500_000_000_000


class Rehost(requests.Session):
    """Sends what is meant for Coveo's hosts to the sandbox; nothing else is changed."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__()
        self.trust_env = False
        self._url = sandbox.url

    def mount(self, prefix: str | bytes, adapter: Any) -> None:
        """Retry over ``http`` as the client asks for ``https``."""
        super().mount(prefix, adapter)
        if prefix == "https://" and isinstance(adapter, HTTPAdapter):
            super().mount("http://", adapter)

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        assert isinstance(url, str)
        for host in ("https://api.cloud.coveo.com", "https://platform.cloud.coveo.com"):
            url = url.replace(host, self._url)
        return super().request(method, url, *args, **kwargs)


def connect(sandbox: Sandbox, key: str | None = None, retries: int = 3) -> Source:
    """The client's two layers, with its own retries, which do not wait here."""
    options = BackoffOptions(retry_after=0, max_retries=retries)
    key = key or sandbox.api_key
    source = Source(key, sandbox.organization_id, options)
    source.client = PlatformClient(key, sandbox.organization_id, options, session=Rehost(sandbox))
    return source


@pytest.fixture
def client(sandbox: Sandbox) -> Source:
    return connect(sandbox)


@pytest.fixture
def directory(sandbox: Sandbox) -> Sandbox:
    """A sandbox with a secured source and a security provider linked to it."""
    sandbox.add_source("hr", visibility="SECURED")
    sandbox.add_security_provider(PROVIDER, sources=["hr"])
    return sandbox


def document(name: str) -> DocumentBuilder:
    return DocumentBuilder(f"{URL}/{name}", name)


def person(name: str, kind: str = "USER", **more: str) -> IdentityModel:
    return IdentityModel(AdditionalInfo=more, Name=name, Type=kind)


def identities(sandbox: Sandbox) -> dict[str, IdentityView]:
    sandbox.settle()
    return {one.name: one for one in sandbox.identities(PROVIDER)}


# -- sources and items ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("visibility", ["PRIVATE", "SECURED", "SHARED"])
def test_a_source_is_created(sandbox: Sandbox, client: Source, visibility: Any) -> None:
    """It is a Push source of that visibility."""
    answer = client.create(f"a {visibility} source", visibility)
    assert answer.status_code == 201
    made = sandbox.source(answer.json()["id"])
    assert (made.name, made.kind, made.visibility) == (f"a {visibility} source", "PUSH", visibility)
    assert answer.json()["pushEnabled"] is True


def test_an_item_with_everything_the_builder_takes(directory: Sandbox, client: Source) -> None:
    """Every method of the builder arrives in the index."""
    builder = (
        document("full")
        .withData("all of the text")
        .withDate("2024-02-03T04:05:06Z")
        .withModifiedDate(datetime(2025, 1, 2, 3, 4, 5))
        .withPermanentId("0123456789")
        .withFileExtension(".txt")
        .withParentId(f"{URL}/parent")
        .withClickableUri(f"{URL}/click")
        .withAuthor("ann@example.com")
        .withMetadataValue("size", 3)
        .withMetadata({"tags": ["a", "b"], "rating": 4.5, "sizes": [1, 2]})
        .withAllowedPermissions(UserSecurityIdentityBuilder("ann@example.com"))
        .withAllowedPermissions(UserSecurityIdentityBuilder(["bea", "carl"], PROVIDER))
        .withAllowedPermissions(GroupSecurityIdentityBuilder(["Team", "Club"], PROVIDER))
        .withAllowedPermissions(VirtualGroupSecurityIdentityBuilder("Visitors", PROVIDER))
        .withDeniedPermissions(GroupSecurityIdentityBuilder("Interns", PROVIDER))
        .withDeniedPermissions(VirtualGroupSecurityIdentityBuilder(["Guests"], PROVIDER))
        .withDeniedPermissions(AnySecurityIdentityBuilder("zoe", "UNKNOWN", PROVIDER))
        .withAllowAnonymousUsers(False)
    )
    answer = client.addOrUpdateDocument("hr", builder)
    assert (answer.status_code, answer.json()) == (202, {})
    directory.settle()
    held = directory.items("hr")[f"{URL}/full"]
    permissions = held.pop("permissions")
    assert held == {
        "documentId": f"{URL}/full",
        "title": "full",
        "data": "all of the text",
        "date": "2024-02-03T04:05:06+00:00",
        "modifiedDate": "2025-01-02T03:04:05",
        "permanentId": "0123456789",
        "fileExtension": ".txt",
        "parentId": f"{URL}/parent",
        "clickableUri": f"{URL}/click",
        "author": "ann@example.com",
        "size": 3,
        "tags": ["a", "b"],
        "rating": 4.5,
        "sizes": [1, 2],
    }
    (one,) = permissions
    assert one["allowAnonymous"] is False
    assert [entry["identity"] for entry in one["allowedPermissions"]] == [
        "ann@example.com", "bea", "carl", "Team", "Club", "Visitors",
    ]  # fmt: skip
    assert [(entry["identity"], entry["identityType"]) for entry in one["deniedPermissions"]] == [
        ("Interns", "GROUP"), ("Guests", "VIRTUAL_GROUP"), ("zoe", "UNKNOWN"),
    ]  # fmt: skip
    assert directory.can_see("hr", f"{URL}/full", "ann@example.com")
    assert not directory.can_see("hr", f"{URL}/full", None)
    assert not directory.can_see("hr", f"{URL}/full", "zoe", PROVIDER)


def test_what_the_builder_fills_in(sandbox: Sandbox, client: Source) -> None:
    """A permanent id, a date of a number, and a set that lets everybody in."""
    client.addOrUpdateDocument("files", document("plain").withDate(1_700_000_000))
    sandbox.settle()
    held = sandbox.items("files")[f"{URL}/plain"]
    assert len(held["permanentId"]) == 60
    assert held["date"] == datetime.fromtimestamp(1_700_000_000).isoformat()
    assert held["permissions"] == [
        {"allowedPermissions": [], "deniedPermissions": [], "allowAnonymous": True}
    ]
    assert sandbox.can_see("files", f"{URL}/plain", None)


def test_what_the_builder_refuses(sandbox: Sandbox, client: Source) -> None:
    """Nothing of it is sent: reserved keys, an extension without its dot, two contents."""
    both = document("a").withData("x").withCompressedBinaryData("eJwD", "ZLIB")
    with pytest.raises(documentbuilder.Error, match="reserved"):
        document("a").withMetadataValue("orderingId", 1)
    with pytest.raises(documentbuilder.Error, match="reserved"):
        document("a").withMetadata({"documentId": "x"})
    with pytest.raises(documentbuilder.Error, match="leading"):
        document("a").withFileExtension("txt")
    with pytest.raises(documentbuilder.Error, match="both data and binary"):
        client.addOrUpdateDocument("files", both)
    assert sandbox.calls == []


@pytest.mark.parametrize("kind", ["UNCOMPRESSED", "DEFLATE", "GZIP", "LZMA", "ZLIB"])
def test_a_compressed_item(sandbox: Sandbox, client: Source, kind: Any) -> None:
    """Every type of compression in a batch: its entry names the type."""
    content = base64.b64encode(zlib.compress(b"the text")).decode()
    batch = BatchUpdate(addOrUpdate=[document(kind).withCompressedBinaryData(content, kind)], delete=[])
    assert client.batchUpdateDocuments("files", batch).status_code == 202
    sandbox.settle()
    held = sandbox.items("files")[f"{URL}/{kind}"]
    assert (held["compressedBinaryData"], held["compressionType"]) == (content, kind)


def test_a_batch_adds_and_deletes(sandbox: Sandbox, client: Source) -> None:
    """One container of both, deletions with their children and without."""
    for name in ("one", "two", "two/a", "three", "three/a"):
        client.addOrUpdateDocument("files", document(name).withData("text"))
    batch = BatchUpdate(
        addOrUpdate=[document("four"), document("five").withMetadata({"tags": ["a", "b"], "size": 3})],
        delete=[
            BatchDelete(f"{URL}/one", False),
            BatchDelete(f"{URL}/two", True),
            BatchDelete(f"{URL}/three", False),
        ],
    )
    assert client.batchUpdateDocuments("files", batch).status_code == 202
    sandbox.settle()
    assert sorted(sandbox.items("files")) == [f"{URL}/{name}" for name in ("five", "four", "three/a")]
    assert sandbox.items("files")[f"{URL}/five"]["tags"] == ["a", "b"]
    assert {result for _, _, result, _ in problems(sandbox, "files")} == {"WARNING"}  # everybody is let in


def test_the_parts_of_a_batch_one_by_one(sandbox: Sandbox, client: Source) -> None:
    """The lower layer's calls: container, upload, push."""
    platform = client.client
    made = FileContainer(**platform.createFileContainer().json())
    content = BatchUpdateDocuments(addOrUpdate=[document("one").marshal()], delete=[])
    assert platform.uploadContentToFileContainer(made, content).status_code == 200
    assert platform.pushFileContainerContent("files", made).status_code == 202
    assert platform.pushDocument("files", document("two").marshal()).status_code == 202
    assert platform.createSource("more", "SHARED").status_code == 201
    sandbox.settle()
    assert sorted(sandbox.items("files")) == [f"{URL}/one", f"{URL}/two"]


def test_items_are_deleted(sandbox: Sandbox, client: Source) -> None:
    """By the lower layer only: the upper one forgets an argument, and sends nothing."""
    for name in ("a", "a/1", "b", "b/1"):
        client.addOrUpdateDocument("files", document(name))
    assert client.client.deleteDocument("files", f"{URL}/a", True).status_code == 202
    assert client.client.deleteDocument("files", f"{URL}/b", False).status_code == 202
    with pytest.raises(TypeError, match="deleteChildren"):
        client.deleteDocument("files", f"{URL}/b/1")
    sandbox.settle()
    assert sorted(sandbox.items("files")) == [f"{URL}/b/1"]


# -- identities ----------------------------------------------------------------------------------------------


def test_an_identity_is_made_changed_and_disabled(directory: Sandbox, client: Source) -> None:
    """Members, grants and additional information, then its end."""
    team = person("Team", "GROUP", department="R&D")
    model = SecurityIdentityModel(
        Identity=team, Members=[person("ann"), person("bea")], WellKnowns=[person("Everyone", "GROUP")]
    )
    assert client.createOrUpdateSecurityIdentity(PROVIDER, model).status_code == 202
    held = identities(directory)["Team"]
    assert (held.type, held.state, held.members, held.granted) == (
        *("GROUP", "UP_TO_DATE"),
        ("ann", "bea"),
        ("Everyone",),
    )
    assert held.additional_info == {"department": "R&D"}
    model.Members.pop()
    assert client.createOrUpdateSecurityIdentity(PROVIDER, model).status_code == 202
    assert identities(directory)["Team"].members == ("ann",)
    assert client.deleteSecurityIdentity(PROVIDER, SecurityIdentityDelete(team)).status_code == 202
    assert identities(directory)["Team"].state == "DISABLED"


def test_an_alias_lets_a_person_in(directory: Sandbox, client: Source) -> None:
    """Who logs in with the address sees what the member sees."""
    client.createOrUpdateSecurityIdentity(
        PROVIDER, SecurityIdentityModel(person("Team", "GROUP"), [], [person("ann")])
    )
    address = AliasMapping(AdditionalInfo={}, Name="ann@example.com", Type="USER", Provider=EMAIL)
    alias = SecurityIdentityAliasModel(person("ann"), [person("Everyone", "GROUP")], [address])
    assert client.createOrUpdateSecurityIdentityAlias(PROVIDER, alias).status_code == 202
    item = document("plan").withAllowedPermissions(GroupSecurityIdentityBuilder("Team", PROVIDER))
    client.addOrUpdateDocument("hr", item.withAllowAnonymousUsers(False))
    held = identities(directory)["ann"]
    assert (held.aliases, held.granted) == (((EMAIL, "ann@example.com"),), ("Everyone",))
    assert directory.can_see("hr", f"{URL}/plan", "ann@example.com")
    assert not directory.can_see("hr", f"{URL}/plan", "bea@example.com")


def test_a_batch_of_identities_and_the_end_of_the_old(directory: Sandbox, client: Source) -> None:
    """The caller uploads the container; what has a lower ordering id than the mark is disabled."""
    for ordering, name in ((MARK, "Old"), (MARK + 1, "New")):
        made = client.client.createFileContainer().json()
        content = {"members": [{"identity": person(name, "GROUP").toJSON(), "members": []}]}
        requests.put(made["uploadUri"], json=content, headers=made["requiredHeaders"], timeout=30)
        config = SecurityIdentityBatchConfig(FileID=made["fileId"], OrderingID=ordering)
        assert client.manageSecurityIdentities(PROVIDER, config).status_code == 202
    assert {name: one.ordering_id for name, one in identities(directory).items()} == {
        "Old": MARK,
        "New": MARK + 1,
    }
    options = SecurityIdentityDeleteOptions(QueueDelay=1, OrderingID=MARK + 1)
    assert client.deleteOldSecurityIdentities(PROVIDER, options).status_code == 202
    assert {name: one.state for name, one in identities(directory).items()} == {
        "Old": "DISABLED",
        "New": "UP_TO_DATE",
    }


# -- refusals and retries ------------------------------------------------------------------------------------


def test_a_refusal_is_an_answer(sandbox: Sandbox) -> None:
    """The client raises nothing: a wrong key, an unknown source, an unknown provider."""
    assert connect(sandbox, key="wrong").create("x", "SHARED").status_code == 401
    client = connect(sandbox)
    assert client.addOrUpdateDocument("none", document("a")).status_code == 412
    gone = SecurityIdentityDelete(person("ann"))
    assert client.deleteSecurityIdentity("none", gone).json()["errorCode"]


def test_429_is_retried(sandbox: Sandbox, client: Source) -> None:
    """As often as the options say, ``POST`` never, and ``Retry-After`` is not looked at."""
    sandbox.faults.add(route="item.put", action=Answer.throttled(3_600), times=3)
    assert client.addOrUpdateDocument("files", document("late")).status_code == 202
    assert [call.status for call in sandbox.calls] == [429, 429, 429, 202]
    sandbox.faults.add(route="item.put", action=Answer.throttled(), times=2)
    with pytest.raises(requests.exceptions.RetryError):
        connect(sandbox, retries=1).addOrUpdateDocument("files", document("never"))
    sandbox.faults.add(route="file.create", action=Answer.throttled())
    assert client.client.createFileContainer().status_code == 429
    sandbox.settle()
    assert sorted(sandbox.items("files")) == [f"{URL}/late"]


def test_nothing_of_the_client_is_left_out() -> None:
    """Each public method of its two layers and of the builder is called above."""
    text = Path(__file__).read_text()
    methods = [
        f".{name}("
        for kind in (Source, PlatformClient, DocumentBuilder)
        for name in vars(kind)
        if not name.startswith("_")
    ]
    assert len(methods) > 30
    assert [one for one in methods if one not in text] == []

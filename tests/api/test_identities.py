"""The client's calls on security identities and their providers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from coveo_provider.api.client import CoveoClient
from coveo_provider.api.providers import EMAIL_PROVIDER
from coveo_provider.errors import AccessDenied, ConfigurationError, NotFound, SourceRefused
from coveo_provider.sandbox import Sandbox

PROVIDER = "My Directory/ä"  # a name that has to be percent-encoded in a path


@pytest.fixture
def secured() -> Iterator[Sandbox]:
    """A sandbox with a provider whose name needs encoding."""
    with Sandbox.start(sources={"hr": "PUSH"}) as running:
        running.add_security_provider(PROVIDER, sources=["hr"])
        yield running


@pytest.fixture
def client(secured: Sandbox) -> Iterator[CoveoClient]:
    """A client of that sandbox."""
    with CoveoClient(secured.organization_id, secured.api_key, base_url=secured.url) as made:
        yield made


def body(name: str, **more: Any) -> bytes:
    return json.dumps({"identity": {"name": name, "type": "GROUP"}, **more}).encode()


def states(sandbox: Sandbox) -> dict[str, str]:
    return {identity.name: identity.state for identity in sandbox.identities(PROVIDER)}


def test_an_identity_is_put_and_disabled(secured: Sandbox, client: CoveoClient) -> None:
    """One identity comes with its members, and goes."""
    client.put_identity(PROVIDER, body("HR", members=[{"name": "ann", "type": "USER"}]))
    secured.settle()
    assert states(secured)["HR"] == "UP_TO_DATE"

    client.disable_identity(PROVIDER, body("HR"))
    secured.settle()
    assert states(secured)["HR"] == "DISABLED"


def test_an_alias_is_put(secured: Sandbox, client: CoveoClient) -> None:
    """An alias leads to another provider."""
    alias = {
        "identity": {"name": "ann", "type": "USER"},
        "mappings": [{"name": "ann@example.com", "type": "USER", "provider": EMAIL_PROVIDER}],
    }
    client.put_alias(PROVIDER, json.dumps(alias).encode())

    secured.settle()
    ann = next(identity for identity in secured.identities(PROVIDER) if identity.name == "ann")
    assert ann.aliases == ((EMAIL_PROVIDER, "ann@example.com"),)


def test_older_identities_are_disabled_by_the_providers_mark(secured: Sandbox, client: CoveoClient) -> None:
    """The mark is the server's time; what was pushed after it stays."""
    client.put_identity(PROVIDER, body("Old", members=[]))
    secured.settle()
    secured.clock.advance(seconds=3600)

    mark = client.identity_mark(PROVIDER)
    client.put_identity(PROVIDER, body("New", members=[]))
    client.disable_identities_older_than(PROVIDER, mark, queue_delay=0)

    secured.settle()
    assert states(secured) == {"Old": "DISABLED", "New": "UP_TO_DATE"}


@pytest.mark.parametrize("mark", [0, 123, "soon", None, True, 9_999_999_999_999])
def test_a_wrong_mark_is_refused(secured: Sandbox, client: CoveoClient, mark: Any) -> None:
    """A mark that would poison the provider never reaches it."""
    with pytest.raises(ConfigurationError):
        client.disable_identities_older_than(PROVIDER, mark)

    assert "identities.delete_older" not in {call.route for call in secured.calls}


def test_identities_are_counted_without_the_disabled(secured: Sandbox, client: CoveoClient) -> None:
    """The count is of what was pushed and is not disabled."""
    for name in ("A", "B", "C"):
        client.put_identity(PROVIDER, body(name, members=[{"name": "ann", "type": "USER"}]))
    client.disable_identity(PROVIDER, body("C"))
    secured.settle()

    assert client.count_identities(PROVIDER) == 2


def test_a_provider_is_created_then_left_alone(secured: Sandbox, client: CoveoClient) -> None:
    """Created once, leading to the Email provider, and linked."""
    assert client.ensure_security_provider("New One", source_ids=["hr"])
    assert not client.ensure_security_provider("New One", source_ids=["hr"])

    model = client.get_security_provider("New One")
    assert [entry["id"] for entry in model["referencedBy"]] == ["hr"]
    assert [entry["id"] for entry in model["cascadingSecurityProviders"].values()] == [EMAIL_PROVIDER]


def test_adding_a_source_keeps_the_rest(secured: Sandbox, client: CoveoClient) -> None:
    """What else the provider has is sent back as it was."""
    client.ensure_security_provider("Mine", source_ids=["hr"], case_sensitive=True)
    secured.add_source("two", kind="PUSH")

    assert client.ensure_security_provider("Mine", source_ids=["two"], cascades_to=[PROVIDER])

    model = client.get_security_provider("Mine")
    assert {entry["id"] for entry in model["referencedBy"]} == {"hr", "two"}
    assert {entry["id"] for entry in model["cascadingSecurityProviders"].values()} == {
        EMAIL_PROVIDER,
        PROVIDER,
    }
    assert model["caseSensitive"] is True


def test_what_is_unknown_is_said(client: CoveoClient) -> None:
    """A provider that does not exist is a 404 of the platform and a refusal of the Push API."""
    with pytest.raises(NotFound):
        client.get_security_provider("nowhere")
    with pytest.raises(SourceRefused):
        client.put_identity("nowhere", body("HR", members=[]))


def test_the_missing_privilege_is_named(secured: Sandbox) -> None:
    """A key that may push items only is told what identities need."""
    secured.add_key("push-key", privileges={"ORGANIZATION:VIEW", "SOURCE:EDIT"})
    with CoveoClient("sandbox", "push-key", base_url=secured.url) as client:
        with pytest.raises(AccessDenied, match=r"Security identity providers \(Edit\)"):
            client.put_identity(PROVIDER, body("HR", members=[]))
        with pytest.raises(AccessDenied, match=r"Security identity providers \(View\)"):
            client.get_security_provider(PROVIDER)

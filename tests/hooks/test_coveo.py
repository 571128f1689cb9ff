"""The hook: from an Airflow connection to a client."""

from __future__ import annotations

from typing import Any

import pytest
from airflow import __version__ as airflow_version

from coveo_provider.errors import ConfigurationError
from coveo_provider.hooks.coveo import CoveoHook
from coveo_provider.sandbox import Sandbox
from tests.conftest import Connect

LATER_THAN_3_1 = pytest.mark.skipif(
    airflow_version.startswith("3.1."),
    reason="Airflow 3.1 itself says that a connection with such an extra isn't defined",
)


def test_the_client_reaches_the_connections_organization(connected: Sandbox) -> None:
    """Login, password and host of the connection make a working client."""
    CoveoHook().client.set_source_status("files", "REBUILD")

    assert connected.source("files").status == "REBUILD"


def test_the_uri_form_of_a_connection_works(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection written as a URI says the same, its scheme behind the port."""
    port = sandbox.url.rsplit(":", 1)[1]
    monkeypatch.setenv(
        "AIRFLOW_CONN_COVEO_DEFAULT", f"coveo://sandbox:sandbox-key@127.0.0.1:{port}/http?timeout=5"
    )

    assert CoveoHook().client.get_source("files").push_enabled


@pytest.mark.parametrize(
    ("extra", "push_url", "platform_url"),
    [
        ({}, "https://api.cloud.coveo.com", "https://platform.cloud.coveo.com"),
        ({"region": "eu"}, "https://api-eu.cloud.coveo.com", "https://platform-eu.cloud.coveo.com"),
        (
            {"environment": "hipaa"},
            "https://apihipaa.cloud.coveo.com",
            "https://platformhipaa.cloud.coveo.com",
        ),
        (
            {"push_url": "https://push.example.com", "region": "ca"},
            "https://push.example.com",
            "https://platform-ca.cloud.coveo.com",
        ),
    ],
)
def test_extra_chooses_the_hosts(
    connect: Connect, extra: dict[str, Any], push_url: str, platform_url: str
) -> None:
    """Region, environment and overrides stand in extra."""
    connect(login="acme", password="secret-key", extra=extra)

    endpoints = CoveoHook().client.endpoints

    assert (endpoints.push_url, endpoints.platform_url) == (push_url, platform_url)


@pytest.mark.parametrize(
    ("host", "port", "url"),
    [
        ("https://gateway.example.com", 8443, "https://gateway.example.com:8443"),
        ("gateway.example.com", 8443, "https://gateway.example.com:8443"),
        ("https://gateway.example.com/coveo/", 8443, "https://gateway.example.com:8443/coveo"),
        ("https://gateway.example.com:8443/", 8443, "https://gateway.example.com:8443"),
        ("http://[::1]", 8040, "http://[::1]:8040"),
        ("https://gateway.example.com:8443", 0, "https://gateway.example.com:8443"),
        (None, 0, "https://api.cloud.coveo.com"),
    ],
)
def test_the_port_is_part_of_the_override(connect: Connect, host: str | None, port: int, url: str) -> None:
    """0 is none: the form asks for it."""
    connect(login="acme", password="secret-key", host=host, port=port)

    assert CoveoHook().client.endpoints.push_url == url


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"password": "secret-key"}, ["coveo_default", "organization id", "login"]),
        ({"login": "acme", "password": "secret-key", "port": 8443}, ["port 8443", "no host", "port 0"]),
        (
            {"login": "acme", "password": "secret-key", "port": 1, "host": "https://u:secret-key@e.com:2"},
            ["port 1", "Base URL", "port 0"],
        ),
        ({"login": "acme"}, ["coveo_default", "API key", "password"]),
        ({"login": "acme", "password": "secret-key", "extra": {"region": "mars"}}, ["region", "mars", "us"]),
        (
            {"login": "acme", "password": "secret-key", "extra": {"environment": "x"}},
            ["environment", "hipaa"],
        ),
        ({"login": "acme", "password": "secret-key", "host": "http://example.com"}, ["http://", "clear"]),
        ({"login": "acme", "password": "secret-key", "extra": {"timeout": "soon"}}, ["timeout", "seconds"]),
        ({"login": "acme", "password": "secret-key", "extra": {"verify": "/no/such"}}, ["verify", "CA"]),
    ],
)
def test_a_wrong_connection_says_which_field(
    connect: Connect, fields: dict[str, Any], words: list[str]
) -> None:
    """The message names the connection, the field and what was expected, and never the key."""
    connect(**fields)

    with pytest.raises(ConfigurationError) as raised:
        CoveoHook().client  # noqa: B018

    assert all(word in str(raised.value) for word in words)
    assert "secret-key" not in str(raised.value)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"regoin": "eu"}, ["'regoin'", "Did you mean region?"]),
        ({"Region": "eu"}, ["'Region'", "Did you mean region?"]),
        ({"regions": "eu"}, ["'regions'", "Did you mean region?"]),
        ({"extra__coveo__region": "eu"}, ["Did you mean region?"]),
        ({"enviroment": "hipaa"}, ["'enviroment'", "Did you mean environment?"]),
        ({"pushurl": "https://push.example.com"}, ["'pushurl'", "Did you mean push_url?"]),
        ({"platform-url": "https://example.com"}, ["Did you mean platform_url?"]),
        ({"verfy": "false"}, ["Did you mean verify?"]),
        ({"region": "eu", "comment": "mine"}, ["'comment'", "region, environment, push_url"]),
        ({"x" * 500: None}, ["'xxx", "region, environment, push_url"]),
        pytest.param('{"region": "eu"', ["extra is no JSON"], marks=LATER_THAN_3_1),
        pytest.param('["region", "eu"]', ["extra is list"], marks=LATER_THAN_3_1),
        pytest.param('"eu"', ["extra is str"], marks=LATER_THAN_3_1),
    ],
)
def test_a_misspelt_extra_sends_no_key_to_another_region(
    connect: Connect, extra: Any, words: list[str]
) -> None:
    """What cannot be read would be the default: the key of a European organization would go to the US."""
    connect(login="acme", password="secret-key", extra=extra)

    with pytest.raises(ConfigurationError, match="connection 'coveo_default': extra") as raised:
        CoveoHook().client  # noqa: B018

    assert all(word in str(raised.value) for word in words)
    assert len(str(raised.value)) < 400
    assert "secret-key" not in str(raised.value)


@pytest.mark.parametrize(
    "extra",
    [
        None,
        "",
        "{}",
        {"region": "", "timeout": None},
        pytest.param(" ", marks=LATER_THAN_3_1),
        pytest.param("null", marks=LATER_THAN_3_1),
    ],
)
def test_an_extra_may_be_empty(connect: Connect, extra: Any) -> None:
    """Then everything is as by default."""
    connect(login="acme", password="secret-key", extra=extra)

    assert CoveoHook().client.endpoints.push_url == "https://api.cloud.coveo.com"


def test_a_misspelt_extra_in_a_uri_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """There it stands in the query."""
    monkeypatch.setenv("AIRFLOW_CONN_COVEO_DEFAULT", "coveo://acme:secret-key@?regoin=eu")

    with pytest.raises(ConfigurationError, match="Did you mean region"):
        CoveoHook().client  # noqa: B018


def test_a_hook_is_made_without_any_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook built while a DAG is parsed touches neither database nor network."""
    monkeypatch.delenv("AIRFLOW_CONN_COVEO_DEFAULT", raising=False)

    CoveoHook("nowhere")


def test_testing_a_connection_names_the_organization(connected: Sandbox) -> None:
    """The form's test button makes one read and says who answered."""
    good, message = CoveoHook().test_connection()

    assert good
    assert "sandbox answered" in message
    assert [call.method for call in connected.calls] == ["GET"]


def test_testing_a_connection_names_the_missing_privilege(sandbox: Sandbox, connect: Connect) -> None:
    """A key that may only push is told which privilege the test would need."""
    sandbox.add_key("push-only-key", privileges={"ORGANIZATION:VIEW", "SOURCE:EDIT"})
    connect(sandbox, password="push-only-key")

    good, message = CoveoHook().test_connection()

    assert not good
    assert "Sources (View)" in message
    assert "push-only-key" not in message


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"password": "wrong-key"}, ["401", "API key"]),
        ({"login": "nobody"}, ["404", "organization id"]),
        ({"host": "http://127.0.0.1:9"}, ["no connection could be made", "Is coveo-sandbox running?"]),
        ({"login": ""}, ["organization id is missing"]),
    ],
)
def test_testing_a_wrong_connection_says_why(
    sandbox: Sandbox, connect: Connect, waits: list[float], fields: dict[str, Any], words: list[str]
) -> None:
    """The form shows a sentence, never a traceback or a key."""
    connect(sandbox, **fields)

    good, message = CoveoHook().test_connection()

    assert not good
    assert all(word in message for word in words)
    assert "wrong-key" not in message

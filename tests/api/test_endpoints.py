"""Where a key may travel to."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coveo_provider.api.endpoints import Endpoints, is_loopback, safe_url
from coveo_provider.api.routes import StreamRoutes, segment
from coveo_provider.errors import ConfigurationError


@pytest.mark.parametrize(
    ("region", "environment", "push", "platform"),
    [
        ("us", "production", "api.cloud.coveo.com", "platform.cloud.coveo.com"),
        ("ca", "production", "api-ca.cloud.coveo.com", "platform-ca.cloud.coveo.com"),
        ("EU ", "Production", "api-eu.cloud.coveo.com", "platform-eu.cloud.coveo.com"),
        ("au", "production", "api-au.cloud.coveo.com", "platform-au.cloud.coveo.com"),
        ("us", "hipaa", "apihipaa.cloud.coveo.com", "platformhipaa.cloud.coveo.com"),
    ],
)
def test_regions_and_environments(region: str, environment: str, push: str, platform: str) -> None:
    """Each has its two hosts."""
    endpoints = Endpoints.of(region=region, environment=environment)
    assert endpoints == Endpoints(f"https://{push}", f"https://{platform}")


def test_unknown_names_list_the_known_ones() -> None:
    """A region or environment that does not exist is refused, also beside overrides."""
    with pytest.raises(ConfigurationError, match="unknown region 'uk': expected one of us, ca, eu, au"):
        Endpoints.of(region="uk", base_url="http://127.0.0.1")
    with pytest.raises(ConfigurationError, match="expected one of production, hipaa"):
        Endpoints.of(environment="staging")


def test_hipaa_has_one_region() -> None:
    """Another region is refused, unless both URLs are given anyway."""
    with pytest.raises(ConfigurationError, match="hipaa has no region eu"):
        Endpoints.of(region="eu", environment="hipaa", push_url="https://a.example")
    own = Endpoints.of(
        region="eu", environment="hipaa", push_url="https://a.example", platform_url="https://b.example"
    )
    assert own == Endpoints("https://a.example", "https://b.example")


def test_overrides() -> None:
    """base_url replaces both hosts, and each of the others its own."""
    both = Endpoints.of(base_url="https://gateway.example/coveo/")
    assert both == Endpoints("https://gateway.example/coveo", "https://gateway.example/coveo")
    one = Endpoints.of(region="eu", push_url="https://gateway.example")
    assert one == Endpoints("https://gateway.example", "https://platform-eu.cloud.coveo.com")
    mixed = Endpoints.of(base_url="https://a.example", platform_url="https://b.example")
    assert mixed == Endpoints("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("api.cloud.coveo.com", "https://api.cloud.coveo.com"),
        (" https://api.cloud.coveo.com// ", "https://api.cloud.coveo.com"),
        ("https://api.cloud.coveo.com/push/v1/", "https://api.cloud.coveo.com"),
        ("https://platform.cloud.coveo.com/rest", "https://platform.cloud.coveo.com"),
        ("https://gateway.example:8443/coveo/push/v1", "https://gateway.example:8443/coveo"),
        ("HTTPS://Gateway.Example", "https://Gateway.Example"),
        ("https://my_gateway", "https://my_gateway"),
    ],
)
def test_what_people_copy_along_is_dropped(url: str, kept: str) -> None:
    """Slashes at the end, /push/v1 and /rest; a path of a gateway stays."""
    assert safe_url(url, "base_url") == kept


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1",
        "http://127.0.0.1:8900/",
        "HTTP://127.0.0.1",
        "http://127.8.7.6",
        "http://localhost:80",
        "http://LOCALHOST.:80",
        "http://[::1]:8900",
    ],
)
def test_loopback_may_go_in_clear(url: str) -> None:
    """What is only ever this machine needs no TLS."""
    assert safe_url(url, "base_url").startswith("http://")


@pytest.mark.parametrize(
    "url",
    [
        "http://api.cloud.coveo.com",
        "http://127.1",
        "http://2130706433",
        "http://0x7f.1",
        "http://0177.0.0.1",
        "http://127.0.0.1.",
        "http://0.0.0.0",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://localhostevil",
        "http://[::2]",
        "HTTP://EVIL.EXAMPLE",
    ],
)
def test_nothing_else_goes_in_clear(url: str) -> None:
    """Spellings that only some resolvers take for loopback are no loopback; the error says what to do."""
    with pytest.raises(ConfigurationError, match=r"never travels in clear\. Use https://"):
        safe_url(url, "base_url")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1@evil.example",
        "http://127.0.0.1:80@evil.example",
        "http://@evil.example",
        "https://@evil.example",
        "https://user:secret-word@host.example",
        "https://host.example:secret-word",
        "http://127.0.0.1\\@evil.example",
        "http://evil.example\\.localhost",
        "http://localhost%2eevil.example",
        "http://ⓛocalhost",
        "http://127。0。0。1",
        "https://bücher.example",
        "http://[::1]evil.example",
        "http://[::1",
        "http://[::1%25eth0]",
        "https://host.example:0",
        "https://host.example:65536",
        "https://host .example",
        "https://host.example/a b",
        "https://ho\tst.example",
        "https://host.example\r\nX: 1",
        "https://host.example?key=secret-word",
        "https://host.example#part",
        "https://.host.example",
        "https://",
        "ftp://host.example",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "",
        None,
        5,
    ],
)
def test_what_is_no_plain_url_is_refused(url: Any) -> None:
    """Users, tricks of the parser and other schemes are refused, and not repeated in the error."""
    with pytest.raises(ConfigurationError, match="push_url must be a plain URL") as caught:
        safe_url(url, "push_url")
    assert "secret-word" not in str(caught.value)


_URLISH = st.text(st.sampled_from("https://127.0.0.1@localhost[::1]%#?\\ evil\t.ⓛ:8"), max_size=40)


@given(st.one_of(st.text(), _URLISH, _URLISH.map("http://{}".format)))
def test_any_text_is_safe_or_refused(text: str) -> None:
    """What comes through is https, or http to this machine, and reads the same again."""
    try:
        url = safe_url(text, "base_url")
    except ConfigurationError:
        return
    parts = urlsplit(url)
    assert parts.scheme == "https" or is_loopback(parts.hostname or "")
    assert "@" not in parts.netloc
    assert safe_url(url, "base_url") == url


@pytest.mark.parametrize("name", ["", "  ", ".", "..", None, 7, "\ud800"])
def test_a_name_that_changes_the_path_is_refused(name: Any) -> None:
    """Ids in the path must name something."""
    with pytest.raises(ConfigurationError, match="source_id"):
        segment("source_id", name)


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        ("a/../b", "a%2F..%2Fb"),
        ("a b", "a%20b"),
        ("a?b#c&d", "a%3Fb%23c%26d"),
        ("%2e%2e", "%252e%252e"),
        ("é{source_id}", "%C3%A9%7Bsource_id%7D"),
    ],
)
def test_a_name_stays_one_piece_of_the_path(name: str, encoded: str) -> None:
    """Slashes, question marks and braces in an id are percent-encoded."""
    path = StreamRoutes.of_source(name).close.at(stream_id=name).path
    assert path == f"/sources/{encoded}/stream/{encoded}/close"

"""One asset per source, under one spelling, whoever writes it."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from airflow.sdk import Asset
from hypothesis import assume, given
from hypothesis import strategies as st

from coveo_provider.assets import coveo_asset, sanitize_uri
from coveo_provider.errors import ConfigurationError


@pytest.mark.parametrize(
    ("organization_id", "source_id", "uri"),
    [
        ("sandbox", "products", "coveo://sandbox/products"),
        ("MyOrg", "Abc-MyOrg", "coveo://myorg/Abc-MyOrg"),
        ("my org", "größe 42?", "coveo://my%20org/gr%C3%B6%C3%9Fe%2042%3F"),
        ("user:pass@org", "50%41", "coveo://user%3Apass%40org/50%2541"),
    ],
)
def test_an_asset_has_one_name(organization_id: str, source_id: str, uri: str) -> None:
    """Name and URI are the same, in the one spelling: the organization in lower case, the source as it is."""
    asset = coveo_asset(organization_id, source_id, extra={"a": 1})

    assert (asset.name, asset.uri, asset.extra) == (uri, uri, {"a": 1})


@given(st.text(min_size=1), st.text(min_size=1))
def test_the_spelling_is_kept_by_airflow(organization_id: str, source_id: str) -> None:
    """What the helper makes is what Airflow makes of it, when it reads the URI again."""
    try:
        asset = coveo_asset(organization_id, source_id)
    except ConfigurationError:
        assume(False)

    assert asset.name == asset.uri == asset.normalized_uri == Asset(asset.uri).uri
    assert asset.uri.isascii()


@pytest.mark.parametrize(
    ("organization_id", "source_id", "named"),
    [
        ("", "s", "organization_id"),
        ("org", "  ", "source_id"),
        ("org", "..", "source_id"),
        ("org", "a/b", "source_id"),
        ("org/a", "b", "organization_id"),
        ("org", "{{ params.source_id }}", "template"),
        ("org", "\ud800", "Unicode"),
        ("org", None, "source_id"),
    ],
)
def test_what_is_no_id_makes_no_asset(organization_id: str, source_id: str, named: str) -> None:
    """The message names the argument."""
    with pytest.raises(ConfigurationError, match=named):
        coveo_asset(organization_id, source_id)


@pytest.mark.parametrize(
    ("written", "uri"),
    [
        ("coveo://ORG/Src", "coveo://org/Src"),
        ("COVEO://org/Src/", "coveo://org/Src"),
        ("coveo://org/%53rc", "coveo://org/Src"),
        ("coveo://org/gr%c3%b6ße", "coveo://org/gr%C3%B6%C3%9Fe"),
    ],
)
def test_airflow_normalises_uris_of_the_scheme(written: str, uri: str) -> None:
    """The handler is registered: a URI written by hand gets the spelling of events."""
    assert Asset(uri=written).uri == uri


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("coveo://org/", "the source is missing"),
        ("coveo://org", "the source is missing"),
        ("coveo:///x", "the organization is missing"),
        ("coveo:org/x", "the organization is missing"),
        ("coveo://org/a/b", "source_id must be one plain id"),
        ("coveo://org/a%2Fb", "source_id must be one plain id"),
        ("coveo://org//b", "source_id must be one plain id"),
        ("coveo://org/%2e%2e", "source_id must name something"),
        ("coveo://org/s?x=1", "leave user, port, query"),
        ("coveo://me@org/s", "leave user, port, query"),
        ("coveo://org:80/s", "leave user, port, query"),
        ("coveo://org/%ff", "not as UTF-8"),
    ],
)
def test_a_bad_uri_is_refused_where_it_is_written(written: str, said: str) -> None:
    """Airflow refuses it while it parses the DAG file, and the message shows the form."""
    with pytest.raises(ValueError, match=said) as refusal:
        Asset(uri=written)

    assert "coveo://<organization>/<source>" in str(refusal.value)


def test_a_refusal_shows_no_credentials() -> None:
    """Airflow drops a password itself, but not everybody who calls the handler does."""
    with pytest.raises(ConfigurationError) as refusal:
        sanitize_uri(urlsplit("coveo://me:hunter2@org/s?token=hunter2#hunter2"))

    assert "hunter2" not in str(refusal.value)

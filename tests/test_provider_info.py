"""What Airflow learns about the provider, from Airflow's side."""

from __future__ import annotations

import json
from importlib import import_module
from importlib.metadata import distribution
from importlib.resources import files
from typing import Any, cast

import jsonschema
import pytest

from coveo_provider import __version__
from coveo_provider.get_provider_info import _hidden_fields, get_provider_info

CONNECTION: dict[str, Any] = get_provider_info()["connection-types"][0]


def test_it_fits_airflows_schema() -> None:
    """A description that does not fit takes every Airflow command down."""
    schema = json.loads(files("airflow").joinpath("provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_it_names_the_distribution() -> None:
    """Airflow refuses a package name that is not the distribution's."""
    found = distribution("airflow-provider-coveo")
    assert get_provider_info()["package-name"] == found.metadata["Name"] == "airflow-provider-coveo"
    assert found.version == __version__


@pytest.mark.parametrize("kind", ["hooks", "operators"])
def test_every_module_it_lists_can_be_imported(kind: str) -> None:
    """The modules Airflow shows exist."""
    for group in get_provider_info()[kind]:
        for module in group["python-modules"]:
            import_module(module)


def test_every_link_it_lists_can_be_imported() -> None:
    """The links Airflow lists are those that tasks have."""
    from coveo_provider.links import SOURCE_LINKS

    listed = get_provider_info()["extra-links"]
    assert set(listed) == {f"{type(link).__module__}.{type(link).__name__}" for link in SOURCE_LINKS}


def test_every_operator_module_is_listed() -> None:
    """An operator that users can import is one that Airflow lists."""
    from coveo_provider import operators

    listed = {m for group in get_provider_info()["operators"] for m in group["python-modules"]}
    assert {getattr(operators, name).__module__ for name in operators.__all__} == listed


def test_airflow_finds_hook_and_fields() -> None:
    """Airflow's own provider manager maps the connection type to the hook and shows labelled fields."""
    from airflow.providers_manager import ProvidersManager

    manager = cast("Any", ProvidersManager)()
    hook = manager.hooks["coveo"]
    assert hook is not None
    assert (hook.hook_class_name, hook.connection_id_attribute_name, hook.hook_name) == (
        "coveo_provider.hooks.coveo.CoveoHook",
        "coveo_conn_id",
        "Coveo",
    )
    assert manager.providers["airflow-provider-coveo"].version == __version__


def test_airflow_finds_the_decorator() -> None:
    """`@task.coveo`; Airflow reads the key that its own schema calls by another name."""
    from airflow.sdk import task

    from coveo_provider.decorators.coveo import coveo_task

    assert task.coveo is coveo_task


def test_airflow_finds_the_scheme_of_assets() -> None:
    """The handler checks URIs as DAG files are parsed; the factory makes assets of what hooks report."""
    from coveo_provider.assets import coveo_asset, sanitize_uri

    try:
        from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime as Manager
    except ImportError:  # 3.1
        from airflow.providers_manager import ProvidersManager as Manager  # type: ignore[assignment]
    manager = cast("Any", Manager)()

    assert manager.asset_uri_handlers["coveo"] is sanitize_uri
    assert manager.asset_factories["coveo"] is coveo_asset


def test_the_form_has_drop_downs_and_no_mandatory_extra() -> None:
    """Region and environment are chosen from lists; nothing in extra blocks saving."""
    fields = CONNECTION["conn-fields"]
    assert fields["region"]["schema"]["enum"] == ["us", "ca", "eu", "au"]
    assert fields["environment"]["schema"]["enum"] == ["production", "hipaa"]
    assert all("null" in field["schema"]["type"] for field in fields.values())
    assert CONNECTION["ui-field-behaviour"]["relabeling"] == {
        "login": "Organization ID (required)",
        "password": "API key (required)",
        "host": "Base URL override",
        "port": "Port (0: none)",
    }


def test_the_form_explains_every_field() -> None:
    """Airflow's own fields have room for a placeholder only, and `description` for none; extra has descriptions."""
    behaviour = CONNECTION["ui-field-behaviour"]
    standard = {"login", "password", "host", "port", "schema"}

    assert behaviour["placeholders"].keys() == standard - {"schema"}
    assert set(behaviour["relabeling"]) <= standard
    assert all(field["description"].endswith(".") for field in CONNECTION["conn-fields"].values())


@pytest.mark.parametrize(
    ("airflow", "hidden"),
    [
        ("3.1.8", ["port", "schema"]),
        ("3.2.2", ["port", "schema"]),
        ("3.3.2", ["schema"]),
        ("3.4.0", ["port", "schema"]),
    ],
)
def test_the_port_is_shown_where_airflow_needs_it(
    monkeypatch: pytest.MonkeyPatch, airflow: str, hidden: list[str]
) -> None:
    """Airflow 3.3 takes a port that is not set for another destination (`tests/hooks/test_connection_form.py`)."""
    monkeypatch.setattr("coveo_provider.get_provider_info.version", lambda _: airflow)
    _hidden_fields.cache_clear()
    try:
        assert get_provider_info()["connection-types"][0]["ui-field-behaviour"]["hidden-fields"] == hidden
    finally:
        _hidden_fields.cache_clear()

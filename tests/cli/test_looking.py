"""What the commands tell of an organization, against the sandbox."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coveo_provider.api.client import CoveoClient
from coveo_provider.documents.changes.state import DatasetRecord, LastRun, LoadRecord, State
from coveo_provider.hooks.coveo import CoveoHook
from coveo_provider.sandbox import Sandbox
from tests.cli.conftest import Coveo
from tests.conftest import Connect

PROVIDER = "Acme Directory"


def body(**keys: object) -> bytes:
    return json.dumps(keys).encode()


@pytest.fixture
def secured(connected: Sandbox) -> CoveoClient:
    """A secured source whose item a group of groups sees; ann, known as ann@acme.example, is in it."""
    connected.add_security_provider(PROVIDER)
    connected.add_source("hr", kind="PUSH", visibility="SECURED", providers=[PROVIDER])
    client = CoveoHook().client
    group, inner = ({"name": name, "type": "GROUP"} for name in ("Staff", "HR"))
    ann = {"name": "ann", "type": "USER"}
    client.put_identity(PROVIDER, body(identity=group, members=[inner]))
    client.put_identity(PROVIDER, body(identity=inner, members=[ann]))
    alias = {"name": "ann@acme.example", "type": "USER", "provider": "Email Security Provider"}
    client.put_alias(PROVIDER, body(identity=ann, mappings=[alias]))
    allowed = {"identity": "Staff", "identityType": "Group", "securityProvider": PROVIDER}
    client.put_item("hr", "hr://pay", body(data="x", permissions=[{"allowedPermissions": [allowed]}]))
    client.put_item("hr", "hr://open", body(data="x"))
    connected.settle()
    return client


def test_ping_tells_organization_endpoint_and_privileges(connected: Sandbox, coveo: Coveo) -> None:
    """In words and as JSON; the key is in neither."""
    said, found = coveo("ping"), coveo("ping", "--json")

    assert (said.code, said.err) == (0, "")
    for text in ("sandbox", connected.url, "sources that the key can see: 2", "Sources (Edit)"):
        assert text in said.out
    assert found.json()["organization_id"] == "sandbox"
    assert found.json()["reached"] is True
    assert set(found.json()["privileges"].values()) == {True}
    assert connected.api_key not in said.out + found.out


def test_ping_finds_what_a_key_may_not_do(sandbox: Sandbox, connect: Connect, coveo: Coveo) -> None:
    """A key that only looks cannot push, which is a finding."""
    sandbox.add_key("looks-only", privileges=["ORGANIZATION:VIEW", "SOURCE:VIEW"])
    connect(sandbox, password="looks-only")

    found = coveo("ping", "--json")

    assert found.code == 1
    assert found.json()["missing"] == ["Sources (Edit)"]
    assert found.err == "warning: the key lacks what pushing needs: Sources (Edit)\n"


def test_ping_with_a_wrong_key(sandbox: Sandbox, connect: Connect, coveo: Coveo) -> None:
    """The service refuses it, and it stands nowhere."""
    connect(sandbox, password="not-the-key-of-it")

    found = coveo("ping", "--json")

    assert found.code == 3
    assert found.json()["reached"] is False
    assert "401" in found.err
    assert "not-the-key-of-it" not in found.out + found.err


def test_ping_where_nobody_answers(connect: Connect, coveo: Coveo, waits: list[float]) -> None:
    """Each attempt is a warning on stderr, and the end is told apart from a wrong argument."""
    connect(host="http://127.0.0.1:9", login="acme", password="key")

    found = coveo("ping")

    assert found.code == 3
    assert found.err.count("sending again in") == len(waits) > 0
    assert "no connection could be made" in found.err.splitlines()[-1]


def test_a_connection_that_is_not_there(coveo: Coveo) -> None:
    """The newcomer's first mistake: the message says what to set."""
    found = coveo("sources", "--conn-id", "shop")
    assert (found.code, found.out) == (2, "")
    assert "there is no connection 'shop'" in found.err
    assert "AIRFLOW_CONN_SHOP" in found.err


def test_a_connection_that_is_wrong(connect: Connect, coveo: Coveo) -> None:
    """The hook's own words."""
    connect(login="acme")
    found = coveo("sources")
    assert found.code == 2
    assert "the API key is missing" in found.err


def test_sources(connected: Sandbox, coveo: Coveo) -> None:
    """All of them, by their ids, with kind, status and items."""
    CoveoHook().push([{"documentId": "file://a", "data": "x"}], "files")

    found = coveo("sources", "--json").json()
    said = coveo("sources")

    assert [(one["source_id"], one["kind"], one["document_count"]) for one in found["sources"]] == [
        ("files", "PUSH", 1),
        ("products", "CATALOG", 0),
    ]
    assert said.out.splitlines()[0].split() == ["source", "name", "kind", "visibility", "status", "items"]
    assert said.out.splitlines()[1].split() == ["files", "files", "PUSH", "SHARED", "PUSH_READY", "1"]


def test_a_source_that_is_not_there(connected: Sandbox, coveo: Coveo) -> None:
    """Every command that names one says which there are."""
    for command in (
        ("show", "shoes"),
        ("logs", "shoes"),
        ("why", "shoes", "file://a"),
    ):
        found = coveo(*command)
        assert (found.code, found.out) == (2, ""), command
        assert "has no source 'shoes'" in found.err
        assert "files, products" in found.err


def test_show(secured: CoveoClient, coveo: Coveo) -> None:
    """Mapping rules and the log of a day stand beside the source."""
    from coveo_provider.api.types import MappingRule

    secured.add_mapping_rule("hr", MappingRule("color", ("%[colour]",)))

    found = coveo("show", "hr", "--json").json()
    said = coveo("show", "hr")

    assert found["source"]["visibility"] == "SECURED"
    assert found["mappings"] == [{"field": "color", "content": ["%[colour]"]}]
    assert found["log"] == {"indexed": 1, "refused": 1}
    assert found["state"] is None
    assert "1 indexed, 1 refused" in said.out
    assert "%[colour]" in said.out


def test_show_with_an_empty_state(connected: Sandbox, coveo: Coveo) -> None:
    """A folder that is not there, and one that holds nothing, are told apart."""
    assert "no file or folder state" in coveo("show", "files", "--state", "state").err
    found = coveo("show", "files", "--state", ".")
    assert found.code == 1
    assert "there is nothing of a load in it" in found.err


def test_show_with_a_state(connected: Sandbox, coveo: Coveo, tmp_path: Path) -> None:
    """The loads that a DAG remembers, the newest first."""
    datasets = (DatasetRecord("a" * 64, rows=2, manifest="s3://key:se-cret@bucket/d/_manifest.json"),)
    current = LastRun("sandbox", connected.url, "files", 1, datasets)
    load = LoadRecord("key", "shop", "run-1", "2026-11-27T02:00:00Z", datasets, sent=2, held=2)
    State(tmp_path / "state", ()).remember(current, [tmp_path], None, load=load)

    found, said = (
        coveo("show", "files", "--state", "state", "--json"),
        coveo("show", "files", "--state", "state"),
    )

    assert (found.code, said.code) == (0, 0), found.err
    assert found.json()["state"]["documents"] == 2
    assert [(one["dag_id"], one["sent"], one["held"]) for one in found.json()["state"]["loads"]] == [
        ("shop", 2, 2)
    ]
    assert "run-1" in said.out
    assert "se-cret" not in found.out + said.out


def test_logs(secured: CoveoClient, coveo: Coveo) -> None:
    """What was refused is a finding; the entry says which item and why."""
    all_entries = coveo("logs", "hr", "--json")
    refused = coveo("logs", "hr", "--refused", "--json")
    said = coveo("logs", "hr", "--refused")

    assert (all_entries.code, refused.code, said.code) == (0, 1, 1)
    assert len(all_entries.json()["entries"]) > len(refused.json()["entries"]) == 1
    assert refused.json()["entries"][0]["item"] == "hr://open"
    assert "the source is secured and the item has no permissions" in said.out
    assert coveo("logs", "products", "--refused").code == 0
    one = coveo("logs", "hr", "--item", "hr://pay", "--limit", "1", "--json")
    assert one.json()["more"] is True
    assert [entry["item"] for entry in one.json()["entries"]] == ["hr://pay"]


@pytest.mark.parametrize("since", ["1", "h", "0h", "-1h", "1 hour", "\u0661h", ""])
def test_a_span_that_is_none(connected: Sandbox, coveo: Coveo, since: str) -> None:
    """It is refused before anything is asked."""
    found = coveo("logs", "files", f"--since={since}")
    assert found.code == 2
    assert "such as 30m, 1h or 7d" in found.err
    assert connected.calls == []


def test_why_shows_the_way(secured: CoveoClient, coveo: Coveo) -> None:
    """From the user through the groups to the entry of the permissions."""
    found = coveo("why", "hr", "hr://pay", "--user", "ann", "--provider", PROVIDER, "--json")
    said = coveo("why", "hr", "hr://pay", "--user", "ann", "--provider", PROVIDER)

    assert (found.code, said.code) == (0, 0)
    assert found.json()["allowed"] is True
    assert [one.split()[1] for one in found.json()["path"]] == ["ann", "HR", "Staff"]
    assert said.out.startswith("ann sees hr://pay: ")


@pytest.mark.parametrize(
    ("user", "code"), [("ann@acme.example", 0), ("ANN@acme.example", 0), ("bob@acme.example", 1), ("", 1)]
)
def test_why_agrees_with_the_index(
    secured: CoveoClient, sandbox: Sandbox, coveo: Coveo, user: str, code: int
) -> None:
    """Also where the way is not known, and for somebody who is not logged in."""
    found = coveo("why", "hr", "hr://pay", *(["--user", user] if user else []), "--json")
    assert found.code == code
    assert found.json()["allowed"] is sandbox.can_see("hr", "hr://pay", user or None) is (code == 0)


def test_why_of_an_item_that_is_not_there(secured: CoveoClient, coveo: Coveo) -> None:
    """It may have been refused: the log tells."""
    found = coveo("why", "hr", "hr://open", "--user", "ann@acme.example")
    assert (found.code, found.out) == (2, "")
    assert "the index holds no item 'hr://open'" in found.err
    assert "coveo logs hr" in found.err


def test_why_on_a_source_that_all_see(connected: Sandbox, coveo: Coveo) -> None:
    """Permissions do not count there."""
    CoveoHook().push([{"documentId": "file://a", "data": "x"}], "files")
    found = coveo("why", "files", "file://a")
    assert found.code == 0
    assert "the source is SHARED" in found.out

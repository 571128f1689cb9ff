"""The secured sample: identities, then items, then the right people see the right items."""

from __future__ import annotations

from pathlib import Path

import pytest
import sample_rows

from coveo_provider.sandbox import Answer, Sandbox
from tests.dags.conftest import RunDag

# Who sees what, read off the organisation chart by hand.
SEES = {
    "acme://handbook": {"ann", "bob", "cleo", "dan", "eva", "fay", "max"},
    "acme://engineering/design": {"ann", "dan", "eva"},
    "acme://hr/salaries": {"ann", "cleo"},
    "acme://sales/forecast": {"eva", "fay"},
}


@pytest.fixture
def intranet(connected: Sandbox) -> Sandbox:
    """The sandbox with a secured Push source."""
    connected.add_source("intranet", kind="PUSH", visibility="SECURED")
    return connected


def seen(sandbox: Sandbox) -> dict[str, set[str]]:
    return {
        document: {
            person
            for person in sample_rows.PEOPLE
            if sandbox.can_see("intranet", document, f"{person}@acme.example")
        }
        for document in sandbox.items("intranet")
    }


def test_the_right_people_see_the_right_items(run_dag: RunDag, intranet: Sandbox, tmp_path: Path) -> None:
    """After the run everybody sees, under their e-mail address, what the chart says, and nobody else does."""
    state, _ = run_dag("coveo_secured_push", staging=tmp_path.as_uri())

    intranet.settle()
    assert state == "success"
    assert seen(intranet) == SEES
    for document in SEES:
        assert not intranet.can_see("intranet", document, None)
        assert not intranet.can_see("intranet", document, "mallory@acme.example")


def test_who_left_a_group_no_longer_sees_its_items(
    run_dag: RunDag, intranet: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second run replaces the member lists, and disables who is gone."""
    run_dag("coveo_secured_push", staging=tmp_path.as_uri())
    intranet.settle()
    intranet.clock.advance(seconds=60)
    people = {name: team for name, team in sample_rows.PEOPLE.items() if name not in {"cleo", "fay"}}
    monkeypatch.setattr(sample_rows, "PEOPLE", people)

    state, _ = run_dag("coveo_secured_push", staging=tmp_path.as_uri())

    intranet.settle()
    assert state == "success"
    assert seen(intranet)["acme://hr/salaries"] == {"ann"}
    assert not intranet.can_see("intranet", "acme://handbook", "fay@acme.example")


def test_a_leak_stops_the_run_before_anything_is_sent(
    run_dag: RunDag, intranet: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group that got into the wrong list breaks a rule: nothing is sent, and nothing changed."""
    leaking: list[tuple[str, str, list[str], list[str], list[str]]] = [
        ("hr/salaries", "Who earns what.", ["everybody"], [], [])
    ]
    monkeypatch.setattr(sample_rows, "PAPERS", [*sample_rows.PAPERS[:2], *leaking, *sample_rows.PAPERS[3:]])

    state, states = run_dag("coveo_secured_push", staging=tmp_path.as_uri())

    assert state == "failed"
    assert states["check_access"] == "failed"
    asked = {"fields.search"}  # the source and the fields were looked at
    assert [call for call in intranet.calls if call.method != "GET" and call.route not in asked] == []


def test_items_are_not_pushed_when_identities_were_not(
    run_dag: RunDag, intranet: Sandbox, tmp_path: Path, waits: list[float]
) -> None:
    """Identities come first: when they fail, no item names one that is unknown, and nobody is disabled."""
    intranet.faults.add(route="identities.batch", action=Answer(500), times=6)

    state, states = run_dag("coveo_secured_push", staging=tmp_path.as_uri())

    intranet.settle()
    assert state == "failed"
    assert states["push"] == "upstream_failed"
    assert intranet.count("intranet") == 0
    assert "identities.delete_older" not in {call.route for call in intranet.calls}

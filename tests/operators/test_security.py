"""Security identities: what a provider holds afterwards, and who can see what."""

from __future__ import annotations

from typing import Any

import pytest

from coveo_provider._compat import AirflowFailException
from coveo_provider.operators import (
    CoveoCheckAccessOperator,
    CoveoDeleteOlderIdentitiesOperator,
    CoveoPushBatchOperator,
    CoveoPushIdentityOperator,
    CoveoSecurityExpansionOperator,
    CoveoSecurityProviderOperator,
)
from coveo_provider.sandbox import Answer, Cut, Sandbox
from tests.conftest import WritePart
from tests.operators.conftest import run

PROVIDER = "My Directory"
EMAIL = "Email Security Provider"


@pytest.fixture
def secured(connected: Sandbox) -> Sandbox:
    """A secured Push source ``hr`` with a provider of its own."""
    connected.add_source("hr", kind="PUSH", visibility="SECURED")
    connected.add_security_provider(PROVIDER, sources=["hr"])
    connected.clear_calls()
    return connected


def group(name: str, *members: str) -> dict[str, Any]:
    return {"name": name, "type": "GROUP", "members": [{"name": m, "type": "USER"} for m in members]}


def alias(name: str) -> dict[str, Any]:
    mappings = [{"name": f"{name}@example.com", "type": "USER", "provider": EMAIL}]
    return {"name": name, "type": "USER", "mappings": mappings}


def expand(**options: Any) -> dict[str, Any]:
    report: dict[str, Any] = run(
        CoveoSecurityExpansionOperator(task_id="expand", provider_id=PROVIDER, **options)
    )
    return report


def names(sandbox: Sandbox) -> set[str]:
    return {identity.name for identity in sandbox.identities(PROVIDER) if identity.state == "UP_TO_DATE"}


def push_document(write_part: WritePart, *allowed: str) -> None:
    permissions = [{"allowedPermissions": [{"identity": name, "identityType": "Group"} for name in allowed]}]
    rows = [{"documentId": "hr://pay", "data": "Pay", "permissions": permissions}]
    uri = write_part(rows, "doc.parquet")
    run(CoveoPushBatchOperator(task_id="push", source_id="hr", documents=uri))


def test_an_expansion_decides_who_sees_an_item(secured: Sandbox, write_part: WritePart) -> None:
    """Members of an allowed group see the item under their aliases, others do not."""
    report = expand(
        members=write_part([group("HR", "ann", "bob")], "groups.parquet"),
        mappings=write_part([alias("ann"), alias("cleo")], "aliases.parquet"),
    )
    push_document(write_part, "HR")

    secured.settle()
    assert secured.can_see("hr", "hr://pay", "ann@example.com")
    assert not secured.can_see("hr", "hr://pay", "cleo@example.com")
    assert (report["members"], report["mappings"], report["chunks"]) == (1, 2, 1)


def test_a_push_replaces_a_groups_members(secured: Sandbox, write_part: WritePart) -> None:
    """The complete member list counts, so a former member is out."""
    aliases = write_part([alias("ann"), alias("bob")], "aliases.parquet")
    expand(members=write_part([group("HR", "ann", "bob")], "one.parquet"), mappings=aliases)
    push_document(write_part, "HR")
    expand(members=write_part([group("HR", "bob")], "two.parquet"))

    secured.settle()
    assert not secured.can_see("hr", "hr://pay", "ann@example.com")
    assert secured.can_see("hr", "hr://pay", "bob@example.com")


def test_what_was_not_renewed_is_disabled_when_asked(secured: Sandbox, write_part: WritePart) -> None:
    """delete_older disables identities of earlier expansions, and only those."""
    expand(members=write_part([group("HR", "ann"), group("Old", "bob")], "one.parquet"))
    secured.settle()
    secured.clock.advance(seconds=60)

    expand(members=write_part([group("HR", "ann")], "two.parquet"), delete_older=True)

    secured.settle()
    assert "HR" in names(secured)
    assert "Old" not in names(secured)


def test_several_tasks_can_share_one_deletion(secured: Sandbox, write_part: WritePart) -> None:
    """The separate operator takes the smallest mark of the expansions' reports."""
    expand(members=write_part([group("Old", "x")], "old.parquet"))
    secured.settle()
    secured.clock.advance(seconds=60)
    reports = [expand(members=write_part([group(name, "x")], f"{name}.parquet")) for name in ("A", "B")]

    done = run(CoveoDeleteOlderIdentitiesOperator(task_id="older", provider_id=PROVIDER, reports=reports))

    secured.settle()
    assert done == {"identities": 2, "ordering_id": reports[0]["ordering_id"]}
    assert {"A", "B"} <= names(secured)
    assert "Old" not in names(secured)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reports": []}, ["no identities", "min_identities=1"]),
        ({"reports": {"members": 1, "mappings": 0, "ordering_id": 1}, "min_identities": 5}, ["1 identities"]),
        ({"reports": {"documents": 3}}, ["reports of all expansions"]),
        (
            {"reports": {"members": 1, "mappings": 0, "ordering_id": 1}, "max_shrink": 0.2},
            ["over max_shrink=0.2"],
        ),
        ({"reports": {"members": 9, "mappings": 0, "ordering_id": 17}}, ["13 digits"]),
        (
            {"reports": {"members": 9, "mappings": 0, "ordering_id": 9_999_999_999_999}},
            ["ahead of the server's time", PROVIDER],
        ),
    ],
)
def test_a_doubtful_disabling_is_refused(
    secured: Sandbox, write_part: WritePart, options: dict[str, Any], words: list[str]
) -> None:
    """An empty or shrunken expansion never disables everybody."""
    expand(members=write_part([group(f"G{n}", "x") for n in range(10)], "one.parquet"))
    secured.settle()

    with pytest.raises(AirflowFailException) as raised:
        run(CoveoDeleteOlderIdentitiesOperator(task_id="older", provider_id=PROVIDER, **options))

    assert all(word in str(raised.value) for word in words), str(raised.value)
    assert "identities.delete_older" not in {call.route for call in secured.calls}


def test_disabling_alone_never_empties_a_provider(secured: Sandbox, write_part: WritePart) -> None:
    """An expansion that only disables holds no identity to keep, so delete_older is refused with it."""
    expand(members=write_part([group("HR", "ann")], "one.parquet"))
    gone = write_part([{"name": "HR", "type": "GROUP"}], "gone.parquet")

    with pytest.raises(AirflowFailException, match=r"SafetyStop.*no identities"):
        expand(deleted=gone, delete_older=True)

    secured.settle()
    assert "HR" in names(secured)


def test_identities_can_be_disabled_by_name(secured: Sandbox, write_part: WritePart) -> None:
    """The deleted dataset disables what it names."""
    expand(members=write_part([group("HR", "ann"), group("IT", "bob")], "one.parquet"))
    expand(deleted=write_part([{"name": "HR", "type": "GROUP"}], "gone.parquet"))

    secured.settle()
    assert "HR" not in names(secured)
    assert "IT" in names(secured)


def test_a_group_that_stands_twice_is_refused_or_merged(secured: Sandbox, write_part: WritePart) -> None:
    """Two partial lists would each replace the other; merged they are one."""
    folder = write_part([group("HR", "ann")], "a.parquet").rsplit("/", 1)[0]
    write_part([group("HR", "bob")], "b.parquet")

    with pytest.raises(AirflowFailException, match="HR"):
        expand(members=folder)
    assert secured.calls == []

    expand(members=folder, duplicates="merge")
    secured.settle()
    hr = next(identity for identity in secured.identities(PROVIDER) if identity.name == "HR")
    assert hr.members == ("ann", "bob")


def test_many_identities_take_several_containers(secured: Sandbox, write_part: WritePart) -> None:
    """An expansion beyond one container's bound takes several."""
    report = expand(
        members=write_part([group(f"G{n}", "ann", "bob") for n in range(200)], "g.parquet"),
        max_chunk_bytes=2_000,
    )

    secured.settle()
    assert {f"G{n}" for n in range(200)} <= names(secured)
    assert report["chunks"] > 5


def test_a_lost_answer_is_met_with_a_new_container(
    secured: Sandbox, write_part: WritePart, waits: list[float]
) -> None:
    """Identities survive a lost answer as items do."""
    secured.faults.add(route="identities.batch", action=Cut("after"))

    expand(members=write_part([group("HR", "ann")], "g.parquet"))

    secured.settle()
    assert "HR" in names(secured)


def test_a_failed_batch_disables_nobody(secured: Sandbox, write_part: WritePart, waits: list[float]) -> None:
    """Without all containers accepted, delete_older is not sent."""
    secured.faults.add(route="identities.batch", action=Answer(503), times=100)

    with pytest.raises(Exception, match="503"):
        expand(members=write_part([group("HR", "ann")], "g.parquet"), delete_older=True)

    assert "identities.delete_older" not in {call.route for call in secured.calls}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{"type": "GROUP", "members": [{"name": "a", "type": "USER"}]}], ["name"]),
        ([{"name": "HR", "type": "Team", "members": [{"name": "a", "type": "USER"}]}], ["HR", "Team"]),
        ([{"name": "HR", "type": "GROUP"}], ["members"]),
    ],
)
def test_bad_identities_are_refused_before_the_first_call(
    secured: Sandbox, write_part: WritePart, rows: list[dict[str, Any]], words: list[str]
) -> None:
    """The message names the identity or the column."""
    with pytest.raises(AirflowFailException) as raised:
        expand(members=write_part(rows, "bad.parquet"))

    assert all(word in str(raised.value) for word in words), str(raised.value)
    assert secured.calls == []


def test_one_identity_at_a_time(secured: Sandbox) -> None:
    """The operator for small updates pushes members and aliases, and disables."""

    def push(name: str, kind: str, **options: Any) -> dict[str, Any]:
        identity = {"name": name, "type": kind}
        done: dict[str, Any] = run(
            CoveoPushIdentityOperator(task_id="one", provider_id=PROVIDER, identity=identity, **options)
        )
        return done

    push("HR", "GROUP", members=[{"name": "ann", "type": "USER"}])
    mappings = [{"name": "ann@example.com", "type": "USER", "provider": EMAIL}]
    assert push("ann", "USER", mappings=mappings) == {"identity": "ann", "calls": ["put_alias"]}
    secured.settle()
    assert {"HR", "ann"} <= names(secured)

    push("HR", "GROUP", members=[], mappings=[])
    assert push("ann", "USER", mappings=[])["calls"] == ["put_alias"]
    secured.settle()
    held = {one.name: (one.members, one.aliases) for one in secured.identities(PROVIDER)}
    assert held == {"HR": ((), ()), "ann": ((), ())}

    push("HR", "GROUP", members=[{"name": "ann", "type": "USER"}])
    assert push("HR", "GROUP", members=[], mappings=mappings)["calls"] == ["put_identity", "put_alias"]
    secured.settle()
    assert {one.name: one.members for one in secured.identities(PROVIDER)}["HR"] == ()

    push("HR", "GROUP", disable=True)
    secured.settle()
    assert "HR" not in names(secured)


def test_a_provider_is_made_and_keeps_its_other_sources(connected: Sandbox) -> None:
    """Linking a second source unlinks none; a third run changes nothing."""
    for source in ("one", "two"):
        connected.add_source(source, kind="PUSH", visibility="SECURED")

    def ensure(*sources: str) -> bool:
        done: dict[str, Any] = run(
            CoveoSecurityProviderOperator(task_id="p", provider_id=PROVIDER, source_ids=sources)
        )
        changed: bool = done["changed"]
        return changed

    assert [ensure("one"), ensure("two"), ensure("two"), ensure()] == [True, True, False, False]
    run(
        CoveoPushIdentityOperator(
            task_id="i",
            provider_id=PROVIDER,
            identity={"name": "ann", "type": "USER"},
            mappings=[{"name": "ann@example.com", "type": "USER", "provider": EMAIL}],
        )
    )
    connected.settle()
    client = CoveoSecurityProviderOperator(task_id="c", provider_id=PROVIDER).client
    linked = client.get_security_provider(PROVIDER)["referencedBy"]
    assert {entry["id"] for entry in linked} == {"one", "two"}


def test_a_key_without_the_privilege_is_told_which(
    sandbox: Sandbox, connect: Any, write_part: WritePart
) -> None:
    """A push key may not push identities; the message says what it would need."""
    sandbox.add_security_provider(PROVIDER)
    sandbox.add_key("push-key", privileges={"ORGANIZATION:VIEW", "SOURCE:EDIT"})
    connect(sandbox, password="push-key")

    with pytest.raises(AirflowFailException, match=r"Security identity providers \(Edit\)"):
        expand(members=write_part([group("HR", "ann")], "g.parquet"))


def test_an_unknown_provider_is_named(connected: Sandbox, write_part: WritePart) -> None:
    """Identities go nowhere when the provider does not exist."""
    with pytest.raises(AirflowFailException, match="412"):
        expand(members=write_part([group("HR", "ann")], "g.parquet"))


ALLOW_HR = [{"allowedPermissions": [{"identity": "HR", "identityType": "Group"}]}]


@pytest.mark.parametrize(
    ("permissions", "options", "words"),
    [
        ([{"allowAnonymous": True}], {"rules": [{}]}, ["hr://pay", "public"]),
        (
            [{"allowedPermissions": [{"identity": "All", "identityType": "Group"}]}],
            {"rules": [{"documents": "hr://*", "only": ["HR"]}]},
            ["hr://pay", "bob"],
        ),
        (
            ALLOW_HR,
            {"expected": [{"user": "bob@example.com", "document": "hr://pay", "sees": True}]},
            ["bob@example.com does not see", "hr://pay"],
        ),
        (
            ALLOW_HR,
            {"expected": [{"user": "ann@example.com", "document": "hr://pay", "sees": False}]},
            ["ann@example.com sees"],
        ),
        (
            ALLOW_HR,
            {"expected": [{"user": None, "document": "hr://no", "sees": False}]},
            ["hr://no", "not in"],
        ),
        (ALLOW_HR, {"rules": [{"document": "x"}]}, ["a rule is"]),
        (ALLOW_HR, {"rules": [{"documents": "*", "only": []}]}, ["only", "names no group"]),
        (ALLOW_HR, {"rules": [{"documents": "*", "only": None}]}, ["only", "names no group"]),
        (ALLOW_HR, {"rules": [{"documents": "*", "only": ""}]}, ["only", "names no group"]),
        (ALLOW_HR, {"rules": {"documents": "x"}}, ["rules must be a list"]),
        (ALLOW_HR, {"expected": 5}, ["expected must be a list"]),
        (
            ALLOW_HR,
            {"expected": [{"user": "ann", "document": "x", "sees": "maybe"}]},
            ["sees must be true or false"],
        ),
        (ALLOW_HR, {"expected": [{"user": "ann"}]}, ["expected holds"]),
    ],
)
def test_access_that_is_not_as_wanted_stops_the_run(
    connected: Sandbox,
    write_part: WritePart,
    permissions: list[dict[str, Any]],
    options: dict[str, Any],
    words: list[str],
) -> None:
    """The message names the document, the user and the way in."""
    with pytest.raises(AirflowFailException) as raised:
        check(write_part, permissions, **options)

    assert all(word in str(raised.value) for word in words), str(raised.value)
    assert connected.calls == []


def check(write_part: WritePart, permissions: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    documents = write_part([{"documentId": "hr://pay", "permissions": permissions}], "doc.parquet")
    survey: dict[str, Any] = run(
        CoveoCheckAccessOperator(
            task_id="check",
            documents=documents,
            provider_id=PROVIDER,
            members=write_part([group("HR", "ann"), group("All", "ann", "bob")], "groups.parquet"),
            mappings=write_part([alias("ann"), alias("bob")], "aliases.parquet"),
            **options,
        )
    )
    return survey


def test_good_access_is_counted(write_part: WritePart) -> None:
    """What the check found out travels as counts."""
    survey = check(
        write_part,
        ALLOW_HR,
        rules=[{"documents": "hr://*", "only": "HR"}],
        expected=[{"user": "ann@example.com", "document": "hr://pay", "sees": True}],
    )

    assert survey == {"documents": 1, "public": 0, "hidden": 0, "unknown": 0, "unstated": 0}

"""Night after night, whatever a directory exports and whichever push fails: who sees what is what it says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from coveo_provider._compat import AirflowFailException
from coveo_provider.operators import (
    CoveoPushBatchOperator,
    CoveoSecurityExpansionOperator,
    CoveoTransformIdentitiesOperator,
)
from coveo_provider.sandbox import Answer, Cut, Sandbox
from tests.conftest import WritePart
from tests.operators.conftest import run
from tests.operators.test_security import PROVIDER, secured

__all__ = ["secured"]  # a fixture

USERS = [f"u{number}{'x' * 90}" for number in range(5)]  # long, so that they take several containers
GROUPS = [f"G{number}" for number in range(4)]
ADDRESSES = [f"m{number}@acme.example" for number in range(4)]
DOMAIN = "DC=acme,DC=example"

Directory = dict[str, Any]
"""``people`` with ``enabled`` and ``mail``, and ``groups`` with the names of their members."""


def _dn(directory: Directory, name: str) -> str:
    unit = "Groups" if name in directory["groups"] else "People\\, all"
    return f"CN={name},OU={unit},{DOMAIN}"


def _other_dn(directory: Directory, name: str) -> str:
    """Return the same name as another tool spells it."""
    return _dn(directory, name).lower().replace(",ou=", " , OU = ").replace("\\,", "\\2C")


def _members(directory: Directory, group: str) -> list[str]:
    known = {*directory["people"], *directory["groups"]}
    return sorted(known.intersection(directory["groups"][group]))


def _around(directory: Directory, name: str) -> list[str]:
    return [group for group in directory["groups"] if name in directory["groups"][group]]


def _ldif(directory: Directory, *, by_member: bool) -> str:
    entries = []
    for name in [*directory["people"], *directory["groups"]]:
        person = directory["people"].get(name)
        lines = [f"dn: {_dn(directory, name)}", f"objectClass: {'group' if person is None else 'user'}"]
        if person is None:
            lines.append(f"cn: {name}")
        else:
            lines += [f"sAMAccountName: {name}", f"userAccountControl: {512 if person['enabled'] else 514}"]
            lines += [f"mail: {person['mail']}"] if person["mail"] else []
        if not by_member:
            lines += [f"memberOf: {_other_dn(directory, group)}" for group in _around(directory, name)]
        elif person is None:
            lines += [f"member: {_other_dn(directory, one)}" for one in _members(directory, name)]
        entries.append("\n".join([*lines, ""]))
    return "\n".join(entries)


def _csv(directory: Directory) -> str:
    lines = ["ObjectClass,DistinguishedName,sAMAccountName,mail,userAccountControl,memberOf"]
    for name in [*directory["people"], *directory["groups"]]:
        person = directory["people"].get(name)
        told = "," if person is None else f"{person['mail'] or ''},{512 if person['enabled'] else 514}"
        groups = ";".join(_other_dn(directory, group) for group in _around(directory, name))
        kind = "group" if person is None else "user"
        lines.append(f'{kind},"{_dn(directory, name)}",{name},{told},"{groups}"')
    return "\n".join([*lines, ""])


def _scim(directory: Directory) -> str:
    users = [
        {"id": name, "userName": name, "active": one["enabled"], "emails": [{"value": one["mail"]}]}
        for name, one in directory["people"].items()
    ]
    groups = [
        {"id": name, "displayName": name, "members": [{"value": one} for one in _members(directory, name)]}
        for name in directory["groups"]
    ]
    return json.dumps([{"totalResults": len(page), "Resources": page} for page in (users, groups)])


def _entra(directory: Directory) -> str:
    users = [
        {"id": name, "userPrincipalName": name, "accountEnabled": one["enabled"], "mail": one["mail"]}
        for name, one in directory["people"].items()
    ]
    groups = [
        {"id": name, "displayName": name, "members": [{"id": one} for one in _members(directory, name)]}
        for name in directory["groups"]
    ]
    return json.dumps([{"value": users}, {"value": groups}])


FORMATS: dict[str, tuple[str, Callable[[Directory], str]]] = {
    "members.ldif": ("ldif", lambda directory: _ldif(directory, by_member=True)),
    "member_of.ldif": ("ldif", lambda directory: _ldif(directory, by_member=False)),
    "export.csv": ("memberof_csv", _csv),
    "scim.json": ("scim", _scim),
    "entra.json": ("entra", _entra),
}
BATCH, OLDER = "identities.batch", "identities.delete_older"
FAULTS = [None, *((route, action) for route in (BATCH, OLDER) for action in (Answer(500), Cut("after")))]
_PEOPLE = st.dictionaries(
    st.sampled_from(USERS),
    st.fixed_dictionaries(
        {
            "enabled": st.sampled_from([True, True, False]),
            "mail": st.sampled_from([*ADDRESSES, ADDRESSES[0].upper(), None]),
        }
    ),
    min_size=3,
)
_DIRECTORIES = st.fixed_dictionaries(
    {
        "people": _PEOPLE,
        "groups": st.dictionaries(
            st.sampled_from(GROUPS), st.sets(st.sampled_from([*USERS, *GROUPS])), min_size=1
        ),
    }
)


def _inside(directory: Directory, group: str) -> set[str]:
    """Return the users of a group and of all groups in it."""
    found, waiting = {group}, [group]
    while waiting:
        for name in _members(directory, waiting.pop()):
            if name not in found:
                found.add(name)
                waiting += [name] if name in directory["groups"] else []
    return found - {*directory["groups"]}


def _allowed(directory: Directory) -> set[tuple[str, str]]:
    """Return the address of whoever is to see the document of a group, with the group."""
    people = [
        (directory["people"][name], group)
        for group in directory["groups"]
        for name in _inside(directory, group)
    ]
    return {(one["mail"].lower(), group) for one, group in people if one["enabled"] and one["mail"]}


@contextmanager
def _failing(sandbox: Sandbox, fault: Any) -> Iterator[None]:
    if fault is not None:
        sandbox.faults.add(route=fault[0], action=fault[1], times=6)
    try:
        yield
    finally:
        sandbox.faults.clear()


@pytest.fixture
def guarded(secured: Sandbox, write_part: WritePart) -> Sandbox:
    """A document for each group."""
    for group in GROUPS:
        permissions = [{"allowedPermissions": [{"identity": group, "identityType": "Group"}]}]
        rows = [{"documentId": f"hr://{group}", "data": "x", "permissions": permissions}]
        run(
            CoveoPushBatchOperator(
                task_id="push", source_id="hr", documents=write_part(rows, f"{group}.parquet")
            )
        )
    return secured


_NUMBERS = count()


@pytest.mark.long
@given(
    nights=st.lists(
        st.tuples(_DIRECTORIES, st.sampled_from(sorted(FORMATS)), st.sampled_from(FAULTS)),
        min_size=2,
        max_size=5,
    )
)
@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_who_sees_what_is_what_the_directory_says(
    guarded: Sandbox, tmp_path: Path, waits: list[float], nights: list[tuple[Directory, str, Any]]
) -> None:
    """Moved, disabled, renamed, emptied, deleted, cut off by a fault: after a green night it is as exported."""
    folder = tmp_path / f"example-{next(_NUMBERS)}"
    for number, (directory, name, fault) in enumerate(nights):
        guarded.clock.advance(seconds=3600)
        kind, write = FORMATS[name]
        night = folder / str(number)
        night.mkdir(parents=True)
        (night / name).write_text(write(directory))
        transform = CoveoTransformIdentitiesOperator(
            task_id="ids", source=(night / name).as_uri(), output=(night / "ids").as_uri(), format=kind
        )
        try:
            ids = run(transform)
        except AirflowFailException:  # nobody would see anything
            continue
        push = CoveoSecurityExpansionOperator(
            task_id="identities",
            provider_id=PROVIDER,
            members=ids["members"],
            mappings=ids["mappings"],
            state=(folder / "state").as_uri(),
            delete_older=True,
            queue_delay=0,
            max_chunk_bytes=1_000,
        )
        try:
            with _failing(guarded, fault):
                run(push)
        except Exception:  # noqa: BLE001  red: the next night makes it good
            assert fault is not None
            continue
        guarded.settle()
        seen = {
            (address, group)
            for address in ADDRESSES
            for group in GROUPS
            if guarded.can_see("hr", f"hr://{group}", address)
        }
        assert seen == _allowed(directory)

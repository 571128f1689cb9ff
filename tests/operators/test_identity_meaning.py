"""
What is pushed of identities means the same in models, in the evaluation before the push, in operators and service.

What the service refuses is refused before anything is sent.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from coveo_provider._compat import AirflowFailException
from coveo_provider.documents import IdentityGraph, PermissionIdentity, explain_access
from coveo_provider.errors import DataError
from coveo_provider.identities.models import (
    DisabledIdentityBody,
    Identity,
    IdentityBody,
    MappedIdentityBody,
)
from coveo_provider.operators import (
    CoveoCheckAccessOperator,
    CoveoPushBatchOperator,
    CoveoPushIdentityOperator,
    CoveoSecurityExpansionOperator,
)
from coveo_provider.sandbox import Sandbox
from tests.operators.conftest import run
from tests.sandbox.organization import EMAIL, PROVIDER, Organization, named, who

IDENTITY = pa.struct([("name", pa.string()), ("type", pa.string())])
MEMBERS = pa.schema(
    [
        ("name", pa.string()),
        ("type", pa.string()),
        ("members", pa.list_(IDENTITY)),
        ("wellKnowns", pa.list_(IDENTITY)),
    ]
)
MAPPINGS = pa.schema(
    [
        ("name", pa.string()),
        ("type", pa.string()),
        ("mappings", pa.list_(pa.struct([*IDENTITY, ("provider", pa.string())]))),
    ]
)
TYPES = ["USER", "GROUP", "VIRTUAL_GROUP", "UNKNOWN"]


def part(folder: Path, rows: list[dict[str, Any]], schema: pa.Schema, name: str) -> str:
    path = folder / f"{name}.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema), path)
    return str(path)


@pytest.fixture
def secured(connected: Sandbox) -> Organization:
    """A secured source ``hr`` with a provider of its own."""
    organization = Organization(connected)
    connected.clear_calls()
    return organization


def sent(sandbox: Sandbox) -> list[Any]:
    return [call for call in sandbox.calls if call.method in {"PUT", "POST", "DELETE"}]


# -- members of what is no group


@pytest.mark.parametrize("kind", ["USER", "UNKNOWN", "user", "Unknown"])
def test_members_of_what_is_no_group_are_refused_everywhere(
    secured: Organization, tmp_path: Path, kind: str
) -> None:
    """As the service does; by the same sentence."""
    sandbox = secured.sandbox
    problem = f"a {kind.upper()} has no members"
    body: dict[str, Any] = {"identity": who("ann", kind), "members": [who("bob")]}
    with pytest.raises(DataError, match=f"'ann': {problem}"):
        IdentityBody(Identity("ann", kind), (Identity("bob", "USER"),))
    with pytest.raises(DataError, match=problem):
        IdentityGraph(IdentityBody.from_json(body))
    members = part(tmp_path, [{**who("HR", "GROUP"), "members": []}, {**who("ann", kind), "members": [who("bob")]}],
                   MEMBERS, "members")  # fmt: skip
    documents = part(tmp_path, [{"documentId": "a:1"}], pa.schema([("documentId", pa.string())]), "documents")
    for operator in (
        CoveoSecurityExpansionOperator(task_id="e", provider_id=PROVIDER, members=members),
        CoveoPushIdentityOperator(
            task_id="i", provider_id=PROVIDER, identity=body["identity"], members=body["members"]
        ),
        CoveoCheckAccessOperator(task_id="c", documents=documents, provider_id=PROVIDER, members=members),
    ):
        with pytest.raises(AirflowFailException, match=rf"ann.*{problem}"):
            run(operator)
    assert not sent(sandbox)
    assert secured.push_identity({**body, "identity": who("ann", kind.upper())}).status_code == 400


@pytest.mark.parametrize(
    ("identity", "options", "problem"),
    [
        (None, {}, "expected an object"),
        (who(None, "GROUP"), {"members": []}, "name of an identity is None"),  # type: ignore[arg-type]
        (who(" ", "GROUP"), {"members": []}, "name of an identity is ' '"),
        (who("HR", None), {"members": []}, "None is no type of identity"),  # type: ignore[arg-type]
        (who("HR", "GROUP"), {}, "a GROUP without members"),
        (who("HR", "GROUP"), {"members": [None]}, "an identity is None"),
        (who("HR", "GROUP"), {"members": [who("ann"), {"name": "bob", "type": None}]}, "None is no type"),
        (who("HR", "GROUP"), {"members": [{"name": None, "type": "USER"}]}, "name of an identity is None"),
        (who("HR", "GROUP"), {"members": [], "well_knowns": [None]}, "an identity is None"),
        (who("ann"), {"mappings": [None]}, "an alias is None"),
        (who("ann"), {"mappings": [{"name": None, "type": "USER"}]}, "name of an identity is None"),
        (who("ann"), {"mappings": [who("a@b.c")], "well_knowns": [None]}, "an identity is None"),
        (None, {"disable": True}, "expected an object"),
    ],
)
def test_a_null_in_an_identity_is_refused(
    secured: Organization, identity: Any, options: dict[str, Any], problem: str
) -> None:
    """Before the call."""
    with pytest.raises(AirflowFailException, match=problem):
        run(CoveoPushIdentityOperator(task_id="i", provider_id=PROVIDER, identity=identity, **options))
    assert not sent(secured.sandbox)


@pytest.mark.parametrize("key", ["members", "wellKnowns"])
def test_a_list_that_is_null_is_refused_in_json(key: str) -> None:
    """What was in it is not known, and a push replaces what is stored."""
    with pytest.raises(DataError, match=f"{key} is None, expected a list"):
        IdentityBody.from_json({"identity": who("HR", "GROUP"), "members": [], key: None})
    with pytest.raises(DataError, match="mappings is None, expected a list"):
        MappedIdentityBody.from_json({"identity": who("ann"), "mappings": None})


@pytest.mark.parametrize(
    "build",
    [
        lambda: IdentityBody(None),  # type: ignore[arg-type]
        lambda: IdentityBody(Identity("HR", "GROUP"), None),  # type: ignore[arg-type]
        lambda: IdentityBody(Identity("HR", "GROUP"), (None,)),  # type: ignore[arg-type]
        lambda: IdentityBody(Identity("HR", "GROUP"), (), (None,)),  # type: ignore[arg-type]
        lambda: MappedIdentityBody(Identity("ann", "USER"), (None,)),  # type: ignore[arg-type]
        lambda: DisabledIdentityBody(None),  # type: ignore[arg-type]
        lambda: Identity("ann", None),  # type: ignore[arg-type]
    ],
)
def test_a_null_in_a_model_is_refused(build: Callable[[], object]) -> None:
    """Before there is any model."""
    with pytest.raises(DataError):
        build()


# -- any organisation

NAMES = ["ann", "bob", "team", "hr"]
identity = st.builds(who, st.sampled_from(NAMES), st.sampled_from(TYPES))
pushed = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from(NAMES),
            "type": st.sampled_from([*TYPES, "GROUP", "GROUP", "VIRTUAL_GROUP"]),
            "members": st.lists(identity, max_size=3),
            "wellKnowns": st.lists(identity, max_size=1),
        }
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda row: (row["name"], row["type"]),
)
numbers_of_rows = st.integers(0, 99)
permissions = st.lists(
    st.fixed_dictionaries(
        {"allowedPermissions": st.lists(numbers_of_rows, min_size=2, max_size=5)},
        optional={"deniedPermissions": st.lists(numbers_of_rows, max_size=1)},
    ),
    min_size=1,
    max_size=2,
)
numbers = itertools.count()


def by_number(rows: list[dict[str, Any]], number: int) -> dict[str, Any]:
    """Return an entry of permissions that names an identity which is pushed, as others are in error."""
    row = rows[number % len(rows)]
    return named(row["name"], row["type"])


@pytest.mark.long
@settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(rows=pushed, aliased=st.sampled_from([True, True, True, False]), who_sees=permissions)
def test_all_refuse_an_organisation_or_all_agree_about_it(
    secured: Organization, tmp_path: Path, rows: list[dict[str, Any]], aliased: bool, who_sees: list[Any]
) -> None:
    """Over a real socket."""
    sandbox = secured.sandbox
    sandbox.reset()
    name = f"members-{next(numbers)}"
    members = part(tmp_path, rows, MEMBERS, name)
    aliases = [
        {**who(one), "mappings": [who(f"{one}@x.io", provider=EMAIL)]} for one in ("ann", "bob") if aliased
    ]
    mappings = part(tmp_path, aliases or [{**who("eve"), "mappings": []}], MAPPINGS, f"mappings-{name}")
    expand = CoveoSecurityExpansionOperator(
        task_id="e", provider_id=PROVIDER, members=members, mappings=mappings
    )
    wrong = any(row["members"] and row["type"] in {"USER", "UNKNOWN"} for row in rows)
    bodies = [
        {
            "identity": who(row["name"], row["type"]),
            "members": row["members"],
            "wellKnowns": row["wellKnowns"],
        }
        for row in rows
    ]
    graph = IdentityGraph(default_provider=PROVIDER)
    if wrong:
        event("refused")
        with pytest.raises(DataError, match="has no members"):
            graph.add(*map(IdentityBody.from_json, bodies))
        with pytest.raises(AirflowFailException, match="has no members"):
            run(expand)
        assert not sent(sandbox)
        assert 400 in {secured.push_identity(body).status_code for body in bodies}
        return
    sets = [
        {key: [by_number(rows, number) for number in side] for key, side in each.items()} for each in who_sees
    ]
    graph.add(
        *map(IdentityBody.from_json, bodies),
        *(
            MappedIdentityBody.from_json({"identity": who(one["name"]), "mappings": one["mappings"]})
            for one in aliases
        ),
    )
    run(expand)
    run(
        CoveoPushBatchOperator(
            task_id="p", source_id="hr", documents=[{"documentId": "file://a", "permissions": sets}]
        )
    )
    sandbox.settle()
    everybody = [None, *((one, provider) for one in NAMES for provider in (PROVIDER, EMAIL))]
    everybody += [("ann@x.io", EMAIL), ("bob@x.io", EMAIL)]
    seen = 0
    for one in everybody:
        user = None if one is None else PermissionIdentity.user(*one)
        theirs = sandbox.can_see("hr", "file://a", *(one or (None,)))
        assert explain_access(sets, user, graph).allowed is theirs, one
        seen += theirs
    event("some see it" if seen else "nobody sees it")

"""Security identities: the models, and the JSON of the calls that take one."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coveo_provider.documents.permissions.spelling import IdentityType
from coveo_provider.errors import DataError
from coveo_provider.identities.models import (
    BatchIdentityBody,
    DisabledIdentityBody,
    Identity,
    IdentityBody,
    MappedIdentity,
    MappedIdentityBody,
    encode_identity,
)
from tests.documents.strategies import TEXTS

names = TEXTS.filter(lambda text: bool(text.strip()))
infos = st.dictionaries(TEXTS, TEXTS, max_size=2)
identities = st.builds(Identity, names, st.sampled_from(IdentityType), infos)
aliases = st.builds(MappedIdentity, names, st.sampled_from(IdentityType), st.none() | names, infos)
some = st.lists(identities, max_size=3).map(tuple)
groups = st.builds(Identity, names, st.sampled_from([IdentityType.GROUP, IdentityType.VIRTUAL_GROUP]), infos)
bodies = st.builds(IdentityBody, groups, some, some) | st.builds(IdentityBody, identities, st.just(()), some)
mapped = st.builds(MappedIdentityBody, identities, st.lists(aliases, max_size=3).map(tuple), some)
disabled = st.builds(DisabledIdentityBody, identities)
batches = st.builds(
    BatchIdentityBody,
    st.lists(bodies, max_size=2),
    st.lists(mapped, max_size=2),
    st.lists(disabled, max_size=2),
)


@settings(deadline=None, max_examples=100)
@given(batches)
def test_a_model_is_read_back_from_its_json(batch: BatchIdentityBody) -> None:
    """Every body, alone and in a batch."""
    assert BatchIdentityBody.from_json(json.loads(encode_identity(batch))) == BatchIdentityBody(
        tuple(batch.members), tuple(batch.mappings), tuple(batch.deleted)
    )
    assert pickle.loads(pickle.dumps(batch)) == batch


def test_the_group_of_the_usage_example() -> None:
    """AlphaTeam of docs 1336, with its three members."""
    team = IdentityBody(
        Identity("AlphaTeam", "GROUP"),
        tuple(Identity(f"{name}@example.com", "User") for name in ("alice", "bob", "david")),
    )

    assert json.loads(encode_identity(team)) == {
        "identity": {"name": "AlphaTeam", "type": "GROUP"},
        "members": [
            {"name": "alice@example.com", "type": "USER"},
            {"name": "bob@example.com", "type": "USER"},
            {"name": "david@example.com", "type": "USER"},
        ],
    }


def test_the_alias_of_the_usage_example_is_read_in_pascal_case() -> None:
    """Docs 1336 spells the keys so; they are sent as the reference does."""
    given = {
        "Identity": {"Name": "alice@example.com", "Type": "USER"},
        "Mappings": [{"Name": "alice@example.com", "Type": "USER", "Provider": "Email Security Provider"}],
    }

    assert MappedIdentityBody.from_json(given).to_json() == {
        "identity": {"name": "alice@example.com", "type": "USER"},
        "mappings": [{"name": "alice@example.com", "type": "USER", "provider": "Email Security Provider"}],
    }


def test_the_batch_of_the_reference() -> None:
    """The BatchIdentityBody of docs 78, with empty additionalInfo left out."""
    info: dict[str, str] = {}
    batch = BatchIdentityBody(
        (
            IdentityBody(
                Identity("SampleGroup", "GROUP", info),
                (Identity("asmith@example.com", "USER"),),
                (Identity("SampleGrantedIdentity", "GROUP"),),
            ),
        ),
        (
            MappedIdentityBody(
                Identity("asmith@example.com", "USER"),
                (MappedIdentity("alice_smith@example.com", "USER", "Email Security Provider"),),
                (Identity("SampleGrantedIdentity2", "VIRTUAL_GROUP"),),
            ),
        ),
        (DisabledIdentityBody(Identity("bjones@example.com", "USER")),),
    )

    assert batch.to_json() == {
        "members": [
            {
                "identity": {"name": "SampleGroup", "type": "GROUP"},
                "members": [{"name": "asmith@example.com", "type": "USER"}],
                "wellKnowns": [{"name": "SampleGrantedIdentity", "type": "GROUP"}],
            }
        ],
        "mappings": [
            {
                "identity": {"name": "asmith@example.com", "type": "USER"},
                "mappings": [
                    {"name": "alice_smith@example.com", "type": "USER", "provider": "Email Security Provider"}
                ],
                "wellKnowns": [{"name": "SampleGrantedIdentity2", "type": "VIRTUAL_GROUP"}],
            }
        ],
        "deleted": [{"identity": {"name": "bjones@example.com", "type": "USER"}}],
    }


def test_a_user_may_have_additional_info_and_no_members() -> None:
    """The first example of an IdentityBody in docs 78."""
    body = IdentityBody(Identity("msinger@abc.com", "USER", {"Department": "R&D"}))

    assert body.to_json() == {
        "identity": {"name": "msinger@abc.com", "type": "USER", "additionalInfo": {"Department": "R&D"}}
    }


def test_an_empty_group_says_so() -> None:
    """A push replaces the list, so that it is empty is said."""
    assert IdentityBody(Identity("G", "group")).to_json()["members"] == []


def test_a_member_stands_once() -> None:
    """Names that differ in case stay apart, as a provider may tell them apart."""
    members = (Identity("a", "USER"), Identity("A", "USER"), Identity("a", "USER"), Identity("a", "GROUP"))

    assert IdentityBody(Identity("G", "GROUP"), members).members == (members[0], members[1], members[3])


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"identity": {"name": "", "type": "USER"}}, "name of an identity is ''"),
        ({"identity": {"name": "a", "type": "Robot"}}, "'Robot' is no type of identity"),
        ({"identity": {"name": "a"}}, "'' is no type"),
        ({"identity": {"name": "a", "type": "USER", "x": 1}}, "unknown key 'x'"),
        ({"identity": {"name": "a", "NAME": "b", "type": "USER"}}, "key 'NAME' twice"),
        ({"identity": {"name": "a", "type": "USER", "additionalInfo": {"n": 1}}}, "expected texts by name"),
        ({"identity": {"name": "a", "type": "USER", "additionalInfo": []}}, "expected an object"),
        ({"identity": {"name": "a", "type": "USER"}, "members": {}}, "members is {}, expected a list"),
        ({"name": "a", "type": "USER"}, "unknown key 'name'"),
        ({}, "an identity is None"),
        ([], r"an identity body is \[\]"),
    ],
)
def test_what_is_no_identity_is_refused(body: Any, problem: str) -> None:
    """With the key at fault."""
    with pytest.raises(DataError, match=problem):
        IdentityBody.from_json(body)


def test_an_identity_to_disable_is_wrapped() -> None:
    """One client sends it bare, which the API does not take."""
    with pytest.raises(DataError, match="unknown key 'name'"):
        BatchIdentityBody.from_json({"deleted": [{"name": "a", "type": "USER"}]})


def test_what_cannot_be_utf8_is_refused() -> None:
    """A lone surrogate, as broken decoding leaves it."""
    with pytest.raises(DataError, match="cannot be JSON"):
        encode_identity(DisabledIdentityBody(Identity("\ud800", "USER")))

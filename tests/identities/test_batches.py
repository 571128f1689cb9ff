"""Datasets of identities become the bodies of containers."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.identities_expand import write_groups
from coveo_provider.documents.contract import Section
from coveo_provider.documents.dataset.tables import Part
from coveo_provider.documents.encoding.chunks import ChunkWriter
from coveo_provider.errors import ConfigurationError, DatasetError
from coveo_provider.identities.batches import IdentityEncoder, spool_identities
from coveo_provider.identities.columns import IdentityKind
from coveo_provider.identities.duplicates import merged
from coveo_provider.identities.models import (
    DisabledIdentityBody,
    Identity,
    IdentityBody,
    MappedIdentity,
    MappedIdentityBody,
)
from tests.documents.strategies import TEXTS, read

INFO = pa.map_(pa.string(), pa.string())
IDENTITY = pa.struct([("name", pa.string()), ("type", pa.string()), ("additionalInfo", INFO)])
ALIAS = pa.struct([*IDENTITY, ("provider", pa.string())])
HEAD = [("name", pa.string()), ("type", pa.string()), ("additionalInfo", INFO)]
SCHEMAS = {
    "members": pa.schema([*HEAD, ("members", pa.list_(IDENTITY)), ("wellKnowns", pa.list_(IDENTITY))]),
    "mappings": pa.schema([*HEAD, ("mappings", pa.list_(ALIAS)), ("wellKnowns", pa.list_(IDENTITY))]),
    "deleted": pa.schema(HEAD),
}
TYPES = ["USER", "GROUP", "VIRTUAL_GROUP", "UNKNOWN"]

names = TEXTS.filter(lambda text: bool(text.strip()))
infos = st.dictionaries(TEXTS, TEXTS, max_size=2)
identities = st.builds(Identity, names, st.sampled_from(TYPES), infos)
aliases = st.builds(MappedIdentity, names, st.sampled_from(TYPES), st.none() | names, infos)
some = st.lists(identities, max_size=3).map(tuple)


def key(body: Any) -> tuple[str, str]:
    return body.identity.name.lower(), body.identity.type.name


groups = st.builds(Identity, names, st.sampled_from(["GROUP", "VIRTUAL_GROUP"]), infos)
bodies_of_members = st.builds(IdentityBody, groups, some, some) | st.builds(
    IdentityBody, identities, st.just(()), some
)
members = st.lists(bodies_of_members, max_size=5, unique_by=key)
mappings = st.lists(
    st.builds(MappedIdentityBody, identities, st.lists(aliases, max_size=3).map(tuple), some),
    max_size=4,
    unique_by=key,
)
wide = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))


def row(body: Any) -> dict[str, Any]:
    """Return a body as a row of its dataset."""
    document = body.to_json()
    return {**_typed(document.pop("identity")), **{k: [_typed(e) for e in v] for k, v in document.items()}}


def _typed(identity: dict[str, Any]) -> dict[str, Any]:
    return {**identity, "additionalInfo": list(identity.get("additionalInfo", {}).items())}


def part(kind: str, rows: list[Any], name: str = "part-0", schema: pa.Schema | None = None) -> Part:
    """Return rows, or the models of some, as a part."""
    plain = [entry if isinstance(entry, dict) else row(entry) for entry in rows]
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(plain, schema or SCHEMAS[kind]), file)
    return Part(file, name)


def spool(
    limit: int = 10_000_000, duplicates: Literal["refuse", "merge"] = "refuse", **given: Any
) -> Iterator[tuple[dict[Section, int], bytes]]:
    """Return the chunks that parts become: what is counted in each, and its bytes."""
    with ChunkWriter(limit) as writer:
        for chunk in spool_identities(writer, duplicates=duplicates, log=lambda *_: None, **given):
            data = chunk.path.read_bytes()
            assert chunk.size == len(data) <= limit
            yield dict(chunk.counts), data


def bodies(*args: Any, **given: Any) -> dict[str, list[Any]]:
    """Return what the chunks hold together."""
    held: dict[str, list[Any]] = {"members": [], "mappings": [], "deleted": []}
    for counts, data in spool(*args, **given):
        body = read(data)
        for key, entries in body.items():
            assert entries, "no empty array"
            assert counts[Section(key)] == len(entries)
            held[key] += entries
    return held


def test_the_batch_of_the_reference() -> None:
    """The BatchIdentityBody of docs 78, from three datasets."""
    group = IdentityBody(
        Identity("SampleGroup", "GROUP"),
        (Identity("asmith@example.com", "USER"),),
        (Identity("SampleGrantedIdentity", "GROUP"),),
    )
    alias = MappedIdentityBody(
        Identity("asmith@example.com", "USER"),
        (MappedIdentity("alice_smith@example.com", "USER", "Email Security Provider"),),
        (Identity("SampleGrantedIdentity2", "VIRTUAL_GROUP"),),
    )
    gone = DisabledIdentityBody(Identity("bjones@example.com", "USER"))

    ((_, data),) = spool(
        members=[part("members", [group])],
        mappings=[part("mappings", [alias])],
        deleted=[part("deleted", [gone])],
    )

    assert json.loads(data) == {
        "members": [group.to_json()], "mappings": [alias.to_json()], "deleted": [gone.to_json()]
    }  # fmt: skip


@wide
@given(members, mappings, st.integers(1, 3))
def test_a_dataset_says_what_its_models_say(adding: list[Any], aliasing: list[Any], parts: int) -> None:
    """Written by column or one by one, an identity is the same; in however many parts."""
    held = bodies(
        members=[part("members", adding[n::parts], f"part-{n}") for n in range(parts)],
        mappings=[part("mappings", aliasing)],
    )

    expected = [body.to_json() for n in range(parts) for body in adding[n::parts]]
    assert held["members"] == expected
    assert held["mappings"] == [body.to_json() for body in aliasing]


@wide
@given(st.lists(st.integers(0, 12), min_size=1, max_size=30), st.integers(1_000, 1_300))
def test_chunks_hold_every_identity_once(sizes: list[int], limit: int) -> None:
    """In order, in valid JSON and within the bound."""
    groups = [
        IdentityBody(Identity(f"g{n}", "GROUP"), tuple(Identity(f"u{m}", "USER") for m in range(size)))
        for n, size in enumerate(sizes)
    ]
    gone = [DisabledIdentityBody(Identity(f"x{n}", "USER")) for n in range(len(sizes))]

    held = bodies(limit, members=[part("members", groups)], deleted=[part("deleted", gone)])

    assert held["members"] == [group.to_json() for group in groups]
    assert held["deleted"] == [body.to_json() for body in gone]


@wide
@given(st.lists(st.tuples(st.integers(0, 3), some, some, infos), max_size=8))
def test_merged_duplicates_equal_one_row(rows: list[Any]) -> None:
    """Over parts and within one, as if all had stood in a single row."""
    given = [
        IdentityBody(Identity(f"g{n}" if position % 2 else f"G{n}", "GROUP", info), inside, granted)
        for position, (n, inside, granted, info) in enumerate(rows)
    ]
    by_name: dict[str, list[IdentityBody]] = {}
    for body in given:
        by_name.setdefault(body.identity.name.lower(), []).append(body)

    held = bodies(
        duplicates="merge", members=[part("members", given[:3], "a"), part("members", given[3:], "b")]
    )

    expected = [merged(group).to_json() for group in by_name.values()]
    order = lambda body: body["identity"]["name"].lower()  # noqa: E731
    assert sorted(held["members"], key=order) == sorted(expected, key=order)


def test_merging_unites_members_aliases_and_info() -> None:
    """Each stands once; of two values for one key of the info, the first stays."""
    one = IdentityBody(Identity("G", "GROUP", {"a": "1"}), (Identity("u", "USER"), Identity("v", "USER")))
    two = IdentityBody(
        Identity("g", "GROUP", {"a": "2", "b": "3"}), (Identity("v", "USER"), Identity("w", "USER"))
    )

    assert merged([one, two]) == IdentityBody(
        Identity("G", "GROUP", {"a": "1", "b": "3"}), tuple(Identity(name, "USER") for name in "uvw")
    )
    alias = [
        MappedIdentityBody(Identity("u", "USER"), (MappedIdentity(name, "USER"),)) for name in ("x", "y")
    ]
    assert [each.name for each in merged(alias).mappings] == ["x", "y"]


def test_an_identity_that_stands_twice_is_refused_by_name() -> None:
    """A push replaces the group, so half of its members would be lost."""
    one = IdentityBody(Identity("Sales Team", "GROUP"), (Identity("u", "USER"),))
    two = IdentityBody(Identity("SALES team", "group"), (Identity("v", "USER"),))
    other = IdentityBody(Identity("sales team", "USER"))

    with pytest.raises(
        DatasetError, match=r"members: .*GROUP 'Sales Team' in a and 'SALES team' in b.*merge"
    ):
        bodies(members=[part("members", [one, other], "a"), part("members", [two], "b")])
    held = bodies(members=[part("members", [one, other])], mappings=[
        part("mappings", [MappedIdentityBody(Identity("sales team", "USER"))])])  # fmt: skip
    assert len(held["members"]) == 2, "an alias of the same user is no duplicate, nor a user of the same name"


def test_a_case_sensitive_provider_tells_names_apart() -> None:
    """When told so."""
    rows = [IdentityBody(Identity(name, "GROUP")) for name in ("G", "g")]

    assert len(bodies(members=[part("members", rows)], case_sensitive=True)["members"]) == 2
    with pytest.raises(DatasetError, match="found twice"):
        bodies(members=[part("members", rows)])


@pytest.mark.parametrize("duplicates", ["refuse", "merge"])
@pytest.mark.parametrize("kind", ["members", "mappings"])
def test_an_identity_to_update_and_to_disable_is_refused(kind: str, duplicates: Any) -> None:
    """Which comes last is not known."""
    body: Any = {"members": IdentityBody, "mappings": MappedIdentityBody}[kind](Identity("Bob", "USER"))
    given = {
        kind: [part(kind, [body])],
        "deleted": [part("deleted", [DisabledIdentityBody(Identity("bob", "USER"))])],
    }

    with pytest.raises(DatasetError, match="to update and those to disable: USER 'bob'"):
        bodies(duplicates=duplicates, **given)


def test_a_member_that_stands_twice_in_a_row_is_sent_once() -> None:
    """The first of equal ones."""
    inside = [{"name": "u", "type": "user"}, {"name": "v", "type": "USER"}, {"name": "u", "type": "USER"}]
    rows = [
        {"name": "G", "type": "GROUP", "members": inside},
        {"name": "H", "type": "GROUP", "members": inside[:1]},
    ]

    held = bodies(members=[part("members", rows)])["members"]
    assert [[each["name"] for each in body["members"]] for body in held] == [["u", "v"], ["u"]]


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (pa.string(), '{"Department": "R&D", "x": null}'),
        (INFO, [("Department", "R&D"), ("x", None)]),
        (pa.struct([("Department", pa.string()), ("x", pa.string())]), {"Department": "R&D", "x": None}),
        (pa.struct([("Department", pa.string()), ("x", pa.null())]), {"Department": "R&D", "x": None}),
    ],
)
def test_additional_info_may_be_a_map_a_struct_or_json(dtype: pa.DataType, value: Any) -> None:
    """Of the identity and of its members; what is empty is left out."""
    schema = pa.schema(
        [
            ("NAME", pa.string()),
            ("Type", pa.string()),
            ("AdditionalInfo", dtype),
            (
                "Members",
                pa.list_(
                    pa.struct([("name", pa.string()), ("type", pa.string()), ("additionalInfo", dtype)])
                ),
            ),
        ]
    )
    member = {"name": "u", "type": "USER"}
    rows = [
        {
            "NAME": "G",
            "Type": "GROUP",
            "AdditionalInfo": value,
            "Members": [{**member, "additionalInfo": value}],
        },
        {"NAME": "H", "Type": "GROUP", "AdditionalInfo": None, "Members": [member]},
    ]

    held = bodies(members=[part("members", rows, schema=schema)])["members"]

    info = {"additionalInfo": {"Department": "R&D"}}
    assert held == [
        {"identity": {"name": "G", "type": "GROUP", **info}, "members": [{**member, **info}]},
        {"identity": {"name": "H", "type": "GROUP"}, "members": [member]},
    ]


@pytest.mark.parametrize("value", ["[1]", "{", "1", '{"a": 1}', '{"a": "x", "a": "y"}', '{"a": "\\ud800"}'])
def test_additional_info_that_is_no_texts_by_name_is_refused(value: str) -> None:
    """With the identity it belongs to."""
    schema = pa.schema([("name", pa.string()), ("type", pa.string()), ("additionalInfo", pa.string())])
    rows = [{"name": "a", "type": "USER"}, {"name": "b", "type": "USER", "additionalInfo": value}]
    with pytest.raises(DatasetError, match="part-0: identity 'b' in row 1: additionalInfo"):
        bodies(deleted=[part("deleted", rows, schema=schema)])


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ({"name": None, "type": "USER"}, "name is None"),
        ({"name": " ", "type": "USER"}, "name is ' '"),
        ({"name": "a", "type": None}, "type of 'a' is None, expected USER"),
        ({"name": "a", "type": "Robot"}, "type of 'a' is 'Robot'"),
        ({"name": "a", "type": "GROUP"}, "a GROUP without members"),
        ({"name": "a", "type": "GROUP", "members": [None]}, "members hold null"),
        ({"name": "a", "type": "GROUP", "members": [{"name": "", "type": "USER"}]}, "members: name is ''"),
        (
            {"name": "a", "type": "USER", "wellKnowns": [{"name": "b", "type": "x"}]},
            "wellKnowns: type of 'b'",
        ),
    ],
)
def test_a_row_that_is_no_identity_is_refused(entry: Any, problem: str) -> None:
    """With its name and where it stands."""
    rows = [
        {"name": "fine", "type": "USER", "members": [], "wellKnowns": [{"name": "W", "type": "GROUP"}]},
        entry,
    ]
    with pytest.raises(DatasetError, match=f"identity .* in row 1: {problem}"):
        bodies(members=[part("members", rows)])


def test_a_virtual_group_needs_no_list_of_members() -> None:
    """Its members may all be granted it from their side."""
    assert bodies(members=[part("members", [{"name": "Everyone", "type": "VIRTUAL_GROUP"}])])["members"] == [
        {"identity": {"name": "Everyone", "type": "VIRTUAL_GROUP"}, "members": []}
    ]
    schema = SCHEMAS["deleted"]
    held = bodies(members=[part("members", [{"name": "E", "type": "VIRTUAL_GROUP"}], schema=schema)])
    assert held["members"] == [{"identity": {"name": "E", "type": "VIRTUAL_GROUP"}, "members": []}]


def test_a_schema_is_refused_with_all_its_problems() -> None:
    """Before the first row."""
    schema = pa.schema([("nam", pa.string()), ("type", pa.int64()), ("members", pa.list_(pa.string()))])
    with pytest.raises(DatasetError) as caught:
        IdentityEncoder(schema, IdentityKind.MEMBERS, where="part-0")
    for problem in ("part-0 (members of identities)", "'nam' has no place", "'type' holds int64",
                    "expected a list of structs", "column name is missing"):  # fmt: skip
        assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "columns", "problem"),
    [
        ("mappings", [], "column mappings is missing"),
        ("deleted", [("members", pa.list_(IDENTITY))], "'members' has no place"),
        ("members", [("Name", pa.string())], "'name' and 'Name' are the same"),
        ("members", [("members", pa.list_(ALIAS))], "unknown key 'provider'"),
        ("members", [("members", pa.list_(pa.struct([("name", pa.string())])))], "no key 'type'"),
        ("deleted", [("additionalInfo", pa.int64())], "expected a map or struct of texts"),
    ],
)
def test_columns_that_have_no_meaning_are_refused(kind: str, columns: Any, problem: str) -> None:
    """By name."""
    schema = pa.schema([("name", pa.string()), ("type", pa.string()), *columns])
    with pytest.raises(DatasetError, match=problem):
        IdentityEncoder(schema, IdentityKind(kind), where="part-0")


def test_a_group_larger_than_a_chunk_is_refused() -> None:
    """It cannot be split, as a push replaces the list."""
    group = IdentityBody(Identity("G", "GROUP"), tuple(Identity(f"user{n}", "USER") for n in range(100)))
    with pytest.raises(ConfigurationError, match="too small"):
        bodies(1_000, members=[part("members", [group])])


def test_nothing_makes_no_chunk(tmp_path: Path) -> None:
    """So that a later step can see that there was nothing."""
    assert not list(spool(members=[part("members", [])], deleted=[]))


def test_duplicates_are_refused_or_merged() -> None:
    """Nothing else."""
    with pytest.raises(ConfigurationError, match="'refuse' or 'merge'"):
        bodies(duplicates="last")


def test_the_benchmark_runs_on_a_small_dataset(tmp_path: Path) -> None:
    """Its groups are skewed in size and add up to the memberships asked for."""
    path = write_groups(tmp_path / "part.parquet", 300, 2_000)

    held = bodies(members=[Part(path.open("rb"), "part-0")])["members"]

    assert len(held) == 300
    assert sum(pq.read_table(path)["members"].combine_chunks().value_lengths().to_pylist()) == 2_000
    assert max(len(body["members"]) for body in held) > 30


def test_merging_names_the_row_at_fault() -> None:
    """Already while it looks for duplicates."""
    rows = [{"name": "a", "type": "USER"}, {"name": "b", "type": "?"}]
    with pytest.raises(DatasetError, match=r"part-0: identity in row 1: type of 'b' is '\?'"):
        bodies(duplicates="merge", members=[part("members", rows)])

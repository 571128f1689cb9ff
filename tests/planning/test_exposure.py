"""What a load changes of who may see what, against an oracle that looks at each document by itself."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coveo_provider.documents.changes.comparison import Comparison
from coveo_provider.documents.contract import Section
from coveo_provider.documents.dataset.part_writer import PartWriter
from coveo_provider.documents.extracts.source_files import SourceFile
from coveo_provider.identities.graph import IdentityGraph
from coveo_provider.identities.models import Identity, IdentityBody
from coveo_provider.planning.inspection import Inspection
from coveo_provider.planning.parts import StoredPart

PUBLIC = json.dumps([{"allowAnonymous": True}])


def allowing(*groups: str, denied: str = "") -> str:
    """Return permissions that allow some groups."""
    body: dict[str, Any] = {
        "allowAnonymous": False,
        "allowedPermissions": [{"identity": one, "identityType": "Group"} for one in groups],
    }
    if denied:
        body["deniedPermissions"] = [{"identity": denied, "identityType": "User"}]
    return json.dumps([body])


CHOICES = [
    None,
    PUBLIC,
    allowing("staff"),
    allowing("hr"),
    allowing("staff", "hr"),
    allowing("hr", denied="bob"),
]
SIDES = st.dictionaries(st.integers(0, 30), st.sampled_from(range(len(CHOICES))), min_size=1, max_size=20)


class Side:
    """A dataset of documents with permissions, in parts, with its hashes."""

    def __init__(self, folder: Path, table: pa.Table, parts: int = 2) -> None:
        folder.mkdir(parents=True)
        with PartWriter(folder, section=Section.ADD_OR_UPDATE, part_bytes=250, item_limit=10**6) as writer:
            for start in range(0, len(table), parts):
                writer.add(table.slice(start, parts), "the rows")
            self.entries = writer.finish()
            self.sha256 = writer.sha256
        self.folder = folder

    def parts(self) -> list[StoredPart]:
        return [
            StoredPart(one.name, one.rows, lambda name=one.name: (self.folder / name).open("rb"))  # type: ignore[misc]
            for one in self.entries
        ]

    def hashes(self) -> list[SourceFile]:
        return [
            SourceFile(one.name, lambda name=one.name: (self.folder / "_hashes" / name).open("rb"))  # type: ignore[misc]
            for one in self.entries
        ]


def documents(rows: dict[int, int]) -> pa.Table:
    """Return documents with the permissions that are chosen."""
    return pa.table(
        {
            "documentId": [f"doc://{n}" for n in rows],
            "permissions": pa.array([CHOICES[choice] for choice in rows.values()], pa.string()),
            "objecttype": ["even" if n % 2 == 0 else "odd" for n in rows],
        }
    )


def inspected(
    folder: Path, before: dict[int, int], now: dict[int, int], *, former: bool = True
) -> Inspection:
    """Compare two sides, the former one with its dataset or without."""
    sides = Side(folder / "before", documents(before)), Side(folder / "now", documents(now))
    scratch = folder / "scratch"
    scratch.mkdir()
    inspection = Inspection(
        sides[1].parts(),
        sides[0].parts() if former else None,
        scratch=scratch,
        group_by="ObjectType",
        seed="x",
        shown=3,
    )
    comparison = Comparison(scratch, rows=40, rows_at_once=7, watch=inspection)
    comparison.add_current(sides[1].hashes(), sides[1].sha256)
    comparison.add_former(sides[0].hashes(), sides[0].sha256)
    comparison.result()
    return inspection


def is_public(choice: int) -> bool:
    return CHOICES[choice] in {None, PUBLIC}


def names(choice: int) -> set[str]:
    text = CHOICES[choice]
    sets = [] if text is None else json.loads(text)
    return {f"Group {one['identity']}" for each in sets for one in each.get("allowedPermissions", ())}


@pytest.mark.slow
@settings(deadline=None)
@given(before=SIDES, now=SIDES)
def test_access_is_what_each_document_tells(
    tmp_path_factory: pytest.TempPathFactory, before: dict[int, int], now: dict[int, int]
) -> None:
    """Public ones, changes, and who gains or loses how many documents; by value of a column as well."""
    inspection = inspected(tmp_path_factory.mktemp("sides"), before, now)

    access = inspection.access(None)
    sent = {n: choice for n, choice in now.items() if before.get(n) != choice}
    opened = {
        n for n, choice in sent.items() if is_public(choice) and (n not in before or not is_public(before[n]))
    }
    closed = {
        n for n, choice in sent.items() if n in before and is_public(before[n]) and not is_public(choice)
    }
    changed = {n: choice for n, choice in sent.items() if n in before}
    gains = Counter(name for n, choice in changed.items() for name in names(choice) - names(before[n]))
    loses = Counter(name for n, choice in changed.items() for name in names(before[n]) - names(choice))
    if all(CHOICES[choice] is None for choice in (*before.values(), *now.values())):
        assert access is None
    else:
        assert access is not None
        assert access["new_public"] == len(opened)
        assert access["no_longer_public"] == len(closed)
        assert access["permissions_changed"] == len(changed)
        assert {one["who"]: one["documents"] for one in access["gains"]} == gains
        assert {one["who"]: one["documents"] for one in access["loses"]} == loses
        assert set(access["first_public"]) <= {f"doc://{n}" for n in opened}
    groups = inspection.groups()
    assert groups is not None
    for one in groups["values"]:
        mine = {n for n in {*before, *now} if (n % 2 == 0) == (one["value"] == "even")}
        assert one["new"] == len(mine & (now.keys() - before.keys()))
        assert one["gone"] == len(mine & (before.keys() - now.keys()))
        assert one["changed"] == len(mine & changed.keys())


def test_people_are_counted_through_their_groups(tmp_path: Path) -> None:
    """A group that loses a document takes it from its members, but for those whom another group lets in."""
    graph = IdentityGraph(
        IdentityBody(Identity("staff", "GROUP"), members=(Identity("ann", "USER"), Identity("bob", "USER"))),
        IdentityBody(Identity("hr", "GROUP"), members=(Identity("bob", "USER"), Identity("cleo", "USER"))),
    )
    staff, hr = CHOICES.index(allowing("staff")), CHOICES.index(allowing("hr"))

    access = inspected(tmp_path, {1: staff, 2: staff}, {1: hr, 2: staff}).access(graph)

    assert access is not None
    assert access["users"] == {"looked_at": 3, "gain": 1, "lose": 1, "first": ["User ann", "User cleo"]}


def test_without_the_former_dataset_a_changed_document_counts_as_newly_public(tmp_path: Path) -> None:
    """What is not known is not taken for harmless."""
    access = inspected(tmp_path, {1: 2, 2: 1, 3: 1}, {1: 1, 2: 1, 3: 2}, former=False).access(None)
    assert access is not None
    assert (access["new_public"], access["before_known"]) == (1, False)
    assert access["first_public"] == ["doc://1"]


def test_values_of_any_type_have_a_name(tmp_path: Path) -> None:
    """Lists, numbers and dates go by their text."""
    from coveo_provider.planning.columns import Column
    from coveo_provider.planning.groups import group_values

    distinct = group_values()
    column = Column("kind", [4], tmp_path / "numbers", distinct)
    column.put(0, 0, pa.array([["a", "b"], None, ["a", "b"], []]), "x")
    assert distinct.texts == ['["a","b"]', "[]"]


@pytest.mark.parametrize("name", ["pending", "refused"])
def test_what_the_index_may_not_hold_counts_as_newly_public(tmp_path: Path, name: str) -> None:
    """A public document that was refused, or that an unfinished load may have touched, was not seen before."""
    public, unstated, staff = 1, 0, 2
    before = Side(tmp_path / "before", documents({0: public, 1: public, 2: public}), parts=3)
    now = Side(tmp_path / "now", documents({0: unstated, 1: public, 2: staff}))
    first = pq.read_table(tmp_path / "before" / "_hashes" / before.entries[0].name).slice(0, 1)
    pq.write_table(first, tmp_path / "first.parquet")
    file = SourceFile(name, lambda: (tmp_path / "first.parquet").open("rb"))
    inspection = Inspection(now.parts(), before.parts(), scratch=tmp_path, group_by="", seed="x", shown=3)
    comparison = Comparison(tmp_path, rows=3, watch=inspection)
    comparison.add_current(now.hashes(), now.sha256)
    comparison.add_former(before.hashes(), before.sha256)
    if name == "pending":
        comparison.add_pending(file)
    else:
        comparison.add_rejected(file)

    comparison.result()

    access = inspection.access(None)
    assert access is not None
    assert (access["new_public"], access["first_public"]) == (1, ["doc://0"])
    assert (access["no_longer_public"], access["permissions_changed"]) == (1, 1)

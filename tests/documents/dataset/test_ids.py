"""What a load names twice, or would delete again, is refused, wherever it stands."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coveo_provider.documents.contract import Section
from coveo_provider.documents.dataset import ids
from coveo_provider.documents.dataset.ids import (
    IdLedger,
    refuse_contradictions,
    refuse_duplicates,
    refuse_swallowed,
    swallowing,
)
from coveo_provider.documents.dataset.tables import Part
from coveo_provider.documents.encoding.batches import Encoder
from coveo_provider.documents.encoding.rows import Rows
from coveo_provider.errors import DatasetError
from coveo_provider.loading.spooling import check


def part_of(ids: list[str], name: str, column: str = "documentId", dtype: pa.DataType | None = None) -> Part:
    """Return a part with these ids."""
    file = io.BytesIO()
    pq.write_table(pa.table({"x": [1] * len(ids), column: pa.array(ids).cast(dtype or pa.string())}), file)
    return Part(file, name)


def ledger_of(parts: list[Part], rows: int = 1) -> IdLedger:
    """Return a ledger that saw all ids, whatever number of rows was announced."""
    ledger = IdLedger(rows)
    for part in parts:
        encoder = Encoder(part.schema, where=part.name, item_limit=10**6)
        for batch in part.batches():
            ledger.add(encoder.encode(batch).id_hashes)
    return ledger


def test_an_id_in_two_parts_is_named_with_both() -> None:
    """In whatever case and type its column is."""
    parts = [
        part_of(["a:1", "a:2"], "one"),
        part_of(["a:3"], "two", "DOCUMENTID", pa.large_string()),
        part_of(["a:4", "a:2"], "three", "documentid", pa.dictionary(pa.int32(), pa.string())),
    ]

    with pytest.raises(
        DatasetError, match=r"documentId must be unique, found a:2 2 times in one and three\. Make ids"
    ):
        refuse_duplicates(ledger_of(parts), parts)


def test_an_id_twice_in_one_part_is_named_once() -> None:
    """With how often it stands there."""
    parts = [part_of(["a:1", "b:1", "a:1", "a:1"], "one")]

    with pytest.raises(DatasetError, match=r"found a:1 3 times in one\. Make ids"):
        refuse_duplicates(ledger_of(parts), parts)


def test_of_many_the_first_are_named() -> None:
    """And the rest counted; it is a sentence, not a list."""
    ids = [f"a:{n}" for n in range(100)]
    parts = [part_of(ids, f"part-{n}") for n in range(5)]

    with pytest.raises(
        DatasetError,
        match=r"found a:\d+ 5 times in part-0 and part-1 and part-2; .*; .*; and 97 more\. Make ids",
    ):
        refuse_duplicates(ledger_of(parts), parts)


def test_of_a_few_all_are_named() -> None:
    """Three are not too many."""
    parts = [part_of(["a:1", "a:2", "a:3"], name) for name in ("one", "two")]

    with pytest.raises(DatasetError) as raised:
        refuse_duplicates(ledger_of(parts), parts)
    found = "; ".join(f"a:{n} 2 times in one and two" for n in (1, 2, 3))
    assert str(raised.value).startswith(f"documentId must be unique, found {found}. Make ids")


def test_an_item_that_is_changed_and_sent_is_named_with_both() -> None:
    """However many of its fields are changed."""
    updates = Rows([update_of("a:1", field, "arrayAppend") for field in ("x", "y")], "updates")
    documents = Rows([{"documentId": "a:1"}, {"documentId": "a:2"}], "documents")

    with pytest.raises(
        DatasetError, match=r"found a:1 2 times in documents and the partial updates of updates\. Make ids"
    ):
        check(
            {Section.ADD_OR_UPDATE: [documents], Section.PARTIAL_UPDATE: [updates]}, item_limit=999, log=print
        )


def test_a_dataset_that_is_all_doubled_is_not_counted_to_its_end() -> None:
    """Enough is known when ten thousand are."""
    parts = [part_of([f"a:{n}" for n in range(10_001)], name) for name in ("one", "two")]

    with pytest.raises(DatasetError, match="and at least 9,997 more"):
        refuse_duplicates(ledger_of(parts), parts)


def test_ids_that_differ_pass() -> None:
    """Case and trailing slashes make a difference to the API."""
    parts = [part_of(["a:b", "a:B", "a:b/", "A:b"], "one"), part_of(["a:é", "a:e\u0301"], "two")]

    refuse_duplicates(ledger_of(parts), parts)


def test_equal_hashes_of_different_ids_are_no_duplicate() -> None:
    """Suspects are read again and compared by their text."""
    parts = [part_of(["a:1", "a:2"], "one")]
    (batch,) = parts[0].batches()
    hashes = Encoder(parts[0].schema, where="one", item_limit=10**6).encode(batch).id_hashes
    ledger = IdLedger(4)
    ledger.add(np.concatenate([hashes, hashes]))  # as if two other ids had the same hashes

    assert ledger.repeated().tolist() == sorted(hash_ & ~1 for hash_ in hashes.tolist())
    refuse_duplicates(ledger, parts)


_HASHES = st.integers(0, 40).map(lambda n: n * (2**64 // 41) & ~1)


@settings(deadline=None)
@given(st.integers(1, 9), st.lists(st.tuples(st.lists(_HASHES, max_size=12), st.booleans()), max_size=8))
def test_a_ledger_counts_as_a_list_does(in_memory: int, batches: list[tuple[list[int], bool]]) -> None:
    """However few hashes it keeps in memory; of those that may come often only a mixture is told."""
    ledger = IdLedger(in_memory)
    counts: Counter[int] = Counter()
    alone = set()
    for hashes, many in batches:
        ledger.add(np.array(hashes, dtype=np.uint64), many=many)
        counts.update(hashes)
        alone |= set() if many else {*hashes}

    expected = sorted(one for one, count in counts.items() if count > 1 and one in alone)
    assert ledger.repeated().tolist() == expected
    assert ledger.repeated().tolist() == expected  # however often it is asked


def test_hashes_are_looked_at_range_by_range(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the memory it takes to find an equal one is a small share of all."""
    sizes = []

    def look(hashes: np.ndarray[Any, np.dtype[np.uint64]]) -> Any:
        sizes.append(len(hashes))
        return repeated(hashes)

    repeated = ids._repeated
    monkeypatch.setattr(ids, "_repeated", look)
    ledger = IdLedger(1_000)
    ledger.add(np.random.default_rng(1).integers(0, 2**64, 64_000, dtype=np.uint64))
    ledger.repeated()
    assert len(sizes) == 64
    assert max(sizes) < 2_000


def test_no_ids_are_no_duplicates() -> None:
    """An empty ledger has nothing to tell."""
    refuse_duplicates(IdLedger(0), [])


VALUES: dict[str, Any] = {
    "fieldValueReplace": 1,
    "arrayAppend": ["x"],
    "arrayRemove": ["x"],
    "dictionaryPut": {"k": "v"},
    "dictionaryRemove": "k",
}
_NESTED = st.text("ab/", max_size=3).map(lambda text: f"p:/{text}")
_UPDATES = st.tuples(_NESTED, st.sampled_from(["f", "F", "g"]), st.sampled_from(list(VALUES)))


def rows_of(rows: Sequence[dict[str, Any]], name: str, as_part: bool) -> list[Part | Rows]:
    """Return rows as they are given inline, or as those of a file."""
    if not as_part or not rows:
        return [Rows(rows, name)]
    file = io.BytesIO()
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    if "value" in columns:
        columns["value"] = [json.dumps(value) for value in columns["value"]]
    pq.write_table(pa.table(columns), file)
    return [Part(file, name)]


@settings(deadline=None, max_examples=300)
@given(
    documents=st.lists(_NESTED, max_size=3),
    merges=st.lists(_NESTED, max_size=2),
    deletions=st.lists(st.tuples(_NESTED, st.booleans()), max_size=4),
    updates=st.lists(_UPDATES, max_size=4),
    as_parts=st.booleans(),
)
def test_a_load_that_contradicts_itself_is_refused(
    documents: list[str],
    merges: list[str],
    deletions: list[tuple[str, bool]],
    updates: list[tuple[str, str, str]],
    as_parts: bool,
) -> None:
    """
    Exactly then: an item stands twice, a field is changed in two ways, or a deletion takes along what is sent.

    Nothing says in which order the service takes what one load holds.
    """
    alone = [*documents, *merges, *(identifier for identifier, _ in deletions)]
    changed = {identifier for identifier, _, _ in updates}
    prefixes = [identifier for identifier, children in deletions if children]
    by_field: dict[tuple[str, str], list[str]] = {}
    for identifier, field, operator in updates:
        by_field.setdefault((identifier, field.lower()), []).append(operator)
    clean = (
        len(set(alone)) == len(alone)
        and not changed & set(alone)
        and all(
            len(operators) == 1
            or ("fieldValueReplace" not in operators and len(set(operators)) == len(operators))
            for operators in by_field.values()
        )
        and not any(one.startswith(prefix) for prefix in prefixes for one in (*documents, *merges, *changed))
    )
    load = {
        Section.ADD_OR_UPDATE: rows_of([{"documentId": one} for one in documents], "documents", as_parts),
        Section.ADD_OR_MERGE: rows_of([{"documentId": one} for one in merges], "merges", as_parts),
        Section.DELETE: rows_of(
            [{"documentId": one, "deleteChildren": children} for one, children in deletions],
            "deletions",
            as_parts,
        ),
        Section.PARTIAL_UPDATE: rows_of(
            [
                {"documentId": one, "operator": operator, "field": field, "value": VALUES[operator]}
                for one, field, operator in updates
            ],
            "updates",
            as_parts,
        ),
    }

    if clean:
        assert check(load, item_limit=999, log=print) == len(alone) + len(updates)
    else:
        with pytest.raises(DatasetError):
            check(load, item_limit=999, log=print)


def update_of(identifier: str, field: str, operator: str) -> dict[str, Any]:
    return {"documentId": identifier, "operator": operator, "field": field, "value": VALUES[operator]}


def test_the_same_operator_twice_on_one_field_is_refused() -> None:
    """In whichever case the field is spelled; two that undo each other are fine, as is another field or item."""
    twice = Rows([update_of("p:1", "tags", "arrayAppend"), update_of("p:1", "TAGS", "arrayAppend")], "x")
    with pytest.raises(
        DatasetError,
        match=r"p:1: field tags is changed by 2 partial updates \(arrayAppend, arrayAppend\), and nothing says",
    ):
        check({Section.PARTIAL_UPDATE: [twice]}, item_limit=999, log=print)

    replaced = [
        update_of("p:1", "tags", name) for name in ("arrayAppend", "fieldValueReplace", "arrayRemove")
    ]
    with pytest.raises(
        DatasetError, match=r"changed by 3 partial updates \(arrayAppend, fieldValueReplace, a"
    ):
        check({Section.PARTIAL_UPDATE: [Rows(replaced, "x")]}, item_limit=999, log=print)

    fine = [
        update_of("p:1", "tags", "arrayAppend"),
        update_of("p:1", "tags", "arrayRemove"),
        update_of("p:1", "names", "arrayAppend"),
        update_of("p:2", "tags", "arrayAppend"),
    ]
    assert check({Section.PARTIAL_UPDATE: [Rows(fine, "x")]}, item_limit=999, log=print) == 4


def test_only_fields_that_were_seen_twice_are_read_again() -> None:
    """A suspicion is looked up; without one nothing is read."""
    ledger = IdLedger()
    refuse_contradictions(ledger, [Rows([update_of("p:1", "a", "arrayAppend")] * 2, "x")])


def test_equal_hashes_of_different_fields_are_no_contradiction() -> None:
    """Suspects are read again and compared by their text."""
    update = update_of("p:1", "a", "fieldValueReplace")
    (encoded,) = Rows([update], "x").encode(Section.PARTIAL_UPDATE, 999)
    assert encoded.field_hashes is not None
    ledger = IdLedger()
    ledger.add(np.concatenate([encoded.field_hashes, encoded.field_hashes]))

    refuse_contradictions(ledger, [Rows([update], "x")])
    with pytest.raises(DatasetError, match="field a is changed by 2 partial updates"):
        refuse_contradictions(ledger, [Rows([update], "x"), Rows([update], "y")])


def test_a_deletion_takes_along_what_starts_with_it() -> None:
    """One prefix covers those below it, so only the widest are kept; without deleteChildren there is none."""
    rows: list[dict[str, Any]] = [
        {"documentId": "p:/b", "deleteChildren": True},
        {"documentId": "p:/a/c", "deleteChildren": True},
        {"documentId": "p:/a", "DELETECHILDREN": True},
        {"documentId": "p:/c", "deleteChildren": False},
        {"documentId": "p:/d", "deleteChildren": None},
        {"documentId": "p:/e"},
    ]
    assert swallowing([Rows(rows, "x")]) == ["p:/a", "p:/b"]
    file = io.BytesIO()
    flags = pa.array([True, True, None, False], pa.bool_())
    pq.write_table(pa.table({"documentId": ["z:", "b:/x", "c:", "a:"], "DeleteChildren": flags}), file)
    assert swallowing([Part(file, "one"), part_of(["q:"], "two"), Rows(rows[:1], "x")]) == [
        "b:/x",
        "p:/b",
        "z:",
    ]
    assert swallowing([part_of(["q:"], "two")]) == []


@pytest.mark.parametrize(
    ("identifier", "prefix"),
    [("p:/a", "p:/a"), ("p:/ab", "p:/a"), ("p:/b/x", "p:/b/"), ("q:1/2", "q:1"), ("p:/b/", "p:/b/")],
)
def test_what_a_deletion_would_take_along_is_refused(identifier: str, prefix: str) -> None:
    """By the name of both, whichever of several prefixes it is."""
    prefixes = ["p:/a", "p:/b/", "q:1"]
    others: list[Part | Rows] = [
        part_of(["a:1", "p:/", "p:/b", "p:/c", "z:1"], "one"),
        Rows([{"documentId": identifier}], "two"),
    ]
    refuse_swallowed(prefixes, others[:1])
    refuse_swallowed([], others)
    with pytest.raises(
        DatasetError,
        match=f"^{identifier} in two would be deleted again: the deletion of {prefix} with deleteChildren takes",
    ):
        refuse_swallowed(prefixes, others)

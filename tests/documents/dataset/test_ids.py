"""An id that stands twice is found, wherever it stands."""

from __future__ import annotations

import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coveo_provider.documents.dataset.ids import IdLedger, refuse_duplicates
from coveo_provider.documents.dataset.tables import Part
from coveo_provider.documents.encoding.batches import Encoder
from coveo_provider.errors import DatasetError


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

    with pytest.raises(DatasetError, match=r"documentId must be unique, found a:2 2 times in one and three$"):
        refuse_duplicates(ledger_of(parts), parts)


def test_an_id_twice_in_one_part_is_named_once() -> None:
    """With how often it stands there."""
    parts = [part_of(["a:1", "b:1", "a:1", "a:1"], "one")]

    with pytest.raises(DatasetError, match=r"found a:1 3 times in one$"):
        refuse_duplicates(ledger_of(parts), parts)


def test_of_many_the_first_are_named() -> None:
    """And the rest counted; it is a sentence, not a list."""
    ids = [f"a:{n}" for n in range(100)]
    parts = [part_of(ids, f"part-{n}") for n in range(5)]

    with pytest.raises(
        DatasetError, match=r"found a:\d+ 5 times in part-0 and part-1 and part-2; .*; .*; and 97 more$"
    ):
        refuse_duplicates(ledger_of(parts), parts)


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


def test_no_ids_are_no_duplicates() -> None:
    """An empty ledger has nothing to tell."""
    refuse_duplicates(IdLedger(0), [])

"""Several datasets of one source: ids that two of them have, and what changed of each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pytest

from coveo_provider.documents.changes.changed_rows import IdFile, changed_rows
from coveo_provider.documents.changes.comparison import Comparison
from coveo_provider.documents.changes.datasets import WrittenDataset, refuse_shared_ids
from coveo_provider.documents.contract import PUSH_ITEM_BYTES
from coveo_provider.documents.dataset.manifest import DatasetKind, Manifest, PartEntry
from coveo_provider.documents.dataset.part_writer import PartWriter
from coveo_provider.documents.dataset.tables import Part
from coveo_provider.errors import DatasetError


def written(folder: Path, part_bytes: int = 1_000_000, **columns: Any) -> WrittenDataset:
    """Write a dataset as a transform does."""
    with PartWriter(folder, part_bytes=part_bytes, item_limit=PUSH_ITEM_BYTES) as writer:
        writer.add(pa.table(columns), "the frame")
        parts = writer.finish()
        manifest = Manifest(DatasetKind.DOCUMENTS, True, "m", writer.sha256, parts)
    return WrittenDataset(folder, manifest)


def open_file(path: Path, _: PartEntry | None = None) -> AbstractContextManager[IO[bytes]]:
    return path.open("rb")


def test_an_id_in_two_datasets_is_refused(tmp_path: Path) -> None:
    """With the parts in which it stands; products and variants of one source must not share ids."""
    products = written(tmp_path / "products", documentId=["p:1", "p:2"], ec_name=["a", "b"])
    variants = written(tmp_path / "variants", documentId=["v:1", "p:2"], color=["red", "blue"])
    others = written(tmp_path / "others", documentId=["v:3"])

    with pytest.raises(DatasetError) as raised:
        refuse_shared_ids([products, others, variants])
    assert str(raised.value) == (
        f"documentId must be unique, found p:2 2 times in {tmp_path}/products/part-00000.parquet and "
        f"{tmp_path}/variants/part-00000.parquet. Make ids of columns that together are unique, or leave out the "
        "rows that stand twice"
    )
    refuse_shared_ids([products, others])
    refuse_shared_ids([products])
    refuse_shared_ids([])


def test_what_changed_of_each_dataset_keeps_its_columns(tmp_path: Path) -> None:
    """And its hashes, whichever part it stands in."""
    numbers = range(40)
    former = [
        written(tmp_path / "a", documentId=[f"p:{n}" for n in numbers], price=[1.5] * 40),
        written(tmp_path / "b", documentId=["v:1", "v:2"], color=["red", "blue"]),
    ]
    current = [
        written(
            tmp_path / "c",
            200,
            documentId=[f"p:{n}" for n in numbers],
            price=[9.5 if n in {3, 39} else 1.5 for n in numbers],
        ),
        written(tmp_path / "d", documentId=["v:1", "v:3"], color=["green", "blue"]),
    ]
    assert len(current[0].manifest.parts) > 3
    comparison = Comparison(tmp_path, rows=42)
    for dataset in current:
        comparison.add_current(dataset.hash_files(), dataset.manifest.sha256)
    for dataset in former:
        comparison.add_former(dataset.hash_files(), dataset.manifest.sha256)
    difference = comparison.result()

    changed = [
        list(changed_rows(dataset, masks, open_file))
        for dataset, masks in zip(current, difference.masks, strict=True)
    ]

    assert [[row for table, _, _ in rows for row in table.to_pylist()] for rows in changed] == [
        [{"documentId": "p:3", "price": 9.5}, {"documentId": "p:39", "price": 9.5}],
        [{"documentId": "v:1", "color": "green"}, {"documentId": "v:3", "color": "blue"}],
    ]
    assert changed[1][0][2] == f"{tmp_path}/d/part-00000.parquet, rows 0 to 1"
    hashes = {identifier: content for dataset in current for identifier, content in hashes_of(dataset)}
    for table, content, _ in [*changed[0], *changed[1]]:
        ids = table["documentId"].to_pylist()
        assert content == b"".join(hashes[identifier] for identifier in ids)
    assert [table["documentId"].to_pylist() for table in difference.gone_ids()] == [["v:2"]]


def hashes_of(dataset: WrittenDataset) -> Iterator[tuple[str, bytes]]:
    for file in dataset.hash_files():
        with file.open() as stream:
            for batch in Part(stream, file.name).batches():
                yield from zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True)


def test_a_dataset_is_recorded_as_its_manifest_has_it(tmp_path: Path) -> None:
    """With where that lies."""
    dataset = written(tmp_path, documentId=["a:1", "a:2"])
    record = dataset.record()
    assert (record.mapping, record.rows, record.files) == ("m", 2, ("part-00000.parquet",))
    assert record.sha256 == dataset.manifest.sha256
    assert record.manifest == dataset.manifest_uri == f"{tmp_path}/_manifest.json"


def test_ids_are_written_as_they_are_named(tmp_path: Path) -> None:
    """In whichever case the column is spelled."""
    with IdFile(tmp_path / "ids.parquet") as ids:
        ids.add(pa.table({"x": [1], "DOCUMENTID": ["a:1"]}))
        ids.add(pa.table({"documentId": pa.array(["a:2"], pa.large_string())}))
    with (tmp_path / "ids.parquet").open("rb") as file:
        assert [batch.to_pydict() for batch in Part(file, "ids").batches()] == [
            {"documentId": ["a:1", "a:2"]}
        ]

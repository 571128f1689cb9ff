"""A dataset as it was written: what a comparison, and the state, have to know of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

from coveo_provider.documents.changes.state import DatasetRecord, LastRun
from coveo_provider.documents.contract import DOCUMENT_ID
from coveo_provider.documents.dataset.files import opened_local
from coveo_provider.documents.dataset.manifest import HASHES, MANIFEST, Manifest
from coveo_provider.documents.extracts.source_files import SourceFile
from coveo_provider.errors import DatasetError


@dataclass(frozen=True)
class WrittenDataset:
    """
    A complete dataset of documents.

    :param folder: where it lies: a path, or Airflow's ``ObjectStoragePath``
    :param manifest: what its manifest says
    """

    folder: Any
    manifest: Manifest

    @property
    def manifest_uri(self) -> str:
        """Where its manifest lies."""
        return str(self.folder / MANIFEST)

    @property
    def hashes(self) -> Any:
        """The folder with a file of hashes for each part."""
        return self.folder / HASHES

    def hash_files(self) -> list[SourceFile]:
        """Return the files with the hashes of its rows, one a part."""
        paths = [self.hashes / part.name for part in self.manifest.parts]
        return [SourceFile(str(path), partial(opened_local, path)) for path in paths]

    def record(self) -> DatasetRecord:
        """Return what the state remembers of it."""
        return DatasetRecord(
            sha256=self.manifest.sha256,
            mapping=self.manifest.mapping,
            rows=self.manifest.rows,
            files=tuple(part.name for part in self.manifest.parts),
            manifest=self.manifest_uri,
            types=self.manifest.types,
        )


def refuse_other_types(datasets: Sequence[WrittenDataset], last: LastRun) -> None:
    """
    Refuse a column of CSV that became of another type since the last load, unless the user gave its type.

    :raises DatasetError: names the column
    """
    for dataset in datasets:
        manifest, kept = dataset.manifest, last.types_of(dataset.manifest.mapping)
        for name, kind in manifest.types.items():
            if kept.get(name, kind) != kind and name not in manifest.declared:
                raise DatasetError(
                    f"{dataset.manifest_uri}: column {name!r} was of {kept[name]} in the last load, and is of "
                    f"{kind} now, which would change it in every document. Nothing was sent. Give "
                    "CoveoTransformOperator the same state, so that the type stays, or give it the type: "
                    f"dtypes={{{name!r}: {kind!r}}}"
                )


def refuse_shared_ids(datasets: Sequence[WrittenDataset]) -> None:
    """
    Refuse datasets of one source of which two have a document with the same id; bounded in memory.

    Within one dataset an id stands once, as whoever writes it makes sure.

    :raises DatasetError: names the first few such ids, and the parts in which they stand
    """
    import polars as pl

    from coveo_provider.documents.dataset.ids import IdLedger, refuse_duplicates
    from coveo_provider.documents.dataset.tables import Part

    if len(datasets) < 2:
        return
    ledger = IdLedger()
    for dataset in datasets:
        for file in dataset.hash_files():
            with file.open() as stream:
                for batch in Part(stream, file.name).batches([DOCUMENT_ID]):
                    ids = pl.Series(batch.column(DOCUMENT_ID), dtype=pl.String)
                    ledger.add(ids.hash().to_numpy())
    if len(ledger.repeated()):
        with ExitStack() as stack:
            parts = [
                Part(stack.enter_context(file.open()), str(dataset.folder / entry.name))
                for dataset in datasets
                for file, entry in zip(dataset.hash_files(), dataset.manifest.parts, strict=True)
            ]
            refuse_duplicates(ledger, parts)

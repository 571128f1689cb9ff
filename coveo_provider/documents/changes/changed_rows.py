"""The rows of a dataset that changed, and the file of ids that a load is about to touch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from coveo_provider.documents.changes.datasets import WrittenDataset
from coveo_provider.documents.contract import DOCUMENT_ID
from coveo_provider.documents.dataset.content_hash import HASH_BYTES
from coveo_provider.documents.dataset.tables import Part
from coveo_provider.documents.extracts.source_files import rows_named


def changed_rows(
    dataset: WrittenDataset,
    masks: Sequence[npt.NDArray[np.bool_]],
    open_file: Callable[..., AbstractContextManager[IO[bytes]]],
) -> Iterator[tuple[pa.Table, bytes, str]]:
    """
    Return the rows of a dataset that changed, with its own columns, their hashes, and which rows they are.

    :param masks: for each part, whether its rows changed
    :param open_file: opens a path, checked against an entry of the manifest when one is given
    :raises DatasetError: a part is not the file that was written
    """
    folder = dataset.folder
    for entry, mask in zip(dataset.manifest.parts, masks, strict=True):
        if not mask.any():
            continue
        with open_file(dataset.hashes / entry.name) as file:
            part = Part(file, str(dataset.hashes / entry.name))
            batches = [b"".join(batch.column(0).to_pylist()) for batch in part.batches(["content"])]
            hashes = np.frombuffer(b"".join(batches), dtype=f"S{HASH_BYTES}")
        with open_file(folder / entry.name, entry) as file:
            part = Part(file, str(folder / entry.name))
            row = 0
            for batch in part.batches():
                chosen = mask[row : row + len(batch)]
                if chosen.any():
                    rows = pa.Table.from_batches([batch.filter(pa.array(chosen))])
                    where = f"{part.name}, {rows_named(row, len(batch))}"
                    yield rows, hashes[row : row + len(batch)][chosen].tobytes(), where
                row += len(batch)


class IdFile:
    """
    A local Parquet file of ids.

    A context manager: leaving it completes the file.
    """

    def __init__(self, path: Path) -> None:
        self._schema = pa.schema([(DOCUMENT_ID, pa.string())])
        self._writer = pq.ParquetWriter(path, self._schema)

    def __enter__(self) -> IdFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def add(self, table: pa.Table) -> None:
        """Append the ids of some rows."""
        name = next(name for name in table.column_names if name.lower() == DOCUMENT_ID.lower())
        self._writer.write_table(pa.table([table.column(name).cast(pa.string())], schema=self._schema))

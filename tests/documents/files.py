"""Files in memory, as the readers take them."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import pandas as pd

from coveo_provider.documents.dataset.tables import to_table
from coveo_provider.documents.extracts.formats import Csv, Json
from coveo_provider.documents.extracts.readers import Batch, ReadOptions, read_batches
from coveo_provider.documents.extracts.source_files import SourceFile


def source(name: str, data: bytes) -> SourceFile:
    """Return a file of these bytes."""

    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        yield io.BytesIO(data)

    return SourceFile(name, opened)


def options_of(**options: Any) -> ReadOptions:
    """Return options, each of CSV and JSON for its own format."""
    csv = {
        name: options.pop(name)
        for name in ("dtypes", "separator", "encoding", "quote", "escape", "types")
        if name in options
    }
    json = {name: options.pop(name) for name in ("records",) if name in options}
    return ReadOptions(**options, formats=(Csv(**csv), Json(**json)))


def batches(*files: tuple[str, bytes], **options: Any) -> list[Batch]:
    """Return the batches of an extract."""
    return list(read_batches([source(*file) for file in files], options_of(**options)))


def rows(*files: tuple[str, bytes], **options: Any) -> list[dict[str, Any]]:
    """Return the rows of an extract as Python values."""
    found: list[dict[str, Any]] = []
    for batch in batches(*files, **options):
        if isinstance(batch.rows, pd.DataFrame):
            values = batch.rows.astype(object)
            values = values.where(values.map(lambda value: value is not None and value is not pd.NA), None)
            # Before version 3.1, pandas returns no records where there are no columns.
            found += values.to_dict("records") or [{} for _ in range(len(values))]
        else:
            found += to_table(batch.rows, batch.where).to_pylist()
    return [{name: None if _is_nan(value) else value for name, value in row.items()} for row in found]


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and value != value

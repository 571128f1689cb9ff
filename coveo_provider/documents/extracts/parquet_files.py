"""Parquet files → Arrow tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from coveo_provider.documents.dataset.tables import Part
from coveo_provider.documents.extracts.source_files import SourceFile


def tables(files: Sequence[SourceFile]) -> Iterator[tuple[SourceFile, pa.Table]]:
    """
    Return the rows of files, in tables of bounded size.

    :raises DatasetError: a file is no Parquet, or damaged
    """
    for file in files:
        with file.open() as stream:
            for batch in Part(stream, file.name).batches():
                yield file, pa.Table.from_batches([batch])

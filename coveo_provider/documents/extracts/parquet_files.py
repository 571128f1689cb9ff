"""Parquet files → Arrow tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from coveo_provider.documents.dataset.tables import Part, say_what_is_left_out
from coveo_provider.documents.extracts.source_files import SourceFile


def tables(files: Sequence[SourceFile]) -> Iterator[tuple[SourceFile, pa.Table]]:
    """
    Return the rows of files, in tables of bounded size.

    :raises DatasetError: a file is no Parquet, or damaged
    """
    said = False
    for file in files:
        with file.open() as stream:
            part = Part(stream, file.name, file.partitions)
            said = said or say_what_is_left_out([part])
            for batch in part.batches():
                yield file, pa.Table.from_batches([batch])

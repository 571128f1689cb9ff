"""Tables of any size → tables of the number of rows that a batch has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import pyarrow as pa

from coveo_provider.documents.extracts.source_files import BATCH_BYTES

Owner = TypeVar("Owner")


def cut(tables: Iterable[tuple[Owner, pa.Table]], rows: int) -> Iterator[tuple[Owner, pa.Table]]:
    """Return tables of so many rows, or of fewer at the end of what they are of and where they get too large."""
    waiting: list[pa.Table] = []
    owner: Owner | None = None
    for file, table in tables:
        if owner is not None and waiting and (file is not owner or _size([*waiting, table]) > BATCH_BYTES):
            yield owner, pa.concat_tables(waiting)
            waiting = []
        owner = file
        waiting.append(table)
        if sum(map(len, waiting)) >= rows:
            whole = pa.concat_tables(waiting)
            full = len(whole) // rows * rows
            for start in range(0, full, rows):
                yield file, whole.slice(start, rows)
            waiting = [whole.slice(full)] if full < len(whole) else []
    if owner is not None and waiting:
        yield owner, pa.concat_tables(waiting)


def _size(tables: Iterable[pa.Table]) -> int:
    return sum(table.nbytes for table in tables)

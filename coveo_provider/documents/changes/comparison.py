"""
Hashes of all documents now and as of the last run → which changed, and which are gone.

Both sides are taken apart by a hash of the id until a share of them fits into memory, and joined share by share.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from coveo_provider.documents.contract import DOCUMENT_ID
from coveo_provider.documents.dataset.tables import Part
from coveo_provider.documents.extracts.source_files import SourceFile
from coveo_provider.errors import DatasetError

ROWS_AT_ONCE = 1_000_000
_PARTITIONED = 131_072  # rows taken apart at once

_IDS = {DOCUMENT_ID: pl.String}
_FORMER = {**_IDS, "content": pl.Binary}
_CURRENT = {**_FORMER, "part": pl.UInt32, "row": pl.UInt32}


@dataclass
class Difference:
    """
    What changed.

    :param masks: for each part, whether its rows are new or changed
    :param changed: how many are
    :param unchanged: how many documents are as they were
    :param gone: how many ids are to be deleted
    :param lost: how many documents of the last run are not there any more
    """

    masks: list[npt.NDArray[np.bool_]]
    changed: int = 0
    unchanged: int = 0
    gone: int = 0
    lost: int = 0
    _gone: list[Path] = field(default_factory=list)

    def gone_ids(self) -> Iterator[pa.Table]:
        """Return the ids to delete, as datasets of deletions name them."""
        for path in self._gone:
            with pa.ipc.open_stream(path) as stream:
                yield stream.read_all()


class Comparison:
    """
    Compares two sets of hashes.

    :param scratch: a folder of its own for what does not fit into memory
    :param rows: of the larger side
    :param rows_at_once: of each side in memory
    """

    def __init__(self, scratch: Path, *, rows: int, rows_at_once: int = ROWS_AT_ONCE) -> None:
        self._scratch = scratch
        bits = max(0, -(-rows // rows_at_once) - 1).bit_length()
        self._current = _Shares(scratch, "current", _CURRENT, bits)
        self._former = _Shares(scratch, "former", _FORMER, bits)
        self._pending = _Shares(scratch, "pending", _IDS, bits)
        self._shares = 1 << bits
        self._rows: list[int] = []

    def add_current(self, files: Sequence[SourceFile], sha256: str) -> None:
        """
        Take the documents of now.

        :param files: of hashes, one a part
        :param sha256: of all hashes, to find a damaged file
        :raises DatasetError: a file is missing or damaged
        """
        self._rows = self._take(self._current, files, sha256)

    def add_former(self, files: Sequence[SourceFile], sha256: str) -> None:
        """Take the documents as of the last run; otherwise as :meth:`add_current`."""
        self._take(self._former, files, sha256)

    def add_pending(self, file: SourceFile) -> None:
        """
        Take ids that a load may have sent or deleted, so that their hashes say nothing.

        :raises DatasetError: the file is missing or damaged
        """
        for _, batch in _batches([file]):
            self._pending.add(
                pl.DataFrame({DOCUMENT_ID: pl.Series(batch.column(DOCUMENT_ID), dtype=pl.String)})
            )

    def result(self) -> Difference:
        """Return what changed."""
        difference = Difference([np.zeros(rows, dtype=np.bool_) for rows in self._rows])
        for share in range(self._shares):
            self._compare(share, difference)
        return difference

    def _compare(self, share: int, difference: Difference) -> None:
        current, former = self._current.read(share), self._former.read(share)
        pending = self._pending.read(share).unique()
        known = former.rename({"content": "former"})
        joined = current.join(known, on=DOCUMENT_ID, how="left").join(
            pending.with_columns(pending=True), on=DOCUMENT_ID, how="left"
        )
        changed = joined.filter(
            pl.col("former").is_null()
            | (pl.col("content") != pl.col("former"))
            | pl.col("pending").is_not_null()
        )
        for (part,), rows in changed.select("part", "row").partition_by("part", as_dict=True).items():
            difference.masks[part][rows["row"].to_numpy()] = True
        lost = former.select(DOCUMENT_ID).join(current, on=DOCUMENT_ID, how="anti")
        gone = pl.concat([lost, pending.join(current, on=DOCUMENT_ID, how="anti")]).unique().sort(DOCUMENT_ID)
        difference.changed += len(changed)
        difference.unchanged += len(current) - len(changed)
        difference.lost += len(lost)
        difference.gone += len(gone)
        if len(gone):
            path = self._scratch / f"gone-{share}.arrow"
            table = pa.table({DOCUMENT_ID: gone[DOCUMENT_ID].to_arrow().cast(pa.string())})
            with pa.ipc.new_stream(path, table.schema) as stream:
                stream.write_table(table)
            difference._gone.append(path)

    @staticmethod
    def _take(shares: _Shares, files: Sequence[SourceFile], sha256: str) -> list[int]:
        digest = hashlib.sha256()
        rows = [0] * len(files)
        for number, batch in _batches(files):
            content = batch.column("content")
            digest.update(b"".join(content.to_pylist()))
            values: dict[str, Any] = {
                DOCUMENT_ID: pl.Series(batch.column(DOCUMENT_ID), dtype=pl.String),
                "content": pl.Series(content.cast(pa.large_binary()), dtype=pl.Binary),
            }
            if "part" in shares.schema:
                values["part"] = pl.repeat(number, len(batch), dtype=pl.UInt32, eager=True)
                values["row"] = pl.int_range(
                    rows[number], rows[number] + len(batch), dtype=pl.UInt32, eager=True
                )
            shares.add(pl.DataFrame(values))
            rows[number] += len(batch)
        if digest.hexdigest() != sha256:
            raise DatasetError(
                f"{files[0].name if files else 'the hashes'}: the files of hashes there are damaged"
            )
        return rows


def _batches(files: Sequence[SourceFile]) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Return the rows of files of hashes or ids, with the number of their file."""
    for number, file in enumerate(files):
        try:
            with file.open() as stream:
                part = Part(stream, file.name)
                wanted = [DOCUMENT_ID, *(["content"] if "content" in part.schema.names else [])]
                if DOCUMENT_ID not in part.schema.names:
                    raise DatasetError(f"{file.name}: is damaged: there are no ids in it")
                for batch in part.batches(wanted):
                    yield number, batch
        except FileNotFoundError:
            raise DatasetError(f"{file.name}: is missing") from None


class _Shares:
    """Rows, taken apart by a hash of their id; in memory when there is one share only."""

    def __init__(self, scratch: Path, name: str, schema: dict[str, Any], bits: int) -> None:
        self.schema = schema
        self._paths = [scratch / f"{name}-{share}.arrow" for share in range(1 << bits)]
        self._bits = bits
        self._waiting: list[pl.DataFrame] = []
        self._count = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Take further rows."""
        self._waiting.append(frame)
        self._count += len(frame)
        if self._bits and self._count >= _PARTITIONED:
            self._spill()

    def read(self, share: int) -> pl.DataFrame:
        """Return the rows of a share."""
        if self._bits:
            self._spill()
            path = self._paths[share]
            frames = list(_frames(path)) if path.exists() else []
        else:
            frames = self._waiting
        empty = pl.DataFrame(schema=self.schema)
        return pl.concat([empty, *frames])

    def _spill(self) -> None:
        if not self._waiting:
            return
        frame = pl.concat(self._waiting)
        self._waiting, self._count = [], 0
        share = frame[DOCUMENT_ID].hash().to_numpy() >> np.uint64(64 - self._bits)
        for (number,), rows in (
            frame.with_columns(share=pl.Series(share)).partition_by("share", as_dict=True).items()
        ):
            table = rows.drop("share").to_arrow(compat_level=pl.CompatLevel.oldest())
            with self._paths[number].open("ab") as file, pa.ipc.new_stream(file, table.schema) as stream:
                stream.write_table(table)


def _frames(path: Path) -> Iterator[pl.DataFrame]:
    """Return what was appended to a file, one stream after the other."""
    with path.open("rb") as file:
        size = path.stat().st_size
        while file.tell() < size:
            with pa.ipc.open_stream(file) as stream:
                frame = pl.from_arrow(stream.read_all())
            assert isinstance(frame, pl.DataFrame)  # noqa: S101  a table becomes a frame
            yield frame

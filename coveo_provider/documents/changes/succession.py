"""
A dataset that follows another: the rows of that one, but for those that changed or are gone, and those read anew.

Ids are taken apart by a hash until a share of them fits into memory, as in a comparison.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from coveo_provider.documents.changes.changed_rows import changed_rows
from coveo_provider.documents.changes.datasets import WrittenDataset
from coveo_provider.documents.changes.shares import ROWS_AT_ONCE, Shares, rows_of, share_bits
from coveo_provider.documents.contract import CONTENT_URI, DOCUMENT_ID, column_named
from coveo_provider.documents.dataset.part_writer import PartWriter
from coveo_provider.errors import DatasetError

_IDS = {DOCUMENT_ID: pl.String}
_HASHED = {**_IDS, "content": pl.Binary}
_LOCATED = {**_IDS, "part": pl.UInt32, "row": pl.UInt32}


@dataclass(frozen=True)
class Kept:
    """
    What stays of a dataset.

    :param masks: for each part, whether its rows stay
    :param replaced: how many rows were read anew, or are marked as deleted
    :param gone: how many are not there any more
    :param unseen: how many ids are there that neither the dataset nor what was read has
    """

    masks: list[npt.NDArray[np.bool_]]
    replaced: int
    gone: int
    unseen: int


class Succession:
    """
    Takes the ids that changed, and all that are there, and tells what stays of a dataset.

    :param base: the dataset
    :param scratch: a local folder for what does not fit into memory
    :param counts_all: whether all ids that are there will be told
    :param rows_at_once: of each side in memory
    """

    def __init__(
        self,
        base: WrittenDataset,
        scratch: Path,
        *,
        counts_all: bool,
        rows_at_once: int = ROWS_AT_ONCE,
    ) -> None:
        self._base = base
        self._counts_all = counts_all
        bits = share_bits(base.manifest.rows, rows_at_once)
        self._shares = range(1 << bits)
        self._read, self._there = (Shares(scratch, name, _IDS, bits) for name in ("read", "there"))
        self._former = Shares(scratch, "former", _LOCATED, bits)
        self.ids = 0

    def add_read(self, documents: pa.Table) -> None:
        """Take the ids of rows that were read anew, deleted ones among them."""
        self._read.add(_ids(documents))

    def add_there(self, documents: pa.Table) -> None:
        """Take ids that are there."""
        self.ids += len(documents)
        self._there.add(_ids(documents))

    def kept(self) -> Kept:
        """
        Return what stays of the dataset, once all ids were told.

        :raises DatasetError: its files of hashes are damaged
        """
        entries = self._base.manifest.parts
        rows = [0] * len(entries)
        digest = hashlib.sha256()
        for number, frame in rows_of(self._base.hash_files(), _HASHED):
            digest.update(b"".join(frame["content"].drop_nulls().to_list()))
            first = rows[number]
            rows[number] += len(frame)
            place = pl.int_range(first, rows[number], dtype=pl.UInt32).alias("row")
            number_of = pl.lit(number, dtype=pl.UInt32).alias("part")
            self._former.add(frame.select(DOCUMENT_ID).with_columns(number_of, place))
        if digest.hexdigest() != self._base.manifest.sha256:
            raise DatasetError(f"{self._base.hashes}: the files of hashes there are damaged")
        masks = [np.zeros(count, dtype=np.bool_) for count in rows]
        replaced = gone = unseen = 0
        for share in self._shares:
            former, read = self._former.read(share), self._read.read(share)
            same = former.join(read, on=DOCUMENT_ID, how="anti")
            replaced += len(former) - len(same)
            if self._counts_all:
                there = self._there.read(share).unique()
                unseen += len(
                    there.join(former, on=DOCUMENT_ID, how="anti").join(read, on=DOCUMENT_ID, how="anti")
                )
                left = same.join(there, on=DOCUMENT_ID, how="semi")
                gone += len(same) - len(left)
                same = left
            for (part,), stay in same.select("part", "row").partition_by("part", as_dict=True).items():
                masks[part][stay["row"].to_numpy()] = True
        return Kept(masks, replaced, gone, unseen)


def add_kept(
    writer: PartWriter,
    base: WrittenDataset,
    kept: Kept,
    open_file: Callable[..., AbstractContextManager[IO[bytes]]],
    *,
    least_bytes: int,
) -> int:
    """
    Write what stays of a dataset, and return how many of its parts were taken as they are.

    :param open_file: opens a path, checked against an entry of the manifest when one is given
    :param least_bytes: parts that have less when encoded are written together with others
    :raises DatasetError: a part is not the file that was written
    """
    whole = [
        bool(mask.all()) and entry.encoded_bytes >= least_bytes
        for entry, mask in zip(base.manifest.parts, kept.masks, strict=True)
    ]
    _add(writer, base, [mask & (not taken) for mask, taken in zip(kept.masks, whole, strict=True)], open_file)
    taken = 0
    for number, entry in enumerate(base.manifest.parts):
        if not whole[number]:
            continue
        if writer.take(base.folder, entry, open_file):
            taken += 1
        else:
            masks = [mask & (other == number) for other, mask in enumerate(kept.masks)]
            _add(writer, base, masks, open_file)
    return taken


def _add(
    writer: PartWriter,
    base: WrittenDataset,
    masks: Sequence[npt.NDArray[np.bool_]],
    open_file: Callable[..., AbstractContextManager[IO[bytes]]],
) -> None:
    for rows, hashes, where in changed_rows(base, masks, open_file):
        # A file may have changed though the row that names it did not: its state is looked at anew.
        names_files = column_named(CONTENT_URI, rows.column_names) is not None
        writer.add(rows, where, hashes=None if names_files else hashes)


def _ids(documents: pa.Table) -> pl.DataFrame:
    name = next(name for name in documents.column_names if name.lower() == DOCUMENT_ID.lower())
    return pl.DataFrame({DOCUMENT_ID: pl.Series(documents.column(name).cast(pa.string()), dtype=pl.String)})

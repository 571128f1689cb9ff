"""
Hashes of all documents now and as of the last load → which changed, and which are gone.

Both sides are taken apart by a hash of the id until a share of them fits into memory, and joined share by share. A
side may be made of several datasets: documents are told apart by their id, whichever dataset they stand in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from coveo_provider.documents.changes.shares import ROWS_AT_ONCE, Shares, rows_of, share_bits
from coveo_provider.documents.contract import DOCUMENT_ID
from coveo_provider.documents.extracts.source_files import SourceFile
from coveo_provider.errors import DatasetError

_IDS = {DOCUMENT_ID: pl.String}
_HASHED = {**_IDS, "content": pl.Binary}
_LOCATED = {**_HASHED, "part": pl.UInt32, "row": pl.UInt32}


class Fate(IntEnum):
    """What a load does with a document of now."""

    UNCHANGED = 0
    NEW = 1
    CHANGED = 2
    AGAIN = 3
    """Sent as it was, as no success is known of a load that may have sent or deleted it."""


@dataclass(frozen=True)
class Compared:
    """
    What became of a share of the documents, for whoever looks closer at them.

    Parts are numbered through all datasets of a side, in order.

    :param current: of now: ``documentId``, ``fate``, ``part``, ``row``, and ``former_part`` and ``former_row``,
        which are null where the last load did not have the document; and ``sure``, whether the index is known to
        hold it as the last load had it: not what was refused, nor what an unfinished load may have touched
    :param lost: of the last load, and not there any more: ``documentId``, ``former_part``, ``former_row``
    """

    current: pl.DataFrame
    lost: pl.DataFrame


@dataclass
class Difference:
    """
    What changed.

    :param masks: for each dataset of now, in order, and for each of its parts, whether its rows are to be sent
    :param changed: how many are: new, changed, or of a load of which no success is known
    :param new: how many of these the last load did not have
    :param again: how many of these are as the last load had them
    :param unchanged: how many documents are as they were
    :param gone: how many ids are to be deleted
    :param lost: how many documents of the last load are not there any more
    :param rejected: how many of the unchanged were refused by the service, so that the index does not hold them
    """

    masks: list[list[npt.NDArray[np.bool_]]]
    changed: int = 0
    new: int = 0
    again: int = 0
    unchanged: int = 0
    gone: int = 0
    lost: int = 0
    rejected: int = 0
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
    :param watch: is told of every document what became of it, share by share
    """

    def __init__(
        self,
        scratch: Path,
        *,
        rows: int,
        rows_at_once: int = ROWS_AT_ONCE,
        watch: Callable[[Compared], None] | None = None,
    ) -> None:
        self._scratch, self._watch = scratch, watch
        bits = share_bits(rows, rows_at_once)
        self._current = Shares(scratch, "current", _LOCATED, bits)
        self._former = Shares(scratch, "former", _HASHED if watch is None else _LOCATED, bits)
        self._pending = Shares(scratch, "pending", _IDS, bits)
        self._rejected = Shares(scratch, "rejected", _HASHED, bits)
        self._shares = 1 << bits
        self._rows: list[list[int]] = []  # of each part, by dataset
        self._former_parts = 0

    def add_current(self, files: Sequence[SourceFile], sha256: str) -> None:
        """
        Take the documents of a dataset of now; ids that stand in two of them are refused before.

        :param files: of hashes, one a part
        :param sha256: of all hashes, to find a damaged file
        :raises DatasetError: a file is missing or damaged
        """
        first = sum(map(len, self._rows))
        rows = [0] * len(files)
        digest = hashlib.sha256()
        for number, frame in rows_of(files, _HASHED):
            digest.update(b"".join(frame["content"].drop_nulls().to_list()))
            start = rows[number]
            rows[number] += len(frame)
            self._current.add(_located(frame, first + number, start))
        _refuse_damaged(files, digest.hexdigest(), sha256)
        self._rows.append(rows)

    def add_former(self, files: Sequence[SourceFile], sha256: str) -> None:
        """Take the documents of a dataset as of the last load; otherwise as :meth:`add_current`."""
        digest = hashlib.sha256()
        rows = [0] * len(files)
        for number, frame in rows_of(files, _HASHED):
            digest.update(b"".join(frame["content"].drop_nulls().to_list()))
            located = _located(frame, self._former_parts + number, rows[number])
            self._former.add(frame if self._watch is None else located)
            rows[number] += len(frame)
        self._former_parts += len(files)
        _refuse_damaged(files, digest.hexdigest(), sha256)

    def add_pending(self, file: SourceFile) -> None:
        """
        Take ids that a load may have sent or deleted, so that their hashes say nothing.

        :raises DatasetError: the file is missing or damaged
        """
        for _, frame in rows_of([file], _IDS):
            self._pending.add(frame)

    def add_rejected(self, file: SourceFile, *, retry: bool = False) -> None:
        """
        Take what the service refused, with the hash that each document had; a deletion has none.

        A refused document is sent again once its hash is another, a refused deletion in any case.

        :param retry: whether to send all of them again that are still there
        :raises DatasetError: the file is missing or damaged
        """
        for _, frame in rows_of([file], _HASHED):
            again = pl.lit(True) if retry else pl.col("content").is_null()
            self._pending.add(frame.filter(again).select(DOCUMENT_ID))
            self._rejected.add(frame.filter(~again))

    def result(self) -> Difference:
        """Return what changed."""
        masks = [[np.zeros(rows, dtype=np.bool_) for rows in parts] for parts in self._rows]
        difference = Difference(masks)
        for share in range(self._shares):
            self._compare(share, difference)
        return difference

    def _compare(self, share: int, difference: Difference) -> None:
        current, former = self._current.read(share), self._former.read(share)
        pending = self._pending.read(share).unique()
        joined = current.join(
            former.rename({name: f"former_{name}" for name in former.columns if name != DOCUMENT_ID}),
            on=DOCUMENT_ID,
            how="left",
        ).join(pending.with_columns(pending=True), on=DOCUMENT_ID, how="left")
        refused = self._rejected.read(share).unique()
        unsure = pl.concat([pending, refused.select(DOCUMENT_ID)]).unique()
        joined = joined.join(unsure.with_columns(sure=False), on=DOCUMENT_ID, how="left")
        joined = joined.with_columns(_fate().alias("fate"), pl.col("sure").fill_null(True))
        is_changed = pl.col("fate") != Fate.UNCHANGED
        changed = joined.filter(is_changed)
        masks = [mask for parts in difference.masks for mask in parts]
        for (part,), rows in changed.select("part", "row").partition_by("part", as_dict=True).items():
            masks[part][rows["row"].to_numpy()] = True
        lost = former.drop("content").join(current, on=DOCUMENT_ID, how="anti")
        gone = (
            pl.concat([lost.select(DOCUMENT_ID), pending.join(current, on=DOCUMENT_ID, how="anti")])
            .unique()
            .sort(DOCUMENT_ID)
        )
        unchanged = joined.filter(~is_changed)
        fates = changed["fate"]
        difference.changed += len(changed)
        difference.new += int((fates == Fate.NEW).sum())
        difference.again += int((fates == Fate.AGAIN).sum())
        difference.unchanged += len(unchanged)
        difference.lost += len(lost)
        difference.gone += len(gone)
        difference.rejected += len(unchanged.join(refused, on=[DOCUMENT_ID, "content"], how="semi"))
        if self._watch is not None:
            names = (DOCUMENT_ID, "fate", "sure", "part", "row", "former_part", "former_row")
            former_names = {"part": "former_part", "row": "former_row"}
            self._watch(Compared(joined.select(names), lost.rename(former_names)))
        if len(gone):
            path = self._scratch / f"gone-{share}.arrow"
            table = pa.table({DOCUMENT_ID: gone[DOCUMENT_ID].to_arrow().cast(pa.string())})
            with pa.ipc.new_stream(path, table.schema) as stream:
                stream.write_table(table)
            difference._gone.append(path)


def _located(frame: pl.DataFrame, part: int, first_row: int) -> pl.DataFrame:
    """Return rows with where they stand: the number of their part, and theirs in it."""
    return frame.with_columns(
        pl.lit(part, dtype=pl.UInt32).alias("part"),
        pl.int_range(first_row, first_row + len(frame), dtype=pl.UInt32).alias("row"),
    )


def _fate() -> pl.Expr:
    return (
        pl.when(pl.col("former_content").is_null())
        .then(Fate.NEW)
        .when(pl.col("content") != pl.col("former_content"))
        .then(Fate.CHANGED)
        .when(pl.col("pending").is_not_null())
        .then(Fate.AGAIN)
        .otherwise(Fate.UNCHANGED)
        .cast(pl.Int8)
    )


def _refuse_damaged(files: Sequence[SourceFile], digest: str, sha256: str) -> None:
    if digest != sha256:
        raise DatasetError(
            f"{files[0].name if files else 'the hashes'}: the files of hashes there are damaged"
        )

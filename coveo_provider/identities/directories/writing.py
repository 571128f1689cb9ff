"""A census → the datasets of members and of mappings, as a push of identities takes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from coveo_provider.identities.directories.census import Census

_ROWS = 50_000
_MEMBERS = 500_000

_IDENTITY = pa.struct([("name", pa.large_string()), ("type", pa.string())])
_ALIAS = pa.struct([("name", pa.large_string()), ("type", pa.string()), ("provider", pa.string())])
MEMBERS = pa.schema(
    [("name", pa.large_string()), ("type", pa.string()), ("members", pa.large_list(_IDENTITY))]
)
MAPPINGS = pa.schema(
    [("name", pa.large_string()), ("type", pa.string()), ("mappings", pa.large_list(_ALIAS))]
)


def write_members(census: Census, path: Path) -> None:
    """
    Write each group with the names of all its members; one that has none says so by an empty list.

    :param path: of a local Parquet file
    """
    with pq.ParquetWriter(path, MEMBERS, compression="zstd") as writer:
        for batch in _groups(census):
            writer.write_batch(batch)


def write_mappings(census: Census, path: Path, provider: str) -> None:
    """
    Write each enabled user with its addresses; who has none says so by an empty list, which takes away former ones.

    :param path: of a local Parquet file
    :param provider: the one that the addresses belong to
    """
    with pq.ParquetWriter(path, MAPPINGS, compression="zstd") as writer:
        for people in census.people.iter_slices(_ROWS):
            lengths = people["emails"].list.len().to_numpy().astype(np.int64)
            emails = people["emails"].explode().drop_nulls()
            count = len(emails)
            aliases = pa.StructArray.from_arrays(
                [_texts(emails), _constant("USER", count), _constant(provider, count)], fields=list(_ALIAS)
            )
            columns = [_texts(people["name"]), _constant("USER", len(people)), _lists(lengths, aliases)]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=MAPPINGS))


def _groups(census: Census) -> Iterator[pa.RecordBatch]:
    """Return the groups in order, so many at once that their members are not too many."""
    names = census.groups["name"]
    ends = np.searchsorted(census.memberships["group"].to_numpy(), np.arange(len(names)), side="right")
    start = begun = 0
    while start < len(names):
        stop = int(np.searchsorted(ends, begun + _MEMBERS, side="right"))
        stop = min(max(stop, start + 1), start + _ROWS, len(names))
        end = int(ends[stop - 1])
        lengths = np.diff(ends[start:stop], prepend=begun)
        members = _named(census, census.memberships[begun:end])
        columns = [
            _texts(names[start:stop]),
            _constant("GROUP", stop - start),
            _lists(lengths.astype(np.int64), members),
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=MEMBERS)
        start, begun = stop, end


def _named(census: Census, memberships: pl.DataFrame) -> pa.StructArray:
    """Return the identity of each member."""
    is_group = memberships["member_is_group"]
    rows = memberships["member"]
    groups, people = rows.filter(is_group), rows.filter(~is_group)
    places = pl.concat([is_group.arg_true(), (~is_group).arg_true()])
    names = pl.concat([census.groups["name"].gather(groups), census.people["name"].gather(people)])
    named = pl.DataFrame({"place": places, "name": names}).sort("place")["name"]
    kinds = pl.select(pl.when(is_group).then(pl.lit("GROUP")).otherwise(pl.lit("USER"))).to_series()
    return pa.StructArray.from_arrays(
        [_texts(named), _texts(kinds).cast(pa.string())], fields=list(_IDENTITY)
    )


def _texts(series: pl.Series) -> pa.Array:
    return series.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.large_string())


def _constant(text: str, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(text, pa.string()), count)


def _lists(lengths: np.ndarray[tuple[int], np.dtype[np.int64]], values: pa.Array) -> pa.Array:
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return pa.LargeListArray.from_arrays(pa.array(offsets, pa.int64()), values)

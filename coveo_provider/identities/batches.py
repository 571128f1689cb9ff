"""
Datasets of identities → chunks: files on disk that are each the body of one container.

A push replaces an identity as a whole (docs 55), so each may stand once only: one that comes twice is refused, or
its members are united, as asked. Memory is bounded by a batch of rows, or by the largest group.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa

from coveo_provider.documents.contract import Section
from coveo_provider.documents.dataset.tables import Part
from coveo_provider.documents.encoding.chunks import Chunk, ChunkWriter
from coveo_provider.documents.encoding.one_by_one import joined_rows
from coveo_provider.documents.records import Encoded
from coveo_provider.documents.values.nested_lists import joined, json_strings
from coveo_provider.errors import ConfigurationError
from coveo_provider.identities.columns import IdentityKind
from coveo_provider.identities.duplicates import (
    AT_ONCE,
    Hashes,
    among,
    merged_bodies,
    refuse_disabled,
    refuse_twice,
    repeated,
)
from coveo_provider.identities.models import GROUPS, Body, encode_identity
from coveo_provider.identities.rows import IdentityReader, IdentityRows, Named, key_hashes

Log: TypeAlias = "Callable[..., object]"

_PROGRESS_SECONDS = 10.0


class IdentityEncoder:
    """
    Encodes the batches of one part of a dataset of identities.

    :param schema: the part's schema, checked here
    :param kind: which of the three datasets it belongs to
    :param where: the part's name, for errors
    :param case_sensitive: whether the provider tells names apart that differ in case only
    :raises DatasetError: a column is missing, unknown, doubled or of the wrong type
    """

    def __init__(
        self, schema: pa.Schema, kind: IdentityKind, *, where: str, case_sensitive: bool = False
    ) -> None:
        self.reader = IdentityReader(schema, kind, where)
        self.case_sensitive = case_sensitive

    def encode(self, batch: pa.RecordBatch, first_row: int = 0) -> Encoded:
        """
        Return the JSON of a batch.

        :param first_row: the number of its first row in the part, for errors
        :raises DatasetError: names the first identity at fault
        """
        if not len(batch):
            return Encoded(memoryview(b""), np.empty(0, np.int64), np.empty(0, np.uint64))
        rows = self.reader.read(batch, first_row)
        lines = json_lines(rows, self.reader.kind)
        sizes = lines.str.len_bytes().to_numpy().astype(np.int64)
        data = lines.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.large_string()).buffers()[2]
        return Encoded(memoryview(data), np.cumsum(sizes), key_hashes(rows.identities, self.case_sensitive))


def json_lines(rows: IdentityRows, kind: IdentityKind) -> pl.Series:
    """Return one string a row: the body's JSON and a comma."""
    groups = rows.identities.types.is_in([each.name for each in GROUPS]).to_numpy()
    pieces = ['{"identity":' + pl.lit(_objects(rows.identities))]
    for key, related in rows.lists.items():
        member = pl.lit(f',"{key}":') + pl.lit(joined(related.lengths, _objects(related.named)))
        sent = related.lengths > 0
        if key != "wellKnowns":  # what replaces a list is sent also when it is empty
            sent = sent | (np.True_ if key == "mappings" else groups)
        pieces.append(pl.when(pl.lit(pl.Series(sent))).then(member))
    if kind is IdentityKind.MAPPINGS and "mappings" not in rows.lists:
        pieces.append(pl.lit(',"mappings":[]'))
    if kind is IdentityKind.MEMBERS and "members" not in rows.lists:
        pieces.append(pl.when(pl.lit(pl.Series(groups))).then(pl.lit(',"members":[]')))
    return pl.select(pl.concat_str([*pieces, pl.lit("},")], ignore_nulls=True)).to_series()


def _objects(named: Named) -> pl.Series:
    frame = pl.DataFrame({"name": named.names, "type": named.types})
    text: pl.Expr = pl.struct("name", "type").struct.json_encode()
    more = []
    if named.infos is not None and named.infos.null_count() < len(named.infos):
        more.append(pl.lit(',"additionalInfo":') + pl.lit(named.infos))
    if named.providers is not None and named.providers.null_count() < len(named.providers):
        more.append(pl.lit(',"provider":') + pl.lit(json_strings(named.providers)))
    if more:
        text = pl.concat_str([text.str.strip_suffix("}"), *more, pl.lit("}")], ignore_nulls=True)
    return frame.select(text).to_series()


def spool_identities(
    writer: ChunkWriter,
    *,
    members: Iterable[Part] = (),
    mappings: Iterable[Part] = (),
    deleted: Iterable[Part] = (),
    duplicates: Literal["refuse", "merge"] = "refuse",
    case_sensitive: bool = False,
    log: Log,
) -> list[Chunk]:
    """
    Encode and check whole datasets of identities into chunks on disk, and return these.

    :param members: groups with their members, and other identities
    :param mappings: aliases
    :param deleted: identities to disable
    :param duplicates: what becomes of an identity that stands twice in one dataset: ``refuse`` names it,
        ``merge`` unites its members, aliases and granted identities, and keeps the first additional info
    :param case_sensitive: whether the provider tells names apart that differ in case only
    :param log: called with a message and its arguments, as ``logging.Logger.info``
    :raises DatasetError: names what is wrong, also an identity that is both to be updated and disabled
    :raises ConfigurationError: ``duplicates`` is none of the two, or an identity is larger than a chunk
    """
    if duplicates not in {"refuse", "merge"}:
        raise ConfigurationError(f"duplicates is {duplicates!r}, expected 'refuse' or 'merge'")
    datasets = {
        IdentityKind.MEMBERS: list(members),
        IdentityKind.MAPPINGS: list(mappings),
        IdentityKind.DELETED: list(deleted),
    }
    spool = _Spool(
        writer, case_sensitive, sum(part.rows for parts in datasets.values() for part in parts), log
    )
    hashes = {kind: spool.write(kind, parts, duplicates == "merge") for kind, parts in datasets.items()}
    both = np.intersect1d(
        np.concatenate([hashes[IdentityKind.MEMBERS], hashes[IdentityKind.MAPPINGS]]),
        hashes[IdentityKind.DELETED],
    )
    if len(both):
        refuse_disabled(both, datasets, case_sensitive)
    return writer.finish()


class _Spool:
    """Writes datasets into chunks, and tells how far it got."""

    def __init__(self, writer: ChunkWriter, case_sensitive: bool, total: int, log: Log) -> None:
        self._writer, self._case_sensitive, self._log = writer, case_sensitive, log
        self._done, self._total, self._last = 0, total, time.monotonic()

    def write(self, kind: IdentityKind, parts: Sequence[Part], merge: bool) -> Hashes:
        """Write one dataset and return the hashes of its identities."""
        section = Section(kind.value)
        written: list[Hashes] = []
        apart = repeated(self._hashes(kind, parts)) if merge else np.empty(0, np.uint64)
        for part in parts:
            encoder = IdentityEncoder(part.schema, kind, where=part.name, case_sensitive=self._case_sensitive)
            row = 0
            for whole in part.batches():
                batch = whole
                if len(apart):
                    batch = batch.filter(
                        pa.array(~among(encoder.reader.keys(batch, self._case_sensitive), apart))
                    )
                encoded = encoder.encode(batch, row)
                self._writer.add(encoded, section)
                written.append(encoded.id_hashes)
                row += len(whole)
                self._step(len(whole))
        for start in range(0, len(apart), AT_ONCE):
            suspects = apart[start : start + AT_ONCE]
            bodies = list(merged_bodies(suspects, kind, parts, self._case_sensitive))
            self._writer.add(_encoded(bodies), section)
            written.append(suspects)
        hashes = np.concatenate([*written, np.empty(0, np.uint64)])
        if not merge and len(suspects := repeated(hashes)):
            refuse_twice(suspects, kind, parts, self._case_sensitive)
        return hashes

    def _hashes(self, kind: IdentityKind, parts: Sequence[Part]) -> Hashes:
        hashes = [np.empty(0, np.uint64)]
        for part in parts:
            reader = IdentityReader(part.schema, kind, part.name)
            row = 0
            for batch in part.batches(reader.key_columns):
                hashes.append(reader.keys(batch, self._case_sensitive, row))
                row += len(batch)
        return np.concatenate(hashes)

    def _step(self, rows: int) -> None:
        self._done += rows
        if (now := time.monotonic()) - self._last >= _PROGRESS_SECONDS:
            self._last = now
            self._log("Encoded %s of %s identities", f"{self._done:,}", f"{self._total:,}")


def _encoded(bodies: Sequence[Body]) -> Encoded:
    texts = [encode_identity(body) for body in bodies]
    return joined_rows(texts, [body.identity.name for body in bodies])

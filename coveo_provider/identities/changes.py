"""
What changed among the identities of a provider since the last push: each row by a hash of all that is sent of it.

A group whose list of members is another one is sent with its whole list, as a push replaces it (docs 55).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from coveo_provider.documents.dataset.tables import Part
from coveo_provider.identities.batches import json_lines
from coveo_provider.identities.columns import IdentityKind
from coveo_provider.identities.duplicates import Hashes, among, refuse_twice, repeated
from coveo_provider.identities.models import GROUPS
from coveo_provider.identities.rows import IdentityReader, Named, key_hashes

Datasets: TypeAlias = "Mapping[IdentityKind, Sequence[Part]]"
Survey: TypeAlias = pl.DataFrame
"""What datasets say, in the columns of :data:`SCHEMA`."""

SCHEMA = {
    "kind": pl.String,
    "type": pl.String,
    "key": pl.String,
    "name": pl.String,
    "digest": pl.Binary,
}
"""
What is remembered of each row: in which dataset it stands, its type and name, and a hash of its JSON.

``key`` is the name as it is compared.
"""

_DIGEST_BYTES = 16
_SAME = ["kind", "type", "key"]
_IDENTITY = ["type", "key"]
_EMPTY = pa.list_(pa.struct([("name", pa.string()), ("type", pa.string())]))


def survey_of(datasets: Datasets, case_sensitive: bool) -> pl.DataFrame:
    """
    Return what datasets say, one row for each of theirs, in an order of its own; every row is checked.

    :raises DatasetError: names what is wrong, also an identity that stands twice in one of them
    """
    found = [_surveyed(kind, part, case_sensitive) for kind, parts in datasets.items() for part in parts]
    survey = pl.concat([pl.DataFrame(schema=SCHEMA), *found])
    for kind, parts in datasets.items():
        rows = survey.filter(pl.col("kind") == kind.value)
        if len(suspects := repeated(_hashes(rows, case_sensitive))):
            refuse_twice(suspects, kind, parts, case_sensitive)
    return survey.sort(*_SAME)


def content_of(survey: pl.DataFrame) -> str:
    """Return a SHA-256 of all that datasets say."""
    total = hashlib.sha256()
    for rows in survey.iter_slices(50_000):
        text = rows.select(
            pl.concat_str(*_SAME, pl.col("digest").bin.encode("hex"), separator="\0").str.join("\n")
        ).item()
        total.update(f"{text}\n".encode())
    return total.hexdigest()


def count_of(survey: pl.DataFrame) -> int:
    """Return how many identities there are: one may stand in both datasets."""
    return survey.select(pl.struct(_IDENTITY).n_unique()).item() if len(survey) else 0


@dataclass(frozen=True)
class IdentityChanges:
    """
    What is to be sent.

    :param changed: rows of the datasets that are new or other than they were
    :param emptied: rows that are gone while the identity is not: what they said is to be taken back
    :param gone: identities to disable
    """

    changed: pl.DataFrame
    emptied: pl.DataFrame
    gone: pl.DataFrame

    def __len__(self) -> int:
        return len(self.changed) + len(self.emptied) + len(self.gone)


def changes_between(former: pl.DataFrame, current: pl.DataFrame) -> IdentityChanges:
    """Return what has to be sent to a provider that holds the former, to make it hold the current."""
    missing = former.join(current, on=_SAME, how="anti")
    return IdentityChanges(
        changed=current.join(former, on=[*_SAME, "digest"], how="anti"),
        emptied=missing.join(current, on=_IDENTITY, how="semi"),
        gone=missing.join(current, on=_IDENTITY, how="anti").unique(_IDENTITY, maintain_order=True),
    )


@contextmanager
def changed_parts(
    changes: IdentityChanges, datasets: Datasets, case_sensitive: bool, scratch: Path
) -> Iterator[dict[IdentityKind, list[Part]]]:
    """
    Give datasets of what is to be sent, as files in a folder.

    :param scratch: a local folder
    """
    files: dict[IdentityKind, list[Path]] = {kind: [] for kind in IdentityKind}
    for kind, parts in datasets.items():
        wanted = np.unique(_hashes(changes.changed.filter(pl.col("kind") == kind.value), case_sensitive))
        for number, part in enumerate(parts):
            path = scratch / f"{kind.value}-{number}.parquet"
            if len(wanted) and _copied(kind, part, wanted, case_sensitive, path):
                files[kind].append(path)
    for kind in (IdentityKind.MEMBERS, IdentityKind.MAPPINGS):
        if len(rows := changes.emptied.filter(pl.col("kind") == kind.value)):
            files[kind].append(_written(scratch / f"{kind.value}-emptied.parquet", rows, kind))
    if len(changes.gone):
        files[IdentityKind.DELETED].append(
            _written(scratch / "gone.parquet", changes.gone, IdentityKind.DELETED)
        )
    with ExitStack() as stack:
        yield {
            kind: [Part(stack.enter_context(path.open("rb")), str(path)) for path in paths]
            for kind, paths in files.items()
        }


def _surveyed(kind: IdentityKind, part: Part, case_sensitive: bool) -> pl.DataFrame:
    reader = IdentityReader(part.schema, kind, part.name)
    frames, row = [pl.DataFrame(schema=SCHEMA)], 0
    for batch in part.batches():
        rows = reader.read(batch, row)
        row += len(batch)
        names = rows.identities.names
        digests = [
            hashlib.blake2b(line.encode(), digest_size=_DIGEST_BYTES).digest()
            for line in json_lines(rows, kind)
        ]
        frames.append(
            pl.DataFrame(
                {
                    "kind": pl.Series([kind.value]).new_from_index(0, len(names)),
                    "type": rows.identities.types.cast(pl.String),
                    "key": names if case_sensitive else names.str.to_lowercase(),
                    "name": names,
                    "digest": pl.Series(digests, dtype=pl.Binary),
                },
                schema=SCHEMA,
            )
        )
    return pl.concat(frames)


def _hashes(rows: pl.DataFrame, case_sensitive: bool) -> Hashes:
    return key_hashes(Named(rows["name"], rows["type"]), case_sensitive)


def _copied(kind: IdentityKind, part: Part, wanted: Hashes, case_sensitive: bool, path: Path) -> bool:
    """Write the wanted rows of a part to a file, and return whether there are any."""
    reader = IdentityReader(part.schema, kind, part.name)
    found = 0
    with pq.ParquetWriter(path, part.schema) as writer:
        for batch in part.batches():
            chosen = batch.filter(pa.array(among(reader.keys(batch, case_sensitive), wanted)))
            if len(chosen):
                writer.write_batch(chosen)
                found += len(chosen)
    return found > 0


def _written(path: Path, rows: pl.DataFrame, kind: IdentityKind) -> Path:
    """Write identities of which nothing more is said; of a group, that it has no members."""
    columns: dict[str, pa.Array] = {
        name: rows[name].to_arrow(compat_level=pl.CompatLevel.oldest()).cast(pa.string())
        for name in ("name", "type")
    }
    if kind is IdentityKind.MEMBERS:
        groups = [one.name for one in GROUPS]
        columns["members"] = pa.array([[] if one in groups else None for one in rows["type"]], _EMPTY)
    elif kind is IdentityKind.MAPPINGS:
        columns["mappings"] = pa.array([[] for _ in range(len(rows))], _EMPTY)
    pq.write_table(pa.table(columns), path)
    return path

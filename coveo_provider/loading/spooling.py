"""
A whole load is encoded and checked into chunks on disk, before any of it is submitted.

So what is wrong with row one million is said while the index is still as it was.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from coveo_provider.documents.contents.files import ContentSpool
from coveo_provider.documents.contents.filling import fill
from coveo_provider.documents.contents.threads import side_by_side
from coveo_provider.documents.contract import Section, counted, shown
from coveo_provider.documents.dataset.ids import (
    IdLedger,
    refuse_contradictions,
    refuse_duplicates,
    refuse_swallowed,
    swallowing,
)
from coveo_provider.documents.dataset.tables import Part
from coveo_provider.documents.encoding.chunks import Chunk, ChunkWriter
from coveo_provider.documents.encoding.encoders import encoder_for
from coveo_provider.documents.encoding.rows import Rows
from coveo_provider.documents.records import Encoded
from coveo_provider.loading.progress import Log, Progress

_log = logging.getLogger(__name__)

Load: TypeAlias = "Mapping[Section, Sequence[Part | Rows]]"


def spool(
    writer: ChunkWriter, load: Load, *, item_limit: int, log: Log, contents: ContentSpool | None = None
) -> list[Chunk]:
    """
    Encode and check a whole load into chunks on disk, and return these.

    :param load: parts or rows, by the array of a container they go to
    :param item_limit: the most one item may take, in bytes
    :param contents: reads the files that documents name in ``contentUri``; keep it open until all is delivered
    :raises DataError: names what is wrong; nothing was sent
    """
    read = Progress(log, "Read", None, "bytes")
    for section, encoded in _encode(load, item_limit, log):
        if contents is None or not encoded.files:
            writer.add(encoded, section)
            continue
        for piece in fill(encoded, contents, item_limit):
            writer.add(piece, section)
            size = len(piece.data) + sum(attachment.size for attachment in piece.attachments)
            read.step(size, size)
    return writer.finish()


def check(load: Load, *, item_limit: int, log: Log, contents: ContentSpool | None = None) -> int:
    """
    Encode and check a whole load, keep nothing, and return the number of rows.

    :param contents: looks whether the files are there that documents name in ``contentUri``
    :raises DataError: names what is wrong
    """
    rows = 0
    for _, encoded in _encode(load, item_limit, log):
        rows += len(encoded.ends)
        if contents is not None:
            contents.look(encoded.files[row] for row in sorted(encoded.files))
    return rows


def _encode(load: Load, item_limit: int, log: Log) -> Iterator[tuple[Section, Encoded]]:
    """Return every batch of a load as JSON; once the last is taken, no item is named twice."""
    load = {section: list(load.get(section, ())) for section in Section}
    changes, gone = load[Section.PARTIAL_UPDATE], load[Section.DELETE]
    added = [*load[Section.ADD_OR_UPDATE], *load[Section.ADD_OR_MERGE]]
    items, fields = IdLedger(), IdLedger()
    progress = Progress(log, "Encoded", sum(source.rows for sources in load.values() for source in sources))
    for section, sources in load.items():
        for source in sources:
            for encoded in _batches(source, section, item_limit):
                items.add(encoded.id_hashes, many=section is Section.PARTIAL_UPDATE)
                if encoded.field_hashes is not None:
                    fields.add(encoded.field_hashes)
                progress.step(len(encoded.ends), len(encoded.data))
                yield section, _bounded(encoded, source)
    refuse_duplicates(items, [*added, *gone], changes)
    refuse_contradictions(fields, changes)
    prefixes = swallowing(gone)
    refuse_swallowed(prefixes, [*added, *changes])
    _warn_of_siblings(prefixes)


def _bounded(encoded: Encoded, source: Part | Rows) -> Encoded:
    """Return a batch whose files are read only where its dataset allows it."""
    if not isinstance(source, Part) or not source.content_roots or not encoded.files:
        return encoded
    bounds: dict[str, Any] = {"roots": source.content_roots, "links": source.content_links}
    return replace(encoded, files={row: replace(one, **bounds) for row, one in encoded.files.items()})


def _warn_of_siblings(prefixes: Sequence[str]) -> None:
    """
    Say which deletions may take more along than what lies below them.

    See ``docs/api-notes.md``, "Deleting by prefix".
    """
    wide = [prefix for prefix in prefixes if not prefix.endswith("/")]
    if wide:
        _log.warning(
            "deleteChildren, in %s here, takes along every item whose id starts with the deleted one: %s takes %s, "
            "which is no child of it. An id that ends with / takes only what lies below it",
            counted(len(wide), "deletion"),
            shown(wide[0]),
            shown(f"{wide[0]}-sibling"),
        )


def _batches(source: Part | Rows, section: Section, item_limit: int) -> Iterator[Encoded]:
    if isinstance(source, Rows):
        return source.encode(section, item_limit)
    encoder = encoder_for(section, source.schema, where=source.name, item_limit=item_limit)
    # One thread, beside that which writes: a second one costs memory and is no faster, as polars has its own.
    return side_by_side(
        lambda batch: encoder.encode(*batch),
        _numbered(source.batches()),
        threads=1,
        ahead=1,
        name="coveo-encode",
    )


def _numbered(batches: Iterable[Any]) -> Iterator[tuple[Any, int]]:
    """Return batches with the number of their first row."""
    row = 0
    for batch in batches:
        yield batch, row
        row += len(batch)

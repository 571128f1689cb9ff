"""Batches of rows, wherever they come from, become a documents dataset in its folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from reprlib import repr as brief
from types import NoneType
from typing import TYPE_CHECKING, Any

from airflow.sdk import ObjectStoragePath

from coveo_provider.documents.contract import MAX_CHUNK_BYTES, MIB, Api, counted
from coveo_provider.documents.dataset.files import replace as replace_file
from coveo_provider.documents.dataset.manifest import ITEM_KINDS, MANIFEST, DatasetKind, Manifest
from coveo_provider.documents.extracts.fingerprint import fingerprint
from coveo_provider.documents.mapping.document_mapping import DocumentMapping
from coveo_provider.documents.mapping.mapping_files import values_of
from coveo_provider.documents.mapping.mapping_rules import arguments_of
from coveo_provider.documents.uris import shown_uri
from coveo_provider.errors import ConfigurationError, DatasetError
from coveo_provider.operators.support.content_files import content_stamp
from coveo_provider.operators.support.storage import open_file

if TYPE_CHECKING:
    from coveo_provider.documents.dataset.part_writer import PartWriter
    from coveo_provider.documents.extracts.readers import Batch
    from coveo_provider.documents.extracts.transformation import Transform

MIN_PART_BYTES = MIB


@dataclass(frozen=True)
class Recipe:
    """
    What becomes of batches of rows.

    :param kind: what the rows are: ``documents``, ``deletions`` or ``partial_updates``
    :param stream: whether it is meant for a stream source
    :param part_bytes: the most a part may have when encoded, in bytes
    :param content_stamp: what tells one state of a file that ``contentUri`` names from another
    :param content_roots: URIs of the folders below which the files must lie that rows name as their content; none
        allows every place
    :param content_links: whether links below these folders may be followed to such a file
    :raises ConfigurationError: one of them is wrong
    """

    mapping: DocumentMapping | None
    transform: Transform | None
    kind: str
    stream: bool
    part_bytes: int
    content_stamp: str
    content_roots: tuple[str, ...] = ()
    content_links: bool = True

    def __post_init__(self) -> None:
        _check_mapping(self.mapping)
        _check_transform(self.transform)
        if not isinstance(self.stream, bool):
            raise ConfigurationError(f"stream must be True or False, not {brief(self.stream)}")
        size = self.part_bytes
        if (
            isinstance(size, bool)
            or not isinstance(size, int)
            or not MIN_PART_BYTES <= size <= MAX_CHUNK_BYTES
        ):
            raise ConfigurationError(
                f"part_bytes must lie between {MIN_PART_BYTES:,} and {MAX_CHUNK_BYTES:,} (what a chunk takes), "
                f"not {size!r}"
            )
        if self.kind not in {kind.value for kind in ITEM_KINDS}:
            known = ", ".join(kind.value for kind in ITEM_KINDS)
            raise ConfigurationError(f"unknown kind {self.kind!r}: expected one of {known}")
        content_stamp(self.content_stamp)

    def fingerprint(self) -> str:
        """Return what tells this mapping and function from others."""
        return fingerprint(self.mapping, self.transform)

    def manifest(self) -> Manifest:
        """Return the manifest of a dataset that is not complete yet."""
        api = Api.STREAM if self.stream else Api.PUSH
        return Manifest(
            DatasetKind(self.kind),
            mapping=self.fingerprint(),
            api=api.value,
            content_roots=self.content_roots,
            content_links=self.content_links,
        )

    def write(
        self,
        folder: ObjectStoragePath,
        manifest: Manifest,
        batches: Iterable[Batch],
        log: Any,
        *,
        empty: str,
        found: Callable[[], Mapping[str, Any]] = dict,
        finish: Callable[[Batch, Any], Any] = lambda _, documents: documents,
        add_rest: Callable[[PartWriter], None] | None = None,
        known_stamps: Callable[[], Mapping[str, str]] = dict,
    ) -> Manifest:
        """
        Write the parts of a dataset and complete its manifest, which is returned.

        :param folder: prepared, with the incomplete manifest in it
        :param empty: what holds the rows, for the error when none is left
        :param found: what else the manifest is to say, asked for once all was read
        :param finish: takes each batch and the table that it became, and returns what is written of it
        :param add_rest: writes what the dataset has besides, once all was read
        :param known_stamps: returns, by URI, what a list of files says of the states of those in the last batch
        :raises DataError: names the rows at fault; the manifest stays incomplete
        """
        from coveo_provider.documents.dataset.part_writer import PartWriter
        from coveo_provider.documents.extracts.local_dates import LocalDates
        from coveo_provider.documents.extracts.transformation import rows_of
        from coveo_provider.loading.progress import Progress

        progress = Progress(log.info, "Transformed", None)
        read, dates = 0, LocalDates()
        with PartWriter(
            folder,
            section=manifest.kind.section,
            part_bytes=self.part_bytes,
            item_limit=Api(manifest.api).item_bytes,
            stamp=self._stamp(known_stamps),
        ) as writer:
            for batch in batches:
                read += len(batch.rows)
                rows = rows_of(batch, transform=self.transform, mapping=self.mapping)
                dates.look(rows)
                progress.step(*writer.add(finish(batch, rows), batch.where))
            if add_rest is not None:
                add_rest(writer)
            parts = writer.finish()
            manifest = replace(manifest, complete=True, parts=parts, sha256=writer.sha256, **found())
        if not manifest.rows:
            raise DatasetError(
                f"{empty} "
                + (f"{read:,} rows, of which none is left" if read else "no rows")
                + ": an empty dataset would empty the index. To do so on purpose, delete what the source holds"
            )
        replace_file(folder / MANIFEST, manifest.as_json())
        for warning in dates.warnings():
            log.warning("%s", warning)
        log.info(
            "Made %s of %s, %s of JSON, in %s in %s",
            counted(manifest.rows, self.kind.removesuffix("s").replace("_", " ")),
            counted(read, "row"),
            counted(manifest.encoded_bytes, "byte"),
            counted(len(manifest.parts), "part"),
            folder,
        )
        return manifest

    def _stamp(self, known: Callable[[], Mapping[str, str]]) -> Callable[[str], str]:
        """Return what tells the states of a file apart; what a list of files said is not asked for again."""
        stamp = content_stamp(self.content_stamp, self.content_roots)
        return stamp if self.content_stamp == "hash" else lambda uri: known().get(uri) or stamp(uri)


def mapping_at(uri: str) -> DocumentMapping:
    """
    Return the mapping in a YAML or JSON file.

    :raises MappingError: it is none; names the file, the line and the key
    :raises DatasetError: the file is missing, or must not be read
    """
    try:
        with open_file(uri) as file:
            text = file.read()
    except DatasetError as error:
        raise DatasetError(f"mapping: {error}") from None
    where = shown_uri(uri)
    data, lines = values_of(text, where)
    return DocumentMapping(**arguments_of(data, where, lines))


def _check_mapping(mapping: Any) -> None:
    if isinstance(mapping, (DocumentMapping, NoneType)):
        return
    cure = (
        ". A function of a DataFrame is given as transform"
        if callable(mapping) and not isinstance(mapping, type)
        else ""
    )
    raise ConfigurationError(
        "mapping must be a DocumentMapping: DocumentMapping(document_id='product://{sku}', "
        f"fields={{'ec_name': 'name'}}), or the URI of a file of one, not {brief(mapping)}{cure}"
    )


def _check_transform(transform: Any) -> None:
    if transform is None or callable(transform):
        return
    cure = ". Give a DocumentMapping as mapping" if isinstance(transform, DocumentMapping) else ""
    raise ConfigurationError(
        f"transform must be a function that takes a DataFrame and returns one, not {brief(transform)}{cure}"
    )

"""What a transform reads: files, or frames; what it has in common with a query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from airflow.sdk import ObjectStoragePath

from coveo_provider.documents.dataset.manifest import Manifest
from coveo_provider.documents.extracts.csv_options import TEXT, ColumnTypes
from coveo_provider.documents.extracts.formats import Csv, Json
from coveo_provider.documents.extracts.source_files import SourceFile
from coveo_provider.errors import DatasetError
from coveo_provider.operators.support.dataset_writing import Recipe
from coveo_provider.operators.support.frames import frame_file, frames_in
from coveo_provider.operators.support.lineage import Data, data_in
from coveo_provider.operators.support.output_folders import prepared_output
from coveo_provider.operators.support.partitions import partitions_at
from coveo_provider.operators.support.states import state_at
from coveo_provider.operators.support.storage import flat, list_files, open_file

if TYPE_CHECKING:
    from coveo_provider.documents.extracts.readers import ReadOptions

_FRAME = "source given as a DataFrame"


class Extract(Protocol):
    """Rows that become a dataset."""

    def write(self, output: Any) -> tuple[ObjectStoragePath, Manifest]:
        """Write the dataset of the rows into a folder, and return the folder and its manifest."""

    def data_read(self) -> Sequence[Data]:
        """Return what OpenLineage is told of where the rows come from."""

    def cancel(self) -> None:
        """Break off what goes on elsewhere for this extract."""


class FileExtract:
    """
    Files, or DataFrames.

    :param recipe: what becomes of their rows
    :param source: URIs, or frames
    :param state: URI of the folder that remembers the types of CSV's columns
    :param csv: options of CSV, by their names in :class:`~coveo_provider.documents.extracts.formats.Csv`
    :param log: of the task
    """

    def __init__(
        self,
        recipe: Recipe,
        source: Any,
        log: Any,
        *,
        batch_rows: int,
        file_format: str | None,
        csv: Mapping[str, Any],
        json_records: str | None,
        state: Any,
    ) -> None:
        self._recipe, self._source, self._log = recipe, source, log
        self._batch_rows, self._file_format = batch_rows, file_format
        self._csv, self._json_records, self._state = csv, json_records, state

    def write(self, output: Any) -> tuple[ObjectStoragePath, Manifest]:
        """Read, transform, check and write batch by batch, then complete the manifest."""
        from coveo_provider.documents.extracts.readers import read_batches

        frames = frames_in(self._source)
        manifest = self._recipe.manifest()
        mapping = self._recipe.mapping
        types = ColumnTypes(
            kept={**self._kept_types(manifest.mapping), **dict.fromkeys(self._text_columns(), TEXT)},
            spelled=frozenset(() if mapping is None else mapping.spelled()),
        )
        options = self._options(types, "parquet" if frames else self._file_format)
        options.check()
        files = [SourceFile(_FRAME, partial(frame_file, frame, _FRAME)) for frame in frames] or self._files()
        options.format_of(files)
        folder = prepared_output(output, manifest, sources=() if frames else self._source)
        manifest = self._recipe.write(
            folder,
            manifest,
            read_batches(files, options),
            self._log,
            empty=f"source: {files[0].name}{' and the others hold' if len(files) > 1 else ' holds'}",
            found=lambda: {
                "types": {name: found for name, found in types.found.items() if self._passes(name)},
                "declared": tuple(sorted(types.declared)),
            },
        )
        return folder, manifest

    def data_read(self) -> Sequence[Data]:
        """Return the files; frames have no name."""
        return () if frames_in(self._source) else data_in(flat(self._source, "source"))

    def cancel(self) -> None:
        """Do nothing: files are read here."""

    def _options(self, types: ColumnTypes, file_format: str | None) -> ReadOptions:
        from coveo_provider.documents.extracts.readers import ReadOptions

        return ReadOptions(
            file_format=file_format,
            batch_rows=self._batch_rows,
            formats=(Csv(**self._csv, types=types), Json(self._json_records)),
        )

    def _files(self) -> list[SourceFile]:
        uris = list_files(self._source, "source")
        partitions = partitions_at(uris, self._source, "source", says_others=True)
        return [SourceFile(uri, partial(open_file, uri), partitions[uri]) for uri in uris]

    def _kept_types(self, mapping: str) -> dict[str, str]:
        """Return the types of columns in the last load that went through; none when it cannot be told."""
        if self._state is None:
            return {}
        try:
            last = state_at(self._state).last()
        except DatasetError as error:
            self._log.warning("%s. The types of the columns of CSV are found anew", error)
            return {}
        return {} if last is None else last.types_of(mapping)

    def _passes(self, column: str) -> bool:
        """Return whether the type of a column of CSV may be seen in a document."""
        mapping = self._recipe.mapping
        return self._recipe.transform is not None or mapping is None or mapping.passes(column)

    def _text_columns(self) -> list[str]:
        """Return the columns of CSV that become nothing but parts of texts."""
        mapping = self._recipe.mapping
        return [] if self._recipe.transform is not None or mapping is None else mapping.text_columns()

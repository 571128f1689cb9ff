"""An extract of any size, made into a documents dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import Context, XComArg

from coveo_provider.documents.dataset.manifest import DEFAULT_PART_BYTES, DatasetKind
from coveo_provider.documents.extracts.csv_options import AUTO, TEXT, ColumnTypes
from coveo_provider.documents.extracts.formats import Csv, Json
from coveo_provider.documents.extracts.source_files import BATCH_ROWS, SourceFile
from coveo_provider.documents.mapping.document_mapping import DocumentMapping
from coveo_provider.errors import DatasetError
from coveo_provider.operators.support.base import CoveoOperator
from coveo_provider.operators.support.dataset_writing import Recipe, mapping_at
from coveo_provider.operators.support.frames import frame_file, frames_in
from coveo_provider.operators.support.lineage import (
    Data,
    Lineage,
    as_openlineage,
    data_at,
    data_in,
    data_written,
)
from coveo_provider.operators.support.mapped_tasks import mappable
from coveo_provider.operators.support.output_folders import prepared_output
from coveo_provider.operators.support.partitions import partitions_at
from coveo_provider.operators.support.states import state_at
from coveo_provider.operators.support.storage import flat, list_files, open_file

if TYPE_CHECKING:
    from coveo_provider.documents.extracts.transformation import Transform

_FRAME = "source given as a DataFrame"


class CoveoTransformOperator(CoveoOperator):
    """
    Make a documents dataset of Parquet, CSV, NDJSON or JSON files of any size, and return its parts to map over.

    Files are read in batches; ``transform`` and then ``mapping`` are applied to each. Every row is checked against
    the contract and encoded, so parts come out with about one chunk each, and a ``documentId`` that stands twice
    anywhere is refused. The folder gets a ``_manifest.json`` that later steps hold the parts against: a
    half-written dataset is never loaded. Memory is bounded by the batch. It calls no API and needs no connection.

    CSV is read without loss. A column is of numbers, or of true and false, only if every value would be sent as
    the very text that stands in the file: ``12`` and ``0.25`` would, ``007``, ``1.10`` and ``True`` would not, nor
    would ``38`` beside ``38.5``; then all of the column stays text. Empty means missing; ``NA`` and ``null`` are
    texts. With ``state``, a column keeps the type that it had in the last load: a value of another one is refused.

    JSON's numbers are values, not spellings, and keep every digit. Folders named ``column=value`` below the one
    that is given make a column of texts of the rows below them, in any format.

    :param source: URI of a file or a folder, or a list of them, all of one format and never empty; or a DataFrame
        that a task returns (templated)
    :param output: URI of a folder for the dataset. What an earlier try wrote there is replaced; a folder with other
        files in it is refused (templated)
    :param mapping: how the columns become those of the dataset; ``None`` when they are that already. Or the URI of
        a YAML or JSON file that says it (``docs/mappings.md``), read when the task runs (templated)
    :param transform: a function that gets a DataFrame of up to ``batch_rows`` rows and returns one, applied before
        the mapping. Whole numbers and booleans come as nullable dtypes, lists and objects as lists and dicts; a
        column that it does not change arrives as it stood. It must not depend on where batches begin
    :param kind: what the rows are: ``documents``, ``deletions`` or ``partial_updates``
    :param stream: whether it is meant for a stream source, whose items may have 3 MB, or a Push source with 5 MiB;
        the manifest says it to the tasks that follow
    :param batch_rows: the most rows in memory at once
    :param part_bytes: the most a part may have when encoded, in bytes, 1 MiB to 256 MiB
    :param file_format: ``parquet``, ``csv``, ``ndjson`` or ``json``; by default each file's suffix says it. A text
        file whose name ends with ``.gz`` is unpacked
    :param dtypes: pandas dtypes of columns of CSV, instead of finding out: ``{"sku": "string"}``
    :param csv_separator: between the values of CSV; by default a comma, or a tab in ``.tsv``
    :param csv_encoding: of CSV; by default UTF-8
    :param csv_quote: what encloses values of CSV, and is doubled in them; ``None`` when quotes are text. By default
        ``"``, but text where tabs separate: there a value that stands wholly in quotes is refused until this says
        which. So is a file of which all quotes could be stray ones, and make one value of several rows
    :param csv_escape: what takes the meaning of the quote, separator, line end or escape after it, such as
        a backslash of MySQL, Hive and Spark, which write ``NULL`` as one with ``N``; by default nothing does
    :param state: URI of the folder that outlives runs, as it is given to ``CoveoDiffOperator``, for the types of
        the columns of CSV. A task group that gets what this task returns gives it its own (templated)
    :param json_records: where the array stands in JSON files, as ``data.products``; by default the file is the
        array
    :param content_stamp: what tells :class:`~coveo_provider.operators.diff.CoveoDiffOperator` that a file which
        ``contentUri`` names is another one than last time. ``time``: its size and time, or the storage's own hash
        where it has one, such as an ETag; a file with new bytes and the old size and time is not noticed.
        ``hash``: a SHA-256 of its bytes, for which each run reads every file. When it is changed, all documents
        with files are sent once more
    :return: URIs of the parts, in order; lists of them where there are more than Airflow maps over
        (``[core] max_map_length``)
    """

    documentation = "https://docs.coveo.com/en/78/"
    template_fields: Sequence[str] = ("source", "output_uri", "state", "mapping_uri")

    def __init__(
        self,
        *,
        source: str | Sequence[str] | XComArg,
        output: str | XComArg,
        mapping: DocumentMapping | str | XComArg | None = None,
        transform: Transform | None = None,
        kind: str = DatasetKind.DOCUMENTS.value,
        stream: bool = False,
        batch_rows: int = BATCH_ROWS,
        part_bytes: int = DEFAULT_PART_BYTES,
        file_format: str | None = None,
        dtypes: Mapping[str, Any] | None = None,
        csv_separator: str | None = None,
        csv_encoding: str | None = None,
        csv_quote: str | None = AUTO,
        csv_escape: str | None = None,
        state: str | XComArg | None = None,
        json_records: str | None = None,
        content_stamp: str = "time",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source: Any = source
        self.output_uri: Any = output  # Airflow's own ``output`` is what the task returns
        of_file = isinstance(mapping, (str, XComArg))
        self.mapping: Any = None if of_file else mapping
        self.mapping_uri: Any = (
            mapping if of_file else None
        )  # a mapping itself would be stored as a rendered field
        self.transform = transform
        self.kind = kind
        self.stream = stream
        self.batch_rows = batch_rows
        self.part_bytes = part_bytes
        self.file_format = file_format
        self.dtypes = dtypes
        self.csv_separator = csv_separator
        self.csv_encoding = csv_encoding
        self.csv_quote = csv_quote
        self.csv_escape = csv_escape
        self.state: Any = state
        self.json_records = json_records
        self.content_stamp = content_stamp

    def act(self, context: Context) -> list[str] | list[list[str]]:
        """Read, transform, check and write batch by batch, then complete the manifest."""
        from coveo_provider.documents.extracts.readers import ReadOptions, read_batches

        if self.mapping_uri is not None:
            self.mapping = mapping_at(str(self.mapping_uri))
        recipe = Recipe(
            self.mapping, self.transform, self.kind, self.stream, self.part_bytes, self.content_stamp
        )
        frames = frames_in(self.source)
        manifest = recipe.manifest()
        types = ColumnTypes(
            kept={**self._kept_types(manifest.mapping), **dict.fromkeys(self._text_columns(), TEXT)},
            spelled=frozenset(() if self.mapping is None else self.mapping.spelled()),
        )
        options = ReadOptions(
            file_format="parquet" if frames else self.file_format,
            batch_rows=self.batch_rows,
            formats=(
                Csv(
                    dtypes=self.dtypes,
                    separator=self.csv_separator,
                    encoding=self.csv_encoding,
                    quote=self.csv_quote,
                    escape=self.csv_escape,
                    types=types,
                ),
                Json(self.json_records),
            ),
        )
        options.check()
        files = [SourceFile(_FRAME, partial(frame_file, frame, _FRAME)) for frame in frames] or self._files()
        options.format_of(files)
        folder = prepared_output(self.output_uri, manifest, sources=() if frames else self.source)
        manifest = recipe.write(
            folder,
            manifest,
            read_batches(files, options),
            self.log,
            empty=f"{files[0].name}{' and the others hold' if len(files) > 1 else ' holds'}",
            found=lambda: {
                "types": {name: found for name, found in types.found.items() if self._passes(name)},
                "declared": tuple(sorted(types.declared)),
            },
        )
        self.lineage = self.told(lambda: Lineage(self._data_read(), [data_written(str(folder), manifest)]))
        return mappable([str(folder / part.name) for part in manifest.parts])

    def get_openlineage_facets_on_start(self) -> Any:
        """Return what the task is about to read and write."""
        planned = self.told(lambda: Lineage(self._data_read(), [data_at(str(self.output_uri))]))
        return as_openlineage(planned)

    def _data_read(self) -> Sequence[Data]:
        return () if frames_in(self.source) else data_in(flat(self.source, "source"))

    def _files(self) -> list[SourceFile]:
        uris = list_files(self.source, "source")
        partitions = partitions_at(uris, self.source, "source", says_others=True)
        return [SourceFile(uri, partial(open_file, uri), partitions[uri]) for uri in uris]

    def _kept_types(self, mapping: str) -> dict[str, str]:
        """Return the types of columns in the last load that went through; none when it cannot be told."""
        if self.state is None:
            return {}
        try:
            last = state_at(self.state).last()
        except DatasetError as error:
            self.log.warning("%s. The types of the columns of CSV are found anew", error)
            return {}
        return {} if last is None else last.types_of(mapping)

    def _passes(self, column: str) -> bool:
        """Return whether the type of a column of CSV may be seen in a document."""
        return self.transform is not None or self.mapping is None or self.mapping.passes(column)

    def _text_columns(self) -> list[str]:
        """Return the columns of CSV that become nothing but parts of texts."""
        return [] if self.transform is not None or self.mapping is None else self.mapping.text_columns()

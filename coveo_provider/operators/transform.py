"""An extract of any size, of files or of a database, made into a documents dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import Context, XComArg

from coveo_provider.documents.contents.roots import checked_roots
from coveo_provider.documents.dataset.manifest import DEFAULT_PART_BYTES, DatasetKind
from coveo_provider.documents.extracts.csv_options import AUTO
from coveo_provider.documents.extracts.source_files import BATCH_ROWS
from coveo_provider.documents.mapping.document_mapping import DocumentMapping
from coveo_provider.errors import ConfigurationError
from coveo_provider.operators.support.base import CoveoOperator
from coveo_provider.operators.support.dataset_writing import Recipe, mapping_at
from coveo_provider.operators.support.extracts import Extract, FileExtract
from coveo_provider.operators.support.lineage import Lineage, as_openlineage, data_at, data_written
from coveo_provider.operators.support.mapped_tasks import mappable
from coveo_provider.operators.support.query_extracts import OVERLAP, Queries, QueryExtract

if TYPE_CHECKING:
    from decimal import Decimal

    from coveo_provider.documents.extracts.transformation import Transform


class CoveoTransformOperator(CoveoOperator):
    """
    Make a documents dataset of files or of a table of a database, of any size, and return its parts to map over.

    The rows of Parquet, CSV, NDJSON or JSON files, or of a query, are read in batches; ``transform`` and then
    ``mapping`` are applied to each. Every row is checked against the contract and encoded, so parts come out with
    about one chunk each, and a ``documentId`` that stands twice anywhere is refused. The folder gets a
    ``_manifest.json`` that later steps hold the parts against: a half-written dataset is never loaded. Memory is
    bounded by the batch. It calls no API of Coveo.

    CSV is read without loss. A column is of numbers, or of true and false, only if every value would be sent as
    the very text that stands in the file: ``12`` and ``0.25`` would, ``007``, ``1.10`` and ``True`` would not, nor
    would ``38`` beside ``38.5``; then all of the column stays text. Empty means missing; ``NA`` and ``null`` are
    texts. With ``state``, a column keeps the type that it had in the last load: a value of another one is refused.

    JSON's numbers are values, not spellings, and keep every digit. Folders named ``column=value`` below the one
    that is given make a column of texts of the rows below them, in any format.

    A query is read through the hook of its connection, so any database with a provider for Airflow will do. With
    ``watermark`` and ``state`` only those rows are read that changed since the last load that was *verified*; the
    dataset is whole all the same: what did not change is taken from the dataset of that load (docs/tables.md).

    ::

        CoveoTransformOperator(
            task_id="transform",
            sql="SELECT * FROM products",
            sql_conn_id="warehouse",
            watermark="updated_at",
            ids_sql="SELECT sku FROM products",
            output="s3://bucket/coveo/{{ run_id }}/documents",
            mapping=DocumentMapping("product://{sku}", keep="*"),
        )

    :param source: URI of a file or a folder, or a list of them, all of one format and never empty; or a DataFrame
        that a task returns. Either this or ``sql`` (templated)
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
        the columns of CSV, and for what ``watermark`` is compared with. A task group that gets what this task
        returns gives it its own (templated)
    :param json_records: where the array stands in JSON files, as ``data.products``; by default the file is the
        array
    :param content_stamp: what tells :class:`~coveo_provider.operators.diff.CoveoDiffOperator` that a file which
        ``contentUri`` names is another one than last time. ``time``: its size and time, or the storage's own hash
        where it has one, such as an ETag; a file with new bytes and the old size and time is not noticed.
        ``hash``: a SHA-256 of its bytes, for which each run reads every file. When it is changed, all documents
        with files are sent once more
    :param content_roots: URI of the folder, or a list of those, below which the files must lie that ``contentUri``
        names, in this task and in all that send the dataset; by default every place that the setting ``[coveo]
        content_roots`` allows (templated)
    :param sql: a query instead of files, or the name of a file of it that ends with ``.sql``. The whole task reads
        one snapshot where the database is PostgreSQL, otherwise each query one (templated)
    :param sql_conn_id: the Airflow connection of its database (templated)
    :param sql_parameters: values for the query, as its driver takes them: by name, or in order. Those with names go
        to each query that has them in its text, the others to ``sql`` alone. Airflow's UI shows them (templated)
    :param lists: column to a second query that returns a key, named as the column of ``sql`` that it is compared
        with, and a value: the values of a key become a list, empty where there are none. Not with ``watermark``
        (templated)
    :param watermark: column of ``sql`` that each change of a row raises: a moment, a date, a whole number, a
        decimal or a text of ISO 8601, and never NULL. A value in the future does not count
    :param watermark_overlap: how far before the greatest value that was seen the next run reads again, for changes
        that were committed late; a number where the column holds numbers
    :param changes_sql: what to ask for instead of ``sql`` wrapped in a condition, with a place for the value of the
        watermark as the last one, for databases in which ``sql`` cannot be wrapped (templated)
    :param ids_sql: returns the ids of all rows that ``sql`` returns, as the columns that the mapping's
        ``document_id`` needs, or ``documentId``: what is missing there was deleted (templated)
    :param soft_delete: column of ``sql`` that marks a row as deleted: true, 1, or a moment or date. Such rows are
        left out, and the column is not sent
    :param full: whether to read everything this time, whatever ``watermark`` tells (templated)
    :return: URIs of the parts, in order; lists of them where there are more than Airflow maps over
        (``[core] max_map_length``)
    """

    documentation = "https://docs.coveo.com/en/78/"
    template_fields: Sequence[str] = (
        "source",
        "output_uri",
        "state",
        "sql",
        "sql_conn_id",
        "sql_parameters",
        "lists",
        "changes_sql",
        "ids_sql",
        "full",
        "content_roots",
        "mapping_uri",
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "sql": "sql",
        "changes_sql": "sql",
        "ids_sql": "sql",
        "lists": "json",
        "sql_parameters": "json",
    }

    def __init__(
        self,
        *,
        output: str | XComArg,
        source: str | Sequence[str | XComArg] | XComArg | None = None,
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
        content_roots: str | Sequence[str] | None = None,
        sql: str | None = None,
        sql_conn_id: str | None = None,
        sql_parameters: Mapping[str, Any] | Sequence[Any] | None = None,
        lists: Mapping[str, str] | None = None,
        watermark: str | None = None,
        watermark_overlap: timedelta | int | float | Decimal = OVERLAP,
        changes_sql: str | None = None,
        ids_sql: str | None = None,
        soft_delete: str | None = None,
        full: bool | str | XComArg = False,
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
        self.content_roots = content_roots
        self.sql = sql
        self.sql_conn_id = sql_conn_id
        self.sql_parameters = sql_parameters
        self.lists = lists
        self.watermark = watermark
        self.watermark_overlap = watermark_overlap
        self.changes_sql = changes_sql
        self.ids_sql = ids_sql
        self.soft_delete = soft_delete
        self.full: Any = full
        self._reads: Extract | None = None

    def act(self, context: Context) -> list[str] | list[list[str]]:
        """Read, transform, check and write batch by batch, then complete the manifest."""
        self._reads = extract = self._extract()
        folder, manifest = extract.write(self.output_uri)
        self.lineage = self.told(lambda: Lineage(extract.data_read(), [data_written(str(folder), manifest)]))
        return mappable([str(folder / part.name) for part in manifest.parts])

    def on_kill(self) -> None:
        """Ask the database to break off a query that nobody waits for any more, and end the task."""
        if self._reads is not None:
            self._reads.cancel()
        super().on_kill()

    def get_openlineage_facets_on_start(self) -> Any:
        """Return what the task is about to read and write."""
        planned = self.told(lambda: Lineage(self._extract().data_read(), [data_at(str(self.output_uri))]))
        return as_openlineage(planned)

    def _extract(self) -> Extract:
        if self.mapping_uri is not None:
            self.mapping = mapping_at(str(self.mapping_uri))
        recipe = Recipe(
            self.mapping,
            self.transform,
            self.kind,
            self.stream,
            self.part_bytes,
            self.content_stamp,
            checked_roots(self.content_roots, "content_roots"),
        )
        if (self.source is None) is (self.sql is None):
            raise ConfigurationError(
                "give either source, the URIs of files, or sql, a query; "
                + ("there is neither" if self.sql is None else "there are both")
            )
        if self.sql is not None:
            self._refuse_options_of("files", _OF_FILES)
            return QueryExtract(
                recipe,
                self._queries(),
                self.log,
                batch_rows=self.batch_rows,
                state=self.state,
                full=self.full,
            )
        self._refuse_options_of("sql", _OF_QUERIES)
        return FileExtract(
            recipe,
            self.source,
            self.log,
            batch_rows=self.batch_rows,
            file_format=self.file_format,
            csv={
                "dtypes": self.dtypes,
                "separator": self.csv_separator,
                "encoding": self.csv_encoding,
                "quote": self.csv_quote,
                "escape": self.csv_escape,
            },
            json_records=self.json_records,
            state=self.state,
        )

    def _queries(self) -> Queries:
        return Queries(
            conn_id=self.sql_conn_id,
            sql=self.sql,
            parameters=self.sql_parameters,
            lists=self.lists,
            watermark=self.watermark,
            overlap=self.watermark_overlap,
            changes=self.changes_sql,
            ids=self.ids_sql,
            soft_delete=self.soft_delete,
        )

    def _refuse_options_of(self, what: str, defaults: Mapping[str, Any]) -> None:
        """Refuse options that say nothing about what is read, rather than pass over them."""
        given = [name for name, default in defaults.items() if getattr(self, name) != default]
        if given:
            read = "a query is read" if what == "files" else "files are read"
            raise ConfigurationError(f"{given[0]} is an option of {what}, and {read}: leave it out")


_OF_FILES = {
    **dict.fromkeys(("file_format", "dtypes", "csv_separator", "csv_encoding", "csv_escape", "json_records")),
    "csv_quote": AUTO,
}
_OF_QUERIES = {
    **dict.fromkeys(
        ("sql_conn_id", "sql_parameters", "lists", "watermark", "changes_sql", "ids_sql", "soft_delete")
    ),
    "watermark_overlap": OVERLAP,
}

"""
The result of a query, made into a dataset: read whole, or as what changed since the last load that was verified.

The latter is a whole dataset, too: the rows of the former one, but for those that changed or are gone, and the rows
that were read. So whatever follows (comparison, plan, guards, verification, roll-back) is the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from reprlib import repr as brief
from typing import TYPE_CHECKING, Any

from airflow.sdk import ObjectStoragePath

from coveo_provider.documents.contract import counted
from coveo_provider.documents.dataset.manifest import DatasetKind, Manifest
from coveo_provider.documents.extracts.fingerprint import fingerprint
from coveo_provider.documents.uris import shown_uri
from coveo_provider.errors import ConfigurationError, DatasetError
from coveo_provider.operators.support.databases import (
    Database,
    database_of,
    parameters_for,
    place_of,
    stripped,
    with_value,
)
from coveo_provider.operators.support.dataset_writing import Recipe
from coveo_provider.operators.support.datasets import remembered_dataset
from coveo_provider.operators.support.lineage import Data
from coveo_provider.operators.support.output_folders import is_same_folder, prepared_output
from coveo_provider.operators.support.states import state_at
from coveo_provider.operators.support.storage import open_file
from coveo_provider.operators.support.values import truth
from coveo_provider.scratch import ScratchFolder

if TYPE_CHECKING:
    from coveo_provider.documents.changes.datasets import WrittenDataset
    from coveo_provider.documents.changes.succession import Kept, Succession
    from coveo_provider.documents.dataset.part_writer import PartWriter
    from coveo_provider.documents.extracts.list_columns import ListColumns
    from coveo_provider.documents.extracts.readers import Batch
    from coveo_provider.documents.extracts.watermarks import Overlap, Watermark

OVERLAP = timedelta(minutes=10)


@dataclass(frozen=True)
class Queries:
    """
    What to ask a database for, as :class:`~coveo_provider.operators.transform.CoveoTransformOperator` is given it.

    :raises ConfigurationError: an argument is wrong, or does not go with another
    """

    conn_id: Any
    sql: Any
    parameters: Any = None
    lists: Any = None
    watermark: Any = None
    overlap: Overlap = OVERLAP
    changes: Any = None
    ids: Any = None
    soft_delete: Any = None

    def __post_init__(self) -> None:
        for name, query in (("sql", self.sql), ("changes_sql", self.changes), ("ids_sql", self.ids)):
            if query is not None and (not isinstance(query, str) or not stripped(query)):
                raise ConfigurationError(f"{name} must be the text of a query, not {brief(query)}")
        for name, column in (("watermark", self.watermark), ("soft_delete", self.soft_delete)):
            if column is not None and (not isinstance(column, str) or not column.strip()):
                raise ConfigurationError(f"{name} must be the name of a column, not {brief(column)}")
        if not _are_parameters(self.parameters):
            raise ConfigurationError(
                "sql_parameters must be a mapping of names to values, or a list of values, as the driver takes "
                f"them, not {type(self.parameters).__name__}"
            )
        if self.lists is not None and not _are_queries(self.lists):
            raise ConfigurationError(
                "lists must be a mapping of columns to queries of a key and a value, such as "
                f"lists={{'allowed_groups': '…'}}, not {brief(self.lists)}"
            )
        if self.watermark is None:
            for name, query in (("ids_sql", self.ids), ("changes_sql", self.changes)):
                if query is not None:
                    raise ConfigurationError(
                        f"{name} is for reading what changed: give watermark, the column that tells it. A whole "
                        "read needs none"
                    )
        elif self.lists:
            raise ConfigurationError(
                "lists do not go with watermark: a value that is added to a list, or leaves it, does not move the "
                "watermark of the row, and would be overlooked. Join and aggregate them in sql, and let the newest "
                "of both times be the column of the watermark"
            )
        least = timedelta(0) if isinstance(self.overlap, timedelta) else 0
        if isinstance(self.overlap, bool) or not isinstance(self.overlap, (timedelta, int, float, Decimal)):
            raise ConfigurationError(
                f"watermark_overlap must be a timedelta, or a number for a column of numbers, not {self.overlap!r}"
            )
        if self.overlap == float("inf"):
            raise ConfigurationError("watermark_overlap has no end: give full=True to read everything")
        if not self.overlap >= least:  # type: ignore[operator]
            raise ConfigurationError(
                f"watermark_overlap must not be less than nothing, and is {self.overlap}"
            )

    def fingerprint(self) -> str:
        """Return what tells these rows from those of another query, or of the same in another database."""
        return fingerprint(
            self.conn_id,
            database_of(str(self.conn_id)),
            stripped(self.sql),
            self.parameters,
            self.watermark,
            self.soft_delete,
        )


class QueryExtract:
    """
    The rows of a query.

    :param recipe: what becomes of them
    :param state: URI of the folder that remembers the last load that was verified
    :param full: whether to read everything in any case
    :param log: of the task
    """

    def __init__(
        self, recipe: Recipe, queries: Queries, log: Any, *, batch_rows: int, state: Any, full: Any
    ) -> None:
        self._recipe, self._queries, self._log = recipe, queries, log
        self._state, self._full = state, truth(full, "full")
        self._batch_rows = batch_rows
        self._database: Database | None = None
        if isinstance(batch_rows, bool) or not isinstance(batch_rows, int) or batch_rows < 1:
            raise ConfigurationError(f"batch_rows must be a whole number, 1 or more, not {batch_rows!r}")
        if queries.watermark is not None and recipe.kind != DatasetKind.DOCUMENTS.value:
            raise ConfigurationError(f"watermark is for documents, not for {recipe.kind}")
        if queries.watermark is not None and state is None:
            raise ConfigurationError(
                "watermark needs state, the URI of the folder that remembers what was loaded and verified: the one "
                "that CoveoDiffOperator and CoveoFinalizeOperator are given. A task group with a state gives it to "
                "the task whose output it gets"
            )

    def write(self, output: Any) -> tuple[ObjectStoragePath, Manifest]:
        """Read what changed, or everything, and write a whole dataset."""
        base = self._base(output)
        manifest = self._recipe.manifest()
        with Database(self._queries.conn_id) as database:
            self._database = database
            if base is not None:
                folder = prepared_output(output, manifest)
                try:
                    return folder, self._write_successor(database, folder, manifest, base)
                except _Unseen as unseen:
                    self._log.warning(
                        "ids_sql names %s that neither the last verified load has nor the rows that changed since. "
                        "So something changed that %r does not tell, such as a row that was restored: everything "
                        "is read. If it is so each time, ids_sql has other conditions than sql, or spells ids "
                        "otherwise",
                        counted(unseen.count, "id"),
                        self._queries.watermark,
                    )
                except _Unlike as why:
                    self._log.warning("Everything is read: %s", why)
                    database.begin_again()
            folder = prepared_output(output, manifest)
            return folder, self._write_whole(database, folder, manifest)

    def data_read(self) -> Sequence[Data]:
        """Return the database, and a name of the query, of which only a fingerprint is told."""
        namespace, name = place_of(str(self._queries.conn_id))
        print_of = fingerprint(stripped(str(self._queries.sql)))[:12]
        return (Data(namespace, f"{name}.query-{print_of}".lstrip(".")),)

    def cancel(self) -> None:
        """Ask the database to break off the query."""
        if self._database is not None:
            self._database.cancel()

    def _write_whole(self, database: Database, folder: ObjectStoragePath, manifest: Manifest) -> Manifest:
        from coveo_provider.documents.extracts.list_columns import ListColumns

        sql = stripped(self._queries.sql)
        reading = _Reading(self._recipe, self._queries)
        rows = self._rows(database, sql, parameters_for(sql, self._queries.parameters, is_main=True), "sql")
        with (
            ScratchFolder("lists") as scratch,
            ListColumns(Path(scratch)) as lists,
        ):
            self._read_lists(database, lists)
            return self._recipe.write(
                folder,
                manifest,
                lists.joined(reading.rows(rows)) if self._queries.lists else reading.rows(rows),
                self._log,
                empty="sql: the query returns",
                found=lambda: self._found(reading),
                finish=reading.finish,
            )

    def _write_successor(
        self, database: Database, folder: ObjectStoragePath, manifest: Manifest, base: WrittenDataset
    ) -> Manifest:
        from coveo_provider.documents.changes.succession import Succession, add_kept
        from coveo_provider.documents.extracts.watermarks import since

        queries, entry = self._queries, base.manifest.watermark
        assert entry is not None  # noqa: S101  or it would be no base
        value = since(entry, queries.overlap)
        with ScratchFolder("rows") as scratch:
            succession = Succession(base, Path(scratch), counts_all=queries.ids is not None)
            self._read_ids(
                database, succession
            )  # first: a row that comes meanwhile is among the changes then
            reading = _Reading(self._recipe, queries, succession, base)

            def add_rest(writer: PartWriter) -> None:
                reading.refuse_missing()
                if reading.watermark is not None and reading.watermark.went_back:
                    raise _Unlike(
                        f"the greatest value of {queries.watermark!r} was {entry.value} and is less now. The row "
                        "that had it was deleted, or the table is that of a backup, of which no value tells more"
                    )
                _refuse_other_columns(entry.columns, self._columns())
                try:
                    kept = succession.kept()
                    if kept.unseen:
                        raise _Unseen(kept.unseen)
                    taken = add_kept(writer, base, kept, _open, least_bytes=self._recipe.part_bytes // 2)
                except DatasetError as error:
                    raise _Unlike(f"what was read does not go with the last verified load: {error}") from None
                self._say(base, kept, taken, reading)

            self._log.info(
                "Reading what changed: %s from %s on, as the last verified load had read to %s, in %s",
                queries.watermark,
                value,
                entry.value,
                shown_uri(base.manifest_uri),
            )
            if queries.ids is None and queries.soft_delete is None:
                self._log.info(
                    "Rows that were deleted are not seen by this run: give ids_sql or soft_delete, or let a run "
                    "read everything now and then (full)"
                )
            return self._recipe.write(
                folder,
                manifest,
                reading.rows(self._changes(database, value)),
                self._log,
                empty="sql: after what changed, the table has",
                found=lambda: self._found(reading),
                finish=reading.finish,
                add_rest=add_rest,
            )

    def _say(self, base: WrittenDataset, kept: Kept, taken: int, reading: _Reading) -> None:
        self._log.info(
            "Of %s of the last verified load, %s were read again or marked as deleted, and %s are gone; %s read; "
            "%s of %s taken as they were",
            counted(base.manifest.rows, "document"),
            f"{kept.replaced:,}",
            f"{kept.gone:,}",
            counted(reading.count, "row"),
            f"{taken:,}",
            counted(len(base.manifest.parts), "part"),
        )

    def _changes(self, database: Database, value: Any) -> Iterator[Batch]:
        queries = self._queries
        if queries.changes is not None:
            sql = stripped(queries.changes)
            parameters = with_value(parameters_for(sql, queries.parameters, is_main=True), value)
            return self._rows(database, sql, parameters, "changes_sql")
        sql = stripped(queries.sql)
        given = parameters_for(sql, queries.parameters, is_main=True)
        sql, parameters = database.changes(sql, queries.watermark, given, value)
        return _begun(self._rows(database, sql, parameters, "sql"))

    def _rows(self, database: Database, sql: str, parameters: Any, name: str) -> Iterator[Batch]:
        mapping = self._recipe.mapping
        spelled = () if mapping is None or self._recipe.transform is not None else mapping.spelled()
        return database.batches(sql, parameters, name, batch_rows=self._batch_rows, spelled=spelled)

    def _read_ids(self, database: Database, succession: Succession) -> None:
        from coveo_provider.documents.extracts.deleted_rows import ids_of

        if self._queries.ids is None:
            return
        sql = stripped(self._queries.ids)
        for batch in self._rows(
            database, sql, parameters_for(sql, self._queries.parameters, is_main=False), "ids_sql"
        ):
            succession.add_there(ids_of(batch, self._recipe.mapping, None))
        if not succession.ids:
            raise DatasetError(
                "ids_sql: the query returns no ids, which would empty the index: has the table been emptied, or is "
                "a condition wrong? To empty it on purpose, delete what the source holds"
            )

    def _read_lists(self, database: Database, lists: ListColumns) -> None:
        for column, query in (self._queries.lists or {}).items():
            sql = stripped(query)
            parameters = parameters_for(sql, self._queries.parameters, is_main=False)
            lists.add(column, self._rows(database, sql, parameters, f"lists[{column!r}]"))

    def _found(self, reading: _Reading) -> dict[str, Any]:
        mark = reading.watermark
        if mark is None:
            return {}
        reading.refuse_missing()
        if warning := mark.warning():
            self._log.warning("%s", warning)
        return {"watermark": mark.entry(self._queries.fingerprint(), self._columns())}

    def _columns(self) -> tuple[str, ...]:
        """Return the columns of what was read, without types where it has a query of its own (``changes_sql``)."""
        assert self._database is not None  # noqa: S101  it was read
        columns = self._database.columns
        if "changes_sql" not in columns:
            return columns.get("sql", ())
        return tuple(column.partition("\n")[0] for column in columns["changes_sql"])

    def _base(self, output: Any) -> WrittenDataset | None:
        """Return the dataset of the last verified load, if what changed since can be read; the log says why not."""
        if self._queries.watermark is None:
            return None
        try:
            return self._found_base(output)
        except _WholeRead as why:
            self._log.info("Everything is read: %s", why)
        except DatasetError as why:
            self._log.warning("Everything is read: %s", why)
        return None

    def _found_base(self, output: Any) -> WrittenDataset:
        from coveo_provider.documents.dataset.content_hash import HASH_VERSION
        from coveo_provider.documents.extracts.watermarks import check_overlap

        if self._full:
            raise _WholeRead("it was asked for (full)")
        last = state_at(self._state).last()
        if last is None:
            raise _WholeRead("no earlier load was verified yet")
        if last.hash_version != HASH_VERSION:
            raise _WholeRead("the last load was made by another version of airflow-provider-coveo")
        wanted = self._recipe.manifest()
        same = [record for record in last.datasets if record.mapping == wanted.mapping]
        if not same:
            raise _WholeRead("the mapping or function is another one than that of the last verified load")
        faults: list[DatasetError] = []
        for record in same:
            try:
                dataset = remembered_dataset(record)
            except DatasetError as error:
                faults.append(error)
                continue
            entry = dataset.manifest.watermark
            if entry is None or entry.query != self._queries.fingerprint():
                continue
            try:
                check_overlap(self._queries.overlap, entry.kind)
            except ConfigurationError:  # said of what is read, if it is wrong there
                raise _WholeRead("the watermark was of another kind than watermark_overlap is for") from None
            if dataset.manifest.api != wanted.api:
                raise _WholeRead("the last verified load was made for the other kind of source (stream)")
            if is_same_folder(dataset.folder, output):
                raise DatasetError(
                    f"output {shown_uri(str(output))} is the folder of the dataset that was verified last, and "
                    "cannot be read while it is written. That is so when a task is cleared after its load; "
                    "otherwise give each run a folder of its own: output='…/{{ run_id }}/documents'"
                )
            return dataset
        if faults:
            raise DatasetError(f"of the last verified load, {faults[0]}")
        raise _WholeRead(
            "the query, its parameters, connection, watermark or soft_delete are others than those of the last "
            "verified load, or its watermark had no value that counts"
        )


class _Reading:
    """What the rows of a query say as they pass: how far they go, which are deleted, and what becomes of them."""

    def __init__(
        self,
        recipe: Recipe,
        queries: Queries,
        succession: Succession | None = None,
        base: WrittenDataset | None = None,
    ) -> None:
        self._recipe, self._queries, self._succession = recipe, queries, succession
        self.count = 0
        self.watermark: Watermark | None = None
        if queries.watermark is not None:
            from coveo_provider.documents.extracts.watermarks import Watermark

            former = None if base is None else base.manifest.watermark
            self.watermark = Watermark(
                queries.watermark, queries.overlap, datetime.now(tz=timezone.utc), former
            )

    def rows(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Return the rows that are not marked as deleted."""
        from coveo_provider.documents.extracts.deleted_rows import ids_of, parted

        left = 0
        for batch in batches:
            self.count += len(batch.rows)
            if self.watermark is not None:
                self._look(self.watermark, batch)
            if self._queries.soft_delete is None:
                yield batch
                continue
            live, deleted = parted(batch, self._queries.soft_delete, left)
            if len(deleted.rows) and self._succession is not None:
                self._succession.add_read(ids_of(deleted, self._recipe.mapping, self._recipe.transform))
            left += len(live.rows)
            if len(live.rows):
                yield live

    def _look(self, mark: Watermark, batch: Batch) -> None:
        from coveo_provider.documents.extracts.queries import column_of

        try:
            mark.look(column_of(batch.rows, mark.column, batch.where, "watermark"), batch.where)
        except DatasetError as error:
            if self._succession is None:
                raise
            raise _Unlike(
                str(error)
            ) from None  # of another type or shape than before, which may be that of all rows

    def finish(self, batch: Batch, documents: Any) -> Any:
        """Take note of the ids that rows got; each row has to be one document for that."""
        if self.watermark is None:
            return documents
        if len(documents) != len(batch.rows):
            raise DatasetError(
                f"{batch.where}: the function given as transform made {counted(len(documents), 'document')} of "
                f"{counted(len(batch.rows), 'row')}. With watermark each row is one document, or one that is left "
                "out after a change would stay in the index: write a condition into sql (and ids_sql) instead"
            )
        if self._succession is not None:
            self._succession.add_read(documents)
        return documents

    def refuse_missing(self) -> None:
        if self.watermark is not None:
            self.watermark.refuse_missing()


class _WholeRead(Exception):
    """Why everything is read."""


class _Unlike(Exception):
    """Why the last verified load cannot be the base of what was read."""


class _Unseen(Exception):
    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.count = count


def _begun(rows: Iterator[Batch]) -> Iterator[Batch]:
    """Return rows of what changed; all are read where the database refuses to compare, as of another type."""
    try:
        first = next(rows, None)
    except DatasetError as error:
        raise _Unlike(f"what changed cannot be asked for: {error}") from None
    if first is not None:
        yield first
        yield from rows


def _refuse_other_columns(former: Sequence[str], columns: Sequence[str]) -> None:
    """
    Refuse rows of other columns than the rows that would be kept have.

    Types count where both sides tell them.
    """
    if not former or not columns:
        return
    if not all("\n" in column for column in (*former, *columns)):
        former, columns = ([one.partition("\n")[0] for one in side] for side in (former, columns))
    if other := sorted({one.partition("\n")[0] for one in {*former} ^ {*columns}}):
        raise _Unlike(
            f"the query has other columns than in the last verified load, or of another type: "
            f"{', '.join(other[:5])}. Rows that did not change have these, too"
        )


def _open(path: Any, entry: Any = None) -> Any:
    return open_file(str(path), entry)


def _are_queries(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(text, str) and text.strip() for pair in value.items() for text in pair
    )


def _are_parameters(value: Any) -> bool:
    return value is None or isinstance(value, (Mapping, list, tuple))

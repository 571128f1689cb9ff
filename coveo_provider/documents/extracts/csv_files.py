"""
CSV files → Arrow tables whose types lose nothing.

All files are read twice: to find the type of each column over all of them, and what in them has no clear meaning;
and then in these types. Empty means missing; ``NA`` and ``null`` are texts.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from typing import IO, Any, NoReturn, cast

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv

from coveo_provider.documents.contract import MIB
from coveo_provider.documents.extracts.csv_checks import NO_VALUE, QuoteCheck
from coveo_provider.documents.extracts.csv_dialects import (
    HOW,
    Dialect,
    line_of_byte,
    numbered_rows,
    undecodable,
)
from coveo_provider.documents.extracts.csv_guesses import Guess
from coveo_provider.documents.extracts.csv_headers import (
    compared,
    header_of,
    marked_separator,
    refuse_foreign,
)
from coveo_provider.documents.extracts.csv_options import AUTO, TEXT, ColumnTypes
from coveo_provider.documents.extracts.csv_streams import ReadAhead, buffered, to_utf8, without_nulls
from coveo_provider.documents.extracts.csv_types import arrow_type, converted, type_name
from coveo_provider.documents.extracts.source_files import GZ, SourceFile, rows_named
from coveo_provider.errors import ConfigurationError, DatasetError

_BLOCK = MIB  # read at once; Arrow holds up to 32 of them, and each row has to fit into one
_LONGEST_ROW = 64 * MIB


class CsvFiles:
    """
    The files of one extract, read as one table.

    :param files: all of them, each with the same header
    :param separator: between values; a comma, or a tab in ``.tsv``, when ``None``
    :param quote: what encloses values; ``None`` when nothing does
    :param escape: what takes the meaning of the next character; ``None`` when nothing does
    :param encoding: of the files; UTF-8 when ``None``
    :param dtypes: types of columns, as pandas names them, instead of finding out
    :param types: those of an earlier load; takes those that are found
    """

    def __init__(
        self,
        files: Sequence[SourceFile],
        *,
        separator: str | None = None,
        quote: str | None = AUTO,
        escape: str | None = None,
        encoding: str | None = None,
        dtypes: Mapping[str, Any] | None = None,
        types: ColumnTypes | None = None,
    ) -> None:
        self._files = files
        self._separator = separator
        self._quote = quote
        self._escape = escape
        self._encoding = codecs.lookup(encoding or "utf-8").name.removesuffix("-sig")
        self._blocks = dict.fromkeys((file.name for file in files), _BLOCK)
        self._dialects: dict[str, Dialect] = {}
        self._dtypes = {name: arrow_type(name, dtype) for name, dtype in (dtypes or {}).items()}
        self._types = types or ColumnTypes()

    def tables(self) -> Iterator[tuple[SourceFile, pa.Table]]:
        """
        Return the rows of all files, in tables of bounded size.

        :raises DatasetError: a file has no header or another one, a row has too many or too few values, a quote has
            no clear meaning, a value is not of the type given for its column, or found for it in an earlier load
        :raises ConfigurationError: a type is given for a column that is not there
        """
        header, types = self._survey()
        for file in self._files:
            row = 0
            for table in self._texts(file, header):
                place = f"{file.name}, {rows_named(row, table.num_rows)}"
                yield (
                    file,
                    pa.table({name: converted(table[name], types[name], name, place) for name in header}),
                )
                row += table.num_rows

    def _survey(self) -> tuple[list[str], dict[str, pa.DataType]]:
        """Return the header of all files, and the type of each column over all of them."""
        header: list[str] = []
        guesses: dict[str, Guess] = {}
        for number, file in enumerate(self._files):
            own = self._header(file)
            if not number:
                header = own
                self._refuse_unknown(header, file)
                guesses = {
                    name: Guess(self._types.kept.get(name), spelled=name in self._types.spelled)
                    for name in header
                    if name not in self._dtypes
                }
            elif problem := compared(self._files[0].name, header, file.name, own):
                raise DatasetError(problem)
            while not self._looked_through(file, header, guesses):
                self._blocks[file.name] *= 4
        found = {name: guess.type for name, guess in guesses.items()}
        declared = {name: type_name(dtype) for name, dtype in self._dtypes.items()}
        self._types.found = {name: kind for name, kind in {**found, **declared}.items() if kind is not None}
        self._types.declared = set(declared)
        return header, {
            **{name: arrow_type(name, kind or TEXT) for name, kind in found.items()},
            **self._dtypes,
        }

    def _looked_through(self, file: SourceFile, header: list[str], guesses: Mapping[str, Guess]) -> bool:
        """Look at all rows of a file; return whether each fits into a block, as otherwise not all were seen."""
        check = QuoteCheck(self._dialects[file.name], len(header))
        rows = 0
        try:
            for table in self._texts(file, header, check):
                for name, guess in guesses.items():
                    values = pl.Series(table[name])
                    misfit = guess.look(values)
                    if misfit is not None:
                        self._refuse_misfit(file, rows + misfit, name, values[misfit])
                rows += table.num_rows
        except _RowTooLong:
            if self._blocks[file.name] < _LONGEST_ROW:
                return False
            where = (
                ""
                if check.opened is None
                else f" One opens in line {self._line_at(file, check.opened):,}. Give {HOW}"
            )
            raise DatasetError(
                f"{file.name}: a row has more than {_LONGEST_ROW:,} bytes. Is a quote missing that ends a value?"
                + where
            ) from None
        return True

    def _refuse_misfit(self, file: SourceFile, row: int, name: str, value: str) -> NoReturn:
        kept = self._types.kept[name]
        line = self._line_of(file, row)
        raise DatasetError(
            f"{file.name}, {line}: column {name!r} holds {value[:100]!r}, and it was of {kept} in the last load. "
            "Another type would change the column in every document, so nothing is sent. If the value is right, "
            f"give dtypes={{{name!r}: 'string'}} for texts as they stand"
            + (f", or dtypes={{{name!r}: 'float64'}} for numbers" if _is_number(value) else "")
            + ": what changes by that is sent anew once"
        )

    def _refuse_unknown(self, header: list[str], file: SourceFile) -> None:
        unknown = [name for name in self._dtypes if name not in header]
        if unknown:
            raise ConfigurationError(
                f"dtypes names column {unknown[0]!r}, which {file.name} does not have; its columns are: "
                f"{', '.join(header)}"
            )

    def _header(self, file: SourceFile) -> list[str]:
        with file.text() as stream:
            refuse_foreign(file.name, stream.read(4), self._encoding)
        try:
            with self._opened(file) as stream:
                return header_of(file.name, stream, self._dialects[file.name])
        except (csv.Error, UnicodeError) as error:
            self._refuse_unreadable(file, error)

    def _texts(
        self, file: SourceFile, header: list[str], check: QuoteCheck | None = None
    ) -> Iterator[pa.Table]:
        """Return a file's rows with every value as text."""
        dialect = self._dialects[file.name]
        try:
            with ExitStack() as stack:
                seen = [] if check is None else [check.look]
                filled = [] if dialect.escape is None else [without_nulls(dialect)]
                stream = buffered(stack.enter_context(self._opened(file)), *seen, *filled)
                reader = pc_csv.open_csv(
                    pa.PythonFile(stack.enter_context(ReadAhead(stream)), mode="r"),
                    read_options=pc_csv.ReadOptions(use_threads=False, block_size=self._blocks[file.name]),
                    parse_options=dialect.for_arrow(),
                    convert_options=pc_csv.ConvertOptions(
                        column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
                    ),
                )
                if reader.schema.names != header:
                    raise DatasetError(f"{file.name}: the header changed while the file was read")
                for batch in reader:
                    if check is not None and check.fault is not None:
                        break
                    if len(batch):
                        table = pa.Table.from_batches([batch])
                        yield table if dialect.escape is None else _emptied(table)
            self._refuse_fault(file, check)
        except (pa.ArrowException, UnicodeError) as error:
            if "straddl" in str(error) and (check is None or not check.fault or check.opened is not None):
                raise _RowTooLong from None
            self._refuse_fault(file, check)
            if "columns, got" in str(error):
                self._refuse_ragged(file, len(header))
            self._refuse_unreadable(file, error)

    def _refuse_fault(self, file: SourceFile, check: QuoteCheck | None) -> None:
        if check is not None and (fault := check.fault) is not None:
            line = self._line_at(file, fault.offset)
            raise DatasetError(f"{file.name}: {fault.problem.format(line=f'line {line:,}')}") from None

    def _refuse_ragged(self, file: SourceFile, columns: int) -> None:
        """Name the first row with too many or too few values."""
        dialect = self._dialects[file.name]
        cure = "A value that holds the separator or a line end must stand in quotes"
        if dialect.quote is None:
            cure = "Nothing encloses values here" + ("" if dialect.told else f". Give {HOW}")
        if columns == 1:
            cure += ", and csv_separator names a separator other than this one"
        with self._opened(file) as stream, suppress(csv.Error):
            for line, row in numbered_rows(dialect, stream):
                if len(row) != columns:
                    raise DatasetError(
                        f"{file.name}: line {line:,} has {len(row)} values, and the header {columns} columns. "
                        + cure
                    ) from None

    def _refuse_unreadable(self, file: SourceFile, error: Exception) -> NoReturn:
        problem = str(error)
        if self._encoding == "utf-8":
            with self._opened(file) as stream:
                offset = undecodable(stream)
            if offset is not None:
                problem = f"line {self._line_at(file, offset):,} holds a byte that is invalid UTF8"
        raise DatasetError(
            f"{file.name}: cannot be read as CSV: {problem}. It is read as {self._encoding}; another encoding is "
            "named by csv_encoding, such as csv_encoding='cp1252'"
        ) from None

    def _line_of(self, file: SourceFile, row: int) -> str:
        """Return the line where a row begins, the first after the header being number 0."""
        with self._opened(file) as stream, suppress(csv.Error):
            for line, _ in islice(numbered_rows(self._dialects[file.name], stream), row + 1, None):
                return f"line {line:,}"
        return f"row {row:,}"

    def _line_at(self, file: SourceFile, offset: int) -> int:
        with self._opened(file) as stream:
            return line_of_byte(self._dialects[file.name], stream, offset)

    @contextmanager
    def _opened(self, file: SourceFile) -> Iterator[IO[bytes]]:
        """Open a file as UTF-8, after the line in which it names its separator."""
        with file.text() as stream:
            if self._encoding != "utf-8":
                stream = buffered(stream, to_utf8(self._encoding))
            reader = io.BufferedReader(cast("io.BufferedIOBase", stream), MIB)
            marked = marked_separator(reader)
            if file.name not in self._dialects:
                self._dialects[file.name] = self._dialect(file, marked)
            yield reader

    def _dialect(self, file: SourceFile, marked: str | None) -> Dialect:
        tabs = file.name.lower().removesuffix(GZ).endswith(".tsv")
        if marked and self._separator and marked != self._separator:
            raise DatasetError(
                f"{file.name}: its first line says sep={marked}, and csv_separator is {self._separator!r}"
            )
        return Dialect.of(
            self._separator or marked or ("\t" if tabs else ","),
            self._quote,
            self._escape,
            first_line=1 if marked is None else 2,
        )


class _RowTooLong(Exception):
    """A row does not fit into a block."""


def _emptied(table: pa.Table) -> pa.Table:
    """Return texts, of which those are empty that stand for no value."""
    columns = [pc.if_else(pc.equal(column, NO_VALUE.decode()), "", column) for column in table.columns]
    return pa.table(columns, names=table.column_names)


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False

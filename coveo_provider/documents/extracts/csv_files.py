"""
CSV files → Arrow tables whose types lose nothing.

All files are read twice: to find the type of each column over all of them, and then in these types. A column is
one of numbers only when every value could be written from its number again; so ``007``, ``+5`` and a mix of
``1.9`` and ``1.10`` stay texts. Empty means missing; ``NA`` and ``null`` are texts.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, Any, NoReturn

import pyarrow as pa
import pyarrow.csv as pc_csv

from coveo_provider.documents.contract import MIB
from coveo_provider.documents.extracts.csv_guesses import Guess
from coveo_provider.documents.extracts.csv_streams import CountedQuotes, Transcoded
from coveo_provider.documents.extracts.csv_types import arrow_type, converted
from coveo_provider.documents.extracts.source_files import SourceFile, rows_named
from coveo_provider.errors import ConfigurationError, DatasetError

_BLOCK = MIB  # read at once; Arrow holds up to 32 of them, and each row has to fit into one
_LONGEST_ROW = 64 * MIB
_LONGEST_HEADER = 4 * MIB  # characters
_MAX_COLUMNS = 10_000


class CsvFiles:
    """
    The files of one extract, read as one table.

    :param files: all of them, each with the same header
    :param separator: between values; a comma, or a tab in ``.tsv``, when ``None``
    :param encoding: of the files; UTF-8 when ``None``
    :param dtypes: types of columns, as pandas names them, instead of finding out
    """

    def __init__(
        self,
        files: Sequence[SourceFile],
        *,
        separator: str | None = None,
        encoding: str | None = None,
        dtypes: Mapping[str, Any] | None = None,
    ) -> None:
        self._files = files
        self._separator = separator
        self._encoding = encoding or "utf-8"
        self._blocks = dict.fromkeys((file.name for file in files), _BLOCK)
        self._dtypes = {name: arrow_type(name, dtype) for name, dtype in (dtypes or {}).items()}

    def tables(self) -> Iterator[tuple[SourceFile, pa.Table]]:
        """
        Return the rows of all files, in tables of bounded size.

        :raises DatasetError: a file has no header or another one, a row has too many or too few values, a value is
            not of the type given for its column
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
                guesses = {name: Guess() for name in header if name not in self._dtypes}
            elif own != header:
                raise DatasetError(_differing(self._files[0].name, header, file.name, own))
            while not self._looked_through(file, header, guesses):
                self._blocks[file.name] *= 4
        return header, {**{name: guess.type for name, guess in guesses.items()}, **self._dtypes}

    def _looked_through(self, file: SourceFile, header: list[str], guesses: Mapping[str, Guess]) -> bool:
        """Look at all rows of a file; return whether each fits into a block, as otherwise not all were seen."""
        try:
            for table in self._texts(file, header):
                for name, guess in guesses.items():
                    guess.look(table[name])
        except _RowTooLong:
            if self._blocks[file.name] < _LONGEST_ROW:
                return False
            raise DatasetError(
                f"{file.name}: a row has more than {_LONGEST_ROW:,} bytes. Is a quote missing that ends a value?"
            ) from None
        return True

    def _refuse_unknown(self, header: list[str], file: SourceFile) -> None:
        unknown = [name for name in self._dtypes if name not in header]
        if unknown:
            raise ConfigurationError(
                f"dtypes names column {unknown[0]!r}, which {file.name} does not have; its columns are: "
                f"{', '.join(header)}"
            )

    def _header(self, file: SourceFile) -> list[str]:
        with self._opened(file) as stream:
            try:
                text = io.TextIOWrapper(stream, "utf-8-sig", newline="")
                rows = csv.reader(_first_lines(text, file), delimiter=self._separator_of(file))
                header: list[str] = next((row for row in rows if row), [])
                text.detach()
            except (csv.Error, UnicodeError) as error:
                raise DatasetError(f"{file.name}: cannot be read: {error}{self._hint()}") from None
        if not header:
            raise DatasetError(
                f"{file.name}: is empty: not even a header stands there. Did the extract fail?"
            )
        if len(header) > _MAX_COLUMNS:
            raise DatasetError(
                f"{file.name}: has {len(header):,} columns, over the limit of {_MAX_COLUMNS:,}"
            )
        twice = sorted(name for name, times in Counter(header).items() if times > 1)
        if twice:
            raise DatasetError(f"{file.name}: column {twice[0]!r} stands twice in the header")
        return header

    def _texts(self, file: SourceFile, header: list[str]) -> Iterator[pa.Table]:
        """Return a file's rows with every value as text."""
        ragged: list[pc_csv.InvalidRow] = []

        def refuse(row: pc_csv.InvalidRow) -> str:
            ragged.append(row)
            return "error"

        try:
            with ExitStack() as stack:
                stream = stack.enter_context(self._opened(file))
                quotes = stack.enter_context(CountedQuotes(stream))
                reader = pc_csv.open_csv(
                    pa.PythonFile(quotes, mode="r"),
                    read_options=pc_csv.ReadOptions(use_threads=False, block_size=self._blocks[file.name]),
                    parse_options=pc_csv.ParseOptions(
                        delimiter=self._separator_of(file),
                        newlines_in_values=True,
                        invalid_row_handler=refuse,
                    ),
                    convert_options=pc_csv.ConvertOptions(
                        column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
                    ),
                )
                if reader.schema.names != header:
                    raise DatasetError(f"{file.name}: the header changed while the file was read")
                for batch in reader:
                    if len(batch):
                        yield pa.Table.from_batches([batch])
                if quotes.odd:
                    self._refuse_open_quote(file)
        except (pa.ArrowException, UnicodeError) as error:
            if ragged:
                self._refuse_ragged(file, ragged[0])
            if "straddl" in str(error):
                raise _RowTooLong from None
            raise DatasetError(f"{file.name}: cannot be read as CSV: {error}{self._hint()}") from None

    def _refuse_ragged(self, file: SourceFile, row: pc_csv.InvalidRow) -> NoReturn:
        other = (
            ", and csv_separator names a separator other than the comma" if row.expected_columns == 1 else ""
        )
        raise DatasetError(
            f"{file.name}: {self._line_of(file, row.number)} has {row.actual_columns} values, and the header "
            f"{row.expected_columns} columns. A value that holds the separator or a line end must stand in quotes"
            f"{other}"
        ) from None

    def _refuse_open_quote(self, file: SourceFile) -> None:
        """Refuse a file that ends inside quotes: all that follows the opening one would be one value."""
        with self._opened(file) as stream, _long_fields():
            rows = csv.reader(
                io.TextIOWrapper(stream, "utf-8-sig", newline=""),
                delimiter=self._separator_of(file),
                strict=True,
            )
            line = 1
            try:
                for _ in rows:
                    line = rows.line_num + 1
            except csv.Error as error:
                if "unexpected end" in str(error):
                    raise DatasetError(
                        f"{file.name}: a quote opened in line {line:,} is never closed"
                    ) from None

    def _line_of(self, file: SourceFile, number: int | None) -> str:
        """Return the line where a row begins; rows may span lines, and empty lines are no rows."""
        if number is None:
            return "a row"
        with self._opened(file) as stream, _long_fields():
            rows = csv.reader(
                io.TextIOWrapper(stream, "utf-8-sig", newline=""), delimiter=self._separator_of(file)
            )
            line, counted = 1, 0
            for row in rows:
                counted += bool(row)
                if counted == number:
                    return f"line {line:,}"
                line = rows.line_num + 1
        return f"row {number:,}"

    @contextmanager
    def _opened(self, file: SourceFile) -> Iterator[IO[bytes]]:
        """Open a file as UTF-8."""
        with file.text() as stream:
            if codecs.lookup(self._encoding).name in {"utf-8", "utf-8-sig"}:
                yield stream
            else:
                yield io.BufferedReader(Transcoded(stream, self._encoding), MIB)

    def _separator_of(self, file: SourceFile) -> str:
        tabs = file.name.lower().removesuffix(".gz").endswith(".tsv")
        return self._separator or ("\t" if tabs else ",")

    def _hint(self) -> str:
        return f". It is read as {self._encoding}; another encoding is named by csv_encoding"


def _first_lines(text: io.TextIOWrapper, file: SourceFile) -> Iterator[str]:
    """Return the lines of a file as far as a header may reach."""
    left = _LONGEST_HEADER
    while line := text.readline(left + 1):
        left -= len(line)
        if left < 0:
            raise DatasetError(
                f"{file.name}: no header ends within {_LONGEST_HEADER:,} characters. Is a quote missing?"
            )
        yield line


class _RowTooLong(Exception):
    """A row does not fit into a block."""


def _differing(first: str, header: list[str], other: str, names: list[str]) -> str:
    missing = [name for name in header if name not in names]
    more = [name for name in names if name not in header]
    problems = [
        *([f"lacks {', '.join(map(repr, missing))}"] if missing else []),
        *([f"has {', '.join(map(repr, more))} besides"] if more else []),
    ]
    what = " and ".join(problems) or "has the columns in another order"
    return f"{other}: {what}, compared with {first}; the files of one source have the same header"


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let Python's reader take values as long as Arrow's does."""
    former = csv.field_size_limit(_LONGEST_ROW)
    try:
        yield
    finally:
        csv.field_size_limit(former)

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
from dataclasses import dataclass, field
from itertools import islice
from typing import IO, Any, NoReturn

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv

from coveo_provider.documents.contract import MIB
from coveo_provider.documents.extracts.csv_streams import CountedQuotes, Transcoded
from coveo_provider.documents.extracts.csv_types import arrow_type, converted
from coveo_provider.documents.extracts.source_files import SourceFile, rows_named
from coveo_provider.errors import ConfigurationError, DatasetError

_BLOCK = MIB  # read at once; Arrow holds up to 32 of them, and each row has to fit into one
_LONGEST_ROW = 64 * MIB
_LONGEST_HEADER = 4 * MIB  # characters
_MAX_COLUMNS = 10_000

_INTEGER = r"^(?:0|-?[1-9][0-9]{0,18})$"
_DECIMAL = r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?$"
_NEGATIVE_ZERO = r"^-0(?:\.0*)?$"
_DIGITS = 15  # that every 64-bit float keeps
_BOOLEANS = (("true", "false"), ("True", "False"), ("TRUE", "FALSE"))


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
        self._given = {name: arrow_type(name, dtype) for name, dtype in (dtypes or {}).items()}

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
        guesses: dict[str, _Guess] = {}
        for number, file in enumerate(self._files):
            found = self._header(file)
            if not number:
                header = found
                self._refuse_unknown(header, file)
                guesses = {name: _Guess() for name in header if name not in self._given}
            elif found != header:
                raise DatasetError(_differing(self._files[0].name, header, file.name, found))
            while not self._looked_through(file, header, guesses):
                self._blocks[file.name] *= 4
        return header, {**{name: guess.type for name, guess in guesses.items()}, **self._given}

    def _looked_through(self, file: SourceFile, header: list[str], guesses: Mapping[str, _Guess]) -> bool:
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
        unknown = [name for name in self._given if name not in header]
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
            for row in islice(rows, None):
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


@dataclass
class _Guess:
    """What all values of a column so far allow it to be."""

    integer: bool = True
    decimal: bool = True
    booleans: set[tuple[str, str]] = field(default_factory=lambda: set(_BOOLEANS))
    seen: bool = False
    padded: bool = False  # 1.50
    pointed: bool = False  # 5.0
    scales: set[int] = field(default_factory=set)  # numbers of decimals

    @property
    def type(self) -> pa.DataType:
        """The narrowest type that loses nothing."""
        if not self.seen:
            return pa.string()
        if self.integer:
            return pa.int64()
        if self.decimal and self._regular:
            return pa.float64()
        return pa.bool_() if self.booleans else pa.string()

    @property
    def _regular(self) -> bool:
        """
        Whether the numbers tell how they were written.

        All with as many decimals as prices have, or all as short as can be, or as most programs write floats: as
        short as can be, with ``.0`` for none.
        """
        short = not self.padded and not (self.pointed and 0 in self.scales)
        return len(self.scales) == 1 or short

    def look(self, column: pa.ChunkedArray) -> None:
        """Take further values into account."""
        if not (self.integer or self.decimal or self.booleans):
            return
        values = column.filter(pc.not_equal(column, ""))
        if not len(values):
            return
        self.seen = True
        self.integer = self.integer and _all(pc.match_substring_regex(values, _INTEGER)) and _fit(values)
        if self.decimal:
            self._look_at_decimals(values)
        self.booleans = {pair for pair in self.booleans if _all(pc.is_in(values, pa.array(pair)))}

    def _look_at_decimals(self, values: pa.ChunkedArray) -> None:
        self.decimal = _all(pc.match_substring_regex(values, _DECIMAL)) and not _any(
            pc.match_substring_regex(values, _NEGATIVE_ZERO)
        )
        if not self.decimal:
            return
        point = pc.find_substring(values, ".")
        length = pc.utf8_length(values)
        signs = pc.cast(pc.starts_with(values, "-"), pa.int32())
        fractional = pc.greater_equal(point, 0)
        digits = pc.subtract(pc.subtract(length, signs), pc.cast(fractional, pa.int32()))
        self.decimal = pc.max(digits).as_py() <= _DIGITS
        scales = pc.if_else(fractional, pc.subtract(length, pc.add(point, 1)), 0)
        self.scales.update(pc.unique(scales).to_pylist())
        zeros = pc.and_(fractional, pc.ends_with(values, "0"))
        self.padded = self.padded or _any(pc.and_(zeros, pc.greater(scales, 1)))
        self.pointed = self.pointed or _any(pc.and_(zeros, pc.equal(scales, 1)))


def _all(mask: pa.ChunkedArray) -> bool:
    return bool(pc.all(mask).as_py())


def _any(mask: pa.ChunkedArray) -> bool:
    return bool(pc.any(mask).as_py())


def _fit(values: pa.ChunkedArray) -> bool:
    """Return whether whole numbers of up to 19 digits fit into 64 bits."""
    try:
        pc.cast(values, pa.int64())
    except pa.ArrowInvalid:
        return False
    return True


def _differing(first: str, header: list[str], other: str, found: list[str]) -> str:
    missing = [name for name in header if name not in found]
    more = [name for name in found if name not in header]
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

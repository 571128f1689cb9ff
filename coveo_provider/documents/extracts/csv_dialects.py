"""How a CSV file separates, encloses and escapes its values."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import pyarrow.csv as pc_csv

from coveo_provider.documents.contract import MIB
from coveo_provider.documents.extracts.csv_options import AUTO

LONGEST_ROW = 64 * MIB
HOW = "csv_quote='\"' if quotes enclose values in this file, csv_quote=None if they are text"
ENCLOSED = f"in {{line}} a value stands in quotes, which are text in some tab-separated files. Give {HOW}"


@dataclass(frozen=True)
class Dialect:
    """
    What has a meaning in a file besides its texts.

    :param separator: between values
    :param quote: what encloses a value, and is doubled in it; ``None`` when nothing does
    :param escape: what takes the meaning of a quote, separator, line end or escape that follows
    :param told: whether the user said what quotes are
    :param first_line: the line that reading begins with, counted from 1
    """

    separator: str
    quote: str | None
    escape: str | None = None
    told: bool = True
    first_line: int = 1

    @classmethod
    def of(cls, separator: str, quote: str | None, escape: str | None, *, first_line: int) -> Dialect:
        """
        Return the dialect of a file.

        :param quote: ``auto`` where the user did not say: values stand in quotes, but between tabs these are text
        """
        if quote != AUTO:
            return cls(separator, quote, escape, first_line=first_line)
        return cls(separator, None if separator == "\t" else '"', escape, told=False, first_line=first_line)

    def for_arrow(self) -> pc_csv.ParseOptions:
        """Return it as Arrow takes it."""
        return pc_csv.ParseOptions(
            delimiter=self.separator,
            quote_char=self.quote or False,
            double_quote=self.quote is not None,
            escape_char=self.escape or False,
            newlines_in_values=bool(self.quote or self.escape),
        )

    def rows(self, lines: Any) -> Any:
        """Return Python's reader of such rows, which tells their lines."""
        return csv.reader(
            lines,
            delimiter=self.separator,
            quotechar=self.quote,
            quoting=csv.QUOTE_NONE if self.quote is None else csv.QUOTE_MINIMAL,
            escapechar=self.escape,
        )


def numbered_rows(dialect: Dialect, stream: IO[bytes]) -> Iterator[tuple[int, list[str]]]:
    """Return the rows of a file with the line where each begins; rows may span lines, empty lines are no rows."""
    with _long_values():
        rows = dialect.rows(io.TextIOWrapper(stream, "utf-8-sig", newline=""))
        line = dialect.first_line
        for row in rows:
            if row:
                yield line, row
            line = rows.line_num + dialect.first_line


def line_of_byte(dialect: Dialect, stream: IO[bytes], offset: int) -> int:
    """Return the line in which a byte stands, counted from where reading begins."""
    line, last = dialect.first_line, b""
    while offset > 0 and (data := stream.read(min(MIB, offset))):
        offset -= len(data)
        both = last + data
        line += both.count(b"\n") + both.count(b"\r") - both.count(b"\r\n")
        last = data[-1:] if data.endswith(b"\r") else b""
        line -= len(last)  # counted again, with what follows it
    return line + len(last)


def undecodable(stream: IO[bytes]) -> int | None:
    """Return where the first byte stands that is not UTF-8; ``None`` when there is none."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    read = 0
    while True:
        data = stream.read(MIB)
        waiting = len(decoder.getstate()[0])
        try:
            decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            return read - waiting + error.start
        if not data:
            return None
        read += len(data)


@contextmanager
def _long_values() -> Iterator[None]:
    """Let Python's reader take values as long as Arrow's does."""
    former = csv.field_size_limit(LONGEST_ROW)
    try:
        yield
    finally:
        csv.field_size_limit(former)

"""The first bytes and the header of a CSV file: what it is, what it is not, and what its columns are called."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator
from typing import IO

from coveo_provider.documents.extracts.csv_dialects import ENCLOSED, Dialect
from coveo_provider.documents.extracts.source_files import EXCEL
from coveo_provider.errors import DatasetError

_LONGEST_HEADER = 4 * 1024 * 1024  # characters
_MAX_COLUMNS = 10_000
_SEPARATORS = {";": "';'", "\t": "'\\t'", "|": "'|'", ",": "','"}
_MARKED = re.compile(rb"(?:\xef\xbb\xbf)?sep=([\t !#-&*+,./:;^|~-])\r?\n")
_FOREIGN = {
    b"PK\x03\x04": f"is a zip archive, as Excel workbooks are, and no text. {EXCEL}",
    b"\xd0\xcf\x11\xe0": f"is a file of Excel or Word, and no text. {EXCEL}",
    b"PAR1": "is a Parquet file; give file_format='parquet'",
    b"\x1f\x8b": "is packed with gzip, and its name does not end with .gz",
}
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


def refuse_foreign(name: str, first: bytes, encoding: str) -> None:
    """
    Refuse a file that is no text, or not in its encoding.

    :param first: its first bytes, unpacked
    :param encoding: that it is read as
    :raises DatasetError: says what it is
    """
    for mark, problem in _FOREIGN.items():
        if first.startswith(mark):
            raise DatasetError(f"{name}: {problem}")
    if first.startswith(_UTF_16) and encoding == "utf-8":
        raise DatasetError(f"{name}: is UTF-16, and is read as UTF-8; give csv_encoding='utf-16'")


def marked_separator(stream: io.BufferedReader[io.BufferedIOBase]) -> str | None:
    """Read the line ``sep=;`` with which files for Excel may begin, and return the separator it names."""
    mark = _MARKED.match(stream.peek(16))
    if mark is None:
        return None
    stream.read(mark.end())
    return mark[1].decode()


def header_of(name: str, stream: IO[bytes], dialect: Dialect) -> list[str]:
    """
    Return the names of a file's columns.

    :raises DatasetError: there is no header, a column stands twice, or the separator is another one
    :raises UnicodeError: it is not UTF-8
    :raises csv.Error: it cannot be read
    """
    text = io.TextIOWrapper(stream, "utf-8-sig", newline="")
    try:
        header: list[str] = next((row for row in dialect.rows(_first_lines(text, name)) if row), [])
    finally:
        text.detach()
    if not header:
        raise DatasetError(f"{name}: is empty: not even a header stands there. Did the extract fail?")
    texts = header if dialect.quote is None and not dialect.told else ()
    if any(len(text) > 1 and text[0] == text[-1] == '"' for text in texts):
        raise DatasetError(f"{name}: {ENCLOSED.format(line='the header')}")
    if len(header) > _MAX_COLUMNS:
        raise DatasetError(f"{name}: has {len(header):,} columns, over the limit of {_MAX_COLUMNS:,}")
    if len(header) == 1:
        other = next((one for one in _SEPARATORS if one != dialect.separator and one in header[0]), None)
        if other is not None:
            raise DatasetError(
                f"{name}: its only column is called {header[0][:200]!r}. If that is several, give "
                f"csv_separator={_SEPARATORS[other]}"
            )
    twice = sorted(column for column, times in Counter(header).items() if times > 1)
    if twice:
        raise DatasetError(f"{name}: column {twice[0]!r} stands twice in the header")
    return header


def _first_lines(text: io.TextIOWrapper, name: str) -> Iterator[str]:
    """Return the lines of a file as far as a header may reach."""
    left = _LONGEST_HEADER
    while line := text.readline(left + 1):
        left -= len(line)
        if left < 0:
            raise DatasetError(
                f"{name}: no header ends within {_LONGEST_HEADER:,} characters. Is a quote missing?"
            )
        yield line


def compared(first: str, header: list[str], other: str, names: list[str]) -> str | None:
    """Return in what the header of a file differs from that of the first; ``None`` when in nothing."""
    if header == names:
        return None
    missing = [name for name in header if name not in names]
    more = [name for name in names if name not in header]
    problems = [
        *([f"lacks {', '.join(map(repr, missing))}"] if missing else []),
        *([f"has {', '.join(map(repr, more))} besides"] if more else []),
    ]
    what = " and ".join(problems) or "has the columns in another order"
    return f"{other}: {what}, compared with {first}; the files of one source have the same header"

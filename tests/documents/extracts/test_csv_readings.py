"""CSV of every dialect, by property: what arrives is what an independent reading says, or it is refused."""

from __future__ import annotations

import csv
import gzip
import io
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coveo_provider.documents.extracts import csv_files, csv_streams
from coveo_provider.errors import DatasetError
from tests.documents.files import rows

TEXTS = dict.fromkeys(("a", "b", "c"), "string")


class Refused(Exception):
    """The reading below sees no clear meaning."""


def reading(text: str, separator: str, quote: str | None, escape: str | None) -> list[list[str]]:
    """Read a text character by character, as the documentation says."""
    found: list[list[str]] = []
    row: list[str] = []
    value, plain, quoted, closed = "", True, False, False
    at = 0

    def end_value() -> None:
        nonlocal value, plain, closed
        row.append(value)
        value, plain, closed = "", True, False

    def end_row() -> None:
        nonlocal row
        if row or value or not plain or closed:
            end_value()
            found.append(row)
            row = []

    while at < len(text):
        char, following = text[at], text[at + 1 : at + 2]
        at += 1
        if closed and char not in {separator, "\r", "\n"}:
            raise Refused
        if char == escape:
            if following and following in {separator, quote, escape, "\r", "\n"}:
                value += following
                plain = False
            elif following == "N" and not quoted and not value and plain and text[at + 1 : at + 2] in {
                separator, "\r", "\n", "",
            }:  # fmt: skip
                plain = False
            else:
                raise Refused
            at += 1
        elif quoted:
            if char == quote and following == quote:
                value += char
                at += 1
            elif char == quote:
                quoted, closed = False, True
            else:
                value += char
        elif char == quote and plain and not value:
            quoted, plain = True, False
        elif char == separator:
            end_value()
        elif char in "\r\n":
            end_row()
        else:
            value += char
    if quoted:
        raise Refused
    end_row()
    return found


def outcome(text: str, separator: str, quote: str | None, escape: str | None) -> list[list[str]] | None:
    """Return the rows of three texts each, ``None`` when the file has to be refused."""
    try:
        found = reading(text, separator, quote, escape)
    except Refused:
        return None
    return found if all(len(row) == 3 for row in found) else None


def arrives(data: bytes, name: str, **options: Any) -> list[list[str]]:
    """Return what arrives of columns a, b and c, read as texts."""
    return [[row[column] or "" for column in "abc"] for row in rows((name, data), dtypes=TEXTS, **options)]


_SEPARATORS = st.sampled_from([",", ";", "\t", "|"])
_QUOTES = st.sampled_from(['"', '"', "'", None])
_ESCAPES = st.sampled_from([None, None, "\\"])


def _files(separator: str, quote: str | None) -> st.SearchStrategy[str]:
    """Return texts of which many are files of three columns, well written or nearly so."""
    mark = quote or '"'
    signs = st.sampled_from([separator, mark, mark * 2, "\n", "\r", "\\", "\\N", "N", "x", "é", " "])
    piece = st.lists(signs, max_size=4).map("".join)
    plain = st.sampled_from(["", "x", "5" + mark, "\\N", "\\" + mark, "\\\\", "\\" + separator, "\\\n", "é"])
    quoted = piece.map(lambda text: mark + text.replace(mark, mark * 2) + mark)
    cell = st.one_of(plain, plain, quoted, quoted, piece)
    row = st.lists(cell, min_size=3, max_size=3).map(separator.join)
    ends = st.sampled_from(["\n", "\n", "\r\n", "\r", "\n\n"])
    lines = st.lists(st.tuples(row, ends).map("".join), max_size=5).map("".join)
    return st.tuples(ends, lines, st.one_of(st.just(""), row)).map(
        lambda parts: separator.join("abc") + "".join(parts)
    )


@given(st.data(), _SEPARATORS, _QUOTES, _ESCAPES, st.sampled_from([1, 3, 16, 4096]))
@settings(deadline=None, max_examples=400)
def test_any_text_is_read_as_its_dialect_says_or_refused(
    data: st.DataObject, separator: str, quote: str | None, escape: str | None, block: int
) -> None:
    """Quotes, escapes, separators and line ends in any place, whatever the blocks they are read in."""
    text = data.draw(_files(separator, quote))
    expected = outcome(text, separator, quote, escape)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_streams, "MIB", block)
        patch.setattr(csv_files, "_BLOCK", max(block, 16))
        if expected is None:
            with pytest.raises(DatasetError, match="line "):
                arrives(text.encode(), "a.csv", separator=separator, quote=quote, escape=escape)
        else:
            try:
                found = arrives(text.encode(), "a.csv", separator=separator, quote=quote, escape=escape)
            except DatasetError:  # a quote after a line end that is escaped, which looks like one that opens
                assert escape
                assert quote
                assert re.search(rf"\\[\r\n]+{quote}", text), text
                return
            assert found == expected[1:], text


@given(st.data(), _SEPARATORS, _QUOTES)
@settings(deadline=None, max_examples=300)
def test_nothing_is_read_in_two_ways(data: st.DataObject, separator: str, quote: str | None) -> None:
    """Unless a user says what quotes are, no row gets lost in a value, and no value in quotes is taken for text."""
    text = data.draw(_files(separator, quote)).replace("'", '"')
    quoted, plain = outcome(text, separator, '"', None), outcome(text, separator, None, None)

    try:
        found = arrives(text.encode(), "a.csv", separator=separator)
    except DatasetError:
        return

    read, other = (plain, quoted) if separator == "\t" else (quoted, plain)
    assert read is not None
    assert found == read[1:], text
    if other is not None and other != read:
        assert plain is not None
        enclosed = any(_enclosed(value) for row in plain for value in row)
        assert not enclosed if separator == "\t" else enclosed or len(read) == len(other), text


def _enclosed(value: str) -> bool:
    return len(value) > 1 and value[0] == value[-1] == '"'


_ENCODINGS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "cp1252"])
_WORDS = st.lists(
    st.sampled_from([*" ,;\t|'\"\n\\Nxé7.", "\r\n"]),
    max_size=6,  # Python writes a carriage return alone as it is
).map("".join)


@given(
    st.lists(st.lists(_WORDS, min_size=3, max_size=3), min_size=1, max_size=5),
    _SEPARATORS,
    st.sampled_from(['"', "'"]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC]),
    st.sampled_from(["\n", "\r\n"]),
    _ENCODINGS,
    st.booleans(),
    st.sampled_from([1, 5, 4096]),
)
@settings(deadline=None, max_examples=300)
def test_what_a_writer_wrote_is_what_arrives(
    table: list[list[str]],
    separator: str,
    quote: str,
    quoting: Any,
    end: str,
    encoding: str,
    packed: bool,
    block: int,
) -> None:
    """In any dialect and encoding, packed or not; without being told of quotes it arrives or is refused."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, quotechar=quote, quoting=quoting, lineterminator=end).writerows(
        [["a", "b", "c"], *table]
    )
    data = text.getvalue().encode(encoding)
    name, data = ("a.csv.gz", gzip.compress(data)) if packed else ("a.csv", data)
    options = {"separator": separator, "encoding": encoding}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_streams, "MIB", block)
        patch.setattr(csv_files, "_BLOCK", max(block, 16))
        assert arrives(data, name, quote=quote, **options) == table
        if quote == '"':
            try:
                untold = arrives(data, name, **options)
            except DatasetError:
                return
            literally = outcome(text.getvalue(), separator, None, None)
            assert untold == table or (separator == "\t" and literally and untold == literally[1:])

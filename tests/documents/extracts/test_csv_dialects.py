"""CSV of every dialect: what arrives is what an independent reading says, or the line is named."""

from __future__ import annotations

import csv
import gzip
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coveo_provider.documents.extracts import csv_files, csv_streams
from coveo_provider.errors import ConfigurationError, DatasetError
from tests.documents.files import rows

STRAY = 'id\ttitle\tprice\n1\t"Best shoe\t10\n2\tplain\t20\n3\tTop pick"\t30\n4\tother\t40\n'
_TOLD = r"""csv_quote='"' if quotes enclose values in this file, csv_quote=None if they are text"""
TEXTS = dict.fromkeys(("a", "b", "c"), "string")


def texts(text: str | bytes, name: str = "a.csv", **options: Any) -> list[tuple[Any, ...]]:
    """Return what arrives of a file, row by row."""
    data = text if isinstance(text, bytes) else text.encode()
    return [tuple(row.values()) for row in rows((name, data), **options)]


@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz", "a.csv"])
@pytest.mark.parametrize("options", [{}, {"quote": None}])
def test_stray_quotes_swallow_no_row(name: str, options: dict[str, Any]) -> None:
    """Product feeds between tabs do not quote at all: four rows are four items."""
    data = gzip.compress(STRAY.encode()) if name.endswith(".gz") else STRAY.encode()

    assert texts(data, name, separator="\t" if name == "a.csv" else None, **options) == [
        (1, '"Best shoe', 10),
        (2, "plain", 20),
        (3, 'Top pick"', 30),
        (4, "other", 40),
    ]


@pytest.mark.parametrize("separator", [",", ";", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_two_stray_quotes_are_refused_where_values_are_quoted(separator: str, end: str) -> None:
    """Both readings are well formed, and one of them loses two rows."""
    stray = STRAY.replace("\t", separator).replace("\n", end)

    with pytest.raises(DatasetError, match=rf"(?s)a\.csv: the quote in line 2 opens a value .*{_TOLD}"):
        texts(stray, separator=separator)

    assert len(texts(stray, separator=separator, quote=None)) == 4
    assert len(texts(stray, separator=separator, quote='"')) == 2
    assert (
        len(texts(stray + separator.join(["5", '"x"', "6"]) + end, separator=separator)) == 3
    )  # it does quote


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ('id,t\n1,"The ""Classic"" Tee"\n', {}, 'The "Classic" Tee'),
        ('id,t\n1,5" pipe\n', {}, '5" pipe'),
        ('id,t\n1,5" x 6"\n', {}, '5" x 6"'),
        ('id,t\n1, "a"\n', {}, ' "a"'),
        ('id,t\n1,"5"" pipe, \n\nlong"\n', {}, '5" pipe, \n\nlong'),
        ('id,t\n1,"a;b\r\nc"\r\n', {}, "a;b\r\nc"),
        ('"id","t"\n"1","x,\ny, z"\n', {}, "x,\ny, z"),
        ('id,t\n1,"The Classic" Tee\n', {"quote": None}, '"The Classic" Tee'),
        ("id,t\n1,'it''s, so'\n", {"quote": "'"}, "it's, so"),
        ('id\tt\n1\t24" TV\n', {"separator": "\t"}, '24" TV'),
        ('id\tt\n1\t"24"" TV"\n', {"separator": "\t", "quote": '"'}, '24" TV'),
        ('id,t\n1,"He said \\"hi\\""\n', {"escape": "\\"}, 'He said "hi"'),
        ("id,t\n1,a\\,b\n", {"escape": "\\"}, "a,b"),
        ("id,t\n1,a\\\nb\n", {"escape": "\\", "quote": None}, "a\nb"),
        ("id,t\n1,C:\\\\dir\n", {"escape": "\\"}, "C:\\dir"),
        ("id,t\n1,\\N\n", {"escape": "\\"}, None),
        ("id,t\n1,N\n", {"escape": "\\"}, "N"),
        ("id,t\n1,C:\\dir\n", {}, "C:\\dir"),
        ("sep=;\r\nid;t\r\n1;x\r\n", {}, "x"),
        ("\ufeffsep=\t\r\nid\tt\r\n1\tx\r\n", {"encoding": "utf-16"}, "x"),
    ],
    ids=repr,
)
def test_a_value_arrives_as_its_dialect_says(
    text: str, options: dict[str, Any], expected: str | None
) -> None:
    """Doubled quotes, quotes as text, escapes, and the line with which files for Excel begin."""
    encoding = options.get("encoding", "utf-8")

    assert texts(text.encode(encoding), **options) == [(1, expected)]


_FOLLOWS = r"text follows the quote that closes a value.* csv_escape='\\\\'.*csv_quote=None"


@pytest.mark.parametrize(
    ("name", "text", "options", "problem"),
    [
        ("a.csv", 'id,t\n1,x\n2,"The Classic" Tee\n', {}, f"in line 3 {_FOLLOWS}"),
        ("a.csv", 'id,t\r\n1,"1/2" Sensor"\r\n', {}, f"in line 2 {_FOLLOWS}"),
        ("a.csv", 'id,t\n1,"a\n\nb"\n2,"He said \\"hi\\""\n', {}, f"in line 5 {_FOLLOWS}"),
        ("a.csv", 'sep=;\nid;t\n1;"x" y\n', {}, f"in line 3 {_FOLLOWS}"),
        ("a.csv", 'id,t\n1,""x\n', {}, f"in line 2 {_FOLLOWS}"),
        ("a.csv", 'id,t\n1,5" x\n2,"a"b\n', {}, f"in line 3 {_FOLLOWS}"),
        ("a.csv", 'id,t\n1,"open\n2,x\n', {}, f"a quote opened in line 2 is never closed. Give {_TOLD}"),
        ("a.tsv", 'id\tt\n1\t"x"\n', {}, f"in line 2 a value stands in quotes.* Give {_TOLD}"),
        ("a.tsv", '"id"\t"t"\n1\tx\n', {}, f"in the header a value stands in quotes.* Give {_TOLD}"),
        ("a.tsv", 'id\tt\n1\t"x\ny"\n', {}, f"line 2 has 2|line 3 has 1 values.*Give {_TOLD}"),
        ("a.csv", "id,t\n1,a\\b\n", {"escape": "\\"}, "in line 2 csv_escape stands where programs differ"),
        ("a.csv", 'id,t\n1,"a,\\N,b"\n', {"escape": "\\"}, "in line 2 csv_escape stands where"),
        ("a.csv", "id,t\n1,a\\", {"escape": "\\"}, "in line 2 csv_escape stands where"),
        ("a.csv", "id;t;u\n1;2;3\n", {}, "its only column is called 'id;t;u'.*csv_separator=';'"),
        ("a.csv", "id\tt\n1\t2\n", {}, r"csv_separator='\\t'"),
        ("a.csv", "id|t\n1|2\n", {"separator": ";"}, r"csv_separator='\|'"),
        ("a.tsv", "id,t\n1,2\n", {}, "csv_separator=','"),
        ("a.csv", "sep=;\nid;t\n1;2\n", {"separator": ","}, "says sep=;, and csv_separator is ','"),
        ("a.csv", "id,t\n1,\0\n", {}, "a NUL byte stands in line 2"),
        (
            "a.csv",
            "id,t\n1,x\n".encode("utf-16-le"),
            {},
            "NUL byte stands in line 1.*csv_encoding='utf-16-le'",
        ),
        ("a.csv", "id,t\n1,x\n".encode("utf-16"), {}, "is UTF-16.*csv_encoding='utf-16'"),
        (
            "a.csv",
            "id,t\n1,x\n2,é\n".encode("cp1252"),
            {},
            "line 3 holds a byte that is invalid UTF8.*cp1252",
        ),
        (
            "a.csv",
            "id,t\n" + "1,x\n" * 99_999 + "1,Ã\n",
            {"encoding": "ascii"},
            "cannot be read as CSV.*ascii",
        ),
        ("a.csv", b"PK\x03\x04", {}, "Excel.*pandas.read_excel in a @task"),
        ("a.xlsx", b"PK\x03\x04", {}, "pandas.read_excel in a @task.*save them as CSV"),
        ("a.xlsx", b"PK\x03\x04", {"file_format": "csv"}, "pandas.read_excel in a @task"),
        ("a.csv", b"\xd0\xcf\x11\xe0", {}, "pandas.read_excel"),
        ("a.csv", b"PAR1", {}, "is a Parquet file"),
        ("a.csv", gzip.compress(b"id\n1\n"), {}, r"packed with gzip, and its name does not end with \.gz"),
        ("a.csv", "id,t\n1,x\n# two, three, four\n", {}, "line 3 has 3 values, and the header 2"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_what_has_no_clear_meaning_is_refused(
    name: str, text: str | bytes, options: dict[str, Any], problem: str
) -> None:
    """With its line, and the option that helps."""
    with pytest.raises(DatasetError, match=rf"(?s)^{name}: .*(?:{problem})"):
        texts(text, name, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"quote": '""'}, {"quote": ""}, {"quote": 5}, {"quote": ","}, {"quote": "\n"}, {"quote": "é"},
        {"escape": '"'}, {"escape": "\r"}, {"escape": ";", "separator": ";"}, {"quote": "'", "escape": "'"},
    ],
    ids=repr,
)  # fmt: skip
def test_a_dialect_that_cannot_be_is_refused(options: dict[str, Any]) -> None:
    """Before a file is read."""
    with pytest.raises(ConfigurationError, match=r"csv_quote|csv_escape"):
        texts("", **options)


@pytest.mark.parametrize("options", [{}, {"escape": "\\"}])
def test_a_long_line_is_looked_at_in_pieces(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> None:
    """So that a row without end takes no more memory than its block."""
    monkeypatch.setattr(csv_streams, "MIB", 8)
    monkeypatch.setattr("coveo_provider.documents.extracts.csv_checks._LONG_LINE", 8)
    long = 'xy ""z"" ' * 40

    assert texts(f'id,t\n1,"{long}"\n', **options) == [(1, long.replace('""', '"'))]
    with pytest.raises(DatasetError, match="in line 2 text follows"):
        texts(f'id,t\n1,"{long}"x"{long}"\n', **options)


@pytest.mark.parametrize("pad", range(32))
def test_a_line_end_within_a_value_may_lie_between_blocks(monkeypatch: pytest.MonkeyPatch, pad: int) -> None:
    """Where Arrow drops the second half of it."""
    monkeypatch.setattr(csv_files, "_BLOCK", 32)
    value = "x" * pad + "\r\ny\r\n\r\nz"

    assert texts(f'id,t\r\n1,"{value}"\r\n2,b\r\n') == [(1, value), (2, "b")]


def test_a_misplaced_quote_is_found_in_any_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """And its line counted, whatever the line ends."""
    monkeypatch.setattr(csv_streams, "MIB", 64)
    for end in ("\n", "\r\n", "\r"):
        good = "".join(f'{n},"a {n}, 5"" x{end}y"{end}' for n in range(500))
        with pytest.raises(DatasetError, match=r"in line 1,002 text follows"):
            texts(f'id,t{end}{good}500,"x" y{end}{good}')


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
            found = arrives(text.encode(), "a.csv", separator=separator, quote=quote, escape=escape)
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
            assert untold == table

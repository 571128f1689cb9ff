"""CSV of every dialect: each value arrives as it stood, or the line and the option that helps are named."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from coveo_provider.documents.extracts import csv_files, csv_streams
from coveo_provider.errors import ConfigurationError, DatasetError
from tests.documents.files import rows

STRAY = 'id\ttitle\tprice\n1\t"Best shoe\t10\n2\tplain\t20\n3\tTop pick"\t30\n4\tother\t40\n'
_TOLD = r"""csv_quote='"' if quotes enclose values in this file, csv_quote=None if they are text"""


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
        (
            "a.csv",
            gzip.compress(b"id\n1\n", mtime=0),
            {},
            r"packed with gzip, and its name does not end with \.gz",
        ),
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

"""CSV and Parquet: what stands in the files is what comes out, and what is wrong is named."""

from __future__ import annotations

import csv
import gzip
import io
import json
from datetime import datetime, timezone
from decimal import Decimal
from itertools import pairwise
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coveo_provider.documents.dataset.frames import frame_of
from coveo_provider.documents.extracts import csv_files
from coveo_provider.documents.extracts.readers import read_batches
from coveo_provider.errors import ConfigurationError, DatasetError
from tests.documents.files import batches, options_of, rows, source


def column(*values: str, **options: Any) -> list[Any]:
    """Return what the values of one column of CSV become."""
    text = "id,k\n" + "".join(f"{number},{value}\n" for number, value in enumerate(values))
    return [row["k"] for row in rows(("a.csv", text.encode()), **options)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", "", "-20"], [1, None, -20]),
        (["9223372036854775807", "-9223372036854775808"], [2**63 - 1, -(2**63)]),
        (["9223372036854775808"], ["9223372036854775808"]),
        (["0", "007"], ["0", "007"]),
        (["+5"], ["+5"]),
        (["-0"], ["-0"]),
        ([" 5"], [" 5"]),
        (["1", "2.5"], ["1", "2.5"]),
        (["19.90", "5.00", ""], ["19.90", "5.00", None]),
        (["1.9", "1.10"], ["1.9", "1.10"]),
        (["1.50", "2"], ["1.50", "2"]),
        (["0.0", "0.25", "5.0"], [0.0, 0.25, 5.0]),
        (["5.0", "5"], ["5.0", "5"]),
        (["5.0", "0.50"], ["5.0", "0.50"]),
        (["2.5", "10.25", "-3.5"], [2.5, 10.25, -3.5]),
        (["00.5"], ["00.5"]),
        ([".5"], [".5"]),
        (["5."], ["5."]),
        (["1e5"], ["1e5"]),
        (["-0.0"], ["-0.0"]),
        (["0.1234567890123456"], ["0.1234567890123456"]),
        (["123456789012345.6"], ["123456789012345.6"]),
        (["true", "false", ""], [True, False, None]),
        (["True", "False"], ["True", "False"]),
        (["true", "FALSE"], ["true", "FALSE"]),
        (["1", "true"], ["1", "true"]),
        (["NA", "null", "NaN", "None"], ["NA", "null", "NaN", "None"]),
        (["nan"], ["nan"]),
        (["", ""], [None, None]),
        (["2020-01-01"], ["2020-01-01"]),
    ],
    ids=repr,
)
def test_a_column_is_of_the_narrowest_type_that_loses_nothing(values: list[str], expected: list[Any]) -> None:
    """Over all of its values; empty is missing."""
    found = column(*values)

    assert found == expected
    assert [type(value) for value in found] == [type(value) for value in expected]


_CELLS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8),
    st.sampled_from(
        ["007", "1.10", '"', '""', ",", "\n", "\r\n", "\r", "NA", "null", "é", "\ufeff", "'", "-0", "1e9"]
    ),
    st.integers(-(10**20), 10**20).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**6), max_value=10**6).map(
        str
    ),
    st.booleans().map(lambda value: str(value).lower()),
    st.just(""),
)


@given(st.lists(st.lists(_CELLS, min_size=2, max_size=2), min_size=1, max_size=6), st.integers(1, 3))
@example([["\ufeff", "x"]], 1)
@settings(deadline=None)
def test_what_stands_in_csv_is_what_is_sent(cells: list[list[str]], batch_rows: int) -> None:
    """Any text that a CSV writer can write: as text, or as the number or boolean that JSON spells just so."""
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL).writerows(
        [["id", "a", "b"], *([n, *row] for n, row in enumerate(cells))]
    )

    found = rows(("a.csv", text.getvalue().encode()), batch_rows=batch_rows)

    assert [row["id"] for row in found] == list(range(len(cells)))
    for position, name in enumerate("ab"):
        values = [row[name] for row in found]
        assert len({type(value) for value in values if value is not None}) <= 1
        assert [_sent(value) for value in values] == [row[position] for row in cells]


def _sent(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    assert isinstance(value, str) or text == json.dumps(value)  # whoever writes it
    return text


def test_types_are_found_over_all_files_together() -> None:
    """A text in the last row of the last file makes texts of all, so batches and files never disagree."""
    files = [("a.csv", b"id,k\n1,5\n2,6\n"), ("b.csv.gz", gzip.compress(b"id,k\n3,\n4,x\n"))]

    found = batches(*files, batch_rows=1)

    assert [batch.rows.schema.field("k").type for batch in found] == [pa.string()] * 4
    assert [row["k"] for row in rows(*files)] == ["5", "6", None, "x"]
    assert [batch.where for batch in found] == [
        "a.csv, row 0",
        "a.csv, row 1",
        "b.csv.gz, row 0",
        "b.csv.gz, row 1",
    ]


@pytest.mark.parametrize(
    ("dtype", "text", "expected"),
    [
        ("string", "7", "7"),
        (str, "7", "7"),
        ("category", "7", "7"),
        ("Int64", "007", 7),
        ("int32", "7", 7),
        ("float64", "1e3", 1000.0),
        ("boolean", "1", True),
        ("datetime64[ns, UTC]", "2020-01-01T05:00:00+05:00", datetime(2020, 1, 1, tzinfo=timezone.utc)),
        ("datetime64[s, Europe/Paris]", "2020-01-01 01:00:00", datetime(2020, 1, 1, tzinfo=timezone.utc)),
        ("datetime64[us]", "2020-01-01", datetime(2020, 1, 1)),
        (pd.ArrowDtype(pa.decimal128(10, 2)), "1.10", Decimal("1.10")),
    ],
    ids=repr,
)
def test_a_given_dtype_comes_first(dtype: Any, text: str, expected: Any) -> None:
    """A text becomes a value of the type the user gives; an empty one is missing in any."""
    assert column(text, "", dtypes={"k": dtype}) == [expected, None]


@pytest.mark.parametrize(
    ("dtypes", "problem"),
    [
        ({"nope": "Int64"}, "names column 'nope', which a.csv does not have; its columns are: id, k"),
        ({"k": "Int46"}, "'Int46' of column 'k' is no dtype of pandas"),
        ({"k": "complex128"}, "column 'k' is not one that CSV can hold"),
    ],
)
def test_a_dtype_that_cannot_be_is_refused(dtypes: dict[str, Any], problem: str) -> None:
    """Before a row is read."""
    with pytest.raises(ConfigurationError, match=problem):
        column("1", dtypes=dtypes)


def test_a_value_that_is_not_of_its_given_type_is_named() -> None:
    """With its column and rows."""
    with pytest.raises(DatasetError, match=r"a\.csv, rows 0 to 1: column 'k' holds what is no int64: .*'x'"):
        column("1", "x", dtypes={"k": "Int64"})


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", r"a\.csv: is empty: not even a header"),
        (b"id,id\n1,2\n", "column 'id' stands twice"),
        (b'id,k\n\n1,"2\n3"\n4\n', "line 5 has 1 values, and the header 2 columns"),
        (b"id,k\n1,2,3\n", "line 2 has 3 values, and the header 2 columns"),
        (b'id,k\n1,2\n3,"4\n5,6\n', "a quote opened in line 3 is never closed"),
        (b"id,k\n1,\xe9\n", r"cannot be read.*utf-8.*csv_encoding"),
        (b"id,k\n" + b"1,2\n" * 9_000 + b"1,\xe9\n", r"cannot be read as CSV.*invalid UTF8.*csv_encoding"),
    ],
)
def test_broken_csv_is_named(data: bytes, problem: str) -> None:
    """By file and line, with what was expected."""
    with pytest.raises(DatasetError, match=rf"(?s)a\.csv: .*{problem}|{problem}"):
        rows(("a.csv", data))


@pytest.mark.parametrize(
    ("header", "problem"),
    [
        (b"id\n", r"b\.csv: lacks 'k', compared with a\.csv"),
        (b"id,k,x,y\n", r"b\.csv: has 'x', 'y' besides"),
        (b"id,K\n", "lacks 'k' and has 'K' besides"),
        (b"k,id\n", "has the columns in another order"),
    ],
)
def test_files_of_one_source_have_the_same_header(header: bytes, problem: str) -> None:
    """Otherwise the columns are named."""
    with pytest.raises(DatasetError, match=problem):
        rows(("a.csv", b"id,k\n1,2\n"), ("b.csv", header))


@pytest.mark.parametrize(
    ("name", "data", "options"),
    [
        ("a.csv", "\ufeffid,k\n1,é\n".encode(), {}),
        ("a.csv", "id,k\n1,é\n".encode("latin-1"), {"encoding": "latin-1"}),
        ("a.csv", "id,k\r\n1,é\r\n".encode("utf-16"), {"encoding": "utf-16"}),
        ("a.csv", "id;k\n1;é\n".encode(), {"separator": ";"}),
        ("a.tsv", "id\tk\n1\té\n".encode(), {}),
        ("A.CSV.GZ", gzip.compress("id,k\n1,é\n".encode(), mtime=0), {}),
        ("a", "id,k\r1,é\r".encode(), {"file_format": "csv"}),
    ],
    ids=repr,
)
def test_csv_of_every_dialect(name: str, data: bytes, options: dict[str, Any]) -> None:
    """BOM, encodings, separators, line ends, gzip."""
    assert rows((name, data), **options) == [{"id": 1, "k": "é"}]


def test_a_file_of_many_blocks_is_read_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch has its number of rows, whatever the blocks; a row may span lines."""
    monkeypatch.setattr(csv_files, "_BLOCK", 64)
    text = "id,k\n" + "".join(f'{n},"a\nb"\n' for n in range(100))

    found = batches(("a.csv", text.encode()), batch_rows=7)

    assert [len(batch.rows) for batch in found] == [7] * 14 + [2]
    assert [batch.first_row for batch in found] == list(range(0, 100, 7))
    assert [row["id"] for row in rows(("a.csv", text.encode()))] == list(range(100))


def test_a_row_may_be_longer_than_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """In any place; memory grows with the longest row only. One without end is a mistake."""
    monkeypatch.setattr(csv_files, "_BLOCK", 64)
    long = "x" * 1_000
    text = "id,k\n" + "".join(f"{n},{long if n in {0, 50, 99} else n}\n" for n in range(100))

    found = rows(("a.csv", text.encode()), ("b.csv", b"id,k\n100,y\n"))

    assert [row["id"] for row in found] == list(range(101))
    assert [n for n in range(100) if found[n]["k"] == long] == [0, 50, 99]
    monkeypatch.setattr(csv_files, "_LONGEST_ROW", 256)
    with pytest.raises(DatasetError, match=r"a\.csv: a row has more than 256 bytes. Is a quote missing"):
        rows(("a.csv", text.encode()))
    with pytest.raises(
        DatasetError, match=r"(?:256 bytes.* One opens|a quote opened) in line 3.* Give csv_quote="
    ):
        rows(("a.csv", ('id,k\n1,x\n2,"' + "x,y\n" * 1_000).encode()))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (gzip.compress(b"id\n1\n", mtime=0)[:-9], r"a\.csv\.gz: is cut off"),
        (b"id\n1\n", r"a\.csv\.gz: is not a gzip file"),
        (
            gzip.compress(b"id\n1\n" * 99, mtime=0)[:-20] + b"\xff" * 20,
            r"a\.csv\.gz: is not a gzip file|a\.csv\.gz: is cut off",
        ),
    ],
)
def test_a_damaged_gzip_is_named(data: bytes, problem: str) -> None:
    """By its name."""
    with pytest.raises(DatasetError, match=problem):
        rows(("a.csv.gz", data))


@pytest.mark.parametrize(
    ("names", "options", "problem"),
    [
        (["a.xlsx"], {}, r"a\.xlsx: the name does not say what it holds: expected \.parquet, \.csv"),
        (["a.parquet.gz"], {}, "does not say what it holds"),
        (["a.csv", "b.json"], {}, r"several formats: csv \(a\.csv\) and json \(b\.json\)"),
        (
            ["a.csv"],
            {"file_format": "xml"},
            "unknown file_format 'xml': expected one of parquet, csv, ndjson, json",
        ),
        (["a.csv"], {"batch_rows": 0}, "batch_rows must be a whole number, 1 or more"),
        (["a.csv"], {"batch_rows": True}, "batch_rows must be"),
        (["a.csv"], {"separator": "||"}, "csv_separator must be one character"),
        (["a.csv"], {"separator": '"'}, "csv_separator must be one character"),
        (["a.csv"], {"encoding": "utf-7000"}, "csv_encoding 'utf-7000' is unknown"),
        (["a.json"], {"dtypes": {}}, "dtypes is for csv files, and these are json"),
        (["a.csv"], {"records": "data"}, "json_records is for json files, and these are csv"),
    ],
)
def test_wrong_options_are_refused(names: list[str], options: dict[str, Any], problem: str) -> None:
    """With what was expected."""
    with pytest.raises((DatasetError, ConfigurationError), match=problem):
        next(read_batches([source(name, b"") for name in names], options_of(**options)))


def _parquet(table: pa.Table, **options: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(table, file, **options)
    return file.getvalue()


def test_parquet_comes_in_batches_that_keep_everything() -> None:
    """Rows of several row groups and files, in order; a batch never holds rows of two files."""
    table = pa.table({"n": pa.array(range(50), pa.int64()), "d": pa.array([Decimal("1.10")] * 50)})
    files = [("a.parquet", _parquet(table, row_group_size=9)), ("b.parquet", _parquet(table))]

    found = batches(*files, batch_rows=20)

    assert [len(batch.rows) for batch in found] == [20, 20, 10] * 2
    assert rows(*files) == table.to_pylist() * 2


def test_a_batch_is_bounded_in_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of a megabyte each do not pile up to ten thousand."""
    monkeypatch.setattr("coveo_provider.documents.extracts.cutting.BATCH_BYTES", 3_000_000)
    table = pa.table({"text": [f"{n}" * 1_000_000 for n in range(8)]})

    found = batches(("a.parquet", _parquet(table)), batch_rows=10_000)

    assert max(len(batch.rows) for batch in found) <= 3
    assert all(one.first_row + len(one.rows) == other.first_row for one, other in pairwise(found))


def test_a_file_that_is_no_parquet_is_named() -> None:
    """By its name."""
    with pytest.raises(DatasetError, match=r"a\.parquet: is not a Parquet file"):
        rows(("a.parquet", b"id\n1\n"))


@pytest.mark.parametrize(
    ("array", "expected", "dtype"),
    [
        (pa.array([1, None], pa.int64()), [1, pd.NA], "Int64"),
        (pa.array([2**63, None], pa.uint64()), [2**63, pd.NA], "UInt64"),
        (pa.array([True, None]), [True, pd.NA], "boolean"),
        (pa.array([1.5, 2.0]), [1.5, 2.0], "float64"),
        (pa.array([Decimal("1.10"), None]), [Decimal("1.10"), None], "object"),
        (pa.array([[1, None, 2**60]]), [[1, None, 2**60]], "object"),
        (pa.array([{"a": 1}]), [{"a": 1}], "object"),
        (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())), [{"a": 1}], "object"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_frame_keeps_what_pandas_would_lose(array: pa.Array, expected: list[Any], dtype: str) -> None:
    """Whole numbers and booleans with gaps, digits of decimals, lists, objects."""
    series = frame_of(pa.table({"k": array}))["k"]

    assert str(series.dtype) == dtype
    assert [value is pd.NA or value for value in series] == [value is pd.NA or value for value in expected]


def test_a_column_is_of_one_kind_in_every_batch() -> None:
    """Repeated texts kept once in Parquet are plain texts in the frame, as they are in other batches."""
    plain, once = pa.array(["a", None]), pa.array(["a", None]).dictionary_encode()

    assert frame_of(pa.table({"k": once}))["k"].dtype == frame_of(pa.table({"k": plain}))["k"].dtype
    assert frame_of(pa.table({"k": pa.array([datetime(2020, 1, 1)])}))["k"].dt.year.tolist() == [2020]

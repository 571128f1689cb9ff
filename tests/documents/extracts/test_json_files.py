"""NDJSON and JSON: records of any shape become frames of one shape."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coveo_provider.documents.dataset.frames import frame_of
from coveo_provider.errors import DatasetError
from tests.documents.files import batches, rows

_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.integers(-5, 5),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
)
_VALUES = st.one_of(
    _SCALARS, st.lists(_SCALARS, max_size=2), st.dictionaries(st.sampled_from("xy"), _SCALARS)
)
_RECORDS = st.lists(st.dictionaries(st.sampled_from("abc"), _VALUES), min_size=1, max_size=6)


def as_frame(rows: pa.Table | pd.DataFrame) -> pd.DataFrame:
    return rows if isinstance(rows, pd.DataFrame) else frame_of(rows)


def ndjson(records: list[Any]) -> bytes:
    return "\n".join(map(json.dumps, records)).encode()


@given(_RECORDS, st.integers(1, 3), st.booleans())
@settings(deadline=None)
def test_what_stands_in_json_is_what_comes_out(records: list[Any], batch_rows: int, lines: bool) -> None:
    """Values of any kind, in the line or array form; a key that is missing is a missing value."""
    file = ("a.ndjson", ndjson(records)) if lines else ("a.json", json.dumps(records).encode())

    found = batches(file, batch_rows=batch_rows)

    frames = [as_frame(batch.rows) for batch in found]
    assert all(len(frame) <= batch_rows for frame in frames)
    assert len({tuple(frame.columns) for frame in frames}) == 1
    assert len({tuple(map(str, frame.dtypes)) for frame in frames}) == 1  # batches never disagree
    keys = {key for record in records for key in record}
    for record, row in zip(records, rows(file, batch_rows=batch_rows), strict=True):
        assert row.keys() == keys
        for key in keys:
            assert _same(row[key], record.get(key)), (key, row[key], record.get(key))


def _same(value: Any, expected: Any) -> bool:
    return bool(_as_written(value) == _as_written(expected))


def _as_written(value: Any) -> Any:
    """Return a value with its numbers as they are written, told from booleans."""
    if isinstance(value, dict):
        return {key: _as_written(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_as_written(member) for member in value]
    if value is None or isinstance(value, (str, bool, Decimal)):
        return (bool, value) if isinstance(value, bool) else value
    return Decimal(str(value))


def test_whole_numbers_stay_whole_where_some_are_missing() -> None:
    """Over all batches, though one of them has none at all."""
    frames = [
        as_frame(batch.rows) for batch in batches(("a.ndjson", b'{"n": 1}\n{"m": true}\n'), batch_rows=1)
    ]

    assert [[str(dtype) for dtype in frame.dtypes] for frame in frames] == [["Int64", "boolean"]] * 2


@pytest.mark.parametrize("form", ["a.ndjson", "a.json"])
def test_large_whole_numbers_keep_their_digits(form: str) -> None:
    """Beyond 64 bits too, where parsers would make floats of them, or stop."""
    records = [{"n": 1, "f": 0.5}, {"n": 2**64 + 1, "f": 1e300, "deep": {"d": [1.5]}}, {"n": None}]
    data = ndjson(records) if form == "a.ndjson" else json.dumps(records).encode()

    found = rows((form, data))

    assert [row["n"] for row in found] == [1, 2**64 + 1, None]
    assert [row["f"] for row in found] == [0.5, 1e300, None]
    assert found[1]["deep"] == {"d": [1.5]}
    assert isinstance(found[1]["f"], float)


def test_blank_lines_a_mark_and_gzip_do_not_matter() -> None:
    """As users' files have them."""
    data = b'\xef\xbb\xbf{"a": "\xc3\xa9"}\r\n\r\n  \n{"a": "b"}'

    assert rows(("a.jsonl.gz", gzip.compress(data))) == [{"a": "é"}, {"a": "b"}]
    assert rows(("a.json", b'\xef\xbb\xbf[{"a": 1}]')) == [{"a": 1}]


@pytest.mark.parametrize(
    ("path", "data", "expected"),
    [
        (None, b'[{"x": 1}]', [{"x": 1}]),
        ("data.products", b'{"n": 1, "data": {"other": [{"x": 2}], "products": [{"x": 1}]}}', [{"x": 1}]),
        ("data.products", b'{"data": {"products": []}}', []),
        (None, b"[]", []),
    ],
)
def test_the_array_may_stand_anywhere(path: str | None, data: bytes, expected: list[Any]) -> None:
    """An empty one holds no records, and is no error of the file."""
    assert rows(("a.json", data), records=path) == expected


@pytest.mark.parametrize(
    ("name", "data", "options", "problem"),
    [
        ("a.ndjson", b'{"a": 1}\n\n{"a": }\n', {}, r"a\.ndjson: line 3 is not JSON"),
        ("a.ndjson", b'{"a": 1}\n[1]\n', {}, r"a\.ndjson: line 2 holds an array, expected an object"),
        ("a.ndjson", b'{"a": 1', {}, "line 1 is not JSON"),
        ("a.ndjson", b'{"a": "\xff"}', {}, "line 1 is not UTF-8"),
        ("a.ndjson", b'{"a": 12345678901234567890, }', {}, "line 1 is not JSON"),
        ("a.json", b'[{"a": 1}, 2]', {}, r"a\.json: record 1 holds a number, expected an object"),
        ("a.json", b'[{"a": 1}, {"a"', {}, r"a\.json: is not JSON from record 1 on"),
        ("a.json", b"", {}, "is not JSON from record 0 on"),
        ("a.json", b'{"a": 1}\n{"a": 2}\n', {}, 'file_format="ndjson"'),
        ("a.json", b'{"data": [{"a": 1}]}', {}, "it is no array; expected an array of objects. json_records"),
        ("a.json", b'{"data": [{"a": 1}]}', {"records": "date"}, "no array stands at 'date'"),
    ],
)
def test_broken_json_is_named(name: str, data: bytes, options: dict[str, Any], problem: str) -> None:
    """By file, and line or record."""
    with pytest.raises(DatasetError, match=problem):
        rows((name, data), **options)


def test_values_used_as_keys_are_refused() -> None:
    """They would be a column each."""
    record = json.dumps({f"id-{n}": n for n in range(10_001)}).encode()

    with pytest.raises(DatasetError, match=r"a\.ndjson: has more than 10,000 different keys"):
        rows(("a.ndjson", record))


def test_a_column_of_several_kinds_stays_what_it_is() -> None:
    """The user's function may sort it out."""
    (batch,) = batches(("a.ndjson", b'{"a": 1}\n{"a": "x"}\n{"a": [1]}\n{"a": null}\n'))

    assert isinstance(batch.rows, pd.DataFrame)
    assert batch.rows["a"].tolist() == [1, "x", [1], None]

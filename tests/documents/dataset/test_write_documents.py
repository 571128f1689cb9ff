"""A DataFrame becomes one part of a dataset."""

from __future__ import annotations

import io
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coveo_provider.documents import write_documents
from coveo_provider.documents.dataset.tables import Part
from coveo_provider.errors import DatasetError
from tests.documents.strategies import encode

EAST = timezone(timedelta(hours=5))


def frame_of(values: Any, **columns: Any) -> pd.DataFrame:
    """Return a frame of documents with these values in column ``k``."""
    series = values if isinstance(values, pd.Series) else pd.Series(values, dtype=object)
    ids = [f"test://{row}" for row in range(len(series))]
    frame: pd.DataFrame = pd.DataFrame({"documentId": ids, "k": series, **columns})
    return frame


def written(frame: pd.DataFrame | pa.Table, folder: Path) -> list[Any]:
    """Return the documents a frame becomes on its way through Parquet."""
    uri = write_documents(frame, str(folder / "part.parquet"))
    with Path(uri).open("rb") as file:
        part = Part(file, uri)
        return [d for batch in part.batches() for d in encode(pa.Table.from_batches([batch]))]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["a", None, pd.NA, float("nan")], ["a", None, None, None]),
        ([datetime(2020, 1, 1), pd.NaT], ["2020-01-01T00:00:00Z", None]),
        (
            [
                datetime(2020, 1, 1, 5, tzinfo=EAST),
                datetime(2020, 1, 1),
                datetime(2020, 1, 1, tzinfo=timezone.utc),
            ],
            ["2020-01-01T00:00:00Z"] * 3,
        ),
        ([date(2020, 1, 1), None], ["2020-01-01T00:00:00Z", None]),
        ([Decimal("1.5"), Decimal("100.25")], [Decimal("1.50"), Decimal("100.25")]),
        ([["a", "b"], ("c",), np.array(["d"]), {"e"}, [], None], [["a", "b"], ["c"], ["d"], ["e"], [], None]),
        ([{"a": 1}, {"b": "x"}, {}, None], [{"a": 1}, {"b": "x"}, {}, None]),
        ([1, 2.5, None], [1, Decimal("2.5"), None]),
        ([True, None], [True, None]),
        ([None, None], [None, None]),
        (pd.Series([1, None, 2**63 - 1], dtype="Int64"), [1, None, 2**63 - 1]),
        (pd.Series([1.5, None], dtype="Float64"), [Decimal("1.5"), None]),
        (pd.Series([True, None], dtype="boolean"), [True, None]),
        (pd.Series([2**64 - 1], dtype="uint64"), [2**64 - 1]),
        (pd.Series(["x", None], dtype="string"), ["x", None]),
        (pd.Series(["x", None], dtype=pd.ArrowDtype(pa.string())), ["x", None]),
        (pd.Series(["x", None], dtype="category"), ["x", None]),
        (pd.Series([1, 2], dtype="category"), [1, 2]),
        (
            pd.Series(pd.to_datetime(["2020-01-01", "NaT"])).dt.tz_localize("Europe/Paris"),
            ["2019-12-31T23:00:00Z", None],
        ),
        (
            pd.Series(pd.to_datetime(["2020-01-01", "NaT"], utc=True))
            .dt.tz_convert("Asia/Tokyo")
            .astype("category"),
            ["2020-01-01T00:00:00Z", None],
        ),
    ],
    ids=repr,
)
def test_pandas_values_arrive(tmp_path: Path, values: Any, expected: list[Any]) -> None:
    """From any column users have, through Parquet, to JSON."""
    assert [document.get("k") for document in written(frame_of(values), tmp_path)] == expected


@pytest.mark.parametrize(
    "values",
    [
        [1, "a"],
        ["a", 1],
        ["a", ["a"]],
        [{"a": 1}, {"a": "x"}],
        [{1: 2}],
        ["\ud800"],
        [date(2020, 1, 1), datetime(2020, 1, 1, 5)],
        [datetime(2020, 1, 1, 5), date(2020, 1, 1)],
        [np.ones((2, 2))],
        [NotImplemented],
        pd.Series([1j]),
    ],
    ids=repr,
)
def test_values_without_a_common_type_are_named(tmp_path: Path, values: Any) -> None:
    """By their column, in the task that made them; nothing is written."""
    with pytest.raises(DatasetError, match=r"part.parquet: column 'k' holds values that have no common type"):
        written(frame_of(values), tmp_path)

    assert not list(tmp_path.iterdir())


def test_missing_lists_of_a_fixed_length_can_be_read_back(tmp_path: Path) -> None:
    """As polars' Array makes them; pyarrow before version 26 would not."""
    lists = pa.array([None, [True, False], None, [False, None], None], pa.list_(pa.bool_(), 2))
    ids = [f"test://{row}" for row in range(len(lists))]

    documents = written(pa.table({"documentId": ids, "k": lists}).slice(1), tmp_path)

    assert [document.get("k") for document in documents] == [[True, False], None, [False], None]


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        (pa.string_view(), ["a", None, "a text that takes more than sixteen bytes"]),
        (pa.list_(pa.string_view()), [["a"], None, []]),
        (pa.list_(pa.string_view(), 2), [["a", "b"], None, ["c", "d"]]),
        (pa.struct([("p", pa.string_view())]), [{"p": "a"}, None, {"p": "b"}]),
        (pa.map_(pa.string_view(), pa.string_view()), [{"p": "a"}, None, {}]),
    ],
    ids=str,
)
def test_views_of_texts_are_texts(tmp_path: Path, dtype: pa.DataType, values: list[Any]) -> None:
    """Their size is what pyarrow cannot tell before version 24."""
    items = [value and [*value.items()] if pa.types.is_map(dtype) else value for value in values]
    table = pa.table({"documentId": ["test://0", "test://1", "test://2"], "k": pa.array(items, dtype)})

    assert [document.get("k") for document in written(table, tmp_path)] == values


def test_views_of_texts_in_parquet_are_texts(tmp_path: Path) -> None:
    """In a part of a user's own."""
    table = pa.table({"documentId": pa.array(["test://0"], pa.string_view())})
    pq.write_table(table, tmp_path / "part.parquet")

    with (tmp_path / "part.parquet").open("rb") as file:
        part = Part(file, "part")
        assert [batch.schema for batch in part.batches()] == [part.schema]
        assert part.schema.types == [pa.large_string()]


@pytest.mark.parametrize(
    "values",
    [
        pd.Series(pd.period_range("2020", periods=2)),
        pd.Series(pd.to_timedelta([1, 2], unit="s")),
        pd.Series(pd.interval_range(0, 2)),
        [b"x"],
        [[["a"]]],
        [datetime(2020, 1, 1, 5).time()],
    ],
    ids=repr,
)
def test_types_the_api_does_not_take_are_named(tmp_path: Path, values: Any) -> None:
    """By their column."""
    with pytest.raises(DatasetError, match=r"part.parquet: column 'k' holds .*does not take as metadata"):
        written(frame_of(values), tmp_path)


@pytest.mark.parametrize(
    ("frame", "problem"),
    [
        (pd.DataFrame({"title": ["x"]}), "column documentId is missing"),
        (pd.DataFrame([["a:b", 1, 2]], columns=["documentId", "k", "k"]), "column 'k' stands twice"),
        (pd.DataFrame([["a:b", 1]], columns=["documentId", 0]), "column 0 is not named by a text"),
        (pd.DataFrame({("a", "b"): [1]}), r"column \('a', 'b'\) is not named by a text"),
        (pd.DataFrame({"documentId": ["a:b"], "K": [1], "k": [1]}), "'K' and 'k' are the same key"),
        (pd.DataFrame({"documentId": pd.Series([], dtype="string")}), "has no rows"),
        (pa.table({"documentId": ["a:b"], "k": [b"x"]}), "column 'k' holds binary"),
    ],
)
def test_a_frame_against_the_contract_is_refused(tmp_path: Path, frame: Any, problem: str) -> None:
    """Before anything is written."""
    with pytest.raises(DatasetError, match=problem):
        write_documents(frame, str(tmp_path / "part.parquet"))

    assert not list(tmp_path.iterdir())


def test_the_index_is_no_data(tmp_path: Path) -> None:
    """Nor does it have to be unique."""
    frame = frame_of(["x", "y"]).set_index(pd.Index([7, 7], name="row"))

    assert written(frame, tmp_path) == [
        {"documentId": "test://0", "k": "x"},
        {"documentId": "test://1", "k": "y"},
    ]


def test_an_arrow_table_is_written_as_it_is(tmp_path: Path) -> None:
    """Users of polars or Spark need no detour through pandas."""
    table = pa.table({"documentId": ["a:b"]})

    assert pq.read_table(write_documents(table, str(tmp_path / "x.parquet"))).equals(table)


def test_parts_of_a_folder_are_numbered(tmp_path: Path) -> None:
    """The folder is made when it is missing."""
    folder = tmp_path / "new" / "data-set"
    frame = frame_of(["x"])

    assert write_documents(frame, str(folder) + "/", index=3) == f"{folder}/part-00003.parquet"
    assert write_documents(frame, folder, index=12) == f"{folder}/part-00012.parquet"
    assert write_documents(frame, folder.as_uri(), index=0) == f"{folder.as_uri()}/part-00000.parquet"
    assert sorted(file.name for file in folder.iterdir()) == [
        "part-00000.parquet",
        "part-00003.parquet",
        "part-00012.parquet",
    ]


def test_a_percent_sign_in_a_path_is_one(tmp_path: Path) -> None:
    """No name is decoded, in a URI neither."""
    assert Path(write_documents(frame_of(["x"]), str(tmp_path / "100%20.parquet"))).name == "100%20.parquet"
    assert (tmp_path / "100%20.parquet").is_file()
    uri = f"file://{tmp_path}/a%20b/1.parquet"
    assert write_documents(frame_of(["x"]), uri) == uri
    assert (tmp_path / "a%20b" / "1.parquet").is_file()


@pytest.mark.parametrize(
    ("uri", "problem"),
    [("s3://bucket/part.parquet", "ObjectStoragePath"), ("file://data/part.parquet", "names the host data")],
)
def test_a_place_that_is_not_local_is_refused(uri: str, problem: str) -> None:
    """Remote ones are written to through Airflow's paths."""
    with pytest.raises(DatasetError, match=problem):
        write_documents(frame_of(["x"]), uri)


def test_anything_that_opens_for_writing_will_do() -> None:
    """Such as a path in object storage, whose folders need no making."""

    class Remote:
        protocol = "s3"
        sink = io.BytesIO()

        def __truediv__(self, name: str) -> Remote:
            assert name == "part-00001.parquet"
            return self

        def __str__(self) -> str:
            return "s3://bucket/part-00001.parquet"

        def open(self, mode: str) -> io.BytesIO:
            assert mode == "wb"
            self.sink.close = lambda: None  # type: ignore[method-assign]
            return self.sink

    remote = Remote()

    assert write_documents(frame_of(["x"]), remote, index=1) == "s3://bucket/part-00001.parquet"
    assert pq.read_table(remote.sink).num_rows == 1


def test_objects_without_any_key_are_kept(tmp_path: Path) -> None:
    """Though Parquet has no type for them, when they are so in every row."""
    assert [document.get("k") for document in written(frame_of([{}, None]), tmp_path)] == [{}, None]

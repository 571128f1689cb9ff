"""Which fields a dataset's metadata needs, and which values fit them: held to what the sandbox keeps."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coveo_provider.api.types import Field
from coveo_provider.documents.contract import Section
from coveo_provider.documents.dataset.tables import Part
from coveo_provider.documents.encoding.rows import Rows
from coveo_provider.fields.comparison import compare_fields, field_of
from coveo_provider.fields.metadata import Metadata, without_field
from coveo_provider.fields.specs import TYPES, FieldSpec, can_be_field
from coveo_provider.fields.values import fits
from coveo_provider.operators import CoveoEnsureSourceOperator, CoveoPushBatchOperator
from coveo_provider.sandbox import Sandbox
from tests.conftest import Connect
from tests.operators.conftest import run

UTC = dt.timezone.utc


def rows(*values: dict[str, Any]) -> Metadata:
    documents = [{"documentId": f"doc://{n}", **one} for n, one in enumerate(values)]
    return Metadata({Section.ADD_OR_UPDATE: [Rows(documents, "rows")]})


def columns(path: Path, **arrays: pa.Array) -> Metadata:
    count = len(next(iter(arrays.values())))
    ids = pa.array([f"doc://{n}" for n in range(count)])
    pq.write_table(pa.table({"documentId": ids, **arrays}), path / "part.parquet")
    return Metadata({Section.ADD_OR_UPDATE: [Part((path / "part.parquet").open("rb"), "part")]})


def spec(metadata: Metadata) -> FieldSpec:
    [only] = metadata.specs(metadata.keys)
    return only


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([1, None], pa.int64()), FieldSpec("a", "LONG")),
        (pa.array([2**31 - 1, -(2**31)], pa.int64()), FieldSpec("a", "LONG")),
        (pa.array([2**31], pa.int64()), FieldSpec("a", "LONG_64")),
        (pa.array([-(2**31) - 1], pa.int64()), FieldSpec("a", "LONG_64")),
        (pa.array([2**63], pa.uint64()), FieldSpec("a", "STRING")),
        (pa.array([1], pa.int8()), FieldSpec("a", "LONG")),
        (pa.array([1.5], pa.float32()), FieldSpec("a", "DOUBLE")),
        (pa.array([{"x": 0, "y": 2**31}, None]), FieldSpec("a", "LONG_64", dictionary=True)),
        (
            pa.array([[("x", 2**63)], []], pa.map_(pa.string(), pa.uint64())),
            FieldSpec("a", "STRING", dictionary=True),
        ),
        (pa.array([Decimal("1.50")]), FieldSpec("a", "DOUBLE")),
        (pa.array([Decimal(5)], pa.decimal128(38, 0)), FieldSpec("a", "LONG")),
        (pa.array([Decimal(2**60 + 1)], pa.decimal128(38, 0)), FieldSpec("a", "LONG_64")),
        (pa.array([Decimal(10**30)], pa.decimal128(38, 0)), FieldSpec("a", "STRING")),
        (pa.array([{"x": 2**53, "y": 0.5}]), FieldSpec("a", "STRING", dictionary=True)),
        (pa.array([{"x": 2**53 - 1, "y": 0.5}]), FieldSpec("a", "DOUBLE", dictionary=True)),
        (pa.array([True]), FieldSpec("a", "STRING")),
        (pa.array(["x"]).dictionary_encode(), FieldSpec("a", "STRING")),
        (pa.array([5, 2**40]).dictionary_encode(), FieldSpec("a", "LONG_64")),
        (pa.array([dt.date(2026, 1, 31)]), FieldSpec("a", "DATE")),
        (pa.array([dt.datetime(2026, 1, 31, tzinfo=UTC)]), FieldSpec("a", "DATE")),
        (pa.array([["x", "y"]]), FieldSpec("a", "STRING", multi_value=True)),
        (pa.array([[1, 2]]), FieldSpec("a", "STRING", multi_value=True)),
        (pa.array([{"en": "x"}]), FieldSpec("a", "STRING", dictionary=True)),
        (
            pa.array([[("s1", 1.5)]], pa.map_(pa.string(), pa.float64())),
            FieldSpec("a", "DOUBLE", dictionary=True),
        ),
    ],
)
def test_a_column_needs_a_field_of_its_type(tmp_path: Path, array: pa.Array, expected: FieldSpec) -> None:
    """In a file, and the same in rows."""
    assert spec(columns(tmp_path, a=array)) == expected
    values = [dict(one) if pa.types.is_map(array.type) else one for one in array.to_pylist()]
    assert spec(rows(*({"A": one} for one in values))) == expected


def test_a_mixture_is_text_and_nothing_is_no_field(tmp_path: Path) -> None:
    """A key without a value needs none, and one that no field can have gets none."""
    assert spec(rows({"a": 1}, {"a": "x"})) == FieldSpec("a", "STRING")
    assert spec(rows({"a": 1}, {"a": 1.5})) == FieldSpec("a", "DOUBLE")
    assert rows({"a": None}, {"A": float("nan")}).keys == {}
    assert columns(tmp_path, a=pa.nulls(2)).keys == {}
    assert rows({"Prix €": 1}).specs(["prix €"]) == []
    assert rows({"data": "x", "permissions": [], "fileExtension": ".x", "n": 1}).keys == {"n": "n"}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([np.int64(5), np.int64(2**40)], FieldSpec("a", "LONG_64")),
        ([np.uint8(5), pd.NA], FieldSpec("a", "LONG")),
        ([np.float32(0.5), np.float32("nan")], FieldSpec("a", "DOUBLE")),
        ([np.bool_(True)], FieldSpec("a", "STRING")),
        ([np.datetime64("2026-01-31"), np.datetime64("NaT")], FieldSpec("a", "DATE")),
        ([pd.Timestamp("2026-01-31"), pd.NaT], FieldSpec("a", "DATE")),
        ([1.5, pd.NaT], FieldSpec("a", "DOUBLE")),
        ([Decimal("1.5"), Decimal("NaN")], FieldSpec("a", "DOUBLE")),
        ([np.array([1, 2])], FieldSpec("a", "STRING", multi_value=True)),
        ([{"x": np.int32(1)}, {}], FieldSpec("a", "LONG", dictionary=True)),
    ],
)
def test_values_of_numpy_and_pandas_are_what_they_are_sent_as(values: list[Any], expected: FieldSpec) -> None:
    """In rows, as ``frame.to_dict("records")`` and ``row["price"]`` give them; and they fit the field made."""
    metadata = rows(*({"a": value} for value in values))
    assert spec(metadata) == expected
    assert metadata.unfit({"a": field_of(expected)}) == []


EMPTY = {
    "NaN": pa.array([float("nan"), None]),
    "numbers": pa.nulls(2, pa.int64()),
    "half": pa.array([np.float16("nan"), None], pa.float16()),
    "moments": pa.nulls(2, pa.timestamp("us")),
    "texts": pa.nulls(2, pa.string()),
    "words": pa.nulls(2, pa.string()).dictionary_encode(),
    "lists": pa.array([[], [None]], pa.list_(pa.string())),
    "nothings": pa.array([[], []]),
    "objects": pa.array([{"x": None}, None], pa.struct([("x", pa.int64())])),
    "maps": pa.array([[], [("x", None)]], pa.map_(pa.string(), pa.int64())),
}


@pytest.mark.parametrize("name", EMPTY)
def test_a_column_without_any_value_needs_no_field(tmp_path: Path, name: str) -> None:
    """Whatever its type, which says nothing of the values that come one day: as in rows, where it is no key."""
    metadata = columns(tmp_path, a=EMPTY[name])
    assert (metadata.filled(metadata.keys), metadata.specs(metadata.keys)) == ([], [])
    values = EMPTY[name].to_pylist() if name != "maps" else [{}, {"x": None}]
    assert rows(*({"a": value} for value in values)).keys == {}
    assert metadata.unfit({"a": Field("a", "LONG")}) == []
    plan = compare_fields([], columns(tmp_path, a=EMPTY[name], **{"Prix €": EMPTY[name]}), {})
    assert (plan.create, plan.nameless, plan.clashes) == ([], [], [])


@pytest.mark.parametrize("name", EMPTY)
def test_the_part_with_values_says_what_field_a_column_needs(tmp_path: Path, name: str) -> None:
    """A part of a day without a discount must not turn its numbers, or dates, into texts for ever."""
    dates = pa.array([dt.date(2026, 1, 31), None])
    parts = []
    for number, array in enumerate((EMPTY[name], dates)):
        file = tmp_path / f"{number}.parquet"
        pq.write_table(pa.table({"documentId": ["doc://1", "doc://2"], "a": array}), file)
        parts.append(Part(file.open("rb"), file.name))
    assert spec(Metadata({Section.ADD_OR_UPDATE: parts})) == FieldSpec("a", "DATE")


def test_what_is_no_metadata_needs_no_field() -> None:
    assert without_field(["documentId", "DATA", "contentUri", "Color", "size"], {"size"}, {"color"}) == []
    assert without_field(["Color", "b"], {"b"}) == ["Color"]


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (
            "LONG",
            [1, "12", -(2**31), Decimal("3"), None],
            [2**31, 1.0, "1.0", "1,000", True, Decimal("3.0"), ""],
        ),
        ("LONG_64", [2**40, str(2**62)], [2**63, "9" * 19]),
        (
            "DOUBLE",
            [1, 1.5, "1.5", "-2e3", Decimal("1.50"), 2**53, -(2**60), "9" * 15, Decimal("1e5"), 1e300],
            [
                *("12,5", "1.10 EUR", "", " 1", "NaN", "1_0", False),
                *(2**53 + 1, -(2**63) + 1, "9" * 20, Decimal(2**60 + 1), 10**350, "1e999", Decimal("1e999")),
            ],
        ),
        (
            "DATE",
            [
                dt.date(2026, 1, 31),
                "2026-01-31",
                "2026/01/31",
                "2026-01-31T08:30:00.123456789Z",
                "2026-01-31 08:30",
            ],
            ["31/01/2026", "Jan 31", "2026-02-30", "2026-01-31T25:00:00", 1769817600, "20260131", ""],
        ),
        ("STRING", ["x", 1, True, [1, "x"]], []),
        ("VECTOR", [[0.5, 1]], [["x"], [True]]),
    ],
)
def test_what_fits_a_type(kind: str, good: list[Any], bad: list[Any]) -> None:
    """What the service is only perhaps able to read does not fit."""
    assert [one for one in good if not fits(kind, one)] == []
    assert [one for one in bad if fits(kind, one)] == []


def test_values_that_do_not_fit_are_counted_with_examples(tmp_path: Path) -> None:
    """In columns whose type leaves it open; a list or an object fits when all of it does."""
    metadata = columns(
        tmp_path,
        n=pa.array([1, 2**31, 2**40, None, 5, 6], pa.int64()),
        when=pa.array(["2026-01-31", "Jan 31", "x", "y", "z", None]),
        names=pa.array([{"en": "x"}, *[None] * 5]),
        sizes=pa.array([["1", "x"], *[None] * 5]),
    )
    fields = {
        **{name: Field(name, "LONG") for name in ("n", "sizes")},
        **{"when": Field("when", "DATE"), "names": Field("names", "STRING")},
    }

    told = {one.key: one.told() for one in metadata.unfit(fields)}

    assert told["n"].startswith("n: 2 values of a field of type LONG, which takes a whole number of 32 bits")
    assert told["n"].endswith("such as 2147483648 (doc://1), 1099511627776 (doc://2)")
    assert told["when"].endswith('such as "Jan 31" (doc://1), "x" (doc://2), "y" (doc://3)')
    assert (
        told["names"]
        == 'names: 1 value of objects, and its field is no dictionary field, such as {"en":"x"} (doc://0)'
    )
    assert "sizes: 1 value" in told["sizes"]


def test_partial_updates_are_looked_at_by_the_field_they_name() -> None:
    """What is taken away from a field has to fit nothing."""
    changes = [
        {"documentId": "doc://1", "operator": operator, "field": name, "value": value}
        for operator, name, value in (
            ("fieldValueReplace", "Price", "12,5"),
            ("fieldValueReplace", "stock", None),
            ("arrayAppend", "sizes", ["41"]),
            ("arrayRemove", "gone", ["x"]),
            ("dictionaryPut", "prices", {"s1": 1.5}),
            ("fieldValueReplace", "sold", dt.date(2026, 1, 31)),
        )
    ]
    metadata = Metadata({Section.PARTIAL_UPDATE: [Rows(changes, "changes")]})

    assert metadata.keys == {
        one.lower(): one for one in ("Price", "stock", "sizes", "gone", "prices", "sold")
    }
    [unfit] = metadata.unfit({"price": Field("price", "DOUBLE"), "gone": Field("gone", "LONG")})
    assert unfit.examples == [("doc://1", '"12,5"')]
    assert metadata.specs(["sizes", "prices", "sold"]) == [
        FieldSpec("sizes", "STRING", multi_value=True),
        FieldSpec("prices", "DOUBLE", dictionary=True),
        FieldSpec("sold", "DATE"),
    ]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (pa.array([dt.datetime(2026, 1, 31, tzinfo=UTC)]), "DATE"),
        (pa.array([Decimal("1.50")]), "DOUBLE"),
        (pa.array([2**40]), "LONG_64"),
        (pa.array(['"2026-01-31"']), "STRING"),
        (pa.array([f"{2**63}"]), "STRING"),
        (pa.array(["1.5"]).dictionary_encode(), "DOUBLE"),
    ],
)
def test_partial_updates_in_a_file_need_the_field_that_documents_need(
    tmp_path: Path, value: pa.Array, expected: str
) -> None:
    """A column of another type than text holds the values themselves, one of text their JSON."""
    entry = {"documentId": ["doc://1"], "operator": ["fieldValueReplace"], "field": ["A"], "value": value}
    pq.write_table(pa.table(entry), tmp_path / "changes.parquet")
    changes = Part((tmp_path / "changes.parquet").open("rb"), "changes")
    assert spec(Metadata({Section.PARTIAL_UPDATE: [changes]})) == FieldSpec("a", expected)


def test_a_field_that_is_there_is_compared_by_what_it_takes() -> None:
    """One of another type will do where nothing is declared, and all values fit."""
    metadata = rows({"a": 1, "b": "2026-01-31", "c": ["x"], "d": 2**40})
    there = {
        "a": Field("a", "DOUBLE"),
        "b": Field("b", "DATE"),
        "c": Field("c", "STRING"),
        "d": Field("d", "LONG"),
    }
    plan = compare_fields([], metadata, there)
    assert (plan.create, plan.fitting) == ([], 3)
    assert [one.told() for one in plan.differs] == ["field c: multi_value is false, not true"]
    assert plan.clashes == [
        "d: 1 value of a field of type LONG, which takes a whole number of 32 bits, from -2,147,483,648 to "
        "2,147,483,647, such as 1099511627776 (doc://0)"
    ]
    plan = compare_fields([FieldSpec("d", "LONG_64")], metadata, {})
    assert {one.name: one.type for one in plan.create} == {
        "a": "LONG",
        "b": "STRING",
        "c": "STRING",
        "d": "LONG_64",
    }
    assert plan.clashes == []


SCALARS = [
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**31), 2**31 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.text(max_size=8),
    st.datetimes(dt.datetime(1970, 1, 1), dt.datetime(2100, 1, 1)),
    st.dates(dt.date(1970, 1, 1), dt.date(2100, 1, 1)),
    st.decimals(-(10**6), 10**6, places=2),
]
VALUES = st.sampled_from(SCALARS).flatmap(
    lambda one: st.one_of(
        st.just(one),
        st.just(st.lists(one, min_size=1, max_size=3)),
        st.just(st.fixed_dictionaries({"x": one, "y": one})),
    )
)
KEYS = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,6}", fullmatch=True).filter(
    lambda key: key.lower() not in {"data"}
)


@st.composite
def frames(draw: st.DrawFn) -> dict[str, list[Any]]:
    """Return columns of up to four keys, each of one kind of values, some of them absent."""
    keys = draw(st.lists(KEYS, min_size=1, max_size=4, unique_by=str.lower))
    return {
        key: draw(
            st.lists(st.none() | draw(VALUES), min_size=3, max_size=3).filter(
                lambda v: any(x is not None for x in v)
            )
        )
        for key in keys
    }


@pytest.fixture(scope="module")
def strict() -> Iterator[Sandbox]:
    with Sandbox.start(strict_fields=True) as running:
        yield running


def as_numpy(value: Any) -> Any:
    """Return a value as a row of a DataFrame gives it."""
    if isinstance(value, dict):
        return {key: as_numpy(one) for key, one in value.items()}
    if isinstance(value, list):
        return np.array(value) if all(isinstance(one, float) for one in value) else list(map(as_numpy, value))
    if isinstance(value, dt.datetime):
        return np.datetime64(value)
    if isinstance(value, (bool, float)) or (isinstance(value, int) and -(2**63) <= value < 2**63):
        return np.array([value])[0]
    return pd.NA if value is None else value


@given(frames(), st.sampled_from(["part", "rows", "numpy", "pandas", "polars"]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_all_metadata_of_any_frame_is_kept_by_the_fields_that_are_made_for_it(
    strict: Sandbox, connect: Connect, tmp_path: Path, frame: dict[str, list[Any]], given_as: str
) -> None:
    """Over the socket: fields are created, documents pushed, and the index drops nothing of them."""
    connect(strict)
    strict.reset()
    strict.state.fields.delete([one["name"] for one in strict.state.fields.all()])
    ids = [f"doc://{n}" for n in range(3)]
    table = pa.table({"documentId": ids, **{key: pa.array(values) for key, values in frame.items()}})
    pq.write_table(table, tmp_path / "part.parquet")
    part = (tmp_path / "part.parquet").as_uri()
    plain_rows = [{"documentId": one, **{key: frame[key][n] for key in frame}} for n, one in enumerate(ids)]
    documents: Any = {
        "part": part,
        "rows": plain_rows,
        "numpy": [{key: as_numpy(value) for key, value in row.items()} for row in plain_rows],
        "pandas": table.to_pandas(),
        "polars": pl.DataFrame(table),
    }[given_as]

    push = CoveoPushBatchOperator(task_id="push", source_id="files", documents=documents, fields="create")
    run(push)

    strict.settle()
    assert [one.meta["error"] for one in strict.logs("files") if one.task == "MAPPING"] == []
    for n, one in enumerate(ids):
        item = strict.item("files", one) or {}
        assert {key for key in frame if frame[key][n] is not None} <= item.keys()
    assert all(map(can_be_field, frame))
    if given_as != "pandas":  # which makes floats of whole numbers with gaps
        with (tmp_path / "part.parquet").open("rb") as file:
            specs = Metadata({Section.ADD_OR_UPDATE: [Part(file, "part")]}).specs(map(str.lower, frame))
        types = {one["name"]: one["type"] for one in strict.state.fields.all()}
        assert types == {one.name: one.type for one in specs}


@given(
    st.lists(
        st.dictionaries(KEYS, st.none() | VALUES.flatmap(lambda one: one), min_size=1, max_size=3).filter(
            lambda row: len({key.lower() for key in row}) == len(row)
        ),
        min_size=1,
        max_size=4,
    )
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_fields_that_are_ensured_for_any_mixture_keep_all_of_it_and_are_ensured_once(
    strict: Sandbox, connect: Connect, found: list[dict[str, Any]]
) -> None:
    """Values of a key are of another kind in each row; a second run finds nothing to do."""
    connect(strict)
    strict.reset()
    strict.state.fields.delete([one["name"] for one in strict.state.fields.all()])
    documents = [{"documentId": f"doc://{n}", **row} for n, row in enumerate(found)]

    run(CoveoEnsureSourceOperator(task_id="first", source_id="files", documents=documents))
    run(CoveoPushBatchOperator(task_id="push", source_id="files", documents=documents, fields="fail"))

    strict.settle()
    assert [one.meta["error"] for one in strict.logs("files") if one.task == "MAPPING"] == []
    told = run(CoveoEnsureSourceOperator(task_id="second", source_id="files", documents=documents))
    assert (told["changed"], told["differs"], told["missing"]) == (False, [], [])


@given(frames(), st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_field_drops_was_told_of_rows_and_of_columns(
    strict: Sandbox, connect: Connect, tmp_path: Path, frame: dict[str, list[Any]], data: st.DataObject
) -> None:
    """Of fields of any type, with or without objects: the two forms are told the same."""
    connect(strict)
    strict.reset()
    strict.state.fields.delete([one["name"] for one in strict.state.fields.all()])
    known = {
        key.lower(): Field(
            key.lower(), data.draw(st.sampled_from(TYPES)), dictionary=data.draw(st.booleans())
        )
        for key in frame
    }
    strict.state.fields.create(
        [{"name": one.name, "type": one.type, "keyValue": one.dictionary} for one in known.values()]
    )
    ids = [f"doc://{n}" for n in range(3)]
    documents = [{"documentId": one, **{key: frame[key][n] for key in frame}} for n, one in enumerate(ids)]
    table = pa.table({"documentId": ids, **{key: pa.array(values) for key, values in frame.items()}})
    pq.write_table(table, tmp_path / "part.parquet")
    with (tmp_path / "part.parquet").open("rb") as file:
        told = Metadata({Section.ADD_OR_UPDATE: [Part(file, "part")]}).unfit(known)
    of_rows = Metadata({Section.ADD_OR_UPDATE: [Rows(documents, "rows")]}).unfit(known)
    run(CoveoPushBatchOperator(task_id="push", source_id="files", documents=documents, fields="off"))

    strict.settle()
    assert sorted((one.key, one.count) for one in told) == sorted((one.key, one.count) for one in of_rows)
    dropped = {one.meta["error"].split("'")[1] for one in strict.logs("files") if one.task == "MAPPING"}
    assert dropped <= {one.key for one in told}

"""Files of an extract become a dataset that is checked whole."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from airflow.sdk import ObjectStoragePath

from coveo_provider._compat import AirflowFailException
from coveo_provider.operators import (
    CoveoCheckDatasetOperator,
    CoveoPushBatchOperator,
    CoveoTransformOperator,
)
from coveo_provider.operators.support import dataset_writing
from coveo_provider.sandbox import Sandbox
from tests.operators.conftest import run
from tests.operators.staging import MAPPING, SHOES, Staging, at, csv, ndjson, rows_of

EXPECTED = [
    {"documentId": f"product://{row['sku']}", "ec_name": row["name"], "price": row["price"]} for row in SHOES
]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("shoes.csv", csv(SHOES)),
        ("shoes.csv.gz", gzip.compress(csv(SHOES))),
        ("shoes.ndjson", ndjson(SHOES)),
        ("shoes.jsonl.gz", gzip.compress(ndjson(SHOES))),
        ("shoes.json", json.dumps(SHOES).encode()),
        ("shoes.parquet", pd.DataFrame(SHOES).to_parquet()),
    ],
    ids=["csv", "csv.gz", "ndjson", "jsonl.gz", "json", "parquet"],  # gzip's bytes tell the time
)
def test_a_file_of_any_format_becomes_the_same_dataset(staging: Staging, name: str, data: bytes) -> None:
    """In batches of seven rows."""
    parts = staging.make(staging.put(name, data), batch_rows=7)

    assert rows_of(parts) == EXPECTED
    manifest = staging.manifest()
    assert (manifest["complete"], manifest["rows"], manifest["kind"]) == (True, 200, "documents")
    assert [f"{staging.output}/{part['name']}" for part in manifest["parts"]] == parts


def test_any_format_and_storage_gives_the_same_content_hash(staging: Staging, remote: Staging) -> None:
    """And what is read from far away is what was written there."""
    shas = set()
    for place in (staging, remote):
        for name, data in [
            ("a.csv", csv(SHOES)),
            ("a.ndjson", ndjson(SHOES)),
            ("a.json", json.dumps(SHOES).encode()),
        ]:
            parts = place.make(place.put(name, data), part_bytes=dataset_writing.MIN_PART_BYTES)
            shas.add(place.manifest()["sha256"])
            assert run(CoveoCheckDatasetOperator(task_id="check", documents=place.output)) == parts
            assert run(CoveoCheckDatasetOperator(task_id="check", documents=parts)) == parts

    assert len(shas) == 1
    assert rows_of(parts) == EXPECTED


def test_a_function_comes_before_the_mapping(staging: Staging) -> None:
    """It gets batches, and may drop and add rows."""
    seen = []

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        seen.append(len(frame))
        dear: pd.DataFrame = frame[frame["price"] >= 25].assign(name=lambda one: one["name"].str.upper())
        return dear

    parts = staging.make(staging.put("a.csv", csv(SHOES)), transform=change, batch_rows=60)

    assert seen == [60, 60, 60, 20]
    assert [row["ec_name"] for row in rows_of(parts)] == [f"SHOE {n}" for n in range(100, 200)]


def test_without_mapping_and_function_rows_pass_as_they_are(staging: Staging) -> None:
    """A folder of many small files becomes few parts; hidden files and our own are passed over."""
    for n in range(5):
        staging.put(f"in/{n}.parquet", pd.DataFrame({"documentId": [f"a:{n}"], "n": [n]}).to_parquet())
    staging.put("in/_SUCCESS", b"")
    staging.put("in/.hidden", b"")

    parts = staging.make(str(staging.root / "raw" / "in"), mapping=None)

    assert len(parts) == 1
    assert rows_of(parts) == [{"documentId": f"a:{n}", "n": n} for n in range(5)]


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        (
            "deletions",
            [{"documentId": "a:1", "deleteChildren": True}, {"documentId": "a:2", "deleteChildren": None}],
        ),
        (
            "partial_updates",
            [{"documentId": "a:1", "operator": "fieldValueReplace", "field": f, "value": "1"} for f in "xy"],
        ),
    ],
)
def test_other_kinds_are_checked_as_what_they_are(
    staging: Staging, kind: str, rows: list[dict[str, Any]]
) -> None:
    """And are no documents."""
    source = staging.put("a.ndjson", ndjson(rows))

    parts = staging.make(source, mapping=None, kind=kind)

    assert rows_of(parts) == rows
    assert staging.manifest()["kind"] == kind


def test_more_parts_than_airflow_maps_over_are_grouped(
    staging: Staging, monkeypatch: pytest.MonkeyPatch, connected: Sandbox
) -> None:
    """Into runs of neighbours of equal length, which an operator takes as they are."""
    monkeypatch.setattr(dataset_writing, "MIN_PART_BYTES", 200)
    source = staging.put("a.csv", csv(SHOES))
    all_parts = staging.make(source, part_bytes=400)
    assert len(all_parts) == 40

    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "12")
    groups = staging.make(source, part_bytes=400)

    assert [part for group in groups for part in group] == all_parts
    assert sorted(map(len, groups)) == [3] * 8 + [4] * 4
    assert run(CoveoCheckDatasetOperator(task_id="check", documents=groups)) == groups
    for group in groups:
        run(CoveoPushBatchOperator(task_id="push", source_id="files", documents=group))
    connected.settle()
    assert connected.count("files") == 200


def test_a_second_try_replaces_what_the_first_wrote(staging: Staging) -> None:
    """Of a dataset that was complete or not; other parts do not stay behind."""
    wide = staging.put("wide.ndjson", ndjson([{**row, "name": "x" * 30_000} for row in SHOES]))
    assert len(staging.make(wide, part_bytes=dataset_writing.MIN_PART_BYTES)) == 6

    parts = staging.make(staging.put("a.csv", csv(SHOES)))

    assert sorted(staging.files()) == ["_hashes/part-00000.parquet", "_manifest.json", "part-00000.parquet"]
    assert rows_of(parts) == EXPECTED


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        (["notes.txt"], "holds notes.txt, and no _manifest.json"),
        (["part-00000.parquet"], "holds part-00000.parquet, and no _manifest.json"),
        (["_manifest.json"], "is not the manifest of a dataset"),
    ],
)
def test_nothing_of_others_is_deleted(staging: Staging, files: list[str], problem: str) -> None:
    """A folder that a transform did not write is refused, and stays as it was."""
    for name in files:
        staging.put(f"../documents/{name}", b"mine")
    folder = Path(ObjectStoragePath(staging.output).path)
    folder.mkdir(parents=True, exist_ok=True)
    for name in files:
        (folder / name).write_bytes(b"mine")

    with pytest.raises(AirflowFailException, match=problem):
        staging.make(staging.put("a.csv", csv(SHOES)))

    assert {(folder / name).read_bytes() for name in files} == {b"mine"}


def test_a_dataset_with_something_else_in_its_folder_is_not_emptied(staging: Staging) -> None:
    """Nor is any of it deleted."""
    source = staging.put("a.csv", csv(SHOES))
    staging.make(source)
    folder = Path(ObjectStoragePath(staging.output).path)
    (folder / "sub").mkdir()
    (folder / "sub" / "notes.txt").write_text("mine")
    before = staging.files()

    with pytest.raises(AirflowFailException, match=r"holds sub/notes\.txt, which is no part of a dataset"):
        staging.make(source)

    assert staging.files() == before


@pytest.mark.parametrize("output", ["raw", "raw/sub", ".", "raw/a.csv"])
def test_the_output_lies_apart_from_the_source(staging: Staging, output: str) -> None:
    """Or the source might be deleted."""
    source = staging.put("a.csv", csv(SHOES))
    target = str(staging.root) if output == "." else str(staging.root / output)

    with pytest.raises(
        AirflowFailException, match=r"the same folder, or one lies in the other|and no _manifest\.json"
    ):
        staging.make(str(staging.root / "raw"), output=target)
    if output != "raw/sub":  # beside the one file that is the source, it is in nobody's way
        with pytest.raises(AirflowFailException):
            staging.make(source, output=target)

    with at(source).open("rb") as file:
        assert file.read() == csv(SHOES)


FAILURES: dict[str, tuple[str, bytes, dict[str, Any], str]] = {
    "twice over files": ("a.csv", csv([SHOES[0]]), {}, r"product://0000 2 times in .*part-00000.parquet"),
    "no rows": ("b.csv", b"sku,name,price\n", {}, "hold no rows: an empty dataset would empty the index"),
    "bad id": (
        "a.csv",
        b"sku,name,price\na b,x,1\n",
        {},
        r"a\.csv, row 0: row 0: documentId .* is not a URI",
    ),
    "column missing": ("a.csv", b"sku,price\n1,2\n", {}, r"missing columns: 'name' \(for ec_name\)"),
    "too large": (
        "a.csv",
        b"sku,name,price\n1," + b"x" * 3_000_001 + b",2\n",
        {"stream": True},
        "over the limit of 3,0",
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_refused_extract_leaves_no_dataset(staging: Staging, case: str) -> None:
    """Though parts may lie there: the folder cannot be loaded."""
    name, data, options, problem = FAILURES[case]
    good = b"sku,name,price\n" if case == "no rows" else csv(SHOES)
    sources = [staging.put(f"good-{name}", good)]
    sources = [staging.put(name, data), *([] if case == "column missing" else sources)]

    with pytest.raises(AirflowFailException, match=problem):
        staging.make(sources, **options)

    parts = [f"{staging.output}/{name}" for name in staging.files() if name.startswith("part")]
    assert bool(parts) is (case == "twice over files")
    for documents in (staging.output, *parts):
        with pytest.raises(AirflowFailException, match="half-written"):
            run(CoveoCheckDatasetOperator(task_id="check", documents=documents))


def test_rows_that_a_function_all_drops_are_refused(staging: Staging) -> None:
    """An extract that is empty by accident must not look like an empty index."""
    with pytest.raises(AirflowFailException, match="200 rows, of which none is left"):
        staging.make(staging.put("a.csv", csv(SHOES)), transform=lambda frame: frame.iloc[:0])


def test_a_failing_function_is_for_airflow_to_show(
    staging: Staging, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its own error, so that a passing one is retried; the rows are logged."""

    def fail(frame: pd.DataFrame) -> pd.DataFrame:
        raise KeyError("colour")

    with pytest.raises(KeyError, match="colour"):
        staging.make(staging.put("a.csv", csv(SHOES)), transform=fail, batch_rows=50)
    assert "a.csv, rows 0 to 49" in capsys.readouterr().out
    with pytest.raises(AirflowFailException, match="returned NoneType, expected a DataFrame"):
        staging.make(staging.put("a.csv", csv(SHOES)), transform=lambda frame: None)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"part_bytes": 100}, "part_bytes must lie between 1,048,576 and 268,435,456"),
        ({"part_bytes": True}, "part_bytes must lie between"),
        ({"kind": "things"}, "unknown kind 'things': expected one of documents, deletions, partial_updates"),
        ({"batch_rows": 0}, "batch_rows must be"),
        ({"file_format": "xml"}, "unknown file_format"),
        ({"output": " "}, "output must be the URI of a folder"),
        ({"source": []}, "the list of files is empty"),
        ({"source": None}, "give either source"),
        ({"source": "file:///nowhere/a.csv"}, "file:///nowhere/a.csv is missing"),
        ({"json_records": "a"}, "json_records is for json files"),
    ],
    ids=repr,
)
def test_wrong_arguments_are_refused(staging: Staging, options: dict[str, Any], problem: str) -> None:
    """Before anything is written."""
    source = options.pop("source", "unset")
    source = staging.put("a.csv", csv(SHOES)) if source == "unset" else source

    with pytest.raises(AirflowFailException, match=problem):
        staging.make(source, **options)

    assert staging.files() == {}


def test_an_empty_folder_and_a_file_given_twice_are_refused(staging: Staging) -> None:
    """As mistakes of the extract."""
    source = staging.put("a.csv", csv(SHOES))
    empty = staging.root / "empty"
    empty.mkdir()

    with pytest.raises(AirflowFailException, match="holds no file: did the extract fail"):
        staging.make(str(empty))
    with pytest.raises(AirflowFailException, match=r"a\.csv is listed twice"):
        staging.make([source, source])


def test_a_changed_file_behind_a_content_uri_changes_the_hash(staging: Staging) -> None:
    """Though the row is the same."""
    text = staging.put("../texts/one.txt", b"one")
    source = staging.put("a.ndjson", ndjson([{"documentId": "a:1", "contentUri": text}]))

    def sha256() -> str:
        staging.make(source, mapping=None)
        return str(staging.manifest()["sha256"])

    first = sha256()
    assert sha256() == first
    staging.put("../texts/one.txt", b"other")
    assert sha256() != first
    ObjectStoragePath(text).unlink()
    with pytest.raises(AirflowFailException, match=r"contentUri .*one.txt is missing"):
        sha256()


def test_arguments_are_rendered(staging: Staging) -> None:
    """As Airflow does before a task runs."""
    operator = CoveoTransformOperator(
        task_id="transform", source="{{ ds }}/a.csv", output="{{ ds }}/out", mapping=MAPPING
    )

    operator.render_template_fields({"ds": "2026-01-01"})

    assert (operator.source, operator.output_uri) == ("2026-01-01/a.csv", "2026-01-01/out")


def test_what_it_was_checked_for_is_said_once(connected: Sandbox, staging: Staging) -> None:
    """The manifest tells the check; without one the check takes it for a Push source, unless it is told."""
    rows = [{"sku": "1", "name": "x" * 3_500_000, "price": 1}]
    parts = staging.make(staging.put("a.ndjson", ndjson(rows)))
    assert run(CoveoCheckDatasetOperator(task_id="check", documents=staging.output)) == parts
    with pytest.raises(AirflowFailException, match="3,000,000"):
        run(CoveoCheckDatasetOperator(task_id="check", documents=staging.output, stream=True))
    manifest = staging.root / "documents" / "_manifest.json"
    with manifest.open("r") as file:
        text = file.read()
    with manifest.open("w") as file:
        file.write(text.replace('"api": "push"', '"api": "stream"'))
    with pytest.raises(AirflowFailException, match="3,000,000"):
        run(CoveoCheckDatasetOperator(task_id="check", documents=parts))


def test_dates_in_a_local_order_are_warned_of_once(
    staging: Staging, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the name that the column has in the documents."""
    rows = [{**row, "price": "31/12/2026"} for row in SHOES]

    staging.make(staging.put("a.csv", csv(rows)), batch_rows=7)

    assert capsys.readouterr().out.count("Column 'price' holds dates in a local order") == 1


@pytest.mark.parametrize("name", ["a.csv", "a.tsv.gz", "a.json", "a.xlsx"])
@pytest.mark.parametrize("inside", [False, True])
def test_an_extract_is_no_dataset(staging: Staging, name: str, inside: bool) -> None:
    """Whoever hands one to an operator that takes datasets is told which one makes them."""
    source = staging.put(f"extract/{name}", csv(SHOES))
    documents = str(staging.root / "raw" / "extract") if inside else source
    check = CoveoCheckDatasetOperator(task_id="check", documents=documents)

    with pytest.raises(
        AirflowFailException, match=rf"{name} is .*CoveoTransformOperator makes a dataset of CSV"
    ):
        run(check)


def test_the_dialect_of_csv_is_given(staging: Staging) -> None:
    """As arguments of the operator."""
    text = "sku;name;price\n1;'He said \\'hi\\'; really';\\N\n"
    options = {"csv_separator": ";", "csv_quote": "'", "csv_escape": "\\"}

    parts = staging.make(staging.put("a.csv", text.encode()), **options)

    (row,) = rows_of(parts)
    assert (row["ec_name"], row.get("price")) == ("He said 'hi'; really", None)
    assert staging.manifest()["types"] == {"name": "string"}
    with pytest.raises(AirflowFailException, match="csv_quote is for csv files, and these are ndjson"):
        staging.make(staging.put("b.ndjson", ndjson(SHOES)), csv_quote=None)


def test_a_mapping_in_a_file_is_read_when_the_task_runs(tmp_path: Path) -> None:
    """Another word in the file is another mapping, so everything is sent anew; an error names file and line."""
    rows, mapping = tmp_path / "rows.csv", tmp_path / "mapping.yaml"
    rows.write_text("sku,name\n1,Boot\n")
    found: list[str] = []
    for text in ("title: name", "title: {template: 'The {name}'}", "title: {tempalte: x}"):
        mapping.write_text(f"document_id: product://{{sku}}\nfields:\n  {text}\n")
        output = tmp_path / f"out-{len(found)}"
        operator = CoveoTransformOperator(
            task_id="transform", source=rows.as_uri(), output=output.as_uri(), mapping=mapping.as_uri()
        )
        if "tempalte" in text:
            with pytest.raises(AirflowFailException, match=r"mapping\.yaml, line 3: fields\.title\.tempalte"):
                run(operator)
            continue
        run(operator)
        found.append(json.loads((output / "_manifest.json").read_text())["mapping"])
    assert len(set(found)) == 2
    with pytest.raises(AirflowFailException, match=r"mapping: .*is missing"):
        run(
            CoveoTransformOperator(
                task_id="t", source=rows.as_uri(), output=(tmp_path / "o").as_uri(), mapping="no.yaml"
            )
        )

"""Folders as Hive and Spark write them: what stands in their names is a column of every row below."""

from __future__ import annotations

import io
import json
import logging

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coveo_provider._compat import AirflowFailException
from coveo_provider.documents import DocumentMapping
from coveo_provider.operators import CoveoCheckDatasetOperator, CoveoPushBatchOperator
from coveo_provider.sandbox import Sandbox
from tests.operators.conftest import run
from tests.operators.staging import Staging, rows_of

_ALL = DocumentMapping("product://{sku}", keep="*")
_FOLDERS = {
    "country=de": "de",
    "country=a%20b%2F%C3%BC%3D": "a b/ü=",
    "country=__HIVE_DEFAULT_PARTITION__": None,
    "country=x=y": "x=y",
    "country=": "",
    "country=007": "007",
}


def _file(form: str, row: dict[str, str]) -> bytes:
    if form == "parquet":
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist([row]), sink)
        return sink.getvalue()
    if form == "csv":
        return ",".join(row).encode() + b"\n" + ",".join(row.values()).encode()
    return json.dumps([row] if form == "json" else row).encode()


def _folders(staging: Staging, form: str) -> str:
    """Write a file into each folder, and what Spark and Hadoop leave beside them; return the folder of all."""
    for number, folder in enumerate(_FOLDERS):
        row = {"sku": f"s{number}", "documentId": f"product://s{number}"}
        staging.put(f"dt=2026-01-01/{folder}/part-0000{number}.snappy.{form}", _file(form, row))
    for junk in (
        "_SUCCESS",
        "._SUCCESS.crc",
        "country=de/.part-00000.crc",
        "_temporary/0/part-0",
        "_metadata",
    ):
        staging.put(f"dt=2026-01-01/{junk}", b"junk")
    return str(staging.root / "raw" / "dt=2026-01-01")


@pytest.mark.parametrize("form", ["parquet", "csv", "ndjson", "json"])
@pytest.mark.parametrize(
    "mapping", [None, DocumentMapping("{documentId}", keep="*")], ids=["as it is", "mapped"]
)
def test_a_folder_is_a_column_of_texts(
    staging: Staging, form: str, mapping: DocumentMapping | None, caplog: pytest.LogCaptureFixture
) -> None:
    """In every format, with and without a mapping; what stands above the named folder is none, and logged."""
    with caplog.at_level(logging.INFO):
        parts = staging.make(_folders(staging, form), mapping=mapping)

    found = {row["documentId"]: row["country"] for row in rows_of(parts)}
    assert found == {f"product://s{n}": value for n, value in enumerate(_FOLDERS.values())}
    assert not any("dt" in row for row in rows_of(parts))
    assert caplog.text.count("dt in its path is no column") == 1


@pytest.mark.parametrize("form", ["parquet", "csv", "ndjson", "json"])
def test_a_column_that_says_something_else_is_refused(staging: Staging, form: str) -> None:
    """Or two folders that do."""
    row = {"sku": "s", "country": "fr"}
    staging.put(f"country=fr/a.{form}", _file(form, row))
    folder = str(staging.root / "raw")
    assert [row["country"] for row in rows_of(staging.make(folder, mapping=_ALL))] == ["fr"]
    staging.put(f"country=de/a.{form}", _file(form, row))
    with pytest.raises(
        AirflowFailException, match=r"country=de/a\.\w+: its folder says that country is 'de'"
    ):
        staging.make(folder, mapping=_ALL)


def test_two_folders_that_name_one_column_are_refused(staging: Staging) -> None:
    """Nothing says which of them counts."""
    staging.put("a=1/a=2/x.ndjson", b'{"sku": "s"}')
    with pytest.raises(AirflowFailException, match="two of its folders name the column 'a'"):
        staging.make(str(staging.root / "raw"), mapping=_ALL)


def test_a_dataset_that_is_sent_as_it_is_has_the_column_too(connected: Sandbox, staging: Staging) -> None:
    """Handed to an operator that sends; the check, whose parts are mapped over, refuses it."""
    folder = _folders(staging, "parquet")

    run(CoveoPushBatchOperator(task_id="push", source_id="files", documents=folder))

    connected.settle()
    sent = connected.items("files")
    assert {key: item.get("country") for key, item in sent.items()} == {
        f"product://s{n}": value for n, value in enumerate(_FOLDERS.values())
    }
    with pytest.raises(AirflowFailException, match="the value of country stands in its path"):
        run(CoveoCheckDatasetOperator(task_id="check", documents=folder))


def test_the_index_of_pandas_is_left_out_with_one_line(
    connected: Sandbox, staging: Staging, caplog: pytest.LogCaptureFixture
) -> None:
    """In the transform and where a dataset is sent as it is, once for all of its files."""
    frame = pd.DataFrame({"documentId": [f"product://{n}" for n in range(6)], "n": range(6)})
    for name, rows in (("a", [0, 1, 3]), ("b", [2, 4, 5])):
        staging.put(f"{name}.parquet", frame.loc[rows].to_parquet(index=True))
    folder = str(staging.root / "raw")

    with caplog.at_level(logging.INFO):
        parts = staging.make(folder, mapping=None)
    assert {tuple(row) for row in rows_of(parts)} == {("documentId", "n")}
    assert caplog.text.count("left out __index_level_0__") == 1

    caplog.clear()
    with caplog.at_level(logging.INFO):
        run(CoveoPushBatchOperator(task_id="push", source_id="files", documents=folder))
    connected.settle()
    assert not any("__index_level_0__" in item for item in connected.items("files").values())
    assert caplog.text.count("left out __index_level_0__") == 1

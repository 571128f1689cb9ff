"""What tasks note for OpenLineage: names without secrets, the whole task after a wait, and nothing unasked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from coveo_provider.errors import DatasetError
from coveo_provider.operators import (
    CoveoTransformOperator,
    CoveoUpdateStreamOperator,
)
from coveo_provider.operators.support.lineage import Lineage, as_openlineage, data_at, data_in
from coveo_provider.sandbox import Answer, Sandbox
from tests.conftest import ROOT, WritePart, products
from tests.listening import openlineage
from tests.operators.staging import MAPPING, SHOES, Staging, ndjson
from tests.operators.test_quotas import SMALL, deferred, update


@pytest.fixture
def listened(tmp_path: Path) -> Iterator[None]:
    with openlineage(tmp_path / "events.ndjson"):
        yield


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("/data/shoes.csv", ("file", "/data/shoes.csv")),
        ("file:///data/a b#1?.csv", ("file", "/data/a b#1?.csv")),
        ("file://fs@/data/", ("file", "/data")),
        ("s3://bucket/export/shoes.csv", ("s3://bucket", "export/shoes.csv")),
        ("s3://aws@bucket/export/", ("s3://bucket", "export")),
        ("s3a://key:secret@bucket/x", ("s3://bucket", "x")),
        ("gcs://bucket", ("gs://bucket", "/")),
        ("abfs://container/x.parquet", ("abfs://container", "x.parquet")),
        ("s3://bucket/x?X-Amz-Signature=secret", ("s3://bucket", "x")),
        ("https://me:secret@host:8443/a/x.csv?sig=secret#secret", ("https://host:8443", "a/x.csv")),
        ("https://host/x.csv?secret", ("https://host", "x.csv")),
    ],
)
def test_files_go_by_the_names_of_the_specification(uri: str, name: tuple[str, str]) -> None:
    """Without connection, user, password, query and fragment."""
    data = data_at(uri)
    assert (data.namespace, data.name) == name


def test_a_password_that_looks_like_a_path_is_told_to_nobody() -> None:
    """A key of AWS may hold a slash."""
    with pytest.raises(DatasetError) as error:
        data_at("s3://key:sec/ret@bucket/x")
    assert "ret" not in str(error.value)


def test_very_many_files_are_named_by_their_folders() -> None:
    """An event has a bound."""
    uris = [f"s3://bucket/{day}/{n}.csv" for day in "ab" for n in range(51)]
    assert len(data_in(uris[:100])) == 100
    assert data_in(uris) == (data_at("s3://bucket/a"), data_at("s3://bucket/b"))


def test_after_a_wait_all_of_the_task_is_told(
    connected: Sandbox, write_part: WritePart, waits: list[float], listened: None
) -> None:
    """The process that goes on tells what was sent before the wait, too."""
    part = write_part(products(50))
    connected.faults.add(
        route="stream.update", action=Answer(429, headers=(("Retry-After", "120"),)), skip=2, times=1
    )
    first = update(part, deferrable=True)
    checkpoint = deferred(first).checkpoint
    second = update(part, deferrable=True)  # of another process

    report = second.resume({}, {"checkpoint": checkpoint})

    assert 0 < (first.lineage.outputs[0].rows or 0) < 50
    [source] = second.lineage.outputs
    assert (source.rows, source.bytes) == (report["documents"], report["bytes"]) == (50, source.bytes)
    assert report["chunks"] > 2
    assert [data.rows for data in second.lineage.inputs] == [50]
    assert max(report["bytes"] // report["chunks"], SMALL) == SMALL


def test_a_dataset_of_another_storage_is_named_and_has_its_columns(remote: Staging, listened: None) -> None:
    """Its folder is named where it is written and where it is read; only a footer is read for the columns."""
    raw = remote.put("shoes.ndjson", ndjson(SHOES))
    transform = CoveoTransformOperator(task_id="t", source=raw, output=remote.output, mapping=MAPPING)
    planned = transform.get_openlineage_facets_on_start()

    transform.execute({})

    told = transform.get_openlineage_facets_on_complete(None)
    # Where the bucket stands is up to the storage's library: that of Airflow 3.1 counts it to the path.
    named = [
        f"{one.namespace}/{one.name}".partition("://")[2].lstrip("/")
        for one in [*told.inputs, *planned.outputs, *told.outputs]
    ]
    assert named == ["bucket/staging/raw/shoes.ndjson", *["bucket/staging/documents"] * 2]
    assert [field.name for field in told.outputs[0].facets["schema"].fields] == [
        "documentId",
        "ec_name",
        "price",
    ]
    assert told.outputs[0].outputFacets["outputStatistics"].rowCount == len(SHOES)


def test_frames_have_columns_and_no_name(connected: Sandbox, tmp_path: Path, listened: None) -> None:
    """What was handed over in memory has no input; what was made of it has all the rest."""
    frame = pd.DataFrame(SHOES)
    transform = CoveoTransformOperator(
        task_id="t", source=frame, output=(tmp_path / "shoes").as_uri(), mapping=MAPPING
    )
    send = CoveoUpdateStreamOperator(task_id="s", source_id="products", documents=pd.DataFrame(products(3)))

    assert [one.inputs for one in (transform.get_openlineage_facets_on_start(), transform.lineage)] == [
        [],
        (),
    ]
    transform.execute({})
    send.execute({})

    assert (list(transform.lineage.inputs), list(send.lineage.inputs)) == ([], [])
    assert transform.lineage.outputs[0].rows == len(SHOES)
    assert [name for name, _ in send.lineage.outputs[0].columns] == [
        "documentId",
        "ec_name",
        "ec_category",
        "n",
    ]


def test_nothing_is_noted_where_nobody_listens(connected: Sandbox, write_part: WritePart) -> None:
    """As in a deployment that has OpenLineage's provider without a transport."""
    send = update(write_part(products(3)))
    send.execute({})
    assert send.lineage == Lineage()
    assert as_openlineage(send.lineage).outputs == []


@pytest.mark.slow
def test_tasks_run_without_its_provider(connected: Sandbox, write_part: WritePart, tmp_path: Path) -> None:
    """A process that cannot import OpenLineage makes a dataset and sends it; a DAG file never asks for it."""
    code = """
import sys
from importlib.abc import MetaPathFinder

class Without(MetaPathFinder):
    asked = []

    def find_spec(self, name, path=None, target=None):
        if name.startswith(("openlineage", "airflow.providers.openlineage.conf")):
            self.asked.append(name)
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Without())
from coveo_provider.operators import CoveoTransformOperator, CoveoUpdateStreamOperator
import coveo_provider.task_groups
at_parse = list(Without.asked)
made = CoveoTransformOperator(task_id="t", source=sys.argv[1], output=sys.argv[2]).execute({})
sent = CoveoUpdateStreamOperator(task_id="s", source_id="products", documents=made).execute({})
print("sent", sent["documents"])
print("asked", at_parse, len(Without.asked) > 0)
"""
    arguments = [write_part(products(3)), f"{tmp_path.as_uri()}/made"]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )

    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "sent 3" in lines
    assert "asked [] True" in lines
    assert "OpenLineage" not in done.stdout + done.stderr

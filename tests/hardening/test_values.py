"""Hostile values: what a dataset or an extract may hold, from the file to the index, or a clear refusal."""

from __future__ import annotations

import gzip
import io
import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coveo_provider._compat import AirflowFailException
from coveo_provider.documents import write_documents
from coveo_provider.documents.changes.state import LAST, State
from coveo_provider.documents.contract import PUSH_ITEM_BYTES
from coveo_provider.documents.encoding.documents import encode_document
from coveo_provider.documents.extracts.json_records import MAX_DEPTH
from coveo_provider.errors import CoveoError, DatasetError, DocumentError
from coveo_provider.operators import (
    CoveoCheckDatasetOperator,
    CoveoPushBatchOperator,
    CoveoTransformOperator,
)
from coveo_provider.operators.support.states import run_key
from coveo_provider.sandbox import Sandbox
from tests.conftest import ROOT, WritePart
from tests.operators.conftest import run

IDS = [
    *(
        "file:///etc/passwd",
        "product://../x",
        "file:///../../etc/passwd",
        "a:%2e%2e%2f%00",
        "a:b?c=d#e&f=g&&h",
    ),
    *(
        "a:\u200f\u202eright",
        "cmd:=cmd()|'/c'!A0",
        "a:{{ds}}",
        "a:'--;DROP",
        "a:" + "x" * 8_000,
        "javascript:x",
    ),
    *("http://169.254.169.254/latest/meta-data", "a:🎉\u0301", "urn:\u2067\u2069", "a:*", "a:$(id)", "a:%"),
]
NO_IDS = [
    "=cmd()",
    "../../etc/passwd",
    "/etc/passwd",
    "a:b\x00",
    "a:\x1b[31m",
    "C:\\x",
    "a:b\nc:d",
    "{{ ds }}",
    "<a:b>",
]
NAMES = [
    *(
        "{{ ds }}",
        '"a":1,"b',
        "'; DROP TABLE items; --",
        "__proto__",
        "$where",
        "../x",
        "a.b[0]",
        "*",
        "^.*$",
    ),
    *(
        "=1+1",
        "\u202eright",
        "null",
        "documentId\u200b",
        "%s %(x)s {0}",
        "<script>",
        "\x7f",
        "é",
        "a\tb",
        "\\",
    ),
]
VALUES: list[Any] = ["{{ macros.x }}", '"},{"documentId":"x:y"', "\x00\x01\x1f\x7f\u2028", "=cmd()", "\u202e<b>",
                     "", "\\u0000\\", "NaN", "../../etc/passwd", "file:///etc/passwd", "]}", "🎉"]  # fmt: skip


def test_hostile_names_and_values_arrive_as_they_are(connected: Sandbox, write_part: WritePart) -> None:
    """Nothing is rendered, evaluated, cut, or taken for JSON: the index holds what the dataset holds."""
    rows = [
        {"documentId": uri, **{name: VALUES[(row + n) % len(VALUES)] for n, name in enumerate(NAMES)}}
        for row, uri in enumerate(IDS)
    ]
    run(CoveoPushBatchOperator(task_id="push", source_id="files", documents=write_part(rows)))
    connected.settle()
    assert connected.items("files") == {row["documentId"]: row for row in rows}


@pytest.mark.parametrize("uri", NO_IDS)
def test_what_is_no_id_is_refused(connected: Sandbox, write_part: WritePart, uri: str) -> None:
    """Formulas, paths and control characters are no documentId, and the refusal prints as one line."""
    with pytest.raises(AirflowFailException, match="documentId is not a URI") as raised:
        run(
            CoveoPushBatchOperator(
                task_id="p", source_id="files", documents=write_part([{"documentId": uri}])
            )
        )
    assert str(raised.value).isprintable()
    assert connected.calls == []


_URIS = st.text(min_size=1, max_size=12).map(lambda text: f"x:{text}")
_KEYS = st.text(min_size=1, max_size=6).filter(
    lambda name: bool(name.strip()) and name.lower() != "documentid"
)


@pytest.fixture(scope="module")
def index() -> Any:
    with Sandbox.start(sources={"files": "PUSH"}) as sandbox:
        yield sandbox


@settings(max_examples=80, deadline=None)
@given(uri=st.one_of(_URIS, st.sampled_from(IDS)), key=_KEYS, value=st.text(max_size=20))
@example(uri="x:\ud800", key="a", value="b")
@example(uri="x:a", key="\ud800", value="b")
@example(uri="x:a", key="a", value="\udfff")
def test_any_document_is_indexed_or_refused(index: Sandbox, uri: str, key: str, value: str) -> None:
    """What passes the encoder is indexed as it was; nothing is accepted here and lost there."""
    from coveo_provider.api.client import CoveoClient

    index.reset()
    try:
        body = encode_document({"documentId": uri, key: value})
    except DocumentError:
        return
    with CoveoClient(index.organization_id, index.api_key, base_url=index.url) as client:
        client.put_item("files", uri, body)
    index.settle()
    wanted = {"documentId": uri} | ({key: value} if json.loads(body).get(key) is not None else {})
    assert index.items("files") == {uri: wanted}


@pytest.mark.parametrize("value", ["\ud800", "a\udfffb"])
def test_half_a_character_never_reaches_a_dataset(tmp_path: Path, value: str) -> None:
    """Arrow does not take it, and the column is named."""
    import pandas as pd

    frame = pd.DataFrame({"documentId": ["a:b"], "title": pd.Series([value], dtype=object)})
    with pytest.raises(DatasetError, match="'title'"):
        write_documents(frame, str(tmp_path / "part.parquet"))


def test_a_thousand_columns(connected: Sandbox, write_part: WritePart) -> None:
    """Every one of them arrives."""
    rows = [{"documentId": f"a:{row}", **{f"c{n}": f"{row}/{n}" for n in range(1_000)}} for row in range(20)]
    run(CoveoPushBatchOperator(task_id="push", source_id="files", documents=write_part(rows)))
    connected.settle()
    assert connected.items("files") == {row["documentId"]: row for row in rows}


def test_a_value_of_ten_megabytes_and_a_list_of_a_million_are_named(write_part: WritePart) -> None:
    """Each is over the item's limit, and refused by its id before anything is sent."""
    large: list[dict[str, Any]] = [
        {"documentId": "a:1", "x": "x" * 10_000_000},
        {"documentId": "a:2", "x": ["y"] * 2_000_000},
    ]
    for row in large:
        with pytest.raises(
            AirflowFailException, match=rf"document {row['documentId']}: .*{PUSH_ITEM_BYTES:,}"
        ):
            run(CoveoCheckDatasetOperator(task_id="check", documents=write_part([row])))


# Parquet that lies


def part_of(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_lying_footer_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Sizes, counts, offsets and statistics of the footer are anything: a DataError or rows, never a crash."""
    whole = bytearray(part_of(pa.table({"documentId": [f"a:{n}" for n in range(50)], "n": list(range(50))})))
    footer = int.from_bytes(whole[-8:-4], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        place = len(whole) - 8 - data.draw(st.integers(-8, footer - 1))
        whole[min(place, len(whole) - 1)] = data.draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))
    path = tmp_path_factory.mktemp("lies") / "part.parquet"
    path.write_bytes(whole)
    try:
        run(CoveoCheckDatasetOperator(task_id="check", documents=path.as_uri()))
    except (AirflowFailException, CoveoError) as error:
        named = str(error)
    else:
        named = "part.parquet"
    assert "part.parquet" in named or "document" in named


def test_wrong_statistics_change_nothing(connected: Sandbox, tmp_path: Path) -> None:
    """They are not read: no row is left out for them."""
    whole = part_of(pa.table({"documentId": ["a:1", "a:2"], "n": ["mmmm", "zzzz"]}), use_dictionary=False)
    start = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    footer = whole[start:].replace(b"zzzz", b"aaaa").replace(b"mmmm", b"xxxx")
    path = tmp_path / "part.parquet"
    path.write_bytes(whole[:start] + footer)
    assert pq.ParquetFile(path).metadata.row_group(0).column(1).statistics.max == "aaaa"
    run(CoveoPushBatchOperator(task_id="push", source_id="files", documents=path.as_uri()))
    connected.settle()
    assert {item["n"] for item in connected.items("files").values()} == {"mmmm", "zzzz"}


# Extracts that are bombs: in a process of their own, whose memory is measured


BOMBS = {
    "deep.json.gz": ([b'[{"a":', b"[" * 5_000_000], f"nested more than {MAX_DEPTH} deep"),
    "masked.json.gz": ([b"[", b'{"]]]]]\\\\\\"]":[' * 100_000], f"nested more than {MAX_DEPTH} deep"),
    "record.json.gz": ([b'[{"a":"', b"x" * 200_000_000, b'"}]'], "67,108,864 bytes follow each other"),
    "number.json.gz": ([b'[{"a":', b"9" * 20_000_000, b"}]"], "record 0 holds the number 9999"),
    "deep.ndjson.gz": ([b'{"a":', b"[" * 100_000, b"]" * 100_000, b"}"], f"line 1 is nested more than {MAX_DEPTH}"),
    "columns.csv.gz": ([b",".join(b"c%d" % n for n in range(1_000_000)), b"\n"], "no header ends within"),
    "names.csv.gz": ([b",".join(b"c%d" % n for n in range(10_001)), b"\n"], "10,001 columns, over the limit"),
    "header.csv.gz": ([b'"', b"x" * 100_000_000], "no header ends within"),
    "rows.csv.gz": ([b"documentId,a\n", *[(b"a:b," + b"0" * 1_000 + b"\n") * 1_000] * 300], "300000"),
    "quote.csv.gz": ([b'a,b\n1,"', b"x" * 150_000_000], "more than 67,108,864 bytes. Is a quote missing"),
}  # fmt: skip
_READ = """
import json, resource, sys
from functools import partial
from coveo_provider.documents.extracts import csv_files, json_files  # what they load is not counted
from coveo_provider.documents.extracts.readers import ReadOptions, read_batches
from coveo_provider.documents.extracts.source_files import SourceFile
from coveo_provider.errors import DatasetError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        file = SourceFile(path, partial(open, path, "rb"))
        said = str(sum(len(one.rows) for one in read_batches([file], ReadOptions())))
    except DatasetError as error:
        said = str(error)
    print(json.dumps([(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, said]))
"""


def read_apart(folder: Path, names: list[str]) -> list[tuple[int, str]]:
    """
    Return what came of reading files in a process of its own, and the MB that it had grown by then.

    It must end by itself, with exit code 0.
    """
    for name in names:
        with gzip.open(folder / name, "wb", compresslevel=1) as file:
            for part in BOMBS[name][0]:
                file.write(part)
    command = [sys.executable, "-c", _READ, *(str(folder / name) for name in names)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, cwd=ROOT)
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


QUICK = [name for name in BOMBS if name not in {"quote.csv.gz", "record.json.gz", "rows.csv.gz"}]


def test_bombs_are_refused_in_bounded_memory(tmp_path: Path) -> None:
    """A few kilobytes that unpack to far more end in a sentence each."""
    for name, (used, said) in zip(QUICK, read_apart(tmp_path, QUICK), strict=True):
        assert BOMBS[name][1] in said
        assert used < 200, name


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "most"), [("rows.csv.gz", 250), ("record.json.gz", 250), ("quote.csv.gz", 700)]
)
def test_what_is_packed_is_streamed(tmp_path: Path, name: str, most: int) -> None:
    """Neither 300 MB of rows nor a value that never ends are held."""
    ((used, said),) = read_apart(tmp_path, [name])
    assert BOMBS[name][1] in said
    assert used < most


def test_nested_records_of_an_extract_end_in_a_sentence(tmp_path: Path) -> None:
    """What the reader takes and no document may hold is refused by the task, not by a crash."""
    (tmp_path / "in").mkdir()
    deep = {"documentId": "a:b", "x": json.loads("[" * 400 + "]" * 400)}
    (tmp_path / "in" / "a.json").write_text(json.dumps([deep]))
    transform = CoveoTransformOperator(
        task_id="t", source=(tmp_path / "in").as_uri(), output=(tmp_path / "out").as_uri()
    )
    with pytest.raises(AirflowFailException, match="x"):
        run(transform)


# Names that could be paths


@pytest.mark.parametrize(
    "name", ["../../escaped", "/etc/passwd", "..", "a/b", "a\\b", "", ".hidden", "a\x00"]
)
def test_a_state_that_was_tampered_with_leads_nowhere(tmp_path: Path, name: str) -> None:
    """A name in it that leads out of the folder is damage, so nothing outside is read or deleted."""
    (tmp_path / "pending").mkdir()
    pending = {
        "version": 1,
        "key": "k",
        "full": True,
        "manifest": "m",
        "sha256": "0",
        "changed": 0,
        "gone": 0,
        "absorbed": [],
    }
    last = {"version": 1, "organization": "o", "push_url": "u", "source_id": "s", "mapping": "m", "hash_version": 1,
            "rows": 0, "sha256": "0", "files": []}  # fmt: skip
    state = State(tmp_path, ["pending/k.json", LAST])
    for change in ({"key": name}, {"absorbed": [name]}):
        (tmp_path / "pending" / "k.json").write_text(json.dumps({**pending, **change}))
        with pytest.raises(DatasetError, match="is damaged"):
            state.pending()
    (tmp_path / LAST).write_text(json.dumps({**last, "files": [name]}))
    with pytest.raises(DatasetError, match="is damaged"):
        state.last()


@pytest.mark.parametrize(
    "run_id", ["../../x", "manual__2026-01-01T00:00:00", "a\x00b/..", "\u202e", "", "x" * 9_000]
)
def test_a_run_has_a_folder_of_its_own(run_id: str) -> None:
    """Whatever DAG and run are called, the name is one step, short, and another for every task."""
    names = {
        run_key(cast("Any", {"ti": SimpleNamespace(dag_id=dag, run_id=run_id, task_id="t", map_index=n)}))
        for dag in ("../dag", "dag.")
        for n in (-1, 0)
    }
    assert len(names) == 4
    assert all(re.fullmatch(r"[A-Za-z0-9-]{1,80}", name) for name in names)

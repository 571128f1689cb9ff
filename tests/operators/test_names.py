"""Files and folders of any name: what is written is what every reader reads, and nothing else is touched."""

from __future__ import annotations

import logging
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import fsspec
import pandas as pd
import pyarrow.parquet as pq
import pytest
from airflow.sdk import ObjectStoragePath
from airflow.sdk.io import attach
from hypothesis import example, given, settings
from hypothesis import strategies as st

import coveo_provider
from coveo_provider._compat import AirflowFailException
from coveo_provider.documents import write_documents
from coveo_provider.documents.dataset.files import remove
from coveo_provider.errors import CoveoError, DatasetError
from coveo_provider.operators import CoveoPushBatchOperator, CoveoPushItemOperator, CoveoTransformOperator
from coveo_provider.operators.support.content_files import hash_of, open_content, stamp_of
from coveo_provider.operators.support.datasets import open_parts
from coveo_provider.operators.support.paths import folder_at, folder_of, path_at
from coveo_provider.operators.support.storage import files_in, list_files, list_parts, open_file
from coveo_provider.sandbox import Sandbox
from tests.contents import content_of

_TRICKY = st.sampled_from(
    [*"#?%&+~*[]{}:;@=!$'\"\\|<>^` \t\n.-_aé名", "%20", "%23", "::", "file:", "?#", ".."]
)
_NAMES = (
    st.lists(_TRICKY | st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12)
    .map("".join)
    .filter(lambda name: not name.startswith(("_", ".")) and len(name.encode()) < 200)
)


def frame(text: str) -> Any:
    return pd.DataFrame({"documentId": ["a:1"], "text": [text]})


def others(name: str) -> set[str]:
    """Return the names that some reading takes a name for."""
    cuts = [name.partition(mark)[0] for mark in ("#", "?", "::", ";")]
    near = {*cuts, unquote(name), name.strip(), name.rstrip("#?"), name.replace("\t", "").replace("\n", "")}
    return {one for one in near if one not in {"", ".", "..", name} and "/" not in one and "\0" not in one}


def bytes_in(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@settings(max_examples=150, deadline=None)
@given(folder=_NAMES, name=_NAMES, index=st.booleans())
@example("catalog#2024", "part-0", False)
@example("a%20b", "C#", True)
@example("std::vector", "x::y", True)
@example("[a]*", "?", False)
def test_any_name_is_that_of_one_file(folder: str, name: str, index: bool) -> None:
    """For every way to hand it in and to read it."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        place = root / folder
        place.mkdir()
        for other in others(folder):
            (root / other).mkdir(exist_ok=True)
            (root / other / f"{name}.parquet").write_bytes(b"other")
            (root / other / "part-00007.parquet").write_bytes(b"other")
        for other in others(f"{name}.parquet"):
            (place / f"_{other}").write_bytes(b"other")
        before = bytes_in(root)

        uri = f"file://{root}/{folder}"
        written = write_documents(
            frame(name), uri if index else f"{uri}/{name}.parquet", index=7 if index else None
        )
        file = place / ("part-00007.parquet" if index else f"{name}.parquet")
        after = bytes_in(root)
        data = after.pop(str(file))
        assert after == before

        listed = list_parts(uri, "documents")
        assert [path_at(one).path for one in listed] == [str(file)]
        for one in (written, str(file), *listed):
            assert list_files(one, "source") in ([one], [str(path_at(one))])
            with open_file(one) as stream:
                assert stream.read() == data
            with open_parts([one]) as (part,):
                assert part.rows == 1
            with open_content(one) as stream:
                assert stream.read() == data
            assert stamp_of(one)
            assert hash_of(one)
            assert folder_at(folder_of(one)).path == str(place)
        assert set(files_in(folder_at(uri))) == {one[len(str(place)) + 1 :] for one in bytes_in(place)}


@pytest.fixture
def memory() -> Iterator[Any]:
    storage = fsspec.filesystem("memory")
    attach("memory", fs=storage)
    yield storage
    storage.rm("/bucket", recursive=True)


@pytest.mark.parametrize(
    "key", ["a#b", "a#", "a?b", "why?", "a%20b", "x::y", "[a]*", "a b ", "k//l", "a\tb", "?#"]
)
def test_any_key_is_that_of_one_object(memory: Any, key: str) -> None:
    """On object storage, whose keys are as free."""
    for other in {*others(key), "aa", "a"} - {key}:
        memory.pipe_file(f"/bucket/{other}", b"other")
    memory.pipe_file(f"/bucket/{key}", b"this")
    kept = dict(memory.store)
    uri = f"memory://bucket/{key}"

    assert str(path_at(uri)) == uri
    assert list_files(uri, "source") == [uri]
    with open_file(uri) as file, open_content(uri) as content:
        assert (file.read(), content.read()) == (b"this", b"this")
    remove(path_at(uri))
    assert set(kept) - set(memory.store) == {f"/bucket/{key}"}


def test_a_folder_whose_name_the_library_cannot_join_is_refused(memory: Any) -> None:
    """Instead of one of another name being read or written."""
    memory.pipe_file("/bucket/a::b/x.csv", b"id\n1\n")
    with pytest.raises(DatasetError, match="must not hold ::"):
        list_files("memory://bucket/a::b", "source")
    with pytest.raises(DatasetError, match="rename the folder"):
        write_documents(frame(""), ObjectStoragePath("file:///tmp") / "a::b", index=0)
    with pytest.raises(DatasetError, match="%3A%3A"):
        path_at("https://host/a::b.pdf")


def test_a_whole_load_from_a_folder_of_any_name(connected: Sandbox, tmp_path: Path) -> None:
    """Extract, dataset, contents and index."""
    place = tmp_path / "50% off #1?" / "a%20b [new]*"
    place.mkdir(parents=True)
    text = place / "Intro to C#.html"
    text.write_bytes(b"<p>C#</p>")
    (place / "Intro to C").write_bytes(b"wrong")
    rows = pd.DataFrame({"documentId": ["file://1", "file://2"], "contentUri": [f"file://{text}", str(text)]})
    rows.to_json(place / "rows#1.ndjson", orient="records", lines=True)
    output = f"file://{place}/data set"

    parts = CoveoTransformOperator(
        task_id="t", source=f"file://{place}/rows#1.ndjson", output=output
    ).execute({})
    CoveoPushBatchOperator(task_id="p", source_id="files", documents=parts).execute({})

    assert pq.read_table(place / "data set" / "part-00000.parquet").num_rows == 2
    connected.settle()
    for name in ("file://1", "file://2"):
        assert content_of(connected, "files", name) == b"<p>C#</p>"
        item = connected.item("files", name)
        assert item is not None
        assert item["fileExtension"] == ".html"


def test_an_encoded_name_is_told_apart_from_a_missing_one(
    connected: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Where ``as_uri`` was used on a name with a blank or an accent."""
    place = tmp_path / "prix été"
    place.mkdir()
    written = write_documents(frame("x"), str(place / "part.parquet"))
    with pytest.raises(
        AirflowFailException, match=r"documents: file:.*%20.* is missing: .*'file:///.*/prix été' exists"
    ):
        CoveoPushBatchOperator(task_id="p", source_id="files", documents=place.as_uri()).execute({})
    with (
        pytest.raises(DatasetError, match=r"part\.parquet' exists, so spell it like that"),
        open_file(Path(written).as_uri()),
    ):
        pass
    rows = pd.DataFrame({"documentId": ["file://1"], "contentUri": [Path(written).as_uri()]})
    part = write_documents(rows, str(tmp_path / "rows.parquet"))
    with pytest.raises(
        AirflowFailException, match=r"document file://1: its content file:.* is missing: .* exists"
    ):
        CoveoPushBatchOperator(task_id="p", source_id="files", documents=part).execute({})

    with caplog.at_level(logging.WARNING):
        uri = f"{place.as_uri()}/part.parquet"
        assert write_documents(frame("y"), uri) == uri
    assert "did you mean to write to file://" in caplog.text
    assert pq.read_table(place / "part.parquet")["text"].to_pylist() == ["x"]
    assert connected.count("files") == 0


def test_one_module_reads_uris() -> None:
    """Any other reading would sooner or later lead to another file."""
    package = Path(coveo_provider.__file__).parent
    for file in package.rglob("*.py"):
        text = file.read_text()
        assert "ObjectStoragePath(" not in text or file.name == "paths.py", file
        if "documents" in file.parts and file.name != "uris.py":
            assert "urlsplit" not in text, file
            assert "as_uri" not in text, file


@pytest.mark.parametrize(
    "uri",
    [
        "https://me:pw12@host/a.pdf?X-Amz-Signature=abcd1234",
        "https://host/a::b.pdf?sig=abcd1234",
        "https://[host/a.pdf?sig=abcd1234",
        "s3://bucket/a.pdf?X-Amz-Signature=abcd1234",
        "s3://key:pw12@bucket/a.pdf",
    ],
)
def test_what_is_secret_in_a_uri_is_not_said(
    connected: Sandbox, monkeypatch: pytest.MonkeyPatch, uri: str
) -> None:
    """Wherever it is refused; the document and the file are."""
    monkeypatch.setitem(sys.modules, "s3fs", None)  # where it is installed, S3 itself would be asked
    document = {"documentId": "file://1", "contentUri": uri}
    operators: list[tuple[Any, str]] = [
        (CoveoPushItemOperator(task_id="i", source_id="files", document=document), "document file://1: "),
        (CoveoPushBatchOperator(task_id="b", source_id="files", documents=[document]), "document file://1: "),
        (CoveoPushBatchOperator(task_id="d", source_id="files", documents=uri), ""),
        (CoveoTransformOperator(task_id="t", source=[uri], output="file:///tmp/never"), ""),
    ]
    for operator, who in operators:
        with pytest.raises((AirflowFailException, CoveoError)) as raised:
            operator.execute({})
        assert who in str(raised.value)
        assert ".pdf" in str(raised.value)
        assert not {"pw12", "abcd1234"} & set(re.findall(r"\w+", str(raised.value))), raised.value

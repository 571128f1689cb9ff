"""A file that is written to, replaced or deleted while it is read: the task says so, and the index is as it was."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coveo_provider.documents.dataset.tables import Part
from coveo_provider.documents.extracts.formats import Csv, Format, Json, Ndjson, Parquet
from coveo_provider.documents.extracts.source_files import SourceFile
from coveo_provider.errors import CoveoError, FileChanged
from coveo_provider.operators import CoveoPushBatchOperator, CoveoPushItemOperator, CoveoTransformOperator
from coveo_provider.operators.support import content_files, sending, storage
from coveo_provider.sandbox import Sandbox
from tests.operators.staging import Staging

ROWS = 3_000
CHANGED = "changed while it was read"


def csv_of(rows: int) -> bytes:
    return b"documentId,title\n" + b"".join(b"a:%d,Title %d\n" % (row, row) for row in range(rows))


def json_of(rows: int) -> bytes:
    return b"[" + b",".join(b'{"documentId":"a:%d","title":"T"}' % row for row in range(rows)) + b"]"


def ndjson_of(rows: int) -> bytes:
    return b"".join(b'{"documentId":"a:%d","title":"T"}\n' % row for row in range(rows))


def parquet_of(rows: int) -> bytes:
    sink = io.BytesIO()
    table = pa.table(
        {"documentId": [f"a:{row}" for row in range(rows)], "title": [os.urandom(99).hex()] * rows}
    )
    pq.write_table(table, sink, row_group_size=1_000)
    return sink.getvalue()


def grow(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data[-40:])


def replace(path: Path, data: bytes) -> None:
    other = path.with_name(".other")
    other.write_bytes(data)
    other.replace(path)


def overwrite(path: Path, data: bytes) -> None:
    with path.open("r+b") as file:
        file.write(data[: len(data) // 2])
        file.truncate()
    os.utime(path, ns=(0, 0))  # whatever the clock's grain is


def vanish(path: Path, data: bytes) -> None:
    path.unlink()


FORMATS: dict[str, tuple[Format, Callable[[int], bytes]]] = {
    "csv": (Csv(), csv_of),
    "json": (Json(), json_of),
    "ndjson": (Ndjson(), ndjson_of),
    "parquet": (Parquet(), parquet_of),
}
CHANGES = [grow, replace, overwrite, vanish]


class Changing:
    """A file that changes when it was opened so many times, or when so many of its pieces were taken."""

    def __init__(self, path: Path, data: bytes, change: Callable[[Path, bytes], None], after: int) -> None:
        self.path, self.data, self.change, self.after = path, data, change, after
        self.opened = 0

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        if self.opened == self.after:
            self.change(self.path, self.data)
        self.opened += 1
        with self.path.open("rb") as file:
            yield file


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["csv", "json", "ndjson"])
@pytest.mark.parametrize("after", [1, 2])
def test_a_file_that_changes_between_two_passes(
    tmp_path: Path, name: str, change: Callable[[Path, bytes], None], after: int
) -> None:
    """Whatever the change is, and whatever the reader makes of it."""
    kind, data_of = FORMATS[name]
    path = tmp_path / f"rows.{name}"
    path.write_bytes(data_of(ROWS))
    changing = Changing(path, data_of(ROWS + 1), change, after)
    reading = kind.read([SourceFile(str(path), changing.open)], 500)
    if after == 2 and name != "csv":  # which is read a third time, as the header is looked at by itself
        assert sum(len(rows) for _, rows in reading) == ROWS
        return
    with pytest.raises(FileChanged, match=f"^{path}: {CHANGED}"):
        list(reading)


@pytest.mark.parametrize("change", [grow, overwrite])
@pytest.mark.parametrize("name", FORMATS)
def test_a_file_that_changes_in_the_last_pass(
    tmp_path: Path, name: str, change: Callable[[Path, bytes], None]
) -> None:
    """Before the first piece of it is used, or after some."""
    kind, data_of = FORMATS[name]
    path = tmp_path / f"rows.{name}"
    path.write_bytes(data_of(ROWS))
    pieces = kind.read([SourceFile(str(path), lambda: path.open("rb"))], 500)
    next(pieces)
    change(path, data_of(ROWS + 1))
    with pytest.raises(FileChanged, match=CHANGED):
        list(pieces)


def test_a_part_is_looked_at_after_each_pass(tmp_path: Path) -> None:
    """What was read before is right; what is read after is not."""
    path = tmp_path / "part.parquet"
    path.write_bytes(parquet_of(ROWS))
    with path.open("rb") as file:
        part = Part(file, "part")
        assert sum(map(len, part.batches(["documentId"]))) == ROWS
        overwrite(path, parquet_of(ROWS))
        with pytest.raises(FileChanged, match=f"^part: {CHANGED}"):
            list(part.batches())


def test_a_part_that_is_replaced_by_name_is_read_to_its_end(tmp_path: Path) -> None:
    """All of it is of one state, the one that was there at first."""
    path = tmp_path / "part.parquet"
    path.write_bytes(parquet_of(ROWS))
    with path.open("rb") as file:
        part = Part(file, "part")
        replace(path, parquet_of(1))
        assert sum(map(len, part.batches())) == ROWS


# In a task


def changed_when_opened(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, change: Callable[[], None], number: int = 1
) -> None:
    """Let a file change right after something was opened for the so-many-th time."""
    original = getattr(module, name)
    opened = 0

    @contextmanager
    def wrapped(*arguments: Any, **options: Any) -> Iterator[Any]:
        nonlocal opened
        with original(*arguments, **options) as file:
            opened += 1
            if opened == number:
                change()
            yield file

    monkeypatch.setattr(module, name, wrapped)


@pytest.mark.parametrize("number", [2, 3])
def test_an_extract_that_grows_makes_no_dataset(
    staging: Staging, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Its manifest stays incomplete, so nothing loads it; a later try writes it anew."""
    source = staging.put("rows.csv", b"sku,name,price\n1,a,1\n2,b,2\n")
    path = Path(source.removeprefix("file://"))
    with monkeypatch.context() as patched:
        changed_when_opened(patched, storage, "opened_local", lambda: grow(path, b"3,c,3\n"), number)
        with pytest.raises(FileChanged, match=f"rows.csv: {CHANGED}"):
            staging.make(source)
    assert staging.manifest()["complete"] is False
    staging.make(source)
    assert staging.manifest()["rows"] == 2 + 1


def test_a_remote_file_that_is_replaced_while_it_is_copied(
    remote: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or between two copies."""
    from coveo_provider.documents.dataset import files

    source = remote.put("rows.csv", b"sku,name,price\n1,a,1\n")
    original = files.stored_stamp
    for number in (1, 2, 3, 4):
        calls = 0

        def changing(storage: Any, path: str, number: int = number) -> str:
            nonlocal calls
            calls += 1
            if calls == number + 1:
                remote.put("rows.csv", b"sku,name,price\n1,a,1\n2,b,%d\n" % number)
            return original(storage, path)

        with monkeypatch.context() as patched:
            patched.setattr(files, "stored_stamp", changing)
            with pytest.raises(FileChanged, match=f"rows.csv: {CHANGED}"):
                remote.make(source)
    remote.make(source)


@pytest.mark.parametrize("change", [grow, overwrite])
def test_a_part_that_changes_leaves_the_index_as_it_was(
    connected: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path, bytes], None]
) -> None:
    """No call that sends was made."""
    path = tmp_path / "part.parquet"
    path.write_bytes(parquet_of(ROWS))
    monkeypatch.setattr(sending, "refuse_exposure", lambda *_, **__: change(path, parquet_of(ROWS)))
    with pytest.raises(CoveoError, match=CHANGED):
        CoveoPushBatchOperator(task_id="p", source_id="files", documents=str(path)).execute({})
    assert not [call for call in connected.calls if call.method in {"POST", "PUT"}]


@pytest.mark.parametrize("change", [grow, overwrite])
def test_a_content_that_changes_is_not_sent(
    connected: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path, bytes], None]
) -> None:
    """The document is named."""
    path = tmp_path / "Intro to C#.txt"
    path.write_bytes(b"one" * 1_000)
    module: Any = content_files
    original = module.path_at

    class Opened:
        def __init__(self, uri: str) -> None:
            self.path, self.fs, self.protocol = original(uri).path, self, "file"

        def open(self, *arguments: Any, **options: Any) -> Any:
            file = Path(self.path).open("rb")  # noqa: SIM115  whoever called closes it
            first = file.read(1)
            assert first
            file.seek(0)
            monkeypatch.setattr(module, "stamp_of_open", after_one)
            return file

    def after_one(file: IO[bytes]) -> object:
        monkeypatch.undo()
        stamp = module.stamp_of_open(file)
        change(path, b"two" * 1_000)
        return stamp

    monkeypatch.setattr(module, "path_at", Opened)
    with pytest.raises(FileChanged, match=f"document file://1: its content .*C#.txt: {CHANGED}"):
        CoveoPushItemOperator(
            task_id="p",
            source_id="files",
            document={"documentId": "file://1", "contentUri": f"file://{path}"},
        ).execute({})
    assert connected.count("files") == 0


def test_a_content_elsewhere_is_of_one_state(remote: Staging) -> None:
    """One that fits into a request is so by itself."""
    for size in (1_000, 3 << 20):
        uri = remote.put("a.bin", b"1" * size)
        with ExitStack() as stack:
            if size > 1_000:
                stack.enter_context(pytest.raises(FileChanged, match=f"a.bin: {CHANGED}"))
            with content_files.open_content(uri) as file:
                assert file.read(1 << 20) == b"1" * min(size, 1 << 20)
                remote.put("a.bin", b"2" * size)


@pytest.mark.parametrize("content_stamp", ["time", "hash"])
def test_new_bytes_of_the_same_size_and_time(staging: Staging, content_stamp: str) -> None:
    """Only a hash tells them apart."""
    text = staging.put("../texts/one.txt", b"one")
    path = Path(text.removeprefix("file://"))
    os.utime(path, (1, 1))
    source = staging.put("a.ndjson", b'{"documentId":"a:1","contentUri":"%s"}' % text.encode())

    def sha256() -> str:
        staging.make(source, mapping=None, content_stamp=content_stamp)
        return str(staging.manifest()["sha256"])

    first = sha256()
    assert sha256() == first
    path.write_bytes(b"two")
    os.utime(path, (1, 1))
    assert (sha256() == first) is (content_stamp == "time")
    os.utime(path, (2, 2))
    assert (sha256() == first) is False


@pytest.mark.parametrize("value", ["md5", None, True, ["hash"]])
def test_another_content_stamp_is_refused(value: Any) -> None:
    """Before anything is read."""
    with pytest.raises(Exception, match="content_stamp must be 'time' or 'hash', not"):
        CoveoTransformOperator(
            task_id="t", source="file:///nowhere", output="file:///tmp/out", content_stamp=value
        ).execute({})

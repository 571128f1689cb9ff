"""Files are read side by side, within bounds, and blamed by name."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

import pyarrow as pa
import pytest

from coveo_provider.documents.contents.files import ContentSpool, extension_of
from coveo_provider.documents.contents.filling import fill
from coveo_provider.documents.encoding.batches import Encoder
from coveo_provider.documents.records import Encoded
from coveo_provider.documents.uris import shown_uri
from coveo_provider.errors import ContentUnavailable, DocumentError
from tests.contents import batch_of, opener

LIMIT = 3_000


def encode(batch: pa.RecordBatch) -> Encoded:
    return Encoder(batch.schema, where="part-0", item_limit=LIMIT).encode(batch)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (PermissionError(13, "denied"), DocumentError, "permission denied"),
        (IsADirectoryError(21, "dir"), DocumentError, "is a folder"),
        (ValueError("Protocol not known: x"), DocumentError, "Protocol not known: x"),
        (TimeoutError("no answer"), ContentUnavailable, "TimeoutError: no answer"),
        (RuntimeError("of some library"), ContentUnavailable, "RuntimeError: of some library"),
        (OSError(), ContentUnavailable, r"\(OSError\)"),
    ],
)
@pytest.mark.parametrize("late", [False, True], ids=["opening", "reading"])
def test_what_a_later_try_could_mend_is_told_apart(
    tmp_path: Path, error: Exception, kind: type[Exception], words: str, late: bool
) -> None:
    """A storage that does not answer is no wrong data; either way document and file are named."""

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise error

    @contextmanager
    def open_file(_: str, roots: tuple[str, ...]) -> Iterator[IO[bytes]]:
        if not late:
            raise error
        yield Broken()

    encoded = encode(batch_of(documentId=["file://a"], contentUri=["x://a"]))
    with ContentSpool(open_file, str(tmp_path)) as spool:
        with pytest.raises(kind, match=words) as raised:
            list(fill(encoded, spool, LIMIT))
        assert str(raised.value).startswith("document file://a: its content x://a ")
        if not late:
            with pytest.raises(kind, match=words):
                spool.look(encoded.files.values())


def test_secrets_of_a_uri_are_not_repeated(tmp_path: Path) -> None:
    """Neither ours nor the storage library's message holds password or signature."""
    uri = "https://me:pass%20word@host/a.pdf?sig=abcd%2Fefgh&x=1"

    def open_file(uri: str, roots: tuple[str, ...]) -> AbstractContextManager[IO[bytes]]:
        raise OSError(f"GET {uri} and pass word, me:pass%20word, sig=abcd/efgh went wrong")

    encoded = encode(batch_of(documentId=["file://a"], contentUri=[uri]))
    with ContentSpool(open_file, str(tmp_path)) as spool, pytest.raises(ContentUnavailable) as raised:
        list(fill(encoded, spool, LIMIT))
    said = f"{raised.value} {raised.value!r} {encoded.files}"
    assert not any(secret in said for secret in ("pass", "abcd", "efgh", "word@"))
    assert "https://…@host/a.pdf?…" in said


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("s3://aws@bucket/a b.pdf", "s3://aws@bucket/a b.pdf"),
        ("s3://key:secret@bucket/a.pdf", "s3://…@bucket/a.pdf"),
        ("https://token@host/a.pdf?sig=1#2", "https://…@host/a.pdf?…"),
        ("/data/a@b.pdf", "/data/a@b.pdf"),
        ("file:///data/a:b@c.pdf", "file:///data/a:b@c.pdf"),
    ],
)
def test_how_a_uri_is_shown(uri: str, shown: str) -> None:
    """A connection's name stays, credentials go."""
    assert shown_uri(uri) == shown


@pytest.mark.parametrize(
    ("uri", "extension"),
    [
        ("s3://bucket/a.PDF", ".pdf"),
        ("/data/archive.tar.gz", ".gz"),
        ("https://host/a.docx?version=1.2#x.y", ".docx"),
        ("s3://bucket/a%2Ehtml", ".html"),
        ("gs://bucket/movie.mp4", ".mp4"),
        ("gs://bucket/a.7z", ".7z"),
        ("/data/Version 1.2", None),
        ("/data/.profile", None),
        ("/data/no", None),
        ("/data.d/no", None),
        ("/data/what. ever", None),
        ("/data/a.", None),
        ("/data/a.averylongextension", None),
    ],
)
def test_the_extension_is_that_of_the_file(uri: str, extension: str | None) -> None:
    """In lower case, when it looks like one."""
    assert extension_of(uri) == extension


# In parallel, within bounds


def test_files_are_read_side_by_side_and_not_far_ahead(tmp_path: Path) -> None:
    """Eight at a time; those read and not yet asked for are few, so the disk need not hold a whole batch twice."""
    lock, together = threading.Lock(), threading.Barrier(8, timeout=10)
    open_now, most, opened = 0, 0, 0

    @contextmanager
    def open_file(uri: str, roots: tuple[str, ...]) -> Iterator[IO[bytes]]:
        nonlocal open_now, most, opened
        with lock:
            open_now, opened = open_now + 1, opened + 1
            most = max(most, open_now)
        if int(uri.removeprefix("x://")) < 8:
            together.wait()
        yield io.BytesIO(uri.encode())
        with lock:
            open_now -= 1

    count = 100
    encoded = encode(
        batch_of(
            documentId=[f"file://{n}" for n in range(count)], contentUri=[f"x://{n}" for n in range(count)]
        )
    )
    with ContentSpool(open_file, str(tmp_path)) as spool:
        read_files = spool.read(encoded.files.values())
        next(read_files)
        threading.Event().wait(0.1)
        assert opened <= 1 + 16 + 8
        assert len(list(read_files)) == count - 1
    assert most == 8


def test_the_rest_is_given_up_after_an_error(tmp_path: Path) -> None:
    """A load that is refused does not read on."""
    opened: list[str] = []
    gate = threading.Event()

    class Endless(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            gate.wait(10)
            return b"x"

        def seek(self, offset: int, whence: int = 0, /) -> int:
            raise OSError("a stream")

    @contextmanager
    def open_file(uri: str, roots: tuple[str, ...]) -> Iterator[IO[bytes]]:
        opened.append(uri)
        if uri == "x://0":
            raise FileNotFoundError
        yield Endless()

    encoded = encode(
        batch_of(documentId=[f"file://{n}" for n in range(60)], contentUri=[f"x://{n}" for n in range(60)])
    )
    with (  # noqa: PT012
        pytest.raises(DocumentError, match="x://0 is missing"),
        ContentSpool(open_file, str(tmp_path)) as spool,
    ):
        try:
            list(fill(encoded, spool, LIMIT))
        finally:
            gate.set()
    assert len(opened) < 20
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_not_blamed_on_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's own trouble is told as it is."""

    def full(*_: object, **__: object) -> IO[bytes]:
        raise OSError(28, "No space left on device")

    encoded = encode(batch_of(documentId=["file://a"], contentUri=["x://a"]))
    with ContentSpool(opener({"x://a": b""}), str(tmp_path)) as spool:
        monkeypatch.setattr(Path, "open", full)
        with pytest.raises(OSError, match="No space left"):
            list(fill(encoded, spool, LIMIT))

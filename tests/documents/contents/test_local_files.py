"""Of this machine only regular files are read as content; others are named before they are opened."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from coveo_provider.documents.contents.files import ContentSpool
from coveo_provider.documents.contents.local_files import IrregularFile, refuse_irregular
from coveo_provider.documents.records import ContentFile
from coveo_provider.errors import DocumentError
from coveo_provider.operators.support.content_files import open_content


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def a_link_to_a_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to(path.with_name("pipe"))


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (os.mkfifo, "is a named pipe, expected a regular file"),
        (a_link_to_a_pipe, "is a named pipe, expected a regular file"),
        (a_socket, "is a socket, expected a regular file"),
        (Path.mkdir, "is a folder, expected a file"),
    ],
)
def test_what_is_no_regular_file_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], what: str
) -> None:
    """Opening a pipe that nobody writes to would never end, whatever the time-out of the task."""
    monkeypatch.chdir(tmp_path)
    make(Path("x"))
    file = ContentFile("a:b", f"file://{tmp_path}/x", "ZLIB")

    with ContentSpool(open_content) as spool:
        for attempt in (lambda: spool.look([file]), lambda: list(spool.read([file]))):
            with pytest.raises(DocumentError, match=f"document a:b: its content file://.*/x {what}"):
                attempt()


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/null"])
def test_a_device_is_none(path: str) -> None:
    """It has no end."""
    with pytest.raises(IrregularFile, match="a device"):
        refuse_irregular(path)


@pytest.mark.skipif(not Path("/proc/self/mountinfo").exists(), reason="only Linux has such files")
@pytest.mark.parametrize("path", ["/proc/version", "/proc/self/status", "/proc/self/mountinfo"])
def test_what_the_system_makes_up_is_none(path: str) -> None:
    """It says that it has no bytes, and some of it blocks whoever reads it."""
    with pytest.raises(IrregularFile, match="the system makes up"):
        refuse_irregular(path)


def test_regular_files_are_read(tmp_path: Path) -> None:
    """Also empty ones, and through a link."""
    (tmp_path / "full").write_bytes(b"x")
    (tmp_path / "empty").touch()
    (tmp_path / "link").symlink_to(tmp_path / "full")
    for name, content in (("full", b"x"), ("empty", b""), ("link", b"x")):
        with open_content(f"file://{tmp_path}/{name}") as file:
            assert file.read() == content
    with pytest.raises(FileNotFoundError):
        refuse_irregular(str(tmp_path / "none"))

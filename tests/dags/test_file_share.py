"""The sample DAG of a file share, night after night: the index is equal to the share, for those who may see it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from unittest.mock import patch

import pytest

from coveo_provider.operators import CoveoPushIdentityOperator
from coveo_provider.operators.support import content_files, sending
from coveo_provider.sandbox import Sandbox
from tests.contents import content_of
from tests.dags.conftest import RunDag

GROUPS = {"everybody": ("ann", "bob"), "hr": ("ann",)}


def push_identity(identity: dict[str, str], **options: Any) -> None:
    CoveoPushIdentityOperator(
        task_id="identity", provider_id="directory", identity=identity, **options
    ).execute({})


@pytest.fixture
def intranet(connected: Sandbox) -> Sandbox:
    """The sandbox with a secured Push source, whose provider knows two groups."""
    connected.add_source("intranet", kind="PUSH", visibility="SECURED")
    connected.add_security_provider("directory", sources=["intranet"])
    for group, people in GROUPS.items():
        members = [{"name": one, "type": "USER"} for one in people]
        push_identity({"name": group, "type": "GROUP"}, members=members)
    for one in GROUPS["everybody"]:
        alias = {"name": f"{one}@acme.example", "type": "USER", "provider": "Email Security Provider"}
        push_identity({"name": one, "type": "USER"}, mappings=[alias])
    return connected


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were opened as contents."""
    names: list[str] = []

    @contextmanager
    def noted(uri: str, roots: tuple[str, ...] = (), *, links: bool = True) -> Iterator[IO[bytes]]:
        names.append(uri.rpartition("/")[2])
        with content_files.open_content(uri, roots, links=links) as file:
            yield file

    monkeypatch.setattr(sending, "open_content", noted)
    return names


def put(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def test_the_index_follows_the_share(
    run_dag: RunDag, intranet: Sandbox, tmp_path: Path, read: list[str]
) -> None:
    """What changed is read and sent, what did not is neither, and what is gone is deleted."""
    root, staging = tmp_path / "share", (tmp_path / "staging").as_uri()

    def night() -> None:
        read.clear()
        intranet.clock.advance(seconds=60)
        state, states = run_dag("coveo_file_share", root=root.as_uri(), staging=staging, max_shrink=None)
        intranet.settle()
        assert state == "success", states
        files = {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        assert set(intranet.items("intranet")) == {f"file://share/{name}" for name in files}
        for name, data in files.items():
            document = f"file://share/{name}"
            assert content_of(intranet, "intranet", document) == data
            secret = name.startswith("hr/") and not name.startswith("hr/forms/")
            for person in GROUPS["everybody"]:
                sees = intranet.can_see("intranet", document, f"{person}@acme.example")
                assert sees is (person == "ann" or not secret)
            assert not intranet.can_see("intranet", document, None)

    for name in ("a.txt", "b.txt", "hr/pay.txt", "hr/forms/leave.txt"):
        put(root, name, f"text of {name}")
    night()
    assert sorted(read) == ["a.txt", "b.txt", "leave.txt", "pay.txt"]

    night()
    assert read == []

    put(root, "a.txt", "another text")
    put(root, "new/c.txt", "a new file")
    shutil.move(root / "b.txt", root / "hr/b.txt")
    (root / "hr/forms/leave.txt").unlink()
    put(root, "hr/forms/sick.txt", "form")
    night()
    assert sorted(read) == ["a.txt", "b.txt", "c.txt", "sick.txt"]


def test_a_file_that_changes_after_it_was_listed_is_right_the_next_night(
    run_dag: RunDag, intranet: Sandbox, tmp_path: Path
) -> None:
    """The index gets the newer text with the older time, which the next list tells from it."""
    root = tmp_path / "share"
    put(root, "a.txt", "old")
    written = sending.SendingOperator.send

    def late(*args: object, **options: object) -> object:
        put(root, "a.txt", "newer text")
        os.utime(root / "a.txt", (1_900_000_000, 1_900_000_000))
        return written(*args, **options)  # type: ignore[arg-type]

    staging = {"root": root.as_uri(), "staging": (tmp_path / "staging").as_uri()}
    with patch.object(sending.SendingOperator, "send", late):
        assert run_dag("coveo_file_share", **staging)[0] == "success"
    put(root, "a.txt", "newest text")
    assert run_dag("coveo_file_share", **staging)[0] == "success"
    intranet.settle()

    assert content_of(intranet, "intranet", "file://share/a.txt") == b"newest text"


def test_a_share_that_is_not_mounted_deletes_nothing(
    run_dag: RunDag, intranet: Sandbox, tmp_path: Path
) -> None:
    """Its folder is there, and empty."""
    root = tmp_path / "share"
    put(root, "a.txt", "text")
    staging = {"root": root.as_uri(), "staging": (tmp_path / "staging").as_uri()}
    assert run_dag("coveo_file_share", **staging)[0] == "success"
    (root / "a.txt").unlink()

    state, states = run_dag("coveo_file_share", **staging)
    intranet.settle()

    assert (state, states["list"]) == ("failed", "failed")
    assert set(intranet.items("intranet")) == {"file://share/a.txt"}

"""What the folder of a state remembers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from coveo_provider.documents.changes.state import LastRun, Pending, State
from coveo_provider.errors import DatasetError


def last_run(**changes: Any) -> LastRun:
    values: dict[str, Any] = {
        "organization": "org",
        "push_url": "https://api",
        "source_id": "s",
        "mapping": "m",
        "hash_version": 1,
        "rows": 1,
        "sha256": "abc",
        "files": ("part-00000.parquet",),
    }
    return LastRun(**{**values, **changes})


def state_in(folder: Path) -> State:
    return State(folder, [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()])


PENDING = Pending("run-2", False, "file:///m", "abc", 1, 2, ("run-1",))


def test_what_is_remembered_is_read_again(tmp_path: Path) -> None:
    """The last run, and loads that were begun."""
    hashes = tmp_path / "hashes.parquet"
    hashes.write_bytes(b"h")
    state = tmp_path / "state"
    assert state_in(state).last() is None
    assert state_in(state).pending() == []

    state_in(state).announce(PENDING, hashes)
    state_in(state).remember(last_run(), [hashes], None)

    assert state_in(state).last() == last_run()
    assert state_in(state).pending() == [PENDING]
    with state_in(state).pending_ids(PENDING).open() as file:
        assert file.read() == b"h"


def test_a_load_that_went_through_is_struck_off_with_what_it_made_good(tmp_path: Path) -> None:
    """Another that was begun meanwhile stays; hashes and changes of before go."""
    hashes = tmp_path / "hashes.parquet"
    hashes.write_bytes(b"h")
    state = tmp_path / "state"
    for key in ("run-1", "run-2", "run-3"):
        state_in(state).announce(Pending(key, False, "file:///m", "abc", 1, 2, ("run-1",)), hashes)
        (state / "changes" / key / "changed").mkdir(parents=True)
        (state / "changes" / key / "changed" / "part-00000.parquet").touch()
    state_in(state).remember(last_run(sha256="old"), [hashes], None)

    state_in(state).remember(last_run(), [hashes], PENDING)

    assert sorted(str(path.relative_to(state)) for path in state.rglob("*") if path.is_file()) == [
        "changes/run-3/changed/part-00000.parquet",
        "hashes/abc/part-00000.parquet",
        "last.json",
        "pending/run-3.json",
        "pending/run-3.parquet",
    ]
    assert not (state / "changes" / "run-1").exists()


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", '{"version": 2}', json.dumps({"version": 1, "rows": "1"}), "\ud800"],
)
def test_a_damaged_state_is_noticed(tmp_path: Path, text: str) -> None:
    """By file."""
    (tmp_path / "pending").mkdir()
    for name in ("last.json", "pending/run.json"):
        (tmp_path / name).write_bytes(text.encode("utf-8", "surrogatepass"))

    with pytest.raises(DatasetError, match=r"last.json: is damaged"):
        state_in(tmp_path).last()
    with pytest.raises(DatasetError, match=r"run.json: is damaged"):
        state_in(tmp_path).pending()
    assert state_in(tmp_path).pending(pass_over_damaged=True) == []
    assert state_in(tmp_path).pending_keys() == ["run"]


@pytest.mark.parametrize(
    ("field", "word"),
    [
        ("organization", "organization"),
        ("push_url", "Push API"),
        ("source_id", "source"),
        ("mapping", "mapping"),
        ("hash_version", "hashes"),
    ],
)
def test_what_is_remembered_of_another_says_nothing(field: str, word: str) -> None:
    """Of another organization, cloud, source, mapping, or way to hash."""
    other = last_run(**{field: 2 if field == "hash_version" else "other"})

    assert last_run().unlike(last_run(rows=7, sha256="x", files=())) is None
    assert word in (other.unlike(last_run()) or "")
    assert other.is_of(last_run()) is (field in {"mapping", "hash_version"})


def test_a_file_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    """As the first one that remembered anything wrote it."""
    (tmp_path / "last.json").write_text("""{
 "version": 1,
 "organization": "org",
 "push_url": "https://api",
 "source_id": "s",
 "mapping": "m",
 "hash_version": 1,
 "rows": 1,
 "sha256": "abc",
 "files": [
  "part-00000.parquet"
 ]
}""")
    (tmp_path / "pending").mkdir()
    (tmp_path / "pending" / "run-2.json").write_text("""{
 "version": 1,
 "key": "run-2",
 "full": false,
 "manifest": "file:///m",
 "sha256": "abc",
 "changed": 1,
 "gone": 2,
 "absorbed": [
  "run-1"
 ]
}""")

    assert state_in(tmp_path).last() == last_run()
    assert state_in(tmp_path).pending() == [PENDING]

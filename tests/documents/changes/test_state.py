"""What the folder of a state remembers."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coveo_provider.documents.changes.state import DatasetRecord, LastRun, Pending, RejectionRecord, State
from coveo_provider.documents.dataset.part_writer import HASH_SCHEMA
from coveo_provider.documents.extracts.source_files import SourceFile
from coveo_provider.errors import DatasetError

ONE = DatasetRecord("abc", "m", 1, ("part-00000.parquet",), "file:///m")


def last_run(**changes: Any) -> LastRun:
    values: dict[str, Any] = {
        "organization": "org",
        "push_url": "https://api",
        "source_id": "s",
        "hash_version": 1,
        "datasets": (ONE,),
    }
    return LastRun(**{**values, **changes})


def state_in(folder: Path) -> State:
    return State(folder, [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()])


def hashes_in(folder: Path, *names: str) -> Path:
    """Return a folder with files of hashes."""
    for name in names or ("part-00000.parquet",):
        (folder / name).write_bytes(b"h")
    return folder


PENDING = Pending("run-2", False, (ONE,), 1, 2, ("run-1",))


def test_what_is_remembered_is_read_again(tmp_path: Path) -> None:
    """The last run, and loads that were begun."""
    hashes = hashes_in(tmp_path)
    state = tmp_path / "state"
    assert state_in(state).last() is None
    assert state_in(state).pending() == []

    state_in(state).announce(PENDING, hashes / "part-00000.parquet")
    assert state_in(state).remember(last_run(), [hashes], None) == last_run()

    assert state_in(state).last() == last_run()
    assert state_in(state).pending() == [PENDING]
    with state_in(state).pending_ids(PENDING).open() as file:
        assert file.read() == b"h"


def test_a_load_that_went_through_is_struck_off_with_what_it_made_good(tmp_path: Path) -> None:
    """Another that was begun meanwhile stays; hashes and changes of before go."""
    hashes = hashes_in(tmp_path)
    state = tmp_path / "state"
    for key in ("run-1", "run-2", "run-3"):
        state_in(state).announce(Pending(key, False, (ONE,), 1, 2, ("run-1",)), hashes / "part-00000.parquet")
        (state / "changes" / key / "changed").mkdir(parents=True)
        (state / "changes" / key / "changed" / "part-00000.parquet").touch()
    state_in(state).remember(last_run(datasets=(replace(ONE, sha256="old"),)), [hashes], None)

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
    [
        "",
        "{}",
        "[]",
        "null",
        '{"version": 2}',
        '{"version": 3}',
        json.dumps({"version": 1, "rows": "1"}),
        "\ud800",
    ],
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
    ("change", "word"),
    [
        ({"organization": "other"}, "another organization"),
        ({"push_url": "other"}, "another Push API"),
        ({"source_id": "other"}, "another source"),
        ({"datasets": (replace(ONE, mapping="other"),)}, "another mapping or function"),
        ({"datasets": (ONE, ONE)}, "another number of datasets"),
        ({"hash_version": 2}, "another version of the hashes"),
    ],
)
def test_what_is_remembered_of_another_says_nothing(change: dict[str, Any], word: str) -> None:
    """Of another organization, cloud, source, mapping, number of datasets, or way to hash."""
    other = last_run(**change)

    assert other.unlike(last_run()) == f"what is remembered is of {word}"
    assert last_run().unlike(other) == f"what is remembered is of {word}"
    assert other.is_of(last_run()) is (not {"organization", "push_url", "source_id"} & {*change})


def test_what_is_remembered_of_the_same_is_used() -> None:
    """Whatever its content was, wherever it lay, and in whichever order datasets are named."""
    another = replace(ONE, sha256="x", rows=7, files=(), manifest="y")
    assert last_run().unlike(last_run(datasets=(another,))) is None
    two = replace(ONE, mapping="n")
    assert last_run(datasets=(ONE, two)).unlike(last_run(datasets=(two, another))) is None


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

    last = state_in(tmp_path).last()
    assert last == last_run()
    assert last is not None
    assert (last.rows, last.rejected) == (1, 0)
    assert state_in(tmp_path).rejected(last) is None
    (pending,) = state_in(tmp_path).pending()
    assert pending == replace(PENDING, datasets=(DatasetRecord("abc"),))
    assert (pending.manifests, pending.sha256s) == (["file:///m"], ["abc"])
    assert [dataset.rows for dataset in pending.datasets] == [0]  # it did not say


def test_several_datasets_are_remembered(tmp_path: Path) -> None:
    """Each with its own files of hashes; what belongs to none of them any more goes."""
    state = tmp_path / "state"
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = DatasetRecord("aaa", "m", 2, ("part-00000.parquet", "part-00001.parquet"), "file:///a")
    second = DatasetRecord("bbb", "n", 1, ("part-00000.parquet",), "file:///b")
    a, b = hashes_in(tmp_path / "a", *first.files), hashes_in(tmp_path / "b")

    state_in(state).remember(last_run(datasets=(first, second)), [a, b], None)

    last = state_in(state).last()
    assert last == last_run(datasets=(first, second))
    assert last is not None
    assert (last.rows, last.mappings) == (3, ["m", "n"])
    assert [dataset.manifest for dataset in last.datasets] == ["file:///a", "file:///b"]
    assert [len(state_in(state).hashes(dataset)) for dataset in last.datasets] == [2, 1]

    state_in(state).remember(last_run(datasets=(second, replace(ONE, sha256="ccc"))), [b, b], None)

    assert sorted(str(path.relative_to(state)) for path in state.rglob("*") if path.is_file()) == [
        "hashes/bbb/part-00000.parquet",
        "hashes/ccc/part-00000.parquet",
        "last.json",
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"datasets": (replace(ONE, sha256="../x"),)},
        {"datasets": (ONE, replace(ONE, files=("a", "../x")))},
        {"rejections": RejectionRecord("../x", "", 1)},
        {"rejections": RejectionRecord(".x", "", 1)},
    ],
)
def test_a_name_that_leads_elsewhere_is_damage(tmp_path: Path, change: dict[str, Any]) -> None:
    """Whatever of the state names a file."""
    text = msgspec.json.encode({"version": 2, **asdict(last_run(**change))})
    (tmp_path / "last.json").write_bytes(text)
    with pytest.raises(DatasetError, match=r"last.json: is damaged: '.*' is no name of a file"):
        state_in(tmp_path).last()


def test_what_was_refused_is_remembered(tmp_path: Path) -> None:
    """In a file of its own, which goes when nothing is refused any more; another in its place is noticed."""
    state = tmp_path / "state"
    hashes = hashes_in(tmp_path)
    table = pa.table([["a:1", "a:2"], pa.array([b"1" * 16, b"2" * 16], pa.binary(16))], schema=HASH_SCHEMA)
    pq.write_table(table, hashes / "part-00000.parquet")
    pq.write_table(pa.table({"documentId": ["a:2"], "reason": ["no"]}), tmp_path / "rejected.parquet")
    rejected = SourceFile("rejected", lambda: (tmp_path / "rejected.parquet").open("rb"))
    current = last_run(datasets=(replace(ONE, rows=2),))

    assert state_in(state).remember(current, [hashes], None, [rejected]).rejected == 1
    last = state_in(state).last()
    assert last is not None
    assert (last.rows, last.rejected) == (2, 1)
    file = state_in(state).rejected(last)
    assert file is not None
    with file.open() as stream:
        assert pq.read_table(stream).to_pylist() == [
            {"documentId": "a:2", "reason": "no", "content": b"2" * 16}
        ]

    (path,) = (state / "rejected").iterdir()
    path.write_bytes(b"x")
    with pytest.raises(DatasetError, match=f"{path}: is damaged"), file.open():
        pass
    state_in(state).remember(current, [hashes], None)
    assert not (state / "rejected").exists()
    assert state_in(state).last() == current


def test_of_what_was_refused_one_file_is_kept(tmp_path: Path) -> None:
    """The one that is remembered, also when it says the same as the former one."""
    state = tmp_path / "state"
    hashes = hashes_in(tmp_path)
    table = pa.table([["a:1", "a:2"], pa.array([b"1" * 16, b"2" * 16], pa.binary(16))], schema=HASH_SCHEMA)
    pq.write_table(table, hashes / "part-00000.parquet")
    names = []
    for identifier in ("a:1", "a:1", "a:2"):
        path = tmp_path / "rejected.parquet"
        pq.write_table(pa.table({"documentId": [identifier], "reason": ["no"]}), path)
        rejected = [SourceFile("rejected", lambda: (tmp_path / "rejected.parquet").open("rb"))]
        last = state_in(state).remember(last_run(), [hashes], None, rejected)
        assert last.rejections is not None
        assert [path.name for path in (state / "rejected").iterdir()] == [last.rejections.file]
        names.append(last.rejections.file)
    assert names[0] == names[1] != names[2]


def test_the_types_of_columns_are_remembered(tmp_path: Path) -> None:
    """By what made the dataset; of several that one mapping made, where they agree. They make no other content."""
    datasets = (
        replace(ONE, types={"price": "Int64", "size": "string"}),
        replace(ONE, sha256="def", types={"price": "string", "width": "float64"}),
        replace(ONE, sha256="ghi", mapping="other", types={"size": "boolean"}),
    )
    current = last_run(datasets=datasets)

    state_in(tmp_path / "state").remember(current, [hashes_in(tmp_path)] * 3, None)

    last = state_in(tmp_path / "state").last()
    assert last == current == last_run(datasets=tuple(replace(one, types={}) for one in datasets))
    assert last is not None
    assert last.types_of("m") == {"size": "string", "width": "float64"}
    assert last.types_of("other") == {"size": "boolean"}
    assert last.types_of("new") == {}


def test_what_is_equal_is_remembered_already() -> None:
    """Wherever the dataset lay, and whatever was refused of it."""
    elsewhere = replace(ONE, manifest="file:///n")
    assert last_run(datasets=(elsewhere,)) == last_run() == last_run(rejections=RejectionRecord("x", "y", 1))
    assert last_run(datasets=(replace(ONE, sha256="x"),)) != last_run()


def test_each_run_has_a_folder_for_what_it_sends(tmp_path: Path) -> None:
    """Below that of all runs."""
    assert state_in(tmp_path).changes("run-1") == tmp_path / "changes" / "run-1"


def test_a_load_that_was_remembered_may_be_so_again(tmp_path: Path) -> None:
    """As a retry does whose first try ended in between: the rejected of before it are still known."""
    state = tmp_path / "state"
    hashes = hashes_in(tmp_path)
    ids = ["a:1", "a:2", "a:3"]
    table = pa.table([ids, pa.array([b"1" * 16, b"2" * 16, b"3" * 16], pa.binary(16))], schema=HASH_SCHEMA)
    pq.write_table(table, hashes / "part-00000.parquet")

    def refusal_of(identifier: str) -> list[SourceFile]:
        path = tmp_path / f"{identifier[-1]}.parquet"
        pq.write_table(pa.table({"documentId": [identifier], "reason": ["no"]}), path)
        return [SourceFile("rejected", lambda: path.open("rb"))]

    current = last_run(datasets=(replace(ONE, rows=3),))
    state_in(state).remember(current, [hashes], None, refusal_of("a:1"))
    pq.write_table(pa.table({"documentId": ["a:2"]}), tmp_path / "ids.parquet")
    own = Pending("run-2", False, current.datasets, 1, 0)
    state_in(state).announce(own, tmp_path / "ids.parquet")
    state_in(state).announce(replace(own, key="run-3"), tmp_path / "ids.parquet")

    for _ in range(2):
        state_in(state).announce(own, tmp_path / "ids.parquet")  # as if it had not been struck off
        assert state_in(state).remember(current, [hashes], own, refusal_of("a:2")).rejected == 2
    assert state_in(state).pending_keys() == ["run-3"]

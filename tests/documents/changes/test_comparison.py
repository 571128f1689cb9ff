"""Two sets of hashes are compared as sets are, whatever their size."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coveo_provider.documents.changes.comparison import Comparison, Difference
from coveo_provider.documents.changes.rejections import REJECTION_SCHEMA
from coveo_provider.documents.dataset.part_writer import HASH_SCHEMA
from coveo_provider.documents.extracts.source_files import SourceFile
from coveo_provider.errors import DatasetError
from tests.documents.files import source

_SETS = st.dictionaries(st.integers(0, 30).map(lambda n: f"test://{n}"), st.integers(0, 2), max_size=20)


def hash_files(documents: dict[str, int], sizes: Sequence[int] = ()) -> tuple[list[SourceFile], str]:
    """Return files of hashes, cut into parts of these sizes, and the hash over all."""
    entries = [(identifier, value.to_bytes(16, "little")) for identifier, value in documents.items()]
    files = []
    for number, size in enumerate([*sizes, len(entries)]):
        part, entries = entries[:size], entries[size:]
        table = pa.table(
            [[i for i, _ in part], pa.array([c for _, c in part], pa.binary(16))], schema=HASH_SCHEMA
        )
        files.append(parquet(f"part-{number}", table))
    digest = hashlib.sha256(b"".join(value.to_bytes(16, "little") for value in documents.values()))
    return files, digest.hexdigest()


def parquet(name: str, table: pa.Table) -> SourceFile:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return source(name, sink.getvalue().to_pybytes())


def id_file(ids: Sequence[str]) -> SourceFile:
    return parquet("ids", pa.table({"documentId": pa.array(ids, pa.string())}))


def rejected_file(rejected: dict[str, int | None]) -> SourceFile:
    hashes = [None if value is None else value.to_bytes(16, "little") for value in rejected.values()]
    table = pa.table([list(rejected), ["no"] * len(rejected), hashes], schema=REJECTION_SCHEMA)
    return parquet("rejected", table)


def cut(documents: dict[str, int], datasets: int) -> list[dict[str, int]]:
    """Return documents dealt out to datasets, some of which may have none."""
    dealt: list[dict[str, int]] = [{} for _ in range(datasets)]
    for number, (identifier, value) in enumerate(documents.items()):
        dealt[number * number % datasets][identifier] = value
    return dealt


def compare(
    folder: Path,
    now: dict[str, int],
    before: dict[str, int],
    pending: Sequence[Sequence[str]] = (),
    rejected: dict[str, int | None] | None = None,
    *,
    retry: bool = False,
    datasets: tuple[int, int] = (1, 1),
    sizes: Sequence[int] = (),
    rows_at_once: int = 1_000_000,
) -> tuple[Difference, set[str], set[str]]:
    """Return the difference, the ids that changed, and those that are gone."""
    comparison = Comparison(folder, rows=max(len(now), len(before)), rows_at_once=rows_at_once)
    current = cut(now, datasets[0])
    for dataset in current:
        comparison.add_current(*hash_files(dataset, sizes))
    for dataset in cut(before, datasets[1]):
        comparison.add_former(*hash_files(dataset))
    for ids in pending:
        comparison.add_pending(id_file(ids))
    if rejected is not None:
        comparison.add_rejected(rejected_file(rejected), retry=retry)
    difference = comparison.result()
    changed = set()
    for dataset, masks in zip(current, difference.masks, strict=True):
        flags = [flag for mask in masks for flag in mask.tolist()]
        changed |= {identifier for identifier, flag in zip(dataset, flags, strict=True) if flag}
    gone = [identifier for table in difference.gone_ids() for identifier in table["documentId"].to_pylist()]
    assert len(set(gone)) == len(gone)
    return difference, changed, set(gone)


_IDS = st.integers(0, 35).map(lambda n: f"test://{n}")


@given(
    _SETS,
    _SETS,
    st.lists(st.lists(_IDS, max_size=5), max_size=3),
    st.none() | st.dictionaries(_IDS, st.none() | st.integers(0, 2), max_size=8),
    st.booleans(),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.lists(st.integers(0, 6), max_size=3),
    st.sampled_from([1, 2, 3, 7, 1_000_000]),
)
@settings(deadline=None)
def test_a_difference_is_set_arithmetic(
    tmp_path_factory: pytest.TempPathFactory,
    now: dict[str, int],
    before: dict[str, int],
    pending: list[list[str]],
    rejected: dict[str, int | None] | None,
    retry: bool,
    datasets: tuple[int, int],
    sizes: list[int],
    rows_at_once: int,
) -> None:
    """
    New, other or doubtful is changed; was there, or doubtful, and is not any more is gone.

    In however many datasets. What the service refused is doubtful when it is to be tried again, and a refused
    deletion always is.
    """
    refused = rejected or {}
    doubtful = {identifier for ids in pending for identifier in ids}
    doubtful |= {identifier for identifier, value in refused.items() if value is None or retry}

    difference, changed, gone = compare(
        tmp_path_factory.mktemp("diff"),
        now,
        before,
        pending,
        rejected,
        retry=retry,
        datasets=datasets,
        sizes=sizes,
        rows_at_once=rows_at_once,
    )

    assert changed == {i for i in now if before.get(i) != now[i] or i in doubtful}
    assert gone == ({*before} | doubtful) - {*now}
    assert (difference.changed, difference.gone) == (len(changed), len(gone))
    assert difference.unchanged == len(now) - len(changed)
    assert difference.lost == len({*before} - {*now})
    assert difference.rejected == len({i for i in now if i not in changed and refused.get(i) == now[i]})


@pytest.mark.parametrize(
    ("now", "changed", "gone"),
    [
        ({"test://1": 1, "test://2": 1}, set(), set()),
        ({"test://1": 2, "test://2": 1}, {"test://1"}, set()),
        ({"test://2": 1}, set(), {"test://1"}),
    ],
    ids=["as it was", "changed", "gone"],
)
def test_what_was_refused_is_not_sent_again_as_it_was(
    tmp_path: Path, now: dict[str, int], changed: set[str], gone: set[str]
) -> None:
    """Once it changed it is; and when it goes, an older version of it may still have to be deleted."""
    before: dict[str, int] = {"test://1": 1, "test://2": 1}
    assert compare(tmp_path, now, before, rejected={"test://1": 1})[1:] == (changed, gone)


def test_what_was_refused_is_sent_again_when_asked_for(tmp_path: Path) -> None:
    """And with it nothing else."""
    documents = {"test://1": 1, "test://2": 1}
    assert compare(tmp_path, documents, documents, rejected={"test://1": 1}, retry=True)[1] == {"test://1"}


def test_a_large_comparison_goes_share_by_share(tmp_path: Path) -> None:
    """Sixteen shares of some thousands give what one gives."""
    before = {f"test://{n}": n % 3 for n in range(40_000)}
    now = {f"test://{n}": n % 3 if n % 7 else 5 for n in range(1_000, 41_000)}

    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    _, changed, gone = compare(tmp_path / "a", now, before, rows_at_once=2_500, sizes=[15_000])
    assert (changed, gone) == compare(tmp_path / "b", now, before)[1:]

    assert gone == {f"test://{n}" for n in range(1_000)}


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        (source("h", b"PAR1 no"), "h: is not a Parquet file"),
        (parquet("h", pa.table({"x": [1]})), "h: is damaged: there are no ids in it"),
        (hash_files({"a:b": 2})[0][0], "the files of hashes there are damaged"),
    ],
)
def test_damaged_hashes_are_noticed(tmp_path: Path, file: SourceFile, problem: str) -> None:
    """Also those that can be read, and are others."""
    with pytest.raises(DatasetError, match=problem):
        Comparison(tmp_path, rows=1).add_former([file], hash_files({"a:b": 1})[1])
    with pytest.raises(DatasetError, match=problem):
        Comparison(tmp_path, rows=1).add_current([file], hash_files({"a:b": 1})[1])

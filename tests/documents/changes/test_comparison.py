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


def compare(
    folder: Path,
    now: dict[str, int],
    before: dict[str, int],
    pending: Sequence[Sequence[str]] = (),
    *,
    sizes: Sequence[int] = (),
    rows_at_once: int = 1_000_000,
) -> tuple[Difference, set[str], set[str]]:
    """Return the difference, the ids that changed, and those that are gone."""
    comparison = Comparison(folder, rows=max(len(now), len(before)), rows_at_once=rows_at_once)
    files, sha256 = hash_files(now, sizes)
    comparison.add_current(files, sha256)
    comparison.add_former(*hash_files(before))
    for ids in pending:
        comparison.add_pending(id_file(ids))
    found = comparison.result()
    marked = [flag for mask in found.masks for flag in mask.tolist()]
    changed = {identifier for identifier, flag in zip(now, marked, strict=True) if flag}
    gone = [identifier for table in found.gone_ids() for identifier in table["documentId"].to_pylist()]
    assert len(set(gone)) == len(gone)
    return found, changed, set(gone)


@given(
    _SETS,
    _SETS,
    st.lists(st.lists(st.integers(0, 35).map(lambda n: f"test://{n}"), max_size=5), max_size=3),
    st.lists(st.integers(0, 6), max_size=3),
    st.sampled_from([1, 2, 3, 7, 1_000_000]),
)
@settings(deadline=None)
def test_a_difference_is_set_arithmetic(
    tmp_path_factory: pytest.TempPathFactory,
    now: dict[str, int],
    before: dict[str, int],
    pending: list[list[str]],
    sizes: list[int],
    rows_at_once: int,
) -> None:
    """New, other or doubtful is changed; was there, or doubtful, and is not any more is gone."""
    doubtful = {identifier for ids in pending for identifier in ids}

    found, changed, gone = compare(
        tmp_path_factory.mktemp("diff"), now, before, pending, sizes=sizes, rows_at_once=rows_at_once
    )

    assert changed == {i for i in now if before.get(i) != now[i] or i in doubtful}
    assert gone == ({*before} | doubtful) - {*now}
    assert (found.changed, found.gone) == (len(changed), len(gone))
    assert found.unchanged == len(now) - len(changed)
    assert found.lost == len({*before} - {*now})


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

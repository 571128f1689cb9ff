"""Loads of a source, of which some fail or are refused in part: the state knows what the index holds."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st

from coveo_provider.documents.changes.changed_rows import IdFile
from coveo_provider.documents.changes.comparison import Comparison
from coveo_provider.documents.changes.datasets import WrittenDataset
from coveo_provider.documents.changes.state import LastRun, Pending, State
from coveo_provider.documents.dataset.manifest import DatasetKind, Manifest, PartEntry
from coveo_provider.documents.dataset.part_writer import HASH_SCHEMA
from tests.documents.files import source

_IDS = st.integers(0, 9).map(lambda n: f"test://{n}")


@dataclass(frozen=True)
class Night:
    """
    One load.

    :param now: the documents, by id, with what they say as a number
    :param datasets: how many hold them
    :param refused: ids that the service refuses to add, or to delete
    :param reached: ids that a load reached before it failed; ``None`` when it does not fail
    :param retry: whether what was refused is to be sent again
    :param full: whether everything is to be sent
    """

    now: dict[str, int]
    datasets: int = 1
    refused: frozenset[str] = frozenset()
    reached: frozenset[str] | None = None
    retry: bool = False
    full: bool = False


_NIGHTS = st.builds(
    Night,
    st.dictionaries(_IDS, st.integers(0, 2), max_size=8),
    st.sampled_from([1, 1, 1, 2]),
    st.frozensets(_IDS, max_size=4),
    st.none() | st.frozensets(_IDS),
    st.booleans(),
    st.sampled_from([False, False, False, True]),
)


@dataclass
class Source:
    """A source, what it holds, and the folder with its state."""

    folder: Path
    index: dict[str, int] = field(default_factory=dict)
    nights: int = 0

    @property
    def state(self) -> State:
        folder = self.folder / "state"
        return State(folder, [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()])

    def load(self, night: Night) -> tuple[set[str], set[str]] | None:
        """Carry out a load and return what was sent and deleted by id; ``None`` when it failed."""
        self.nights += 1
        datasets = [self._written(part) for part in _dealt(night.now, night.datasets)]
        current = LastRun("org", "https://api", "s", 1, tuple(one.record() for one in datasets))
        pending, last = self.state.pending(), self.state.last()
        key = f"run-{self.nights}"
        own = Pending(key, True, current.datasets, len(night.now), 0, tuple(one.key for one in pending))
        everything = night.full or any(one.full for one in pending)
        if last is None or everything or last.unlike(current) is not None:
            sent, gone = {*night.now}, set[str]()
            self.state.announce(own, None)
        else:
            sent, gone = self._changes(datasets, last, pending, night)
            if not sent and not gone:
                return sent, gone
            ids = self.folder / f"{key}.parquet"
            with IdFile(ids) as file:
                file.add(pa.table({"documentId": pa.array(sorted(sent | gone), pa.string())}))
            own = Pending(key, False, current.datasets, len(sent), len(gone), own.absorbed)
            self.state.announce(own, ids)
        reached = sent | gone if night.reached is None else night.reached
        for identifier in sent & reached - night.refused:
            self.index[identifier] = night.now[identifier]
        for identifier in gone & reached - night.refused:
            self.index.pop(identifier, None)
        if night.reached is not None:
            return None
        if own.full:  # what is older goes
            self.index = {one: value for one, value in self.index.items() if one in night.now}
        refused = sorted(night.refused & (sent | gone))
        table = pa.table({"documentId": pa.array(refused, pa.string()), "reason": ["no"] * len(refused)})
        rejected = [source("rejected", _parquet(table))] if refused else []
        self.state.remember(current, [one.hashes for one in datasets], own, rejected)
        return sent, gone

    @property
    def last(self) -> LastRun:
        """What is remembered."""
        last = self.state.last()
        assert last is not None
        return last

    def rejected(self) -> dict[str, bytes | None]:
        """Return what the state knows to be refused, with the hash that it had."""
        last = self.last
        file = self.state.rejected(last)
        if file is None:
            assert last.rejected == 0
            return {}
        with file.open() as stream:
            rows = pq.read_table(stream).to_pylist()
        assert last.rejected == sum(row["content"] is not None for row in rows)
        assert all(row["reason"] == "no" for row in rows)
        known = {row["documentId"]: row["content"] for row in rows}
        assert len(known) == len(rows)
        return known

    def _changes(
        self, datasets: list[WrittenDataset], last: LastRun, pending: list[Pending], night: Night
    ) -> tuple[set[str], set[str]]:
        with tempfile.TemporaryDirectory() as scratch:
            comparison = Comparison(Path(scratch), rows=max(len(night.now), last.rows), rows_at_once=3)
            for dataset in datasets:
                comparison.add_current(dataset.hash_files(), dataset.manifest.sha256)
            for record in last.datasets:
                comparison.add_former(self.state.hashes(record), record.sha256)
            for one in pending:
                comparison.add_pending(self.state.pending_ids(one))
            if (rejected := self.state.rejected(last)) is not None:
                comparison.add_rejected(rejected, retry=night.retry)
            difference = comparison.result()
            sent = set()
            parts = _dealt(night.now, night.datasets)
            for documents, masks in zip(parts, difference.masks, strict=True):
                flags = [flag for mask in masks for flag in mask.tolist()]
                sent |= {one for one, flag in zip(documents, flags, strict=True) if flag}
            gone = {one for table in difference.gone_ids() for one in table["documentId"].to_pylist()}
            assert (len(sent), len(gone)) == (difference.changed, difference.gone)
            return sent, gone

    def _written(self, documents: dict[str, int]) -> WrittenDataset:
        hashes = [_hash(identifier, value) for identifier, value in documents.items()]
        sha256 = hashlib.sha256(repr(documents).encode() + b"".join(hashes)).hexdigest()
        folder = self.folder / f"dataset-{sha256[:16]}"
        (folder / "_hashes").mkdir(parents=True, exist_ok=True)
        table = pa.table([list(documents), pa.array(hashes, pa.binary(16))], schema=HASH_SCHEMA)
        (folder / "_hashes" / "part-00000.parquet").write_bytes(_parquet(table))
        parts = (PartEntry("part-00000.parquet", len(documents), 0, "", 0),)
        digest = hashlib.sha256(b"".join(hashes)).hexdigest()
        return WrittenDataset(folder, Manifest(DatasetKind.DOCUMENTS, True, "m", digest, parts))


def _dealt(documents: dict[str, int], datasets: int) -> list[dict[str, int]]:
    entries = list(documents.items())
    return [dict(entries[number::datasets]) for number in range(datasets)]


def _hash(identifier: str, value: int) -> bytes:
    return hashlib.blake2b(f"{identifier} {value}".encode(), digest_size=16).digest()


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue().to_pybytes())


@given(st.lists(_NIGHTS, min_size=1, max_size=6))
@settings(deadline=None, max_examples=150)
def test_after_each_load_the_state_knows_what_the_index_lacks(nights: list[Night]) -> None:
    """
    A load that went through leaves the index equal to the datasets, but for what the state says was refused.

    Whatever failed before, was refused before, or went to other datasets.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Source(Path(folder))
        for night in nights:
            last = place.state.last()
            known = {} if last is None else place.rejected()
            doubtful = place.state.pending()
            loaded = place.load(night)
            if loaded is None:
                continue
            rejected = place.rejected()
            for identifier in {*night.now, *place.index}:
                if identifier in rejected:
                    wanted = night.now.get(identifier)
                    assert rejected[identifier] == (None if wanted is None else _hash(identifier, wanted))
                else:
                    assert place.index.get(identifier) == night.now.get(identifier)
            assert not place.state.pending()
            if last is not None and not doubtful and not night.full and not night.retry:
                as_they_were = {one for one in night.now if known.get(one) == _hash(one, night.now[one])}
                everything = last.unlike(place.last) is not None
                assert everything or not as_they_were & loaded[0]


def test_what_was_refused_is_told_until_it_is_taken(tmp_path: Path) -> None:
    """Also over loads that do not touch it."""
    place = Source(tmp_path)
    place.load(Night({"test://1": 1, "test://2": 1}, refused=frozenset({"test://1"})))
    assert place.rejected() == {"test://1": _hash("test://1", 1)}
    assert place.load(Night({"test://1": 1, "test://2": 1})) == (set(), set())
    assert place.load(Night({"test://1": 1, "test://2": 2})) == ({"test://2"}, set())
    assert place.rejected() == {"test://1": _hash("test://1", 1)}
    assert place.load(Night({"test://1": 1, "test://2": 2}, retry=True)) == ({"test://1"}, set())
    assert place.rejected() == {}
    assert place.index == {"test://1": 1, "test://2": 2}


def test_an_older_version_of_what_was_refused_is_deleted(tmp_path: Path) -> None:
    """And a refused deletion is sent until it is taken."""
    place = Source(tmp_path)
    place.load(Night({"test://1": 1, "test://2": 1}))
    place.load(Night({"test://1": 2, "test://2": 1}, refused=frozenset({"test://1"})))
    assert place.index["test://1"] == 1
    gone = Night({"test://2": 1}, refused=frozenset({"test://1"}))
    assert place.load(gone) == (set(), {"test://1"})
    assert place.rejected() == {"test://1": None}
    assert place.load(Night({"test://2": 1})) == (set(), {"test://1"})
    assert (place.index, place.rejected()) == ({"test://2": 1}, {})


def test_a_load_that_sends_everything_forgets_what_was_refused_before(tmp_path: Path) -> None:
    """It has an answer for each."""
    place = Source(tmp_path)
    place.load(Night({"test://1": 1, "test://2": 1}, refused=frozenset({"test://1", "test://2"})))
    place.load(Night({"test://1": 1, "test://2": 1}, full=True, refused=frozenset({"test://2"})))
    assert place.rejected() == {"test://2": _hash("test://2", 1)}

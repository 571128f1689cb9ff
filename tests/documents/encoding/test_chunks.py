"""Encoded documents become the bodies of file containers."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coveo_provider.documents.contract import DEFAULT_CHUNK_BYTES, MAX_CHUNK_BYTES, MIB, Section
from coveo_provider.documents.encoding import chunks
from coveo_provider.documents.encoding.chunks import Chunk, ChunkWriter, placed
from coveo_provider.documents.records import Attachment, Encoded
from coveo_provider.errors import ConfigurationError
from tests.documents.strategies import read

ADD, DELETE = Section.ADD_OR_UPDATE, Section.DELETE


def batch_of(objects: list[bytes]) -> Encoded:
    """Return objects as the encoder gives them, with more of the buffer behind them than is theirs."""
    data = b"".join(text + b"," for text in objects)
    ends = np.cumsum([len(text) + 1 for text in objects], dtype=np.int64)
    return Encoded(memoryview(data + b"padding"), ends, np.zeros(len(objects), np.uint64))


def numbered(sizes: list[int], first: int = 0) -> list[bytes]:
    """Return JSON objects of these sizes in bytes, each with its number."""
    return [f'{{"n":{n:4},"x":"{"-" * (size - 17)}"}}'.encode() for n, size in enumerate(sizes, first)]


def write(folder: Path, limit: int, batches: list[tuple[Section, list[bytes]]]) -> list[tuple[Chunk, bytes]]:
    """Return the chunks batches are packed into, and what they hold."""
    with ChunkWriter(limit, str(folder)) as writer:
        for section, objects in batches:
            writer.add(batch_of(objects), section)
        return [(chunk, chunk.path.read_bytes()) for chunk in writer.finish()]


sizes = st.lists(st.one_of(st.integers(17, 60), st.integers(17, 900)), max_size=8)


@settings(deadline=None, max_examples=300)
@given(
    adding=st.lists(sizes, max_size=4), removing=st.lists(sizes, max_size=3), limit=st.integers(1_000, 1_100)
)
def test_chunks_hold_every_document_once_and_are_full(
    tmp_path_factory: pytest.TempPathFactory,
    adding: list[list[int]],
    removing: list[list[int]],
    limit: int,
) -> None:
    """In order, in valid JSON, within the bound to the byte, and with no room for the next document."""
    batches: list[tuple[Section, list[bytes]]] = []
    count = 0
    for section, groups in ((ADD, adding), (DELETE, removing)):
        for group in groups:
            batches.append((section, numbered(group, count)))
            count += len(group)

    written = write(tmp_path_factory.getbasetemp(), limit, batches)

    bodies = [read(data) for _, data in written]
    items = [
        item for body in bodies for section in ("addOrUpdate", "delete") for item in body.get(section, [])
    ]
    assert [item["n"] for item in items] == list(range(count))
    assert sum(len(body.get("addOrUpdate", [])) for body in bodies) == sum(map(len, adding))
    for (chunk, data), body in zip(written, bodies, strict=True):
        assert chunk.size == len(data) <= limit
        assert (chunk.documents, chunk.deletions) == tuple(len(body.get(s.value, [])) for s in (ADD, DELETE))
        assert all(body.values()), "no empty array, and something in each chunk"
    objects = [(section, text) for section, texts in batches for text in texts]
    done = 0
    for (chunk, data), _next in pairwise(written):
        done += chunk.documents + chunk.deletions
        section, text = objects[done]
        opening = 1 if objects[done - 1][0] is section else len('],"delete":[')
        assert len(data) + opening + len(text) > limit


def test_a_document_may_fill_a_chunk_to_the_last_byte(tmp_path: Path) -> None:
    """The bound counts the envelope, and allows what it says."""
    room = 1_000 - len(b'{"addOrUpdate":[]}')

    (chunk,) = write(tmp_path, 1_000, [(ADD, numbered([room]))])
    assert chunk[0].size == 1_000

    with pytest.raises(ConfigurationError, match=f"1,000, too small for a document of {room + 1} bytes"):
        write(tmp_path, 1_000, [(ADD, numbered([room + 1]))])


def test_a_document_too_large_for_what_is_left_goes_into_the_next_chunk(tmp_path: Path) -> None:
    """Also when a section ends there."""
    written = write(tmp_path, 1_000, [(ADD, numbered([900])), (DELETE, numbered([900]))])

    assert [(chunk.documents, chunk.deletions) for chunk, _ in written] == [(1, 0), (0, 1)]


def test_nothing_makes_no_chunk(tmp_path: Path) -> None:
    """An empty batch neither."""
    assert write(tmp_path, 1_000, [(ADD, [])]) == []


def test_the_spool_is_gone_afterwards(tmp_path: Path) -> None:
    """Also when the writing was broken off."""
    with pytest.raises(RuntimeError), ChunkWriter(1_000, str(tmp_path)) as writer:  # noqa: PT012
        writer.add(batch_of(numbered([20])), ADD)
        assert list(tmp_path.iterdir())
        raise RuntimeError

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("limit", [0, 999, MAX_CHUNK_BYTES + 1, 1e6, True, "250 MB", None])
def test_a_bound_outside_the_limits_is_refused(limit: Any) -> None:
    """Before anything is written."""
    with pytest.raises(ConfigurationError, match="max_chunk_bytes must lie between 1,000 and 268,435,456"):
        ChunkWriter(limit)


def test_the_default_stays_below_what_a_container_takes() -> None:
    """In MiB, and in the smaller unit the pages may mean."""
    assert DEFAULT_CHUNK_BYTES < MAX_CHUNK_BYTES == 256 * 2**20


# Contents that go along


def with_files(objects: list[bytes], folder: Path, sizes: dict[int, int]) -> Encoded:
    """Return objects, some of which (row to size) have a content of its own whose container is not known yet."""
    encoded = batch_of(objects)
    attachments = []
    for row, size in sizes.items():
        offset = int(encoded.ends[row]) - len(objects[row]) - 1 + objects[row].index(b'"' + b"0" * 62 + b'"')
        attachments.append(Attachment(f"row {row}", folder / str(row), size, offset))
    return replace(encoded, attachments=attachments)


def waiting(count: int) -> list[bytes]:
    """Return objects with a placeholder each, of different sizes."""
    return [f'{{"n":{n},"id":"{"0" * 62}","x":"{"-" * n}"}}'.encode() for n in range(count)]


@settings(deadline=None, max_examples=100)
@given(
    first=st.sets(st.integers(0, 19)),
    second=st.sets(st.integers(0, 19)),
    most=st.integers(1, 12),
    limit=st.integers(1_000, 1_500),
)
def test_a_placeholder_is_found_where_the_chunk_has_it(
    tmp_path_factory: pytest.TempPathFactory, first: set[int], second: set[int], most: int, limit: int
) -> None:
    """Wherever chunks begin and end, every content belongs to its document, and a chunk has few of them."""
    objects = waiting(20)
    folder = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch, ChunkWriter(limit, str(folder)) as writer:
        patch.setattr(chunks, "_MAX_ATTACHED_FILES", most)
        for rows in (first, second):
            writer.add(with_files(objects, folder, dict.fromkeys(sorted(rows), 7)), ADD)
        sealed = writer.finish()
        for chunk in sealed:
            for number, file in enumerate(chunk.attachments):
                chunk.write_at(file.offset, placed(f"{number}:{file.document_id}"))
        bodies = [read(chunk.path.read_bytes())["addOrUpdate"] for chunk in sealed]

    named = []
    for chunk, body in zip(sealed, bodies, strict=True):
        assert len(chunk.attachments) <= most
        assert chunk.attached_bytes == 7 * len(chunk.attachments)
        ids = [item["id"] for item in body if item["id"] != "0" * 62]
        assert ids == [f"{n}:{file.document_id}" for n, file in enumerate(chunk.attachments)]
        named += [item["n"] for item in body if item["id"] != "0" * 62]
    assert named == [*sorted(first), *sorted(second)]


def test_a_chunk_takes_few_bytes_along(tmp_path: Path) -> None:
    """They are uploaded before it, within the life of their containers; a single one may be of any size."""
    sizes = {0: 300 * MIB, 1: 212 * MIB, 2: 1, 3: 600 * MIB, 4: 1}
    with ChunkWriter(10_000, str(tmp_path)) as writer:
        writer.add(with_files(waiting(6), tmp_path, sizes), ADD)
        sealed = writer.finish()

    assert [[file.document_id for file in chunk.attachments] for chunk in sealed] == [
        ["row 0", "row 1"], ["row 2"], ["row 3"], ["row 4"]
    ]  # fmt: skip
    assert [chunk.documents for chunk in sealed] == [2, 1, 1, 2]
    assert sealed[0].described() == "2 documents and 2 files of their content"


@pytest.mark.parametrize(
    "file_id", ["", "a" * 62, "05ee7647-15a6-464a-8ffd-cd2fb6c1a03b", "é" * 31, '"' * 31]
)
def test_the_id_of_a_container_takes_the_placeholders_room(file_id: str) -> None:
    """Blanks behind it fill the room; as JSON it is the same."""
    text = placed(file_id)
    assert len(text) == 64
    assert read(text) == file_id


def test_an_id_that_is_none_has_no_room() -> None:
    """Whatever answers so is not the service."""
    with pytest.raises(ValueError, match="62 characters"):
        placed("a" * 63)

"""
Encoded documents → chunks: files on disk that are each the body of one file container.

The bounds count every byte, envelope and commas included. A chunk is written to disk as it grows, so memory
is bounded by one batch of rows, not by the chunk.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO

import numpy as np

from coveo_provider.documents.contract import DEFAULT_CHUNK_BYTES, MAX_CHUNK_BYTES, MIB, Section, counted
from coveo_provider.documents.records import PLACEHOLDER_BYTES, Attachment, Encoded
from coveo_provider.documents.values.json_values import dump
from coveo_provider.errors import ConfigurationError, DatasetError
from coveo_provider.scratch import ScratchFolder

# Of the contents that go along with one chunk: they are uploaded before it, and their containers live 60 minutes.
_MAX_ATTACHED_BYTES = 512 * MIB
_MAX_ATTACHED_FILES = 100
_HEAD_BYTES = 64 * 1024
_FIRST_ID = re.compile(r'\{"\w+":\[\{"documentId":(?=")')


@dataclass(frozen=True)
class Chunk:
    """
    The body of one file container, on disk.

    :param size: bytes, all of them
    :param counts: how many objects each of its arrays has, by section
    :param attachments: contents of its documents that go through containers of their own, uploaded before it
    """

    path: Path
    size: int
    counts: Mapping[Section, int] = field(compare=False)
    attachments: Sequence[Attachment] = field(default=(), compare=False)

    @property
    def attached_bytes(self) -> int:
        """Bytes of the contents that go along with it."""
        return sum(attachment.size for attachment in self.attachments)

    @property
    def documents(self) -> int:
        """Items to add, update or merge in it."""
        return self.counts[Section.ADD_OR_UPDATE] + self.counts[Section.ADD_OR_MERGE]

    @property
    def partial_updates(self) -> int:
        """Changes of single fields in it."""
        return self.counts[Section.PARTIAL_UPDATE]

    @property
    def deletions(self) -> int:
        """Items to delete in it."""
        return self.counts[Section.DELETE]

    def described(self) -> str:
        """Return what it holds, in words: ``1,200 documents, 3 deletions``."""
        counts = {
            "document": self.documents,
            "partial update": self.partial_updates,
            "deletion": self.deletions,
        }
        files = f" and {counted(len(self.attachments), 'file')} of their content" if self.attachments else ""
        return ", ".join(counted(count, name) for name, count in counts.items() if count) + files

    def first_id(self) -> str:
        """Return the ``documentId`` of its first object, whatever the array; empty when it has none."""
        with self.path.open("rb") as file:
            head = file.read(_HEAD_BYTES).decode("utf-8", "ignore")
        found = _FIRST_ID.match(head)
        return "" if found is None else str(json.JSONDecoder().raw_decode(head, found.end())[0])

    def write_at(self, offset: int, text: bytes) -> None:
        """Write ``text`` over what stands at ``offset``."""
        with self.path.open("r+b") as file:
            file.seek(offset)
            file.write(text)


def digest(chunks: Sequence[Chunk], before: str = "") -> str:
    """
    Return what is the same for chunks of the same input, whatever containers their contents went through.

    :param before: the digest of the chunks before them; empty for none
    """
    for chunk in chunks:
        hashed = hashlib.blake2b(before.encode(), digest_size=16)
        with chunk.path.open("rb") as file:
            for attachment in chunk.attachments:
                _hash(file, attachment.offset - file.tell(), hashed)
                file.seek(PLACEHOLDER_BYTES, 1)
                hashed.update(b"%d;" % attachment.size)
            _hash(file, chunk.size - file.tell(), hashed)
        before = hashed.hexdigest()
    return before


def _hash(file: IO[bytes], size: int, into: hashlib.blake2b) -> None:
    while size > 0 and (block := file.read(min(size, MIB))):
        into.update(block)
        size -= len(block)


def placed(file_id: str) -> bytes:
    """
    Return the id of a container as JSON of the placeholder's length: JSON allows blanks behind a value.

    :raises ValueError: it is too long to be an id
    """
    text = dump(file_id)
    if len(text) > PLACEHOLDER_BYTES:
        raise ValueError(f"a fileId of at most {PLACEHOLDER_BYTES - 2} characters")
    return text.ljust(PLACEHOLDER_BYTES)


class ChunkWriter:
    """
    Packs encoded documents, in order, into chunks below a folder of its own.

    A context manager: leaving it deletes the folder.

    :param max_bytes: the most a chunk may take, in bytes
    :param folder: where to put the spool; the system's temporary folder when ``None``
    :param sealed: called with each chunk as soon as it is complete
    :raises ConfigurationError: ``max_bytes`` is over the API's limit, or too small to be meant

    >>> with ChunkWriter() as writer:
    ...     writer.add(encoded, Section.ADD_OR_UPDATE)
    ...     chunks = writer.finish()
    """

    def __init__(
        self,
        max_bytes: int = DEFAULT_CHUNK_BYTES,
        folder: str | None = None,
        *,
        sealed: Callable[[Chunk], object] | None = None,
    ) -> None:
        if (
            isinstance(max_bytes, bool)
            or not isinstance(max_bytes, int)
            or not 1_000 <= max_bytes <= MAX_CHUNK_BYTES
        ):
            raise ConfigurationError(
                f"max_chunk_bytes must lie between 1,000 and {MAX_CHUNK_BYTES:,} (256 MB, what a file "
                f"container takes), not {max_bytes!r}"
            )
        self._max_bytes = max_bytes
        self._sealed = sealed
        self._folder = ScratchFolder("chunks", folder)
        self._chunks: list[Chunk] = []
        self._file: IO[bytes] | None = None
        self._size = 0
        self._section: Section | None = None
        self._counts = dict.fromkeys(Section, 0)
        self._attachments: list[Attachment] = []

    def __enter__(self) -> ChunkWriter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
        self._folder.cleanup()

    def add(self, encoded: Encoded, section: Section) -> None:
        """
        Append a batch, starting new chunks where the bound asks for it.

        :raises DatasetError: it names files, and these were not read
        """
        if encoded.files:
            raise DatasetError(
                f"document {next(iter(encoded.files.values())).document_id}: contentUri names a file, and nothing "
                "was given to read it with"
            )
        done = 0  # rows written
        start = 0  # bytes written
        ends = encoded.ends
        attached = deque(encoded.attachments)
        while done < len(ends):
            # A row's comma is replaced by the closing bracket, so the tail counts one byte less.
            space = self._max_bytes - self._size - self._opening(section) - len(b"]}") + 1
            space = min(space, self._space_for_files(attached, ends[-1]) - start)
            fits = int(np.searchsorted(ends, start + space, side="right"))
            if fits == done:
                if self._section is None:
                    raise ConfigurationError(
                        f"max_chunk_bytes is {self._max_bytes:,}, too small for a document of "
                        f"{int(ends[done]) - start - 1:,} bytes"
                    )
                self._seal()
                continue
            stop = int(ends[fits - 1])
            self._write(section, encoded.data[start:stop], fits - done)
            moved = self._size - stop
            while attached and attached[0].offset < stop:
                file = attached.popleft()
                self._attachments.append(replace(file, offset=file.offset + moved))
            done, start = fits, stop

    def finish(self) -> list[Chunk]:
        """Return all chunks; none when nothing was added."""
        if self._section is not None:
            self._seal()
        return list(self._chunks)

    def _space_for_files(self, attached: Iterable[Attachment], end: int) -> int:
        """Return where in a batch the first file is named that is too much for the chunk; else its end."""
        count, size = len(self._attachments), sum(file.size for file in self._attachments)
        for file in attached:
            count, size = count + 1, size + file.size
            if count > 1 and (count > _MAX_ATTACHED_FILES or size > _MAX_ATTACHED_BYTES):
                return file.offset
        return end

    def _opening(self, section: Section) -> int:
        """Return the bytes that have to be written before the first object of a section."""
        if self._section is section:
            return 0
        return len(_head(section, first=self._section is None)) - (self._section is not None)

    def _write(self, section: Section, data: memoryview, rows: int) -> None:
        if self._file is None:
            path = Path(self._folder.name) / f"chunk-{len(self._chunks):05d}.json"
            self._file = path.open("wb")
        if self._section is not section:
            if self._section is not None:
                self._drop_comma()
            self._size += self._file.write(_head(section, first=self._section is None))
            self._section = section
        self._file.write(data)
        self._size += len(data)
        self._counts[section] += rows

    def _seal(self) -> None:
        assert self._file is not None  # noqa: S101  there is a section, so something was written
        self._drop_comma()
        self._size += self._file.write(b"]}")
        path = Path(self._file.name)
        self._file.close()
        chunk = Chunk(path, self._size, self._counts, self._attachments)
        self._chunks.append(chunk)
        if self._sealed is not None:
            self._sealed(chunk)
        self._attachments = []
        self._file, self._size, self._section = None, 0, None
        self._counts = dict.fromkeys(Section, 0)

    def _drop_comma(self) -> None:
        assert self._file is not None  # noqa: S101
        self._file.seek(-1, 1)
        self._file.truncate()
        self._size -= 1


def _head(section: Section, *, first: bool) -> bytes:
    return f'{{"{section.value}":['.encode() if first else f'],"{section.value}":['.encode()

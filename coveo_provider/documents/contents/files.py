"""
Files that are the contents of documents: read from wherever they lie, and compressed to disk.

No page says how the types are written (docs/api-notes.md, "Compression"): ZLIB is taken as RFC 1950, GZIP as RFC
1952, DEFLATE as RFC 1951 without a wrapper, and LZMA as an ``.xz`` file. Coveo's one published sample of DEFLATE
(docs 69) holds bytes of RFC 1950. ZLIB, the default of the service and ours, is free of doubt.
"""

from __future__ import annotations

import lzma
import os
import re
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath
from typing import IO, Protocol, TypeAlias, TypeVar
from urllib.parse import unquote

from coveo_provider.documents.contents.local_files import IrregularFile
from coveo_provider.documents.contents.roots import OutsideRoots
from coveo_provider.documents.contents.threads import side_by_side
from coveo_provider.documents.contract import MAX_CHUNK_BYTES, MIB, Compression
from coveo_provider.documents.records import ContentFile
from coveo_provider.documents.uris import MissingFile, file_name, shown_uri, without_secrets
from coveo_provider.errors import ContentUnavailable, CoveoError, DatasetError, DocumentError, FileChanged
from coveo_provider.scratch import ScratchFolder

T = TypeVar("T")
OpenFile: TypeAlias = "Callable[..., AbstractContextManager[IO[bytes]]]"

_READERS = 8
_AHEAD = 16  # files read before they are asked for
_BLOCK = MIB
_SHOWN = 300  # characters of what a storage library says
_EXTENSION = re.compile(r"\.(?=[a-z0-9]*[a-z])[a-z0-9]{1,10}")  # not the .2 of "Version 1.2"


@dataclass(frozen=True)
class Content:
    """The content of a document, compressed, on disk."""

    path: Path
    size: int


class ContentSpool:
    """
    Reads files side by side and keeps them, compressed, in a folder of its own.

    A context manager: leaving it stops the reading, without waiting for a file that does not come, and deletes the
    folder. Memory is bounded by a block of each file being read; the disk has to hold the compressed files of all
    containers of one load.

    :param open_file: opens the file of a URI, if it lies below one of some folders, for reading in binary, as a
        context manager; with ``links=False`` no file that a link leads to, with ``owners`` none that is of others;
        called in threads
    :param folder: where to put the files; the system's temporary folder when ``None``
    """

    def __init__(self, open_file: OpenFile, folder: str | None = None) -> None:
        self._open = open_file
        self._folder = ScratchFolder("contents", folder)
        self._stopped = threading.Event()
        self._creating = threading.Lock()  # a thread left behind must not put a file where the folder goes
        self._numbers = count()

    def __enter__(self) -> ContentSpool:
        return self

    def __exit__(self, *_: object) -> None:
        with self._creating:
            self._stopped.set()
            self._folder.cleanup()

    def read(self, files: Iterable[ContentFile]) -> Iterator[Content]:
        """
        Return the contents of files, in order.

        :raises DocumentError: a file is missing, no file, or too large for a container
        :raises ContentUnavailable: the storage failed in a way that may pass
        """
        return self._side_by_side(self._compressed, files)

    def look(self, files: Iterable[ContentFile]) -> None:
        """
        Make sure that files are there, can be opened, and are not too large as far as that is known.

        :raises DocumentError: names the first that is not
        :raises ContentUnavailable: the storage failed in a way that may pass
        """
        for _ in self._side_by_side(self._looked_at, files):
            pass

    def _side_by_side(self, work: Callable[[ContentFile], T], files: Iterable[ContentFile]) -> Iterator[T]:
        return side_by_side(work, files, threads=_READERS, ahead=_AHEAD, name="coveo-read")

    def _looked_at(self, file: ContentFile) -> None:
        with blamed_on(file), self._opening(file) as source:
            _refuse_too_large(file, source)

    def _opening(self, file: ContentFile) -> AbstractContextManager[IO[bytes]]:
        bounds: dict[str, bool | str] = {} if file.links else {"links": False}
        if file.owners:
            bounds["owners"] = file.owners
        return self._open(file.uri, file.roots, **bounds)

    def _compressed(self, file: ContentFile) -> Content:
        compressor = _COMPRESSORS[file.compression]()
        size = 0
        path, new_file = self._new_file(file)
        with new_file as sink:
            for block in self._blocks(file):
                size += sink.write(compressor.compress(block))
                if size > MAX_CHUNK_BYTES:
                    raise _too_large(file, "")
            size += sink.write(compressor.flush())
        if size > MAX_CHUNK_BYTES:
            raise _too_large(file, "")
        return Content(path, size)

    def _new_file(self, file: ContentFile) -> tuple[Path, IO[bytes]]:
        with self._creating:
            if self._stopped.is_set():
                raise _given_up(file)
            path = Path(self._folder.name) / f"content-{next(self._numbers):08d}"
            return path, path.open("wb")

    def _blocks(self, file: ContentFile) -> Iterator[bytes]:
        """Return a file's bytes; what goes wrong with it is told apart from a full disk of this machine."""
        with blamed_on(file):
            opening = self._opening(file)
            source = opening.__enter__()
        try:
            with blamed_on(file):
                _refuse_too_large(file, source)
            while not self._stopped.is_set():
                with blamed_on(file):
                    block = source.read(_BLOCK)
                if not block:
                    return
                yield block
            raise _given_up(file)
        finally:
            with blamed_on(file):
                opening.__exit__(None, None, None)


class _Compressor(Protocol):
    def compress(self, data: bytes, /) -> bytes:
        """Return what is ready of the data so far."""

    def flush(self) -> bytes:
        """Return the rest."""


class _Uncompressed:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def _zlib(window: int) -> Callable[[], _Compressor]:
    return lambda: zlib.compressobj(wbits=window)


_COMPRESSORS: dict[str, Callable[[], _Compressor]] = {
    Compression.UNCOMPRESSED: _Uncompressed,
    Compression.ZLIB: _zlib(zlib.MAX_WBITS),
    Compression.GZIP: _zlib(16 + zlib.MAX_WBITS),
    Compression.DEFLATE: _zlib(-zlib.MAX_WBITS),
    Compression.LZMA: lambda: lzma.LZMACompressor(
        preset=1
    ),  # takes 9 MB; the default preset takes 94 MB a file
}


@contextmanager
def blamed_on(file: ContentFile, what: str = "its content") -> Iterator[None]:
    """
    Name document and file in whatever a storage library raises, and nothing secret of the URI.

    :param what: what the file is called
    """
    try:
        yield
    except FileChanged:
        raise FileChanged(f"document {file.document_id}: {what} {shown_uri(file.uri)}") from None
    except DatasetError as error:  # no URI that can be read
        raise DocumentError(file.document_id, f"{what} {error}") from None
    except CoveoError:
        raise
    except Exception as error:  # noqa: BLE001  each storage library has its own
        raise _failure(file, error, what) from None


def _failure(file: ContentFile, error: Exception, what: str) -> CoveoError:
    uri = shown_uri(file.uri)
    if isinstance(error, MissingFile):
        return DocumentError(file.document_id, f"{what} {uri} is missing{error}")
    if isinstance(error, FileNotFoundError):
        return DocumentError(file.document_id, f"{what} {uri} is missing")
    if isinstance(error, OutsideRoots):
        return DocumentError(file.document_id, f"{what} {uri} {error}")
    if isinstance(error, IrregularFile):
        return DocumentError(file.document_id, f"{what} {uri} is {error}, expected a regular file")
    if isinstance(error, IsADirectoryError):
        return DocumentError(file.document_id, f"{what} {uri} is a folder, expected a file")
    if isinstance(error, PermissionError):
        return DocumentError(file.document_id, f"{what} {uri} cannot be read: permission denied")
    reason = f"{type(error).__name__}: {without_secrets(file.uri, str(error))[:_SHOWN]}".removesuffix(": ")
    if isinstance(error, (ValueError, ImportError, NotADirectoryError)):  # an unknown scheme, a null byte
        return DocumentError(file.document_id, f"{what} {uri} cannot be read: {reason}")
    return ContentUnavailable(file.document_id, uri, reason)


def _given_up(file: ContentFile) -> ContentUnavailable:
    return ContentUnavailable(file.document_id, shown_uri(file.uri), "the load was given up")


def _refuse_too_large(file: ContentFile, source: IO[bytes]) -> None:
    try:
        size = source.seek(0, os.SEEK_END)
        source.seek(0)
    except (OSError, ValueError):  # a stream whose end is not known before it comes
        return
    if file.compression == Compression.UNCOMPRESSED and size > MAX_CHUNK_BYTES:
        raise _too_large(file, f"has {size:,} bytes, ")


def _too_large(file: ContentFile, size: str) -> DocumentError:
    how = size or f"has more than {MAX_CHUNK_BYTES:,} bytes compressed with {file.compression}, "
    return DocumentError(
        file.document_id,
        f"its content {shown_uri(file.uri)} {how}over the limit of {MAX_CHUNK_BYTES:,} bytes for one file; "
        "shrink the file, or leave its contentUri empty and index its metadata only",
    )


def extension_of(uri: str) -> str | None:
    """Return the suffix of a file's name, in lower case, when it looks like a file's extension."""
    suffix = PurePosixPath(unquote(file_name(uri))).suffix.lower()
    return suffix if _EXTENSION.fullmatch(suffix) else None

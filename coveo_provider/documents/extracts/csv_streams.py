"""Bytes of a CSV file on their way to Arrow."""

from __future__ import annotations

import atexit
import codecs
import io
import threading
import time
import weakref
from typing import IO, Any

from coveo_provider.documents.contract import MIB

_PATIENCE = 10.0  # seconds; on a busy machine a thread may be late

_unended: weakref.WeakSet[CountedQuotes] = weakref.WeakSet()


@atexit.register
def _let_end() -> None:
    """Wait for what Arrow still reads ahead: Python must not end under its threads."""
    until = time.monotonic() + _PATIENCE
    for stream in list(_unended):
        stream.ended.wait(max(until - time.monotonic(), 0))


class CountedQuotes(io.RawIOBase):
    """A file that counts the quotes read from it, and ends when nobody wants it any more."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._reading = threading.Lock()
        self._given_up = False
        self.ended = threading.Event()
        self.odd = False
        _unended.add(self)

    def __enter__(self) -> CountedQuotes:
        return self

    def __exit__(self, *_: object) -> None:
        """End: Arrow reads ahead in a thread, which gets nothing more."""
        with self._reading:
            self._given_up = True

    def readable(self) -> bool:
        """Say so."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, none when it has ended."""
        with self._reading:
            data = b"" if self._given_up else self._stream.read(size)
        if not data:
            self.ended.set()
            _unended.discard(self)
        self.odd ^= bool(data.count(b'"') % 2)
        return data


class Transcoded(io.RawIOBase):
    """A file in some encoding, read as UTF-8."""

    def __init__(self, stream: IO[bytes], encoding: str) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._held = b""
        self._ended = False

    def readable(self) -> bool:
        """Say so."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer with UTF-8."""
        while not self._held and not self._ended:
            data = self._stream.read(MIB)
            self._ended = not data
            self._held = self._decoder.decode(data, final=self._ended).encode()
        taken = self._held[: len(buffer)]
        buffer[: len(taken)] = taken
        self._held = self._held[len(taken) :]
        return len(taken)

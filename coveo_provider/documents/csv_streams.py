"""Bytes of a CSV file on their way to Arrow."""

from __future__ import annotations

import codecs
import io
import threading
from typing import IO, Any

from coveo_provider.documents.contract import MIB

_PATIENCE = 0.5  # seconds


class CountedQuotes(io.RawIOBase):
    """A file that counts the quotes read from it, and ends when nobody wants it any more."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._reading = threading.Lock()
        self._given_up = False
        self._ended = threading.Event()
        self.odd = False

    def __enter__(self) -> CountedQuotes:
        return self

    def __exit__(self, *_: object) -> None:
        """End: Arrow reads ahead in a thread, which must not outlive what it reads."""
        with self._reading:
            self._given_up = True
        self._ended.wait(_PATIENCE)

    def readable(self) -> bool:
        """Say so."""
        return True

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, none when it has ended."""
        with self._reading:
            data = b"" if self._given_up else self._stream.read(size)
        if not data:
            self._ended.set()
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

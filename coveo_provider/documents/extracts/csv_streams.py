"""Bytes of a CSV file on their way to Arrow."""

from __future__ import annotations

import atexit
import codecs
import io
import threading
import time
import weakref
from collections.abc import Callable
from typing import IO, Any

from coveo_provider.documents.contract import MIB
from coveo_provider.documents.extracts.csv_checks import NO_VALUE, cut_of, null_value
from coveo_provider.documents.extracts.csv_dialects import Dialect

_PATIENCE = 10.0  # seconds; on a busy machine a thread may be late

_SHORT_PATIENCE = 1.0  # for what takes a moment, if nothing else holds it
_STEP = 0.01

_unended: weakref.WeakSet[ReadAhead] = weakref.WeakSet()
_lent: dict[int, weakref.ref[memoryview]] = {}  # what Arrow has not given back yet


@atexit.register
def _let_end() -> None:
    """Wait for what Arrow still reads ahead or gives back: Python must not end under its threads."""
    until = time.monotonic() + _PATIENCE
    for stream in list(_unended):
        stream.ended.wait(max(until - time.monotonic(), 0))
    until = time.monotonic() + _SHORT_PATIENCE
    while _lent and time.monotonic() < until:
        time.sleep(_STEP)


def _lend(data: bytes) -> memoryview:
    """Return bytes, and note until when they are in use."""
    view = memoryview(data)
    key = id(view)
    _lent[key] = weakref.ref(view, lambda _: _lent.pop(key, None))
    return view


class ReadAhead(io.RawIOBase):
    """
    A file that Arrow reads in a thread of its own, and that ends when nobody wants it any more.

    None of its blocks ends with a carriage return but the last: Arrow drops the line feed that the next one begins
    with, within a quoted value too.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._reading = threading.Lock()
        self._given_up = False
        self.ended = threading.Event()
        _unended.add(self)

    def __enter__(self) -> ReadAhead:
        return self

    def __exit__(self, *_: object) -> None:
        """End: Arrow reads ahead in a thread, which gets nothing more."""
        with self._reading:
            self._given_up = True

    def readable(self) -> bool:
        """Say so."""
        return True

    def read(self, size: int = -1, /) -> Any:
        """Return the next bytes, none when it has ended."""
        with self._reading:
            data = b"" if self._given_up else self._stream.read(size)
            while data.endswith(b"\r") and (more := self._stream.read(1)):
                data += more
        if not data:
            self.ended.set()
            _unended.discard(self)
        return _lend(data)


class Converted(io.RawIOBase):
    """A file whose bytes are converted as they are read."""

    def __init__(self, stream: IO[bytes], convert: Callable[[bytes], bytes]) -> None:
        self._stream = stream
        self._convert = convert  # is called with nothing in the end
        self._held = b""
        self._ended = False

    def readable(self) -> bool:
        """Say so."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill a buffer."""
        while not self._held and not self._ended:
            data = self._stream.read(MIB)
            self._ended = not data
            self._held = self._convert(data)
        taken = self._held[: len(buffer)]
        buffer[: len(taken)] = taken
        self._held = self._held[len(taken) :]
        return len(taken)


def buffered(stream: IO[bytes], *conversions: Callable[[bytes], bytes]) -> IO[bytes]:
    """Return a file read by way of conversions."""
    for convert in conversions:
        stream = io.BufferedReader(Converted(stream, convert), MIB)
    return stream


def to_utf8(encoding: str) -> Callable[[bytes], bytes]:
    """Return what makes UTF-8 of an encoding, piece by piece."""
    decoder = codecs.getincrementaldecoder(encoding)()
    return lambda data: decoder.decode(data, final=not data).encode()


def without_nulls(dialect: Dialect) -> Callable[[bytes], bytes]:
    """Return what marks the values that say that there is none, line by line."""
    null = null_value(dialect)
    rest = b""

    def convert(data: bytes) -> bytes:
        nonlocal rest
        whole = rest + data
        cut = cut_of(whole, dialect) if data else len(whole)
        rest = whole[cut:]
        return null.sub(NO_VALUE, whole[:cut])

    return convert

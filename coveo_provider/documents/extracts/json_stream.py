"""
A JSON file on its way to a parser that bounds nothing itself.

The parser keeps the path of each value and the whole of each text: nested five million deep, a file of 23 kB packed
takes gigabytes. So what is nested or goes on beyond reason is refused before the parser sees it.
"""

from __future__ import annotations

import re
from typing import IO

from coveo_provider.documents.contract import MIB
from coveo_provider.errors import DatasetError

MAX_DEPTH = 500
LONGEST_RECORD = 64 * MIB
READ_BYTES = MIB
"""Read at once: the parser looks at an unfinished text anew with each block."""

_LONGEST_NUMBER = re.compile(rb"[0-9]{4301}")  # what Python reads as a whole number, and a digit
_STRUCTURE = b'"[]{}'
_OTHER = bytes(set(range(256)) - set(_STRUCTURE))


class BoundedJson:
    """
    Hands a file's bytes on, while it is nested and its records are as long as can be.

    :param stream: the file, from where it stands
    :param name: the file, for errors
    """

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._stream, self._name = stream, name
        self._depth = 0
        self._in_text = False
        self._held = b""
        self._since = 0

    def record_ended(self) -> None:
        """Count the bytes of the next record from here."""
        self._since = 0

    def read(self, size: int = -1, /) -> bytes:
        """
        Return the next bytes.

        :raises DatasetError: it is nested too deeply, or a record does not end
        """
        data = self._stream.read(size)
        self._since += len(data)
        if self._since > LONGEST_RECORD + 2 * READ_BYTES:
            raise DatasetError(
                f"{self._name}: more than {LONGEST_RECORD:,} bytes follow each other without the end of a record"
            )
        self._look(data)
        return data

    def _look(self, data: bytes) -> None:
        """Follow the brackets outside of texts; what is no JSON is for the parser to refuse."""
        data = self._held + data
        backslashes = len(data) - len(data.rstrip(b"\\"))
        self._held = b"\\" if backslashes % 2 else b""
        if self._held:
            data = data[:-1]
        unescaped = data.replace(b"\\\\", b"").replace(b'\\"', b"")
        if _LONGEST_NUMBER.search(unescaped) and any(
            map(_LONGEST_NUMBER.search, unescaped.split(b'"')[self._in_text :: 2])
        ):
            raise DatasetError(f"{self._name}: holds a number of more than 4,300 digits")
        pieces = unescaped.translate(None, _OTHER).split(b'"')
        brackets = b"".join(pieces[self._in_text :: 2])
        self._in_text ^= not len(pieces) % 2
        openings = brackets.count(b"[") + brackets.count(b"{")
        if self._depth + openings > MAX_DEPTH:
            self._walk(brackets)
        else:
            self._depth += 2 * openings - len(brackets)

    def _walk(self, brackets: bytes) -> None:
        for bracket in brackets:
            self._depth += 1 if bracket in b"[{" else -1
            if self._depth > MAX_DEPTH:
                raise DatasetError(
                    f"{self._name}: is nested more than {MAX_DEPTH} deep, which no document is; is it damaged?"
                )

"""
JSON files → the texts of their records, some at a time: of lines, and of an array anywhere in a file.

Brackets, commas and quotes are found over a whole block of bytes at once. Whether a piece is JSON is for its reader
to say; what stands around the records is read here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Any, NoReturn, TypeAlias

import numpy as np
import numpy.typing as npt
import orjson

from coveo_provider.documents.contract import MIB
from coveo_provider.documents.extracts.json_records import MAX_DEPTH
from coveo_provider.errors import DatasetError

LONGEST_RECORD = 64 * MIB
READ_BYTES = MIB

Pieces: TypeAlias = "Iterator[tuple[list[int], list[bytes]]]"
"""The texts of records, each with its number."""

_BOM = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n"
_COMMA, _OPEN, _CLOSE = 1, 2, 3
_KINDS = np.zeros(256, np.uint8)
_KINDS[list(b",")] = _COMMA
_KINDS[list(b"[{")] = _OPEN
_KINDS[list(b"]}")] = _CLOSE


def lines(stream: IO[bytes], name: str) -> Pieces:
    """
    Return the lines of a file, numbered from 1, without those that are blank.

    :param name: the file, for errors
    :raises DatasetError: a line is too long, or the file is no UTF-8
    """
    number = 1
    held: list[bytes] = []
    block = _beginning(stream, name)
    while block:
        whole, newline, rest = block.rpartition(b"\n")
        if newline:
            texts = b"".join([*held, whole]).split(b"\n")
            numbers = list(range(number, number + len(texts)))
            number += len(texts)
            held = []
            if not all(map(bytes.strip, texts)):
                numbered = [(n, text) for n, text in zip(numbers, texts, strict=True) if text.strip()]
                numbers, texts = [n for n, _ in numbered], [text for _, text in numbered]
            if texts:
                yield numbers, texts
        held.append(rest)
        if sum(map(len, held)) > LONGEST_RECORD + 2 * READ_BYTES:
            raise DatasetError(
                f"{name}: line {number:,} is longer than {LONGEST_RECORD:,} bytes; is it one JSON array? That is "
                'file_format="json"'
            )
        block = stream.read(READ_BYTES)
    last = b"".join(held)
    if last.strip():
        yield [number], [last]


def _beginning(stream: IO[bytes], name: str) -> bytes:
    """Return the first bytes of a file, without its mark of UTF-8."""
    block = stream.read(READ_BYTES)
    if block.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in block[:4]:
        raise DatasetError(
            f"{name}: is UTF-16 or UTF-32, and JSON is written in UTF-8; convert it, such as with iconv "
            "-f UTF-16 -t UTF-8"
        )
    if block.startswith(_BOM):
        return block[len(_BOM) :] or stream.read(READ_BYTES)
    return block


class RecordArray:
    """
    The array of records in a JSON file.

    :param stream: the file, at its start
    :param name: the file, for errors
    :param path: where the array stands, as ``data.products``; the file is the array when empty

    :ivar beside: what stands beside the array in its object, containers left out; whole once all was read
    :ivar found: whether the array was reached
    """

    def __init__(self, stream: IO[bytes], name: str, path: str = "") -> None:
        self._stream, self._name, self._path = stream, name, path
        self.beside: dict[str, Any] = {}
        self.found = False
        self._records = 0
        self._depth = 0  # where the block ends
        self._in_text = False
        self._escaped = b""
        self._data, self._at = b"", 0  # the block, and how far it was read
        self._before: list[bytes] = []  # of the piece that is being read, from earlier blocks
        self._take(_beginning(stream, name))

    def pieces(self) -> Pieces:
        """
        Return the texts between the array's commas, numbered from 0.

        :raises DatasetError: the file is no JSON, there is no such array, or a record does not end
        """
        head, opened = self._next(0, opens=True)
        if head.strip(_BLANKS) or opened not in {b"[", b"{"}:
            self._refuse_here(
                f"expected an array of objects, not {(head + opened)[:40]!r}" if head else "it is empty"
            )
        if opened == b"{" and not self._path:
            self._refuse_object()
        yield from self._within(opened, self._path, 1)
        if self._rest().strip(_BLANKS):
            self._refuse_here("something follows its end")
        if not self.found:
            self._refuse(
                f"no array stands at {self._path!r}; expected an array of objects. json_records tells where it is, "
                "as data.products"
            )

    def _within(self, opened: bytes, path: str, depth: int) -> Pieces:
        """Return the records in a container that was opened, and pass over the rest of it."""
        if not path:
            self.found = True
            yield from self._elements(depth)
            return
        led = False  # whether a member led to records
        first = True
        while True:
            head, mark = self._next(depth, opens=True)
            if mark and mark in b"[{":
                rest = _after(path, self._key(opened, head))
                if rest is not None and opened == b"{":
                    if led:
                        self._refuse(f"has a key of {self._path!r} twice in one object")
                    led = True
                if rest is None or (not rest and mark != b"["):
                    body, end = self._next(depth)
                    self._check(opened, head + mark + body)
                    mark = end
                else:
                    yield from self._within(mark, rest, depth + 1)
                    tail, mark = self._next(depth)
                    if tail.strip(_BLANKS):
                        self._refuse_here(f"{tail[:40]!r} is unexpected")
            elif head.strip(_BLANKS):
                member = self._check(opened, head)
                if opened == b"{" and "." not in path:
                    self.beside |= member
            elif not (first and mark in b"]}"):
                self._refuse_here("nothing stands before a comma or after it")
            first = False
            if self._ends(opened, mark):
                return

    def _elements(self, depth: int) -> Pieces:
        ended = False
        empty = True
        while not ended:
            cuts, kinds = self._cuts(depth, opens=False)
            ended = bool(len(kinds)) and kinds[-1] == _CLOSE
            texts = [self._upto(cut) for cut in cuts.tolist()]
            if ended:
                self._ends(b"[", self._data[self._at - 1 : self._at])
                if empty and len(texts) == 1 and not texts[0].strip(_BLANKS):
                    return
            if texts:
                empty = False
                numbers = list(range(self._records, self._records + len(texts)))
                self._records += len(texts)
                yield numbers, texts
            if not ended:
                self._more()

    def _key(self, opened: bytes, head: bytes) -> str:
        """Return the key of a container within another; that of an element is ``item``."""
        if opened == b"[":
            if head.strip(_BLANKS):
                self._refuse_here(f"{head[:40]!r} is unexpected")
            return "item"
        try:
            (key,) = orjson.loads(b"{" + head + b"null}")
        except ValueError:
            self._refuse_here(f"{head[:40]!r} is unexpected")
        return str(key)

    def _check(self, opened: bytes, member: bytes) -> Any:
        """Refuse what stands beside the records and is no JSON; return what it is."""
        try:
            return orjson.loads(opened + member + (b"]" if opened == b"[" else b"}"))
        except ValueError as error:
            self._refuse_here(f"{member[:40]!r}: {error}")

    def _ends(self, opened: bytes, mark: bytes) -> bool:
        """Return whether a mark ends a container, and refuse one that ends another kind."""
        if mark == b",":
            return False
        if mark != (b"]" if opened == b"[" else b"}"):
            self._refuse_here(f"{opened.decode()} is ended by {mark.decode()}")
        return True

    def _next(self, depth: int, *, opens: bool = False) -> tuple[bytes, bytes]:
        """
        Return what stands up to the next comma or end of a container, and that mark; at depth 0 there may be none.

        :param opens: whether a container that begins within it ends the text, too
        """
        while True:
            cuts, _ = self._cuts(depth, opens=opens)
            if len(cuts):
                text = self._upto(int(cuts[0]))
                return text, self._data[self._at - 1 : self._at]
            if not self._more(required=depth > 0):
                return b"".join(self._before), b""

    def _rest(self) -> bytes:
        """Return what is left, or the beginning of it."""
        while True:
            rest = b"".join([*self._before, self._data[self._at :]])
            if rest.strip(_BLANKS):
                return rest
            self._before, self._at = [], len(self._data)
            if not self._more(required=False):
                return b"".join(self._before)

    def _upto(self, cut: int) -> bytes:
        text = b"".join([*self._before, self._data[self._at : cut]])
        self._before = []
        self._at = cut + 1
        return text

    def _cuts(self, depth: int, *, opens: bool) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        """Return where the texts of a level end in what is left of the block, up to the end of the container."""
        if (depth, opens) not in self._known:
            kinds, depths = self._kinds, self._depths
            wanted = (kinds == _COMMA) & (depths == depth)
            wanted |= (kinds == _CLOSE) & (depths == depth - 1)
            if opens:
                wanted |= (kinds == _OPEN) & (depths == depth + 1)
            self._known[depth, opens] = self._marks[wanted], kinds[wanted]
        cuts, kinds = self._known[depth, opens]
        start = int(np.searchsorted(cuts, self._at))
        if opens:
            return cuts[start : start + 1], kinds[start : start + 1]
        ends = np.flatnonzero(kinds[start:] == _CLOSE)
        stop = start + int(ends[0]) + 1 if len(ends) else len(cuts)
        return cuts[start:stop], kinds[start:stop]

    def _more(self, *, required: bool = True) -> bool:
        """Go on to the next block."""
        self._before.append(self._data[self._at :])
        if sum(map(len, self._before)) > LONGEST_RECORD + 2 * READ_BYTES:
            self._refuse(f"more than {LONGEST_RECORD:,} bytes follow each other without the end of a record")
        block = self._stream.read(READ_BYTES)
        self._take(block)
        if not block:
            if required:
                self._refuse_here("it is cut off")
            self._before.append(self._data)  # a backslash that escapes nothing
            self._at = len(self._data)
        return bool(block)

    def _take(self, block: bytes) -> None:
        """Find the marks of a block outside of texts, and how deep each is."""
        whole = self._escaped + block
        self._at = 0
        odd = (len(whole) - len(whole.rstrip(b"\\"))) % 2 and bool(block)
        self._data, self._escaped = (whole[:-1], whole[-1:]) if odd else (whole, b"")
        masked = self._data
        if b"\\" in masked:
            masked = masked.replace(b"\\\\", b"__").replace(b'\\"', b"__")
        codes = np.frombuffer(masked, np.uint8)
        inside = np.logical_xor.accumulate(codes == ord('"')) ^ self._in_text
        kinds = _KINDS[codes]
        self._marks = np.flatnonzero((kinds != 0) & ~inside)
        self._kinds = kinds[self._marks]
        steps = (self._kinds == _OPEN).astype(np.int64) - (self._kinds == _CLOSE)
        self._depths = np.cumsum(steps) + self._depth
        self._known: dict[tuple[int, bool], tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]] = {}
        if len(inside):
            self._in_text = bool(inside[-1])
        if len(self._depths):
            self._depth = int(self._depths[-1])
            if int(self._depths.max()) > 2 * MAX_DEPTH:
                self._refuse(f"is nested more than {MAX_DEPTH} deep, which no document is; is it damaged?")

    def _refuse_object(self) -> NoReturn:
        """Refuse a file that is an object: one of many, one a line, or one around the records."""
        mark = b","
        while mark == b",":
            _, mark = self._next(1)
        if self._rest().strip(_BLANKS):
            self._refuse_here('something follows its end. One object a line is file_format="ndjson"')
        self._refuse(
            "it is no array; expected an array of objects. json_records tells where it is, as data.products"
        )

    def _refuse_here(self, problem: str) -> NoReturn:
        self._refuse(f"is not JSON from record {self._records:,} on: {problem}")

    def _refuse(self, problem: str) -> NoReturn:
        raise DatasetError(f"{self._name}: {problem}")


def _after(path: str, key: str) -> str | None:
    """Return what is left of a path after a key; ``None`` when it leads elsewhere."""
    if path == key:
        return ""
    return path[len(key) + 1 :] if path.startswith(f"{key}.") else None

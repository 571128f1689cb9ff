"""
Where the quotes and escapes of a CSV file have no clear meaning, and a reader would garble values without a word.

A quote encloses a value from its first character on, and a separator or line end follows the closing one. One that
stands elsewhere in an unquoted value is text. The bytes are UTF-8, so those of ASCII mean what they say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from coveo_provider.documents.contract import MIB
from coveo_provider.documents.extracts.csv_dialects import ENCLOSED, HOW, Dialect

NO_VALUE = b"\0\0"
"""What stands for no value, as long as one that is escaped; a file that holds NULs is refused."""
_LONG_LINE = 4 * MIB
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Fault:
    """
    What is wrong in a file.

    :param offset: of the byte at fault, from the file's start
    :param problem: what stands there, and what to do; ``{line}`` in it is for the line
    """

    offset: int
    problem: str


class QuoteCheck:
    """
    Looks at the bytes of a file as they are read, block by block, and at quotes in bulk.

    :param dialect: how the file is read
    :param columns: how many its header has
    """

    def __init__(self, dialect: Dialect, columns: int) -> None:
        self.fault: Fault | None = None
        """The first thing that is wrong so far."""
        self._dialect = dialect
        self._separators = columns - 1
        self._quote = (dialect.quote or '"').encode()
        self._separator = dialect.separator.encode()
        self._ends = _table(self._separator + b"\r\n")
        self._borders = _table(self._separator + b"\r\n" + self._quote)
        self._value = re.compile(b"[^" + re.escape(self._separator) + b"\r\n]*")
        self._escapes = _Escapes(dialect) if dialect.escape else None
        self._offset = 0
        self._rest = b""
        self.opened: int | None = None
        """Where the value began whose closing quote is still to come, in bytes."""
        self._fits = True  # whether each line of that value could be a row of its own
        self._sure = dialect.told or columns == 1  # that quotes enclose values, and are no stray ones
        self._doubtful: int | None = None

    def look(self, data: bytes) -> bytes:
        """Look at the next bytes, and pass them on; none at all end the file."""
        if not data:
            self._end()
        elif self.fault is None:
            whole = self._rest + data
            cut = cut_of(whole, self._dialect)
            self._rest = whole[cut:]
            self._sure = self._sure or whole[cut - 1 : cut] not in {b"", b"\n", b"\r"}  # no row is as long
            self._look(whole[:cut])
        return data

    def _end(self) -> None:
        if self.fault is None:
            self._look(self._rest, ended=True)
        if self.opened is not None:
            self._refuse(self.opened, f"a quote opened in {{line}} is never closed. Give {HOW}")
        if not self._sure and self._doubtful is not None:
            self._refuse(
                self._doubtful,
                "the quote in {line} opens a value of several lines, and each of them would be a row of its own if "
                f"quotes were text. Give {HOW}",
            )

    def _refuse(self, offset: int, problem: str) -> None:
        self.fault = self.fault or Fault(offset, problem)

    def _look(self, data: bytes, *, ended: bool = False) -> None:
        start, self._offset = self._offset, self._offset + len(data)
        if start == 0 and data.startswith(_BOM):
            data = b"\n" * len(_BOM) + data[len(_BOM) :]
        if (nul := data.find(b"\0")) >= 0:
            self._refuse(
                start + nul,
                "a NUL byte stands in {line}. UTF-16 is read with csv_encoding='utf-16-le' or 'utf-16-be'",
            )
            return
        if self._escapes is not None:
            data, lone = self._escapes.taken(data)
            if lone is not None:
                self._refuse(start + lone, self._escapes.problem)
        data += b"\n" * ended
        if self.opened is None and self._quote not in data:
            return
        if self._dialect.quote is not None:
            self._look_at_quotes(data, start)
        elif not self._dialect.told:
            self._refuse_enclosed(data, start)

    def _look_at_quotes(self, data: bytes, start: int) -> None:
        octets = np.frombuffer(data, np.uint8)
        quotes = np.flatnonzero(octets == self._quote[0])
        inside = self.opened is not None
        # Without stray quotes they open and close in turns; a doubled one closes and opens again.
        opened, closed = quotes[int(inside) :: 2], quotes[1 - int(inside) :: 2]
        before, after = _before(octets, opened), octets[closed + 1]
        if self._borders[before].all() and self._borders[after].all():
            opened, closed = opened[before != self._quote[0]], closed[after != self._quote[0]]
        else:
            opened, closed = self._one_by_one(octets, quotes, start)
        if self._escapes is not None:
            nulls = np.flatnonzero(octets == 0)
            within = nulls[np.searchsorted(opened, nulls) + inside > np.searchsorted(closed, nulls)]
            if len(within):
                self._refuse(start + int(within[0]), self._escapes.problem)
        if not self._sure:
            self._tell_apart(data, start, opened.tolist(), closed.tolist())
        if len(opened) + inside == len(closed):
            self.opened = None
        elif len(opened):
            self.opened = start + int(opened[-1])

    def _one_by_one(self, octets: Any, quotes: Any, start: int) -> tuple[Any, Any]:
        """Return where values are opened and closed when some quotes are text, up to what is wrong."""
        at = quotes.tolist()
        may_open = self._ends[_before(octets, quotes)].tolist()
        may_close = self._ends[octets[quotes + 1]].tolist()
        opened, closed = [], []
        inside = self.opened is not None
        number, count = 0, len(at)
        while number < count:
            if not inside:
                if may_open[number]:
                    inside = True
                    opened.append(at[number])
            elif number + 1 < count and at[number + 1] == at[number] + 1:
                number += 1  # doubled
            elif may_close[number]:
                inside = False
                closed.append(at[number])
            else:
                self._refuse(
                    start + at[number],
                    "in {line} text follows the quote that closes a value. A quote within must be doubled. Where a "
                    "backslash stands before it, give csv_escape='\\\\'; where quotes are text, csv_quote=None",
                )
                break
            number += 1
        return np.array(opened, np.int64), np.array(closed, np.int64)

    def _tell_apart(self, data: bytes, start: int, opened: list[int], closed: list[int]) -> None:
        """
        Find out whether quotes enclose values for sure.

        Two stray ones look like a value of several lines. So it is not sure as long as each of these lines would be
        a row of its own, and nothing else stands in quotes.
        """
        if self.opened is not None:
            opened = [-1, *opened]
        for number, first in enumerate(opened):
            last = closed[number] if number < len(closed) else len(data)
            begins = _line_start(data, first) if first >= 0 else 0
            lines = data[begins : _line_end(data, last)].splitlines()
            fits = all(line.count(self._separator) == self._separators for line in lines if line)
            if first < 0:
                self._fits &= fits
            else:  # one whole value between separators is what only who encloses values writes
                self._fits = fits and (
                    len(lines) > 1 or last == len(data) or self._separator in data[first:last]
                )
            if last == len(data):
                return
            if not self._fits:
                self._sure = True
                return
            if self._doubtful is None:
                self._doubtful = self.opened if first < 0 else start + first

    def _refuse_enclosed(self, data: bytes, start: int) -> None:
        """Refuse a value that stands wholly in quotes where nobody said whether these are text."""
        octets = np.frombuffer(data, np.uint8)
        quotes = np.flatnonzero(octets == self._quote[0])
        for first in quotes[self._ends[_before(octets, quotes)]].tolist():
            value = self._value.match(data, first)
            if value is not None and len(value[0]) > 1 and value[0].endswith(self._quote):
                self._refuse(
                    start + first,
                    ENCLOSED,
                )
                return


class _Escapes:
    r"""What is escaped, as MySQL, Hive and Spark write it; ``\N`` alone is no value."""

    def __init__(self, dialect: Dialect) -> None:
        self._escape = str(dialect.escape).encode()
        escape, ends = re.escape(self._escape), re.escape(dialect.separator.encode()) + b"\r\n"
        quote = re.escape(dialect.quote.encode()) if dialect.quote else b""
        self._pair = re.compile(escape + b"[" + escape + ends + quote + b"]")
        self._null = null_value(dialect)

    @property
    def problem(self) -> str:
        """What is said of an escape that makes nothing lose its meaning."""
        return (
            "in {line} csv_escape stands where programs differ in what it means. It is read before a quote, a "
            "separator, a line end or itself, and \\N alone is no value. Let the export double quotes instead "
            "(Spark: option escape='\"')"
        )

    def taken(self, data: bytes) -> tuple[bytes, int | None]:
        """Return as many bytes, of which none is escaped, with NULs for no value; and where an escape is lone."""
        if self._escape not in data:
            return data, None
        data = self._null.sub(NO_VALUE, self._pair.sub(b"__", data))
        lone = data.find(self._escape)
        return data, lone if lone >= 0 else None


def cut_of(data: bytes, dialect: Dialect) -> int:
    """Return up to where bytes can be looked at without what follows: a line's end, or within a long one a text."""
    cut = (data.rfind(b"\n") + 1) or (data.rfind(b"\r") + 1)
    if cut or len(data) < _LONG_LINE:
        return cut
    marks = "".join((dialect.separator, dialect.quote or '"', dialect.escape or "")).encode()
    return next((at for at in range(len(data) - 1, 0, -1) if not {*data[at - 1 : at + 1]} & {*marks}), 0)


def null_value(dialect: Dialect) -> re.Pattern[bytes]:
    r"""Return the pattern of ``\N`` alone between separators and line ends."""
    no_end = b"[^" + re.escape(dialect.separator.encode()) + b"\r\n]"
    return re.compile(
        b"(?<!" + no_end + b")" + re.escape(str(dialect.escape).encode()) + b"N(?!" + no_end + b")"
    )


def _table(members: bytes) -> Any:
    """Return for each byte whether it is among some."""
    table = np.zeros(256, bool)
    table[list(members)] = True
    return table


def _before(octets: Any, positions: Any) -> Any:
    """Return the byte before each position; before the first of all, a line ends."""
    before = octets[positions - 1]
    if len(positions) and positions[0] == 0:
        before[0] = ord("\n")
    return before


def _line_start(data: bytes, position: int) -> int:
    line = data.rfind(b"\n", 0, position) + 1
    return max(line, data.rfind(b"\r", line, position) + 1)


def _line_end(data: bytes, position: int) -> int:
    ends = (data.find(b"\n", position), data.find(b"\r", position))
    return min((end for end in ends if end >= 0), default=len(data))

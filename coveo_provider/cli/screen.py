"""What a command shows: tables and sentences for people, or one JSON document for scripts; messages to stderr."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress

_STEP = 60  # characters of what goes on, beside which a bar has to fit
_USER = re.compile(r"(?<=://)[^/\s@]+:[^/\s@]+@")


class Screen:
    """
    Where a command writes to.

    :param as_json: whether stdout gets one JSON document instead of words
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.warnings: list[str] = []
        self._out: TextIO = sys.stdout
        self._err: TextIO = sys.stderr
        self._progress: Progress | None = None

    def document(self, document: Mapping[str, Any]) -> None:
        """Write what was found, if JSON is wanted."""
        if self.as_json:
            self._end_work()
            print(json.dumps(document, indent=2, ensure_ascii=False, default=str), file=self._out)

    def line(self, text: str = "") -> None:
        """Write a sentence for people."""
        if not self.as_json:
            self._end_work()
            print(printable(text), file=self._out)

    def facts(self, facts: Mapping[str, Any]) -> None:
        """Write names and values, one pair a line; those without a value are left out."""
        known = {name: _cell(value) for name, value in facts.items() if value not in (None, "")}
        width = max(map(len, known), default=0)
        for name, value in known.items():
            self.line(f"{name:<{width}}  {value}")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Write a table: as wide as a terminal is, and with nothing cut off where there is none."""
        if self.as_json:
            return
        cells = [[printable(_cell(value)) for value in row] for row in rows]
        self._end_work()
        if self._out.isatty():
            self._rich_table(columns, cells)
            return
        widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
        for row in (columns, *cells):
            padded = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
            self.line("  ".join(padded).rstrip())

    def markdown(self, text: str) -> None:
        """Write Markdown: laid out on a terminal, as it stands elsewhere."""
        if self.as_json or not self._out.isatty():
            self.line(text)
            return
        from rich.console import Console
        from rich.markdown import Markdown

        self._end_work()
        Console(file=self._out).print(Markdown(printable(text)))

    def warn(self, text: str) -> None:
        """Write a warning to stderr, and keep it for the document."""
        self.warnings.append(printable(cleaned(text)))
        self._say(f"warning: {text}")

    def fail(self, text: str) -> None:
        """Write to stderr why the command ends."""
        self._say(f"coveo: {text}")

    def note(self, text: str) -> None:
        """Write something to stderr that is neither a result nor a warning."""
        self._say(text)

    def _say(self, text: str) -> None:
        line = printable(cleaned(text))
        if self._progress is not None:
            self._progress.console.print(line, markup=False, highlight=False)
        else:
            self._out.flush()  # in a terminal's order
            print(line, file=self._err, flush=True)

    def flush(self) -> None:
        """Hand over what was written."""
        self._out.flush()

    @contextmanager
    def working(self, what: str) -> Iterator[None]:
        """Show meanwhile on a terminal that something goes on, and for how long."""
        if not self._err.isatty() or self._progress is not None:
            yield
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (
            *(SpinnerColumn(), TextColumn("{task.description}", markup=False)),
            *(BarColumn(bar_width=20), TimeElapsedColumn()),
        )
        with Progress(*columns, console=Console(file=self._err), transient=True) as progress:
            progress.add_task(printable(what), total=None)
            self._progress = progress
            try:
                yield
            finally:
                self._progress = None

    def step(self, what: str) -> None:
        """Show what goes on now, if something is shown at all."""
        if self._progress is not None:
            for task in self._progress.task_ids:
                self._progress.update(task, description=_short(printable(cleaned(what))))

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Show nothing that moves while a person is asked."""
        if self._progress is None:
            yield
            return
        self._progress.stop()
        yield
        self._progress.start()

    def _end_work(self) -> None:
        """Stop what moves: a result and it would stand in each other's lines."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _rich_table(self, columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
        from rich.box import SIMPLE_HEAD
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for name in columns:
            table.add_column(Text(name), overflow="fold")
        for row in cells:
            table.add_row(*map(Text, row))
        Console(file=self._out).print(table)


def printable(text: str) -> str:
    """Return a text without what would steer a terminal; line ends stay."""
    return "".join(one if one.isprintable() or one == "\n" else " " for one in text)


def cleaned(text: str) -> str:
    """Return a text without what signs an address, and without passwords of URIs."""
    from coveo_provider.api.redaction import unsigned

    return _USER.sub("…@", unsigned(text))


def _short(text: str) -> str:
    return text if len(text) <= _STEP else f"{text[: _STEP - 1]}…"


def _cell(value: Any) -> str:
    """Return a value as people read it."""
    if value is None:
        return "?"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return " ".join(str(value).split())

"""What a benchmark found, as a table for people and as figures for plots and tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """
    A table with a heading.

    :param title: what was measured
    :param head: the columns; the first is text, the others are figures
    :param rows: the cells, spelled
    :param notes: what a reader must know of it
    :param plot: the file of its plot, beside the page
    """

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: str = ""
    plot: str = ""

    def as_markdown(self) -> str:
        """Return it as a section of a page."""
        lines = [f"## {self.title}", ""]
        lines += [_row(self.head), "|" + "|".join(["---", *["---:"] * (len(self.head) - 1)]) + "|"]
        lines += [_row(row) for row in self.rows]
        if self.notes:
            lines += ["", self.notes]
        if self.plot:
            lines += ["", f"![{self.title}]({self.plot})"]
        return "\n".join([*lines, ""])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

"""Plain words: one for one thing, and none that a reader has to guess at."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

FOLDERS = ("coveo_provider", "dags", "tools", "benchmarks", "tests")
CODE = sorted(
    path
    for name in FOLDERS
    for path in (ROOT / name).rglob("*.py")
    if path.resolve() != Path(__file__).resolve()
)
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "Makefile", *sorted((ROOT / "docs").rglob("*.md"))]

# Space on a disk or in a container: no figure of speech.
_MEANT = re.compile(
    r"\broom (?:for|to|left|again)\b|\b(?:makes?|made|have|has|need|needs|no|enough|more) room\b",
    re.IGNORECASE,
)
FIGURES = {
    r"\brooms?\b": "folder, layer; where it is space: room for, no room",
    r"\bcorridors?\b": "loading: uploads and submits chunks",
    r"\bacross the street\b": "the sandbox, which imports nothing of ours",
    r"\bstorms?\b": "fault schedule",
    r"\b(?:good|bad|fair) weather\b": "without faults, with faults",
    r"\b(?:front |back )?doors?\b": "call, route, entry point",
    r"\bplan of the house\b": "the layout, docs/architecture.md",
}


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Return the docstrings and comments of a module, with the line each begins in; all of a page."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield 1, text
        return
    tree = ast.parse(text)
    for node in ast.walk(tree):
        # Docstrings of modules, classes and functions, and those that stand below a constant.
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            yield node.lineno, node.value.value
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def test_no_figure_of_speech() -> None:
    """In no docstring, comment or page."""
    wrong = [
        f"{path.relative_to(ROOT)}:{line + text.count(chr(10), 0, match.start())}: {match[0]!r}; say: {right}"
        for path in [*CODE, *PAGES]
        for line, text in texts(path)
        for figure, right in FIGURES.items()
        for match in re.finditer(figure, _MEANT.sub(lambda meant: "_" * len(meant[0]), text), re.IGNORECASE)
    ]
    assert not wrong, "\n".join(["", *wrong])


def test_room_as_space_is_no_figure() -> None:
    """And a folder called a room is one."""
    for text in (
        "the disk needs room for it",
        "no room is left",
        "Make room for the next",
        "with room to spare",
    ):
        assert not re.search(r"\broom", _MEANT.sub("", text)), text
    for text in ("Room 1: data becomes bytes", "the rooms that may import it", "imports hide the room"):
        assert re.search(r"\broom", _MEANT.sub("", text), re.IGNORECASE), text


def test_the_glossary_is_short() -> None:
    """About ten rows, each word in one of them, and linked from the page that a newcomer reads first."""
    rows = re.findall(r"^\| (?!Word)(?!-)([^|]+) \|", (ROOT / "docs" / "glossary.md").read_text(), re.M)
    words = [word for row in rows for word in row.split(", ")]
    assert 8 <= len(rows) <= 12
    assert len(words) == len(set(words))
    for page in (ROOT / "README.md", ROOT / "docs" / "architecture.md"):
        assert "glossary.md)" in page.read_text(), f"{page.name} does not link the glossary"

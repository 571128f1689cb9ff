"""What code and pages cite is there: pages of the repository with their sections, Coveo's pages by their number."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.conftest import ROOT

NOTES = ROOT / "docs" / "api-notes.md"
FOLDERS = ("coveo_provider", "dags", "tools", "benchmarks", "tests", "docs")
SUFFIXES = {".py", ".md", ".toml", ".patch", ".in"}
FILES = sorted(
    path
    for folder in (*(ROOT / name for name in FOLDERS), ROOT)
    for path in (folder.glob("*") if folder == ROOT else folder.rglob("*"))
    if path.is_file() and (path.suffix in SUFFIXES or path.name == "Makefile") and path != Path(__file__)
)

_ADDRESS = re.compile(r"\w+://\S+")
_PAGE = re.compile(r"(?<![\w*…{}/.-])(?:\.\./)*(?:[\w.-]+/)*[\w-]+\.md\b")
_SECTIONS = re.compile(r'\b(docs/[\w-]+\.md)`{0,2}((?:(?:,| and|, and)?\s+\\?"[^"\\]+\\?")+)')
_DESCRIPTION = re.compile(r"(?:\w+/)*contract/[\w.-]+\.ya?ml")
_NUMBER = re.compile(r"\bdocs (\d{2,4}|[a-z]{1,4}\d[0-9a-z]{5,6})\b")
_SEED = re.compile(r"\bseeds? 00\d|\b00\d's\b", re.IGNORECASE)


def cited(path: Path, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
    """Return the citations of a form in a file; a comment's or a docstring's line end is one blank."""
    text = _ADDRESS.sub("", path.read_text(encoding="utf-8"))
    return pattern.finditer(re.sub(r"\n[ \t]*(?:# ?)?", " ", text))


@cache
def titles(page: Path) -> frozenset[str]:
    """Return the titles of a page's sections."""
    return frozenset(re.findall(r"^#+ (.+)$", page.read_text(), re.M)) if page.is_file() else frozenset()


def is_there(citation: str, path: Path) -> bool:
    """Say whether a path leads to a file: from the root, from ``docs/``, or from the page that has it."""
    return any((folder / citation).is_file() for folder in (ROOT, ROOT / "docs", path.parent))


def test_every_page_that_is_cited_is_there() -> None:
    """A page of the repository, or one of Coveo's descriptions, which are in ``tests/contract/``."""
    missing = {
        f"{path.relative_to(ROOT)} cites {match[0]}, which is not in the repository"
        for path in FILES
        for form in (_PAGE, _DESCRIPTION)
        for match in cited(path, form)
        if not is_there(match[0], path)
    }
    assert not missing, "\n".join(["", *sorted(missing)])


def test_every_section_that_is_cited_is_there() -> None:
    """``docs/api-notes.md, "Deleting by prefix"`` is a heading of that page."""
    missing = {
        f"{path.relative_to(ROOT)} cites a section {title!r}, which {match[1]} does not have"
        for path in FILES
        for match in cited(path, _SECTIONS)
        for title in re.findall(r'"([^"]+)"', match[2].replace("\\", ""))
        if title not in titles(ROOT / match[1])
    }
    assert not missing, "\n".join(["", *sorted(missing)])


def test_every_page_of_coveo_is_cited_by_its_number() -> None:
    """``docs 131`` is linked in the notes on the API, where its reader finds the address."""
    known = set(re.findall(r"^\[docs (\w+)\]: https://docs\.coveo\.com/en/\1/$", NOTES.read_text(), re.M))
    unknown = {
        f"{path.relative_to(ROOT)} cites {match[0]}, which docs/api-notes.md does not link"
        for path in FILES
        for match in cited(path, _NUMBER)
        if match[1] not in known
    }
    nowhere = {
        f"{path.relative_to(ROOT)} cites {match[0]}: say Coveo's page by its number instead"
        for path in FILES
        for match in cited(path, _SEED)
    }
    assert not unknown | nowhere, "\n".join(["", *sorted(unknown | nowhere)])


def test_every_number_in_the_notes_is_used() -> None:
    """And the other way round: no link is left over."""
    text = NOTES.read_text()
    linked = re.findall(r"^\[(docs \w+)\]:", text, re.M)
    assert linked == sorted(linked, key=lambda name: (len(name), name) if name[5:].isdigit() else (99, name))
    assert set(linked) == set(re.findall(r"\[(docs \w+)\](?!:)", text))

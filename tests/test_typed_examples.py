"""The examples of the pages under a type checker: what a reader copies passes in a strictly typed project."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.test_docs import PAGES, blocks

# Functions of an example have no annotations, as in most DAG files.
OPTIONS = (
    "--strict",
    "--allow-untyped-defs",
    "--allow-incomplete-defs",
    "--allow-untyped-calls",
    "--allow-untyped-decorators",
    "--check-untyped-defs",
)
# What is not ours: Airflow declares `.output["key"]` nowhere, and `shop` stands for a reader's own DAG file.
NOT_OURS = re.compile(r'Value of type "XComArg" is not indexable|library stub for module named "shop"')

WRONG = """
from coveo_provider.task_groups import push_rebuild
push_rebuild(source_id=3, documents="d", dokuments=1)
"""

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("typed_examples")]


def written(folder: Path) -> dict[str, Path]:
    """Write the code of each page that is run into a file with the page's lines, and return these by page."""
    files = {}
    for page in PAGES:
        text = ""
        for block in blocks(page):
            if block.is_run:
                text += "\n" * (block.line - 1 - text.count("\n")) + block.code
        if text:
            files[page.name] = folder / f"page_{page.stem.lower().replace('-', '_')}.py"
            files[page.name].write_text(text)
    return files


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What mypy says of all pages, and of a file with mistakes."""
    folder = tmp_path_factory.mktemp("typed")
    files = written(folder)
    assert len(files) > 15
    (folder / "page_wrong.py").write_text(WRONG)
    config = ("--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(folder / "cache"))
    command = [sys.executable, "-m", "mypy", *OPTIONS, *config, *map(str, sorted(folder.glob("*.py")))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "errors in" in done.stdout, done.stderr
    pages = {path.name: page for page, path in files.items()}
    return [
        re.sub(r"^.*/(page_\w+\.py)", lambda found: pages.get(found[1], found[1]), line)
        for line in done.stdout.splitlines()
        if ": error: " in line and not NOT_OURS.search(line)
    ]


def test_the_examples_are_typed(told: list[str]) -> None:
    assert [line for line in told if not line.startswith("page_wrong.py")] == []


def test_a_wrong_argument_is_seen(told: list[str]) -> None:
    """Or the test above could not fail."""
    wrong = "\n".join(line for line in told if line.startswith("page_wrong.py"))
    assert 'incompatible type "int"' in wrong
    assert 'Unexpected keyword argument "dokuments"' in wrong

"""What is built for a release, and what keeps a checkout from being one."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from coveo_provider import __version__
from tests.conftest import ROOT
from tools.release import NotReady, build, version_of

CHANGELOG = "# Changelog\n\n## 1.2.0\n\nNew.\n\n## 1.1.0\n"


def git(at: Path, *words: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", *who, *words], cwd=at, check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "coveo_provider").mkdir()
    (tmp_path / "coveo_provider" / "__init__.py").write_text('__version__ = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "Begin")
    return tmp_path


def test_a_clean_checkout_has_the_version_of_its_changelog(checkout: Path) -> None:
    assert version_of(checkout) == "1.2.0"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda at: (at / "new").touch(), r"not committed:\n\?\? new"),
        (lambda at: git(at, "tag", "v1.2.0"), "v1.2.0 is tagged already"),
        (
            lambda at: (at / "CHANGELOG.md").write_text(CHANGELOG.replace("1.2.0", "Unreleased")),
            "expected 1.2.0 as the first heading, not Unreleased",
        ),
        (lambda at: (at / "CHANGELOG.md").write_text(""), "first heading, not None"),
        (
            lambda at: (at / "coveo_provider/__init__.py").write_text('__version__ = "1.2.dev0"'),
            "'1.2.dev0' is no version that can be released",
        ),
    ],
    ids=["uncommitted", "tagged", "unreleased", "no changelog", "development"],
)
def test_what_is_not_ready_is_named(checkout: Path, change: Callable[[Path], object], problem: str) -> None:
    change(checkout)
    with pytest.raises(NotReady, match=problem):
        version_of(checkout)


def test_this_version_stands_in_the_changelog() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert headings[0] in {__version__, "Unreleased"}


@pytest.mark.slow
def test_wheel_and_sdist_are_built_and_checked(tmp_path: Path) -> None:
    """Of a clone of this repository; the wheel holds what the repository has, no more and no less."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone of the repository")
    subprocess.run(["git", "clone", "-q", str(ROOT), str(tmp_path / "clone")], check=True)
    files = build(tmp_path / "clone", __version__)
    assert [file.suffix for file in files] == [".whl", ".gz"]

    (tmp_path / "clone" / "coveo_provider" / "left.py").touch()
    with pytest.raises(NotReady, match=r"differ in coveo_provider/left\.py"):
        build(tmp_path / "clone", __version__)

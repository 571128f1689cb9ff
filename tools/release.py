"""
`make release`: build what would be uploaded, check it, and stop.

Nothing is uploaded and nothing is tagged: the last lines say how a person does that.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
URLS = ("Documentation", "Changelog", "Source", "Issues")
_HEADING = re.compile(r"^## (\S+)", re.M)
_VERSION = re.compile(r"\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?")


class NotReady(Exception):
    """Why this checkout cannot be released."""


def git(*words: str, at: Path) -> str:
    """Return what a command of git prints."""
    return subprocess.run(["git", *words], cwd=at, capture_output=True, text=True, check=True).stdout.strip()


def version_of(root: Path) -> str:
    """
    Return the version to release, which the package and the changelog agree on.

    :raises NotReady: they do not, the checkout has changes, or the version has a tag
    """
    found = re.search(r'__version__ = "(.+)"', (root / "coveo_provider" / "__init__.py").read_text())
    version = found[1] if found else ""
    if not _VERSION.fullmatch(version):
        raise NotReady(f"coveo_provider/__init__.py: {version!r} is no version that can be released")
    first = _HEADING.search((root / "CHANGELOG.md").read_text())
    if first is None or first[1] != version:
        raise NotReady(f"CHANGELOG.md: expected {version} as the first heading, not {first and first[1]}")
    if changed := git("status", "--porcelain", at=root):
        raise NotReady(f"the checkout has changes that are not committed:\n{changed}")
    if git("tag", "--list", f"v{version}", at=root):
        raise NotReady(
            f"v{version} is tagged already: raise the version, and say in CHANGELOG.md what is new"
        )
    return version


def missing_urls(root: Path) -> list[str]:
    """Return which addresses the metadata still lack."""
    urls = tomllib.loads((root / "pyproject.toml").read_text())["project"].get("urls", {})
    return [name for name in URLS if name not in urls]


def build(root: Path, version: str) -> list[Path]:
    """
    Build wheel and sdist into an empty ``dist``, and check both.

    :raises NotReady: something is missing in them
    """
    target = root / "dist"
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(
        [sys.executable, "-m", "uv", "build", "--quiet", "--out-dir", str(target), str(root)], check=True
    )
    files = sorted(file for file in target.iterdir() if not file.name.startswith("."))
    names = [f"airflow_provider_coveo-{version}-py3-none-any.whl", f"airflow_provider_coveo-{version}.tar.gz"]
    if [file.name for file in files] != names:
        raise NotReady(
            f"expected {', '.join(names)} in {target}, not {', '.join(file.name for file in files)}"
        )
    tracked = set(git("ls-files", "coveo_provider", at=root).splitlines())
    with ZipFile(files[0]) as wheel:
        packed = {name for name in wheel.namelist() if name.startswith("coveo_provider/")}
    if packed != tracked:
        odd = sorted(packed ^ tracked)
        raise NotReady(f"the wheel and the repository differ in {', '.join(odd[:5])}")
    if subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *map(str, files)], check=False
    ).returncode:
        raise NotReady("twine refuses the metadata")
    return files


def main() -> int:
    """Build and check, and say what is left to a person."""
    try:
        version = version_of(ROOT)
        files = build(ROOT, version)
    except NotReady as error:
        print(f"Not ready: {error}", file=sys.stderr)
        return 1
    for file in files:
        print(f"{file.stat().st_size:10,} bytes  dist/{file.name}")
    if missing := missing_urls(ROOT):
        print(f"Still to be decided: [project.urls] in pyproject.toml has no {', '.join(missing)}")
    print("Nothing was uploaded. Before that: .ci/run, make test-long, make matrix. Then")
    print(
        f"  git tag -a v{version} -m {version} && twine upload "
        + " ".join(f"dist/{file.name}" for file in files)
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

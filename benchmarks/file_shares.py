"""
How many files a second does a share become documents, against a bare walk of it?

The baseline is ``os.walk`` with a look at each file's size and time, which makes nothing of them.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.table import Table

PER_FOLDER = 1_000


@dataclass(frozen=True)
class Found:
    """Files, seconds of the bare walk and of the list, and by how many bytes the process grew meanwhile."""

    files: int
    walk: float
    listing: float
    grown: int


def make(root: Path, files: int) -> None:
    """Make a share of small files."""
    for first in range(0, files, PER_FOLDER):
        folder = root / f"{first // 100_000:03d}" / f"{first // PER_FOLDER:05d}"
        folder.mkdir(parents=True)
        for number in range(first, min(files, first + PER_FOLDER)):
            (folder / f"report {number:07d}.txt").touch()


def walked(root: Path) -> int:
    """Look at every file, and return how many there are."""
    count = 0
    for folder, _, names in os.walk(root):
        for name in names:
            os.stat(os.path.join(folder, name))
            count += 1
    return count


def listed(root: Path, output: Path) -> None:
    """Make a dataset of a share."""
    from coveo_provider.documents import FolderPermissions
    from coveo_provider.operators import CoveoListFilesOperator

    permissions = FolderPermissions({"": ["everybody"]})
    CoveoListFilesOperator(
        task_id="list", root=str(root), output=str(output), permissions=permissions
    ).execute({})


def measure(files: int) -> Found:
    """Walk and list a share of so many files."""
    with tempfile.TemporaryDirectory(prefix="coveo-share-") as name:
        root = Path(name) / "share"
        make(root, files)
        walked(root)
        began = time.perf_counter()
        found = walked(root)
        walk = time.perf_counter() - began
        make(Path(name) / "warm", 1)
        listed(Path(name) / "warm", Path(name) / "warm-out")  # loads the libraries
        before = _resident()
        began = time.perf_counter()
        listed(root, Path(name) / "out")
        listing = time.perf_counter() - began
        return Found(found, walk, listing, max(0, _peak() - before))


def table(found: Found) -> Table:
    return Table(
        "A file share becomes a dataset",
        ["way", "files/s", "seconds", "of the walk"],
        [
            ["`os.walk` and a look at each", f"{found.files / found.walk:,.0f}", f"{found.walk:.1f}", "1.0"],
            [
                "`CoveoListFilesOperator`, with permissions",
                f"{found.files / found.listing:,.0f}",
                f"{found.listing:.1f}",
                f"{found.listing / found.walk:.1f}",
            ],
        ],
        notes=f"{found.files:,} files; the process grew by {found.grown / 1e6:,.0f} MB at most while it listed.",
    )


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _peak() -> int:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200_000)
    print(table(measure(parser.parse_args().files)).as_markdown())


if __name__ == "__main__":
    main()

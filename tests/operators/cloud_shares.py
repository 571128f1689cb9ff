"""What a share and a state on object storage have to be, whichever storage it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coveo_provider._compat import AirflowFailException
from coveo_provider.documents.dataset.manifest import MANIFEST, read_manifest
from coveo_provider.operators import (
    CoveoDiffOperator,
    CoveoFinalizeOperator,
    CoveoListFilesOperator,
    CoveoPushBatchOperator,
)
from coveo_provider.sandbox import Sandbox
from tests.contents import content_of
from tests.operators.conftest import run
from tests.operators.nights import Night, Nights

SEEN = {
    "a.txt": "a.txt",
    "hr/salaries 2026.pdf": "hr/salaries%202026.pdf",
    "hr/forms/b#1.txt": "hr/forms/b%231.txt",
    "hr/100%25 a+b?.txt": "hr/100%2525%20a+b%3F.txt",
    "x/[1]*.txt": "x/%5B1%5D*.txt",
    "ü/é.txt": "%C3%BC/%C3%A9.txt",
    "same": "same",
    "same/a.txt": "same/a.txt",  # beside a file of the folder's name
    "same.txt": "same.txt",
    "marked/a.txt": "marked/a.txt",
    "blank /a.txt": "blank%20/a.txt",
}
"""Files of a share, and how their documents are called."""


@dataclass(frozen=True)
class Bucket:
    """
    An empty bucket with the name ``share``, behind an Airflow connection.

    :param scheme: of its URI
    :param put: writes an object of the bucket
    :param delete: deletes one
    :param page: how many objects one answer holds at most
    """

    scheme: str
    put: Callable[[str, bytes], object]
    delete: Callable[[str], object]
    page: int
    connection: str = "share"  # which Airflow keeps open as long as the process lives

    @property
    def uri(self) -> str:
        return f"{self.scheme}://{self.connection}@share"


def followed_share(bucket: Bucket, sandbox: Sandbox, folder: Path) -> None:
    """A share is listed and loaded; then only what changed is sent, and what is gone is deleted."""
    for name in SEEN:
        bucket.put(f"docs/{name}", name.encode())
    many = {f"many/{number:05d}.txt" for number in range(bucket.page + 20)}
    for name in many:
        bucket.put(f"docs/{name}", name.encode())
    bucket.put("docs/hr/.hidden", b"is passed over")
    bucket.put("docs/marked/", b"")  # stands for the folder
    bucket.put("docs/empty/", b"")
    bucket.put("docs2/other.txt", b"of another prefix")
    prefix = f"{bucket.scheme}://share/docs/"
    expected = {prefix + name for name in [*SEEN.values(), *many]}

    assert night(bucket, folder, "1") == len(expected)
    sandbox.settle()
    assert set(sandbox.items("files")) == expected
    for name, document in SEEN.items():
        assert content_of(sandbox, "files", prefix + document) == name.encode()

    bucket.put("docs/a.txt", b"A.txt")  # as many bytes
    bucket.put("docs/new.txt", b"new")
    bucket.delete("docs/same/a.txt")
    assert night(bucket, folder, "2") == 3
    sandbox.settle()
    assert set(sandbox.items("files")) == expected - {f"{prefix}same/a.txt"} | {f"{prefix}new.txt"}
    assert content_of(sandbox, "files", f"{prefix}a.txt") == b"A.txt"

    bucket.put("docs/hr//lost.txt", b"no name of a folder")
    with pytest.raises(AirflowFailException, match=r"docs/hr//: there are objects with an empty name"):
        listed(bucket, folder, "3")
    assert listed(bucket, folder, "4", exclude=["hr//", ".*"])


def staged_load(bucket: Bucket, sandbox: Sandbox) -> None:
    """Raw file, dataset in several parts, changes and state all lie on the storage, night after night."""
    nights = Nights(f"{bucket.uri}/shop é/x", sandbox)
    for number in range(40):
        nights.put(number, name=f"{number} " + "x" * 60_000)
    nights.run()
    assert nights.held() == nights.expected()
    parts = part_sizes(nights, 1)
    assert len(parts) > 1

    nights.put(1, name="Boot")
    del nights.rows["002"]
    (changes, gone) = nights.run()
    assert (list(changes), list(gone)) == (["documents"], ["deletions"])
    assert nights.held() == nights.expected()

    for number in range(3, 40):
        del nights.rows[f"{number:03d}"]
    Night(nights, 1).transform()  # what a former try wrote is replaced
    assert len(part_sizes(nights, 1)) == 1


def part_sizes(nights: Nights, number: int) -> dict[str, int]:
    """Return the sizes of the parts in the manifest of a night, which have to be those of the files."""
    folder = nights.root / f"night-{number}" / "documents"
    with (folder / MANIFEST).open("rb") as file:
        manifest = read_manifest(file.read(), str(folder))
    assert manifest.complete
    folder.fs.invalidate_cache()
    told = {part.name: part.bytes for part in manifest.parts}
    found = {path.name: path.stat().st_size for path in folder.iterdir() if path.name.startswith("part-")}
    assert told == found
    return found


def night(bucket: Bucket, folder: Path, name: str) -> int:
    """List and send what changed, and return how many documents that were."""
    parts = listed(bucket, folder, name)
    state: dict[str, Any] = {"state": str(folder / "state"), "source_id": "files"}
    units = run(
        CoveoDiffOperator(task_id="diff", documents=parts, output=str(folder / f"changes-{name}"), **state)
    )
    reports = [run(CoveoPushBatchOperator(task_id="push", source_id="files", **unit)) for unit in units]
    manifest = str(folder / name / MANIFEST)
    run(CoveoFinalizeOperator(task_id="end", manifest=manifest, reports=reports, **state))
    return sum(report["documents"] + report["deletions"] for report in reports)


def listed(bucket: Bucket, folder: Path, name: str, **options: Any) -> list[str]:
    root = f"{bucket.uri}/docs"
    parts: list[str] = run(
        CoveoListFilesOperator(task_id="list", root=root, output=str(folder / name), **options)
    )
    return parts

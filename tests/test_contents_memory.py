"""How much memory files of content take, over a worker that sends a document without any."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import pytest

from benchmarks import worker
from coveo_provider.sandbox import Sandbox
from tests.conftest import WritePart

HALF = 150_000_000
BLOCK = 1 << 20


def large_file(path: Path) -> int:
    """Write a file of 300 MB, half noise and half text, and return its checksum."""
    text = (b"The quick brown fox jumps over the lazy dog. " * 25_000)[:BLOCK]
    check = 0
    with path.open("wb") as file:
        for start in range(0, 2 * HALF, BLOCK):
            block = (os.urandom(BLOCK) if (start // BLOCK) % 2 else text)[: 2 * HALF - start]
            check = zlib.crc32(block, check)
            file.write(block)
    return check


@pytest.mark.long
def test_a_thousand_small_files_and_one_of_300_mb(write_part: WritePart, tmp_path: Path) -> None:
    """The worker holds a block of each file, not the files; the index holds all of them."""
    rows = []
    for n in range(1_000):
        (tmp_path / f"{n}.txt").write_bytes(os.urandom(20_000 + n))
        rows.append({"documentId": f"file://{n}", "contentUri": f"{tmp_path.as_uri()}/{n}.txt"})
    check = large_file(tmp_path / "large.pdf")
    rows.insert(500, {"documentId": "file://large", "contentUri": f"{tmp_path.as_uri()}/large.pdf"})
    part = write_part(rows)
    single = write_part([{"documentId": "file://one", "data": "x"}], "single.parquet")

    with Sandbox.start(sources={"files": "PUSH"}, organization_id="bench", api_key="bench-key") as sandbox:
        libraries = worker.run("push", url=sandbox.url, part=single)
        ours = worker.run("push", url=sandbox.url, part=part)
        sandbox.settle()
        kept = sandbox.file_content("files", "file://large")
        assert kept is not None
        assert zlib.crc32(zlib.decompress(kept)) == check
        assert sandbox.count("files") == 1_002

    assert ours.result["documents"] == 1_001
    assert ours.result["bytes"] > HALF
    assert ours.peak_mb - libraries.peak_mb < 60

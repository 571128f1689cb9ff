"""The manifest: what it says, what it refuses, and the fingerprint of what made the dataset."""

from __future__ import annotations

import functools
import json
import re
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coveo_provider.documents import Constant, DocumentMapping, Split, Template
from coveo_provider.documents.dataset.files import Stored
from coveo_provider.documents.dataset.manifest import DatasetKind, Manifest, PartEntry, read_manifest
from coveo_provider.documents.extracts.fingerprint import fingerprint
from coveo_provider.errors import DatasetError

PARTS = (PartEntry("part-00000.parquet", 3, 100, "ab", 90), PartEntry("part-00001.parquet", 2, 50, "cd", 40))
MANIFEST = Manifest(DatasetKind.DOCUMENTS, complete=True, mapping="m", sha256="s", parts=PARTS)
SIZES = {part.name: part.bytes for part in PARTS}


def test_what_is_written_is_read() -> None:
    """With its sums."""
    assert read_manifest(MANIFEST.as_json(), "m") == MANIFEST
    assert (MANIFEST.rows, MANIFEST.bytes, MANIFEST.encoded_bytes) == (5, 150, 130)
    assert json.loads(MANIFEST.as_json())["rows"] == 5
    typed = replace(MANIFEST, types={"price": "Int64", "sku": "string"}, declared=("sku",))
    assert read_manifest(typed.as_json(), "m") == typed


def test_a_manifest_of_an_earlier_version_is_read() -> None:
    """As the first one that wrote any did; what it does not know is passed over."""
    text = """{
 "version": 1,
 "complete": true,
 "kind": "documents",
 "rows": 5,
 "bytes": 150,
 "encoded_bytes": 130,
 "sha256": "s",
 "mapping": "m",
 "parts": [
  {"name": "part-00000.parquet", "rows": 3, "bytes": 100, "sha256": "ab", "encoded_bytes": 90},
  {"name": "part-00001.parquet", "rows": 2, "bytes": 50, "sha256": "cd", "encoded_bytes": 40, "more": {}}
 ]
}"""
    assert read_manifest(text.encode(), "m") == MANIFEST


@pytest.mark.parametrize(
    "change",
    [
        {"complete": "yes"},
        {"complete": 1},
        {"kind": "things"},
        {"rows": 6},
        {"bytes": -1},
        {"encoded_bytes": None},
        {"sha256": None},
        {"mapping": 1},
        {"parts": {}},
        {"parts": [{"name": "part-00000.parquet"}]},
        {"parts": [None]},
        {"parts": [{"name": "../x", "rows": 5, "bytes": 150, "sha256": "", "encoded_bytes": 130}]},
        {"parts": [{"name": "x", "rows": True, "bytes": 150, "sha256": "", "encoded_bytes": 130}]},
        {"version": None},
    ],
    ids=repr,
)
def test_what_is_no_manifest_is_refused(change: dict[str, Any]) -> None:
    """By name."""
    text = json.dumps({**json.loads(MANIFEST.as_json()), **change}).encode()

    with pytest.raises(
        DatasetError, match=r"/d/_manifest.json: is not the manifest of a dataset: .*Write the"
    ):
        read_manifest(text, "/d/_manifest.json")


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff", b'{"a": 1}', b"[" * 100_000, b"null"])
def test_what_is_no_json_is_refused(text: bytes) -> None:
    """Whatever it is."""
    with pytest.raises(DatasetError, match="is not the manifest of a dataset"):
        read_manifest(text, "m")


def test_a_manifest_of_a_later_version_is_refused() -> None:
    """Saying so."""
    text = json.dumps({**json.loads(MANIFEST.as_json()), "version": 2}).encode()

    with pytest.raises(DatasetError, match="is a manifest of version 2, expected 1"):
        read_manifest(text, "m")


@pytest.mark.parametrize(
    ("sizes", "problem"),
    [
        ({"part-00000.parquet": 100}, "missing: part-00001.parquet"),
        ({**SIZES, "other.parquet": 1}, "not part of it: other.parquet"),
        (
            {**SIZES, "part-00001.parquet": 7},
            r"of another size than written: part-00001.parquet \(7 for 50 bytes\)",
        ),
        ({f"x{n}": 1 for n in range(9)}, "x0, x1, x2 and 6 more"),
    ],
)
def test_files_that_differ_are_named(sizes: dict[str, int], problem: str) -> None:
    """Missing, additional, cut off."""
    with pytest.raises(
        DatasetError, match=rf"/d: the dataset is not as its _manifest.json says: .*{problem}"
    ):
        MANIFEST.check_files(sizes, "/d")


def test_a_half_written_dataset_is_refused() -> None:
    """Though its files are all there."""
    with pytest.raises(DatasetError, match="/d: the dataset is half-written"):
        Manifest(DatasetKind.DOCUMENTS).check_files({}, "/d")


@pytest.mark.parametrize(
    ("stored", "problem"),
    [(Stored(99, "ab"), "has 99 bytes, expected 100"), (Stored(100, "xx"), "another SHA-256")],
)
def test_another_file_under_the_name_of_a_part_is_refused(stored: Stored, problem: str) -> None:
    """By size, then by hash."""
    PARTS[0].check(Stored(100, "ab"), "p")
    with pytest.raises(DatasetError, match=problem):
        PARTS[0].check(stored, "p")


RATE = 1.2
NAMES = {"b", "a", "c"}


def doubled(frame: Any) -> Any:
    return frame * RATE


def mapping(**fields: Any) -> DocumentMapping:
    return DocumentMapping("product://{sku}", fields=fields, keep=("a",))


def closing_over(value: Any) -> Any:
    return lambda frame: frame + value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (mapping(a="x"), mapping(a="y")),
        (mapping(a="x"), mapping(b="x")),
        (mapping(a=Constant("x")), mapping(a="x")),
        (mapping(a=Constant(1)), mapping(a=Constant(1.0))),
        (mapping(a=Constant({"x"})), mapping(a=Constant({"y"}))),
        (mapping(a=Split("x", ";")), mapping(a=Split("x", ","))),
        (mapping(a=Template("{x}")), mapping(a=Template("{x:uri}"))),
        (DocumentMapping("a:{b}"), DocumentMapping("a:{c}")),
        (DocumentMapping("a:{b}", keep="*"), DocumentMapping("a:{b}", keep="*", drop="x")),
        (mapping(a=lambda f: f["x"]), mapping(a=lambda f: f["y"])),
        (mapping(a=lambda f: f["x"] + 1), mapping(a=lambda f: f["x"] - 1)),
        (lambda f: f + 1, lambda f: f + 2),
        (lambda f: f.abs(), lambda f: f.sum()),
        (lambda f, k=1: f, lambda f, k=2: f),
        (lambda f: [x for x in f if x > 1], lambda f: [x for x in f if x > 2]),
        (closing_over(1), closing_over(2)),
        (functools.partial(closing_over, 1), functools.partial(closing_over, 2)),
        (re.compile("a"), re.compile("b")),
        (None, lambda f: f),
    ],
)
def test_another_mapping_has_another_fingerprint(one: Any, other: Any) -> None:
    """Whatever of it differs: names, values, code, defaults, what a function closes over."""
    assert fingerprint(one) != fingerprint(other)


def test_the_same_mapping_has_the_same_fingerprint() -> None:
    """Though it is made anew, and a function stands in another line."""

    def made() -> DocumentMapping:
        return mapping(b=Constant({"x", "y"}), a=lambda f: f["x"].map({"k": 1}), c=closing_over((1, "x")))

    def made_elsewhere() -> DocumentMapping:
        return mapping(a=lambda f: f["x"].map({"k": 1}), c=closing_over((1, "x")), b=Constant({"y", "x"}))

    assert fingerprint(made()) == fingerprint(made_elsewhere())


def test_what_a_function_names_in_its_module_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rate, a helper, and what the helper names."""
    function = lambda frame: doubled(frame) in NAMES  # noqa: E731
    before = fingerprint(function)

    monkeypatch.setattr(f"{__name__}.RATE", 1.3)
    changed = fingerprint(function)
    monkeypatch.setattr(f"{__name__}.doubled", lambda frame: frame)

    assert len({before, changed, fingerprint(function)}) == 3


def test_a_fingerprint_is_the_same_in_another_process(tmp_path: Path) -> None:
    """Also where sets are in another order, and lines have moved; not where the code changed."""
    text = textwrap.dedent(
        """
        import functools, re
        import pandas as pd
        from coveo_provider.documents import DocumentMapping, Constant, Split
        from coveo_provider.documents.extracts.fingerprint import fingerprint
        KNOWN = {"a", "b", "c", "d"}
        class Shop:
            rate = 2
            def price(self, frame): return frame["p"] * 1.5
        @functools.lru_cache
        def lookup(key): return {"x": KNOWN}[key]
        def build(frame):
            return pd.concat([frame]).map(lambda v: v in KNOWN and v in {"x", "y", "z"} and lookup(v))
        MAPPING = DocumentMapping("a:{b}", fields={"c": build, "d": Constant(frozenset("xyz")), "e": Shop().price})
        print(fingerprint(MAPPING, build))
        """
    )
    found = []
    for number, (seed, program) in enumerate(
        [("1", text), ("2", "\n\n" + text), ("3", text.replace("* 1.5", "* 1.6"))]
    ):
        path = tmp_path / f"dag_{number}.py"
        path.write_text(program)
        done = subprocess.run(
            [sys.executable, str(path)],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[3])},
        )
        found.append(done.stdout)

    assert found[0] == found[1] != found[2]


def test_a_function_may_refer_to_itself_and_to_lists_in_themselves() -> None:
    """Without end, were it not noticed."""
    looped: list[Any] = []
    looped.append(looped)

    def again(n: int) -> Any:
        return again(n - 1) if n else looped

    assert fingerprint(again) == fingerprint(again)

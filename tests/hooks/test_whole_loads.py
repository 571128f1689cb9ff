"""A frame reaches the index in one call: with what the operators check, guard and tell."""

from __future__ import annotations

import gc
import logging
import math
import time
import weakref
from collections.abc import Callable, Iterator
from datetime import date, datetime, timezone
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coveo_provider.documents import Constant, DocumentMapping
from coveo_provider.errors import (
    ConfigurationError,
    CoveoError,
    DatasetError,
    DocumentError,
    SafetyStop,
    SourceRefused,
    Throttled,
    VerificationFailed,
)
from coveo_provider.hooks.coveo import CoveoHook
from coveo_provider.sandbox import Answer, Sandbox
from tests.conftest import Connect, WritePart

FAIL = Answer(500, body='{"message": "Internal error"}')
ROWS: list[dict[str, Any]] = [
    {"documentId": "product://1", "name": "One", "price": 1.5, "size": 42},
    {"documentId": "product://2", "name": "Two", "price": None, "size": 7},
    {"documentId": "product://3", "name": "Three", "price": 2.5, "size": None},
]
TITLED = DocumentMapping("{documentId}", {"title": "name", "objecttype": Constant("Product")}, keep=("size",))

Kind = Callable[[list[dict[str, Any]]], Any]
KINDS: dict[str, Kind] = {
    "pandas": lambda rows: pd.DataFrame(rows, dtype=object),
    "polars": pl.DataFrame,
    "Arrow": pa.Table.from_pylist,
    "rows": list,
    "a list of frames": lambda rows: [pl.DataFrame(rows[:1]), pa.Table.from_pylist(rows[1:])],
    "frames, one after the other": lambda rows: (pa.Table.from_pylist([row]) for row in rows),
    "a reader of Arrow": lambda rows: pa.Table.from_pylist(rows).to_reader(max_chunksize=1),
    "a batch of Arrow": pa.RecordBatch.from_pylist,
}
SOURCES = {"push": "files", "load": "files", "update": "products", "load of a catalog": "products"}


def held(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the items that rows become."""
    return {row["documentId"]: {k: v for k, v in row.items() if v is not None} for row in rows}


def titled(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the items that rows become by the mapping."""
    documents = [
        {"documentId": r["documentId"], "title": r["name"], "objecttype": "Product", "size": r["size"]}
        for r in rows
    ]
    return held(documents)


@pytest.fixture(autouse=True)
def hasty(connected: Sandbox, waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits, and the worker's clock goes with the service's."""
    clock = SimpleNamespace(time_ns=lambda: connected.clock.now_ms() * 1_000_000, monotonic=time.monotonic)
    monkeypatch.setattr("coveo_provider.loading.deliveries.time", clock)


def sent(method: str, documents: Any, **options: Any) -> dict[str, Any]:
    """Send documents by a method of the hook."""
    hook, source = CoveoHook(), SOURCES[method]
    if method == "update":
        return hook.update(source, documents=documents, **options)
    return (hook.push if method == "push" else hook.load)(documents, source, **options)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", SOURCES)
def test_what_a_frame_holds_the_index_holds_when_the_call_returns(
    connected: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, kind: str
) -> None:
    """Of each kind, by each method; nothing is left on the disk, and the report has neither ids nor places."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)

    report = sent(method, KINDS[kind](ROWS))

    assert connected.items(SOURCES[method]) == held(ROWS)
    assert (report["documents"], report["indexed"], report["refused"]) == (3, 3, 0)
    # Others may send beside it, so that numbers say too little; of a load there is no other.
    assert report["verified"] == ("counts" if method.startswith("load") else "items")
    assert report["parts"] == []
    assert "ids" not in report
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_mapping_makes_documents_of_each_kind(connected: Sandbox, kind: str) -> None:
    """The same ones."""
    CoveoHook().push(KINDS[kind](ROWS), "files", mapping=TITLED)

    assert connected.items("files") == titled(ROWS)


@pytest.mark.parametrize("mapping", [None, DocumentMapping("{documentId}", keep="*")])
def test_values_of_rows_arrive_as_those_of_frames(
    connected: Sandbox, mapping: DocumentMapping | None
) -> None:
    """What is missing is left out, whatever stands for it; nothing else becomes another."""
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    rows: list[dict[str, Any]] = [
        {
            "documentId": "a:1",
            "n": 2**53 + 1,
            "d": Decimal("1.10"),
            "t": pd.Timestamp(moment),
            "day": date(2026, 1, 2),
        },
        {"documentId": "a:2", "n": None, "d": None, "t": pd.NaT, "day": None, "x": math.nan},
        {"documentId": "a:3", "tags": ["x", "y"]},
    ]
    CoveoHook().push(rows, "files", mapping=mapping)
    as_rows = connected.items("files")
    frame = pd.DataFrame(rows, dtype=object)
    CoveoHook().push(frame, "files", mapping=mapping)

    assert connected.items("files") == as_rows
    assert as_rows["a:1"]["n"] == 2**53 + 1
    assert as_rows["a:1"]["t"] == "2026-01-02T03:04:05Z"
    assert as_rows["a:2"] == {"documentId": "a:2"}
    assert as_rows["a:3"]["tags"] == ["x", "y"]


def test_a_load_leaves_nothing_else(connected: Sandbox) -> None:
    """Of either kind of source, and a dataset by its URIs does as a frame does."""
    for source in ("files", "products"):
        CoveoHook().load(ROWS, source)
        connected.clock.advance(seconds=60)
        report = CoveoHook().load(pd.DataFrame(ROWS[1:]), source, max_shrink=0.5)

        assert list(connected.items(source)) == ["product://2", "product://3"]
        assert report["ordering_id"] > 0
    assert connected.source("files").status == "IDLE"


def test_a_dataset_is_sent_as_it_lies(connected: Sandbox, write_part: WritePart) -> None:
    """And the report names its parts."""
    part = write_part(ROWS)

    assert CoveoHook().load(part, "products")["parts"] == [part]
    assert connected.items("products") == held(ROWS)
    with pytest.raises(
        ConfigurationError, match="mapping is for DataFrames and rows, and documents names files"
    ):
        CoveoHook().push(part, "files", mapping=TITLED)


def test_deletions_go_along_or_alone(connected: Sandbox) -> None:
    """From a Push source by `push` and `delete`, from a Catalog source by `update`."""
    hook = CoveoHook()
    hook.push(ROWS, "files")
    report = hook.push(pd.DataFrame(ROWS[1:]), "files", deletions=["product://1"])
    assert (report["documents"], report["deletions"], report["deleted"]) == (2, 1, 1)
    assert hook.delete(pd.Series(["product://2"]), "files")["deleted"] == 1
    assert hook.delete([], "files")["deletions"] == 0
    assert hook.push(None, "files", mapping=TITLED, deletions=["product://7"])["deletions"] == 1
    assert list(connected.items("files")) == ["product://3"]
    hook.delete([{"documentId": "product://", "deleteChildren": True}], "files", verify=False)
    connected.settle()
    assert connected.items("files") == {}

    hook.load(ROWS, "products")
    changes = [
        {"documentId": "product://2", "operator": "fieldValueReplace", "field": "name", "value": '"Deux"'}
    ]
    hook.update("products", partial_updates=pd.DataFrame(changes), deletions=["product://1"])
    assert {key: item["name"] for key, item in connected.items("products").items()} == {
        "product://2": "Deux",
        "product://3": "Three",
    }


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), source=st.sampled_from(["files", "products"]))
def test_any_frames_make_the_index_equal(connected: Sandbox, data: st.DataObject, source: str) -> None:
    """However the rows are cut into frames, of whatever kind."""
    value = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=5))
    columns = {"n": st.one_of(st.none(), st.integers(-(2**53), 2**53)), "text": value, "on": st.booleans()}
    rows = data.draw(st.lists(st.fixed_dictionaries(columns), min_size=1, max_size=12))
    rows = [{"documentId": f"product://{number}", **row} for number, row in enumerate(rows)]
    cuts = sorted({0, len(rows), *data.draw(st.lists(st.integers(0, len(rows)), max_size=3))})
    kinds = [KINDS["pandas"], KINDS["polars"], KINDS["Arrow"]]
    frames = [data.draw(st.sampled_from(kinds))(rows[a:b]) for a, b in pairwise(cuts)]
    connected.clock.advance(seconds=60)

    CoveoHook().load(iter(frames), source)

    assert connected.items(source) == held(rows)


def test_one_frame_is_in_memory_at_a_time() -> None:
    """Of those that come one after the other: before the next is made, the last but one is gone."""
    alive: list[int] = []
    made: list[weakref.ref[Any]] = []

    def frames() -> Iterator[pd.DataFrame]:
        for number in range(4):
            gc.collect()
            alive.append(sum(one() is not None for one in made))
            frame = pd.DataFrame({"documentId": [f"product://{number}"], "n": [number]})
            made.append(weakref.ref(frame))
            yield frame
            del frame

    CoveoHook().push(frames(), "files")

    assert max(alive) == 1


FRAME = pd.DataFrame(ROWS)


@pytest.mark.parametrize(
    ("documents", "error", "words"),
    [
        ([], DatasetError, "the list of parts is empty"),
        (FRAME[:0], DatasetError, "documents given as a DataFrame: has no rows"),
        (iter([FRAME, FRAME[:0]]), DatasetError, r"documents\[1\]: has no rows"),
        (FRAME.set_index("documentId"), DatasetError, "documentId is the index"),
        (FRAME.drop(columns="documentId"), DatasetError, "documentId"),
        (iter([FRAME, FRAME]), DatasetError, r"unique, found product://1 2 times in documents;"),
        (FRAME.assign(NAME="x"), DatasetError, "(?i)name"),
        (iter([FRAME, FRAME.assign(documentId="four")]), DocumentError, r"'four'.*row 0 of documents\[1\]"),
        (
            iter([FRAME, FRAME.assign(documentId=["a:1", "a:2", "a:3"], size="L")]),
            DatasetError,
            r"'size'.*documents\[0\].*documents\[1\]",
        ),
        (iter([FRAME, ROWS[0]]), DatasetError, "documents holds DataFrames and rows"),
        (pl.DataFrame(ROWS).lazy(), DatasetError, r"LazyFrame.*collect\(\)"),
        (ROWS[0], DatasetError, "one mapping; expected URIs, or a list of rows"),
        ([1, 2], DatasetError, "must hold URIs, found 1"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_the_first_call(
    connected: Sandbox, documents: Any, error: type[CoveoError], words: str
) -> None:
    """With frame and row."""
    with pytest.raises(error, match=words) as raised:
        CoveoHook().push(documents, "files")

    assert "coveo-documents" not in str(raised.value)
    assert connected.calls == []


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda hook: hook.push("files", FRAME), "source_id must be the id of a source.*not DataFrame"),
        (lambda hook: hook.push(None, "files"), "nothing to push"),
        (lambda hook: hook.update("products"), "nothing to send"),
        (lambda hook: hook.delete(None, "files"), "nothing to delete"),
        (lambda hook: hook.load(None, "files"), "documents is None"),
        (lambda hook: hook.push(FRAME, "files", mapping={"a": "b"}), "mapping must be a DocumentMapping"),
        (
            lambda hook: hook.push("file:///data/x", "files", mapping=TITLED),
            "mapping is for DataFrames and rows",
        ),
        (lambda hook: hook.push(FRAME, "files", verify="maybe"), 'verify must be "auto"'),
        (lambda hook: hook.verify({"documents": 1}), "report must be what push or update returned"),
        (lambda hook: hook.verify(hook.push(FRAME, "files")), "verified already"),
    ],
)
def test_a_wrong_argument_is_told(call: Callable[[CoveoHook], Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        call(CoveoHook())


def test_a_source_of_the_other_kind_is_told(connected: Sandbox) -> None:
    """By the service's own word; the index is as it was."""
    with pytest.raises(SourceRefused, match=r"Push or Catalog"):
        CoveoHook().push(FRAME, "products")
    with pytest.raises(SourceRefused, match=r"Push or Catalog"):
        CoveoHook().update("files", documents=FRAME)
    assert connected.items("products") == connected.items("files") == {}


@pytest.mark.parametrize("source", ["files", "products"])
def test_a_load_that_shrinks_too_much_stops(connected: Sandbox, source: str) -> None:
    """Nothing is deleted, and the source is not left in REBUILD."""
    CoveoHook().load(ROWS, source)
    connected.clock.advance(seconds=60)

    with pytest.raises(SafetyStop, match=r"max_shrink=0\.5"):
        CoveoHook().load(pd.DataFrame(ROWS[:1]), source, max_shrink=0.5)
    with pytest.raises(SafetyStop, match="min_documents=5"):
        CoveoHook().load(pd.DataFrame(ROWS), source, min_documents=5)

    connected.settle()
    assert connected.items(source) == held(ROWS)
    assert connected.source(source).status != "REBUILD"


@pytest.mark.parametrize(
    ("source", "route"),
    [
        *(("products", route) for route in ("stream.open", "stream.chunk", "upload", "stream.close")),
        *(("files", route) for route in ("source.status", "file.create", "batch.put", "items.delete_older")),
    ],
)
def test_a_load_that_fails_half_way_removes_nothing(connected: Sandbox, source: str, route: str) -> None:
    """And the next one goes through."""
    CoveoHook().load(ROWS, source)
    connected.clock.advance(seconds=60)
    connected.faults.add(route=route, action=FAIL, times=6)

    with pytest.raises(CoveoError):
        CoveoHook().load(pd.DataFrame(ROWS[1:]), source)

    connected.faults.clear()
    connected.settle()
    assert connected.items(source).keys() == held(ROWS).keys()
    assert connected.source(source).status != "REBUILD" or route == "source.status"
    connected.clock.advance(seconds=60)
    CoveoHook().load(pd.DataFrame(ROWS[1:]), source)
    assert connected.items(source) == held(ROWS[1:])


def test_what_is_not_indexed_fails_the_call(connected: Sandbox) -> None:
    """With the reason and the ids; as many as `max_rejected` may be refused."""
    connected.add_source("intranet", kind="PUSH", visibility="SECURED")
    everybody = [{"allowAnonymous": True}]
    rows = [{"documentId": f"a:{n}", "permissions": everybody if n else None} for n in range(3)]

    with pytest.raises(VerificationFailed, match=r"1 refused .*such as a:0"):
        CoveoHook().push(rows, "intranet")
    report = CoveoHook().push(rows, "intranet", max_rejected=1)

    assert (report["indexed"], report["refused"], report["reasons"][0]["first"]) == (2, 1, ["a:0"])


def test_what_was_not_verified_can_be_later(connected: Sandbox) -> None:
    """By the report alone, which then has the ids."""
    hook = CoveoHook()
    reports = [
        hook.push(pd.DataFrame(ROWS[:2]), "files", verify=False),
        hook.push(pl.DataFrame(ROWS[2:]), "files", deletions=["product://9"], verify=False),
    ]
    assert reports[0]["ids"] == {"addOrUpdate": ["product://1", "product://2"]}
    assert reports[1]["ids"] == {"addOrUpdate": ["product://3"], "delete": ["product://9"]}

    report = hook.verify(reports, whole=True)

    assert (report["documents"], report["verified"], report["held"]) == (3, "items", 3)


def test_a_long_wait_is_not_slept_through(connected: Sandbox, waits: list[float]) -> None:
    """Nothing can be deferred here: the caller hears of it."""
    connected.faults.add(route="batch.put", action=Answer.throttled(280), times=1)

    with pytest.raises(Throttled):
        CoveoHook(max_block_seconds=30).push(FRAME, "files")
    CoveoHook(max_block_seconds=30).push(FRAME, "files")

    assert connected.items("files") == held(ROWS)
    assert sum(waits) < 280


def test_no_secret_is_told(
    connected: Sandbox, connect: Connect, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in a log nor in a report nor in an error."""
    caplog.set_level(logging.DEBUG)
    report = CoveoHook().push(FRAME, "files")
    connect(connected, password="xx-not-the-key-0815")
    with pytest.raises(CoveoError) as raised:
        CoveoHook().load(FRAME, "files")

    told = f"{caplog.text} {report} {raised.value}"
    assert connected.api_key not in told
    assert "xx-not-the-key-0815" not in told
    assert "X-Amz-Signature" not in told

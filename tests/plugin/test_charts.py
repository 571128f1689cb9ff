"""The numbers of bars and lines stay within what they are drawn in, and tell the truth about one another."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coveo_provider.plugin import charts, storage

NUMBERS = st.none() | st.integers(-(10**18), 10**18) | st.floats(0, 1e18)


@given(st.lists(st.lists(st.tuples(st.sampled_from(["new", "gone"]), NUMBERS), max_size=4), max_size=6))
def test_bars_fill_no_more_than_their_width(rows: list[list[tuple[str, float | None]]]) -> None:
    """The longest takes all of it; what is not known or below 0 is left out."""
    drawn = charts.bars((str(at), parts) for at, parts in enumerate(rows))

    ends = [begins + share for bar in drawn for _, _, begins, share in bar.parts]
    assert all(0 <= end <= 100.1 for end in ends)
    for bar, parts in zip(drawn, rows, strict=True):
        assert [number for _, number, _, _ in bar.parts] == [n for _, n in parts if n is not None and n >= 0]
    if any(bar.total for bar in drawn):
        assert max(ends) > 99.8


@given(st.lists(st.tuples(st.just("then"), st.integers(-(10**18), 10**18)), max_size=50))
def test_a_line_stays_within_its_height(points: list[tuple[str, int]]) -> None:
    """Higher numbers stand higher; one point makes no line."""
    drawn = charts.line(points)

    if drawn is None:
        assert len(points) < 2
        return
    places = [tuple(map(float, one.split())) for one in re.split("[ML]", drawn.path)[1:]]
    assert len(places) == len(points) == drawn.dots.count("h0")
    assert all(0 <= value <= 100 for place in places for value in place)
    by_number = sorted(zip((number for _, number in points), (-y for _, y in places), strict=True))
    heights = [height for _, height in by_number]
    assert heights == sorted(heights)


def test_a_storage_that_does_not_answer_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time may take as long as its library waits; others are asked all the same."""
    asked: list[str] = []

    class Silent:
        def is_file(self) -> bool:
            raise TimeoutError

    def path(uri: str) -> Silent:
        asked.append(uri)
        return Silent()

    monkeypatch.setattr(storage, "_path", path)
    found = storage.presence(f"s3://{bucket}/{n}/_manifest.json" for bucket in "ab" for n in range(3))

    assert asked == ["s3://a/0/_manifest.json", "s3://b/0/_manifest.json"]
    assert set(found.values()) == {storage.NOT_KNOWN}


def test_what_is_no_manifest_is_not_looked_for(tmp_path: Path) -> None:
    """XCom may name anything."""
    places = ["/etc/hostname", "http://127.0.0.1:9/_manifest.json", "nobody://x/_manifest.json"]
    (tmp_path / "other.json").write_text("{}")
    uris = ["", "x:y", "gs::/_manifest.json", str(tmp_path / "other.json"), *places]
    assert set(storage.presence(uris).values()) == {storage.NOT_KNOWN}


def test_a_storage_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """All requests of the API server share its threads; also when every reader hangs already."""
    released = threading.Event()

    class Hanging:
        def wait(self, *_: object) -> None:
            released.wait(60)
            raise TimeoutError

        open = is_file = stat = wait

    monkeypatch.setattr(storage, "_PATIENCE", 0.01)
    monkeypatch.setattr(storage, "_READERS", threading.BoundedSemaphore(2))
    monkeypatch.setattr(storage, "_path", lambda _: Hanging())
    try:
        for _ in range(3):
            with pytest.raises(storage.NotRead, match=r"s3://a/last\.json cannot be read \(TimeoutError\)"):
                storage.loads("s3://a")
            with pytest.raises(storage.NotRead, match="cannot be read"):
                storage.refused("s3://a/_refused-b.parquet", text="", page=0, size=1)
            assert storage.presence(["s3://a/_manifest.json"]) == {"s3://a/_manifest.json": storage.NOT_KNOWN}
    finally:
        released.set()

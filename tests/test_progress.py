"""What long work says every ten seconds."""

from __future__ import annotations

from coveo_provider.loading.progress import Progress


class Lines:
    """A log and a clock, both in the test's hands."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lines: list[str] = []

    def clock(self) -> float:
        return self.now

    def log(self, message: str, *args: object) -> None:
        self.lines.append(message % args)


def test_a_line_every_ten_seconds() -> None:
    """Documents, MB, rate and time left; nothing in between."""
    lines = Lines()
    progress = Progress(lines.log, "Encoded", 100_000, clock=lines.clock)
    for second in range(1, 26):
        lines.now = second
        progress.step(1_000, 500_000)
    assert lines.lines == [
        "Encoded 10,000 documents, 5.0 MB so far, 1,000 documents/s, about 90 s left",
        "Encoded 20,000 documents, 10.0 MB so far, 1,000 documents/s, about 80 s left",
    ]


def test_an_unknown_total_has_no_time_left() -> None:
    """Then the line ends with the rate."""
    lines = Lines()
    progress = Progress(lines.log, "Encoded", None, clock=lines.clock)
    lines.now = 10
    progress.step(5, 1_000_000)
    assert lines.lines == ["Encoded 5 documents, 1.0 MB so far, 0 documents/s"]


def test_uploads_count_bytes() -> None:
    """MB, MB a second and the time left; more than was announced leaves none."""
    lines = Lines()
    progress = Progress(lines.log, "Uploaded", 200_000_000, "bytes", clock=lines.clock)
    for second in (10, 20, 30):
        lines.now = second
        progress.step(80_000_000, 80_000_000)
    assert lines.lines == [
        "Uploaded 80.0 MB so far, 8.0 MB/s, about 15 s left",
        "Uploaded 160.0 MB so far, 8.0 MB/s, about 5 s left",
        "Uploaded 240.0 MB so far, 8.0 MB/s, about 0 s left",
    ]

"""Numbers of the bars and lines that the pages draw, in hundredths of the width and height they are drawn in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Bar(NamedTuple):
    """
    One bar.

    :param parts: kind, number and share of each part, in hundredths of the longest bar, with where it begins
    """

    label: str
    total: float
    parts: list[tuple[str, float, float, float]]


def bars(rows: Iterable[tuple[str, Sequence[tuple[str, float | None]]]]) -> list[Bar]:
    """
    Put rows of a label and its parts (kind and number) into bars.

    A number that is not known, or below 0, is left out.
    """
    known = [
        (label, [(kind, number) for kind, number in parts if number is not None and number >= 0])
        for label, parts in rows
    ]
    totals = [sum(number for _, number in parts) for _, parts in known]
    longest = max(totals, default=0) or 1
    return [
        Bar(label, total, _parts(parts, longest)) for (label, parts), total in zip(known, totals, strict=True)
    ]


def _parts(numbers: Sequence[tuple[str, float]], longest: float) -> list[tuple[str, float, float, float]]:
    parts, begins = [], 0.0
    for kind, number in numbers:
        share = 100 * number / longest
        parts.append((kind, number, round(begins, 2), round(share, 2)))
        begins += share
    return parts


class Line(NamedTuple):
    """
    Numbers over time.

    :param path: the line, as SVG draws it in 100 by 100
    :param dots: one for each number, of no length: a round end makes a dot of it at any width
    """

    path: str
    dots: str
    least: int
    most: int
    first: str
    last: str


def line(points: Sequence[tuple[str, int]]) -> Line | None:
    """Draw a number by moment, oldest first; ``None`` of fewer than two, which make no line."""
    if len(points) < 2:
        return None
    numbers = [number for _, number in points]
    least, most = min(numbers), max(numbers)
    height = (most - least) or 1
    places = [
        (round(2 + 96 * at / (len(points) - 1), 2), round(90 - 80 * (number - least) / height, 2))
        for at, number in enumerate(numbers)
    ]
    path = "M" + "L".join(f"{x} {y}" for x, y in places)
    dots = "".join(f"M{x} {y}h0" for x, y in places)
    return Line(path, dots, least, most, points[0][0], points[-1][0])

"""Numbers of the charts and graphs that the pages draw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from coveo_provider.sandbox.service.records import IdentityView

_MOST_BARS = 30
_MOST_ENDS = 12
_DAY_MS = 86_400_000


class Bar(NamedTuple):
    """
    One bar.

    :param parts: kind, number and share of each part, in hundredths of the longest bar, with where it begins
    """

    label: str
    total: int
    parts: list[tuple[str, int, float, float]]


def bars(rows: Iterable[tuple[str, str, int]]) -> list[Bar]:
    """Put rows of (label, kind, number) into bars, one a label, in the order in which labels come first."""
    numbers: dict[str, dict[str, int]] = {}
    for label, kind, number in rows:
        of_label = numbers.setdefault(label, {})
        of_label[kind] = of_label.get(kind, 0) + number
    longest = max((sum(one.values()) for one in numbers.values()), default=1) or 1
    return [Bar(label, sum(one.values()), _parts(one, longest)) for label, one in numbers.items()]


def _parts(numbers: dict[str, int], longest: int) -> list[tuple[str, int, float, float]]:
    parts, begins = [], 0.0
    for kind, number in numbers.items():
        share = 100 * number / longest
        parts.append((kind, number, round(begins, 2), round(share, 2)))
        begins += share
    return parts


def items_by_load(loads: Sequence[tuple[int, int]]) -> list[Bar]:
    """Draw items by the orderingId they came with, or by its day where there are many."""
    if len(loads) <= _MOST_BARS:
        return bars((moment(ordering), "items", count) for ordering, count in loads)
    by_day = [(moment(ordering)[:10], "items", count) for ordering, count in loads]
    return bars(by_day)[-_MOST_BARS:]


def moment(time_ms: int) -> str:
    """Write a moment for people, UTC to the second; what is no moment stays a number."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, timezone.utc).strftime("%Y-%m-%d %H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return str(time_ms)


class End(NamedTuple):
    """An identity at the other end of a line, with where it is drawn."""

    name: str
    relation: str
    y: int


class Graph(NamedTuple):
    """
    An identity with what lists it on the left, and what it lists on the right.

    :param more: how many further ones are not drawn
    """

    left: list[End]
    right: list[End]
    height: int
    more: int


def graph(identity: IdentityView, groups: Sequence[str]) -> Graph:
    """Draw one identity: the groups that list it, its members, aliases and granted identities."""
    right = [
        *((name, "member") for name in identity.members),
        *((name, "alias") for _, name in identity.aliases),
        *((name, "granted") for name in identity.granted),
    ]
    left = [(name, "lists it") for name in groups]
    rows = max(min(len(left), _MOST_ENDS), min(len(right), _MOST_ENDS), 1)
    more = max(len(left) - _MOST_ENDS, 0) + max(len(right) - _MOST_ENDS, 0)
    return Graph(_placed(left, rows), _placed(right, rows), rows * 34 + 20, more)


def _placed(ends: Sequence[tuple[str, str]], rows: int) -> list[End]:
    shown = ends[:_MOST_ENDS]
    top = (rows - len(shown)) * 17
    return [End(name, relation, top + at * 34 + 27) for at, (name, relation) in enumerate(shown)]

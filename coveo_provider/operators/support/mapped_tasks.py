"""How many tasks Airflow maps over at most, and datasets cut to fit."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

from airflow.configuration import conf

T = TypeVar("T")


def max_map_length() -> int:
    """Return the most entries of a list that Airflow maps over: ``[core] max_map_length``."""
    return max(1, conf.getint("core", "max_map_length", fallback=1024))


def groups(entries: Sequence[T], count: int) -> list[list[T]]:
    """Return entries in so many runs of neighbours, whose lengths differ by one at most."""
    share, more = divmod(len(entries), count)
    bounds = [0]
    for number in range(count):
        bounds.append(bounds[-1] + share + (number < more))
    return [list(entries[start:stop]) for start, stop in pairwise(bounds)]


def mappable(uris: Sequence[str]) -> list[str] | list[list[str]]:
    """Return the URIs of parts to map over: one a task, or as many a task as the limit of Airflow asks for."""
    limit = max_map_length()
    return list(uris) if len(uris) <= limit else groups(uris, limit)

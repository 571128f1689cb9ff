"""How many tasks Airflow maps over at most, and datasets cut to fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.configuration import conf

from coveo_provider.documents.contract import counted
from coveo_provider.errors import DatasetError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from coveo_provider.report import Report

T = TypeVar("T")


def name_by_part(context: Context, report: Report) -> None:
    """
    Tell a ``map_index_template`` what a mapped task sent, as ``coveo_part``.

    Such as ``part-00003.parquet: 10,000 documents``.
    """
    if not report.parts:
        return
    name = report.parts[0].rstrip("/").rpartition("/")[2]
    more = f" and {len(report.parts) - 1:,} more" if len(report.parts) > 1 else ""
    counts = [
        counted(count, word)
        for word, count in (
            ("document", report.documents),
            ("partial update", report.partial_updates),
            ("deletion", report.deletions),
        )
        if count
    ]
    values: dict[str, Any] = context  # type: ignore[assignment]
    values["coveo_part"] = f"{name}{more}: {', '.join(counts) or 'nothing'}"


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


def parts_of(value: Any) -> list[str]:
    """
    Return the URIs of all parts that tasks were mapped over.

    :param value: what :func:`mappable` returned, or arguments for each task, by name
    :raises DatasetError: it is neither
    """
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [part for entry in value.values() for part in parts_of(entry)]
    if isinstance(value, Iterable):
        return [part for entry in value for part in parts_of(entry)]
    raise DatasetError(f"parts must be the list of a load's parts, e.g. parts=check.output, not {value!r}")

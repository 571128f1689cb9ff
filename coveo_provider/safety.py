"""
What is checked before a step that removes items.

Coveo's own clients close a stream although a chunk failed, and delete older items although a batch did
(``docs/api-notes.md``, "What other clients do"). Here the run stops on doubt, with the index as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from coveo_provider.errors import ConfigurationError, SafetyStop
from coveo_provider.report import Report


def total(reports: Any, *, source_id: str, step: str) -> Report:
    """
    Return the sum of the reports of all parts of a load.

    :param reports: one report, or any nesting of sequences of them, as upload and push tasks return
    :param step: what is about to be done, for the message
    :raises SafetyStop: something in it is not a report, as when a task was skipped
    """
    summed = Report()
    apis: set[str] = set()
    for report in each_report(reports, owner=f"source {source_id}", step=step):
        try:
            summed.parts += _list(report.get("parts", []))
            summed.documents += _count(report["documents"])
            summed.partial_updates += _count(report.get("partial_updates", 0))
            summed.deletions += _count(report.get("deletions", 0))
            summed.bytes += _count(report.get("bytes", 0))
            summed.chunks += _count(report.get("chunks", 0))
            summed.ordering_ids += [_count(one) for one in _list(report.get("ordering_ids", []))]
            apis |= {report["api"]} if report.get("api") else set()
        except (KeyError, TypeError, ValueError):
            raise _no_report(report, f"source {source_id}", step) from None
    if len(apis) > 1:
        raise SafetyStop(
            f"source {source_id}: the reports tell of more than one API, {' and '.join(sorted(apis))}, and {step} "
            "needs those of one load. Nothing was removed"
        )
    summed.api = "".join(apis)
    return summed


@dataclass(frozen=True)
class Words:
    """
    What the messages call things.

    :param owner: what holds them
    :param loaded: what a load is made of
    :param stored: what the owner holds
    :param bound: the argument for the fewest there may be
    """

    owner: str
    loaded: str
    stored: str
    bound: str


ITEMS = Words("source", "documents", "items", "min_documents")
IDENTITIES = Words("provider", "identities", "identities", "min_identities")


def refuse_doubtful(
    *,
    source_id: str,
    step: str,
    documents: int,
    min_documents: int = 1,
    max_shrink: float | None = None,
    count_held: Callable[[], int | None],
    words: Words = ITEMS,
) -> None:
    """
    Refuse a destructive step whose load looks too small.

    :param source_id: the source, or the security provider
    :param step: what is about to be done: ``closing the stream``
    :param documents: items in the load, or identities
    :param min_documents: fewer than these are refused; 0 allows an empty load
    :param max_shrink: share of the items held now that may go, 0 to 1; ``None`` does not look
    :param count_held: asked for the number of items the source holds now, only when ``max_shrink`` is given
    :param words: what the messages call all that
    :raises SafetyStop: says both numbers
    :raises ConfigurationError: a bound is not one
    """
    owner = f"{words.owner} {source_id}"
    if isinstance(min_documents, bool) or not isinstance(min_documents, int) or min_documents < 0:
        raise ConfigurationError(f"{words.bound} must be a whole number, 0 or more, not {min_documents!r}")
    if max_shrink is not None and (
        isinstance(max_shrink, bool) or not isinstance(max_shrink, (int, float)) or not 0 <= max_shrink <= 1
    ):
        raise ConfigurationError(f"max_shrink must be a share between 0 and 1, not {max_shrink!r}")
    if documents < min_documents:
        what = f"no {words.loaded}" if documents == 0 else f"{documents:,} {words.loaded}"
        raise SafetyStop(
            f"{owner}: the load holds {what}, fewer than {words.bound}={min_documents:,}; {step} would remove "
            f"what the {words.owner} holds. Nothing was removed. Check the extract, or lower {words.bound} if "
            "this is meant"
        )
    if max_shrink is None:
        return
    now = count_held()
    if now is None:
        raise SafetyStop(
            f"{owner}: the platform does not say how many {words.stored} it holds, so max_shrink={max_shrink:g} "
            "cannot be checked. Nothing was removed"
        )
    shrink = (now - documents) / now if now else 0.0
    if shrink > max_shrink:
        raise SafetyStop(
            f"{owner}: the load holds {documents:,} {words.loaded} and the {words.owner} {now:,} {words.stored}; "
            f"{step} would shrink it by {shrink:.1%}, over max_shrink={max_shrink:g}. Nothing was removed. "
            "Check the extract, or raise max_shrink if this is meant"
        )


def each_report(reports: Any, *, owner: str, step: str) -> Iterable[Mapping[str, Any]]:
    """
    Return every report of any nesting of sequences of them.

    :raises SafetyStop: something among them is none, as when a task was skipped
    """
    if isinstance(reports, Mapping):
        yield reports
    elif isinstance(reports, Iterable) and not isinstance(reports, (str, bytes)):
        # By index: Airflow's lazy sequence of mapped outputs logs an error when iterated past its end.
        each = (reports[i] for i in range(len(reports))) if isinstance(reports, Sequence) else iter(reports)
        for report in each:
            yield from each_report(report, owner=owner, step=step)
    else:
        raise _no_report(reports, owner, step)


def _no_report(value: Any, owner: str, step: str) -> SafetyStop:
    return SafetyStop(
        f"{owner}: {step} needs the reports of all parts, found {type(value).__name__} among "
        "them. Was a part skipped? Pass the output of the upload or push tasks, e.g. reports=upload.output"
    )


def _list(value: Any) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise TypeError(value)
    return list(value)


def _count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(value)
    return value

"""
What is checked before a step that removes items.

Coveo's own clients close a stream although a chunk failed, and delete older items although a batch did
(``docs/api-notes.md``, "What other clients do"). Here the run stops on doubt, with the index as it was.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from coveo_provider.errors import ConfigurationError, SafetyStop
from coveo_provider.marks import Moment
from coveo_provider.report import Report

_COUNTS = ("partial_updates", "deletions", "bytes", "chunks", "calls", "retries")
_SECONDS = ("waited_seconds", "seconds")


def read_reports(
    reports: Any,
    *,
    source_id: str,
    step: str,
    load: str = "",
    parts: Iterable[str] | None = None,
    stream_id: str = "",
) -> list[Report]:
    """
    Return the reports of all tasks of a load, each part of it exactly once.

    :param reports: one report, or any nesting of sequences of them, as upload and push tasks return
    :param source_id: the source
    :param step: what is about to be done, for the message
    :param load: the load (:attr:`~coveo_provider.operators.support.claims.Claim.load`); ``""`` when not known
    :param parts: the URIs of all parts of the load; ``None`` when not known
    :param stream_id: the open stream that all were uploaded into; ``""`` for none
    :raises SafetyStop: something among them is not a report, as when a task was skipped; or a report is
        missing, double, of another source, stream or load
    """
    found = [
        _read(report, source_id, step)
        for report in each_report(reports, owner=f"source {source_id}", step=step)
    ]
    for report in found:
        _refuse_foreign(report, source_id, step, load, stream_id)
    sent = Counter(part for report in found for part in report.parts)
    problem = next((f"{part} was sent by two tasks" for part, count in sent.items() if count > 1), "")
    if parts is not None and not problem:
        wanted = set(parts)
        missing, foreign = sorted(wanted - sent.keys()), sorted(sent.keys() - wanted)
        if missing:
            problem = (
                f"{len(missing):,} of {len(wanted):,} parts have no report, among them {missing[0]}. A task "
                "that was marked "
                "as success by hand has sent nothing: clear it, so that it runs"
            )
        elif foreign:
            problem = f"{foreign[0]} is no part of this load: clear the tasks that send"
    apis = sorted({report.api for report in found} - {""})
    if len(apis) > 1:
        problem = f"they tell of more than one API, {' and '.join(apis)}"
    if problem:
        raise SafetyStop(
            f"source {source_id}: {step} needs the reports of all parts: {problem}. Nothing was removed"
        )
    return found


def total(reports: Iterable[Report]) -> Report:
    """
    Return the sum of the reports of a load.

    Its mark is the smallest of theirs: everything that any of them sent is newer. Its moment is the earliest of
    those at which clocks disagreed.
    """
    summed = Report()
    doubtful: list[Moment] = []
    for report in reports:
        for name in ("parts", "documents", "ordering_ids", *_COUNTS, *_SECONDS):
            setattr(summed, name, getattr(summed, name) + getattr(report, name))
        for name in ("source_id", "load", "api", "stream_id", "request_id", "first"):
            setattr(summed, name, getattr(summed, name) or getattr(report, name))
        for name in ("other_parts", "ids"):
            for section, values in getattr(report, name).items():
                getattr(summed, name).setdefault(section, []).extend(values)
        if report.mark is not None:
            summed.mark = report.mark if summed.mark is None else min(summed.mark, report.mark)
        if (moment := report.clocks) is not None and not moment.agrees:
            doubtful.append(moment)
    if doubtful:
        summed.moment = min(doubtful, key=lambda moment: moment.earliest).as_json()
    return summed


def _read(report: Mapping[str, Any], source_id: str, step: str) -> Report:
    """Return a report as it was before it travelled."""
    try:
        texts = {
            name: str(report.get(name, ""))
            for name in ("source_id", "load", "api", "stream_id", "request_id", "first")
        }
        counts = {name: _count(report.get(name, 0)) for name in _COUNTS}
        seconds = {name: float(report.get(name, 0)) for name in _SECONDS}
        lists = {name: _lists(report.get(name, {})) for name in ("other_parts", "ids")}
        read: dict[str, Any] = {**texts, **counts, **seconds, **lists}
        ordering_ids = [_count(one) for one in _list(report.get("ordering_ids", []))]
        mark = report.get("mark", min(ordering_ids, default=None))
        return Report(
            parts=[str(part) for part in _list(report.get("parts", []))],
            documents=_count(report["documents"]),
            ordering_ids=ordering_ids,
            mark=None if mark is None else _count(mark),
            moment=None if report.get("moment") is None else Moment.of(report["moment"]).as_json(),
            **read,
        )
    except (KeyError, TypeError, ValueError):
        raise _no_report(report, f"source {source_id}", step) from None


def _lists(value: Any) -> dict[str, list[str]]:
    return {str(name): [str(one) for one in _list(each)] for name, each in dict(value).items()}


def _refuse_foreign(report: Report, source_id: str, step: str, load: str, stream_id: str) -> None:
    """
    Refuse a report that is of something else.

    :raises SafetyStop: it is
    """
    what = report.parts[0] if report.parts else report.first or "what it sent"
    problem = ""
    if report.source_id and report.source_id != source_id:
        problem = f"a report is of source {report.source_id}"
    elif stream_id and report.stream_id and report.stream_id != stream_id:
        problem = (
            f"{what} was uploaded into stream {report.stream_id}, not into {stream_id}, which is to be closed"
        )
    elif load and report.load and not _is_same(load, report.load):
        problem = (
            f"{what} was sent by {report.load}, and this is {load}: another load of the source came between"
        )
    if problem:
        raise SafetyStop(
            f"source {source_id}: {step} needs the reports of this load: {problem}. Nothing was removed; "
            "clear the tasks "
            "that send, with all that follow, so that they run again"
        )


def _is_same(load: str, other: str) -> bool:
    """Tell whether two names may be of one load; a feed's does not say which of its run's loads it belongs to."""
    (run, number), (other_run, other_number) = _parted(load), _parted(other)
    return run == other_run and (not number or not other_number or number == other_number)


def _parted(load: str) -> tuple[str, str]:
    found = re.fullmatch(r"(.*)#(\d+)", load, re.DOTALL)
    return (found[1], found[2]) if found else (load, "")


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


@dataclass(frozen=True)
class Doubt:
    """
    Numbers of a load that are beyond the bounds that were set. A person who knows better may overrule it.

    :param guard: the argument that sets the bound: ``max_shrink``
    :param numbers: the counts it is about: a person says yes to these, and to no others. ``held`` is how many
        there are before the step
    :param found: what was found, a sentence
    :param advice: what is as it was, and what to do now
    """

    guard: str
    numbers: Mapping[str, int]
    found: str
    advice: str

    def stop(self) -> NoReturn:
        """
        Stop because of it.

        :raises SafetyStop: always
        """
        raise SafetyStop(f"{self.found} {self.advice}")


def refuse_no_count(name: str, value: Any) -> None:
    """
    Refuse a bound that has to be a number of things.

    :raises ConfigurationError: it is none
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ConfigurationError(f"{name} must be a whole number, 0 or more, not {value!r}")


def refuse_no_share(name: str, value: Any) -> None:
    """
    Refuse a bound that has to be a share.

    :raises ConfigurationError: it is none
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ConfigurationError(f"{name} must be a share between 0 and 1, not {value!r}")


def refuse_doubtful(
    *,
    source_id: str,
    step: str,
    documents: int,
    min_documents: int = 1,
    max_shrink: float | None = None,
    count_held: Callable[[], int | None],
    words: Words = ITEMS,
    doubt: Callable[[Doubt], None] = Doubt.stop,
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
    :param doubt: is told what is doubtful, with both numbers; by default it stops
    :raises SafetyStop: it stopped, or how many are held is not known
    :raises ConfigurationError: a bound is not one
    """
    owner = f"{words.owner} {source_id}"
    refuse_no_count(words.bound, min_documents)
    if max_shrink is not None:
        refuse_no_share("max_shrink", max_shrink)
    if documents < min_documents:
        what = f"no {words.loaded}" if documents == 0 else f"{documents:,} {words.loaded}"
        doubt(
            Doubt(
                words.bound,
                {words.loaded: documents},
                f"{owner}: the load holds {what}, fewer than {words.bound}={min_documents:,}; {step} would remove "
                f"what the {words.owner} holds.",
                f"Nothing was removed. Check the extract, or lower {words.bound} if this is meant",
            )
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
        doubt(
            Doubt(
                "max_shrink",
                {words.loaded: documents, "held": now},
                f"{owner}: the load holds {documents:,} {words.loaded} and the {words.owner} {now:,} "
                f"{words.stored}; {step} would shrink it by {shrink:.1%}, over max_shrink={max_shrink:g}.",
                "Nothing was removed. Check the extract, or raise max_shrink if this is meant",
            )
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

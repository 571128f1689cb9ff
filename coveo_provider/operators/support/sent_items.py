"""Which items a load sent, read again from its datasets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from coveo_provider.documents.contract import DOCUMENT_ID, Section
from coveo_provider.operators.support.datasets import open_parts
from coveo_provider.report import Report

if TYPE_CHECKING:
    from coveo_provider.documents.dataset.tables import Part
    from coveo_provider.verification.tally import Ids


@dataclass(frozen=True)
class SentItems:
    """The ids of what a load sent: added, updated or merged; changed in single fields; deleted."""

    documents: Ids
    changes: Ids
    deletions: Ids


@contextmanager
def sent_items(reports: Sequence[Report]) -> Iterator[SentItems]:
    """
    Give the ids of all that the tasks of a load sent.

    :raises DatasetError: a part is not there any more
    """
    places: dict[str, list[str]] = {section.value: [] for section in Section}
    inline: dict[str, list[str]] = {section.value: [] for section in Section}
    for report in reports:
        other = {part: section for section, parts in report.other_parts.items() for part in parts}
        for part in report.parts:
            places[other.get(part, Section.ADD_OR_UPDATE.value)].append(part)
        for section, ids in report.ids.items():
            inline[section] += ids
    with open_parts([part for parts in places.values() for part in parts]) as opened:
        parts = {part.name: part for part in opened}

        def ids_in(*sections: Section) -> Iterator[Sequence[str]]:
            for section in sections:
                if inline[section.value]:
                    yield inline[section.value]
                for name in places[section.value]:
                    yield from _ids(parts[name])

        yield SentItems(
            documents=lambda: ids_in(Section.ADD_OR_UPDATE, Section.ADD_OR_MERGE),
            changes=lambda: ids_in(Section.PARTIAL_UPDATE),
            deletions=lambda: ids_in(Section.DELETE),
        )


def _ids(part: Part) -> Iterator[Sequence[str]]:
    [name] = [name for name in part.schema.names if name.lower() == DOCUMENT_ID.lower()]
    for batch in part.batches([name]):
        yield batch.column(0).to_pylist()

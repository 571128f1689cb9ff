"""Documents that a function hands over in memory become a dataset on this machine's disk, while a task sends it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coveo_provider.documents.contract import DOCUMENT_ID, Section
from coveo_provider.documents.dataset.manifest import DEFAULT_PART_BYTES, DatasetKind
from coveo_provider.documents.uris import local_path
from coveo_provider.errors import ConfigurationError, DatasetError
from coveo_provider.operators.support.dataset_writing import Recipe
from coveo_provider.operators.support.datasets import open_parts
from coveo_provider.operators.support.frames import frame_file, is_frame, members
from coveo_provider.operators.support.lineage import Lineage
from coveo_provider.operators.support.output_folders import prepared_output
from coveo_provider.operators.support.paths import folder_of
from coveo_provider.scratch import ScratchFolder

if TYPE_CHECKING:
    from coveo_provider.documents.extracts.readers import Batch
    from coveo_provider.documents.mapping.document_mapping import DocumentMapping

_NAME = "documents"


@dataclass(frozen=True)
class ReadyDocuments:
    """
    Documents as the operators that send take them.

    :param value: URIs of parts, or rows, or a DataFrame; ``None`` for none
    :param spooled: URIs of parts that are deleted once they were sent
    """

    value: Any
    spooled: frozenset[str] = frozenset()

    def lasting(self, lineage: Lineage) -> Lineage:
        """Return what a task read and wrote, without the parts that are deleted afterwards."""
        own = {local_path(folder_of(part)) for part in self.spooled}
        return replace(lineage, inputs=tuple(one for one in lineage.inputs if one.name not in own))

    def current(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """Return a report whose documents lie in these parts, also where it began with those of an earlier try."""
        if not self.spooled:
            return dict(report)
        others = {part for parts in report.get("other_parts", {}).values() for part in parts}
        return {**report, "parts": [*self.value, *(part for part in report["parts"] if part in others)]}

    def told(self, report: Mapping[str, Any], *, ids: bool) -> dict[str, Any]:
        """
        Return a report without the parts that are deleted afterwards.

        :param ids: whether it names the ids of what was sent, for a task that verifies it later
        """
        report = self.current(report)
        kept = {name: value for name, value in report.items() if name != "ids"}
        own = [part for part in report["parts"] if part in self.spooled]
        kept["parts"] = [part for part in report["parts"] if part not in self.spooled]
        found = {section: list(names) for section, names in report.get("ids", {}).items()} if ids else {}
        if ids and own:
            with open_parts(own) as parts:
                found[Section.ADD_OR_UPDATE.value] = [
                    one for part in parts for one in part.column(DOCUMENT_ID)
                ]
        return {**kept, "ids": found} if found else kept


@contextmanager
def ready_documents(
    value: Any, mapping: DocumentMapping | None, *, stream: bool, log: Any, lists: bool = True
) -> Iterator[ReadyDocuments]:
    """
    Give documents as the operators that send take them.

    DataFrames that come one after the other, and those with a mapping, are written to this machine's disk, each as
    it comes: all are checked before anything is sent, and one is in memory at a time.

    :param value: a DataFrame (of pandas or polars, or an Arrow table), rows, or an iterable of either; or URIs of a
        dataset; ``None`` for nothing
    :param mapping: how the columns of frames or rows become those of documents; ``None`` when they are that already
    :param stream: whether they go to a stream source, whose items may have 3 MB, or a Push source with 5 MiB
    :param lists: whether DataFrames of a list are written, too, so that a column is of one type in all of them
    :raises DataError: names frame and row of what is wrong; nothing was sent
    """
    if value is None or isinstance(value, Mapping) or (mapping is None and isinstance(value, str)):
        yield ReadyDocuments(value)  # one mapping is refused where all input is
        return
    single = is_frame(value) and not hasattr(value, "read_next_batch")
    found = iter(value) if hasattr(value, "read_next_batch") else members(value)
    first = next(found, None)
    if is_frame(first):
        if mapping is None and (single or (isinstance(value, Sequence) and not lists)):
            yield ReadyDocuments(value)
            return
        frames = _named(chain(iter([first]), found), single=single)
        del first  # so that it is gone before the second is made
    else:
        rest = [] if first is None else [first, *found]
        _refuse_lazy(first)
        if mapping is None:
            yield ReadyDocuments(value if isinstance(value, Sequence) else rest)
            return
        frames = iter([_frame_of(rest)])
    with ScratchFolder("documents") as folder:
        try:
            parts = _written(frames, mapping, Path(folder), stream=stream, log=log)
            yield ReadyDocuments(parts, frozenset(parts))
        except DatasetError as error:  # of ids that stand twice, also among deletions
            own = rf"{re.escape(Path(folder).as_uri())}/[\w.-]+"
            error.args = tuple(re.sub(own, _NAME, str(one)) for one in error.args)
            raise


def _written(
    frames: Iterator[tuple[str, Any]],
    mapping: DocumentMapping | None,
    folder: Path,
    *,
    stream: bool,
    log: Any,
) -> list[str]:
    recipe = Recipe(mapping, None, DatasetKind.DOCUMENTS.value, stream, DEFAULT_PART_BYTES, "time")
    manifest = recipe.manifest()
    output = prepared_output(folder.as_uri(), manifest)
    manifest = recipe.write(output, manifest, _batches(frames), log, empty=f"{_NAME} hold")
    return [str(output / part.name) for part in manifest.parts]


def _named(frames: Iterable[Any], *, single: bool) -> Iterator[tuple[str, Any]]:
    """Return each frame with what errors call it."""
    for number, frame in enumerate(frames):
        if not is_frame(frame):
            kind = "rows" if isinstance(frame, Mapping) else "URIs"
            raise DatasetError(f"{_NAME} holds DataFrames and {kind}; expected one kind of them")
        yield (f"{_NAME} given as a DataFrame" if single else f"{_NAME}[{number}]"), frame


def _batches(frames: Iterable[tuple[str, Any]]) -> Iterator[Batch]:
    """Return the rows of frames, as those of files are read."""
    from coveo_provider.documents.extracts.readers import ReadOptions, read_batches
    from coveo_provider.documents.extracts.source_files import SourceFile

    options = ReadOptions(file_format="parquet")
    for where, frame in frames:
        yield from read_batches([SourceFile(where, partial(frame_file, frame, where))], options)


def _frame_of(rows: Sequence[Any]) -> tuple[str, Any]:
    """Return rows as a frame, for a mapping; their values stay objects, so that no whole number becomes a float."""
    where = f"{_NAME} given inline"
    if not rows:
        raise DatasetError(f"{_NAME}: the list of rows is empty")
    if any(isinstance(row, str) for row in rows):
        raise ConfigurationError(
            f"mapping is for DataFrames and rows, and {_NAME} names files. Let CoveoTransformOperator make a "
            "dataset of them, with this mapping"
        )
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise DatasetError(
                f"{where}: row {number} is {type(row).__name__}, expected a mapping of keys to values"
            )
    from coveo_provider.documents.dataset.frames import frame_of_rows

    return where, frame_of_rows(rows)


def _refuse_lazy(value: Any) -> None:
    """Refuse a query of polars that was not carried out yet, with what to do."""
    if callable(getattr(value, "collect", None)):
        raise DatasetError(
            f"{_NAME} is {type(value).__name__}, which has no rows yet: expected a DataFrame. Call collect()"
        )

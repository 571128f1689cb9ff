"""What a comparison found → the datasets of what changed, and the arguments of each task that sends them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coveo_provider.documents.contract import PUSH_ITEM_BYTES
from coveo_provider.documents.dataset.files import replace as replace_file
from coveo_provider.documents.dataset.manifest import DEFAULT_PART_BYTES, MANIFEST, DatasetKind, Manifest
from coveo_provider.operators.support.mapped_tasks import groups, max_map_length
from coveo_provider.operators.support.output_folders import prepared_output
from coveo_provider.operators.support.storage import open_file

if TYPE_CHECKING:
    from coveo_provider.documents.changes.changed_rows import IdFile
    from coveo_provider.documents.changes.comparison import Difference
    from coveo_provider.documents.changes.datasets import WrittenDataset


def write_changes(
    place: Any, *, datasets: Sequence[WrittenDataset], difference: Difference, ids_path: Path
) -> list[dict[str, Any]]:
    """
    Write what changed of each dataset, and what is gone, as datasets of their own, and return what to send.

    :param place: the folder for all of these
    :param datasets: the whole ones
    :param ids_path: a local file to be, for the ids of all of these
    :return: arguments for each task that sends: ``documents`` or ``deletions``
    """
    from coveo_provider.documents.changes.changed_rows import IdFile, changed_rows

    documents: list[str] = []
    deletions: list[str] = []
    folders = [str(dataset.folder) for dataset in datasets]
    with IdFile(ids_path) as ids:
        for number, (dataset, masks) in enumerate(zip(datasets, difference.masks, strict=True)):
            if any(mask.any() for mask in masks):
                rows = changed_rows(dataset, masks, lambda path, entry=None: open_file(str(path), entry))
                whole = dataset.manifest
                changed = Manifest(
                    DatasetKind.DOCUMENTS,
                    mapping=whole.mapping,
                    api=whole.api,
                    content_roots=whole.content_roots,
                    content_links=whole.content_links,
                )
                name = f"changed-{number}" if number else "changed"
                documents += _written(place / name, changed, rows, ids, beside=folders)
        if difference.gone:
            gone = ((table, None, "what is gone") for table in difference.gone_ids())
            deletions = _written(place / "gone", Manifest(DatasetKind.DELETIONS), gone, ids, beside=folders)
    return units(documents, deletions)


def _written(
    place: Any,
    manifest: Manifest,
    tables: Iterable[tuple[Any, bytes | None, str]],
    ids: IdFile,
    *,
    beside: Sequence[str],
) -> list[str]:
    """
    Write a dataset of changes, and return the URIs of its parts.

    :param tables: Arrow tables, each with the hashes of its rows, if known, and which rows these are
    :param beside: URIs of folders that are read meanwhile, and must stay as they are
    """
    from coveo_provider.documents.dataset.part_writer import PartWriter

    target = prepared_output(place, manifest, sources=beside)
    with PartWriter(
        target, section=manifest.kind.section, part_bytes=DEFAULT_PART_BYTES, item_limit=PUSH_ITEM_BYTES
    ) as writer:
        for table, hashes, where in tables:
            ids.add(table)
            writer.add(table, where, hashes=hashes)
        manifest = replace(manifest, complete=True, parts=writer.finish(), sha256=writer.sha256)
    replace_file(target / MANIFEST, manifest.as_json())
    return [str(target / part.name) for part in manifest.parts]


def units(documents: Sequence[str], deletions: Sequence[str]) -> list[dict[str, Any]]:
    """Return the arguments of each task that sends: one part each, or as many as the limit of Airflow asks for."""
    limit = max_map_length()
    tasks = len(documents), len(deletions)
    if sum(tasks) > limit:
        share = max(1, min(limit - 1, round(limit * len(documents) / sum(tasks))))
        tasks = (share, max(1, limit - share)) if documents and deletions else (limit, limit)
    arguments: list[dict[str, Any]] = []
    for name, parts, count in zip(("documents", "deletions"), (documents, deletions), tasks, strict=True):
        cut = groups(parts, min(count, len(parts))) if parts else []
        arguments.extend({name: group[0] if len(group) == 1 else group} for group in cut)
    return arguments

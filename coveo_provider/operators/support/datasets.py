"""Datasets at object-storage URIs → parts that can be read, and whole datasets with their manifest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import ObjectStoragePath

from coveo_provider.documents.changes.datasets import WrittenDataset
from coveo_provider.documents.changes.state import DatasetRecord
from coveo_provider.documents.dataset.manifest import MANIFEST, DatasetKind, Manifest, PartEntry
from coveo_provider.documents.uris import file_name, shown_uri
from coveo_provider.errors import CoveoError, DatasetError
from coveo_provider.operators.support.partitions import partitions_at
from coveo_provider.operators.support.paths import folder_at, folder_of, misspelt, path_at
from coveo_provider.operators.support.storage import (
    files_in,
    flat,
    manifest_of,
    manifests_of,
    open_file,
)

if TYPE_CHECKING:
    from coveo_provider.documents.dataset.tables import Part


@contextmanager
def open_parts(uris: Sequence[str], named: Any = None) -> Iterator[list[Part]]:
    """
    Open the parts of a dataset for reading, and close them in the end.

    A part that is not on this machine is first copied to its disk in one go: Parquet is read column by
    column, back and forth, which object storage answers slowly. A part whose folder has a manifest must be the
    file that was written.

    :param named: what the parts were listed from, when it may be a folder of folders whose names hold values
    :raises DatasetError: a part is missing, damaged, not Parquet, or has no rows
    """
    from coveo_provider.documents.dataset.tables import Part, say_what_is_left_out

    partitions = {} if named is None else partitions_at(uris, named, "the dataset")
    manifests = manifests_of(uris)
    with ExitStack() as stack:
        entries = _entries(uris, manifests)
        parts = [
            Part(
                stack.enter_context(open_file(uri, entries.get(uri))),
                uri,
                partitions.get(uri),
                dataset=folder_of(uri) if uri in entries else "",
                content_roots=() if (told := manifests[folder_of(uri)]) is None else told.content_roots,
                content_links=told is None or told.content_links,
            )
            for uri in uris
        ]
        say_what_is_left_out(parts)
        for part in parts:
            if not part.rows:
                raise DatasetError(f"{part.name}: has no rows; leave an empty part out")
        yield parts


def _entries(uris: Sequence[str], manifests: Mapping[str, Manifest | None]) -> dict[str, PartEntry]:
    """Return what the manifests of the parts' folders say of them; nothing where there is no manifest."""
    entries = {}
    for uri in uris:
        folder = folder_of(uri)
        if (manifest := manifests[folder]) is None:
            continue
        if not manifest.complete:
            manifest.check_files({}, folder)
        name = file_name(uri)
        entry = next((part for part in manifest.parts if part.name == name), None)
        if entry is None:
            raise DatasetError(f"{uri}: is no part of the dataset in its folder, as {MANIFEST} there says")
        entries[uri] = entry
    return entries


def whole_datasets(documents: Any) -> list[WrittenDataset]:
    """
    Return the datasets of documents that make up the content of a source, each complete, in order.

    :param documents: the URI of a dataset's folder, or those of all of its parts; or several such, nested or not
    :raises DatasetError: one is none that a transform wrote, or not all of it is given, or two have an id in common
    """
    uris: dict[str, list[str]] = {}
    for uri in flat(documents, "documents"):
        path = path_at(uri, "documents")
        uris.setdefault(str(path) if path.is_dir() else folder_of(str(path)), []).append(str(path))
    if not uris:
        raise DatasetError("documents: the list of parts is empty")
    datasets = [_whole_dataset(folder, given) for folder, given in uris.items()]
    if len(datasets) > 1:
        from coveo_provider.documents.changes.datasets import refuse_shared_ids

        refuse_shared_ids(datasets)
    return datasets


def dataset_at(manifest_uri: str) -> WrittenDataset:
    """
    Return the complete dataset of documents whose manifest lies at a URI.

    :raises DatasetError: there is none
    """
    path = path_at(manifest_uri)
    folder = folder_at(folder_of(str(path)))
    manifest = manifest_of(folder)
    if manifest is None or not manifest.complete or manifest.kind is not DatasetKind.DOCUMENTS:
        raise DatasetError(
            f"manifest: {path} is not that of a complete dataset of documents{misspelt(str(path))}"
        )
    return WrittenDataset(folder, manifest)


def remembered_dataset(record: DatasetRecord) -> WrittenDataset:
    """
    Return a dataset that the state remembers, if it is still the one that was loaded.

    :raises DatasetError: it is gone, or was written again since
    """
    where = shown_uri(record.manifest)
    try:
        dataset = dataset_at(record.manifest)
    except Exception as error:  # noqa: BLE001  each storage library has its own, or is not installed
        why = "" if isinstance(error, (CoveoError, OSError)) else f", as {type(error).__name__} says"
        raise DatasetError(f"its dataset is gone{why}: {where}") from None
    if dataset.manifest.sha256 != record.sha256:
        raise DatasetError(f"its dataset was written again since: {where}")
    return dataset


def _whole_dataset(folder_uri: str, uris: Sequence[str]) -> WrittenDataset:
    folder = folder_at(folder_uri)
    manifest = manifest_of(folder)
    if manifest is None or manifest.kind is not DatasetKind.DOCUMENTS:
        what = (
            f"has no manifest{misspelt(folder_uri)}" if manifest is None else f"holds {manifest.kind.value}"
        )
        missing = next((uri for uri in uris if not path_at(uri).exists()), None)
        if missing is not None:
            what = f"{what}, and {shown_uri(missing)} is missing{misspelt(missing)}"
        raise DatasetError(
            f"documents: {folder} {what}. Changes are found in a dataset of documents that CoveoTransformOperator "
            "wrote"
        )
    sizes = {name: size for name, size in files_in(folder).items() if "/" not in name and name[0] not in "_."}
    manifest.check_files(sizes, f"documents: {folder}")
    if [*uris] != [folder_uri]:
        _refuse_fewer_or_others(uris, folder, manifest)
    return WrittenDataset(folder, manifest)


def _refuse_fewer_or_others(uris: Sequence[str], folder: ObjectStoragePath, manifest: Manifest) -> None:
    if {file_name(uri) for uri in uris} != {part.name for part in manifest.parts}:
        raise DatasetError(
            f"documents: {folder}: expected all parts of one dataset, and no others: what "
            "is missing would look deleted. Give its folder, or what CoveoTransformOperator returns"
        )

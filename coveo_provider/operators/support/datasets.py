"""Datasets at object-storage URIs → parts that can be read, and whole datasets with their manifest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import ObjectStoragePath

from coveo_provider.documents.dataset.files import opened_local
from coveo_provider.documents.dataset.manifest import HASHES, MANIFEST, DatasetKind, Manifest, PartEntry
from coveo_provider.documents.extracts.source_files import SourceFile
from coveo_provider.errors import DatasetError
from coveo_provider.operators.support.storage import (
    files_in,
    flat,
    folder_of,
    manifest_of,
    manifests_of,
    open_file,
)

if TYPE_CHECKING:
    from coveo_provider.documents.dataset.tables import Part


@contextmanager
def open_parts(uris: Sequence[str]) -> Iterator[list[Part]]:
    """
    Open the parts of a dataset for reading, and close them in the end.

    A part that is not on this machine is first copied to its disk in one go: Parquet is read column by
    column, back and forth, which object storage answers slowly. A part whose folder has a manifest must be the
    file that was written.

    :raises DatasetError: a part is missing, damaged, not Parquet, or has no rows
    """
    from coveo_provider.documents.dataset.tables import Part

    with ExitStack() as stack:
        entries = _entries(uris)
        parts = [Part(stack.enter_context(open_file(uri, entries.get(uri))), uri) for uri in uris]
        for part in parts:
            if not part.rows:
                raise DatasetError(f"{part.name}: has no rows; leave an empty part out")
        yield parts


def _entries(uris: Sequence[str]) -> dict[str, PartEntry]:
    """Return what the manifests of the parts' folders say of them; nothing where there is no manifest."""
    manifests = manifests_of(uris)
    entries = {}
    for uri in uris:
        folder = folder_of(uri)
        if (manifest := manifests[folder]) is None:
            continue
        if not manifest.complete:
            manifest.check_files({}, folder)
        name = ObjectStoragePath(uri).name
        entry = next((part for part in manifest.parts if part.name == name), None)
        if entry is None:
            raise DatasetError(f"{uri}: is no part of the dataset in its folder, as {MANIFEST} there says")
        entries[uri] = entry
    return entries


def whole_dataset(documents: Any) -> tuple[ObjectStoragePath, Manifest]:
    """
    Return the folder of a dataset of documents, complete, and its manifest.

    :param documents: the folder's URI, or those of all of its parts
    :raises DatasetError: it is none that a transform wrote, or not all of it is given
    """
    uris = list(flat(documents, "documents"))
    if not uris:
        raise DatasetError("documents: the list of parts is empty")
    path = ObjectStoragePath(uris[0])
    is_folder = len(uris) == 1 and path.is_dir()
    folder = path if is_folder else path.parent
    manifest = manifest_of(folder)
    if manifest is None or manifest.kind is not DatasetKind.DOCUMENTS:
        what = "has no manifest" if manifest is None else f"holds {manifest.kind.value}"
        raise DatasetError(
            f"documents: {folder} {what}. Changes are found in a dataset of documents that CoveoTransformOperator "
            "wrote"
        )
    sizes = {name: size for name, size in files_in(folder).items() if "/" not in name and name[0] not in "_."}
    manifest.check_files(sizes, f"documents: {folder}")
    if not is_folder:
        _refuse_fewer_or_others(uris, folder, manifest)
    return folder, manifest


def _refuse_fewer_or_others(uris: Sequence[str], folder: ObjectStoragePath, manifest: Manifest) -> None:
    beside = [uri for uri in uris if folder_of(uri) != str(folder)]
    if beside or {ObjectStoragePath(uri).name for uri in uris} != {part.name for part in manifest.parts}:
        raise DatasetError(
            f"documents: {beside[0] if beside else folder}: expected all parts of one dataset, and no others: what "
            "is missing would look deleted. Give its folder, or what CoveoTransformOperator returns"
        )


def hash_files(folder: Any, manifest: Manifest) -> list[SourceFile]:
    """Return the files with the hashes of a dataset's rows, one a part."""
    paths = [folder / HASHES / part.name for part in manifest.parts]
    return [SourceFile(str(path), partial(opened_local, path)) for path in paths]
